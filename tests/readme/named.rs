//! Tests that every flag, code and exit code in a document exists in the program, and that pages
//! with a complete list name all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::blocks::spans;
use super::{BINARY, ROOT, document, documents};

fn help(command: &str) -> String {
    let output = Command::new(BINARY).args(command.split_whitespace()).arg("--help").output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// Returns the words of a text that look like long flags.
fn flags(text: &str) -> BTreeSet<String> {
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '-';
    text.split(word).filter(|w| w.starts_with("--") && w.len() > 2).map(str::to_owned).collect()
}

/// Returns the flags of each command, such as `audit verify`; the program itself has the empty
/// name. They are taken from the generated man pages, which name every command.
fn flags_of_commands() -> BTreeMap<String, BTreeSet<String>> {
    let mut commands = BTreeMap::new();
    for page in fs::read_dir(Path::new(ROOT).join("man")).unwrap() {
        let page = page.unwrap().file_name().into_string().unwrap();
        let name = page.strip_prefix("mcpid").unwrap().strip_suffix(".1").unwrap();
        let command = name.trim_start_matches('-').replace('-', " ");
        commands.insert(command.clone(), flags(&help(&command)));
    }
    assert!(commands.len() > 25, "{commands:?}");
    commands
}

/// Returns a flag in `span` that does not exist. A span that begins with a command, such as `audit
/// show --audit`, may only name flags of that command.
fn unknown_flag(span: &str, commands: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let span = span.strip_prefix("mcpid ").unwrap_or(span);
    let of = |words: usize| {
        let words: Vec<&str> = span.split_whitespace().take(words).collect();
        commands.get(&words.join(" ")).filter(|_| !words.is_empty())
    };
    let all: BTreeSet<String> = commands.values().flatten().cloned().collect();
    let known = of(2).or_else(|| of(1)).unwrap_or(&all);
    flags(span).into_iter().find(|flag| !known.contains(flag))
}

#[test]
fn every_flag_that_is_named_exists() {
    let commands = flags_of_commands();
    let mut count = 0;
    for name in documents() {
        // The commands of other programs have other flags.
        let ours = |span: &&String| !span.starts_with("cargo ") && !span.starts_with("tests/");
        for span in spans(&document(&name)).iter().filter(ours) {
            count += flags(span).len();
            assert_eq!(unknown_flag(span, &commands), None, "{name} names {span}");
        }
    }
    assert!(count > 100, "only {count} flags were found");
    for span in ["--nothing", "connect --nonces x", "mcpid audit show --log-key x", "sign --mode"] {
        assert!(unknown_flag(span, &commands).is_some(), "{span}");
    }
    for span in ["--nonces", "mcpid gateway --nonces x", "audit show --audit log", "sign --url"] {
        assert_eq!(unknown_flag(span, &commands), None, "{span}");
    }
}

#[test]
fn every_command_with_patterns_explains_their_forms() {
    let mut commands = Vec::new();
    for (command, flags) in flags_of_commands() {
        let patterns = ["--strict", "--permissive", "--confirm", "--allow", "--audit-redact"];
        let help = help(&command);
        // The `--touch` of `sign` names a key, so it takes no pattern.
        let takes = patterns.iter().any(|flag| flags.contains(*flag))
            || (flags.contains("--touch") && command != "sign");
        for form in ["\n  METHOD ", "\n  METHOD:NAME ", "\n  =METHOD[:NAME] "] {
            assert_eq!(help.contains(form), takes, "{command}: {form}");
        }
        let restricts = flags.contains("--strict") || flags.contains("--confirm");
        assert_eq!(help.contains("\n  destructive "), restricts, "{command}");
        if takes {
            commands.push(command);
        }
    }
    let audit = ["audit check", "audit report", "audit verify"];
    let others = ["authz", "connect", "gateway", "trust add", "verify"];
    assert_eq!(commands, [&audit[..], &others[..]].concat());
}

/// Returns the first two cells of each row of the tables in a text, without code style.
fn rows(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    lines
        .filter_map(|line| line.split_once(" | "))
        .map(|(first, rest)| (first.replace('`', ""), rest.replace('`', "")))
        .collect()
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
    let text = document("docs/errors.md");
    let (_, table) = text.split_once("## Exit codes").unwrap();
    let mut page = rows(table.split("\n## ").next().unwrap());
    page.retain(|(code, _)| code.parse::<u8>().is_ok());
    assert!(page.len() > 6);
    assert_eq!(page, program);
}

fn all_codes() -> BTreeSet<String> {
    mcpid::verify::Code::ALL.iter().map(|code| code.as_str().to_owned()).collect()
}

/// Returns the words of a table that look like codes of refusals.
fn named_codes(table: &str) -> BTreeSet<String> {
    let is_code = |word: &String| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let words = spans(table).into_iter().filter(is_code);
    words.filter(|word| word.contains('_') || word == "expired").collect()
}

#[test]
fn the_table_of_threats_names_every_code_and_no_other() {
    let text = document("SECURITY.md");
    let (_, table) = text.split_once("## Threats").unwrap();
    // Only the rows about attacks that are refused at a step name codes. Findings about the audit
    // log have other words.
    let at_step = |line: &&str| {
        let cell = line.split(" | ").nth(1).unwrap_or_default();
        cell.starts_with(|c: char| c.is_ascii_digit())
    };
    let rows: Vec<&str> = table.lines().filter(at_step).collect();
    assert_eq!(named_codes(&rows.join("\n")), all_codes());
}

#[test]
fn the_table_of_refusals_has_every_code_once() {
    let text = document("docs/errors.md");
    let (_, table) = text.split_once("| step | code |").unwrap();
    let table = table.split("\n\n").next().unwrap();
    let mut codes = BTreeSet::new();
    for (_, rest) in rows(table) {
        let cell = rest.split(" | ").next().unwrap();
        for code in cell.split(", ").filter(|code| !code.starts_with('-')) {
            assert!(codes.insert(code.to_owned()), "{code} stands twice");
        }
    }
    assert_eq!(codes, all_codes());
}

/// The threat model names a test for each threat, and this test must exist.
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

#[test]
fn the_command_that_runs_every_test_can_be_run() {
    let mode = fs::metadata(Path::new(ROOT).join("tests/all")).unwrap().permissions().mode();
    assert!(mode & 0o111 != 0, "tests/all cannot be run");
}
