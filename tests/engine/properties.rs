//! Tests of properties that hold for all requests: a signed request is accepted, a request with any
//! changed bit is not, and no input makes the verifier panic.

mod bits;
mod vectors;

use std::collections::BTreeSet;
use std::sync::Arc;

use mcpid::clock::FixedClock;
use mcpid::key::Sign as _;
use mcpid::mcp::body::Scope;
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use mcpid::verify::{Code, NonceOutcome, Rejection, ReplayCheck};
use proptest::prelude::*;
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::fixtures::{CREATED, Call, Input, Judge, key, time, trusted};

/// Returns the rejection of a request. Returns None if the changed request is not a valid HTTP
/// head.
fn refused(judge: &Judge, call: &Call) -> Option<Rejection> {
    let mut head = Head::new(call.method.as_str(), call.target.clone()).ok()?;
    for (name, value) in &call.fields {
        head.push(name.as_str(), value.as_slice()).ok()?;
    }
    Some(judge.refuses(call))
}

/// Returns a verifier that does not check nonces, so that a changed bit without effect would be
/// noticed as an accepted request.
fn judge() -> Judge {
    Judge::mcp().replay(ReplayCheck::Unchecked)
}

fn origins() -> Origins {
    Origins::new([Origin::parse(crate::fixtures::ORIGIN).unwrap()])
}

fn values() -> impl Strategy<Value = String> {
    // Values of visible ASCII with inner spaces, and values that need encoding.
    "[!-~]{1,12}( [!-~]{1,8}){0,2}"
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        Just("mcp-session-id".to_owned()),
        Just("last-event-id".to_owned()),
        Just("authorization".to_owned()),
        "x-[a-z]{1,6}",
        "Mcp-Param-[A-Za-z]{1,8}",
    ];
    prop::collection::vec((name, values()), 0..8).prop_map(|mut fields| {
        // Of fields that must not be repeated, only the first is kept.
        let mut seen = BTreeSet::new();
        fields.retain(|(name, _)| seen.insert(name.to_ascii_lowercase()));
        fields
    })
}

