//! Tests of the profile `adcp` (AdCP 3.2 request signing): accepted requests, and requests that are
//! refused after one change. Refusals have the names of AdCP's error taxonomy.

mod keys;
mod order;
mod several;
mod vectors;

use std::sync::Arc;

use mcpid::mcp::body::Scope;
use mcpid::message::RequestTarget;
use mcpid::nonce::memory::Memory;
use mcpid::profile::Profile;
use mcpid::verify::{Code, ReplayCheck};
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::fixtures::{CREATED, Call, Input, Judge, NOW, key, time, trusted};

pub(crate) const KID: &str = "buyer-2026";
pub(crate) const TAG: &str = "adcp/request-signing/v1";

/// Returns an unsigned call of a tool. Its URL is in normal form.
fn unsigned() -> Call {
    let mut call = Call::unsigned();
    call.target = RequestTarget::Origin("/mcp?tenant=a%2fb".into());
    let length = call.body.len().to_string();
    call.remove("mcp-param-city").push("content-length", &length);
    call
}

/// Returns the components and parameters that the profile `adcp` requires of a signature.
fn input() -> Input {
    let covered = ["@method", "@target-uri", "@authority", "content-type", "content-digest"];
    let components = covered.map(|name| format!("\"{name}\"")).to_vec();
    let mut input = Input { components, params: Vec::new() };
    input
        .set("created", CREATED)
        .set("expires", CREATED + 300)
        .set("nonce", "\"KXYnfEfJ0PBRZXQyVXfVQA\"")
        .set("keyid", format!("\"{KID}\""))
        .set("alg", "\"ed25519\"")
        .set("tag", format!("\"{TAG}\""));
    input
}

/// Returns a signed call. Before signing, `request` changes the request and `signature` the
/// signature input.
fn signed(request: impl FnOnce(&mut Call), signature: impl FnOnce(&mut Input)) -> Call {
    let mut call = unsigned();
    request(&mut call);
    let mut input = input();
    signature(&mut input);
    call.sign(&key(1), "sig1", &input);
    call
}

/// Returns a call that was changed after signing.
fn tampered(change: impl FnOnce(&mut Call)) -> Call {
    let mut call = signed(|_| (), |_| ());
    change(&mut call);
    call
}

/// Returns the trust entry of the buyer's key, as an AdCP buyer publishes it.
fn buyer() -> Value {
    let mut entry = trusted(&key(1));
    entry["kid"] = json!(KID);
    entry["use"] = json!("sig");
    entry["key_ops"] = json!(["verify"]);
    entry["adcp_use"] = json!("request-signing");
    entry
}

/// Returns a call that [`judge`] accepts.
pub(crate) fn accepted() -> Call {
    signed(|_| (), |_| ())
}

pub(crate) fn judge() -> Judge {
    Judge::by(Profile::adcp()).trusting(vec![buyer()])
}

/// Returns a verifier that trusts the buyer's entry after one change.
fn judge_of(change: impl FnOnce(&mut Value)) -> Judge {
    let mut entry = buyer();
    change(&mut entry);
    Judge::by(Profile::adcp()).trusting(vec![entry])
}

/// Returns a verifier whose nonce store refuses any further nonce of the key.
fn full_judge() -> Judge {
    let retention = judge().verifier().retention();
    let store = Memory::new(time(NOW), retention, &mut SysRng).unwrap().bounded(1).without_floor();
    let full = judge().replay(ReplayCheck::Claim(Arc::new(store)));
    full.accepts(&signed(|_| (), |i| _ = i.set("nonce", "\"AAAAAAAAAAAAAAAAAAAAAA\"")));
    full
}

/// Returns AdCP's name of the refusal, without its prefix `request_`.
#[track_caller]
fn name(judge: &Judge, call: &Call) -> &'static str {
    let rejection = judge.refuses(call);
    let Some(code) = rejection.profile_code() else { return rejection.code().as_str() };
    code.strip_prefix("request_").unwrap()
}

