//! Tests of `--audit-key`: the private key that signs the audit log is in a program, a token, an
//! agent or a keyfile with a passphrase.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::bridge::RunningBridge;
use crate::cli::with_keyfile;
use crate::home::{Home, ends, out};

const KEY: [&str; 2] = ["--audit-key", "exec:/bin/sh log-sign"];
const ELSEWHERE: &str = "the private key of the log in log is not in its folder";
const GATEWAY: [&str; 11] = [
    "gateway",
    "--nonces",
    "memory:",
    "--listen",
    "127.0.0.1:0",
    "--upstream",
    "http://127.0.0.1:9/mcp",
    "--origin",
    "https://mcp.example.com",
    "-r",
    "trust.json",
];
const AUTHZ: [&str; 9] = [
    "authz",
    "--nonces",
    "memory:",
    "--listen",
    "127.0.0.1:0",
    "--origin",
    "https://mcp.example.com",
    "-r",
    "trust.json",
];
const CONNECT: [&str; 4] = ["connect", "-k", "key.json", "http://127.0.0.1:9/mcp"];
const VERIFY: [&str; 11] = [
    "audit",
    "verify",
    "--audit",
    "log",
    "--log-key",
    "kept.pub",
    "--checkpoint",
    "log/checkpoint",
    "-r",
    "trust.json",
    "--allow-erased",
];

/// Returns a home with the keyfile `key.json`, whose key `trust.json` trusts, and the program
/// `log-sign` with the key in `key.pem`. The program fails while a file `broken` exists.
fn home() -> Home {
    let home = Home::new();
    home.write("log-sign", "test -e broken && exit 1; exec bash sign key.pem");
    ends(&home.mcpid(&["keygen", "-o", "key.json", "--no-passphrase"]), 0, "");
    ends(&home.mcpid(&["trust", "add", "-r", "trust.json", "--name", "me", "key.json"]), 0, "");
    home
}

/// Creates the audit log, and copies its public key to `kept.pub`.
fn init(home: &Home) {
    let args = ["audit", "init", "--audit", "log", "--name", "me/audit"];
    let made = home.mcpid(&[&args[..], &KEY, &["--public-key", "public.pem"]].concat());
    ends(&made, 0, "mcpid gateway --audit log --audit-key KEY --upstream URL --origin ORIGIN");
    home.write("kept.pub", &out(&made));
    assert!(!home.path().join("log/log-key.json").exists());
}

/// Runs a bridge, which writes an entry for each of `count` requests before it fails to connect.
fn writes(command: &mut Command, count: u32) {
    let mut bridge = RunningBridge::start(command);
    for id in 0..count {
        let message = bridge.error_of(id);
        assert!(message.contains("connection refused"), "{message}");
    }
    bridge.ends_well();
}

#[test]
fn a_log_signed_by_a_program_is_written_archived_and_erased_with_its_key_only() {
    let home = home();
    init(&home);
    let audit = ["--audit", "log"];
    writes(&mut home.command(&[&CONNECT[..], &audit, &KEY].concat()), 3);
    let verified = home.mcpid(&VERIFY);
    ends(&verified, 0, "");
    let archive = ["audit", "archive", "--before", "0s", "--to", "old", "--audit", "log"];
    let erase = ["audit", "erase", "1", "--reason", "a request", "--audit", "log"];
    for args in [&archive[..], &erase, &[&CONNECT[..], &audit].concat()] {
        let refused = home.mcpid(args);
        ends(&refused, 4, ELSEWHERE);
        ends(&refused, 4, "mcpid: hint: where is it? --audit-key KEYFILE|ssh-agent:ID|");
    }
    assert!(!home.path().join("old").exists());
    ends(&home.mcpid(&[&archive[..], &KEY].concat()), 0, "nothing to archive");
    home.write("broken", "");
    let why = "the key of the log: the program sh did not sign: exit code 1";
    ends(&home.mcpid(&[&erase[..], &KEY].concat()), 4, why);
    fs::remove_file(home.path().join("broken")).unwrap();
    ends(&home.mcpid(&[&erase[..], &KEY].concat()), 0, "");
    ends(&home.mcpid(&VERIFY), 0, "");
}

