//! Reads the public key that `--public-key` pins.

use std::path::Path;

use mcpid::key::{PublicKey, format};

use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::path_word;
use crate::prompt::passphrase;

/// Maximum size of the file, in bytes.
const MAX_BYTES: u32 = 64 * 1024;

/// Reads the only key of the file at `path`, in any form that `trust add` reads.
///
/// # Errors
/// The file cannot be read, or has not exactly one usable key.
pub(crate) fn pinned(path: &Path) -> Result<PublicKey, Failure> {
    if path == Path::new("-") {
        let message = "--public-key cannot be -: stdin is for what is signed";
        return Err(Failure::usage(message).hint("name a file: --public-key FILE"));
    }
    // Memory is protected first, because the file may be a keyfile without a passphrase.
    passphrase::keep_out_of_dumps();
    let input = files::open_quietly(Some(path))?;
    let name = input.name.clone();
    let bytes = input.read_secret(MAX_BYTES)?;
    let failure = |why: String| {
        Failure::new(Exit::Key, "not_a_key", format!("--public-key {name}: {why}"))
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
