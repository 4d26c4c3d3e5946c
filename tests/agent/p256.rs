//! Tests of P-256 keys in an ssh-agent. A signature of type `ecdsa-sha2-nistp256` consists of two
//! numbers.

use std::fs;

use mcpid::key::agent::{AgentError, ChooseError, Constraints, ssh_fingerprint};
use mcpid::key::{KeyKind, SecretKey, Sign, format};

use crate::servers::{Fake, OpenSsh, listed, reply, signed, string};

const TYPE: &[u8] = b"ecdsa-sha2-nistp256";

fn secret() -> SecretKey {
    SecretKey::from_p256_scalar(b"9 scalar that no publication has").unwrap()
}

fn blob(curve: &[u8], point: &[u8]) -> Vec<u8> {
    [string(TYPE), string(curve), string(point)].concat()
}

fn ours() -> Vec<u8> {
    blob(b"nistp256", secret().public().as_bytes())
}

/// Returns a number in the format of RFC 4251, section 5 (`mpint`).
fn mpint(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    let sign = number.first().is_some_and(|byte| byte & 0x80 != 0);
    [if sign { &[0][..] } else { &[] }, number].concat()
}

/// Signs until `wanted` returns true for the first bytes of the signature's two numbers.
fn signature(message: &[u8], wanted: impl Fn(u8, u8) -> bool) -> [u8; 64] {
    (0..20_000)
        .map(|_| secret().sign(message).unwrap())
        .find(|s| wanted(s[0], s[32]))
        .expect("a few hundred attempts are enough")
}

/// Starts an agent that lists our key, and answers each request to sign with a signature of this
/// type and these numbers.
fn signs(of_type: &'static [u8], numbers: Vec<u8>) -> Fake {
    Fake::start(move |stream, request| match request[0] {
        11 => reply(stream, &listed(&[(ours(), "ours")])),
        _ => reply(stream, &signed(of_type, &numbers)),
    })
}

/// Returns a signature whose numbers both have their high bit set, or neither.
fn of_high(high: bool) -> [u8; 64] {
    signature(b"message", |r, s| (r >= 0x80, s >= 0x80) == (high, high))
}

fn stripped(s: &[u8; 64]) -> Vec<u8> {
    [string(&mpint(&s[..32])), string(&mpint(&s[32..]))].concat()
}

fn outcome(agent: &Fake) -> Result<[u8; 64], AgentError> {
    let chosen = agent.client().choose("ours").unwrap();
    chosen.sign(b"message").map_err(|error| *error.0.downcast::<AgentError>().unwrap())
}

#[test]
fn a_p256_key_of_ssh_keygen_makes_valid_signatures() {
    let agent = OpenSsh::start();
    let file = agent.add_new("ecdsa", "shop@laptop");
    let chosen = agent.client().choose("shop@laptop").unwrap();
    let line = fs::read(agent.folder.path().join(format!("{file}.pub"))).unwrap();
    let written = format::read_public(&line).unwrap().keys.remove(0).key;
    assert_eq!(chosen.public(), &written);
    assert_eq!(written.kind(), KeyKind::P256);
    let private = fs::read(agent.folder.path().join(&file)).unwrap();
    assert_eq!(format::read_private(&private).unwrap().public(), &written);
    assert!(agent.list().contains(&ssh_fingerprint(&written)));
    // 300 messages give signatures whose numbers have every length that occurs in practice.
    for n in 0..300_u32 {
        let message = n.to_be_bytes();
        written.verify_strict(&message, &chosen.sign(&message).unwrap()).unwrap();
    }
}

#[test]
fn an_added_p256_key_is_shown_by_ssh_add_and_used_by_openssh() {
    let agent = OpenSsh::start();
    // The private keys begin with a zero byte, with a byte whose high bit is set, and with one
    // whose high bit is not set.
    for (at, first) in [0_u8, 0xa0, 0x20].into_iter().enumerate() {
        let mut scalar = *b"9 scalar that no publication has";
        (scalar[0], scalar[31]) = (first, u8::try_from(at).unwrap());
        let key = SecretKey::from_p256_scalar(&scalar).unwrap();
        let name = format!("shop {at}");
        agent.client().add(&key, &name, Constraints::default()).unwrap();
        let line = format!("256 {} {name} (ECDSA)", ssh_fingerprint(key.public()));
        assert!(agent.list().contains(&line), "{}", agent.list());
        let chosen = agent.client().choose(&name).unwrap();
        key.public().verify_strict(b"message", &chosen.sign(b"message").unwrap()).unwrap();
        let public = format::openssh(key.public(), &name);
        let listed = String::from_utf8(agent.ssh_add(&["-L"]).stdout).unwrap();
        assert!(listed.contains(&public), "{listed}");
    }
}

