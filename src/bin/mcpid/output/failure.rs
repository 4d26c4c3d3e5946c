//! The error type of commands: an exit code, one line and hints.
//!
//! A failure is one lower-case line with at most two hints that can be pasted. It is not an
//! `anyhow::Error`, because `anyhow` captures a backtrace if `RUST_BACKTRACE` is set, and a wrong
//! passphrase is not a bug.

use std::io;
use std::path::Path;

pub(crate) use mcpid::message::error_chain::chain;

use crate::output::exit::Exit;

/// A failure of a command, with its exit code and message.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The exit code of the program.
    pub(crate) exit: Exit,
    /// A stable name, for programs that read `--json`.
    pub(crate) code: &'static str,
    /// The message: one line without prefix and without final period.
    pub(crate) message: String,
    /// At most two hints, each a command or a plain sentence.
    pub(crate) hints: Vec<String>,
}

impl Failure {
    /// Returns a failure without hints.
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Failure { exit, code, message: message.into(), hints: Vec::new() }
    }

    /// Returns a failure about flags or arguments.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, "usage", message)
    }

    /// Adds a hint. A third hint is dropped, so add the best one first.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if self.hints.len() < 2 {
            self.hints.push(hint.into());
        }
        self
    }

    /// Returns the failure that `path` cannot be read.
    pub(crate) fn read(path: &Path, error: &io::Error) -> Self {
        Failure::io("read", path, error)
    }

    /// Returns the failure that `path` cannot be written.
    pub(crate) fn write(path: &Path, error: &io::Error) -> Self {
        Failure::io("write", path, error)
    }

    fn io(act: &str, path: &Path, error: &io::Error) -> Self {
        let (code, why) = match reason(error) {
            // If a file to write is "not found", its folder is missing.
            ("not_found", _) if act == "write" => ("no_folder", "no such folder".to_owned()),
            other => other,
        };
        Failure::new(Exit::Input, code, format!("cannot {act} {}: {why}", path.display()))
    }

    /// Returns the failure as one line of JSON.
    pub(crate) fn to_json(&self) -> String {
        let hint = (!self.hints.is_empty()).then(|| self.hints.join("\n"));
        let error = ErrorJson { code: self.code, message: &self.message, hint };
        // This cannot fail: the value is a few strings.
        serde_json::to_string(&FailureJson { error }).unwrap_or_default()
    }
}

#[derive(serde::Serialize)]
struct FailureJson<'a> {
    error: ErrorJson<'a>,
}

#[derive(serde::Serialize)]
struct ErrorJson<'a> {
    code: &'a str,
    message: &'a str,
    hint: Option<String>,
}

/// Returns a stable code and plain words for an I/O error. The text of the standard library ends
/// with "(os error 2)", which does not help a user.
pub(crate) fn reason(error: &io::Error) -> (&'static str, String) {
    use io::ErrorKind as Kind;
    let (code, words) = match error.kind() {
        Kind::NotFound => ("not_found", "no such file"),
        Kind::PermissionDenied => ("permission", "permission denied"),
        Kind::AlreadyExists => ("exists", "it exists already"),
        Kind::IsADirectory => ("is_folder", "it is a folder"),
        Kind::NotADirectory => ("not_a_folder", "a part of the path is not a folder"),
        Kind::StorageFull => ("disk_full", "no space left on the device"),
        Kind::QuotaExceeded => ("disk_full", "the disk quota is used up"),
        Kind::ReadOnlyFilesystem => ("read_only", "the file system is read-only"),
        Kind::FileTooLarge => ("too_large", "the file would be too large"),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let mut characters = text.chars();
            let first = characters.next().map(|c| c.to_ascii_lowercase());
            return ("io", first.into_iter().chain(characters).collect());
        }
    };
    (code, words.to_owned())
}
