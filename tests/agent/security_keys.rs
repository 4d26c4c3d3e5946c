//! Tests of security keys in an ssh-agent: with OpenSSH's software security key, and with agents
//! that lie.

use std::fs;
use std::time::{Duration, Instant};

use mcpid::key::agent::{AgentError, ChooseError};
use mcpid::key::{
    PresenceError, PresenceProof, SecretKey, Sign as _, SignByTouch as _, SignError, format,
};

use crate::servers::{Fake, OpenSsh, listed, reply, string};
use crate::software_key::SoftwareKey;

pub(crate) const TYPE: &[u8] = b"sk-ssh-ed25519@openssh.com";

fn agent_error(error: SignError) -> AgentError {
    *error.0.downcast::<AgentError>().unwrap()
}

/// The kinds of security keys that this build supports, by the names that ssh-keygen gives them.
fn kinds() -> &'static [&'static str] {
    if cfg!(feature = "p256") { &["ed25519-sk", "ecdsa-sk"] } else { &["ed25519-sk"] }
}

#[test]
fn a_security_key_of_ssh_keygen_makes_valid_signatures() {
    let agent = OpenSsh::start_with_security_keys();
    for kind in kinds() {
        let file = agent.add_security_key(kind, kind, &["application=ssh:mcpid"]);
        let chosen = agent.client().choose_security_key(kind).unwrap();
        let line = fs::read(agent.folder.path().join(format!("{file}.pub"))).unwrap();
        let written = format::read_public(&line).unwrap().keys.remove(0);
        assert_eq!(written.key, *chosen.security_key().public());
        assert_eq!(written.application.unwrap().as_str(), "ssh:mcpid");
        // The test makes several signatures, because the numbers of some ECDSA signatures have
        // leading zeros.
        for message in [&b""[..], b"message", &[0xff; 100_000], b"4", b"5", b"6", b"7", b"8"] {
            let signature = chosen.sign_by_touch(message).unwrap();
            let PresenceProof { verified, .. } =
                chosen.security_key().verify(message, &signature).unwrap();
            assert!(!verified);
            let other = chosen.security_key().verify(b"another", &signature);
            assert_eq!(other, Err(PresenceError::Signature));
        }
    }
}

#[test]
fn a_security_key_that_needs_no_touch_makes_no_touch() {
    let agent = OpenSsh::start_with_security_keys();
    agent.add_security_key("ed25519-sk", "k", &["application=ssh:mcpid", "no-touch-required"]);
    let chosen = agent.client().choose_security_key("k").unwrap();
    let error = agent_error(chosen.sign_by_touch(b"message").unwrap_err());
    assert!(matches!(error, AgentError::NotTouched(PresenceError::NotPresent)), "{error:?}");
}

#[test]
fn security_keys_and_other_keys_are_chosen_apart() {
    let agent = OpenSsh::start_with_security_keys();
    agent.add_new("ed25519", "alice");
    agent.add_security_key("ed25519-sk", "alice", &["application=ssh:mcpid"]);
    let client = agent.client();
    for name in ["", "alice"] {
        let (plain, touch) =
            (client.choose(name).unwrap(), client.choose_security_key(name).unwrap());
        assert_ne!(plain.public(), touch.security_key().public());
        // `choose` does not find a security key by its id, and `choose_security_key` does not find
        // an ordinary key.
        let (id, other) = (plain.public().id().as_str(), touch.security_key().public().id());
        assert!(matches!(client.choose_security_key(id), Err(ChooseError::NoSecurityKey { .. })));
        assert!(matches!(client.choose(other.as_str()), Err(ChooseError::Unfit(_))));
        client.choose_security_key(other.as_str()).unwrap();
    }
    agent.add_security_key("ed25519-sk", "bob", &["application=ssh:mcpid"]);
    match client.choose_security_key("") {
        Err(ChooseError::Several { which }) => assert_eq!(which.len(), 2),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.choose_security_key("bob").unwrap().comment(), "bob");
    assert!(matches!(client.choose_security_key("carol"), Err(ChooseError::NoSecurityKey { .. })));
}

fn software() -> SoftwareKey {
    SoftwareKey::new(SecretKey::from_seed(b"9 seed that no specification has"))
}