#[test]
fn a_signature_of_the_buyer_is_accepted_in_every_form_that_the_rules_allow() {
    type Change = (&'static str, fn(&mut Call), fn(&mut Input));
    let nothing = |_: &mut Call| ();
    let accepted: &[Change] = &[
        ("as it is", nothing, |_| ()),
        ("made 60 s ahead", nothing, |i| _ = i.set("created", NOW + 60).set("expires", NOW + 61)),
        ("ended 60 s ago", nothing, |i| _ = i.set("created", NOW - 61).set("expires", NOW - 60)),
        ("more covered", nothing, |i| i.components.push("\"host\"".into())),
        ("a longer nonce", nothing, |i| _ = i.set("nonce", "\"NEW_NONCE_AFTER_CAP_________\"")),
        ("another parameter", nothing, |i| _ = i.set("x", "1")),
        (
            "mcp-param-* that is covered",
            |c| _ = c.push("mcp-param-city", "Oslo"),
            |i| i.components.push("\"mcp-param-city\"".into()),
        ),
        ("an unsigned session", |c| _ = c.push("mcp-session-id", "s-1"), |_| ()),
        ("a second digest", two_digests, |_| ()),
        (
            "no body",
            |c| {
                c.method = "GET".to_owned();
                c.body.clear();
                c.remove("content-type").remove("content-digest").set("content-length", "0");
            },
            |i| _ = i.uncover("content-type").uncover("content-digest"),
        ),
    ];
    for (what, request, signature) in accepted {
        let verified = judge().accepts(&signed(request, signature));
        assert_eq!((verified.label(), verified.tag()), ("sig1", Some(TAG)), "{what}");
    }
}

fn two_digests(call: &mut Call) {
    use base64::Engine as _;
    use sha2::{Digest as _, Sha512};
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha512::digest(&call.body));
    let both = format!("{}, sha-512=:{digest}:", call.get("content-digest"));
    call.set("content-digest", &both);
}

#[test]
fn a_target_is_signed_in_its_normal_form_whatever_its_spelling() {
    // At an endpoint, a target that is not in normal form is refused, because the server would act
    // on the received spelling. Elsewhere, it is accepted.
    let endpoint = judge;
    let judge = || Judge { scope: Scope::Anywhere, ..judge() };
    for (target, host) in [
        ("/a/../mcp?tenant=a%2fb", "mcp.example.com"),
        ("/./mcp?tenant=a%2fb", "mcp.example.com"),
        ("/%6d%63%70?tenant=a%2fb", "mcp.example.com"),
        ("/mcp?tenant=a%2fb", "MCP.example.com"),
        ("/mcp?tenant=a%2fb", "mcp.example.com:443"),
        ("/mcp?tenant=a%2fb", "mcp.example.com."),
        ("/mcp?tenant=a%2fb", "mcp.example.com.:443"),
    ] {
        let call = tampered(|call| {
            call.target = RequestTarget::Origin(target.into());
            call.set("host", host);
        });
        judge().accepts(&call);
        match target.starts_with("/mcp") {
            true => drop(endpoint().accepts(&call)),
            false => assert_eq!(name(&endpoint(), &call), "target_uri_malformed", "{target}"),
        }
    }
    for target in [
        "HTTPS://mcp.example.com:443/./mcp?tenant=a%2fb",
        "https://mcp.example.com./mcp?tenant=a%2fb",
    ] {
        judge().accepts(&tampered(|c| c.target = RequestTarget::Absolute(target.into())));
        judge().accepts(&tampered(|c| c.target = RequestTarget::Uri(target.into())));
    }
    // Targets with different normal forms are different, so a signature for one is not valid for
    // the other.
    for target in
        ["/mcp?tenant=a%2Fb", "/mcp?tenant=a%2fb&", "/mcp/?tenant=a%2fb", "//mcp?tenant=a%2fb"]
    {
        let call = tampered(|c| c.target = RequestTarget::Origin(target.into()));
        assert_eq!(name(&judge(), &call), "signature_invalid", "{target}");
    }
}

#[test]
fn a_target_without_a_normal_form_is_refused_before_one_of_another_server() {
    for host in [
        "mcp.example.com..",
        "b\u{fc}cher.example",
        "::1",
        "[::1",
        "a..b",
        "",
        "u@mcp.example.com",
        "a:0443",
    ] {
        for mut call in [tampered(|_| ()), unsigned()] {
            call.set("host", host);
            assert_eq!(name(&judge(), &call), "target_uri_malformed", "{host}");
        }
    }
    for target in ["/%2e%2e/mcp", "/a/%2E/mcp", "/mcp%", "/mcp%zz", "/m\u{e9}"] {
        let call = tampered(|c| c.target = RequestTarget::Origin(target.into()));
        assert_eq!(name(&judge(), &call), "target_uri_malformed", "{target}");
    }
    let elsewhere = "https://mcp.example.com/mcp?tenant=a%2fb";
    let call = tampered(|c| {
        c.target = RequestTarget::Absolute(elsewhere.into());
        c.set("host", "other.example.com");
    });
    assert_eq!(name(&judge(), &call), "target_uri_malformed", "two hosts");
    let other = tampered(|c| _ = c.set("host", "other.example.com"));
    let refused = judge().refuses(&other);
    assert_eq!((refused.code(), refused.profile_code()), (Code::TargetMismatch, None));
}