#[test]
fn a_server_starts_only_with_a_key_of_its_log_that_signs() {
    let home = home();
    init(&home);
    home.openssl("genpkey -algorithm ed25519 -out other.pem");
    home.write("broken", "");
    let audit = ["--audit", "log"];
    for server in [&GATEWAY[..], &AUTHZ] {
        let with = |more: &[&str]| home.mcpid(&[server, &audit, more].concat());
        ends(&with(&[]), 4, ELSEWHERE);
        ends(&with(&["--check-config"]), 4, ELSEWHERE);
        ends(&with(&KEY), 4, "the key of the log: the program sh did not sign: exit code 1");
        let lied = "the key of the log: the program bash returned a signature that does not hold";
        ends(&with(&["--audit-key", "exec:bash sign other.pem"]), 4, lied);
        let file = with(&["--audit-key", "key.json"]);
        ends(&file, 4, "mcpid: --audit-key: the key is ");
        ends(&file, 4, ", and the key of the log is ");
        ends(&with(&["--audit-key", "absent.json"]), 3, "--audit-key: ");
        ends(
            &with(&["--audit-key", "keychain:x"]),
            2,
            "--audit-key: keychain: is no source of keys",
        );
        ends(&with(&["--audit-key", "exec:"]), 2, "--audit-key: exec: names no program");
        // `--check-config` looks for the key, and does not let it sign.
        ends(&with(&[&KEY[..], &["--check-config"]].concat()), 0, "");
        ends(&home.mcpid(&[server, &KEY].concat()), 2, "--audit is missing");
    }
    ends(&home.mcpid(&[&CONNECT[..], &KEY].concat()), 2, "--audit is missing");
}

#[test]
fn a_key_of_a_log_that_is_made_is_checked_before_anything_is_written() {
    let home = home();
    let init = ["audit", "init", "--audit", "log", "--audit-key"];
    let made = |more: &[&str]| home.mcpid(&[&init[..], more].concat());
    ends(&made(&["exec:bash sign key.pem"]), 2, "exec: needs --public-key");
    home.write("broken", "");
    let broken = made(&["exec:/bin/sh log-sign", "--public-key", "public.pem"]);
    ends(&broken, 4, "the key of the log: the program sh did not sign: exit code 1");
    if cfg!(feature = "p256") {
        let p256 = ["keygen", "-o", "p256.json", "--algorithm", "p256", "--no-passphrase"];
        ends(&home.mcpid(&p256), 0, "");
        ends(&made(&["p256.json"]), 4, "it is not an Ed25519 key");
    }
    let alone = ["audit", "init", "--audit", "log", "--public-key", "public.pem"];
    ends(&home.mcpid(&alone), 2, "--audit-key is missing");
    ends(&made(&["key.json", "--after-key", "key.json"]), 2, "--after is missing");
    assert!(!home.path().join("log").exists());
}

#[test]
fn a_log_is_followed_by_one_with_a_key_elsewhere_and_back() {
    let home = home();
    ends(&home.mcpid(&["audit", "init", "--audit", "first", "--name", "me/1"]), 0, "");
    let second = ["audit", "init", "--audit", "log", "--name", "me/2", "--after", "first"];
    let key = [&KEY[..], &["--public-key", "public.pem"]].concat();
    ends(&home.mcpid(&[&second[..], &key].concat()), 0, "");
    let third = ["audit", "init", "--audit", "third", "--name", "me/3", "--after", "log"];
    let refused = home.mcpid(&third);
    ends(&refused, 4, ELSEWHERE);
    ends(&refused, 4, "mcpid: hint: where is it? --after-key KEYFILE|");
    assert!(!home.path().join("third").exists());
    let back = [&third[..], &["--after-key", "exec:/bin/sh log-sign"]].concat();
    ends(&home.mcpid(&back), 0, "");
    let closed = home.mcpid(&[&GATEWAY[..], &["--audit", "log"], &KEY].concat());
    ends(&closed, 5, "the log in log is closed: ");
}

