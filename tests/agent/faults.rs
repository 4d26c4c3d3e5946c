//! Tests of agents that fail, lie, or do not answer. Each must give an error, and none may block
//! the client for long.

use std::io::Write;
use std::time::{Duration, Instant};

use mcpid::key::agent::{Agent, AgentError, ChooseError, Constraints};
use mcpid::key::{SecretKey, Sign};

use crate::servers::{Fake, blob, framed, listed, reply, signed, string};

fn secret() -> SecretKey {
    SecretKey::from_seed(&[9; 32])
}

fn ours() -> Vec<u8> {
    blob(secret().public().as_bytes())
}

/// Starts an agent that lists our key. It answers a request to sign with what `answer` returns for
/// the message.
fn signs(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Fake {
    Fake::start(move |stream, request| match request[0] {
        11 => reply(stream, &listed(&[(ours(), "ours")])),
        _ => {
            let _ = stream.write_all(&answer(&request));
        }
    })
}

/// Makes the agent's answer to a signing request.
type Answer = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// Returns the message in a signing request.
fn message(request: &[u8]) -> &[u8] {
    let start = 1 + 4 + ours().len() + 4;
    &request[start..request.len() - 4]
}

fn outcome(agent: &Fake) -> Result<[u8; 64], AgentError> {
    outcome_by(agent.client())
}

fn outcome_by(agent: Agent) -> Result<[u8; 64], AgentError> {
    let chosen = agent.choose("ours").unwrap();
    chosen.sign(b"message").map_err(|error| *error.0.downcast::<AgentError>().unwrap())
}

#[test]
fn the_fake_agent_can_sign() {
    let agent =
        signs(|request| framed(&signed(b"ssh-ed25519", &secret().sign(message(request)).unwrap())));
    outcome(&agent).unwrap();
}

#[test]
fn an_invalid_signature_is_never_returned() {
    for change in [
        // Each answer holds a signature that is not the requested one: over another message, by
        // another key, with one changed bit, and of no bytes.
        |_: &[u8]| secret().sign(b"another").unwrap(),
        |m: &[u8]| SecretKey::from_seed(&[8; 32]).sign(m).unwrap(),
        |m: &[u8]| {
            let mut signature = secret().sign(m).unwrap();
            signature[63] ^= 1;
            signature
        },
        |_: &[u8]| [0; 64],
    ] {
        let agent =
            signs(move |request| framed(&signed(b"ssh-ed25519", &change(message(request)))));
        assert!(matches!(outcome(&agent), Err(AgentError::WrongSignature)));
    }
}

#[test]
fn an_agent_answer_of_a_wrong_form_is_refused() {
    let good = |request: &[u8]| secret().sign(message(request)).unwrap();
    let forms: Vec<Answer> = vec![
        // Each answer holds the valid signature, under the name of another algorithm.
        Box::new(move |r| framed(&signed(b"ssh-ed448", &good(r)))),
        Box::new(move |r| framed(&signed(b"sk-ssh-ed25519@openssh.com", &good(r)))),
        Box::new(move |r| framed(&signed(b"", &good(r)))),
        // Each answer holds a signature that is too short, too long, or followed by more bytes.
        Box::new(move |r| framed(&signed(b"ssh-ed25519", &good(r)[..63]))),
        Box::new(move |r| framed(&signed(b"ssh-ed25519", &[&good(r)[..], &[0]].concat()))),
        Box::new(move |r| framed(&[signed(b"ssh-ed25519", &good(r)), vec![0]].concat())),
        Box::new(move |r| {
            let inner = [string(b"ssh-ed25519"), string(&good(r)), vec![1]].concat();
            framed(&[vec![14], string(&inner)].concat())
        }),
        // The length fields in these answers point outside of the message.
        Box::new(|_| framed(&[14, 0xff, 0xff, 0xff, 0xff])),
        Box::new(|_| framed(&[14, 0, 0, 0, 4, 0, 0, 0, 11])),
        // These answers are of another type, empty, or garbage.
        Box::new(|_| framed(&[6])),
        Box::new(|_| framed(&listed(&[(ours(), "ours")]))),
        Box::new(|_| framed(&[14])),
        Box::new(|_| framed(&[5, 5])),
        Box::new(|_| framed(&[])),
        Box::new(|_| framed(&[0x41; 1000])),
        // These answers announce a huge length, and a length just over the limit.
        Box::new(|_| vec![0xff, 0xff, 0xff, 0xff, 14]),
        Box::new(|_| (262_145_u32).to_be_bytes().to_vec()),
    ];
    for (n, form) in forms.into_iter().enumerate() {
        let agent = signs(form);
        let ended = outcome(&agent);
        assert!(matches!(ended, Err(AgentError::Malformed(_))), "{n}: {ended:?}");
    }
}

#[test]
fn an_incomplete_answer_of_an_agent_is_a_broken_connection() {
    for bytes in [&b""[..], &[0], &[0, 0, 0, 83], &[0, 0, 0, 83, 14, 0, 0]] {
        let agent = signs(move |_| bytes.to_vec());
        let ended = outcome(&agent);
        assert!(matches!(ended, Err(AgentError::Broken(_))), "{bytes:?} {ended:?}");
    }
}

#[test]
fn a_silent_agent_is_given_up_at_the_time_limit() {
    // The agent sends nothing, half a message, or one byte at a time.
    for drip in [None, Some(&[0, 0, 0, 83, 14][..]), Some(&[0; 1000])] {
        let agent = Fake::start(move |stream, request| match request[0] {
            11 => reply(stream, &listed(&[(ours(), "ours")])),
            _ => {
                for byte in drip.unwrap_or_default() {
                    if stream.write_all(&[*byte | u8::from(drip.unwrap().len() > 9)]).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                std::thread::sleep(Duration::from_secs(60));
            }
        });
        let start = Instant::now();
        let ended = outcome_by(agent.client().with_timeout(Duration::from_secs(2)));
        // In this case the first four bytes are a length of 0x01010101, which is refused at once.
        let long = drip.is_some_and(|bytes| bytes.len() > 9);
        match ended {
            Err(AgentError::TimedOut(_)) if !long => {}
            Err(AgentError::Malformed(_)) if long => {}
            other => panic!("{other:?}"),
        }
        assert!(start.elapsed() < Duration::from_secs(50), "{:?}", start.elapsed());
    }
}

#[test]
fn an_agent_that_sends_single_bytes_is_given_up_at_the_time_limit() {
    let agent = Fake::start(|stream, _| {
        // The agent announces 600 bytes and sends one every 100 ms: each read succeeds, but the
        // whole message takes too long.
        let _ = stream.write_all(&[0, 0, 2, 88]);
        for _ in 0..600 {
            if stream.write_all(&[12]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let start = Instant::now();
    let ended = agent.client().with_timeout(Duration::from_secs(2)).identities();
    assert!(matches!(ended, Err(AgentError::TimedOut(_))), "{ended:?}");
    assert!(start.elapsed() < Duration::from_secs(50), "{:?}", start.elapsed());
}

#[test]
fn an_agent_that_never_accepts_blocks_no_caller() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    // The test opens more connections than the agent's queue can hold.
    let agent = Agent::at(&socket).with_timeout(Duration::from_millis(1));
    for _ in 0..200 {
        assert!(matches!(agent.identities(), Err(AgentError::TimedOut(_))));
    }
    let start = Instant::now();
    let agent = agent.with_timeout(Duration::from_millis(200));
    assert!(matches!(agent.identities(), Err(AgentError::TimedOut(_))));
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_key_list_of_an_agent_is_read_strictly() {
    let good = listed(&[(ours(), "ours")]);
    let mut lists = vec![
        vec![],
        vec![12],
        vec![5],
        vec![14, 0, 0, 0, 0],
        // Each list announces more keys than it holds, or fewer, or is followed by more bytes.
        [&[12, 0, 0, 0, 2][..], &good[5..]].concat(),
        [&[12, 0xff, 0xff, 0xff, 0xff][..], &good[5..]].concat(),
        [&[12, 0, 0, 0, 0][..], &good[5..]].concat(),
        [&good[..], &[0]].concat(),
        vec![b'x'; 5000],
    ];
    // The remaining lists are the valid list, cut at every byte.
    lists.extend((1..good.len()).map(|end| good[..end].to_vec()));
    for list in lists {
        let sent = list.clone();
        let agent = Fake::start(move |stream, _| reply(stream, &sent));
        let ended = agent.client().identities();
        assert!(matches!(ended, Err(AgentError::Malformed(_))), "{list:?} {ended:?}");
    }
}

#[test]
fn keys_of_other_kinds_are_named_by_their_kind() {
    let weak = blob(&[0; 32]);
    let secret = secret();
    let key = secret.public().as_bytes();
    for (blob, kind) in [
        (
            [string(b"sk-ssh-ed25519@openssh.com"), string(key), string(b"ssh:")].concat(),
            "a security key (FIDO), whose touch joins another key's signature",
        ),
        ([string(b"ssh-rsa"), string(b"\x01\0\x01"), string(&[1; 256])].concat(), "an RSA key"),
        ([string(b"ecdsa-sha2-nistp256"), string(b"nistp256")].concat(), "a broken P-256 key"),
        ([string(b"ecdsa-sha2-nistp384"), string(b"nistp384")].concat(), "an elliptic-curve key"),
        ([string(b"ssh-ed25519-cert-v01@openssh.com"), string(key)].concat(), "an SSH certificate"),
        (weak, "a broken or weak Ed25519 key"),
        ([ours(), vec![0]].concat(), "a broken or weak Ed25519 key"),
        ([string(b"ssh-ed25519"), string(&key[..31])].concat(), "a broken or weak Ed25519 key"),
        ([string(b"ssh-ed25519"), string(&[0xff; 32])].concat(), "a broken or weak Ed25519 key"),
        (vec![], "a key of another kind"),
        (b"\xff\xff\xff\xff".to_vec(), "a key of another kind"),
    ] {
        let agent = Fake::start(move |stream, _| reply(stream, &listed(&[(blob.clone(), "it")])));
        match agent.client().choose("it") {
            Err(ChooseError::Unfit(found)) => assert_eq!(found.kind(), kind),
            other => panic!("{kind}: {other:?}"),
        }
        assert!(matches!(agent.client().choose(""), Err(ChooseError::Unknown { .. })), "{kind}");
    }
}

#[test]
fn one_key_listed_twice_is_one_key() {
    let agent = Fake::start(|stream, _| {
        let other = blob(SecretKey::from_seed(&[8; 32]).public().as_bytes());
        reply(stream, &listed(&[(ours(), "a"), (other, "b"), (ours(), "a")]));
    });
    assert_eq!(agent.client().choose("a").unwrap().public(), secret().public());
}

#[test]
fn a_comment_that_is_not_utf_8_is_shown_with_replacement_characters() {
    let agent = Fake::start(|stream, _| {
        let mut answer = vec![12, 0, 0, 0, 1];
        answer.extend(string(&ours()));
        answer.extend(string(b"caf\xe9"));
        reply(stream, &answer);
    });
    assert_eq!(agent.client().identities().unwrap()[0].comment(), "caf\u{fffd}");
}

#[test]
fn adding_a_key_accepts_only_the_success_message() {
    for (answer, malformed) in [
        (&[5][..], false),
        (&[28], false),
        (&[6, 6], true),
        (&[], true),
        (&[7], true),
        (&[14, 0, 0, 0, 0], true),
    ] {
        let agent = Fake::start(move |stream, _| reply(stream, answer));
        let ended = agent.client().add(&secret(), "c", Constraints::default());
        match ended {
            Err(AgentError::Malformed(_)) if malformed => {}
            Err(AgentError::NotTaken) if !malformed => {}
            other => panic!("{answer:?} {other:?}"),
        }
    }
}

#[test]
fn requests_to_an_agent_follow_the_draft() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let agent = Fake::start(move |stream, request| {
        sender.send(request).unwrap();
        reply(stream, &[6]);
    });
    let (secret, seed) = (secret(), [9; 32]);
    let public = secret.public().as_bytes();
    let key = |act: u8| {
        let both = [&seed[..], public].concat();
        [vec![act], string(b"ssh-ed25519"), string(public), string(&both), string(b"name")].concat()
    };
    let constraints = |lifetime, confirm| Constraints { lifetime, confirm };
    for (asked, sent) in [
        (constraints(None, false), key(17)),
        (constraints(Some(258), false), [key(25), vec![1, 0, 0, 1, 2]].concat()),
        (constraints(None, true), [key(25), vec![2]].concat()),
        (constraints(Some(1), true), [key(25), vec![1, 0, 0, 0, 1, 2]].concat()),
    ] {
        agent.client().add(&secret, "name", asked).unwrap();
        assert_eq!(receiver.recv().unwrap(), sent);
    }
}

#[test]
fn secrets_stay_out_of_debug() {
    let agent = signs(|_| vec![]);
    let chosen = agent.client().choose("ours").unwrap();
    let debug = format!("{chosen:?} {:?}", agent.client());
    assert!(debug.contains("SHA256:") && !debug.contains("9, 9"), "{debug}");
}

#[test]
fn random_answers_of_an_agent_cause_errors_and_no_panic() {
    // A xorshift generator with a fixed seed, so that every run has the same garbage.
    let state = std::sync::Mutex::new(0x9e37_79b9_7f4a_7c15_u64);
    let agent = Fake::start(move |stream, request| {
        let mut state = state.lock().unwrap();
        let mut next = || {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            *state
        };
        let length = next() % 90;
        let mut answer: Vec<u8> = (0..length).map(|_| next().to_le_bytes()[3]).collect();
        // Half of the answers begin with the byte of the expected answer type, so that the parser
        // reads on.
        if next() % 2 == 0 && !answer.is_empty() {
            answer[0] = request[0] + 1;
        }
        if next() % 4 == 0 && answer.len() > 4 {
            answer[1..5].copy_from_slice(&[0, 0, 0, 1]);
        }
        reply(stream, &answer);
    });
    let mut errors = 0;
    for _ in 0..300 {
        errors += usize::from(agent.client().identities().is_err());
        let added = agent.client().add(&secret(), "c", Constraints::default());
        errors += usize::from(added.is_err());
    }
    assert_eq!(errors, 600);
}
