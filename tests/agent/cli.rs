//! Tests of `-k ssh-agent:` and `mcpid agent` on the command line.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use mcpid::key::agent::ssh_fingerprint;
use mcpid::key::{SecretKey, Sign};

use crate::bridge::RunningBridge;
use crate::home::{BODY, command_in};
pub(crate) use crate::home::{ends, out};
use crate::servers::{Fake, OpenSsh, blob, listed, reply, signed, within_a_minute};

const SIGN: &[&str] = &["sign", "--url", "https://mcp.example.com/mcp", "body.json"];

/// Runs `mcpid` in `folder`, which is also its home directory, with the ssh-agent at `socket`.
pub(crate) fn mcpid(folder: &Path, socket: Option<&Path>, args: &[&str]) -> Output {
    fs::write(folder.join("body.json"), BODY).unwrap();
    let mut command = command_in(folder, args);
    if let Some(socket) = socket {
        command.env("SSH_AUTH_SOCK", socket);
    }
    command.output().unwrap()
}

/// Starts an ssh-agent. Its folder contains `key.json`, a keyfile without a passphrase, whose key
/// has the name alice.
pub(crate) fn with_keyfile() -> (OpenSsh, SecretKey) {
    with_keyfile_beside(OpenSsh::start())
}

pub(crate) fn with_keyfile_beside(agent: OpenSsh) -> (OpenSsh, SecretKey) {
    // Any seed will do here, but not one of the well-known test seeds, which the program refuses.
    let seed: [u8; 32] = std::array::from_fn(|n| (n * n + 7) as u8);
    let key = SecretKey::from_seed(&seed);
    let folder = agent.folder.path();
    let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(folder.join("seed"), hex).unwrap();
    let made = [
        "keygen",
        "-q",
        "-o",
        "key.json",
        "--import",
        "seed",
        "--no-passphrase",
        "--name",
        "alice",
    ];
    ends(&mcpid(folder, None, &made), 0, "");
    (agent, key)
}

impl OpenSsh {
    pub(crate) fn mcpid(&self, args: &[&str]) -> Output {
        mcpid(self.folder.path(), Some(&self.socket()), args)
    }

    fn sign(&self, key: &str) -> Output {
        self.mcpid(&[SIGN, &["-k", key]].concat())
    }
}

