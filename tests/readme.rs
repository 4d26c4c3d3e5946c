//! The documents are true: every session of the README runs, in bash, as a new user would run it,
//! and shows what the README shows; every file, flag, code and exit code that is named exists.
//!
//! All blocks run in order in one fresh home. What a fenced block may be:
//!
//! - `console`: lines that begin with `$ ` are commands, `> ` continues one, the rest is what the
//!   command prints, stdout and stderr as they come. A command has to exit with 0, unless the next
//!   one is `echo $?`, which shows what it did.
//! - `sh`: a script, which has to succeed and print nothing.
//! - `rust`: compiled with the doc tests (`src/lib.rs`).
//! - `text`, `json`, `toml`: not run.
//!
//! Anything else fails, an unknown tag too. In shown output `[..]` stands for any text within a
//! line, and a line `...` for any number of lines.
//!
//! Two things are not what they seem: `cargo` is a stand-in that knows the two commands that the
//! README shows and no other. It runs, or copies, the binary under test rather than build one. And
//! `pip` leaves what can be imported already as it is, and puts the rest into an environment of the
//! test's own.
#![cfg(all(unix, feature = "cli"))]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_mcpid");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const DOCUMENTS: [&str; 3] = ["README.md", "SECURITY.md", "CHANGELOG.md"];
/// Stands before the number of a command that ended, and its status. No command prints it.
const MARK: char = '\u{1e}';
const LONGEST: Duration = Duration::from_secs(120);

const CARGO: &str = r#"#!/bin/sh
case "$*" in
"run --release -- demo") exec mcpid demo ;;
"install --locked --path .") mkdir -p "$HOME/.cargo/bin" && cp "$(command -v mcpid)" "$HOME/.cargo/bin/" ;;
*) echo "tests/readme.rs does not know: cargo $*"; exit 99 ;;
esac
"#;

const PIP: &str = r#"#!/bin/sh
case "$*" in
"install fastmcp")
    if python3 -c 'import fastmcp' 2>/dev/null; then echo "Requirement already satisfied: fastmcp"
    else python3 -m venv "$HOME/venv" && "$HOME/venv/bin/python" -m pip install -q fastmcp \
        && ln -s "$HOME/venv/bin/python3" "$HOME/bin/python3"; fi ;;
*) echo "tests/readme.rs does not know: pip $*"; exit 99 ;;
esac
"#;

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

// ---- reading --------------------------------------------------------------------------------

#[derive(Debug)]
struct Block<'d> {
    /// The line on which the fence stands, from 1.
    line: usize,
    tag: &'d str,
    lines: Vec<&'d str>,
}

/// The fenced blocks of a document, and the lines outside them.
fn blocks(text: &str) -> Result<(Vec<Block<'_>>, Vec<&str>), String> {
    let (mut blocks, mut prose, mut open) = (Vec::new(), Vec::new(), None);
    for (at, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(tag), None) => {
                open = Some(Block { line: at + 1, tag, lines: Vec::new() });
            }
            (Some(""), Some(block)) => blocks.push(block),
            (Some(_), Some(_)) => return Err(format!("line {}: a fence within a fence", at + 1)),
            (None, Some(mut block)) => {
                block.lines.push(line);
                open = Some(block);
            }
            (None, None) => prose.push(line),
        }
    }
    match open {
        Some(block) => Err(format!("line {}: the fence is not closed", block.line)),
        None => Ok((blocks, prose)),
    }
}

#[derive(Debug, PartialEq)]
struct Step<'d> {
    command: String,
    shown: Vec<&'d str>,
}

fn steps<'d>(block: &Block<'d>) -> Result<Vec<Step<'d>>, String> {
    let mut steps: Vec<Step<'d>> = Vec::new();
    for line in &block.lines {
        match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
            (Some(command), _, _) => {
                steps.push(Step { command: command.to_owned(), shown: Vec::new() });
            }
            (None, Some(more), Some(step)) if step.shown.is_empty() => {
                step.command.push('\n');
                step.command.push_str(more);
            }
            (None, _, Some(step)) => step.shown.push(line),
            (None, _, None) => return Err(format!("line {}: no command", block.line)),
        }
    }
    if steps.is_empty() { Err(format!("line {}: empty", block.line)) } else { Ok(steps) }
}

// ---- comparing ------------------------------------------------------------------------------

fn line_fits(shown: &str, printed: &str) -> bool {
    let mut pieces = shown.split("[..]");
    let Some(mut rest) = printed.strip_prefix(pieces.next().unwrap_or_default()) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

fn fits(shown: &[&str], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((&"...", rest)), _) => {
            fits(rest, printed) || (!printed.is_empty() && fits(shown, &printed[1..]))
        }
        (Some((line, shown)), Some((real, printed))) => {
            line_fits(line, real) && fits(shown, printed)
        }
        _ => false,
    }
}

// ---- running --------------------------------------------------------------------------------

struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (bin, clone) = (folder.path().join("bin"), folder.path().join("clone"));
        fs::create_dir(&bin).unwrap();
        fs::create_dir(&clone).unwrap();
        symlink(BINARY, bin.join("mcpid")).unwrap();
        for (name, script) in [("cargo", CARGO), ("pip", PIP)] {
            fs::write(bin.join(name), script).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for shared in ["man", "completions"] {
            symlink(Path::new(ROOT).join(shared), clone.join(shared)).unwrap();
        }
        Home { folder }
    }

    /// Runs a script; its status, and all that it printed.
    fn bash(&self, script: &str) -> Result<(i32, String), String> {
        let (path, output) = (self.folder.path().join("script"), self.folder.path().join("output"));
        fs::write(&path, script).unwrap();
        // A file, not a pipe: what a session leaves running may hold it open.
        let printed = fs::File::create(&output).unwrap();
        let bin = self.folder.path().join("bin");
        let search = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .arg(&path)
            .current_dir(self.folder.path().join("clone"))
            .env_clear()
            .env("PATH", search)
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.folder.path().join(".config"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stderr(printed.try_clone().unwrap())
            .stdout(printed)
            .process_group(0)
            .spawn()
            .map_err(|e| format!("bash: {e}"))?;
        let begun = Instant::now();
        let status = loop {
            match bash.try_wait().unwrap() {
                Some(status) => break status.code().unwrap_or(-1),
                None if begun.elapsed() > LONGEST => {
                    let group = format!("-{}", bash.id());
                    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
                    let _ = bash.wait();
                    break -1;
                }
                None => sleep(Duration::from_millis(10)),
            }
        };
        Ok((status, String::from_utf8_lossy(&fs::read(&output).unwrap()).into_owned()))
    }

    /// Runs one block; what is wrong with it.
    fn run(&self, block: &Block<'_>) -> Result<(), String> {
        let wrong = |what: String| Err(format!("line {}: {what}", block.line));
        match block.tag {
            "console" => self.console(block, &steps(block)?),
            "sh" => match self.bash(&format!("set -e\n{}\n", block.lines.join("\n")))? {
                (0, printed) if printed.is_empty() => Ok(()),
                (status, printed) => wrong(format!("exit {status}, printed:\n{printed}")),
            },
            "rust" | "text" | "json" | "toml" => Ok(()),
            other => wrong(format!("a block of an unknown kind: {other:?}")),
        }
    }

    fn console(&self, block: &Block<'_>, steps: &[Step<'_>]) -> Result<(), String> {
        let mut script = String::new();
        for (at, step) in steps.iter().enumerate() {
            script.push_str(&step.command);
            script.push_str(&format!(
                "\n__status=$?; printf '\\n\\036%d %d\\n' {at} \"$__status\"; (exit \"$__status\")\n"
            ));
        }
        let (_, printed) = self.bash(&script)?;
        let mut rest = printed.as_str();
        for (at, step) in steps.iter().enumerate() {
            let wrong = |what: &str, printed: &str| {
                let (command, shown) = (&step.command, step.shown.join("\n"));
                let line = block.line;
                Err(format!(
                    "line {line}: $ {command}\n{what}\n-- shown:\n{shown}\n-- printed:\n{printed}"
                ))
            };
            let Some((output, after)) = rest.split_once(&format!("\n{MARK}{at} ")) else {
                return wrong("did not end", rest);
            };
            let Some((status, after)) = after.split_once('\n') else {
                return wrong("did not end", rest);
            };
            rest = after;
            let told = steps.get(at + 1).is_some_and(|next| next.command == "echo $?");
            if status != "0" && !told {
                return wrong(
                    &format!("exits with {status}, and the page does not say so"),
                    output,
                );
            }
            if !fits(&step.shown, &output.lines().collect::<Vec<_>>()) {
                return wrong("prints something else", output);
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(format!("line {}: then: {rest}", block.line)) }
    }
}

