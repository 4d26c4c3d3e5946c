//! Tests of `connect --print-config`, which prints the configuration of a client: clients accept
//! it, and it contains no secret.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::program::{BINARY, command, err, folder};

const URL: &str = "https://mcp.example.com/mcp";

fn print(folder: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command(folder);
    command.args(["connect", "--print-config"]).args(flags).arg(URL);
    command.envs(variables.iter().copied()).output().unwrap()
}

/// Returns the arguments in the configuration for the client `generic`.
fn arguments(output: &Output) -> Vec<String> {
    assert_eq!(output.status.code(), Some(0), "{}", err(output));
    let block: Value = serde_json::from_slice(&output.stdout).unwrap();
    let arguments = block["args"].as_array().unwrap();
    arguments.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_configuration_is_what_a_client_takes() {
    let folder = folder();
    for (client, at) in [
        ("claude", "/mcpServers/mcp-example-com"),
        ("cursor", "/mcpServers/mcp-example-com"),
        ("vscode", "/servers/mcp-example-com"),
        ("generic", ""),
    ] {
        let output =
            print(folder.path(), &[client, "-k", "key.json", "--client-id", "laptop"], &[]);
        let block: Value = serde_json::from_slice(&output.stdout).unwrap();
        let entry = block.pointer(at).unwrap();
        assert_eq!(entry["command"], BINARY);
        let key = folder.path().join("key.json");
        let expected = ["connect", "--key", key.to_str().unwrap(), "--client-id", "laptop", URL];
        assert_eq!(entry["args"], serde_json::json!(expected));
    }
}

#[test]
fn the_key_is_named_by_its_whole_path_however_it_was_given() {
    let folder = folder();
    let key = folder.path().join("key.json");
    let expected = ["connect", "--key", key.to_str().unwrap(), URL];
    for (flags, variables) in [
        (&["generic", "-k", "key.json"][..], &[][..]),
        (&["generic", "-k", "./key.json"], &[]),
        (&["generic"], &[("MCPID_KEY", "key.json")]),
        (&["generic", "-k", "key.json"], &[("MCPID_KEY", "other.json")]),
    ] {
        let output = print(folder.path(), flags, variables);
        assert_eq!(arguments(&output), expected, "{flags:?} {variables:?}");
    }
}

#[test]
fn a_printed_configuration_refers_to_a_header_file_for_tokens() {
    let folder = folder();
    let file = folder.path().join(".config/mcpid/mcp-example-com.headers");
    let by_file = format!("@{}", file.display());
    for (header, line) in [
        ("Authorization: Bearer ${TOKEN}", "authorization: Bearer TOKEN"),
        ("Authorization: Bearer s3cret", "authorization: Bearer TOKEN"),
        ("X-Api-Key: s3cret", "x-api-key: TOKEN"),
        ("X-Tenant: ${A_LONG_NAME}", "x-tenant: TOKEN"),
    ] {
        for variables in [&[][..], &[("TOKEN", "v4riable")]] {
            let flags = ["generic", "-k", "key.json", "-H", header, "-H", "X-Team: blue"];
            let output = print(folder.path(), &flags, variables);
            let arguments = arguments(&output);
            assert_eq!(arguments[3..7], ["--header", "X-Team: blue", "--header", &by_file]);
            let said = err(&output);
            let folder = file.parent().unwrap().display();
            let hint = format!(
                "(umask 077; mkdir -p {folder} && printf '%s\\n' '{line}' >{})",
                file.display()
            );
            assert!(said.contains(&hint), "{hint} is not in {said}");
            let all = format!("{output:?}");
            assert!(!all.contains("s3cret") && !all.contains("v4riable"), "{all}");
        }
    }
    // The configuration contains the absolute path of the keyfile, which need not exist yet.
    let output = print(folder.path(), &["generic", "-k", "key.json", "-H", "@later"], &[]);
    let later = format!("@{}", folder.path().join("later").display());
    assert_eq!(arguments(&output)[3..5], ["--header", &later]);
    // A header field that can never be sent is refused at once.
    for header in ["Host: x", "no colon", "X: a\rb", "Accept-Encoding: gzip"] {
        let output = print(folder.path(), &["generic", "-k", "key.json", "-H", header], &[]);
        assert_eq!(output.status.code(), Some(2), "{header}: {output:?}");
    }
}

#[test]
fn the_line_of_the_hint_makes_a_file_that_connect_reads() {
    let folder = folder();
    let flags = ["generic", "-k", "key.json", "-H", "Authorization: Bearer ${TOKEN}"];
    let output = print(folder.path(), &flags, &[]);
    let said = err(&output);
    let line = said.split("hint: ").nth(1).unwrap().lines().next().unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", line]);
    assert!(shell.status().unwrap().success(), "{line}");
    let file = folder.path().join(".config/mcpid/mcp-example-com.headers");
    let made = std::fs::read_to_string(&file).unwrap();
    assert_eq!(made, "authorization: Bearer TOKEN\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_printed_configuration_keeps_every_flag() {
    let folder = folder();
    let audit = folder.path().join("log");
    let flags = [
        "generic",
        "-k",
        "key.json",
        "--profile",
        "sep2752",
        "--ttl",
        "none",
        "--max-body",
        "1000",
        "--timeout",
        "5m",
        "--confirm",
        "destructive",
        "--confirm-via",
        "askpass",
        "--confirm-timeout",
        "9s",
        "--audit",
        "log",
        "--audit-policy",
        "best-effort",
        "--audit-bodies",
        "--audit-redact",
        "tools/call:*:arguments.password",
        "--audit-sync",
        "checkpoint",
    ];
    let arguments = arguments(&print(folder.path(), &flags, &[]));
    for (flag, value) in [
        ("--profile", "sep2752"),
        ("--ttl", "none"),
        ("--max-body", "1000"),
        ("--timeout", "300s"),
        ("--confirm", "destructive"),
        ("--confirm-via", "askpass"),
        ("--confirm-timeout", "9s"),
        ("--audit", audit.to_str().unwrap()),
        ("--audit-policy", "best-effort"),
        ("--audit-redact", "tools/call:*:arguments.password"),
        ("--audit-sync", "checkpoint"),
    ] {
        let at = arguments.iter().position(|word| word == flag);
        assert_eq!(arguments[at.unwrap_or_else(|| panic!("{flag} is lost")) + 1], value);
    }
    assert!(arguments.contains(&"--audit-bodies".to_owned()));
}
