//! Lists the commands of the program. For each it has a command line that is right except for one
//! value, the tested one.

use std::process::Command;

use crate::BINARY;
use crate::kinds::Secret;

/// A command with its flags and arguments, and with the files that it needs to reach the tested
/// value.
pub(crate) struct Shape {
    pub(crate) path: Vec<String>,
    pub(crate) flags: Vec<String>,
    pub(crate) has_positional: bool,
}

/// Collects the commands from the program's own help.
pub(crate) fn shapes(path: &[String], found: &mut Vec<Shape>) {
    let help = Command::new(BINARY).args(path).arg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let below = |heading: &str| {
        let lines: Vec<_> = help
            .lines()
            .skip_while(|line| *line != heading)
            .skip(1)
            .take_while(|line| line.is_empty() || line.starts_with(' '))
            .map(str::to_owned)
            .collect();
        lines
    };
    let mut commands: Vec<_> = below("Commands:")
        .iter()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.trim().split(' ').next().unwrap().to_owned())
        .collect();
    if path.is_empty() {
        commands.push("generate".to_owned());
    }
    for command in &commands {
        shapes(&[path, std::slice::from_ref(command)].concat(), found);
    }
    let flags: Vec<_> = help
        .lines()
        .filter_map(|line| {
            let flag = line.trim_start().split("  ").next()?;
            let name = flag.split([' ', ',']).find(|word| word.starts_with("--"))?;
            (line.starts_with("  ") && line.trim_start().starts_with('-') && flag.contains('<'))
                .then(|| name.to_owned())
        })
        .collect();
    if commands.is_empty() || !flags.is_empty() {
        found.push(Shape {
            path: path.to_vec(),
            flags,
            has_positional: !below("Arguments:").is_empty(),
        });
    }
}

/// Returns the flags that a command needs to reach the tested value.
fn base(path: &str) -> &'static str {
    match path {
        "keygen" => "--output new.json --passphrase-file pass",
        "sign" => "--key key.json --url https://a.example/mcp",
        "verify" | "trust list" | "trust revoke" | "trust remove" => "--trust trust.json",
        "trust add" => "--trust trust.json",
        "export" => "--key key.json",
        "passwd" => "--key key.json --no-passphrase",
        "agent add" => "--key key.json",
        "nonce list" | "nonce prune" => "--nonces sqlite:nonces.db",
        "gateway" => {
            "--upstream http://127.0.0.1:9/mcp --origin https://a.example --trust trust.json \
             --nonces memory: --check-config"
        }
        "connect" => "--key key.json",
        "audit init" => "--audit log",
        "audit cosign" => "--key key.json --audit log --log-key k+00000000+AQ== --first",
        "audit consistency" => "--log-key k+00000000+AQ== --audit log",
        "audit witness" => "--witness-policy body.json",
        path if path.starts_with("audit") => "--audit log",
        _ => "",
    }
}

/// Returns the positional arguments that a command needs.
fn positional(path: &str) -> &'static [&'static str] {
    match path {
        "sign" => &["body.json"],
        "verify" | "inspect" | "gateway report" | "audit check" => &["body.json"],
        "trust add" => &["key.json"],
        "trust revoke" | "trust remove" => &["alice"],
        "connect" => &["http://127.0.0.1:9/mcp"],
        "audit prove" => &["0"],
        "audit consistency" => &["body.json", "body.json"],
        "generate man" | "generate completions" => &["none"],
        _ => &[],
    }
}

/// Returns the other flags that `flag` needs.
fn needed(flag: &str) -> &'static str {
    match flag {
        "--tls-key" => "--tls-cert @FILE@",
        "--tls-cert" => "--tls-key @FILE@",
        "--audit-redact" => "--audit log --audit-bodies",
        "--audit-policy" | "--audit-sync" | "--witness-policy" => "--audit log",
        "--allow-origin" => "--listen 127.0.0.1:0",
        "--confirm-via" | "--confirm-timeout" => "--confirm tools/call",
        _ => "",
    }
}

/// Returns true if printing this value is what the command is for. A key's name is public, for
/// example. (A private key is refused as a name, but an id may be any text.)
pub(crate) fn is_shown(path: &str, flag: &str, secret: &Secret) -> bool {
    match flag {
        "--name" | "--label" | "--realm" => !secret.is_key,
        "--client-id" => true,
        // A text with a colon is a header field, which the user asked to print.
        "--header" => path == "sign" && !secret.is_key && secret.text.contains(':'),
        _ => false,
    }
}

pub(crate) fn arguments(
    shape: &Shape,
    path: &str,
    tried: Option<Option<&str>>,
    value: &str,
) -> Vec<String> {
    let mut words = shape.path.clone();
    let base = base(path).split_whitespace().collect::<Vec<_>>();
    let flag = tried.flatten();
    let mut at = 0;
    while at < base.len() {
        let takes = base.get(at + 1).is_some_and(|next| !next.starts_with("--"));
        let end = if takes { at + 2 } else { at + 1 };
        // Each flag is given once, and none that conflicts with the tested one.
        let clashes = flag == Some(base[at])
            || (flag == Some("--checkpoint") && base[at] == "--first")
            || (flag == Some("--origin") && base[at] == "--url")
            || (flag.is_some_and(|f| f.contains("new-passphrase"))
                && base[at] == "--no-passphrase");
        if !clashes {
            words.extend(base[at..end].iter().map(|word| (*word).to_owned()));
        }
        at = end;
    }
    if let Some(flag) = flag {
        words.extend(needed(flag).split_whitespace().map(|word| word.replace("@FILE@", "secret")));
        words.push(format!("{flag}={value}"));
    }
    match tried {
        Some(None) => words.extend(["--".to_owned(), value.to_owned()]),
        _ => words.extend(positional(path).iter().map(|word| (*word).to_owned())),
    }
    words
}
