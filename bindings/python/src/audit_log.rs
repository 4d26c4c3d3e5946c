//! The audit log of a middleware.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mcpid::audit::{Folder, Log, LogError, LogSettings, Recorder};
use mcpid::clock::Clock;
use mcpid::key::source::{FindKeyError, KeyRef};
use mcpid::key::{PublicKey, Sign};
use mcpid::message::error_chain::chain;
use pyo3::exceptions::{
    PyFileNotFoundError, PyOSError, PyPermissionError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;

use crate::errors::{find_error, shown_path};
use crate::key_source;
use crate::keys::SigningKey;

/// An open log, and the process that opened it.
pub(crate) struct AuditLog {
    recorder: Arc<Recorder>,
    process: u32,
}

/// Where the private key of a log is, if it is not in the folder of the log.
pub(crate) enum AuditKey {
    /// It was loaded before.
    Loaded(Arc<dyn Sign>),
    /// It has to be found by this reference.
    At(PathBuf),
}

impl AuditKey {
    /// Reads the argument `audit_key`: a [`SigningKey`], or the text of a reference.
    pub(crate) fn of(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(key) = given.cast::<SigningKey>() {
            return Ok(AuditKey::Loaded(key.get().signer()));
        }
        given.extract().map(AuditKey::At).map_err(|_| {
            let kind = given.get_type().name().map(|name| name.to_string());
            let kind = kind.unwrap_or_default();
            PyTypeError::new_err(format!("audit_key is a path, a text or a SigningKey, not {kind}"))
        })
    }

    /// Returns the key. `log` is the public key of the log: the key has to be this one, and a program
    /// is not asked for it.
    fn open(self, log: &PublicKey) -> PyResult<Arc<dyn Sign>> {
        let path = match self {
            AuditKey::Loaded(key) => return Ok(key),
            AuditKey::At(path) => path,
        };
        let wrong = |why: String| PyValueError::new_err(format!("audit_key: {why}"));
        let reference = KeyRef::parse(&path).map_err(|error| wrong(chain(&error)))?;
        let found = key_source::find(&reference, Some(log)).map_err(|error| match error {
            FindKeyError::AnotherKey { pinned, found } => {
                let (log, given) = (Box::new(pinned), Box::new(found));
                failure(&LogError::AnotherKey { log, given })
            }
            error => find_error(&path, &error),
        })?;
        if found.is_sealed() {
            let message =
                "it needs a passphrase or PIN: audit_key=SigningKey.load(…, passphrase=…)";
            return Err(wrong(message.to_owned()));
        }
        found.open(None).map_err(|error| wrong(chain(&error)))
    }
}

/// Opens the log in `folder`, which `mcpid audit init` has made, with its private key.
///
/// # Errors
/// `FileNotFoundError`, `PermissionError`, or `OSError` for a log that cannot be used. `ValueError` or
/// an `OSError` for a key that cannot.
pub(crate) fn open(
    folder: PathBuf,
    key: Option<AuditKey>,
    clock: Arc<dyn Clock>,
) -> PyResult<AuditLog> {
    let name = folder.display().to_string();
    let shown = shown_path(&folder).display().to_string();
    let wrong = |error: LogError| failure_as(&error, &chain(&error).replace(&name, &shown));
    let mut folder = Folder::at(folder).map_err(wrong)?;
    if let Some(key) = key {
        let public = folder.public().map_err(wrong)?;
        folder = folder.with_key(key.open(public.public())?);
    }
    let log = Log::open(folder, LogSettings::default(), clock).map_err(wrong)?;
    let recorder = Arc::new(Recorder::new(log));
    Ok(AuditLog { recorder, process: std::process::id() })
}

impl AuditLog {
    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    /// Whether the log was opened by the parent of this process. The thread that writes it does not
    /// exist here.
    pub(crate) fn is_foreign(&self) -> bool {
        self.process != std::process::id()
    }

    /// Writes the last checkpoint, and ends the log.
    pub(crate) fn close(&self) {
        if !self.is_foreign() {
            self.recorder.log().close();
        }
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        if self.is_foreign() {
            // Ending the log waits for its thread, which a forked child does not have.
            std::mem::forget(Arc::clone(&self.recorder));
        }
    }
}

fn failure(error: &LogError) -> PyErr {
    failure_as(error, &chain(error))
}

fn failure_as(error: &LogError, why: &str) -> PyErr {
    let line = format!("audit: {why}");
    match error {
        LogError::NotALog(_) => {
            PyFileNotFoundError::new_err(line + "; hint: mcpid audit init --audit DIR")
        }
        LogError::Io { source, .. } => match source.kind() {
            io::ErrorKind::NotFound => PyFileNotFoundError::new_err(line),
            io::ErrorKind::PermissionDenied => PyPermissionError::new_err(line),
            _ => PyOSError::new_err(line),
        },
        LogError::TooOpen { .. } => PyPermissionError::new_err(line),
        LogError::NoKey(_) => PyOSError::new_err(line + "; hint: where is it? audit_key=…"),
        LogError::AnotherKey { .. } => PyValueError::new_err(line),
        LogError::Locked(_) => PyRuntimeError::new_err(
            line + ": one process writes a log, so several workers need a log each",
        ),
        _ => PyOSError::new_err(line),
    }
}
