//! Tests of the agent client with OpenSSH's ssh-agent and ssh-add.

use std::fs;
use std::time::{Duration, Instant};

use mcpid::key::agent::{Agent, AgentError, ChooseError, Constraints, ssh_fingerprint};
use mcpid::key::format;
use mcpid::key::{SecretKey, Sign};

use crate::servers::{OpenSsh, script, within_a_minute};

fn key(byte: u8) -> SecretKey {
    SecretKey::from_seed(&[byte; 32])
}

/// Returns the agent's error that is inside a signing error.
fn agent_error(key: &dyn Sign) -> AgentError {
    let error = key.sign(b"message").unwrap_err();
    *error.0.downcast::<AgentError>().unwrap()
}

#[test]
fn a_key_of_ssh_keygen_makes_valid_signatures() {
    let agent = OpenSsh::start();
    let file = agent.add_new("ed25519", "alice@laptop");
    let chosen = agent.client().choose("alice@laptop").unwrap();
    assert_eq!(chosen.comment(), "alice@laptop");
    // The key that the agent lists is the key in the file that ssh-keygen wrote.
    let line = fs::read(agent.folder.path().join(format!("{file}.pub"))).unwrap();
    let written = format::read_public(&line).unwrap().keys.remove(0).key;
    assert_eq!(chosen.public(), &written);
    // Ed25519 is deterministic, so the agent's signature must equal that of the private key in the
    // file.
    let private = fs::read(agent.folder.path().join(&file)).unwrap();
    let private = format::read_private(&private).unwrap();
    for message in [&b""[..], b"message", &[0xff; 100_000]] {
        let signature = chosen.sign(message).unwrap();
        assert_eq!(signature, private.sign(message).unwrap());
        written.verify_strict(message, &signature).unwrap();
    }
}

