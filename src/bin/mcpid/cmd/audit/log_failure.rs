//! Turns the errors of a log that cannot be opened or written into messages with hints.

use mcpid::audit::{Folder, LogError};
use mcpid::key::SignError;

use crate::input::files::NamedPath;
use crate::keys::keyfile;
use crate::keys::signing_key;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain, reason};
use crate::output::ui::path_word;

/// Returns a text about the process that writes a log, to be printed after "another process". It is
/// empty if the process is unknown.
fn writer_of(place: &NamedPath) -> String {
    let writer = Folder::at(&place.path).ok().and_then(|folder| folder.writer());
    let Some(pid) = writer else { return String::new() };
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match mcpid::message::shown::printed(name.trim_end()) {
        name if name.is_empty() || name == "\"\"" => format!(": process {pid}"),
        name => format!(": process {pid} ({name})"),
    }
}

/// Returns the failure for a log that cannot be used.
pub(crate) fn log_failure(error: &LogError, place: &NamedPath) -> Failure {
    let flag = place.as_flag("--audit");
    let line = chain(error);
    match error {
        LogError::Io { act, path, source } => {
            let (code, why) = reason(source);
            let message = format!("cannot {act} {}: {why}", path.display());
            Failure::new(Exit::Input, code, message)
        }
        LogError::NotALog(_) => {
            Failure::new(Exit::Input, "not_a_log", line).hint(format!("mcpid audit init{flag}"))
        }
        LogError::Exists(_) => Failure::new(Exit::Input, "exists", line)
            .hint(format!("mcpid audit verify{flag} --log-key log-key.pub")),
        LogError::TooOpen { path, .. } => Failure::new(Exit::Key, "too_open", line)
            .hint(format!("chmod go-w {}", path_word(path))),
        LogError::Locked(_) => {
            Failure::new(Exit::Unavailable, "locked", format!("{line}{}", writer_of(place)))
        }
        LogError::Maintained(_) => Failure::new(Exit::Unavailable, "locked", line),
        LogError::Archived(_) => Failure::new(Exit::Input, "archived", line)
            .hint("--archive DIR: the folder that mcpid audit archive has moved it to"),
        LogError::Archive { .. } => Failure::new(Exit::Input, "archive", line),
        LogError::Key(store) => {
            let path = place.path.join("log-key.json");
            match &**store {
                mcpid::key::file_io::FileError::TooOpen { mode } => keyfile::store_failure(
                    &path,
                    mcpid::key::file_io::FileError::TooOpen { mode: *mode },
                ),
                other => Failure::new(Exit::Key, "damaged", format!("{}: {other}", path.display())),
            }
        }
        LogError::Followed { .. } => Failure::new(Exit::Unavailable, "closed", line),
        LogError::NoKey(_) => not_given(line, "--audit-key"),
        LogError::KeyUnfit(_) | LogError::AnotherKey { .. } => {
            Failure::new(Exit::Key, "unfit_key", line)
        }
        LogError::Sign(error) => unsigned(error),
        LogError::Changed { .. } => Failure::new(Exit::Unavailable, "changed", line)
            .hint(format!("what was done to it: mcpid audit verify{flag} --log-key log-key.pub"))
            .hint("to go on in a new log: mcpid audit init --audit NEW --name NAME --after CHECKPOINT"),
        _ => Failure::new(Exit::Unavailable, "unavailable", line),
    }
}

/// Returns the failure for a log's key that did not sign.
fn unsigned(error: &SignError) -> Failure {
    let failure = signing_key::sign_failure(error, chain(error));
    Failure { message: format!("the key of the log: {}", failure.message), ..failure }
}

/// Returns the failure for a log whose private key is not in its folder.
pub(super) fn not_given(message: String, flag: &str) -> Failure {
    Failure::new(Exit::Key, "no_log_key", message)
        .hint(format!("where is it? {flag} KEYFILE|ssh-agent:ID|'exec:PROGRAM ARG...'|pkcs11:URI"))
}
