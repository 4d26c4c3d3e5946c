//! Errors of the SQLite store, and whether opening the file again may help.

use std::io;

use rusqlite::ErrorCode;

use super::StoreError;

/// The reason why a batch of calls has no answer. Every call of the batch gets a clone.
#[derive(Clone, Debug)]
pub(super) struct SqliteFault {
    reason: &'static str,
    detail: Option<String>,
    /// Whether the file has to be opened again.
    pub(super) reopen: bool,
}

impl SqliteFault {
    pub(super) fn new(reason: &'static str) -> Self {
        SqliteFault { reason, detail: None, reopen: true }
    }

    pub(super) fn io(reason: &'static str, error: &io::Error) -> Self {
        SqliteFault { reason, detail: Some(error.to_string()), reopen: true }
    }

    /// Creates an error after which the file stays open, because opening it again would not help.
    pub(super) fn passing(reason: &'static str) -> Self {
        SqliteFault { reason, detail: None, reopen: false }
    }

    /// Creates the error for an answer that came too late. `before` is the reason why the last
    /// batch of calls failed.
    pub(super) fn late(before: Option<&SqliteFault>) -> Self {
        let detail = before.map(|fault| fault.reason.to_owned());
        SqliteFault { detail, ..SqliteFault::passing("the store did not answer in time") }
    }

    pub(super) fn error(&self) -> StoreError {
        match &self.detail {
            None => StoreError::new(self.reason),
            Some(detail) => StoreError::because(self.reason, detail.clone()),
        }
    }
}

impl From<rusqlite::Error> for SqliteFault {
    fn from(error: rusqlite::Error) -> Self {
        use ErrorCode as Code;
        let (reason, reopen) = match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
                ("the file is locked by another program", false)
            }
            Some(Code::DiskFull) => ("the disk or the store is full", false),
            Some(Code::NotADatabase) => ("the file is not a nonce store", true),
            Some(Code::DatabaseCorrupt) => ("the file is damaged", true),
            Some(Code::ReadOnly) => ("the file cannot be written", true),
            Some(Code::CannotOpen | Code::PermissionDenied) => ("the file cannot be opened", true),
            Some(Code::SystemIoFailure) => ("the file cannot be read or written", true),
            _ => ("the file cannot be used", true),
        };
        SqliteFault { reason, detail: Some(error.to_string()), reopen }
    }
}
