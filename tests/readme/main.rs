//! Tests that the documents of the project are true. Every session in the README and in `docs` is
//! run in bash, as a new user would run it, and must print what the page shows. Every link, file,
//! flag, code and exit code in a document must exist.
//!
//! All blocks of one page run in order in one fresh home. The kinds of fenced blocks:
//!
//! - `console`: lines that begin with `$ ` are commands, `> ` continues one, the rest is what the
//!   command prints, stdout and stderr as they come. A command has to exit with 0, unless the next
//!   one is `echo $?`, which shows what it did.
//! - `sh`: a script, which has to succeed and print nothing.
//! - `rust`: compiled with the doc tests (`src/lib.rs`).
//! - `python`: run by `bindings/python/tests`, in the stage `python` of `tests/all`.
//! - `text`, `json`, `toml`: not run.
//!
//! Any other tag fails. In shown output `[..]` stands for any text within a line, and a line `...`
//! for any number of lines.
//!
//! Two programs are replaced. `cargo` only knows the two commands in the README, and copies or runs
//! the binary under test. `pip` installs any package except one that is already present, into an
//! environment of the test.
#![cfg(all(unix, feature = "cli"))]
#![allow(clippy::unwrap_used)]

mod blocks;
#[path = "../machine/executable.rs"]
mod executable;
mod links;
mod named;
mod sessions;

use std::fs;
use std::path::Path;

const BINARY: &str = env!("CARGO_BIN_EXE_mcpid");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Returns every document for users and contributors, by its path from the root.
fn documents() -> Vec<String> {
    let mut names = vec!["tests/peers/CLIENTS.md".to_owned()];
    for folder in ["", "docs/"] {
        for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                names.push(format!("{folder}{name}"));
            }
        }
    }
    names.sort();
    assert!(names.len() >= 15, "{names:?}");
    names
}

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}
