//! Tests of the differences between the profiles.

use super::*;

#[test]
fn every_published_key_is_refused_but_by_a_profile_for_tests() {
    let seeds = (0..=255_u8).map(|byte| [byte; 32]).chain((1..=16_u8).flat_map(|n| {
        let (mut low, mut high) = ([0; 32], [0; 32]);
        (low[0], high[31]) = (n, n);
        [low, high]
    }));
    // Further seeds consist of bytes that count up or down.
    let seeds = seeds.chain([
        std::array::from_fn(|at| at as u8),
        std::array::from_fn(|at| at as u8 + 1),
        std::array::from_fn(|at| 31 - at as u8),
        std::array::from_fn(|at| 32 - at as u8),
    ]);
    let for_tests = Profile { refuse_published: false, ..Profile::mcp() };
    let mut tried = 0;
    for seed in seeds {
        let key = SecretKey::from_seed(&seed);
        let mut call = Call::unsigned();
        let input = Input::of(&call, &key);
        call.sign(&key, "mcp", &input);
        let trust = vec![trusted(&key)];
        // Each refusal takes two verifications of a signature, which are slow in a debug build. So
        // most profiles are tested with every 16th key only.
        let profiles = [Profile::mcp(), Profile::sep2752(), Profile::rfc9421()];
        for profile in profiles.into_iter().take(if tried % 16 == 0 { 3 } else { 1 }) {
            let judge = Judge::by(profile).trusting(trust.clone());
            assert_eq!(judge.refusal(&call), (7, Code::KeyPublished), "{seed:?}");
        }
        if tried % 16 == 0 {
            Judge::by(for_tests.clone()).trusting(trust).accepts(&call);
        }
        tried += 1;
    }
    assert_eq!(tried, 256 + 32 + 4);
}

#[test]
fn tags_are_the_key_or_one_of_its_clients() {
    let tagged = |tag: &str| {
        let mut call = Call::unsigned();
        let mut input = Input::of(&call, &key(1));
        input.set("tag", format!("\"{tag}\""));
        call.sign(&key(1), "mcp", &input);
        call
    };
    assert_eq!(Judge::mcp().accepts(&tagged("alice-laptop")).tag(), Some("alice-laptop"));
    assert_eq!(Judge::mcp().refusal(&tagged("bob")), (7, Code::TagMismatch));
    for profile in [Profile::sep2752(), Profile::rfc9421()] {
        Judge::by(profile.clone()).accepts(&tagged("bob"));
        Judge::by(profile).accepts(&tagged(""));
    }
}

#[test]
fn sep2752_is_wider_but_not_laxer() {
    let sep = || Judge::by(Profile::sep2752());
    let mut call = Call::unsigned();
    let mut input = Input::of(&call, &key(1));
    call.sign(&key(1), "mcp", input.unset("expires"));
    for (now, code) in [
        (CREATED - 61, Some(Code::NotYetValid)),
        (CREATED - 60, None),
        (CREATED + 300, None),
        (CREATED + 301, Some(Code::Expired)),
    ] {
        match code {
            None => drop(sep().at(now).accepts(&call)),
            Some(code) => assert_eq!(sep().at(now).refusal(&call), (5, code), "{now}"),
        }
    }
    let until = sep().verifier().retention().until(time(CREATED));
    assert_eq!(until, time(CREATED + 660), "nonces are kept for 660 s");
    for name in ["created", "nonce", "keyid", "tag"] {
        let mut call = Call::unsigned();
        let mut input = Input::of(&call, &key(1));
        call.sign(&key(1), "mcp", input.unset("expires").unset(name));
        assert_eq!(sep().refusal(&call), (4, Code::ParameterMissing), "{name}");
    }
    // The profile `sep2752` signs the digest of the body, but does not parse the body.
    let mut call = Call::unsigned();
    call.with_body("no JSON");
    let input = Input::of(&call, &key(1));
    call.sign(&key(1), "mcp", &input);
    sep().accepts(&call);
    // If the key has an `allow` list, an unreadable body is refused, because no pattern matches it.
    let mut limited = sep();
    limited.trust[0]["mcpid"]["allow"] = json!(["*"]);
    assert_eq!(limited.refusal(&call), (11, Code::NotAllowed));
    limited.scope = Scope::Anywhere;
    assert_eq!(limited.refusal(&call), (11, Code::NotAllowed));
}

