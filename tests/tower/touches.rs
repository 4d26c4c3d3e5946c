//! Tests of touch rules, by which a verifier demands the touch of a security key: which requests
//! need one, and which touches are accepted.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use mcpid::base::header;
use mcpid::key::Sign as _;
use mcpid::profile::Profile;
use mcpid::sign::Signed;
use mcpid::tower::{LayerError, LearningModes, Modes, RefuseWith, TouchRules, VerifyLayer};
use mcpid::verify::{Code, Verifier};
use serde_json::{Value, json};

use crate::servers::*;
use crate::software_key::SoftwareKey;
use crate::touched::*;

/// Returns the request with `Signature-Input` and `Signature` changed by this function.
fn edited(
    mut request: Request<Full<Bytes>>,
    change: impl Fn(&str, Vec<String>) -> Vec<String>,
) -> Request<Full<Bytes>> {
    for name in ["signature-input", "signature"] {
        let value = request.headers()[name].to_str().unwrap().to_owned();
        let members = value.split(", ").map(str::to_owned).collect();
        let value = change(name, members).join(", ");
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

async fn reason(layer: &VerifyLayer, request: Request<Full<Bytes>>) -> String {
    let answer = refused(layer, request).await;
    assert_eq!(answer.status, 403, "{}", answer.text);
    answer.reason().to_owned()
}

#[tokio::test]
async fn a_touched_call_passes_and_names_the_signer_and_not_the_security_key() {
    let clock = clock();
    let layer = layer_of(&clock, usual());
    let seen = Seen::default();
    let request = touched_by(&clock, 1, &touch_key());
    assert_eq!(through(&layer, &seen, request.clone()).await.status(), 202);
    let status = seen.status();
    let verified = status.verified().unwrap();
    assert_eq!((verified.name(), verified.key()), (Some("alice"), key(1).public().id()));
    let touch = verified.touch().unwrap();
    assert_eq!(touch.key, key(21).public().id());
    assert_eq!((touch.as_str(), touch.name), ("present", Some("alice's security key")));
    // A second request with the same touch is a replay.
    assert_eq!(reason(&layer, request).await, "nonce_replayed");
    // The service is told whether a PIN or a fingerprint was given.
    let by_pin = flagged(0x05);
    assert_eq!(through(&layer, &seen, touched_by(&clock, 1, &by_pin)).await.status(), 202);
    assert_eq!(seen.status().verified().unwrap().touch().unwrap().as_str(), "verified");
}

#[tokio::test]
async fn a_call_without_a_touch_that_counts_is_refused_and_its_nonce_stays_unused() {
    let clock = clock();
    for modes in [Modes::strict(), Modes::permissive()] {
        let layer = layer_of(&clock, usual()).with_modes(modes);
        let draft = Draft::new(&clock, DELETE);
        let first = draft.signed(1, "mcp");
        assert_eq!(reason(&layer, draft.request(&first)).await, "touch_required");
        // The refused request did not use up its nonce, so the person can still confirm it by a
        // touch of a security key.
        let touched = draft.request(&draft.touched(&touch_key(), &first));
        assert_eq!(through(&layer, &Seen::default(), touched).await.status(), 202);
    }
}

#[tokio::test]
async fn no_other_touch_vouches_for_a_signer() {
    let clock = clock();
    let layer = layer_of(&clock, usual());
    let bobs = SoftwareKey::new(key(22));
    // Alice's key was stolen, and bob confirms its signature with his own security key.
    assert_eq!(reason(&layer, touched_by(&clock, 1, &bobs)).await, "touch_required");
    // These security keys are in no trust file, of another application, or sign without a touch or
    // with other flags.
    let unknown = SoftwareKey::new(key(23));
    let mut elsewhere = touch_key();
    elsewhere.application = "ssh:other";
    for toucher in [unknown, elsewhere, flagged(0x00), flagged(0x04), flagged(0x41), flagged(0x81)]
    {
        assert_eq!(reason(&layer, touched_by(&clock, 1, &toucher)).await, "touch_required");
    }
    // An ordinary key of alice is no security key, although it signs the same bytes.
    let plain = SoftwareKey::new(key(2));
    assert_eq!(reason(&layer, touched_by(&clock, 1, &plain)).await, "touch_required");
}

#[tokio::test]
async fn a_touch_gives_a_bad_signer_nothing() {
    let clock = clock();
    let past = "2026-11-22T00:00:00Z";
    for (alice, code) in [
        (json!({"allow": ["tools/list"]}), "not_allowed"),
        (json!({"revoked_at": past}), "key_revoked"),
        (json!({"not_after": past}), "key_not_valid"),
    ] {
        let mut entries = usual();
        entries[0] = named(&key(1), "alice", alice);
        let layer = layer_of(&clock, entries);
        let answer = refused(&layer, touched_by(&clock, 1, &touch_key())).await;
        assert_eq!((answer.status, answer.reason()), (403, code));
    }
    // The signer's entry was removed from the trust file.
    let layer = layer_of(&clock, usual().split_off(1));
    assert_eq!(reason(&layer, touched_by(&clock, 1, &touch_key())).await, "key_unknown");
}

#[tokio::test]
async fn a_touch_of_a_key_that_may_not_touch_for_this_call_does_not_count() {
    let clock = clock();
    let past = "2026-11-22T00:00:00Z";
    let by = |rules: Value| {
        let mut entries = usual();
        entries[2] = named(&key(21), "alice's security key", rules);
        layer_of(&clock, entries)
    };
    let rules = |signers: Value| json!({"application": "ssh:mcpid", "for": signers});
    for (what, entry) in [
        ("for no signer", json!({"security_key": rules(json!([]))})),
        ("for another", json!({"security_key": rules(json!(["bob"]))})),
        ("revoked", json!({"security_key": rules(json!(["alice"])), "revoked_at": past})),
        ("ended", json!({"security_key": rules(json!(["alice"])), "not_after": past})),
        ("limited", json!({"security_key": rules(json!(["alice"])), "allow": ["tools/list"]})),
        ("by the own name", json!({"security_key": {"application": "ssh:mcpid"}})),
        ("no security key", json!({})),
    ] {
        let answer = refused(&by(entry), touched_by(&clock, 1, &touch_key())).await;
        assert_eq!((answer.status, answer.reason()), (403, "touch_required"), "{what}");
    }
    // The trust file demands a PIN or a fingerprint from this security key.
    let demands = json!({"application": "ssh:mcpid", "for": ["alice"], "require": "verified"});
    let layer = by(json!({"security_key": demands}));
    assert_eq!(reason(&layer, touched_by(&clock, 1, &touch_key())).await, "touch_required");
    let by_pin = touched_by(&clock, 1, &flagged(0x05));
    assert_eq!(through(&layer, &Seen::default(), by_pin).await.status(), 202);
}

#[tokio::test]
async fn the_order_of_the_members_changes_nothing() {
    let clock = clock();
    let layer = layer_of(&clock, usual());
    let seen = Seen::default();
    let swapped = edited(touched_by(&clock, 1, &touch_key()), |_, mut members| {
        members.reverse();
        members
    });
    assert_eq!(through(&layer, &seen, swapped).await.status(), 202);
    let status = seen.status();
    assert_eq!(status.verified().unwrap().name(), Some("alice"));
    assert!(status.verified().unwrap().touch().is_some());
}

#[tokio::test]
async fn a_third_signature_gets_no_name_from_a_touch_of_another() {
    let clock = clock();
    let layer = layer_of(&clock, usual());
    let draft = Draft::new(&clock, DELETE);
    // Bob's signature comes first and alice's is confirmed by a touch of a security key, so alice
    // is the request's signer.
    let alice = draft.touched(&touch_key(), &draft.signed(1, "mcp"));
    let bob = draft.signed(2, "bob");
    for order in [["bob", "alice"], ["alice", "bob"]] {
        let mut request = draft.request(&alice);
        for name in ["signature-input", "signature"] {
            let value = |signed: &Signed| match name {
                "signature" => signed.signature.clone(),
                _ => signed.signature_input.clone(),
            };
            let both = order.map(|who| value(if who == "bob" { &bob } else { &alice }));
            request.headers_mut().insert(name, both.join(", ").parse().unwrap());
        }
        let layer = layer_of(&clock, usual());
        let seen = Seen::default();
        assert_eq!(through(&layer, &seen, request).await.status(), 202);
        assert_eq!(seen.status().verified().unwrap().name(), Some("alice"), "{order:?}");
    }
    drop(layer);
}

#[tokio::test]
async fn a_touch_that_was_stripped_moved_or_relabelled_does_not_count() {
    let clock = clock();
    let layer = layer_of(&clock, usual());
    let request = || touched_by(&clock, 1, &touch_key());
    let only = |label: &'static str| {
        move |_: &str, members: Vec<String>| -> Vec<String> {
            members.into_iter().filter(|m| m.starts_with(&format!("{label}="))).collect()
        }
    };
    assert_eq!(reason(&layer, edited(request(), only("mcp"))).await, "touch_required");
    // If the signature that a touch of a security key confirms is removed, the touch alone is not
    // accepted.
    let stripped = refused(&layer, edited(request(), only("touch"))).await;
    assert_eq!(stripped.status, 403);
    assert!(stripped.refused.unwrap().code() != "touch_required");
    // A proxy gave the signature another label.
    let relabelled = edited(request(), |_, members| {
        members.into_iter().map(|m| m.replacen("mcp=", "sig1=", 1)).collect()
    });
    let answer = refused(&layer, relabelled).await;
    assert_eq!(answer.reason(), "touch_required");
    let line = answer.refused.unwrap().to_string();
    assert!(line.contains("touch"), "{line}");
    assert!(answer.text.contains("a proxy changed the label"), "{}", answer.text);
    // The touch is taken from another request, which has the same bytes and another nonce.
    let (one, other) = (request(), request());
    let mixed = edited(one, |name, members| {
        let other = other.headers()[name].to_str().unwrap().split(", ").nth(1).unwrap().to_owned();
        vec![members[0].clone(), other]
    });
    assert_eq!(reason(&layer, mixed).await, "touch_required");
    // The security key's private key signed the base itself, without the flags and the counter of a
    // touch.
    let draft = Draft::new(&clock, DELETE);
    let first = draft.signed(1, "mcp");
    let touched = draft.touched(&touch_key(), &first);
    let bare = key(21).sign(touched.base.as_bytes()).unwrap();
    let encoded = base64_of(&bare);
    let request = edited(draft.request(&touched), |name, members| match name {
        "signature" => vec![members[0].clone(), format!("touch=:{encoded}:")],
        _ => members,
    });
    assert_eq!(reason(&layer, request).await, "touch_required");
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn a_touch_covers_exactly_this_body_and_time() {
    let clock = clock();
    let layer = layer_of(&clock, usual());
    let mut other = touched_by(&clock, 1, &touch_key());
    *other.body_mut() = Full::new(Bytes::from(DELETE.replace("delete_db", "delete_all")));
    let answer = refused(&layer, other).await;
    assert_eq!(answer.reason(), "digest_mismatch");
    let late = touched_by(&clock, 1, &touch_key());
    clock.forward(31);
    assert_eq!(refused(&layer, late).await.reason(), "expired");
}

#[tokio::test]
async fn permissive_mode_waives_no_touch_rule_and_nothing_else_needs_a_touch() {
    let clock = clock();
    let layer = layer_of(&clock, usual()).with_modes(Modes::permissive());
    let seen = Seen::default();
    for passes in [
        plain(CALL),
        plain(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#),
        bare("GET"),
        signed(&clock, CALL).await,
    ] {
        assert_eq!(through(&layer, &seen, passes).await.status(), 202);
    }
    for (body, code) in [
        (DELETE, "signature_missing"),
        // Servers parse these two bodies differently, so each could be a call of any tool.
        ("[]", "signature_missing"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#, "signature_missing"),
        // An unsigned response could approve a call that needs a touch of a security key.
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "signature_missing"),
    ] {
        assert_eq!(refused(&layer, plain(body)).await.reason(), code, "{body}");
    }
    // A signed response needs no touch of a security key, and a signed call without a name needs
    // one.
    let answer = signed(&clock, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(through(&layer, &seen, answer).await.status(), 202);
    let nameless = signed(&clock, r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#).await;
    assert_eq!(refused(&layer, nameless).await.reason(), "touch_required");
}

#[tokio::test]
async fn destructive_tools_need_a_touch_unless_the_server_calls_them_harmless() {
    let clock = clock();
    let modes = LearningModes::new(Modes::permissive());
    let layer = VerifyLayer::new(verifier(&clock, registry(usual()), Arc::new(store())))
        .unwrap()
        .with_learning_modes(modes.clone())
        .with_touch(TouchRules::new().with_destructive())
        .unwrap();
    let call = signed(&clock, CALL).await;
    assert_eq!(refused(&layer, call).await.reason(), "touch_required");
    assert_eq!(refused(&layer, plain(CALL)).await.reason(), "signature_missing");
    modes.learn(br#"{"tools":[{"name":"get_weather","annotations":{"readOnlyHint":true}}]}"#);
    let seen = Seen::default();
    assert_eq!(through(&layer, &seen, plain(CALL)).await.status(), 202);
    let call = signed(&clock, DELETE).await;
    assert_eq!(refused(&layer, call).await.reason(), "touch_required");
    // A layer that does not learn the tools treats every tool as destructive.
    let layer = VerifyLayer::new(verifier(&clock, registry(usual()), Arc::new(store())))
        .unwrap()
        .with_touch(TouchRules::new().with_destructive())
        .unwrap();
    assert_eq!(refused(&layer, signed(&clock, CALL).await).await.reason(), "touch_required");
}

#[tokio::test]
async fn the_refusal_is_403_where_others_are_401_and_asks_for_no_other_signature() {
    let clock = clock();
    let layer = layer_of(&clock, usual());
    let with = RefuseWith::Unauthorized { realm: "mcp".to_owned() };
    let layer = layer.with_refusals(with).unwrap();
    let answer = refused(&layer, signed(&clock, DELETE).await).await;
    assert_eq!((answer.status, answer.reason()), (403, "touch_required"));
    assert_eq!(answer.header("accept-signature"), None);
    assert_eq!(answer.json["id"], 1);
    let layer = layer.with_refusals(RefuseWith::Ok).unwrap();
    let answer = refused(&layer, signed(&clock, DELETE).await).await;
    assert_eq!((answer.status, answer.reason()), (200, "touch_required"));
    assert!(Code::ALL.contains(&Code::TouchRequired));
}

#[test]
fn only_a_profile_with_security_keys_takes_touch_rules() {
    let clock = clock();
    for named in Profile::NAMED {
        let profile = named.profile();
        if profile.server_fault().is_some() {
            continue;
        }
        let (knows, name) = (!profile.security_keys.is_empty(), profile.name.to_string());
        let verifier = Verifier::new(
            profile,
            registry(usual()),
            origins(),
            clock.clone(),
            mcpid::verify::ReplayCheck::Claim(Arc::new(store())),
        );
        let layer = VerifyLayer::new(verifier).unwrap();
        assert!(layer.clone().with_touch(TouchRules::new()).is_ok(), "{name}");
        let made = layer.with_touch(delete_rules());
        match made {
            Ok(_) => assert!(knows, "{name}"),
            Err(error) => assert_eq!((error, knows), (LayerError::Touch(name), false)),
        }
    }
}

#[test]
fn a_touch_is_a_second_member_that_names_the_first() {
    let clock = clock();
    let draft = Draft::new(&clock, DELETE);
    let touched = draft.touched(&touch_key(), &draft.signed(1, "mcp"));
    let mut head = draft.head.clone();
    for (name, value) in touched.headers() {
        head.push(name, value.as_bytes().to_vec()).unwrap();
    }
    let members = header::read(&head).unwrap();
    let labels: Vec<&str> = members.iter().map(|member| &*member.label).collect();
    assert_eq!(labels, ["mcp", "touch"]);
}
