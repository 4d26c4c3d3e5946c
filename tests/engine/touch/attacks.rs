//! Attacks on a touch: each changes one thing, and the touch must not be accepted.

use super::*;

/// An attack: its name, and a change of the call before the touch is made, or of the touch itself.
type Attack = (&'static str, fn(&mut TouchedCall));

#[test]
fn a_touch_with_one_thing_changed_counts_for_nothing() {
    let attacks: &[Attack] = &[
        ("no presence flag", |it| it.touch_key.flags = 0x00),
        ("verified without presence", |it| it.touch_key.flags = 0x04),
        ("attestation data", |it| it.touch_key.flags = 0x41),
        ("extension data", |it| it.touch_key.flags = 0x81),
        ("another application", |it| it.touch_key.application = "ssh:other"),
        ("the application of logins", |it| it.touch_key.application = "ssh:"),
        ("another created", |it| {
            it.input.set("created", CREATED + 1);
        }),
        ("another expires", |it| {
            it.input.set("expires", CREATED + 29);
        }),
        ("no expires", |it| {
            it.input.unset("expires");
        }),
        ("another nonce", |it| {
            it.input.set("nonce", "\"AAECAwQFBgcICQoLDA0OEA\"");
        }),
        ("an alg", |it| {
            it.input.set("alg", "\"ed25519\"");
        }),
        ("the tag of the client", |it| {
            it.input.set("tag", "\"alice-laptop\"");
        }),
        ("no tag", |it| {
            it.input.unset("tag");
        }),
        ("the content digest is not covered", |it| {
            it.input.uncover("content-digest");
        }),
        ("a header is not covered", |it| {
            it.input.uncover("mcp-param-city");
        }),
        ("the signature is not covered", |it| {
            it.input.components.retain(|c| !c.starts_with("\"signature\""))
        }),
        ("the input is not covered", |it| {
            it.input.components.retain(|c| !c.starts_with("\"signature-input\""));
        }),
        ("neither is covered", |it| it.input.components.retain(|c| !c.contains("key="))),
        ("the signature in another form", |it| {
            let at = it.input.components.len() - 2;
            it.input.components[at].push_str(";sf");
        }),
        ("revoked", |it| {
            it.limit("revoked_at", json!("2026-01-01T00:00:00Z"));
        }),
        ("ended", |it| {
            it.limit("not_after", json!("2026-01-01T00:00:00Z"));
        }),
        ("not valid yet", |it| {
            it.limit("not_before", json!("2099-01-01T00:00:00Z"));
        }),
        ("not allowed this tool", |it| {
            it.limit("allow", json!(["tools/call:get_time"]));
        }),
        ("of another name", |it| {
            it.limit("name", json!("bob"));
        }),
        ("for another name", |it| {
            it.rule("for", json!(["bob"]));
        }),
        ("for the client id, which is no name", |it| {
            it.rule("for", json!(["alice-laptop"]));
        }),
        ("for another key", |it| {
            it.rule("for", json!([key(2).public().id().as_str()]));
        }),
        ("for no signer", |it| {
            it.rule("for", json!([]));
        }),
        ("without verification", |it| {
            it.rule("require", json!("verified"));
        }),
        ("of another application in the entry", |it| {
            it.rule("application", json!("ssh:x"));
        }),
        ("an unknown key", |it| it.judge.trust.truncate(1)),
        ("no security key in the entry", |it| {
            it.judge.trust[1]["mcpid"].as_object_mut().unwrap().remove("security_key");
        }),
        ("two applications in two files", |it| {
            let mut other = it.judge.trust[1].clone();
            other["mcpid"]["security_key"]["application"] = json!("ssh:other");
            it.judge.trust.push(other);
        }),
        ("two files with two lists", |it| {
            let mut other = it.judge.trust[1].clone();
            other["mcpid"]["security_key"]["for"] = json!(["bob"]);
            it.judge.trust.push(other);
        }),
    ];
    for (why, attack) in attacks {
        let mut it = TouchedCall::untouched();
        attack(&mut it);
        it.touch();
        it.counts_for_nothing(why);
    }
}

/// Changes the bytes of the touch in the request.
fn with_touch_bytes(it: &mut TouchedCall, change: impl Fn(&[u8; 69]) -> Vec<u8>) {
    let signature = it.touch_key.sign(it.call.base(&it.input).as_bytes());
    it.call.attach("touch", &it.input.to_string(), &change(&signature));
}

#[test]
fn a_touch_with_changed_bytes_counts_for_nothing() {
    let flip = |at: usize, bit: u8| {
        move |signature: &[u8; 69]| {
            let mut bytes = signature.to_vec();
            bytes[at] ^= bit;
            bytes
        }
    };
    for (at, bit) in
        [(0, 1), (31, 1), (32, 1), (63, 1), (64, 4), (64, 1), (64, 0x40), (65, 1), (68, 1)]
    {
        let mut it = TouchedCall::untouched();
        with_touch_bytes(&mut it, flip(at, bit));
        it.counts_for_nothing(&format!("byte {at}"));
    }
    for length in [0, 1, 64, 68] {
        let mut it = TouchedCall::untouched();
        with_touch_bytes(&mut it, |signature| signature[..length].to_vec());
        it.counts_for_nothing(&format!("{length} bytes"));
    }
    let mut it = TouchedCall::untouched();
    with_touch_bytes(&mut it, |signature| [&signature[..], &[0]].concat());
    it.counts_for_nothing("70 bytes");
    // The signature is made with the security key's private key over the bare signature base,
    // without the flags that a security key would sign.
    for more in [&[][..], &[1, 0, 0, 0, 7]] {
        let mut it = TouchedCall::untouched();
        let plain = it.touch_key.secret.sign(it.call.base(&it.input).as_bytes()).unwrap();
        it.call.attach("touch", &it.input.to_string(), &[&plain[..], more].concat());
        it.counts_for_nothing("a plain signature");
    }
}

#[test]
fn a_touch_of_another_request_counts_for_nothing() {
    let donor = TouchedCall::new();
    let touch: Vec<_> = donor
        .call
        .fields
        .iter()
        .filter(|(_, value)| value.starts_with(b"touch="))
        .cloned()
        .collect();
    let changes: &[Attack] = &[
        ("another target", |it| it.call.target = mcpid::RequestTarget::Origin("/mcp".into())),
        ("another body", |it| {
            let body = String::from_utf8(it.call.body.clone()).unwrap().replace("Oslo", "Rome");
            it.call.with_body(&body);
        }),
        ("another header", |it| {
            it.call.set("mcp-param-city", "Rome");
        }),
    ];
    for (why, change) in changes {
        let mut it = TouchedCall::untouched();
        it.call = Call::unsigned();
        change(&mut it);
        let plain = Input::of(&it.call, &key(1));
        it.call.sign(&key(1), "mcp", &plain);
        it.call.fields.extend(touch.iter().cloned());
        it.counts_for_nothing(why);
    }
    // The touch has another nonce than the signature that it should confirm.
    let mut it = TouchedCall::untouched();
    it.call = Call::unsigned();
    let mut plain = Input::of(&it.call, &key(1));
    it.call.sign(&key(1), "mcp", plain.set("nonce", "\"AAECAwQFBgcICQoLDA0OEA\""));
    it.call.fields.extend(touch.iter().cloned());
    it.counts_for_nothing("another nonce");
}

#[test]
fn a_relabelled_signature_loses_its_touch() {
    let mut it = TouchedCall::new();
    for (name, value) in &mut it.call.fields {
        if name.starts_with("signature") && value.starts_with(b"mcp=") {
            *value = [b"renamed", &value[3..]].concat();
        }
    }
    let verified = it.accepted();
    assert_eq!((verified.label(), verified.touch()), ("renamed", None));
}

/// A touch of a security key does not help the key of another signer: a key that is limited,
/// revoked or unknown stays so.
#[test]
fn a_good_touch_beside_a_bad_signature_is_refused() {
    type EntryFault = (&'static str, fn(&mut Value), (u8, Code));
    let faults: [EntryFault; 5] = [
        (
            "revoked",
            |bob| bob["mcpid"]["revoked_at"] = json!("2026-01-01T00:00:00Z"),
            (7, Code::KeyRevoked),
        ),
        (
            "ended",
            |bob| bob["mcpid"]["not_after"] = json!("2026-01-01T00:00:00Z"),
            (7, Code::KeyNotValid),
        ),
        ("limited", |bob| bob["mcpid"]["allow"] = json!(["tools/list"]), (11, Code::NotAllowed)),
        ("removed", |bob| *bob = trusted(&key(3)), (7, Code::KeyUnknown)),
        (
            "no entry of a signer",
            |bob| {
                let other = SoftwareKey::new(key(1));
                *bob = other.entry("alice", &json!({}));
            },
            (8, Code::SignatureInvalid),
        ),
    ];
    for (why, fault, refusal) in faults {
        // The security key may do everything, and belongs to a person who is allowed this call. The
        // signature that it confirms is not allowed.
        for alone in [false, true] {
            for touch_first in [false, true] {
                let mut it = TouchedCall::new();
                fault(&mut it.judge.trust[0]);
                if alone {
                    it.rule("alone", json!(true));
                }
                if touch_first {
                    it.call.fields.reverse();
                }
                assert_eq!(it.judge.refusal(&it.call), refusal, "{why} {alone} {touch_first}");
            }
        }
    }
}

#[test]
fn a_touch_widens_no_rights() {
    // The security key may do everything, the key of the confirmed signature only call another
    // tool.
    let mut it = TouchedCall::new();
    it.judge.trust[0]["mcpid"]["allow"] = json!(["tools/call:get_time"]);
    let rejection = it.judge.refuses(&it.call);
    assert_eq!(rejection.code(), Code::NotAllowed);
    assert_eq!(rejection.statement().unwrap().label, "mcp");
}

#[test]
fn a_touch_alone_is_refused() {
    let mut it = TouchedCall::new();
    it.call
        .fields
        .retain(|(name, value)| !(name.starts_with("signature") && value.starts_with(b"mcp=")));
    for alone in [false, true] {
        it.rule("alone", json!(alone));
        assert_eq!(it.judge.refusal(&it.call), (8, Code::SignatureInvalid));
    }
    // That a security key may sign alone does not permit its touch to confirm the signatures of
    // other keys.
    let mut it = TouchedCall::new();
    it.rule("alone", json!(true)).rule("for", json!([]));
    it.counts_for_nothing("for no signer, and alone");
}

#[test]
fn an_ordinary_key_makes_no_touch() {
    // The second signature is by key 2, an ordinary key of the same person, and not by a security
    // key.
    let mut it = TouchedCall::untouched();
    it.judge.trust[1] = trusted(&key(2));
    let ordinary = SoftwareKey::new(key(2));
    let covering = input(&it.call, &ordinary, "mcp");
    it.call.sign(&key(2), "touch", &covering);
    it.counts_for_nothing("a plain signature");
    // The same ordinary key, with a signature in the format of a security key.
    let mut it = TouchedCall::untouched();
    it.judge.trust[1] = trusted(&key(2));
    let signature = ordinary.sign(it.call.base(&covering).as_bytes());
    it.call.attach("touch", &covering.to_string(), &signature);
    it.counts_for_nothing("69 bytes");
}

#[test]
fn a_third_signature_first_gets_no_touch() {
    // Bob signs first. The touch confirms the signature of Alice, who is not allowed the call.
    let mut it = TouchedCall::untouched();
    let mut bob = trusted(&key(2));
    bob["mcpid"]["name"] = json!("bob");
    it.judge.trust.push(bob);
    it.judge.trust[0]["mcpid"]["allow"] = json!(["tools/list"]);
    it.call = Call::unsigned();
    for (label, by) in [("first", 2), ("mcp", 1)] {
        let plain = Input::of(&it.call, &key(by));
        it.call.sign(&key(by), label, &plain);
    }
    it.touch();
    let accepted = it.accepted();
    assert_eq!((accepted.name(), accepted.touch()), (Some("bob"), None));
}