fn named(name: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": name, "arguments": {"text": name}}})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_signed_request_is_accepted(
        fields in fields(),
        path in "/[a-zA-Z0-9._~%!$&'()*+,;=:@/-]{0,30}",
        query in proptest::option::of("[a-zA-Z0-9._~!$&'()*+,;=:@/?-]{0,30}"),
        tool in "\\PC{0,12}",
        seed in 33_u8..=255,
        age in 0_i64..=29,
        profile in 0_usize..3,
        client in proptest::bool::ANY,
    ) {
        let target = match query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        // A generated target with a percent sign is skipped, because it may not be valid.
        prop_assume!(!target.contains('%'));
        let profile = Profile::NAMED[profile].profile();
        let mut call = Call::unsigned();
        call.target = RequestTarget::Origin(target.into());
        call.remove("mcp-protocol-version").remove("mcp-method").remove("mcp-name");
        call.remove("content-digest");
        for (name, value) in &fields {
            call.push(name, value);
        }
        call.body = named(&tool).to_string().into_bytes();

        let secret = key(seed);
        let mut trust = trusted(&secret);
        trust["mcpid"]["client_ids"] = json!(["some client"]);
        let mut signer = Signer::new(Arc::new(key(seed)), &profile).unwrap();
        if client {
            signer = signer.with_client_id("some client");
        }
        let nonce = Nonce::generate(&mut SysRng).unwrap();
        let head = call.head();
        let signed = signer.sign(&head, &origins(), &call.body, time(CREATED), &nonce).unwrap();
        drop(head);
        for (name, value) in signed.headers() {
            call.set(&name.to_ascii_lowercase(), value);
        }
        let judge = Judge::by(profile.clone()).trusting(vec![trust]).at(CREATED + age);
        let verified = judge.accepts(&call);
        prop_assert_eq!(verified.key(), secret.public().id());
        prop_assert_eq!(verified.tag(), signed.tag.as_deref());
        // With the profile `rfc9421` a nonce is stored only if the signature has an `expires`, and
        // its signer sends none.
        let bounded = profile.name != "rfc9421";
        prop_assert_eq!(verified.nonce_outcome(), if bounded { NonceOutcome::Fresh } else { NonceOutcome::Unchecked });
        if bounded {
            prop_assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
        }
        // A verifier that does not trust the key refuses the request.
        let stranger = Judge::by(profile).trusting(vec![trusted(&key(1))]).at(CREATED + age);
        prop_assert_eq!(stranger.refusal(&call), (7, Code::KeyUnknown));
    }

    #[test]
    fn no_change_of_a_covered_field_is_accepted(at in 0_usize..64, value in values()) {
        let mut call = Call::signed();
        let covered: Vec<usize> = (0..call.fields.len())
            .filter(|at| call.fields[*at].0 != "accept")
            .collect();
        let at = covered[at % covered.len()];
        prop_assume!(call.fields[at].1 != value.as_bytes());
        call.fields[at].1 = value.into_bytes();
        judge().refuses(&call);
    }

    #[test]
    fn no_head_and_no_body_makes_the_verifier_panic(
        method in "[A-Z]{1,7}|[!#$%&'*+.^_`|~0-9A-Za-z-]{1,4}",
        target in "\\PC{0,40}|/[ -~]{0,40}|https?://[ -~]{0,40}",
        form in 0_u8..3,
        fields in prop::collection::vec(
            (
                prop_oneof![
                    Just("signature".to_owned()),
                    Just("signature-input".to_owned()),
                    Just("content-digest".to_owned()),
                    Just("host".to_owned()),
                    Just("content-type".to_owned()),
                    "[a-z-]{1,12}",
                ],
                prop_oneof![
                    "[ -~]{0,60}",
                    "mcp=:[A-Za-z0-9+/]{0,90}={0,3}:",
                    "mcp=\\((\"[a-z@-]{1,12}\"(;[a-z]{1,3}(=\"[a-z]\")?)? ?){0,4}\\)(;[a-z]{1,8}=[\"0-9?@:.a-z-]{1,12}){0,5}",
                    "sha-(256|512)=:[A-Za-z0-9+/]{0,88}={0,2}:",
                    Just("mcp.example.com".to_owned()),
                    Just("application/json".to_owned()),
                ],
            ),
            0..8,
        ),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        profile in 0_usize..3,
        now in any::<i64>(),
    ) {
        let target = match form {
            0 => RequestTarget::Origin(target.into()),
            1 => RequestTarget::Absolute(target.into()),
            _ => RequestTarget::Uri(target.into()),
        };
        let mut call = Call { method, target, fields: Vec::new(), body: bytes };
        for (name, value) in fields {
            call.push(&name, &value);
        }
        let judge = Judge {
            profile: Profile::NAMED[profile].profile(),
            clock: Arc::new(FixedClock(time(now))),
            ..judge()
        };
        prop_assert!(judge.judge(&call).is_err(), "no trusted key signed that");
        let anywhere = Judge { origins: Vec::new(), scope: Scope::Anywhere, ..judge };
        prop_assert!(anywhere.judge(&call).is_err());
        // The head has a valid signature, and the body is arbitrary bytes.
        let verifier = self::judge().verifier();
        let signed = Call::signed();
        let head = signed.head();
        let held = verifier.judge_head(&head).unwrap();
        let rejection = verifier.judge_body(held, &call.body).unwrap_err();
        prop_assert_eq!(rejection.code(), Code::DigestMismatch);
    }

    /// The components and parameters of an accepted signature are reordered, left out or repeated.
    /// No such request is accepted.
    #[test]
    fn no_request_with_rearranged_parts_is_accepted(order in prop::collection::vec(0_usize..5, 0..7)) {
        let mut call = Call::signed();
        let input = Input::of(&Call::unsigned(), &key(1));
        let mut other = input.clone();
        other.params = order.iter().map(|at| input.params[*at].clone()).collect();
        let same = other.to_string() == input.to_string();
        call.set("signature-input", &format!("mcp={other}"));
        prop_assert_eq!(judge().judge(&call).is_ok(), same);
    }
}
