//! The parts of a verdict report that name keys.

use serde::Serialize;

use super::capped::{short, text};
use crate::verify::{Rejection, Touch};

/// A key in a report.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ReportedKey {
    /// The key id.
    #[serde(serialize_with = "text")]
    pub id: String,
    /// The name in a trust file.
    pub name: Option<String>,
}

/// The touch of a security key in a report.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ReportedTouch {
    /// The label of the security key's signature, which is its touch.
    pub label: String,
    /// The security key that was touched.
    pub key: ReportedKey,
    /// The application for which the security key was created.
    pub application: String,
    /// Whether the security key also verified its user, by a PIN or a fingerprint.
    pub verified: bool,
    /// The signature counter of the security key. No decision depends on it.
    pub counter: u32,
}

impl From<Touch<'_>> for ReportedTouch {
    fn from(touch: Touch<'_>) -> Self {
        ReportedTouch {
            label: short(touch.label),
            key: ReportedKey { id: touch.key.to_string(), name: touch.name.map(str::to_owned) },
            application: touch.application.to_owned(),
            verified: touch.verified,
            counter: touch.counter,
        }
    }
}

/// An invalid signature of a request that also has a valid one.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FailedSignature {
    /// The label of the invalid signature.
    pub label: String,
    /// The key that the invalid signature names.
    pub key: Option<ReportedKey>,
    /// Whether the key is in a trust file.
    pub key_known: bool,
    /// The step that refused the invalid signature.
    pub step: u8,
    /// The code of the refusal.
    pub code: &'static str,
    /// The reason, for people.
    pub message: String,
}

impl From<&Rejection> for FailedSignature {
    fn from(rejection: &Rejection) -> Self {
        let statement = rejection.statement().cloned().unwrap_or_default();
        FailedSignature {
            label: short(&statement.label),
            key: statement.key.map(|id| ReportedKey { id, name: statement.key_name }),
            key_known: statement.key_known,
            step: rejection.step().number(),
            code: rejection.code().as_str(),
            message: short(rejection.message()),
        }
    }
}
