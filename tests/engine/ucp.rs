//! Tests of the profile `ucp`: a request that is accepted, and refusals after one change each.

mod identity;
mod signer;

use mcpid::message::RequestTarget;
use mcpid::message::digest::content_digest;
use mcpid::profile::Profile;
use mcpid::verify::{Code, ReplayCheck};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use crate::fixtures::{CREATED, Call, Input, Judge, key, trusted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::key::Sign as _;

pub(crate) const KID: &str = "platform-2026";
pub(crate) const PROFILE_URL: &str = "https://platform.example/.well-known/ucp";
pub(crate) const CHECKOUT: &str = r#"{"line_items":[{"item":{"id":"item_123"},"quantity":2}]}"#;

/// Returns an unsigned request for a checkout.
pub(crate) fn unsigned() -> Call {
    let fields = [
        ("host", "mcp.example.com"),
        ("content-type", "application/json"),
        ("content-length", &CHECKOUT.len().to_string()),
        ("ucp-agent", &format!("profile=\"{PROFILE_URL}\"")),
        ("idempotency-key", "550e8400-e29b-41d4-a716-446655440000"),
        ("content-digest", &content_digest(CHECKOUT.as_bytes())),
    ];
    Call {
        method: "POST".to_owned(),
        target: RequestTarget::Origin("/checkout-sessions?currency=EUR".into()),
        fields: fields.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())).to_vec(),
        body: CHECKOUT.as_bytes().to_vec(),
    }
}

/// Returns the components and parameters that the profile `ucp` requires for `call`.
fn input(call: &Call) -> Input {
    let head = call.head();
    let names = Profile::ucp().components.names(&head, !call.body.is_empty());
    let components = names.iter().map(|name| format!("\"{name}\"")).collect();
    let mut input = Input { components, params: Vec::new() };
    input.set("created", CREATED).set("keyid", format!("\"{KID}\""));
    input
}

/// Returns a signed checkout. Before signing, `request` changes the request and `signature` the
/// signature input.
fn signed(request: impl FnOnce(&mut Call), signature: impl FnOnce(&mut Input)) -> Call {
    let mut call = unsigned();
    request(&mut call);
    let mut input = input(&call);
    signature(&mut input);
    call.sign(&key(1), "sig1", &input);
    call
}

/// Returns a checkout that [`judge`] accepts.
pub(crate) fn accepted() -> Call {
    signed(|_| (), |_| ())
}

/// Returns a checkout that was changed after signing.
fn tampered(change: impl FnOnce(&mut Call)) -> Call {
    let mut call = signed(|_| (), |_| ());
    change(&mut call);
    call
}

/// Returns the trust entry of the platform's key.
pub(crate) fn platform() -> Value {
    let mut entry = trusted(&key(1));
    entry["kid"] = json!(KID);
    entry["mcpid"]["client_ids"] = json!([PROFILE_URL]);
    entry
}

pub(crate) fn judge() -> Judge {
    Judge::by(Profile::ucp()).replay(ReplayCheck::Unchecked).trusting(vec![platform()])
}

fn refused(call: &Call) -> (u8, Code) {
    judge().refusal(call)
}

