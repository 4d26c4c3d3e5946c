//! What a log line says of a request: status, outcome, operation and key.

use serde::{Deserialize, Serialize};

use super::LogText;
use crate::mcp::pattern::Operation;
use crate::tower::Status;
use crate::verify::{Rejection, Verified};

/// The verification status of a request; see [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoggedStatus {
    /// A signature passed all twelve steps.
    Verified,
    /// The request has no signature.
    Unsigned,
    /// A signature is well-formed, but no trust file has its key.
    UnknownKey,
    /// A signature was refused for another reason.
    Invalid,
    /// The request could not be judged.
    Unavailable,
}

impl LoggedStatus {
    /// All statuses.
    pub const ALL: [LoggedStatus; 5] = [
        LoggedStatus::Verified,
        LoggedStatus::Unsigned,
        LoggedStatus::UnknownKey,
        LoggedStatus::Invalid,
        LoggedStatus::Unavailable,
    ];

    /// Returns the word for this status in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            LoggedStatus::Verified => "verified",
            LoggedStatus::Unsigned => "unsigned",
            LoggedStatus::UnknownKey => "unknown_key",
            LoggedStatus::Invalid => "invalid",
            LoggedStatus::Unavailable => "unavailable",
        }
    }
}

impl From<&Status> for LoggedStatus {
    fn from(status: &Status) -> Self {
        match status {
            Status::Verified(_) => LoggedStatus::Verified,
            Status::Unsigned(_) => LoggedStatus::Unsigned,
            Status::UnknownKey(_) => LoggedStatus::UnknownKey,
            Status::Invalid(_) => LoggedStatus::Invalid,
            Status::Unavailable(_) => LoggedStatus::Unavailable,
        }
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoggedOutcome {
    /// The request went to the upstream, verified or in permissive mode.
    Passed,
    /// The gateway refused the request.
    Refused,
    /// The request went to a path that is open to unsigned requests.
    Open,
    /// The request was not refused, but the upstream or the gateway failed to answer it.
    Failed,
}

/// The operation of a request, if its body was read and is unambiguous.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LoggedOperation {
    /// The JSON-RPC method, or `@response`, `@get`, `@delete`.
    pub method: LogText,
    /// The name of the tool, prompt, resource or task.
    #[serde(default)]
    pub name: Option<LogText>,
}

impl From<Operation<'_>> for LoggedOperation {
    fn from(Operation { method, name }: Operation<'_>) -> Self {
        LoggedOperation { method: LogText::new(method), name: name.map(LogText::new) }
    }
}

/// A trusted key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LoggedKey {
    /// The RFC 7638 thumbprint.
    pub id: LogText,
    /// The name in the trust file.
    #[serde(default)]
    pub name: Option<LogText>,
}

impl LoggedKey {
    /// Returns the trusted key whose signature is valid, of a refused request.
    pub(super) fn of_refused(rejection: &Rejection) -> Option<Self> {
        let (id, name) = rejection.signer()?;
        Some(LoggedKey { id: LogText::new(id.as_str()), name: name.map(LogText::new) })
    }
}

impl From<&Verified> for LoggedKey {
    fn from(verified: &Verified) -> Self {
        LoggedKey {
            id: LogText::new(verified.key().as_str()),
            name: verified.name().map(LogText::new),
        }
    }
}
