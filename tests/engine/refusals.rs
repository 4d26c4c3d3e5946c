//! Tests of every refusal code: each is caused by one change to an accepted request.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mcpid::key::{PublicKey, SecretKey, Sign as _};
use mcpid::message::RequestTarget;
use mcpid::message::digest::content_digest;
use mcpid::verify::{Code, MAX_COMPONENTS, MAX_HEAD, MAX_SIGNATURE_INPUT};
use serde_json::{Value, json};

use crate::fixtures::{
    BODY, CREATED, Call, Input, Judge, NONCE, NOW, key, ready, registry, store, time, trusted,
};

mod bodies;
mod export;
mod fields;
mod keys;

/// A request, and the verifier that judges it. Tests change them before signing (the signature
/// stays genuine) or after signing (as an attacker could).
pub(crate) struct Play {
    pub(crate) judge: Judge,
    pub(crate) call: Call,
    pub(crate) input: Input,
    pub(crate) key: SecretKey,
}

impl Play {
    pub(crate) fn new() -> Self {
        let (call, key) = (Call::unsigned(), key(1));
        Play { judge: Judge::mcp(), input: Input::of(&call, &key), call, key }
    }

    pub(crate) fn sign(&mut self) {
        self.call.sign(&self.key, "mcp", &self.input);
    }

    /// Adds a restriction to the only entry of the trust file.
    pub(crate) fn limit(&mut self, member: &str, value: Value) {
        self.judge.trust[0]["mcpid"][member] = value;
    }

    fn edit_input(&mut self, from: &str, to: &str) {
        self.call.edit("signature-input", from, to);
    }

    fn edit_signature(&mut self, from: &str, to: &str) {
        self.call.edit("signature", from, to);
    }

    /// Returns the signature in base64, as it was sent.
    fn signature(&self) -> String {
        let text = self.call.get("signature").trim_start_matches("mcp=:");
        text.trim_end_matches(':').to_owned()
    }

    fn send_signature(&mut self, bytes: &[u8]) {
        self.call.set("signature", &format!("mcp=:{}:", STANDARD.encode(bytes)));
    }

    fn signature_bytes(&self) -> Vec<u8> {
        STANDARD.decode(self.signature()).unwrap()
    }

    /// Signs with a trusted key whose public half is `point`, even if its private half is
    /// published.
    fn under(&mut self, point: [u8; 32]) {
        let id = *PublicKey::from_bytes(&point).unwrap().id();
        let x = URL_SAFE_NO_PAD.encode(point);
        self.judge.trust = vec![json!({"kty": "OKP", "crv": "Ed25519", "x": x})];
        self.input.set("keyid", format!("\"{id}\"")).set("tag", format!("\"{id}\""));
    }

    fn cover_too(&mut self, identifier: &str) {
        self.edit_input("\")", &format!("\" {identifier})"));
    }

    fn target(&mut self, target: &str) {
        self.call.target = RequestTarget::Origin(target.to_owned().into());
    }

    fn absolute(&mut self, target: &str) {
        self.call.target = RequestTarget::Absolute(target.to_owned().into());
    }
}

/// A change of the request or the verifier.
pub(crate) type Change = fn(&mut Play);

pub(crate) struct Case {
    pub(crate) step: u8,
    pub(crate) code: Code,
    pub(crate) why: &'static str,
    pub(crate) before: Change,
    pub(crate) after: Change,
}

impl Case {
    fn play(&self) -> Play {
        let mut play = Play::new();
        (self.before)(&mut play);
        play.sign();
        (self.after)(&mut play);
        play
    }
}

fn rfc3339(seconds: i64) -> Value {
    Value::String(time(seconds).to_string())
}

