//! Tests that no message repeats a secret that a user has put in the wrong place.
//!
//! Every command that the program lists gets every kind of secret in each place that takes a value:
//! as the value, as a file, on stdin, in a variable. The secret is complete, cut, without its line
//! breaks, and so on. Then no run of eight characters of the secret may be in stdout, stderr or a
//! written file.
#![cfg(all(unix, feature = "cli"))]
#![allow(clippy::unwrap_used)]

mod commands;
mod kinds;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use commands::{Shape, arguments, is_shown, shapes};
use kinds::{FORMS, mangled, pieces, secrets};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_mcpid");

/// Maximum running time of a command. A server is stopped after this time.
const MAX_RUN_TIME: Duration = Duration::from_secs(5);

const VARIABLES: [&str; 8] = [
    "MCPID_KEY",
    "MCPID_TRUST",
    "MCPID_NONCES",
    "MCPID_NONCES_PASSWORD_FILE",
    "MCPID_PASSPHRASE",
    "MCPID_ASKPASS",
    "SSH_AUTH_SOCK",
    "XDG_CONFIG_HOME",
];

/// One run of the program, with a secret in one place.
struct Case {
    arguments: Vec<String>,
    variable: Option<(&'static str, String)>,
    /// The content of the file `secret`, and of stdin.
    content: String,
    pieces: Arc<BTreeSet<Vec<u8>>>,
    json: bool,
    what: String,
}

/// Returns every run: each place with every secret. The forms of pasting are used in turn.
fn cases(shapes: &[Shape]) -> Vec<Case> {
    let secrets = secrets();
    let mut cases = Vec::new();
    let mut turn = 0_usize;
    let known: BTreeMap<_, _> = secrets
        .iter()
        .enumerate()
        .flat_map(|(at, secret)| FORMS.map(|form| ((at, form), Arc::new(pieces(secret, form)))))
        .collect();
    for shape in shapes {
        let path = shape.path.join(" ");
        let values = shape.flags.iter().map(|flag| Some(flag.as_str()));
        let positions = values.chain((shape.has_positional).then_some(None));
        let positions: Vec<Option<Option<&str>>> = positions.map(Some).chain([None]).collect();
        for position in positions {
            for (at, secret) in secrets.iter().enumerate() {
                let Some(flag) = position else {
                    // In this run no argument holds the secret: it is only on stdin and in a
                    // variable.
                    for variable in [None, Some(VARIABLES[turn % 8])] {
                        turn += 1;
                        let form = FORMS[turn % FORMS.len()];
                        let text = mangled(&secret.text, form);
                        cases.push(Case {
                            arguments: arguments(shape, &path, None, ""),
                            variable: variable.map(|name| (name, text.clone())),
                            content: text,
                            pieces: Arc::clone(&known[&(at, form)]),
                            json: turn.is_multiple_of(3),
                            what: format!("{path}, {form} {}, {variable:?} or stdin", secret.name),
                        });
                    }
                    continue;
                };
                if is_shown(&path, flag.unwrap_or_default(), secret) {
                    continue;
                }
                turn += 1;
                let form = FORMS[turn % FORMS.len()];
                let text = mangled(&secret.text, form);
                // The secret is given as the value itself, and then in a file that the value names.
                let header = flag == Some("--header");
                let file = if header { "@secret" } else { "secret" };
                for value in [text.clone(), file.to_owned()] {
                    let is_file = value == file;
                    cases.push(Case {
                        arguments: arguments(shape, &path, Some(flag), &value),
                        variable: None,
                        content: text.clone(),
                        pieces: Arc::clone(&known[&(at, form)]),
                        json: turn.is_multiple_of(3),
                        what: format!("{path} {flag:?}, {form} {}, file: {is_file}", secret.name),
                    });
                }
            }
        }
    }
    cases
}

/// Creates a folder with all files that commands look for.
fn make_files(folder: &Path) {
    fs::write(folder.join("pass"), "correct horse\n").unwrap();
    fs::write(folder.join("body.json"), r#"{"jsonrpc":"2.0","method":"ping","id":1}"#).unwrap();
    let run = |line: &str| {
        let output = Command::new(BINARY)
            .args(line.split(' '))
            .current_dir(folder)
            .env("HOME", folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
    };
    run("keygen -o key.json --name alice --no-passphrase");
    run("trust add -r trust.json key.json");
    run("audit init --audit log");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn listing(folder: &Path, found: &mut BTreeMap<std::path::PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            listing(&entry.path(), found);
        } else if kind.is_file() && entry.file_name() != "secret" {
            found.insert(entry.path(), fs::read(entry.path()).unwrap_or_default());
        }
    }
}

/// Waits until the program ends, and stops it after the time limit.
fn wait(child: &mut Child) {
    let until = Instant::now() + MAX_RUN_TIME;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns which part of the secret was found, and in which output or file.
fn leak(case: &Case, folder: &Path) -> Option<String> {
    fs::write(folder.join("secret"), &case.content).unwrap();
    let mut command = Command::new(BINARY);
    command
        .args(case.json.then_some("--json"))
        .args(&case.arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder);
    if let Some((name, value)) = &case.variable {
        command.env(name, value);
    }
    let (out, err) = (folder.join("../out"), folder.join("../err"));
    let file = |path: &Path| fs::File::create(path).unwrap();
    command.stdin(Stdio::piped()).stdout(file(&out)).stderr(file(&err));
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(case.content.as_bytes());
    wait(&mut child);
    let mut written = BTreeMap::new();
    listing(folder, &mut written);
    for path in [out, err] {
        let mut bytes = Vec::new();
        fs::File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
        written.insert(path, bytes);
    }
    let found = written.iter().find_map(|(path, bytes)| {
        let piece = bytes.windows(8).find(|window| case.pieces.contains(*window))?;
        Some((path, bytes, String::from_utf8_lossy(piece).into_owned()))
    });
    found.map(|(path, bytes, piece)| {
        let name = path.file_name().unwrap().to_string_lossy();
        format!("{}: {piece:?} in {name}: {}", case.what, String::from_utf8_lossy(bytes).trim_end())
    })
}

#[test]
fn no_secret_is_repeated_by_any_command() {
    let mut found = Vec::new();
    shapes(&[], &mut found);
    let paths: BTreeSet<_> = found.iter().map(|shape| shape.path.join(" ")).collect();
    for path in ["keygen", "trust add", "gateway", "gateway report", "generate man", "audit check"]
    {
        assert!(paths.contains(path), "{path} is not among {paths:?}");
    }
    let cases = cases(&found);
    assert!(cases.len() > 2_000, "only {} cases", cases.len());
    let furnished = TempDir::new().unwrap();
    make_files(furnished.path());
    let (next, leaks) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let root = TempDir::new().unwrap();
                let home = root.path().join("home");
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Files that a command created are removed before the next command.
                    if home.exists() {
                        fs::remove_dir_all(&home).unwrap();
                    }
                    copy(furnished.path(), &home);
                    let found = leak(case, &home);
                    leaks.lock().unwrap().extend(found);
                }
            });
        }
    });
    let leaks = leaks.into_inner().unwrap();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}
