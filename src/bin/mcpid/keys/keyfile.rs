//! Opens keyfiles, and turns errors into messages with hints.

use std::path::Path;

use mcpid::key::SecretKey;
use mcpid::key::file_io::{self, FileError};
use mcpid::key::keyfile::{Keyfile, KeyfileError};

use crate::args::PassphraseArgs;
use crate::input::files::{NamedBy, NamedPath};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::{Ui, path_word};
use crate::prompt::passphrase::{self, Passphrase, PassphraseSource};

/// Reads the keyfile at `place`. The secret in it stays encrypted.
///
/// # Errors
/// The file is missing or damaged, or is not encrypted although other users can read it.
pub(crate) fn load(place: &NamedPath) -> Result<Keyfile, Failure> {
    // Memory is protected first, because a keyfile without a passphrase contains the plain private
    // key.
    passphrase::keep_out_of_dumps();
    file_io::load_keyfile(&place.path).map_err(|error| load_failure(place, error))
}

/// Returns the failure for a keyfile at `place` that cannot be read.
pub(crate) fn load_failure(place: &NamedPath, error: FileError) -> Failure {
    let missing = matches!(&error, FileError::Io(e) if e.kind() == std::io::ErrorKind::NotFound);
    let failure = store_failure(&place.path, error);
    match place.named {
        _ if !missing => failure,
        NamedBy::Flag => failure.hint(format!("mcpid keygen -o {}", path_word(&place.path))),
        NamedBy::Variable | NamedBy::Default => failure.hint("mcpid keygen"),
    }
}

/// Determines where the passphrase of `keyfile` comes from, without asking for it yet. Returns None
/// if the keyfile has no passphrase.
///
/// # Errors
/// Two passphrases are given, or a passphrase is needed and there is no source for it.
pub(crate) fn source(
    keyfile: &Keyfile,
    place: &NamedPath,
    args: &PassphraseArgs,
    ui: &mut Ui,
) -> Result<Option<PassphraseSource>, Failure> {
    passphrase::check(args)?;
    if !keyfile.is_plain() {
        return passphrase::source_of(keyfile.public().id(), args, ui).map(Some);
    }
    if args.passphrase_file.is_some() || args.passphrase_fd.is_some() {
        ui.note(&format!("{} is not encrypted; the passphrase is not used", place.name()));
    }
    Ok(None)
}

/// Opens `keyfile` with the passphrase from `source`.
///
/// # Errors
/// The passphrase is wrong or missing, or there is too little memory.
pub(crate) fn open(
    keyfile: &Keyfile,
    place: &NamedPath,
    source: Option<PassphraseSource>,
) -> Result<SecretKey, Failure> {
    let (given, is_remembered) = read(source, &place.name())?;
    keyfile
        .open(given.as_ref().map(|bytes| bytes.as_slice()))
        .map_err(|error| open_failure(place, &error, is_remembered))
}

/// Reads the passphrase from its source. Also returns whether it came from the Secret Service.
///
/// # Errors
/// As for [`PassphraseSource::existing`].
pub(crate) fn read(
    source: Option<PassphraseSource>,
    whose: &str,
) -> Result<(Option<Passphrase>, bool), Failure> {
    let is_remembered = matches!(source, Some(PassphraseSource::Remembered(_)));
    let given = source.map(|source| source.existing(whose)).transpose()?;
    Ok((given, is_remembered))
}

/// Returns the failure for a keyfile that the passphrase did not open.
pub(crate) fn open_failure(
    place: &NamedPath,
    error: &KeyfileError,
    is_remembered: bool,
) -> Failure {
    let failure = keyfile_failure(&place.path, error);
    match error {
        KeyfileError::WrongPassphrase if is_remembered => {
            let flag = place.as_flag("-k");
            let name = place.name();
            let message =
                format!("the passphrase that the Secret Service remembers does not open {name}");
            Failure { message, hints: Vec::new(), ..failure }
                .hint(format!("to remember the right one: mcpid passwd --forget{flag} && mcpid passwd --remember{flag}"))
        }
        _ => failure,
    }
}

/// Returns the failure for a keyfile or trust file that cannot be read or written.
pub(crate) fn store_failure(path: &Path, error: FileError) -> Failure {
    let message = error.about(path);
    match error {
        FileError::Io(e) => Failure::read(path, &e),
        FileError::NotRegular(what) => {
            let failure = Failure::new(Exit::Input, "not_a_file", message);
            match what {
                "a folder" => failure.hint(format!("ls {}", path_word(path))),
                _ => failure.hint(format!("ls -l {}", path_word(path))),
            }
        }
        FileError::Exists => Failure::new(Exit::Input, "exists", message),
        FileError::TooOpen { .. } => Failure::new(Exit::Key, "too_open", message)
            .hint(format!("chmod 600 {}", path_word(path))),
        FileError::Keyfile(error) => keyfile_failure(path, &error),
        _ => Failure::new(Exit::Key, "damaged", message),
    }
}

/// Returns the failure for a keyfile that cannot be opened or made.
pub(crate) fn keyfile_failure(path: &Path, error: &KeyfileError) -> Failure {
    let code = match error {
        KeyfileError::WrongPassphrase => "wrong_passphrase",
        KeyfileError::NotAKeyfile => "not_a_keyfile",
        KeyfileError::UnknownVersion(_) => "unknown_version",
        KeyfileError::TooCostly { .. } => "too_costly",
        KeyfileError::OutOfMemory(_) => "out_of_memory",
        KeyfileError::Random(_) => "no_random",
        _ => "damaged",
    };
    let failure = Failure::new(Exit::Key, code, error.about(path));
    let word = path_word(path);
    match code {
        "wrong_passphrase" => {
            failure.hint(format!("which key it is: mcpid export -k {word} --format thumbprint"))
        }
        "not_a_keyfile" => failure
            .hint(format!("to import a private key: mcpid keygen -o key.json --import {word}")),
        "damaged" | "too_costly" | "unknown_version" => {
            failure.hint("if there is no copy of it, make another: mcpid keygen -o another.json")
        }
        _ => failure,
    }
}