pub(crate) fn blob(of_type: &[u8], application: &[u8]) -> Vec<u8> {
    let secret = software().secret;
    [string(of_type), string(secret.public().as_bytes()), string(application)].concat()
}

/// Starts an agent that lists a security key, and answers each request to sign with the result of
/// `answer`.
fn answers(answer: impl Fn(&SoftwareKey) -> Vec<u8> + Send + Sync + 'static) -> Fake {
    Fake::start(move |stream, request| match request[0] {
        11 => reply(stream, &listed(&[(blob(TYPE, b"ssh:mcpid"), "ours")])),
        _ => reply(stream, &answer(&software())),
    })
}

/// Returns the agent's answer with a signature of this type. `rest` contains the flags and the
/// counter that follow it.
fn signed(of_type: &[u8], signature: &[u8], rest: &[u8]) -> Vec<u8> {
    let inner = [string(of_type), string(signature), rest.to_vec()].concat();
    [vec![14], string(&inner)].concat()
}

fn outcome(agent: &Fake) -> Result<[u8; 69], AgentError> {
    let chosen = agent.client().choose_security_key("ours").unwrap();
    chosen.sign_by_touch(b"message").map_err(agent_error)
}

#[test]
fn an_honest_answer_is_taken() {
    let agent = answers(|key| {
        let signature = key.sign(b"message");
        signed(TYPE, &signature[..64], &signature[64..])
    });
    assert_eq!(outcome(&agent).unwrap(), software().sign(b"message"));
}

#[test]
fn an_answer_that_breaks_the_form_is_refused() {
    type Answer = fn(&SoftwareKey) -> Vec<u8>;
    let answers_of: [(&str, Answer); 9] = [
        ("no flags", |key| signed(TYPE, &key.sign(b"message")[..64], &[])),
        ("a short counter", |key| signed(TYPE, &key.sign(b"message")[..64], &[1, 0, 0, 0])),
        ("bytes behind the counter", |key| {
            let signature = key.sign(b"message");
            signed(TYPE, &signature[..64], &[&signature[64..], &[0]].concat())
        }),
        ("a plain type", |key| {
            let signature = key.sign(b"message");
            signed(b"ssh-ed25519", &signature[..64], &signature[64..])
        }),
        ("a form of WebAuthn", |key| {
            let signature = key.sign(b"message");
            signed(
                b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
                &signature[..64],
                &signature[64..],
            )
        }),
        ("the other kind", |key| {
            let signature = key.sign(b"message");
            signed(b"sk-ecdsa-sha2-nistp256@openssh.com", &signature[..64], &signature[64..])
        }),
        ("63 bytes", |key| {
            let signature = key.sign(b"message");
            signed(TYPE, &signature[..63], &signature[64..])
        }),
        ("65 bytes", |key| {
            let signature = key.sign(b"message");
            signed(TYPE, &signature[..65], &signature[64..])
        }),
        ("bytes behind the answer", |key| {
            let signature = key.sign(b"message");
            [signed(TYPE, &signature[..64], &signature[64..]), vec![0]].concat()
        }),
    ];
    for (why, answer) in answers_of {
        let result = outcome(&answers(answer));
        assert!(matches!(result, Err(AgentError::Malformed(_))), "{why}: {result:?}");
    }
}

#[test]
fn a_signature_that_shows_no_touch_of_this_message_is_refused() {
    let agent = answers(|key| {
        let signature = key.sign(b"another");
        signed(TYPE, &signature[..64], &signature[64..])
    });
    assert!(matches!(outcome(&agent), Err(AgentError::WrongSignature)));
    let agent = answers(|key| {
        let plain = key.secret.sign(b"message").unwrap();
        signed(TYPE, &plain, &[1, 0, 0, 0, 1])
    });
    assert!(matches!(outcome(&agent), Err(AgentError::WrongSignature)));
    for (flags, changed) in [(0, 1), (1, 5)] {
        let agent = answers(move |_| {
            let signature = SoftwareKey { flags, ..software() }.sign(b"message");
            signed(TYPE, &signature[..64], &[&[changed][..], &signature[65..]].concat())
        });
        assert!(matches!(outcome(&agent), Err(AgentError::WrongSignature)), "{flags}");
    }
    for flags in [0x00, 0x04, 0x41, 0x81] {
        let agent = answers(move |_| {
            let signature = SoftwareKey { flags, ..software() }.sign(b"message");
            signed(TYPE, &signature[..64], &signature[64..])
        });
        assert!(matches!(outcome(&agent), Err(AgentError::NotTouched(_))), "{flags}");
    }
    let agent = answers(|_| vec![5]);
    assert!(matches!(outcome(&agent), Err(AgentError::Declined)));
}

