//! The touch of a security key, as a log line records it.

use serde::{Deserialize, Serialize};

use super::LogText;
use crate::verify::Touch;

/// A touch of a security key that confirmed the signature of a verified request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedTouch {
    /// The RFC 7638 thumbprint of the security key.
    pub id: LogText,
    /// The name of the security key in the trust file.
    #[serde(default)]
    pub name: Option<LogText>,
    /// Whether the security key also verified its user, for example by a PIN.
    #[serde(default)]
    pub verified: bool,
    /// The signature counter of the security key. It is reported, but no decision depends on it.
    #[serde(default)]
    pub counter: u32,
}

impl From<Touch<'_>> for LoggedTouch {
    fn from(touch: Touch<'_>) -> Self {
        LoggedTouch {
            id: LogText::new(touch.key.as_str()),
            name: touch.name.map(LogText::new),
            verified: touch.verified,
            counter: touch.counter,
        }
    }
}