fn rfc(change: impl FnOnce(&mut Input)) -> Call {
    let mut call = Call::unsigned();
    let mut input = Input::of(&call, &key(1));
    change(&mut input);
    call.sign(&key(1), "sig1", &input);
    call
}

#[test]
fn rfc9421_accepts_any_valid_signature() {
    let judge = || Judge::by(Profile::rfc9421());
    // The profile `rfc9421` requires only the key id, and no covered component.
    let bare = rfc(|i| {
        i.components.clear();
        i.unset("created").unset("expires").unset("nonce").unset("tag");
    });
    assert_eq!(judge().accepts(&bare).nonce_outcome(), NonceOutcome::Unchecked);
    assert_eq!(judge().accepts(&bare).created(), None);
    let anonymous = rfc(|i| {
        i.unset("keyid");
    });
    assert_eq!(judge().refusal(&anonymous), (4, Code::ParameterMissing));
    // Without `expires`, `created` may be up to five seconds in the future, and at any time in the
    // past.
    for (now, code) in [(CREATED - 6, Some(Code::NotYetValid)), (CREATED - 5, None)] {
        let call = rfc(|i| {
            i.unset("expires");
        });
        match code {
            None => drop(judge().at(now).accepts(&call)),
            Some(code) => assert_eq!(judge().at(now).refusal(&call), (5, code)),
        }
        judge().at(CREATED + 1_000_000_000).accepts(&call);
    }
    assert_eq!(judge().at(CREATED + 30).refusal(&rfc(|_| ())), (5, Code::Expired));
    // If a maximum age is configured, `created` is required.
    let window = Window { max_age: Some(30), max_skew: 5 };
    let windowed = Judge::by(Profile { window, ..Profile::rfc9421() });
    assert_eq!(windowed.refusal(&bare), (4, Code::ParameterMissing));
    // The profile `rfc9421` checks the digest of a body only if the request has a `Content-Digest`.
    let mut without = Call::unsigned();
    without.remove("content-digest");
    let mut input = Input::of(&without, &key(1));
    without.sign(&key(1), "sig1", input.uncover("content-digest"));
    judge().accepts(&without);
    let mut changed = rfc(|_| ());
    changed.body.push(b' ');
    assert_eq!(judge().refusal(&changed), (9, Code::DigestMismatch));
    let mut uncovered = rfc(|i| {
        i.uncover("content-digest");
    });
    judge().accepts(&uncovered);
    uncovered.body.push(b' ');
    // Each call of `judge()` makes a new nonce store, so the reason for the refusal is the changed
    // body and not a used nonce.
    assert_eq!(judge().refusal(&uncovered), (9, Code::DigestMismatch));
    // The profile `rfc9421` still refuses other algorithms, and operations that the key is not
    // allowed.
    let other = rfc(|i| {
        i.set("alg", "\"hmac-sha256\"");
    });
    assert_eq!(judge().refusal(&other), (4, Code::AlgNotAllowed));
}

#[test]
fn rfc9421_claims_a_nonce_only_with_a_bounded_lifetime() {
    let counting = Counting::new();
    let judge = Judge::by(Profile::rfc9421()).replay(ReplayCheck::Claim(counting.clone()));
    for (ends, seen) in [
        (None, NonceOutcome::Unchecked),
        (Some(NOW + 86_401), NonceOutcome::Unchecked),
        (Some(NOW + 86_400), NonceOutcome::Fresh),
    ] {
        let call = rfc(|i| {
            match ends {
                Some(ends) => i.set("expires", ends),
                None => i.unset("expires"),
            };
        });
        let before = counting.claimed();
        assert_eq!(judge.accepts(&call).nonce_outcome(), seen, "{ends:?}");
        assert_eq!(counting.claimed() - before, usize::from(seen == NonceOutcome::Fresh));
        if seen == NonceOutcome::Unchecked {
            judge.accepts(&call);
        } else {
            assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
        }
    }
    // A nonce may have any form. If the signature has none, no nonce is stored.
    let short = |nonce: Option<&str>| {
        rfc(|i| {
            match nonce {
                Some(nonce) => i.set("nonce", nonce),
                None => i.unset("nonce"),
            };
        })
    };
    let judge = Judge::by(Profile::rfc9421());
    assert_eq!(judge.accepts(&short(Some("\"x\""))).nonce_outcome(), NonceOutcome::Fresh);
    assert_eq!(judge.refusal(&short(Some("\"x\""))), (12, Code::NonceReplayed));
    assert_eq!(judge.accepts(&short(None)).nonce_outcome(), NonceOutcome::Unchecked);
    assert_eq!(judge.refusal(&short(Some("x"))), (4, Code::ParameterInvalid));
}