#[test]
fn a_request_with_one_fault_is_refused_by_the_name_of_that_fault() {
    type Request = (&'static str, &'static str, fn(&mut Call));
    let faults: &[Request] = &[
        ("unsigned", "signature_required", |c| _ = c.remove("signature").remove("signature-input")),
        ("no input", "signature_header_malformed", |c| _ = c.remove("signature-input")),
        ("no signature", "signature_header_malformed", |c| _ = c.remove("signature")),
        ("no member", "signature_header_malformed", |c| {
            c.set("signature", "").set("signature-input", "");
        }),
        ("no dictionary", "signature_header_malformed", |c| {
            _ = c.set("signature-input", "nonsense")
        }),
        ("padding left out", "signature_header_malformed", |c| _ = c.edit("signature", "==:", ":")),
        ("another label", "signature_header_malformed", |c| {
            _ = c.edit("signature", "sig1", "sig2")
        }),
        ("a label twice", "signature_header_malformed", |c| {
            let twice = format!("{0}, {0}", c.get("signature"));
            c.set("signature", &twice);
        }),
        ("a parameter twice", "signature_header_malformed", |c| {
            c.edit("signature-input", ";alg=", ";alg=\"ed25519\";alg=");
        }),
        ("two media types", "signature_header_malformed", |c| {
            c.set("content-type", "application/json, text/plain");
        }),
        ("two lines of a media type", "signature_header_malformed", |c| {
            c.push("content-type", "application/json");
        }),
        ("a digest with capitals", "signature_header_malformed", |c| {
            c.edit("content-digest", "sha-256", "SHA-256");
        }),
        ("a digest twice", "signature_header_malformed", |c| {
            let twice = format!("{0}, {0}", c.get("content-digest"));
            c.set("content-digest", &twice);
        }),
        ("a token for a string", "signature_header_malformed", |c| {
            c.edit("signature-input", "keyid=\"buyer-2026\"", "keyid=buyer-2026");
        }),
        ("another body", "signature_digest_mismatch", |c| c.body[0] = b' '),
        ("another method", "signature_invalid", |c| c.method = "PUT".to_owned()),
        ("another media type", "signature_invalid", |c| {
            c.set("content-type", "application/json;charset=utf-8");
        }),
        ("an added field that steers", "signature_components_incomplete", |c| {
            c.push("mcp-param-city", "Oslo");
        }),
        ("the same with an underscore", "signature_components_incomplete", |c| {
            c.push("mcp_param_city", "Oslo");
        }),
    ];
    for (what, expected, change) in faults {
        assert_eq!(name(&judge(), &tampered(change)), *expected, "{what}");
    }
}