#[test]
fn a_key_in_an_agent_is_found_by_each_of_its_four_names() {
    let agent = OpenSsh::start();
    agent.add_new("ed25519", "alice");
    agent.add_new("ed25519", "bob");
    agent.add_new("rsa", "carol");
    let list = agent.client().identities().unwrap();
    assert_eq!(list.len(), 3);
    for identity in &list {
        // ssh-add prints the same fingerprint.
        assert!(agent.list().contains(&identity.fingerprint()), "{}", agent.list());
    }
    let bob = list.iter().find(|identity| identity.comment() == "bob").unwrap();
    let key = bob.key().unwrap();
    assert_eq!(ssh_fingerprint(key), bob.fingerprint());
    let client = agent.client();
    for name in ["bob", &bob.fingerprint(), key.id().as_str()] {
        assert_eq!(client.choose(name).unwrap().public(), key, "{name}");
    }
    // The empty name stands for the agent's only key. It is an error if the agent has several.
    match client.choose("") {
        Err(ChooseError::Several { which }) => assert_eq!(which.len(), 2, "{which:?}"),
        other => panic!("{other:?}"),
    }
    assert!(agent.ssh_add(&["-d", "ed25519-alice"]).status.success());
    assert_eq!(client.choose("").unwrap().public(), key);

    let fingerprint = bob.fingerprint();
    for unknown in [
        "alice",
        "Bob",
        "bo",
        "bob ",
        &fingerprint[7..],
        &fingerprint[..49],
        &format!("{fingerprint}="),
        &fingerprint.replace("SHA256", "sha256"),
        "SHA256:",
        "MD5:00:11",
    ] {
        match client.choose(unknown) {
            Err(ChooseError::Unknown { there }) => assert_eq!(there.len(), 2, "{unknown}"),
            other => panic!("{unknown}: {other:?}"),
        }
    }
    match client.choose("carol") {
        Err(ChooseError::Unfit(found)) => assert_eq!(found.kind(), "an RSA key"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_comment_never_passes_for_an_id_or_a_fingerprint() {
    let agent = OpenSsh::start();
    let (mine, other) = (key(1), key(2));
    let id = mine.public().id().to_string();
    let fingerprint = ssh_fingerprint(mine.public());
    let client = agent.client();
    for comment in [&id, &fingerprint] {
        client.add(&other, comment, Constraints::default()).unwrap();
        assert!(matches!(client.choose(comment), Err(ChooseError::Unknown { .. })), "{comment}");
    }
    client.add(&mine, "mine", Constraints::default()).unwrap();
    assert_eq!(client.choose(&id).unwrap().public(), mine.public());
    assert_eq!(client.choose(&fingerprint).unwrap().public(), mine.public());
    // If two keys have the same comment, neither is chosen.
    client.add(&key(3), "mine", Constraints::default()).unwrap();
    assert!(matches!(client.choose("mine"), Err(ChooseError::Several { .. })));
}

#[test]
fn an_added_key_is_shown_by_ssh_add_and_used_by_openssh() {
    let agent = OpenSsh::start();
    let key = key(7);
    agent.client().add(&key, "agent of alice", Constraints::default()).unwrap();
    let line = format!("256 {} agent of alice (ED25519)\n", ssh_fingerprint(key.public()));
    assert_eq!(agent.list(), line);
    let public = String::from_utf8(agent.ssh_add(&["-L"]).stdout).unwrap();
    assert_eq!(public, format!("{}\n", format::openssh(key.public(), "agent of alice").trim_end()));
    // ssh-keygen signs with the key through the agent, and finds the signature valid.
    let folder = agent.folder.path();
    fs::write(folder.join("key.pub"), &public).unwrap();
    fs::write(folder.join("text"), "hello").unwrap();
    let signed = std::process::Command::new("ssh-keygen")
        .args(["-Y", "sign", "-f", "key.pub", "-n", "file", "text"])
        .env("SSH_AUTH_SOCK", agent.socket())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    assert_eq!(agent.client().choose("").unwrap().public(), key.public());
}

#[test]
fn a_key_in_an_agent_ends_with_its_lifetime() {
    let agent = OpenSsh::start();
    let (short, long) = (key(7), key(8));
    let client = agent.client();
    let constraints = Constraints { lifetime: Some(2), ..Constraints::default() };
    client.add(&short, "short", constraints).unwrap();
    client.add(&long, "long", Constraints::default()).unwrap();
    let chosen = client.choose("short").unwrap();
    chosen.sign(b"message").unwrap();
    within_a_minute("the key expires", || !agent.list().contains("short"));
    assert!(matches!(agent_error(&chosen), AgentError::Removed));
    assert!(matches!(client.choose("short"), Err(ChooseError::Unknown { .. })));
    // After the last key is removed, the agent is empty.
    let chosen = client.choose("long").unwrap();
    assert!(agent.ssh_add(&["-D"]).status.success());
    assert!(matches!(agent_error(&chosen), AgentError::Empty));
    assert!(matches!(client.choose(""), Err(ChooseError::Agent(AgentError::Empty))));
    // An agent treats a lifetime of zero as unlimited.
    let constraints = Constraints { lifetime: Some(0), ..Constraints::default() };
    assert!(matches!(client.add(&short, "short", constraints), Err(AgentError::NotTaken)));
    assert!(client.identities().unwrap().is_empty());
}

#[test]
fn a_confirmed_key_signs_only_after_a_yes() {
    let constraints = Constraints { confirm: true, ..Constraints::default() };
    for says_yes in [true, false] {
        let agent = OpenSsh::start_with_askpass(says_yes);
        let key = key(7);
        agent.client().add(&key, "asks", constraints).unwrap();
        let chosen = agent.client().choose("asks").unwrap();
        if says_yes {
            assert_eq!(chosen.sign(b"message").unwrap(), key.sign(b"message").unwrap());
        } else {
            assert!(matches!(agent_error(&chosen), AgentError::Declined));
        }
    }
}

#[test]
fn a_locked_agent_says_so_and_works_again() {
    let agent = OpenSsh::start();
    agent.add_new("ed25519", "alice");
    let chosen = agent.client().choose("alice").unwrap();
    agent.lock("-x");
    assert!(matches!(agent_error(&chosen), AgentError::Empty));
    assert!(matches!(agent.client().choose("alice"), Err(ChooseError::Agent(AgentError::Empty))));
    let added = agent.client().add(&key(7), "new", Constraints::default());
    assert!(matches!(added, Err(AgentError::NotTaken)));
    agent.lock("-X");
    chosen.sign(b"message").unwrap();
    assert_eq!(agent.client().identities().unwrap().len(), 1);
}

#[test]
fn a_killed_agent_is_an_error_and_a_new_agent_at_its_path_serves() {
    let mut agent = OpenSsh::start();
    agent.client().add(&key(7), "k", Constraints::default()).unwrap();
    let chosen = agent.client().choose("").unwrap();
    agent.kill();
    assert!(matches!(agent_error(&chosen), AgentError::Gone { .. }));
    let nowhere = Agent::at(agent.folder.path().join("nothing"));
    assert!(matches!(nowhere.identities(), Err(AgentError::Gone { .. })));
    let a_file = agent.folder.path().join("file");
    script(&a_file, "");
    assert!(matches!(Agent::at(a_file).identities(), Err(AgentError::Gone { .. })));
    let too_long = Agent::at("/tmp/".to_owned() + &"x".repeat(200));
    assert!(matches!(too_long.identities(), Err(AgentError::Gone { .. })));
}

#[test]
fn a_message_too_long_for_an_agent_is_not_sent() {
    let agent = OpenSsh::start();
    agent.client().add(&key(7), "k", Constraints::default()).unwrap();
    let chosen = agent.client().choose("").unwrap();
    let error = chosen.sign(&vec![0; 262_144]).unwrap_err();
    assert!(error.to_string().contains("more than an ssh-agent takes"), "{error}");
    chosen.sign(b"the next one").unwrap();
}

#[test]
fn a_signature_by_an_agent_takes_little_time() {
    let agent = OpenSsh::start();
    agent.client().add(&key(7), "k", Constraints::default()).unwrap();
    let chosen = agent.client().choose("").unwrap();
    let fastest = (0..50).map(|_| {
        let start = Instant::now();
        chosen.sign(&[7; 500]).unwrap();
        start.elapsed()
    });
    let fastest = fastest.min().unwrap();
    // The limit is far above the usual time, and far below the time of a second connection attempt.
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
}