#[test]
fn rfc9421_finds_keys_by_kid() {
    let named = |number: u8, kid: &str| {
        let mut entry = trusted(&key(number));
        entry["kid"] = json!(kid);
        entry
    };
    let call = rfc(|i| {
        i.set("keyid", "\"shared\"");
    });
    let judge = |numbers: &[u8]| {
        let trust = numbers.iter().map(|n| named(*n, "shared")).collect();
        Judge::by(Profile::rfc9421()).trusting(trust)
    };
    for numbers in [&[1][..], &[1, 2], &[2, 1], &[2, 3, 1], &[4, 3, 2, 1]] {
        let verified = judge(numbers).accepts(&call);
        assert_eq!(verified.key(), key(1).public().id(), "{numbers:?}");
    }
    assert_eq!(judge(&[5, 4, 3, 2, 1]).refusal(&call), (8, Code::SignatureInvalid), "four");
    assert_eq!(judge(&[2, 3]).refusal(&call), (8, Code::SignatureInvalid));
    let stranger = Judge::by(Profile::rfc9421()).trusting(vec![named(1, "other")]);
    assert_eq!(stranger.refusal(&call), (7, Code::KeyUnknown));
    // The profile `mcp` looks keys up by their thumbprint only, so the key is unknown.
    assert_eq!(Judge::mcp().trusting(vec![named(1, "shared")]).refusal(&call).0, 7);
    // A thumbprint finds its key, also if the key has another `kid`. (Trust files in which another key has
    // this thumbprint as its `kid` are refused when they are read.)
    let id = key(1).public().id().to_string();
    let trust = vec![named(2, "y"), named(1, "x")];
    let verified = Judge::by(Profile::rfc9421()).trusting(trust).accepts(&rfc(|_| ()));
    assert_eq!(verified.key().as_str(), id);
    // If several keys have this `kid`, the refusal is about the key that made the signature.
    for first in [true, false] {
        let mut revoked = named(1, "shared");
        revoked["mcpid"]["revoked_at"] = json!(time(CREATED).to_string());
        let mut late = named(2, "shared");
        late["mcpid"]["not_after"] = json!(time(CREATED).to_string());
        let strong = named(3, "shared");
        let trust = if first { vec![revoked, late, strong] } else { vec![strong, late, revoked] };
        let rejection = Judge::by(Profile::rfc9421()).trusting(trust).refuses(&call);
        assert_eq!(both_codes(&rejection), (Code::KeyRevoked, Code::KeyRevoked));
        let statement = rejection.statement().unwrap();
        assert_eq!(statement.key.as_deref(), Some(key(1).public().id().as_str()));
    }
}

/// Profiles with optional nonces do not store a nonce that would have to be kept for more than a
/// day. Profiles that require nonces store each one.
#[test]
fn a_window_of_days_is_judged_like_a_short_window() {
    let day = 86_400;
    for (profile, max_age, seen) in [
        (Profile::rfc9421(), day, NonceOutcome::Fresh),
        (Profile::rfc9421(), day + 1, NonceOutcome::Unchecked),
        (Profile::mcp(), day, NonceOutcome::Fresh),
        (Profile::mcp(), day + 1, NonceOutcome::Fresh),
        (Profile::mcp(), 30 * day, NonceOutcome::Fresh),
    ] {
        let window = Window { max_age: Some(max_age), max_skew: 5 };
        let judge = Judge::by(Profile { window, ..profile });
        let call = rfc(|i| {
            i.unset("expires");
        });
        assert_eq!(judge.accepts(&call).nonce_outcome(), seen, "{max_age}");
        match seen {
            NonceOutcome::Fresh => {
                assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed), "{max_age}")
            }
            _ => assert_eq!(judge.accepts(&call).nonce_outcome(), seen),
        }
    }
    // `expires` ends the validity of a request before its maximum age does.
    let window = Window { max_age: Some(day + 1), max_skew: 5 };
    let judge = Judge::by(Profile { window, ..Profile::rfc9421() });
    let call = rfc(|_| ());
    assert_eq!(judge.accepts(&call).nonce_outcome(), NonceOutcome::Fresh);
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
}