#[test]
fn a_sealed_keyfile_signs_a_log_and_its_passphrase_is_not_that_of_the_other_key() {
    let home = home();
    home.write("words", "correct horse battery\n");
    let keygen = ["keygen", "-o", "log.json", "--passphrase-file", "words"];
    ends(&home.mcpid(&keygen), 0, "");
    let key = ["--audit-key", "log.json"];
    let file = ["--audit-passphrase-file", "words"];
    let init = ["audit", "init", "--audit", "log"];
    let made = home.mcpid(&[&init[..], &key, &file].concat());
    ends(&made, 0, "");
    home.write("kept.pub", &out(&made));
    let connect = [&CONNECT[..], &["--audit", "log"], &key].concat();
    writes(&mut home.command(&[&connect[..], &file].concat()), 1);
    ends(&home.mcpid(&VERIFY), 0, "");
    let mut command = Command::new("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_mcpid")]).args(&connect).stdin(Stdio::null());
    command
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("MCPID_PASSPHRASE", "correct horse battery");
    command.env_remove("MCPID_ASKPASS").env_remove("SSH_ASKPASS");
    let none = "no passphrase for the audit log's key: there is no terminal to ask on, and none of \
                --audit-passphrase-file, MCPID_ASKPASS and SSH_ASKPASS is given";
    ends(&command.output().unwrap(), 4, none);
    home.write("wrong", "incorrect\n");
    let wrong = ["--audit-passphrase-file", "wrong"];
    ends(&home.mcpid(&[&connect[..], &wrong].concat()), 4, "wrong passphrase for log.json");
    let alone = [&CONNECT[..], &["--audit", "log"], &file].concat();
    ends(&home.mcpid(&alone), 2, "--audit-key is missing");
    // If a private key is in the log's folder although the log uses another, the error names the
    // file.
    let copy = ["keygen", "-o", "log/log-key.json", "--no-passphrase"];
    ends(&home.mcpid(&copy), 0, "");
    let erase = ["audit", "erase", "9", "--reason", "x", "--audit", "log"];
    let warned = home.mcpid(&[&erase[..], &key, &file].concat());
    ends(&warned, 3, "warning: log/log-key.json");
    ends(&warned, 3, "the log has no entry 9");
}

#[test]
fn a_key_in_an_agent_signs_a_log() {
    let (agent, _) = with_keyfile();
    agent.add_new("ed25519", "audit");
    let key = ["--audit-key", "ssh-agent:audit"];
    let made = agent.mcpid(&[&["audit", "init", "--audit", "log"][..], &key].concat());
    ends(&made, 0, "");
    fs::write(agent.folder.path().join("kept.pub"), out(&made)).unwrap();
    ends(&agent.mcpid(&["trust", "add", "-r", "trust.json", "key.json"]), 0, "");
    let connect = [&CONNECT[..], &["--audit", "log"], &key].concat();
    let mut command = crate::home::command_in(agent.folder.path(), &connect);
    writes(command.env("SSH_AUTH_SOCK", agent.socket()), 1);
    ends(&agent.mcpid(&VERIFY), 0, "");
    let absent = [&CONNECT[..], &["--audit", "log", "--audit-key", "ssh-agent:absent"]].concat();
    ends(&agent.mcpid(&absent), 4, "--audit-key: the ssh-agent has no Ed25519 or P-256 key called");
}

