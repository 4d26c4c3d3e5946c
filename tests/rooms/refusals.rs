//! Every code, each by changing one thing in a request that is accepted.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mcpid::key::{PublicKey, SecretKey, Sign as _};
use mcpid::message::RequestTarget;
use mcpid::message::digest::content_digest;
use mcpid::verify::{Code, MAX_HEAD, MAX_SIGNATURE_INPUT};
use serde_json::{Value, json};

use crate::scene::{
    BODY, CREATED, Call, Input, Judge, NONCE, NOW, key, ready, registry, store, time, trusted,
};

/// What is about to be judged. `before` changes it as the signer would have, `after` as someone on
/// the way would.
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

    /// Limits the one trust entry.
    pub(crate) fn limit(&mut self, member: &str, value: Value) {
        self.judge.trust[0]["mcpid"][member] = value;
    }

    fn edit_input(&mut self, from: &str, to: &str) {
        self.call.edit("signature-input", from, to);
    }

    fn edit_signature(&mut self, from: &str, to: &str) {
        self.call.edit("signature", from, to);
    }

    /// The signature in base64, as sent.
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

    /// Signs with a key that a trust file holds as this point, whatever anyone can know of it.
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

pub(crate) struct Case {
    pub(crate) step: u8,
    pub(crate) code: Code,
    pub(crate) why: &'static str,
    pub(crate) before: fn(&mut Play),
    pub(crate) after: fn(&mut Play),
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

/// Changes the signer could have made: the signature is genuine.
fn signed(step: u8, code: Code, cases: Vec<(&'static str, fn(&mut Play))>) -> Vec<Case> {
    let case = |(why, before)| Case { step, code, why, before, after: |_| () };
    cases.into_iter().map(case).collect()
}

/// Changes after signing.
fn tampered(step: u8, code: Code, cases: Vec<(&'static str, fn(&mut Play))>) -> Vec<Case> {
    let case = |(why, after)| Case { step, code, why, before: |_| (), after };
    cases.into_iter().map(case).collect()
}

fn limits() -> Vec<Case> {
    let mut cases = tampered(
        1,
        Code::TooLarge,
        vec![
            ("five labels", |p| {
                for label in ["b", "c", "d", "e"] {
                    let input = p.input.to_string();
                    p.call.attach(label, &input, &[0; 64]);
                }
            }),
            ("a field that fills the head", |p| {
                p.call.push("x", &"a".repeat(MAX_HEAD));
            }),
            ("a target that fills the head", |p| p.target(&format!("/{}", "a".repeat(MAX_HEAD)))),
            ("one byte more of signature-input", |p| {
                let more = MAX_SIGNATURE_INPUT + 1 - p.call.get("signature-input").len() - 5;
                let value = format!("{};x=\"{}\"", p.call.get("signature-input"), "a".repeat(more));
                assert_eq!(value.len(), MAX_SIGNATURE_INPUT + 1);
                p.call.set("signature-input", &value);
            }),
            ("a body one byte longer than we take", |p| p.judge.max_body = BODY.len() - 1),
        ],
    );
    cases.extend(signed(
        1,
        Code::TooLarge,
        vec![("33 components", |p| {
            for n in p.input.components.len()..33 {
                p.call.push(&format!("x-{n}"), "1");
                p.input.components.push(format!("\"x-{n}\""));
            }
        })],
    ));
    cases.extend(tampered(
        1,
        Code::SignatureMalformed,
        vec![
            ("two content types", |p| {
                p.call.push("content-type", "application/json");
            }),
            ("two versions", |p| {
                p.call.push("mcp-protocol-version", "2026-07-28");
            }),
            ("two methods", |p| {
                p.call.push("mcp-method", "tools/call");
            }),
            ("two names", |p| {
                p.call.push("mcp-name", "get_weather");
            }),
            ("two names in other letters", |p| {
                p.call.push("Mcp-Name", "get_weather");
            }),
            ("two parameters", |p| {
                p.call.push("mcp-param-city", "Oslo");
            }),
            ("two lengths", |p| {
                p.call.push("content-length", "1").push("content-length", "1");
            }),
            ("two sessions", |p| {
                p.call.push("mcp-session-id", "a").push("mcp-session-id", "a");
            }),
            ("two events", |p| {
                p.call.push("last-event-id", "a").push("last-event-id", "b");
            }),
            ("two codings", |p| {
                p.call.push("content-encoding", "br").push("content-encoding", "br");
            }),
        ],
    ));
    cases.extend(tampered(
        1,
        Code::TargetMismatch,
        vec![
            ("another host", |p| {
                p.call.set("host", "evil.example.com");
            }),
            ("another port", |p| {
                p.call.set("host", "mcp.example.com:8443");
            }),
            ("a host that ends likewise", |p| {
                p.call.set("host", "x.mcp.example.com");
            }),
            ("a host that begins likewise", |p| {
                p.call.set("host", "mcp.example.com.evil");
            }),
            ("a dot at the end", |p| {
                p.call.set("host", "mcp.example.com.");
            }),
            ("no host", |p| {
                p.call.remove("host");
            }),
            ("an empty host", |p| {
                p.call.set("host", "");
            }),
            ("two hosts", |p| {
                p.call.push("host", "mcp.example.com");
            }),
            ("a user in the host", |p| {
                p.call.set("host", "me@mcp.example.com");
            }),
            ("a path in the host", |p| {
                p.call.set("host", "mcp.example.com/mcp");
            }),
            ("two hosts in one", |p| {
                p.call.set("host", "mcp.example.com, evil.example");
            }),
            ("another scheme", |p| p.absolute("http://mcp.example.com/mcp?tenant=a%2fb")),
            ("an absolute target elsewhere", |p| {
                p.absolute("https://evil.example/mcp?tenant=a%2fb")
            }),
            ("a target without slash", |p| p.target("mcp?tenant=a%2fb")),
            ("a fragment", |p| p.target("/mcp?tenant=a%2fb#x")),
            ("an asterisk", |p| p.call.target = RequestTarget::Asterisk),
            ("our origin is another", |p| p.judge.origins = vec!["https://mcp.example.org"]),
            ("our origin has another port", |p| {
                p.judge.origins = vec!["https://mcp.example.com:444"];
            }),
        ],
    ));
    cases
}

fn presence() -> Vec<Case> {
    tampered(
        2,
        Code::SignatureMissing,
        vec![
            ("no signature", |p| {
                p.call.remove("signature");
            }),
            ("no signature-input", |p| {
                p.call.remove("signature-input");
            }),
            ("neither", |p| {
                p.call.remove("signature").remove("signature-input");
            }),
            ("both empty", |p| {
                p.call.set("signature", "").set("signature-input", "");
            }),
        ],
    )
}

fn parsing() -> Vec<Case> {
    tampered(
        3,
        Code::SignatureMalformed,
        vec![
            ("no label", |p| p.edit_input("mcp=", "")),
            ("a capital label", |p| p.edit_input("mcp=", "Mcp=")),
            ("an open list", |p| p.edit_input("\")", "\"")),
            ("an open string", |p| p.edit_input("\"@method\"", "\"@method")),
            ("a comma at the end", |p| p.edit_input("mcp=", "mcp=1,")),
            ("nothing behind a comma", |p| {
                let value = format!("{},", p.call.get("signature-input"));
                p.call.set("signature-input", &value);
            }),
            ("a byte outside ascii", |p| p.edit_input("nonce=\"", "nonce=\"é")),
            ("one field is empty", |p| {
                p.call.set("signature", "");
            }),
            ("labels that are not paired", |p| p.edit_signature("mcp=", "mcq=")),
            ("a label too many in signature", |p| p.edit_signature("mcp=", "a=:AAAA:, mcp=")),
            ("a label too many in signature-input", |p| p.edit_input("mcp=", "a=(), mcp=")),
            ("the label twice in signature", |p| {
                let value = p.call.get("signature").to_owned();
                p.call.push("signature", &value);
            }),
            ("the label twice in signature-input", |p| {
                let value = p.call.get("signature-input").to_owned();
                p.call.push("signature-input", &value);
            }),
            ("a parameter twice", |p| p.edit_input(";nonce", &format!(";created={CREATED};nonce"))),
            ("a component twice", |p| p.edit_input("\"@method\"", "\"@method\" \"@method\"")),
            ("a component twice, by its parameters", |p| {
                let bs = "\"x\";bs;key=\"a\" \"x\";key=\"a\";bs";
                p.edit_input("\"@method\"", &format!("\"@method\" {bs}"));
            }),
            ("a component parameter twice", |p| p.edit_input("\"@method\"", "\"@method\";req;req")),
            ("a component in capitals", |p| p.edit_input("\"content-type\"", "\"Content-Type\"")),
            ("a component that is a token", |p| p.edit_input("\"content-type\"", "content-type")),
            ("a component that is a number", |p| p.edit_input("\"content-type\"", "1")),
            ("an empty component", |p| p.edit_input("\"content-type\"", "\"\"")),
            ("no list", |p| {
                p.call.set("signature-input", "mcp=\"@method\";created=1");
            }),
            ("an empty list is none", |p| {
                p.call.set("signature-input", "mcp");
            }),
            ("a signature that is a string", |p| {
                let text = p.signature();
                p.call.set("signature", &format!("mcp=\"{text}\""));
            }),
            ("a signature that is a flag", |p| {
                p.call.set("signature", "mcp");
            }),
            ("a signature in a list", |p| {
                let text = p.signature();
                p.call.set("signature", &format!("mcp=(:{text}:)"));
            }),
            ("a signature with parameters", |p| {
                let value = format!("{};x", p.call.get("signature"));
                p.call.set("signature", &value);
            }),
            ("base64 without padding", |p| p.edit_signature("==:", ":")),
            ("base64 with one padding too few", |p| p.edit_signature("==:", "=:")),
            ("base64url", |p| p.edit_signature("mcp=:", "mcp=:_-")),
            ("a space in base64", |p| p.edit_signature("mcp=:", "mcp=: ")),
            ("a bit flipped that base64 does not use", |p| {
                let text = p.signature();
                let last = text.as_bytes()[85];
                // 64 bytes leave four bits of the last character unused.
                let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
                let at = alphabet.iter().position(|&b| b == last).unwrap();
                let other = format!("{}{}==", &text[..85], char::from(alphabet[at ^ 1]));
                p.call.set("signature", &format!("mcp=:{other}:"));
            }),
        ],
    )
}

fn parameters() -> Vec<Case> {
    let mut cases = signed(
        4,
        Code::ParameterMissing,
        vec![
            ("no created", |p| {
                p.input.unset("created");
            }),
            ("no nonce", |p| {
                p.input.unset("nonce");
            }),
            ("no keyid", |p| {
                p.input.unset("keyid");
            }),
            ("no tag", |p| {
                p.input.unset("tag");
            }),
        ],
    );
    cases.extend(signed(
        4,
        Code::ParameterInvalid,
        vec![
            ("created is a string", |p| {
                p.input.set("created", format!("\"{CREATED}\""));
            }),
            ("created is a decimal", |p| {
                p.input.set("created", format!("{CREATED}.0"));
            }),
            ("created is a date", |p| {
                p.input.set("created", format!("@{CREATED}"));
            }),
            ("created is negative", |p| {
                p.input.set("created", "-1");
            }),
            ("created is a flag", |p| {
                p.input.set("created", "?1");
            }),
            ("expires is a string", |p| {
                p.input.set("expires", format!("\"{NOW}\""));
            }),
            ("expires is a token", |p| {
                p.input.set("expires", "never");
            }),
            ("expires is negative", |p| {
                p.input.set("expires", "-1");
            }),
            ("expires is created", |p| {
                p.input.set("expires", CREATED);
            }),
            ("expires is before created", |p| {
                p.input.set("expires", CREATED - 1);
            }),
            ("a nonce of 15", |p| {
                p.input.set("nonce", "\"AAECAwQFBgcICQo\"");
            }),
            ("a nonce of 15 and padding", |p| {
                p.input.set("nonce", "\"AAECAwQFBgcICQo=\"");
            }),
            ("a nonce of 257", |p| {
                p.input.set("nonce", format!("\"{}\"", "A".repeat(257)));
            }),
            ("a nonce of three paddings", |p| {
                p.input.set("nonce", format!("\"{NONCE}===\""));
            }),
            ("padding inside", |p| {
                p.input.set("nonce", format!("\"={NONCE}\""));
            }),
            ("a nonce with a space", |p| {
                p.input.set("nonce", format!("\"{NONCE} \""));
            }),
            ("a nonce with a quote", |p| {
                p.input.set("nonce", format!("\"\\\"{NONCE}\""));
            }),
            ("an empty nonce", |p| {
                p.input.set("nonce", "\"\"");
            }),
            ("a nonce that is a token", |p| {
                p.input.set("nonce", NONCE);
            }),
            ("a nonce that is bytes", |p| {
                p.input.set("nonce", format!(":{NONCE}==:"));
            }),
            ("a keyid that is a token", |p| {
                p.input.set("keyid", "alice");
            }),
            ("a keyid that is a flag", |p| {
                p.input.set("keyid", "?1");
            }),
            ("a tag that is a number", |p| {
                p.input.set("tag", "1");
            }),
        ],
    ));
    cases.extend(signed(
        4,
        Code::AlgNotAllowed,
        vec![
            ("rsa", |p| {
                p.input.set("alg", "\"rsa-pss-sha512\"");
            }),
            ("hmac", |p| {
                p.input.set("alg", "\"hmac-sha256\"");
            }),
            ("capitals", |p| {
                p.input.set("alg", "\"Ed25519\"");
            }),
            ("of JOSE", |p| {
                p.input.set("alg", "\"EdDSA\"");
            }),
            ("empty", |p| {
                p.input.set("alg", "\"\"");
            }),
            ("a token", |p| {
                p.input.set("alg", "ed25519");
            }),
            ("a flag", |p| {
                p.input.set("alg", "?1");
            }),
        ],
    ));
    cases
}

fn times_and_coverage() -> Vec<Case> {
    let mut cases = signed(
        5,
        Code::NotYetValid,
        vec![
            ("created six seconds ahead", |p| {
                p.input.set("created", NOW + 6).set("expires", NOW + 20);
            }),
            ("created in 2100", |p| {
                p.input.set("created", 4_102_444_800_i64).set("expires", 4_102_444_830_i64);
            }),
            ("the largest number there is", |p| {
                p.input.set("created", 999_999_999_999_999_i64).unset("expires");
            }),
            ("a clock behind", |p| p.judge = p.judge.clone().at(CREATED - 6)),
        ],
    );
    cases.extend(signed(
        5,
        Code::Expired,
        vec![
            ("created at the epoch", |p| {
                p.input.set("created", 0);
            }),
            ("created 31 s ago", |p| {
                p.input.set("created", NOW - 31).unset("expires");
            }),
            ("expires now", |p| {
                p.input.set("expires", NOW);
            }),
            ("a clock ahead", |p| p.judge = p.judge.clone().at(CREATED + 31)),
        ],
    ));
    cases.extend(signed(
        6,
        Code::CoverageInsufficient,
        vec![
            ("the method is open", |p| {
                p.input.uncover("@method");
            }),
            ("the digest is covered in part", |p| {
                p.input.recover("content-digest", "\"content-digest\";key=\"sha-256\"");
            }),
            ("nothing is covered", |p| p.input.components.clear()),
        ],
    ));
    cases.extend(tampered(
        6,
        Code::CoverageInsufficient,
        vec![
            ("a session is added", |p| {
                p.call.push("mcp-session-id", "1868a90c");
            }),
            ("more is required", |p| p.judge.changes.require = vec!["accept".to_owned()]),
        ],
    ));
    cases
}

fn keys() -> Vec<Case> {
    let mut cases = signed(
        7,
        Code::KeyUnknown,
        vec![
            ("another key is trusted", |p| p.judge.trust = vec![trusted(&key(2))]),
            ("no key is trusted", |p| p.judge.trust.clear()),
            ("a keyid that is a name", |p| {
                p.input.set("keyid", "\"alice\"");
            }),
            ("an empty keyid", |p| {
                p.input.set("keyid", "\"\"");
            }),
            ("a keyid with padding", |p| {
                let id = *p.key.public().id();
                p.input.set("keyid", format!("\"{id}=\""));
            }),
            ("a keyid in other letters", |p| {
                let id = p.key.public().id().to_string().to_uppercase();
                p.input.set("keyid", format!("\"{id}\""));
            }),
            ("a kid is no keyid here", |p| {
                p.judge.trust[0]["kid"] = json!("alice");
                p.input.set("keyid", "\"alice\"");
            }),
        ],
    );
    cases.extend(signed(
        7,
        Code::KeyWeak,
        vec![
            ("the neutral point", |p| {
                let mut point = [0; 32];
                point[0] = 1;
                p.under(point);
            }),
            ("a point of order four", |p| p.under([0; 32])),
            ("a point of mixed order", |p| {
                use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
                p.under((ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]).compress().to_bytes());
            }),
        ],
    ));
    cases.extend(signed(
        7,
        Code::KeyPublished,
        vec![
            ("the key of RFC 8032 test 1", |p| {
                let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
                let byte = |at: usize| u8::from_str_radix(&seed[2 * at..2 * at + 2], 16).unwrap();
                let key = SecretKey::from_seed(&std::array::from_fn(byte));
                p.under(*key.public().as_bytes());
                p.key = key;
            }),
            ("a seed of ones", |p| {
                p.key = SecretKey::from_seed(&[1; 32]);
                let point = *p.key.public().as_bytes();
                p.under(point);
            }),
        ],
    ));
    cases.extend(signed(
        7,
        Code::KeyNotValid,
        vec![
            ("valid from just after created", |p| p.limit("not_before", rfc3339(CREATED + 1))),
            ("valid from tomorrow", |p| p.limit("not_before", rfc3339(NOW + 86_400))),
            ("valid until now", |p| p.limit("not_after", rfc3339(NOW))),
            ("valid until between", |p| p.limit("not_after", rfc3339(NOW - 1))),
            ("valid until created", |p| p.limit("not_after", rfc3339(CREATED))),
        ],
    ));
    cases.extend(signed(
        7,
        Code::KeyRevoked,
        vec![
            ("revoked now", |p| p.limit("revoked_at", rfc3339(NOW))),
            ("revoked in between", |p| p.limit("revoked_at", rfc3339(CREATED + 1))),
            ("revoked long ago", |p| p.limit("revoked_at", rfc3339(0))),
            ("revoked by a second file", |p| {
                let mut second = trusted(&key(1));
                second["mcpid"]["revoked_at"] = rfc3339(CREATED);
                p.judge.trust.push(second);
            }),
        ],
    ));
    cases.extend(signed(
        7,
        Code::TagMismatch,
        vec![
            ("another's name", |p| {
                p.input.set("tag", "\"bob-laptop\"");
            }),
            ("other letters", |p| {
                p.input.set("tag", "\"Alice-laptop\"");
            }),
            ("a longer name", |p| {
                p.input.set("tag", "\"alice-laptop \"");
            }),
            ("the key's own name", |p| {
                p.input.set("tag", "\"alice\"");
            }),
            ("an empty tag", |p| {
                p.input.set("tag", "\"\"");
            }),
            ("another key's id", |p| {
                let other = *key(2).public().id();
                p.input.set("tag", format!("\"{other}\""));
            }),
        ],
    ));
    cases
}

fn signatures() -> Vec<Case> {
    let mut cases = tampered(
        8,
        Code::SignatureInvalid,
        vec![
            ("a bit of R", |p| {
                let mut bytes = p.signature_bytes();
                bytes[7] ^= 1;
                p.send_signature(&bytes);
            }),
            ("a bit of s", |p| {
                let mut bytes = p.signature_bytes();
                bytes[40] ^= 0x80;
                p.send_signature(&bytes);
            }),
            ("63 bytes", |p| {
                let bytes = p.signature_bytes();
                p.send_signature(&bytes[..63]);
            }),
            ("65 bytes", |p| {
                let mut bytes = p.signature_bytes();
                bytes.push(0);
                p.send_signature(&bytes);
            }),
            ("no bytes", |p| p.send_signature(&[])),
            ("zeros", |p| p.send_signature(&[0; 64])),
            ("s plus the order of the group", |p| {
                const ORDER: [u8; 32] = [
                    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde,
                    0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
                ];
                let (mut bytes, mut carry) = (p.signature_bytes(), 0_u16);
                for (byte, more) in bytes[32..].iter_mut().zip(ORDER) {
                    carry += u16::from(*byte) + u16::from(more);
                    *byte = u8::try_from(carry & 0xff).unwrap();
                    carry >>= 8;
                }
                p.send_signature(&bytes);
            }),
            ("R of small order", |p| {
                let mut bytes = p.signature_bytes();
                bytes[..32].fill(0);
                bytes[0] = 1;
                p.send_signature(&bytes);
            }),
            ("another key's signature", |p| {
                let base = p.call.base(&p.input);
                let bytes = key(2).sign(base.as_bytes()).unwrap();
                p.send_signature(&bytes);
            }),
            ("a base with a line end too many", |p| {
                let base = format!("{}\n", p.call.base(&p.input));
                let bytes = p.key.sign(base.as_bytes()).unwrap();
                p.send_signature(&bytes);
            }),
            ("another method", |p| p.call.method = "PUT".to_owned()),
            ("the method in small letters", |p| p.call.method = "post".to_owned()),
            ("another path", |p| p.target("/mcp/?tenant=a%2fb")),
            ("dot segments", |p| p.target("/x/../mcp?tenant=a%2fb")),
            ("a slash twice", |p| p.target("//mcp?tenant=a%2fb")),
            ("an encoded letter", |p| p.target("/m%63p?tenant=a%2fb")),
            ("another letter case of an escape", |p| p.target("/mcp?tenant=a%2Fb")),
            ("an escape undone", |p| p.target("/mcp?tenant=a/b")),
            ("another query", |p| p.target("/mcp?tenant=a%2fc")),
            ("more query", |p| p.target("/mcp?tenant=a%2fb&x")),
            ("no query", |p| p.target("/mcp")),
            ("an empty query more", |p| p.target("/mcp?tenant=a%2fb?")),
            ("another content type", |p| {
                p.call.set("content-type", "application/json;x=1");
            }),
            ("another tool", |p| {
                p.call.set("mcp-name", "delete_weather");
            }),
            ("another parameter field", |p| {
                p.call.set("mcp-param-city", "oslo");
            }),
            ("a covered field is gone", |p| {
                p.call.remove("mcp-param-city");
            }),
            ("the digest is gone", |p| {
                p.call.remove("content-digest");
            }),
            ("body and digest of someone else", |p| {
                p.call.with_body("{}");
            }),
            ("a second digest line", |p| {
                let digest = p.call.get("content-digest").to_owned();
                p.call.push("content-digest", &digest);
            }),
            ("a parameter is added", |p| p.edit_input(";created", ";x=1;created")),
            ("alg is added", |p| p.edit_input(";created", ";alg=\"ed25519\";created")),
            ("parameters change places", |p| {
                let value = format!("mcp={}", p.input);
                let (list, rest) = value.split_once(";created").unwrap();
                let (created, rest) = rest.split_once(';').unwrap();
                p.call.set("signature-input", &format!("{list};{rest};created{created}"));
            }),
            ("expires is gone", |p| p.edit_input(&format!(";expires={}", CREATED + 30), "")),
            ("created is later", |p| {
                p.edit_input(&format!("created={CREATED}"), &format!("created={}", CREATED + 1));
            }),
            ("the nonce is another", |p| p.edit_input("AAECAwQF", "BAECAwQF")),
            ("the nonce is padded", |p| p.edit_input(NONCE, &format!("{NONCE}=="))),
            ("the tag is another of ours", |p| {
                let id = *p.key.public().id();
                p.edit_input(&format!(";tag=\"{id}\""), ";tag=\"alice-laptop\"");
            }),
            ("the keyid is another's", |p| {
                let (ours, theirs) = (p.key.public().id().to_string(), *key(2).public().id());
                p.judge.trust.push(trusted(&key(2)));
                p.edit_input(&format!(";keyid=\"{ours}\""), &format!(";keyid=\"{theirs}\""));
                p.edit_input(&format!(";tag=\"{ours}\""), &format!(";tag=\"{theirs}\""));
            }),
            ("components change places", |p| {
                p.edit_input("\"@method\" \"@target-uri\"", "\"@target-uri\" \"@method\"");
            }),
            ("a component is added", |p| p.edit_input("\"@method\"", "\"@method\" \"accept\"")),
        ],
    );
    // No base can be built with these: there is nothing that a signer could have signed.
    cases.extend(tampered(
        8,
        Code::SignatureInvalid,
        vec![
            ("a covered field is absent", |p| p.cover_too("\"x-absent\"")),
            ("a status", |p| p.cover_too("\"@status\"")),
            ("the parameters themselves", |p| p.cover_too("\"@signature-params\"")),
            ("a derived component that is none", |p| p.cover_too("\"@speed\"")),
            ("the request of a response", |p| p.cover_too("\"accept\";req")),
            ("a trailer", |p| p.cover_too("\"accept\";tr")),
            ("a parameter that is none", |p| p.cover_too("\"accept\";x")),
            ("created as a component", |p| p.cover_too("\"created\"")),
        ],
    ));
    cases
}

fn bodies() -> Vec<Case> {
    let mut cases = signed(
        9,
        Code::DigestMissing,
        vec![
            ("only md5", |p| {
                p.call.set("content-digest", "md5=:AAAAAAAAAAAAAAAAAAAAAA==:");
            }),
            ("only unknown ones", |p| {
                p.call.set("content-digest", "sha-999=:AAAA:");
            }),
            ("none at all", |p| {
                p.call.set("content-digest", "");
            }),
            ("other letters", |p| {
                p.call.edit("content-digest", "sha-256", "sha-2560");
            }),
        ],
    );
    cases.extend(signed(
        9,
        Code::DigestInvalid,
        vec![
            ("too short", |p| {
                p.call.set("content-digest", "sha-256=:AAAA:");
            }),
            ("a string", |p| {
                p.call.set("content-digest", "sha-256=\"AAAA\"");
            }),
            ("a flag", |p| {
                p.call.set("content-digest", "sha-256");
            }),
            ("no dictionary", |p| {
                p.call.set("content-digest", "SHA-256=abc");
            }),
            ("listed twice", |p| {
                let digest = p.call.get("content-digest").to_owned();
                p.call.set("content-digest", &format!("{digest}, {digest}"));
            }),
            ("on two lines", |p| {
                let digest = p.call.get("content-digest").to_owned();
                p.call.push("content-digest", &digest);
            }),
            ("base64 bits that are not used", |p| {
                // 32 bytes leave two bits of the last character unused.
                let digest = p.call.get("content-digest").trim_end_matches("=:").to_owned();
                let last = digest.as_bytes()[digest.len() - 1];
                assert!(last != b'z' && last != b'/' && last != b'9', "the next one is a letter");
                let digest = format!("{}{}=:", &digest[..digest.len() - 1], char::from(last + 1));
                p.call.set("content-digest", &digest);
            }),
        ],
    ));
    cases.extend(signed(
        9,
        Code::DigestMismatch,
        vec![
            ("of another body", |p| {
                p.call.set("content-digest", &content_digest(b"{}"));
            }),
            ("one of two", |p| {
                let digest = format!("{}, sha-512=:{}:", p.call.get("content-digest"), {
                    STANDARD.encode([7; 64])
                });
                p.call.set("content-digest", &digest);
            }),
        ],
    ));
    cases.extend(tampered(
        9,
        Code::DigestMismatch,
        vec![
            ("a space behind the body", |p| p.call.body.push(b' ')),
            ("a byte less", |p| {
                p.call.body.pop();
            }),
            ("no body", |p| p.call.body.clear()),
            ("a letter", |p| p.call.body[20] ^= 1),
        ],
    ));
    cases
}

fn messages() -> Vec<Case> {
    fn body(p: &mut Play, from: &str, to: &str) {
        assert!(BODY.contains(from));
        p.call.with_body(&BODY.replacen(from, to, 1));
    }
    let mut cases = signed(
        10,
        Code::BodyAmbiguous,
        vec![
            ("a key twice", |p| body(p, "\"id\":1", "\"id\":1,\"id\":1")),
            ("a key twice, deep", |p| body(p, "\"city\":", "\"city\":\"Rome\",\"city\":")),
            ("a key twice, escaped", |p| body(p, "\"city\":", "\"c\\u0069ty\":\"Rome\",\"city\":")),
            ("other letters of a key", |p| body(p, "\"id\":1", "\"id\":1,\"Method\":\"ping\"")),
            ("an array", |p| {
                p.call.with_body(&format!("[{BODY}]"));
            }),
            ("two values", |p| {
                p.call.with_body(&format!("{BODY}{BODY}"));
            }),
            ("a number that is none", |p| body(p, "\"id\":1", "\"id\":NaN")),
            ("half a surrogate", |p| body(p, "Oslo", "\\ud800")),
            ("a byte order mark", |p| {
                p.call.with_body(&format!("\u{feff}{BODY}"));
            }),
            ("another charset", |p| {
                p.call.set("content-type", "application/json; charset=utf-7");
            }),
            ("another media type", |p| {
                p.call.set("content-type", "text/plain");
            }),
            ("no JSON at all", |p| {
                p.call.with_body("get_weather");
            }),
            ("nothing", |p| {
                p.call.with_body("");
            }),
            ("not utf-8", |p| {
                p.call.body.push(0xff);
                let digest = content_digest(&p.call.body);
                p.call.set("content-digest", &digest);
            }),
            ("another method than POST", |p| p.call.method = "PUT".to_owned()),
        ],
    );
    cases.extend(signed(
        10,
        Code::HeaderBodyMismatch,
        vec![
            ("another tool", |p| {
                p.call.set("mcp-name", "delete_weather");
            }),
            ("another method", |p| {
                p.call.set("mcp-method", "tools/list");
            }),
            ("another version", |p| {
                p.call.set("mcp-protocol-version", "2027-01-01");
            }),
            ("an older version", |p| {
                p.call.set("mcp-protocol-version", "2025-11-25");
            }),
            ("other letters", |p| {
                p.call.set("mcp-name", "Get_weather");
            }),
            ("another tool in the body", |p| body(p, "get_weather", "delete_weather")),
            ("no name", |p| {
                p.call.remove("mcp-name");
                p.input.uncover("mcp-name");
            }),
            ("no method", |p| {
                p.call.remove("mcp-method");
                p.input.uncover("mcp-method");
            }),
            ("no version", |p| {
                p.call.remove("mcp-protocol-version");
                p.input.uncover("mcp-protocol-version");
            }),
        ],
    ));
    cases.extend(signed(
        11,
        Code::NotAllowed,
        vec![
            ("another tool is allowed", |p| p.limit("allow", json!(["tools/call:set_*"]))),
            ("another method is allowed", |p| p.limit("allow", json!(["tools/list"]))),
            ("nothing is allowed", |p| p.limit("allow", json!([]))),
            ("other letters are allowed", |p| p.limit("allow", json!(["tools/call:Get_*"]))),
            ("one of two files allows it", |p| {
                p.limit("allow", json!(["tools/call"]));
                let mut second = trusted(&key(1));
                second["mcpid"]["allow"] = json!(["prompts/get"]);
                p.judge.trust.push(second);
            }),
        ],
    ));
    cases
}

/// Uses up a nonce of key 1 in the store of the judge.
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
            let small = crate::scene::memory().without_floor().bounded(16);
            p.judge.replay = mcpid::verify::Replay::Claim(std::sync::Arc::new(small));
            use_up(&p.judge, "0123456789abcdef");
            use_up(&p.judge, "0123456789abcdeg");
        })],
    ));
    cases
}