#[test]
fn a_signature_with_one_fault_is_refused_by_the_name_of_that_fault() {
    type Signature = (&'static str, &'static str, fn(&mut Input));
    let faults: &[Signature] = &[
        ("no created", "signature_params_incomplete", |i| _ = i.unset("created")),
        ("no expires", "signature_params_incomplete", |i| _ = i.unset("expires")),
        ("no nonce", "signature_params_incomplete", |i| _ = i.unset("nonce")),
        ("no keyid", "signature_params_incomplete", |i| _ = i.unset("keyid")),
        ("no alg", "signature_params_incomplete", |i| _ = i.unset("alg")),
        ("no tag", "signature_params_incomplete", |i| _ = i.unset("tag")),
        ("created is text", "signature_header_malformed", |i| _ = i.set("created", "\"1\"")),
        ("expires is a decimal", "signature_header_malformed", |i| _ = i.set("expires", "1.5")),
        ("a padded nonce", "signature_header_malformed", |i| {
            i.set("nonce", "\"KXYnfEfJ0PBRZXQyVXfVQA==\"");
        }),
        ("a nonce of 15 bytes", "signature_header_malformed", |i| {
            i.set("nonce", "\"AAAAAAAAAAAAAAAAAAAA\"");
        }),
        ("a nonce in base64", "signature_header_malformed", |i| {
            i.set("nonce", "\"++++++++++++++++++++++\"");
        }),
        ("another tag", "signature_tag_invalid", |i| _ = i.set("tag", "\"example/v1\"")),
        ("a longer tag", "signature_tag_invalid", |i| _ = i.set("tag", format!("\"{TAG}.1\""))),
        ("a tag in capitals", "signature_tag_invalid", |i| {
            i.set("tag", format!("\"{}\"", TAG.to_uppercase()));
        }),
        ("another algorithm", "signature_alg_not_allowed", |i| {
            _ = i.set("alg", "\"rsa-pss-sha512\"")
        }),
        ("the algorithm of a JWK", "signature_alg_not_allowed", |i| _ = i.set("alg", "\"EdDSA\"")),
        ("made 61 s ahead", "signature_window_invalid", |i| {
            i.set("created", NOW + 61).set("expires", NOW + 90);
        }),
        ("ended 61 s ago", "signature_window_invalid", |i| {
            i.set("created", NOW - 90).set("expires", NOW - 61);
        }),
        ("a life of 301 s", "signature_window_invalid", |i| _ = i.set("expires", CREATED + 301)),
        ("no life", "signature_window_invalid", |i| _ = i.set("expires", CREATED)),
        ("a life backwards", "signature_window_invalid", |i| _ = i.set("expires", CREATED - 1)),
        ("the method", "signature_components_incomplete", |i| _ = i.uncover("@method")),
        ("the target", "signature_components_incomplete", |i| _ = i.uncover("@target-uri")),
        ("the authority", "signature_components_incomplete", |i| _ = i.uncover("@authority")),
        ("the media type", "signature_components_incomplete", |i| _ = i.uncover("content-type")),
        ("the digest", "signature_components_incomplete", |i| _ = i.uncover("content-digest")),
        ("a part of the digest", "signature_components_incomplete", |i| {
            i.recover("content-digest", "\"content-digest\";key=\"sha-256\"");
        }),
        ("another key", "signature_key_unknown", |i| _ = i.set("keyid", "\"seller-2026\"")),
        ("the algorithm of another kind of key", "signature_key_purpose_invalid", |i| {
            i.set("alg", "\"ecdsa-p256-sha256\"");
        }),
    ];
    for (what, expected, change) in faults {
        let change = *change;
        assert_eq!(name(&judge(), &signed(|_| (), change)), *expected, "{what}");
    }
}

#[test]
fn a_signature_in_base64url_is_malformed_also_if_its_bytes_hold() {
    let mut found = 0;
    for nonce in 0..64 {
        let nonce = format!("\"AAAAAAAAAAAAAAAAAAAA{nonce:02}\"");
        let call = signed(|_| (), |i| _ = i.set("nonce", nonce.replace(' ', "A")));
        let signature = call.get("signature").to_owned();
        if !signature.contains(['+', '/']) {
            continue;
        }
        found += 1;
        let (label, bytes) = signature.split_once('=').unwrap();
        let url = format!("{label}={}", bytes.replace('+', "-").replace('/', "_"));
        let mut legacy = call.clone();
        legacy.set("signature", &url);
        assert_eq!(name(&judge(), &legacy), "signature_header_malformed");
    }
    assert!(found > 0);
}

#[test]
fn a_body_that_parsers_read_differently_is_refused_after_its_nonce_is_used_up() {
    for body in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":{"b":1,"\u0062":2}}"#,
        "not JSON",
        "[1]",
        "{\"a\":\"\\ud800\"}",
        "\u{feff}{}",
    ] {
        let call = signed(|c| _ = c.with_body(body), |_| ());
        let judge = Judge { scope: mcpid::mcp::body::Scope::Anywhere, ..judge() };
        assert_eq!(name(&judge, &call), "body_malformed", "{body}");
        assert_eq!(name(&judge, &call), "signature_replayed", "{body}");
    }
    // At an endpoint, every body must be a JSON-RPC message.
    let call = signed(|c| _ = c.with_body("{}"), |_| ());
    assert_eq!(name(&judge(), &call), "body_malformed");
}

#[test]
fn a_nonce_can_be_used_once_and_only_if_the_key_has_room_for_it() {
    let judge = judge();
    let call = signed(|_| (), |_| ());
    judge.accepts(&call);
    assert_eq!(name(&judge, &call), "signature_replayed");
    // A request with another nonce is accepted, even after a request with the first one was
    // refused.
    judge.accepts(&signed(|_| (), |i| _ = i.set("nonce", "\"AAAAAAAAAAAAAAAAAAAAAA\"")));
    let full = full_judge();
    assert_eq!(name(&full, &call), "signature_rate_abuse");
    // If the key may not use another nonce, its signature is not even verified: a forged request
    // gets the same answer.
    let forged = tampered(|c| c.method = "PUT".to_owned());
    assert_eq!(name(&full, &forged), "signature_rate_abuse");
}
