//! Tests that the committed man pages and shell completions equal the program's output, and have
//! the sections that readers and shells need.
#![cfg(all(unix, feature = "cli"))]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

#[test]
fn pages_and_completions_are_those_that_are_committed() {
    for kind in ["man", "completions"] {
        let folder = TempDir::new().unwrap();
        let made = Command::new(env!("CARGO_BIN_EXE_mcpid"))
            .current_dir(folder.path())
            .args(["generate", kind, "."])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind);
        let list = |folder: &Path| -> BTreeSet<_> {
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        };
        assert_eq!(list(folder.path()), list(&root), "run: mcpid generate {kind} {kind}");
        for name in list(&root) {
            let (new, old) = (fs::read(folder.path().join(&name)), fs::read(root.join(&name)));
            assert!(new.unwrap() == old.unwrap(), "{name:?}: run: mcpid generate {kind} {kind}");
        }
    }
}

/// Checks that every man page has the sections of a manual.
#[test]
fn every_man_page_has_the_sections_of_a_manual() {
    let pages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("man")).unwrap();
    let mut seen = 0;
    for page in pages {
        let path = page.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "SEE ALSO"] {
            let quoted = format!(".SH \"{heading}\"\n");
            let found = text.contains(&format!(".SH {heading}\n")) || text.contains(&quoted);
            assert!(found, "{}: no {heading}", path.display());
        }
        assert!(text.contains("\n  101  a fault of mcpid\n"), "{}", path.display());
        seen += 1;
    }
    assert!(seen > 20, "{seen} pages");
    let sign = include_str!("../man/mcpid-sign.1");
    assert!(sign.contains(r"[\fB\-k\fR|\fB\-\-key\fR \fIKEY\fR]"), "values in the synopsis");
    assert!(sign.contains(r"[\fB\-\-cover\fR \fIC\fR]..."), "what repeats says so");
    assert!(sign.contains("MCPID_KEY ") && !sign.contains("MCPID_TRUST"), "its own variables");
}

/// Bash must complete file names where a command takes a file, and the word `destructive` where it
/// takes a pattern. It must not offer hidden commands.
#[test]
fn bash_completes_files_and_words() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/completions/mcpid.bash");
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("captured.http"), "").unwrap();
    let complete = |words: &str| {
        let ask = format!(
            "source {script}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _mcpid mcpid \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             echo \"${{COMPREPLY[*]}}\""
        );
        let run = Command::new("bash").current_dir(folder.path()).args(["-c", &ask]).output();
        String::from_utf8(run.unwrap().stdout).unwrap().trim().to_owned()
    };
    for command in ["verify", "inspect", "sign", "trust add", "gateway report", "audit check"] {
        assert_eq!(complete(&format!("mcpid {command} ca")), "captured.http", "{command}");
        assert_eq!(complete(&format!("mcpid {command} captured.http ca")), "captured.http");
        assert!(complete(&format!("mcpid {command} -")).contains("--json"), "{command}");
    }
    assert_eq!(complete("mcpid gateway --strict ''"), "destructive");
    assert_eq!(complete("mcpid connect --confirm d"), "destructive");
    assert_eq!(complete("mcpid trust re"), "revoke remove");
    assert!(!complete("mcpid ''").contains("generate"));
    assert!(complete("mcpid ''").contains("gateway"));
}
