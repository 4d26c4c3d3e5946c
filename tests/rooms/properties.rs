//! What holds for every request: what is signed is accepted, what is changed in any bit is not,
//! and nothing that anyone sends makes the verifier panic.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mcpid::clock::FixedClock;
use mcpid::key::{PublicKey, SecretKey, Sign as _};
use mcpid::mcp::body::Scope;
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::{Profile, Window};
use mcpid::sign::{Nonce, Signer};
use mcpid::verify::{Code, NonceOutcome, Refusal, Rejection, Replay};
use proptest::prelude::*;
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::scene::{BODY, CREATED, Call, Input, Judge, NOW, key, time, trusted};

/// The rejection of a head or body; a change that cannot even be made an HTTP head is none.
fn refused(judge: &Judge, call: &Call) -> Option<Rejection> {
    let mut head = Head::new(call.method.as_str(), call.target.clone()).ok()?;
    for (name, value) in &call.fields {
        head.push(name.as_str(), value.as_slice()).ok()?;
    }
    Some(judge.refuses(call))
}

/// No store: a bit that is flipped without effect would then be accepted, and be seen.
fn judge() -> Judge {
    Judge::mcp().replay(Replay::Unchecked)
}

#[test]
fn no_bit_of_the_base_can_be_flipped() {
    let secret = key(1);
    let public = PublicKey::from_bytes(secret.public().as_bytes()).unwrap();
    let call = Call::unsigned();
    let mut base = call.base(&Input::of(&call, &secret)).into_bytes();
    let signature = secret.sign(&base).unwrap();
    assert!(public.verify_strict(&base, &signature).is_ok());
    for bit in 0..base.len() * 8 {
        base[bit / 8] ^= 1 << (bit % 8);
        assert!(public.verify_strict(&base, &signature).is_err(), "bit {bit}");
        base[bit / 8] ^= 1 << (bit % 8);
    }
    // A byte less and a byte more.
    assert!(public.verify_strict(&base[1..], &signature).is_err());
    assert!(public.verify_strict(&base[..base.len() - 1], &signature).is_err());
    base.push(b'\n');
    assert!(public.verify_strict(&base, &signature).is_err());
}