#[test]
fn a_signature_of_the_platform_is_accepted_in_every_form_that_the_rules_allow() {
    type Change = (&'static str, fn(&mut Call), fn(&mut Input));
    let nothing = |_: &mut Call| ();
    let id = key(1).public().id().to_string();
    let accepted: &[Change] = &[
        ("as it is", nothing, |_| ()),
        ("no time", nothing, |i| {
            i.unset("created");
        }),
        ("an end", nothing, |i| {
            i.set("expires", CREATED + 3_600);
        }),
        ("a nonce", nothing, |i| {
            i.set("nonce", "\"x\"");
        }),
        ("the algorithm of the key", nothing, |i| {
            i.set("alg", "\"ed25519\"");
        }),
        (
            "more covered",
            |c| {
                c.push("date", "today");
            },
            |i| i.components.push("\"date\"".into()),
        ),
        ("no query", |c| c.target = RequestTarget::Origin("/checkout-sessions".into()), |_| ()),
        (
            "a field that nothing needs",
            |c| {
                c.push("x-trace", "1");
            },
            |_| (),
        ),
        (
            "more members of the agent",
            |c| {
                c.set("ucp-agent", &format!("v=1, profile=\"{PROFILE_URL}\";a=1"));
            },
            |_| (),
        ),
        ("no body", empty, |_| ()),
    ];
    for (what, request, signature) in accepted {
        let verified = judge().accepts(&signed(request, signature));
        assert_eq!(verified.key().as_str(), id, "{what}");
    }
    // `keyid` may also be the thumbprint of the key.
    judge().accepts(&signed(nothing, |i| {
        i.set("keyid", format!("\"{id}\""));
    }));
}

/// Changes a call to a GET without a body.
fn empty(call: &mut Call) {
    call.method = "GET".to_owned();
    call.body.clear();
    for name in ["content-type", "content-length", "content-digest", "idempotency-key"] {
        call.remove(name);
    }
}

#[test]
fn everything_that_the_rules_name_must_be_covered() {
    for name in [
        "@method",
        "@authority",
        "@path",
        "@query",
        "content-digest",
        "content-type",
        "ucp-agent",
        "idempotency-key",
    ] {
        let open = signed(
            |_| (),
            |i| {
                i.uncover(name);
            },
        );
        assert_eq!(refused(&open), (6, Code::CoverageInsufficient), "{name}");
        // Covering only a part of a component is not enough.
        if !name.starts_with('@') {
            let part = signed(
                |_| (),
                |i| {
                    i.recover(name, &format!("\"{name}\";bs"));
                },
            );
            assert_eq!(refused(&part), (6, Code::CoverageInsufficient), "{name};bs");
        }
    }
}

#[test]
fn a_field_added_on_the_way_is_refused() {
    for (name, value) in [
        ("idempotency-key", "1"),
        ("idempotency_key", "1"),
        ("signature-agent", "sig1=\"https://other.example\""),
        ("signature_agent", "sig1=\"https://other.example\""),
    ] {
        let mut call = signed(
            |c| {
                c.remove("idempotency-key");
            },
            |_| (),
        );
        judge().accepts(&call);
        call.push(name, value);
        assert_eq!(refused(&call), (6, Code::CoverageInsufficient), "{name}");
    }
    // A second line of the field changes its signed value.
    let second = tampered(|c| {
        c.push("ucp-agent", "v=2");
    });
    assert_eq!(refused(&second), (8, Code::SignatureInvalid));
}

#[test]
fn a_body_that_the_head_does_not_announce_must_be_covered_too() {
    let mut call = signed(empty, |_| ());
    judge().accepts(&call);
    call.body = CHECKOUT.into();
    assert_eq!(refused(&call), (6, Code::CoverageInsufficient));
    call.push("content-digest", &content_digest(CHECKOUT.as_bytes()));
    assert_eq!(refused(&call), (6, Code::CoverageInsufficient));
    call.push("transfer-encoding", "chunked");
    assert_eq!(refused(&call), (6, Code::CoverageInsufficient));
    // The second signature does not cover the body. It is ignored, because the first one does.
    let mut both = signed(
        |c| {
            c.remove("content-length");
        },
        |_| (),
    );
    let mut open = input(&both);
    open.uncover("content-digest");
    both.sign(&key(1), "sig2", &open);
    assert_eq!(judge().accepts(&both).label(), "sig1");
}

#[test]
fn keys_times_and_algorithms_are_judged() {
    let with = |name: &'static str, value: &str| {
        let value = value.to_owned();
        signed(
            |_| (),
            move |i| {
                i.set(name, value);
            },
        )
    };
    let unset = |name: &'static str| {
        signed(
            |_| (),
            move |i| {
                i.unset(name);
            },
        )
    };
    assert_eq!(refused(&unset("keyid")), (4, Code::ParameterMissing));
    assert_eq!(refused(&with("keyid", "\"platform-2027\"")), (7, Code::KeyUnknown));
    assert_eq!(refused(&with("keyid", "\"Platform-2026\"")), (7, Code::KeyUnknown));
    assert_eq!(refused(&with("keyid", KID)), (4, Code::ParameterInvalid));
    assert_eq!(refused(&with("alg", "\"rsa-pss-sha512\"")), (4, Code::AlgNotAllowed));
    assert_eq!(refused(&with("expires", &CREATED.to_string())), (4, Code::ParameterInvalid));
    assert_eq!(refused(&with("expires", &(CREATED + 5).to_string())), (5, Code::Expired));
    assert_eq!(refused(&with("created", &(CREATED + 3_600).to_string())), (5, Code::NotYetValid));
    let mut revoked = platform();
    revoked["mcpid"]["revoked_at"] = json!("2026-01-01T00:00:00Z");
    let judge = judge().trusting(vec![revoked]);
    assert_eq!(judge.refusal(&signed(|_| (), |_| ())), (7, Code::KeyRevoked));
    let mut stranger = unsigned();
    let wanted = input(&stranger);
    stranger.sign(&key(2), "sig1", &wanted);
    assert_eq!(refused(&stranger), (8, Code::SignatureInvalid));
}