#[test]
fn a_touch_that_never_comes_ends_by_our_timeout() {
    let agent = Fake::start(|stream, request| match request[0] {
        11 => reply(stream, &listed(&[(blob(TYPE, b"ssh:mcpid"), "ours")])),
        _ => std::thread::sleep(Duration::from_secs(120)),
    });
    let chosen = agent.client().choose_security_key("ours").unwrap();
    let chosen = chosen.with_timeout(Duration::from_millis(300));
    let start = Instant::now();
    let error = agent_error(chosen.sign_by_touch(b"message").unwrap_err());
    assert!(matches!(error, AgentError::TimedOut(_)), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn keys_that_are_no_proper_security_keys_are_not_chosen() {
    let short = [string(TYPE), string(&[7; 31]), string(b"ssh:mcpid")].concat();
    let weak = [string(TYPE), string(&[0; 32]), string(b"ssh:mcpid")].concat();
    let cut = [string(TYPE), string(software().secret.public().as_bytes())].concat();
    let overlong = [blob(TYPE, b"ssh:mcpid"), vec![0]].concat();
    for wrong in [
        blob(TYPE, b"https://example.com"),
        blob(TYPE, b""),
        blob(TYPE, b"SSH:mcpid"),
        blob(TYPE, b"ssh:\xff"),
        blob(TYPE, b"ssh:\n"),
        blob(b"sk-ssh-ed25519-cert-v01@openssh.com", b"ssh:mcpid"),
        blob(b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com", b"ssh:mcpid"),
        short,
        weak,
        cut,
        overlong,
    ] {
        let shown = format!("{wrong:?}");
        let agent =
            Fake::start(move |stream, _| reply(stream, &listed(&[(wrong.clone(), "ours")])));
        let chosen = agent.client().choose_security_key("ours");
        assert!(matches!(chosen, Err(ChooseError::NoSecurityKey { .. })), "{shown}: {chosen:?}");
        assert!(agent.client().choose("ours").is_err(), "{shown}");
    }
}

#[cfg(feature = "p256")]
#[test]
fn numbers_of_ecdsa_are_padded_and_longer_ones_refused() {
    type Numbers = fn(&[u8]) -> Vec<u8>;
    let secret = || SecretKey::from_p256_scalar(b"9 scalar that no publication has").unwrap();
    let of_type = b"sk-ecdsa-sha2-nistp256@openssh.com";
    let point = secret().public().as_bytes().to_vec();
    let blob =
        [string(of_type), string(b"nistp256"), string(&point), string(b"ssh:mcpid")].concat();
    let outcome = |numbers: Numbers| {
        let blob = blob.clone();
        let agent = Fake::start(move |stream, request| match request[0] {
            11 => reply(stream, &listed(&[(blob.clone(), "ours")])),
            _ => {
                let signature = SoftwareKey::new(secret()).sign(b"message");
                let numbers: Vec<_> =
                    signature[..64].chunks(32).flat_map(|n| string(&numbers(n))).collect();
                reply(stream, &signed(of_type, &numbers, &signature[64..]));
            }
        });
        let chosen = agent.client().choose_security_key("ours").unwrap();
        chosen.sign_by_touch(b"message").map_err(agent_error)
    };
    // The number in the format of RFC 4251: without leading zeros, but with one zero byte if the
    // first bit is set.
    let mpint = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[zeros..];
        let sign = number.first().is_some_and(|byte| byte & 0x80 != 0);
        [if sign { &[0][..] } else { &[] }, number].concat()
    };
    outcome(mpint).unwrap();
    outcome(|number| number.to_vec()).unwrap();
    let longer: [Numbers; 3] = [
        |number| [&[0, 0][..], number].concat(),
        |number| [&[1][..], number].concat(),
        |number| [number, &[0]].concat(),
    ];
    for numbers in longer {
        assert!(matches!(outcome(numbers), Err(AgentError::Malformed(_))));
    }
}