#[test]
fn no_bit_of_the_signature_can_be_flipped() {
    let (judge, call) = (judge(), Call::signed());
    let text = call.get("signature").trim_start_matches("mcp=:").trim_end_matches(':').to_owned();
    let mut bytes = STANDARD.decode(&text).unwrap();
    for bit in 0..512 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut changed = call.clone();
        changed.set("signature", &format!("mcp=:{}:", STANDARD.encode(&bytes)));
        assert_eq!(judge.refusal(&changed), (8, Code::SignatureInvalid), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Every bit of everything that the signature covers, changed where it stands in the request.
#[test]
fn no_bit_of_a_covered_part_can_be_flipped() {
    let (judge, call) = (judge(), Call::signed());
    judge.accepts(&call);
    let (mut judged, mut codes) = (0, BTreeSet::new());
    let mut note = |rejection: Option<Rejection>| {
        if let Some(rejection) = rejection {
            judged += 1;
            codes.insert(rejection.code().as_str());
        }
    };
    for (at, (name, value)) in call.fields.iter().enumerate() {
        if name == "accept" {
            continue;
        }
        for bit in 0..value.len() * 8 {
            let mut changed = call.clone();
            changed.fields[at].1[bit / 8] ^= 1 << (bit % 8);
            // Host names, and nothing else, are the same in both letter cases.
            let letters = value[bit / 8].is_ascii_alphabetic() && bit % 8 == 5;
            if name == "host" && letters {
                judge.accepts(&changed);
                continue;
            }
            // A label means nothing; but both fields have to agree on it.
            note(refused(&judge, &changed));
        }
        // The names themselves.
        for bit in 0..name.len() * 8 {
            let mut changed = call.clone();
            let mut bytes = name.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(text) = String::from_utf8(bytes) else { continue };
            if text.eq_ignore_ascii_case(name) {
                continue;
            }
            changed.fields[at].0 = text;
            note(refused(&judge, &changed));
        }
    }
    let RequestTarget::Origin(target) = &call.target else { panic!() };
    for (text, is_method) in [("POST", true), (target.as_ref(), false)] {
        for bit in 0..text.len() * 8 {
            let mut bytes = text.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let mut changed = call.clone();
            match is_method {
                true => changed.method = text,
                false => changed.target = RequestTarget::Origin(text.into()),
            }
            note(refused(&judge, &changed));
        }
    }
    // Bytes outside ASCII cannot stand in half of the places; the rest was judged.
    assert!(judged > 3_500, "{judged}");
    for code in ["signature_invalid", "signature_malformed", "target_mismatch", "key_unknown"] {
        assert!(codes.contains(code), "{codes:?}");
    }
}

#[test]
fn no_bit_of_the_body_can_be_flipped() {
    for call in [Call::signed(), {
        // One of every byte, under a digest that is covered all the same.
        let mut call = Call::unsigned();
        call.body = (0..=255).collect();
        let digest = mcpid::message::digest::content_digest(&call.body);
        call.set("content-digest", &digest);
        let input = Input::of(&call, &key(1));
        call.sign(&key(1), "mcp", &input);
        call
    }] {
        let judge = judge().verifier();
        let head = call.head();
        let mut body = call.body.clone();
        for bit in 0..body.len() * 8 {
            body[bit / 8] ^= 1 << (bit % 8);
            // The head holds, once and for all; the digest is what catches it.
            if bit == 0 {
                judge.judge_head(&head).unwrap();
            }
            let held = judge.judge_head(&head).unwrap();
            let rejection = judge.judge_body(held, &body).unwrap_err();
            assert_eq!(rejection.code(), Code::DigestMismatch, "bit {bit}");
            body[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// Two verifiers must not tell a body apart from one that is longer or shorter.
#[test]
fn no_byte_of_the_body_can_be_cut() {
    let (verifier, call) = (judge().verifier(), Call::signed());
    let head = call.head();
    for end in 0..BODY.len() {
        let held = verifier.judge_head(&head).unwrap();
        let rejection = verifier.judge_body(held, &call.body[..end]).unwrap_err();
        assert_eq!(rejection.code(), Code::DigestMismatch, "{end}");
    }
}

fn origins() -> Origins {
    Origins::new([Origin::parse(crate::scene::ORIGIN).unwrap()])
}

fn values() -> impl Strategy<Value = String> {
    // Visible ASCII, with spaces inside; and values that need encoding.
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
        // Singletons once.
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
    fn what_is_signed_is_accepted(
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
        // A percent sign that escapes nothing is no path.
        prop_assume!(!target.contains('%'));
        let profile = Profile::named(Profile::NAMES[profile]).unwrap();
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
        prop_assert_eq!(verified.tag(), Some(signed.tag.as_str()));
        // `rfc9421` claims what `expires` bounds, and its signer sends none.
        let bounded = profile.name != "rfc9421";
        prop_assert_eq!(verified.seen(), if bounded { NonceOutcome::Fresh } else { NonceOutcome::Unchecked });
        if bounded {
            prop_assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
        }
        // Nobody else's registry takes it.
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
    fn no_head_and_no_body_makes_it_panic(
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
            profile: Profile::named(Profile::NAMES[profile]).unwrap(),
            clock: Arc::new(FixedClock(time(now))),
            ..judge()
        };
        prop_assert!(judge.judge(&call).is_err(), "nobody signed that");
        let anywhere = Judge { origins: Vec::new(), scope: Scope::Anywhere, ..judge };
        prop_assert!(anywhere.judge(&call).is_err());
        // Any bytes at all as a body of a head that holds.
        let verifier = self::judge().verifier();
        let signed = Call::signed();
        let head = signed.head();
        let held = verifier.judge_head(&head).unwrap();
        let rejection = verifier.judge_body(held, &call.body).unwrap_err();
        prop_assert_eq!(rejection.code(), Code::DigestMismatch);
    }

    /// Pieces of an accepted signature in another order, some left out, some twice.
    #[test]
    fn no_other_arrangement_is_accepted(order in prop::collection::vec(0_usize..5, 0..7)) {
        let mut call = Call::signed();
        let input = Input::of(&Call::unsigned(), &key(1));
        let mut other = input.clone();
        other.params = order.iter().map(|at| input.params[*at].clone()).collect();
        let same = other.to_string() == input.to_string();
        call.set("signature-input", &format!("mcp={other}"));
        prop_assert_eq!(judge().judge(&call).is_ok(), same);
    }
}

/// Our own vectors through the whole verifier.
#[test]
fn our_vectors_hold_whole() {
    let file: Value = serde_json::from_str(include_str!("../vectors/mcp-profile.json")).unwrap();
    let published = json!({"kty": "OKP", "crv": "Ed25519", "x": file["key"]["x"]});
    let mut seen = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let mut call = Call {
            method: vector["method"].as_str().unwrap().to_owned(),
            target: RequestTarget::Origin("/mcp".into()),
            fields: Vec::new(),
            body: vector["body"].as_str().unwrap().as_bytes().to_vec(),
        };
        for (name, value) in vector["headers"].as_object().unwrap() {
            call.push(&name.to_lowercase(), value.as_str().unwrap());
        }
        let window = Window { back: Some(300), ahead: 5 };
        let for_tests = Profile { refuse_published: false, window, ..Profile::mcp() };
        let judge = Judge::by(for_tests)
            .at(file["now"].as_i64().unwrap())
            .trusting(vec![published.clone()]);
        let verified = judge.accepts(&call);
        assert_eq!(verified.key().as_str(), file["key"]["thumbprint"].as_str().unwrap());
        assert_eq!((verified.label(), verified.seen()), ("mcp", NonceOutcome::Fresh));
        assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
        call.body.push(b' ');
        assert_eq!(judge.refusal(&call), (9, Code::DigestMismatch));
        call.body.pop();
        // As it is in use, the published key is refused.
        let strict = Judge::mcp().at(file["now"].as_i64().unwrap());
        let rejection = strict.trusting(vec![published.clone()]).refuses(&call);
        assert_eq!((rejection.step().number(), rejection.code()), (7, Code::KeyPublished));
        assert_eq!(rejection.public_code(), Code::KeyPublished);
        seen += 1;
    }
    assert_eq!(seen, 3);
}

/// RFC 9421 appendix B.2.6, as a server receives it.
#[test]
fn the_example_of_the_rfc_holds_whole() {
    let mut call = Call {
        method: "POST".to_owned(),
        target: RequestTarget::Origin("/foo?param=Value&Pet=dog".into()),
        fields: Vec::new(),
        body: br#"{"hello": "world"}"#.to_vec(),
    };
    let digest = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
    for (name, value) in [
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-digest", digest),
        ("content-length", "18"),
        (
            "signature-input",
            "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"",
        ),
        (
            "signature",
            "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
        ),
    ] {
        call.push(name, value);
    }
    let x = URL_SAFE_NO_PAD
        .encode(URL_SAFE_NO_PAD.decode("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs").unwrap());
    let trust = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "test-key-ed25519"});
    let judge = Judge {
        origins: vec!["https://example.com"],
        ..Judge::by(Profile { refuse_published: false, ..Profile::rfc9421() })
    }
    .trusting(vec![trust]);
    let verified = judge.accepts(&call);
    assert_eq!(verified.created(), Some(time(1_618_884_473)));
    assert_eq!(verified.seen(), NonceOutcome::Unchecked);
    // The named profile knows the key for what it is.
    let named = Judge { profile: Profile::rfc9421(), ..judge.clone() };
    assert_eq!(named.refusal(&call), (7, Code::KeyPublished));
    assert_eq!(judge.clone().at(1_618_884_473 - 6).refusal(&call), (5, Code::NotYetValid));
    for (name, value) in [
        ("date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("content-type", "application/json "),
        ("content-length", "19"),
    ] {
        let mut changed = call.clone();
        changed.set(name, value);
        if value.ends_with(' ') {
            // White space around a value is not part of it.
            judge.accepts(&changed);
        } else {
            assert_eq!(judge.refusal(&changed), (8, Code::SignatureInvalid), "{name}");
        }
    }
    call.body.push(b' ');
    assert_eq!(judge.refusal(&call), (9, Code::DigestMismatch));
}

/// What a signer adds to a request that is signed already: one nonce, both labels, both hold.
#[test]
fn a_second_signature_shares_the_nonce() {
    let profile = Profile::mcp();
    let mut call = Call::signed();
    let signer = Signer::new(Arc::new(key(1)), &profile).unwrap();
    let nonce = Nonce::generate(&mut SysRng).unwrap();
    let sign = |signer: &Signer, call: &Call| {
        signer.sign(&call.head(), &origins(), &call.body, time(CREATED), &nonce)
    };
    assert!(sign(&signer, &call).is_err(), "the label is taken");
    let signed = sign(&signer.with_label("second"), &call).unwrap();
    assert_eq!(signed.nonce, crate::scene::NONCE);
    call.remove("signature").remove("signature-input");
    for (name, value) in signed.headers() {
        call.push(&name.to_ascii_lowercase(), value);
    }
    let judge = Judge::mcp();
    assert_eq!(judge.accepts(&call).label(), "mcp");
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
    // Another key brings its own.
    let other = Signer::new(Arc::new(key(2)) as Arc<dyn mcpid::key::Sign>, &profile).unwrap();
    assert_eq!(sign(&other.with_label("third"), &call).unwrap().nonce, nonce.as_str());
    let _: &SecretKey = &key(2);
    assert!(matches!(judge.at(NOW + 60).judge(&call), Err(Refusal::Rejected(_))));
}