pub(crate) fn cases() -> Vec<Case> {
    let groups = [
        limits(),
        presence(),
        parsing(),
        parameters(),
        times_and_coverage(),
        keys(),
        signatures(),
        bodies(),
        messages(),
        nonces(),
    ];
    groups.into_iter().flatten().collect()
}

#[test]
fn every_code_by_changing_one_thing() {
    // Without the change it is accepted: the one accept to all these refusals.
    let mut play = Play::new();
    play.sign();
    play.judge.accepts(&play.call);

    let cases = cases();
    let mut wrong = Vec::new();
    let mut produced: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        let play = case.play();
        match play.judge.judge(&play.call) {
            Err(mcpid::verify::Refusal::Rejected(r)) => {
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
    for code in Code::ALL {
        assert!(produced.contains_key(code.as_str()), "nothing produces {code}");
    }
    assert!(cases.len() >= 10 * Code::ALL.len() / 2, "{}", cases.len());
}

/// No refusal before step 12 uses the nonce up, so that whoever breaks a request on its way cannot
/// burn it for the one who made it.
#[test]
fn nothing_that_is_refused_reaches_the_store() {
    for case in cases().iter().filter(|case| case.step < 12) {
        let counting = crate::scene::Counting::new();
        let mut play = Play::new();
        play.judge.replay = mcpid::verify::Replay::Claim(counting.clone());
        (case.before)(&mut play);
        play.sign();
        (case.after)(&mut play);
        play.judge.refuses(&play.call);
        assert_eq!((counting.claimed(), counting.peeked()), (0, 0), "{}", case.why);
    }
}

/// What a refusal says is one line without line ends, whatever was sent.
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
fn steps_and_codes_are_told_apart() {
    let mut codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 25);
    assert_eq!(Code::TooLarge.to_string(), "too_large");
    assert_eq!(registry(&[trusted(&key(1))]).len(), 1);
    // The store of the scene has nothing to forget.
    use mcpid::nonce::NonceStore as _;
    assert!(ready(store().floor(time(NOW))).unwrap() < time(0));
}