#[cfg(feature = "pkcs11")]
#[test]
fn a_key_in_a_token_signs_a_log() {
    use crate::pkcs11::Token;

    let token = Token::with(&[("EC:edwards25519", "audit"), ("EC:prime256v1", "other")]);
    let mcpid = |args: &[&str]| token.mcpid(args);
    ends(&mcpid(&["keygen", "-o", "key.json", "--no-passphrase"]), 0, "");
    ends(&mcpid(&["trust", "add", "-r", "trust.json", "key.json"]), 0, "");
    let (key, pin) = (["--audit-key", "pkcs11:object=audit"], ["--audit-passphrase-file", "pin"]);
    let init = ["audit", "init", "--audit", "log"];
    let other = ["--audit-key", "pkcs11:object=other"];
    ends(&mcpid(&[&init[..], &other, &pin].concat()), 4, "it is not an Ed25519 key");
    let made = mcpid(&[&init[..], &key, &pin].concat());
    ends(&made, 0, "");
    fs::write(token.path().join("kept.pub"), out(&made)).unwrap();
    let connect = [&CONNECT[..], &["--audit", "log"], &key, &pin].concat();
    writes(&mut token.program(&connect), 2);
    ends(&mcpid(&VERIFY), 0, "");
    let absent = ["--audit-key", "pkcs11:object=absent"];
    let refused = mcpid(&[&CONNECT[..], &["--audit", "log"], &absent, &pin].concat());
    ends(&refused, 4, "--audit-key: ");
}

#[test]
fn a_configuration_names_a_program_by_a_list() {
    let home = home();
    fs::rename(home.path().join("key.pem"), home.path().join("my key.pem")).unwrap();
    let audit = ["audit", "init", "--audit", "log", "--public-key", "public.pem", "--audit-key"];
    ends(&home.mcpid(&[&audit[..], &[r#"exec:["bash","sign","my key.pem"]"#]].concat()), 0, "");
    let check = |line: &str| -> Output {
        home.write("gateway.toml", &format!("audit = \"log\"\n{line}\n"));
        home.mcpid(&[&GATEWAY[..], &["--config", "gateway.toml", "--check-config"]].concat())
    };
    ends(&check(r#"audit-key = ["exec", "bash", "sign", "my key.pem"]"#), 0, "");
    let form = r#"it is ["exec", "/PATH/PROGRAM", "ARG"]"#;
    for (value, words) in [
        ("[]", format!("is an empty list; {form}, or a text")),
        (r#"["exec"]"#, format!("names no program; {form}")),
        (r#"["exec", ""]"#, "exec: names no program".to_owned()),
        (r#"["bash", "sign"]"#, format!("does not begin with \"exec\"; {form}")),
        (r#"["exec:bash", "sign"]"#, format!("does not begin with \"exec\"; {form}")),
        (r#"["pkcs11", "x"]"#, format!("does not begin with \"exec\"; {form}")),
        (r#"["exec", "bash", 1]"#, "is a list of texts in quotes".to_owned()),
        (r#"["exec", "bash", ["x"]]"#, "is a list of texts in quotes".to_owned()),
        (r#"["exec", true]"#, "is a list of texts in quotes".to_owned()),
        (r#"["exec", "./sign"]"#, "names a program by a relative path".to_owned()),
        (r#"["exec", "../bin/sign", "x"]"#, "names a program by a relative path".to_owned()),
        (r#"["exec", "bash", "swordfish\u0000"]"#, "has a NUL character".to_owned()),
        (r#"["exec", "ba\u0000sh"]"#, "has a NUL character".to_owned()),
    ] {
        let refused = check(&format!("audit-key = {value}"));
        ends(&refused, 2, "gateway.toml: line 2: \"audit-key\" ");
        ends(&refused, 2, &words);
        assert!(!String::from_utf8_lossy(&refused.stderr).contains("swordfish"));
    }
    // In the settings file, only a flag that takes a key can have a list as its value.
    ends(&check(r#"log = ["exec", "x"]"#), 2, "\"log\" takes one value, not a list");
    // The public key for signing tool lists is given by its own flag.
    let tools = r#"mode = "permissive"
strict = ["destructive"]
tools-key = ["exec", "bash", "sign", "my key.pem"]"#;
    let needs =
        "--tools-key: a program is not asked which key it has: exec: needs --tools-public-key";
    ends(&check(&format!("audit-key = \"exec:bash\"\n{tools}")), 2, needs);
    let pinned = format!("{tools}\ntools-public-key = \"public.pem\"\nlearned-tools = \"t.json\"");
    ends(&check(&format!("audit-key = \"exec:bash\"\n{pinned}")), 0, "");
}