#[test]
fn every_session_runs_and_shows_what_it_prints() {
    let mut wrong = Vec::new();
    for name in DOCUMENTS {
        let (home, text) = (Home::new(), document(name));
        let (blocks, _) = blocks(&text).unwrap();
        wrong.extend(
            blocks.iter().filter_map(|b| home.run(b).err()).map(|e| format!("{name}, {e}")),
        );
        if name == "README.md" {
            let sessions = blocks.iter().filter(|block| block.tag == "console").count();
            assert!(sessions >= 6, "only {sessions} sessions were found");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_session_that_is_not_true_fails() {
    let home = Home::new();
    let judge = |text: &str| {
        let (blocks, _) = blocks(text)?;
        blocks.iter().try_for_each(|block| home.run(block))
    };
    let console = |lines: &str| judge(&format!("```console\n{lines}\n```\n"));
    let holds = [
        "$ echo a; echo b >&2\na\nb",
        "$ echo one 1 two 2\none [..] two [..]",
        "$ seq 9\n1\n...\n8\n9",
        "$ seq 1\n...\n1\n...",
        "$ false\n$ echo $?\n1",
        "$ cat <<END\n> x\n> END\nx",
        "$ cd /; x=1\n$ echo $x $PWD\n1 /",
    ];
    for lines in holds {
        assert_eq!(console(lines), Ok(()), "{lines}");
    }
    let fails = [
        "$ echo a\nb",
        "$ echo a",
        "$ true\na",
        "$ echo a >&2",
        "$ seq 9\n1\n...\n8",
        "$ seq 9\n...\n10",
        "$ echo ab\na[..]c",
        "$ echo a b\na [..]b [..]c",
        "$ false",
        "$ false\n$ echo $?\n2",
        "$ exit 0",
        "$ nosuchprogram\n...",
        "$ if\n...",
        "$ cargo build\n...",
        "a",
        "",
    ];
    for lines in fails {
        assert!(console(lines).is_err(), "{lines}");
    }
    assert_eq!(judge("```sh\nx=$(mktemp)\nrm \"$x\"\n```\n"), Ok(()));
    for block in [
        "```sh\necho a\n```",
        "```sh\nfalse\ntrue\n```",
        "```bash\ntrue\n```",
        "```\ntrue\n```",
        "```sh\ntrue",
        "  ```console\n  $ true\n  ```",
    ] {
        assert!(judge(block).is_err(), "{block}");
    }
}

// ---- what is named --------------------------------------------------------------------------

/// The inline code of a document.
fn spans(text: &str) -> Vec<String> {
    let (_, prose) = blocks(text).unwrap();
    prose.join("\n").split('`').skip(1).step_by(2).map(|s| s.replace('\n', " ")).collect()
}

fn help(arguments: &str) -> String {
    let output = Command::new(BINARY).args(arguments.split_whitespace()).arg("--help").output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn every_file_that_is_named_exists() {
    for name in DOCUMENTS {
        let text = document(name);
        let linked =
            text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned());
        let named = spans(&text).into_iter().filter(|span| {
            let first = span.split('/').next().unwrap_or_default();
            span.contains('/') && ["tests", "src", "completions", "man", ".cargo"].contains(&first)
        });
        for path in linked.filter(|link| !link.contains("://")).chain(named) {
            let there: PathBuf = Path::new(ROOT).join(path.split('#').next().unwrap());
            assert!(there.exists(), "{name} names {path}");
        }
    }
    let mode = fs::metadata(Path::new(ROOT).join("tests/all")).unwrap().permissions().mode();
    assert!(mode & 0o111 != 0, "tests/all cannot be run");
}

#[test]
fn every_flag_that_is_named_exists() {
    let commands = [
        "",
        "keygen",
        "sign",
        "verify",
        "inspect",
        "export",
        "trust add",
        "nonce list",
        "gateway",
        "gateway report",
        "connect",
        "agent add",
        "audit verify",
        "audit show",
        "audit prove",
        "audit init",
        "audit check",
        "audit cosign",
    ];
    let helps: String = commands.iter().map(|command| help(command)).collect();
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '-';
    let known: BTreeSet<&str> = helps.split(word).filter(|w| w.starts_with("--")).collect();
    assert!(known.contains("--allow-uncovered"), "{known:?}");
    for name in DOCUMENTS {
        // Other programs have flags of their own.
        for span in spans(&document(name)).iter().filter(|span| !span.starts_with("cargo ")) {
            for flag in span.split(word).filter(|word| word.starts_with("--")) {
                assert!(known.contains(flag), "{name} names {flag}");
            }
        }
    }
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let help = help("");
    let (_, listed) = help.split_once("Exit status:\n").unwrap();
    let program: Vec<(String, String)> = listed
        .lines()
        .map_while(|line| line.strip_prefix("  ")?.split_once("  "))
        .map(|(code, meaning)| (code.trim().to_owned(), meaning.trim().to_owned()))
        .collect();
    let text = document("README.md");
    let (_, table) = text.split_once("## Exit codes").unwrap();
    let page: Vec<(String, String)> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
        .filter(|(code, _)| code.parse::<u8>().is_ok())
        .map(|(code, meaning)| (code.to_owned(), meaning.replace('`', "")))
        .collect();
    assert!(page.len() > 6);
    assert_eq!(page, program);
}

#[test]
fn the_table_of_threats_names_every_code_and_no_other() {
    let text = document("SECURITY.md");
    let known: BTreeSet<&str> = mcpid::verify::Code::ALL.iter().map(|code| code.as_str()).collect();
    let (_, table) = text.split_once("## Threats").unwrap();
    let table = table.split("\n## ").next().unwrap();
    let named: BTreeSet<String> = spans(table)
        .into_iter()
        .filter(|span| {
            span.chars().all(|c| c.is_ascii_lowercase() || c == '_') && span.contains('_')
        })
        .chain(["expired".to_owned()].into_iter().filter(|code| table.contains(code.as_str())))
        .collect();
    assert_eq!(named.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
}

/// A threat is only answered by a test that is there.
#[test]
fn every_test_that_the_threats_name_exists() {
    let text = document("SECURITY.md");
    let files: Vec<_> =
        text.split('`').filter(|span| span.starts_with("tests/") && span.contains('.')).collect();
    assert!(files.len() > 30, "{files:?}");
    for file in files {
        assert!(Path::new(ROOT).join(file).is_file(), "{file}");
    }
}
