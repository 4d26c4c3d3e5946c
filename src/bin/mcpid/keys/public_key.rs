//! Pins the public key of a key that signs, such as by `--public-key`.

use std::path::Path;

use mcpid::key::{KeyId, PublicKey, format};

use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::path_word;
use crate::prompt::passphrase;

/// Maximum size of the file, in bytes.
const MAX_BYTES: u32 = 64 * 1024;

/// The flag that pins the public key of `--key`.
pub(super) const PUBLIC_KEY: &str = "--public-key";

/// The public key that a signing key has to have, and what says so.
pub(crate) enum KeyPin<'a> {
    /// The flag of this name, if it is given.
    Flag(&'static str, Option<PublicKey>),
    /// An audit log, with the path of the file of its public key.
    Log(PublicKey, &'a Path),
}

impl KeyPin<'_> {
    /// Reads the file that the flag `flag` names.
    ///
    /// # Errors
    /// The file cannot be read, or has not exactly one usable key.
    pub(crate) fn flag(flag: &'static str, file: Option<&Path>) -> Result<Self, Failure> {
        let key = file.map(|file| read(flag, file)).transpose()?;
        Ok(KeyPin::Flag(flag, key))
    }

    /// Returns the public key.
    pub(super) fn key(&self) -> Option<&PublicKey> {
        match self {
            KeyPin::Flag(_, key) => key.as_ref(),
            KeyPin::Log(key, _) => Some(key),
        }
    }

    /// Returns the failure for a program whose public key is not given.
    pub(super) fn missing(&self) -> Failure {
        let message = "a program is not asked which key it has: exec: needs";
        match self {
            KeyPin::Flag(flag, _) => {
                Failure::usage(format!("{message} {flag}")).hint(format!("add it: {flag} FILE"))
            }
            KeyPin::Log(..) => Failure::usage(format!("{message} the public key of the log")),
        }
    }

    /// Checks that `found` is the key.
    ///
    /// # Errors
    /// It is another one.
    pub(super) fn check(&self, found: &PublicKey) -> Result<(), Failure> {
        match self.key() {
            Some(pinned) if pinned != found => Err(self.another(found.id(), pinned.id())),
            _ => Ok(()),
        }
    }

    /// Returns the failure for the key `found` in place of the key `pinned`.
    pub(super) fn another(&self, found: &KeyId, pinned: &KeyId) -> Failure {
        let (what, hint) = match self {
            KeyPin::Flag(flag, _) => (
                "the public key that was given",
                format!("{flag} pins the key; leave it out, or name the file of that key"),
            ),
            KeyPin::Log(_, file) => {
                ("the key of the log", format!("the log's key: cat {}", path_word(file)))
            }
        };
        let message = format!("the key is {found}, and {what} is {pinned}");
        Failure::new(Exit::Key, "another_key", message).hint(hint)
    }
}

/// Reads the only key of the file at `path`, which `flag` names, in any form that `trust add` reads.
///
/// # Errors
/// The file cannot be read, or has not exactly one usable key.
fn read(flag: &str, path: &Path) -> Result<PublicKey, Failure> {
    if path == Path::new("-") {
        let message = format!("{flag} cannot be -: the key is not read from stdin");
        return Err(Failure::usage(message).hint(format!("name a file: {flag} FILE")));
    }
    // Memory is protected first, because the file may be a keyfile without a passphrase.
    passphrase::keep_out_of_dumps();
    let input = files::open_quietly(Some(path))?;
    let name = input.name.clone();
    let bytes = input.read_secret(MAX_BYTES)?;
    let failure = |why: String| {
        Failure::new(Exit::Key, "not_a_key", format!("{flag} {name}: {why}"))
            .hint(format!("what it is: file {}", path_word(path)))
    };
    let import = format::read_public(&bytes).map_err(|error| failure(error.to_string()))?;
    let count = import.keys.len();
    let mut keys = import.keys.into_iter();
    match (keys.next(), import.skipped.first()) {
        // A security key signs a different message format, and only by a touch, so it cannot be
        // pinned here.
        (Some(found), _) if found.application.is_some() => {
            Err(failure("is a security key, which signs only by a touch".to_owned()))
        }
        (Some(found), _) if count == 1 => Ok(found.key),
        (Some(_), _) => Err(failure(format!("holds {count} keys; one is wanted"))),
        (None, Some(skipped)) => Err(failure(skipped.to_string())),
        (None, None) => Err(failure("holds no key".to_owned())),
    }
}