#[test]
fn a_key_added_to_an_agent_signs_what_verify_accepts() {
    let (agent, key) = with_keyfile();
    let added = agent.mcpid(&["agent", "add", "-k", "key.json"]);
    let fingerprint = ssh_fingerprint(key.public());
    ends(&added, 0, &format!("mcpid: it can sign from now on: -k ssh-agent:{fingerprint}\n"));
    assert_eq!(out(&added).trim_end(), key.public().id().as_str());
    assert_eq!(agent.list(), format!("256 {fingerprint} alice (ED25519)\n"));

    ends(&agent.mcpid(&["trust", "add", "-r", "trust.json", "ssh-agent:alice"]), 0, "");
    for name in ["ssh-agent:", "ssh-agent:alice", &format!("ssh-agent:{fingerprint}")] {
        let args = ["sign", "-k", name, "--url", "https://mcp.example.com/mcp", "--format", "http"];
        let signed = agent.mcpid(&[&args[..], &["body.json"]].concat());
        ends(&signed, 0, "");
        fs::write(agent.folder.path().join("signed.http"), &signed.stdout).unwrap();
        let verified = agent.mcpid(&["verify", "-r", "trust.json", "signed.http"]);
        ends(&verified, 0, "");
        assert!(out(&verified).starts_with("accepted"), "{}", out(&verified));
    }
    let exported = agent.mcpid(&["export", "-k", "ssh-agent:", "--format", "thumbprint"]);
    assert_eq!(out(&exported).trim_end(), key.public().id().as_str());
    let json = agent.mcpid(&[
        "sign",
        "--json",
        "-k",
        "ssh-agent:",
        "--url",
        "http://localhost/",
        "body.json",
    ]);
    assert!(out(&json).contains(r#""name":"alice""#), "{}", out(&json));
}

#[test]
fn the_variable_names_a_key_in_the_agent_too() {
    let (agent, key) = with_keyfile();
    ends(&agent.mcpid(&["agent", "add", "-k", "key.json"]), 0, "");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpid"));
    command.args(["export", "--format", "thumbprint"]).env("MCPID_KEY", "ssh-agent:alice");
    let exported = command.env("SSH_AUTH_SOCK", agent.socket()).output().unwrap();
    assert_eq!(out(&exported).trim_end(), key.public().id().as_str());
    // A command that creates or changes a keyfile refuses the name of a key in an agent.
    for act in [&["keygen"][..], &["passwd"], &["agent", "add"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcpid"));
        command.args(act).env("MCPID_KEY", "ssh-agent:alice");
        let refused = command.env("SSH_AUTH_SOCK", agent.socket()).output().unwrap();
        ends(&refused, 2, "mcpid: MCPID_KEY names a key in the ssh-agent; a keyfile is needed");
    }
    ends(
        &agent.mcpid(&["keygen", "-o", "ssh-agent:x"]),
        2,
        "--output names a key in the ssh-agent",
    );
    assert!(!agent.folder.path().join("ssh-agent:x").exists());
}

#[test]
fn an_agent_saves_further_questions_for_a_passphrase() {
    let agent = OpenSsh::start();
    let folder = agent.folder.path();
    fs::write(folder.join("pass"), "correct horse").unwrap();
    ends(&agent.mcpid(&["keygen", "-q", "-o", "k.json", "--passphrase-file", "pass"]), 0, "");
    ends(&agent.mcpid(&["agent", "add", "-k", "k.json"]), 4, "no passphrase");
    fs::write(folder.join("wrong"), "incorrect").unwrap();
    let wrong = agent.mcpid(&["agent", "add", "-k", "k.json", "--passphrase-file", "wrong"]);
    ends(&wrong, 4, "wrong passphrase for k.json");
    assert!(agent.client().identities().unwrap().is_empty());
    let json = ["agent", "add", "--json", "--lifetime", "8h", "-k", "k.json", "--passphrase-file"];
    let added = agent.mcpid(&[&json[..], &["pass"]].concat());
    ends(&added, 0, "");
    assert!(out(&added).contains(r#""lifetime":28800,"ask":false}"#), "{}", out(&added));
    ends(&agent.sign("ssh-agent:"), 0, "");
    let args = [SIGN, &["-k", "ssh-agent:", "--passphrase-file", "pass"]].concat();
    ends(&agent.mcpid(&args), 0, "the key is in the ssh-agent; the passphrase is not used");
}

#[test]
fn a_key_added_with_a_lifetime_expires_in_the_agent() {
    let (agent, _) = with_keyfile();
    ends(&agent.mcpid(&["agent", "add", "-k", "key.json", "--lifetime", "2s"]), 0, "");
    ends(&agent.sign("ssh-agent:alice"), 0, "");
    within_a_minute("the key expires", || agent.list().contains("no identities"));
    ends(&agent.sign("ssh-agent:alice"), 4, "the ssh-agent shows no keys: it is empty or locked");
    for (lifetime, words) in [
        ("0s", "a key that is forgotten at once is of no use"),
        ("8", "a unit is missing"),
        ("-1s", "not a duration"),
        ("4000d", "longer than ten years"),
        ("none", "not a duration"),
    ] {
        let refused = agent.mcpid(&["agent", "add", "-k", "key.json", "--lifetime", lifetime]);
        ends(&refused, 2, words);
    }
}

#[test]
fn a_key_that_needs_confirmation_signs_only_after_a_yes() {
    for says_yes in [true, false] {
        let agent = OpenSsh::start_with_askpass(says_yes);
        let folder = agent.folder.path();
        ends(&agent.mcpid(&["keygen", "-q", "-o", "k.json", "--no-passphrase"]), 0, "");
        ends(&agent.mcpid(&["agent", "add", "-k", "k.json", "--ask"]), 0, "");
        assert!(folder.join("k.json").exists());
        let signed = agent.sign("ssh-agent:");
        if says_yes {
            ends(&signed, 0, "");
        } else {
            ends(&signed, 4, "the ssh-agent has the key and did not sign");
        }
    }
}

#[test]
fn a_name_without_exactly_one_key_is_refused_with_the_list_of_keys() {
    let (mut agent, key) = with_keyfile();
    let fingerprint = ssh_fingerprint(key.public());
    ends(&agent.sign("ssh-agent:alice"), 4, "mcpid: hint: if it is empty: mcpid agent add");
    ends(&agent.mcpid(&["agent", "add", "-k", "key.json"]), 0, "");
    agent.add_new("rsa", "carol");
    let words =
        format!("no Ed25519 or P-256 key called absent; there are {fingerprint} (alice), SHA256:");
    ends(&agent.sign("ssh-agent:absent"), 4, &words);
    ends(&agent.sign("ssh-agent:carol"), 4, "called carol is an RSA key");
    ends(&agent.sign("ssh-agent:alice"), 0, "");
    agent.add_new("ed25519", "bob");
    let several = agent.sign("ssh-agent:");
    ends(&several, 4, "the ssh-agent has 2 Ed25519 keys; they are SHA256:");
    ends(&several, 4, "mcpid: hint: name one, such as: -k ssh-agent:SHA256:");
    ends(&agent.sign("ssh-agent"), 3, "mcpid: hint: a key in the ssh-agent: -k ssh-agent:");
    for args in
        [&["trust", "add", "-r", "t.json", "ssh-agent:x"][..], &["export", "-k", "ssh-agent:x"]]
    {
        ends(&agent.mcpid(args), 4, "no Ed25519 or P-256 key called x");
    }
    assert!(!agent.folder.path().join("t.json").exists());
    hints_name_the_option_of_the_key(&agent);

    agent.lock("-x");
    ends(&agent.sign("ssh-agent:alice"), 4, "mcpid: hint: if it is locked: ssh-add -X");
    ends(
        &agent.mcpid(&["agent", "add", "-k", "key.json"]),
        4,
        "the ssh-agent did not take the key",
    );
    agent.lock("-X");
    ends(&agent.sign("ssh-agent:alice"), 0, "");

    agent.kill();
    fs::remove_file(agent.socket()).unwrap_or_default();
    ends(&agent.sign("ssh-agent:alice"), 4, "there is no ssh-agent at");
    let folder = agent.folder.path();
    let args = [SIGN, &["-k", "ssh-agent:alice"]].concat();
    ends(&mcpid(folder, None, &args), 4, "there is no ssh-agent: SSH_AUTH_SOCK is not set");
    ends(&mcpid(folder, Some(Path::new("")), &args), 4, "SSH_AUTH_SOCK is not set");
    ends(&mcpid(folder, Some(&folder.join("seed")), &args), 4, "connection refused");
    // The missing agent is reported before the program asks for the passphrase or reads the body.
    ends(&mcpid(folder, None, &["agent", "add", "-k", "key.json"]), 4, "SSH_AUTH_SOCK");
}

/// Hints can be pasted: a key is named by the option that was used. A text of another program, such
/// as the name of a key, is shown as it is.
fn hints_name_the_option_of_the_key(agent: &OpenSsh) {
    agent.add_new("ed25519", "x: -k y");
    let mut init = vec!["audit", "init", "--audit", "log", "--audit-key"];
    ends(&agent.mcpid(&["trust", "add", "-r", "t.json", "key.json"]), 0, "");
    let mut tools = vec!["gateway", "--check-config", "--upstream", "http://127.0.0.1:9/mcp"];
    tools.extend(["--origin", "https://mcp.example.com", "-r", "t.json"]);
    tools.extend(["--mode", "permissive", "--strict", "destructive", "--tools-key"]);
    let mut connect = vec!["connect", "-k", "key.json", "--touch", "destructive", "--touch-key"];
    let touch = [SIGN, &["-k", "key.json", "--touch"]].concat();
    for (command, option) in [
        (&mut vec!["trust", "add", "-r", "t.json", "--allow", "tools/call:get_*"], ""),
        (&mut vec!["export", "-k"], "-k"),
        (&mut init, "--audit-key"),
        (&mut tools, "--tools-key"),
    ] {
        command.push("ssh-agent:");
        let several = agent.mcpid(command);
        let named = format!("{option} ssh-agent:SHA256:");
        let hint = format!("mcpid: hint: name one, such as: {}", named.trim_start());
        ends(&several, 4, &hint);
        ends(&several, 4, " (x: -k y)");
        // `trust add` reads other text as the name of a file.
        if option.starts_with('-') {
            *command.last_mut().unwrap() = "ssh-agent";
            let file = agent.mcpid(command);
            ends(&file, 3, &format!("mcpid: hint: a key in the ssh-agent: {option} ssh-agent:\n"));
            *command.last_mut().unwrap() = "keychain:x";
            let file = agent.mcpid(command);
            ends(&file, 2, &format!("mcpid: hint: a file of that name: {option} ./keychain:x\n"));
        }
    }
    connect.extend(["key.json", "http://127.0.0.1:9/mcp"]);
    for (command, option) in
        [([&touch[..], &["key.json"]].concat(), "--touch"), (connect, "--touch-key")]
    {
        let hint = format!("the only security key of the ssh-agent: {option} ssh-agent:\n");
        ends(&agent.mcpid(&command), 2, &hint);
    }
    assert!(!agent.folder.path().join("log").exists());
}

#[test]
fn a_key_source_that_does_not_exist_is_refused() {
    let (agent, _) = with_keyfile();
    let folder = agent.folder.path();
    let message = "keychain: is no source of keys; a key is a file, ssh-agent:ID, exec:PROGRAM or pkcs11:URI\n";
    for (args, option) in [
        (&[SIGN, &["-k", "keychain:alice"]].concat()[..], "-k"),
        (&["export", "-k", "keychain:alice"], "-k"),
        (&["passwd", "-k", "keychain:alice"], "--key"),
        (&["agent", "add", "-k", "keychain:alice"], "--key"),
        (&["keygen", "--no-passphrase", "-o", "keychain:alice"], "--output"),
    ] {
        let refused = mcpid(folder, None, args);
        ends(&refused, 2, message);
        ends(&refused, 2, &format!("a file of that name: {option} ./keychain:alice\n"));
    }
    assert!(!folder.join("keychain:alice").exists());
    // A file whose name looks like the name of a stored key can be given as `./keychain:alice`.
    fs::copy(folder.join("key.json"), folder.join("keychain:alice")).unwrap();
    let signed = mcpid(folder, None, &[SIGN, &["-k", "./keychain:alice"]].concat());
    assert_eq!(signed.status.code(), Some(0), "{}", String::from_utf8_lossy(&signed.stderr));
}

#[test]
fn a_false_signature_of_an_agent_is_refused() {
    let key = || SecretKey::from_seed(&[9; 32]);
    let agent = Fake::start(move |stream, request| match request[0] {
        11 => {
            let steering = "x\u{1b}[2J\u{202e}";
            reply(stream, &listed(&[(blob(key().public().as_bytes()), steering)]));
        }
        _ => reply(stream, &signed(b"ssh-ed25519", &key().sign(b"something else").unwrap())),
    });
    let folder = agent.folder.path();
    let socket = folder.join("agent");
    let signed = mcpid(folder, Some(&socket), &[SIGN, &["-k", "ssh-agent:"]].concat());
    ends(&signed, 4, "mcpid: the ssh-agent sent a signature that does not hold");
    // Control characters in the comment of a key in the agent do not reach the terminal.
    let unknown = mcpid(folder, Some(&socket), &[SIGN, &["-k", "ssh-agent:y"]].concat());
    ends(&unknown, 4, r"(x\u{1b}[2J\u{202e})");
}

#[test]
fn a_bridge_outlives_its_agent() {
    let (mut agent, _) = with_keyfile();
    ends(&agent.mcpid(&["agent", "add", "-k", "key.json"]), 0, "");
    // No server listens at this address. The bridge therefore fails in one of two ways: when it
    // connects (it has signed), or before (it could not sign).
    let connect = ["connect", "-k", "ssh-agent:alice", "http://127.0.0.1:9/mcp"];
    let mut command = command_in(agent.folder.path(), &connect);
    let mut bridge = RunningBridge::start(command.env("SSH_AUTH_SOCK", agent.socket()));
    let mut ask = |id: u32| bridge.error_of(id);
    let refused = "connection refused";
    assert!(ask(1).contains(refused));
    agent.lock("-x");
    let locked = ask(2);
    assert!(locked.contains("the ssh-agent shows no keys: it is empty or locked"), "{locked}");
    agent.lock("-X");
    assert!(ask(3).contains(refused));
    assert!(agent.ssh_add(&["-D"]).status.success());
    agent.add_new("ed25519", "bob");
    let removed = ask(4);
    assert!(removed.contains("the ssh-agent has the key no longer"), "{removed}");
    agent.kill();
    let gone = ask(5);
    assert!(gone.contains("there is no ssh-agent at"), "{gone}");
    bridge.ends_well();
}
