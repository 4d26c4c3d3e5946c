//! The audit log of a middleware.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mcpid::audit::{Folder, Log, LogError, LogSettings, Recorder};
use mcpid::clock::Clock;
use mcpid::message::error_chain::chain;
use pyo3::exceptions::{PyFileNotFoundError, PyOSError, PyPermissionError, PyRuntimeError};
use pyo3::prelude::*;

use crate::errors::shown_path;

/// An open log, and the process that opened it.
pub(crate) struct AuditLog {
    recorder: Arc<Recorder>,
    process: u32,
}

/// Opens the log in `folder`, which `mcpid audit init` has made.
///
/// # Errors
/// `FileNotFoundError`, `PermissionError`, or `OSError` for a log that cannot be used.
pub(crate) fn open(folder: PathBuf, clock: Arc<dyn Clock>) -> PyResult<AuditLog> {
    let name = folder.display().to_string();
    let shown = shown_path(&folder).display().to_string();
    let log =
        Folder::at(folder).and_then(|folder| Log::open(folder, LogSettings::default(), clock));
    let log = log.map_err(|error| failure(&error, &chain(&error).replace(&name, &shown)))?;
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

fn failure(error: &LogError, why: &str) -> PyErr {
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
        LogError::Locked(_) => PyRuntimeError::new_err(
            line + ": one process writes a log, so several workers need a log each",
        ),
        _ => PyOSError::new_err(line),
    }
}
