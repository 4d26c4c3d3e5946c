//! Reads trust files, and turns errors into messages with hints.

use std::io;
use std::path::{Path, PathBuf};

use mcpid::key::file_io::FileError;
use mcpid::key::trust::{
    EditError, LoadError, LoadErrorKind, Registry, TrustError, TrustFile, TrustNote,
};

use crate::input::files::{self, NamedPath};
use crate::keys::keyfile::store_failure;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::{Ui, path_word};

/// Reads all trust files and folders that the flags name, or else the default file. Prints the
/// library's remarks about them.
///
/// # Errors
/// A file cannot be used. Then no file is used, because that one may contain a revocation.
pub(crate) fn registry(flags: &[PathBuf], ui: &mut Ui) -> Result<Registry, Failure> {
    let places = files::trusts(flags)?;
    let paths: Vec<&Path> = places.iter().map(|place| place.path.as_path()).collect();
    let registry = Registry::load(&paths).map_err(|error| {
        let place = places.iter().find(|place| place.path == error.path);
        let flag = place.map(|place| place.as_flag("-r")).unwrap_or_default();
        load_failure(error, &flag)
    })?;
    notes(registry.notes(), ui);
    Ok(registry)
}

/// Reads the trust file at `place`.
///
/// # Errors
/// The file is missing, damaged or a folder, or other users can write it.
pub(crate) fn load(place: &NamedPath, ui: &mut Ui) -> Result<TrustFile, Failure> {
    let file = TrustFile::load(&place.path).map_err(|e| load_failure(e, &place.as_flag("-r")))?;
    notes(file.notes(), ui);
    Ok(file)
}

fn notes(notes: &[TrustNote], ui: &mut Ui) {
    for TrustNote { path, text, .. } in notes {
        match path {
            Some(path) => ui.note(&format!("{}: {text}", path.display())),
            None => ui.note(text),
        }
    }
}

/// Returns the failure if a trust file or folder cannot be read. `flag` is how the user named it,
/// such as ` -r FILE`, or empty.
pub(crate) fn load_failure(error: LoadError, flag: &str) -> Failure {
    kind_failure(&error.path, error.kind, flag)
}

fn kind_failure(path: &Path, kind: LoadErrorKind, flag: &str) -> Failure {
    let name = path.display();
    let (word, message) = (path_word(path), kind.about(path));
    match kind {
        LoadErrorKind::Store(FileError::Io(e)) if e.kind() == io::ErrorKind::NotFound => {
            Failure::read(path, &e).hint(format!("mcpid trust add{flag}"))
        }
        LoadErrorKind::Store(e @ FileError::NotRegular("a folder")) => {
            let inside = path_word(&path.join("trust.json"));
            Failure { hints: Vec::new(), ..store_failure(path, e) }
                .hint(format!("one file is shown or changed: mcpid trust list -r {inside}"))
        }
        LoadErrorKind::Store(e) => store_failure(path, e),
        LoadErrorKind::OthersCanWrite { .. } => {
            Failure::new(Exit::Key, "too_open", message).hint(format!("chmod o-w {word}"))
        }
        LoadErrorKind::NoFiles => Failure::new(Exit::Input, "not_found", message)
            .hint(format!("mcpid trust add -r {}", path_word(&path.join("trust.json")))),
        LoadErrorKind::Trust(TrustError::NotKeys("a keyfile")) => {
            Failure::new(Exit::Key, "damaged", message).hint(format!("mcpid trust add {word}"))
        }
        _ if std::fs::metadata(path).is_ok_and(|about| about.len() == 0) => {
            Failure::new(Exit::Key, "damaged", format!("{name} is empty"))
                .hint(format!("rm {word} && mcpid trust add{flag}"))
        }
        kind => {
            let failure = Failure::new(Exit::Key, "damaged", message);
            match kind {
                LoadErrorKind::Trust(TrustError::Json(_)) => {
                    failure.hint(format!("python3 -m json.tool {word}"))
                }
                LoadErrorKind::Trust(TrustError::PrivateKey { .. }) => {
                    failure.hint("others may have read the key; make another one: mcpid keygen")
                }
                LoadErrorKind::Trust(TrustError::Repeated { .. }) => {
                    failure.hint("keep the stricter of the two, and delete the other")
                }
                _ => failure.hint("how an entry is written: mcpid trust add --help"),
            }
        }
    }
}

/// Returns the failure if a trust file could not be changed.
pub(crate) fn edit_failure(error: EditError, place: &NamedPath) -> Failure {
    let name = place.name();
    let flag = place.as_flag("-r");
    match error {
        EditError::Load(e) => load_failure(e, &flag),
        EditError::Store(FileError::Io(e)) if e.kind() == io::ErrorKind::NotFound => {
            Failure::read(&place.path, &e).hint(format!("mcpid trust add{flag}"))
        }
        EditError::Store(FileError::Io(e)) => Failure::write(&place.path, &e),
        EditError::Store(e) => kind_failure(&place.path, LoadErrorKind::Store(e), &flag),
        EditError::Trust(e) => kind_failure(&place.path, LoadErrorKind::Trust(e), &flag),
        EditError::AlreadyThere { id, name: known } => {
            let known = known.map(|known| format!(", as {known}")).unwrap_or_default();
            let message = format!("{name} has the key {id} already{known}");
            Failure::new(Exit::Key, "already_trusted", message)
                .hint(format!("mcpid trust list{flag}"))
        }
        EditError::NotFound(who) => {
            let message = format!("{name} has no key with the name, id or kid {who}");
            Failure::new(Exit::Key, "key_unknown", message).hint(format!("mcpid trust list{flag}"))
        }
        EditError::Ambiguous { who, ids } => {
            let list = ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(" ");
            let message =
                format!("{name} has {} keys with the name or kid {who}: {list}", ids.len());
            Failure::new(Exit::Key, "ambiguous", message)
                .hint(format!("one of them by its key id; what each is: mcpid trust list{flag}"))
        }
        EditError::Weak => {
            Failure::new(Exit::Key, "key_weak", error.to_string()).hint("mcpid keygen")
        }
        EditError::Published => {
            Failure::new(Exit::Key, "key_published", error.to_string()).hint("mcpid keygen")
        }
        EditError::Name | EditError::ClientId(_) | EditError::NeverValid { .. } => {
            Failure::usage(error.to_string()).hint("mcpid trust add --help")
        }
        _ => Failure::new(Exit::Key, "damaged", format!("{name}: {error}")),
    }
}
