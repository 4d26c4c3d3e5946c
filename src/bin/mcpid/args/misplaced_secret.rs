//! Refuses secrets in the wrong place: a key in place of a file name, or a key in a file name,
//! which every user of the machine can read.
//!
//! This is checked before the command does anything. Otherwise, for example, a file could be
//! created whose name is the key.

use std::path::Path;

use clap::{ArgMatches, Command};
use mcpid::key::source::PKCS11;
use mcpid::secret::{SecretKind, description};

use crate::output::failure::Failure;
use crate::output::secret_filter::is_path;

/// Refuses a value that looks like a secret, if its flag takes no secret.
///
/// # Errors
/// A value looks like a secret. The message names the flag, and what the value looks like.
pub(crate) fn check(command: &Command, matches: &ArgMatches) -> Result<(), Failure> {
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        let Ok(Some(values)) = matches.try_get_raw(id) else { continue };
        let name = match (arg.get_long(), arg.get_value_names()) {
            (Some(long), _) => format!("--{long}"),
            (None, Some([name, ..])) => name.to_string(),
            (None, _) => id.to_owned(),
        };
        for value in values {
            let value = value.to_string_lossy();
            match id {
                _ if is_path(arg) => check_path(&name, Path::new(&*value))?,
                "name" | "label" => check_public(&name, &value)?,
                _ => check_text(&name, &value)?,
            }
        }
    }
    match matches.subcommand() {
        Some((name, matches)) => match command.find_subcommand(name) {
            Some(command) => check(command, matches),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

/// Refuses a key or token in place of the name of a file, because it would become the name of a new
/// file, and would be in every message about it.
///
/// # Errors
/// `path` looks like a secret, and no file has this name.
pub(crate) fn check_path(name: &str, path: &Path) -> Result<(), Failure> {
    let text = path.to_string_lossy();
    // In a `pkcs11:` URI, `token=` is the label of a hardware token and not a secret. The parser of
    // these URIs never repeats a value in a message.
    if text.starts_with(PKCS11) {
        return Ok(());
    }
    // A text in hex with an extension may be the name of a file that is named after a checksum.
    let whole = text.trim().bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b));
    let looks_wrong = match SecretKind::of(&text) {
        Some(SecretKind::Hex | SecretKind::Base64) => whole,
        Some(SecretKind::Random | SecretKind::Passphrase) | None => false,
        Some(_) => true,
    };
    if !looks_wrong || path.symlink_metadata().is_ok() {
        return Ok(());
    }
    Err(refused(name, &text, "is no name of a file")
        .hint("put it into a file that only you can read, and name that file"))
}

/// Refuses a private key in a text that becomes public, such as the name of a key.
fn check_public(name: &str, text: &str) -> Result<(), Failure> {
    match SecretKind::of(text) {
        Some(SecretKind::Random | SecretKind::Passphrase | SecretKind::UserInfo) | None => Ok(()),
        Some(_) => Err(refused(name, text, "is refused: all can read it")),
    }
}

/// Refuses a private key in any flag.
fn check_text(name: &str, text: &str) -> Result<(), Failure> {
    if let Some(path) = ["sqlite:", "unix:"].iter().find_map(|start| text.strip_prefix(start)) {
        return check_path(name, Path::new(path));
    }
    let is_key = match SecretKind::of(text) {
        Some(SecretKind::Pem) => true,
        Some(SecretKind::Json) => text.contains("\"d\""),
        _ => false,
    };
    match is_key {
        true => Err(refused(name, text, "belongs in a file that only you can read")),
        false => Ok(()),
    }
}

fn refused(name: &str, text: &str, why: &str) -> Failure {
    let described = description(text).unwrap_or_default();
    Failure::usage(format!("the value given to {name} {described} {why}"))
}