#[test]
fn an_ed25519_key_is_chosen_where_keys_of_both_kinds_match() {
    let agent = OpenSsh::start();
    agent.add_new("ecdsa", "me@laptop");
    let of_p256 = agent.client().choose("").unwrap();
    assert_eq!(of_p256.public().kind(), KeyKind::P256);
    agent.add_new("ed25519", "me@laptop");
    for name in ["", "me@laptop"] {
        let chosen = agent.client().choose(name).unwrap();
        assert_eq!(chosen.public().kind(), KeyKind::Ed25519, "{name}");
    }
    let fingerprint = ssh_fingerprint(of_p256.public());
    for name in [&fingerprint, of_p256.public().id().as_str()] {
        assert_eq!(agent.client().choose(name).unwrap().public(), of_p256.public());
    }
}

#[test]
fn ecdsa_numbers_of_an_agent_are_stripped_or_padded_to_32_bytes() {
    for signature in [of_high(true), of_high(false), signature(b"message", |r, _| r == 0)] {
        outcome(&signs(TYPE, stripped(&signature))).unwrap();
        let padded = [string(&signature[..32]), string(&signature[32..])].concat();
        outcome(&signs(TYPE, padded)).unwrap();
    }
}

#[test]
fn ecdsa_numbers_of_another_form_are_refused() {
    type Numbers = fn(&[u8; 64]) -> Vec<u8>;
    let forms: [(Numbers, bool, &str); 11] = [
        (|s| s.to_vec(), true, "raw bytes"),
        (|s| string(&s[..32]), true, "one number"),
        (|s| [string(&s[..32]), string(&s[32..]), string(&[1])].concat(), true, "three numbers"),
        (|s| [string(&s[..32]), string(&s[32..]), vec![0]].concat(), true, "a byte more"),
        (|s| [string(&[&[0, 0], &s[..32]].concat()), string(&s[32..])].concat(), true, "34 bytes"),
        (|s| [string(&[&[1], &s[..32]].concat()), string(&s[32..])].concat(), true, "33 bytes"),
        (|s| [string(&[&[0], &s[..32]].concat()), string(&s[32..])].concat(), false, "a zero more"),
        (|s| [string(&s[1..32]), string(&s[32..])].concat(), true, "a byte less"),
        (|s| [string(&[0x80; 31]), string(&s[32..])].concat(), true, "a negative number"),
        (|s| [string(&[]), string(&s[32..])].concat(), true, "the number 0"),
        (|s| [string(&s[32..]), string(&s[..32])].concat(), true, "swapped"),
    ];
    for (numbers, high, why) in forms {
        let ended = outcome(&signs(TYPE, numbers(&of_high(high))));
        assert!(
            matches!(ended, Err(AgentError::Malformed(_) | AgentError::WrongSignature)),
            "{why}: {ended:?}"
        );
    }
    for of_type in
        [&b"ssh-ed25519"[..], b"ecdsa-sha2-nistp384", b"sk-ecdsa-sha2-nistp256@openssh.com"]
    {
        let agent = signs(of_type, stripped(&of_high(true)));
        assert!(matches!(outcome(&agent), Err(AgentError::Malformed(_))));
    }
}

#[test]
fn a_broken_p256_key_is_called_broken() {
    let secret = secret();
    let point = secret.public().as_bytes();
    let compressed = [&[2 + (point[64] & 1)], &point[1..33]].concat();
    let mut off = point.to_vec();
    off[64] ^= 1;
    for bad in [
        blob(b"nistp256", &compressed),
        blob(b"nistp256", &off),
        blob(b"nistp256", &point[..64]),
        blob(b"nistp256", &[0]),
        blob(b"nistp384", point),
        blob(b"", point),
        [ours(), vec![0]].concat(),
        [string(TYPE), string(point)].concat(),
    ] {
        let sent = bad.clone();
        let agent = Fake::start(move |stream, _| reply(stream, &listed(&[(sent.clone(), "it")])));
        match agent.client().choose("it") {
            Err(ChooseError::Unfit(found)) => assert_eq!(found.kind(), "a broken P-256 key"),
            other => panic!("{bad:?}: {other:?}"),
        }
    }
}