#[test]
fn each_part_of_the_request_is_bound() {
    type Change = (&'static str, fn(&mut Call), (u8, Code));
    let held = (8, Code::SignatureInvalid);
    let changes: &[Change] = &[
        ("method", |c| c.method = "PUT".to_owned(), held),
        ("path", |c| c.target = RequestTarget::Origin("/checkout?currency=EUR".into()), held),
        (
            "query",
            |c| c.target = RequestTarget::Origin("/checkout-sessions?currency=USD".into()),
            held,
        ),
        (
            "host",
            |c| {
                c.set("host", "other.example");
            },
            (1, Code::TargetMismatch),
        ),
        (
            "idempotency",
            |c| {
                c.set("idempotency-key", "1");
            },
            held,
        ),
        (
            "type",
            |c| {
                c.set("content-type", "text/plain");
            },
            held,
        ),
        ("body", |c| c.body[2] ^= 1, (9, Code::DigestMismatch)),
        ("no body", |c| c.body.clear(), (9, Code::DigestMismatch)),
        (
            "digest",
            |c| {
                c.set("content-digest", &content_digest(b"x"));
            },
            held,
        ),
        (
            "no digest",
            |c| {
                c.remove("content-digest");
            },
            held,
        ),
    ];
    for (what, change, expected) in changes {
        assert_eq!(refused(&tampered(change)), *expected, "{what}");
    }
}

#[test]
fn only_sha_256_counts() {
    let long = |body: &str| format!("sha-512=:{}:", STANDARD.encode(Sha512::digest(body)));
    let alone = signed(
        |c| {
            c.set("content-digest", &long(CHECKOUT));
        },
        |_| (),
    );
    assert_eq!(refused(&alone), (9, Code::DigestMissing));
    let right = content_digest(CHECKOUT.as_bytes());
    for beside in [CHECKOUT, "another body"] {
        let both = format!("{right}, {}", long(beside));
        judge().accepts(&signed(
            |c| {
                c.set("content-digest", &both);
            },
            |_| (),
        ));
    }
    let wrong = format!("{}, {}", content_digest(b"x"), long(CHECKOUT));
    let wrong = signed(
        |c| {
            c.set("content-digest", &wrong);
        },
        |_| (),
    );
    assert_eq!(refused(&wrong), (9, Code::DigestMismatch));
}

#[test]
fn clients_are_told_of_refusals_by_the_names_of_the_protocol() {
    let ucp = Profile::ucp();
    assert_eq!(ucp.told("key_unknown"), "key_not_found");
    assert_eq!(ucp.told("signature_invalid"), "signature_invalid");
    for (ours, _) in Profile::NAMED.iter().flat_map(|row| row.profile().profile_codes) {
        assert!(Code::ALL.iter().any(|code| code.as_str() == *ours), "there is no code {ours}");
    }
}