/// Returns cases in which the request is changed before signing, so that the signature is genuine.
fn signed(step: u8, code: Code, cases: Vec<(&'static str, Change)>) -> Vec<Case> {
    let case = |(why, before)| Case { step, code, why, before, after: |_| () };
    cases.into_iter().map(case).collect()
}

/// Returns cases in which the request is changed after signing.
fn tampered(step: u8, code: Code, cases: Vec<(&'static str, Change)>) -> Vec<Case> {
    let case = |(why, after)| Case { step, code, why, before: |_| (), after };
    cases.into_iter().map(case).collect()
}

/// Uses up a nonce of key 1 in the store of the verifier.
pub(crate) fn use_up(judge: &Judge, nonce: &str) {
    let mut call = Call::unsigned();
    let mut input = Input::of(&call, &key(1));
    call.sign(&key(1), "mcp", input.set("nonce", format!("\"{nonce}\"")));
    judge.accepts(&call);
}

fn nonces() -> Vec<Case> {
    let mut cases = tampered(
        12,
        Code::NonceReplayed,
        vec![
            ("the same again", |p| use_up(&p.judge, NONCE)),
            ("in the last second of the window", |p| {
                use_up(&p.judge, NONCE);
                p.judge = p.judge.clone().at(CREATED + 29);
            }),
        ],
    );
    cases.extend(tampered(
        12,
        Code::NonceQuota,
        vec![("an eighth of the store", |p| {
            let small = crate::fixtures::memory().without_floor().bounded(16);
            p.judge.replay = mcpid::verify::ReplayCheck::Claim(std::sync::Arc::new(small));
            use_up(&p.judge, "0123456789abcdef");
            use_up(&p.judge, "0123456789abcdeg");
        })],
    ));
    cases
}

pub(crate) fn cases() -> Vec<Case> {
    let groups = [
        fields::limits(),
        fields::presence(),
        fields::parsing(),
        fields::parameters(),
        keys::times_and_coverage(),
        keys::keys(),
        keys::signatures(),
        bodies::bodies(),
        bodies::messages(),
        nonces(),
    ];
    groups.into_iter().flatten().collect()
}

#[test]
fn one_change_leads_to_each_code() {
    // Without the change of the case, the request is accepted.
    let mut play = Play::new();
    play.sign();
    play.judge.accepts(&play.call);

    let cases = cases();
    let mut wrong = Vec::new();
    let mut produced: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        let play = case.play();
        match play.judge.judge(&play.call) {
            Err(mcpid::verify::VerifyError::Rejected(r)) => {
                if (r.step().number(), r.code()) != (case.step, case.code) {
                    wrong.push(format!("{}: {} instead of {}: {r}", case.why, r.code(), case.code));
                }
                *produced.entry(r.code().as_str()).or_default() += 1;
            }
            Err(other) => wrong.push(format!("{}: {other:?}", case.why)),
            Ok(_) => wrong.push(format!("{}: accepted", case.why)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // `touch_required` is not among the cases, because only a server's policy leads to it;
    // `tests/engine/touch` tests it.
    for code in Code::ALL.iter().filter(|code| **code != Code::TouchRequired) {
        assert!(produced.contains_key(code.as_str()), "nothing produces {code}");
    }
    assert!(cases.len() >= 10 * Code::ALL.len() / 2, "{}", cases.len());
}

/// A request that is exactly at a limit is accepted.
#[test]
fn request_is_accepted_at_every_edge() {
    let before: [Change; 13] = [
        |p| {
            for n in p.input.components.len()..MAX_COMPONENTS {
                p.call.push(&format!("x-{n}"), "1");
                p.input.components.push(format!("\"x-{n}\""));
            }
        },
        |p| {
            let more = MAX_SIGNATURE_INPUT - p.input.to_string().len() - "mcp=;x=\"\"".len();
            p.input.set("x", format!("\"{}\"", "a".repeat(more)));
        },
        |p| {
            p.input.set("alg", "\"ed25519\"");
        },
        |p| {
            p.input.set("nonce", "\"0123456789abcdef\"");
        },
        |p| {
            p.input.set("nonce", "\"+/-_456789abcdef==\"");
        },
        |p| {
            p.input.set("nonce", format!("\"{}==\"", "A".repeat(256)));
        },
        |p| {
            p.input.set("created", NOW - 30).unset("expires");
        },
        |p| {
            p.input.set("created", NOW + 5).set("expires", NOW + 6);
        },
        |p| p.limit("not_before", rfc3339(CREATED)),
        |p| p.limit("not_after", rfc3339(NOW + 1)),
        |p| p.limit("revoked_at", rfc3339(NOW + 1)),
        |p| p.limit("allow", json!(["prompts/*", "tools/call:get_*"])),
        |p| {
            let both = p.call.get("content-digest").to_owned();
            let sha512 = STANDARD.encode(<sha2::Sha512 as sha2::Digest>::digest(BODY));
            p.call.set("content-digest", &format!("md5=:AA==:, {both}, sha-512=:{sha512}:"));
        },
    ];
    let after: [Change; 7] = [
        |p| p.judge.max_body = BODY.len(),
        |p| {
            let more = MAX_HEAD - p.call.head().wire_len() - "x: \r\n".len();
            p.call.push("x", &"a".repeat(more));
            assert_eq!(p.call.head().wire_len(), MAX_HEAD);
        },
        |p| p.absolute("https://mcp.example.com/mcp?tenant=a%2fb"),
        |p| p.absolute("HTTPS://MCP.example.com:443/mcp?tenant=a%2fb"),
        |p| {
            p.call.set("host", "MCP.EXAMPLE.COM:443");
        },
        |p| {
            p.call.set("signature-input", "a=(), mcp=()").remove("signature-input");
            let input = p.input.to_string();
            p.call.push("Signature-Input", &format!("  mcp={input}  "));
        },
        |p| {
            p.call.push("forwarded", "host=evil.example").push("x-forwarded-host", "evil.example");
        },
    ];
    for (number, change) in before.into_iter().enumerate() {
        let mut play = Play::new();
        change(&mut play);
        play.sign();
        play.judge.accepts(&play.call);
        assert_eq!(play.judge.refusal(&play.call).1, Code::NonceReplayed, "{number}");
    }
    for change in after {
        let mut play = Play::new();
        play.sign();
        change(&mut play);
        play.judge.accepts(&play.call);
    }
}

/// A request that is refused before the last step does not use up its nonce. So an attacker who
/// damages a request in transit cannot use it up either.
#[test]
fn no_refused_request_reaches_the_store() {
    for case in cases().iter().filter(|case| case.step < 12) {
        let counting = crate::fixtures::Counting::new();
        let mut play = Play::new();
        play.judge.replay = mcpid::verify::ReplayCheck::Claim(counting.clone());
        (case.before)(&mut play);
        play.sign();
        (case.after)(&mut play);
        play.judge.refuses(&play.call);
        assert_eq!((counting.claimed(), counting.peeked()), (0, 0), "{}", case.why);
    }
}

/// The message of a refusal has no line breaks, for any request.
#[test]
fn refusals_are_plain_text() {
    for case in cases() {
        let play = case.play();
        let rejection = play.judge.refuses(&play.call);
        let texts = rejection.details().iter().map(|(_, text)| text.as_str());
        for text in texts.chain([rejection.message()]) {
            assert!(!text.contains(['\n', '\r', '\x1b']), "{}: {text:?}", case.why);
            assert!(text.len() < 20_000, "{}: {}", case.why, text.len());
        }
    }
}

#[test]
fn every_step_and_code_has_its_own_name() {
    let mut codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 29);
    assert_eq!(Code::TooLarge.to_string(), "too_large");
    assert_eq!(registry(&[trusted(&key(1))]).len(), 1);
    // The store in the fixtures has no floor, so it refuses no request for its age.
    use mcpid::nonce::NonceStore as _;
    assert!(ready(store().floor(time(NOW))).unwrap() < time(0));
}
