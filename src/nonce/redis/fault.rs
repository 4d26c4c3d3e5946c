//! Errors of the Redis store, each with what the store can do about it.

use std::borrow::Cow;

use redis::{ErrorKind, RedisError, ServerError};

use super::StoreError;
use crate::nonce::RetentionTooShort;
use crate::nonce::url::ServerAddress;

/// What the store does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultRemedy {
    /// Report the error: no repetition helps.
    GiveUp,
    /// Send the command again on the same connection.
    Retry,
    /// Open a new connection to the server that is the primary by then.
    Reconnect,
}

/// An error that is shared by several claims (requests to store a nonce if it is new), with what
/// the store does about it.
#[derive(Clone, Debug)]
pub(super) struct RedisFault {
    reason: Cow<'static, str>,
    source: Option<RedisError>,
    pub(super) then: FaultRemedy,
    user_wanted: bool,
    retention_too_short: Option<RetentionTooShort>,
}

impl RedisFault {
    pub(super) fn new(then: FaultRemedy, reason: impl Into<Cow<'static, str>>) -> Self {
        let (source, retention_too_short) = (None, None);
        RedisFault { reason: reason.into(), source, then, user_wanted: false, retention_too_short }
    }

    /// The error if a user needs a longer retention than the store has, and may not raise it.
    pub(super) fn retention_too_short(retention_too_short: RetentionTooShort) -> Self {
        let reason = retention_too_short.to_string();
        RedisFault {
            retention_too_short: Some(retention_too_short),
            ..RedisFault::new(FaultRemedy::GiveUp, reason)
        }
    }

    /// The error if the server at `place` could not be reached, or the connection to it failed.
    pub(super) fn unreachable(place: &ServerAddress, error: RedisError) -> Self {
        let (reason, then) = match error.kind() {
            ErrorKind::AuthenticationFailed => ("did not let us in", FaultRemedy::GiveUp),
            ErrorKind::InvalidClientConfig => ("cannot be asked like this", FaultRemedy::GiveUp),
            ErrorKind::Parse => ("gave an answer that is not Redis's", FaultRemedy::Reconnect),
            _ => ("could not be reached", FaultRemedy::Reconnect),
        };
        RedisFault::new(then, format!("{place} {reason}")).because(error)
    }

    pub(super) fn because(self, source: RedisError) -> Self {
        RedisFault { source: Some(source), ..self }
    }

    /// The error for an error reply of the server at `place`.
    pub(super) fn refused(place: &ServerAddress, error: &ServerError) -> Self {
        let then = match error.code() {
            // Another server is the primary now, or there is no primary at the moment.
            "MOVED" | "READONLY" | "CLUSTERDOWN" | "MASTERDOWN" | "UNBLOCKED" => {
                FaultRemedy::Reconnect
            }
            // A slot is being moved, or the server is starting, busy, or without its replicas.
            // These states may end soon.
            "ASK" | "TRYAGAIN" | "LOADING" | "BUSY" | "NOREPLICAS" => FaultRemedy::Retry,
            _ => FaultRemedy::GiveUp,
        };
        let reason = match error.code() {
            "MOVED" => "says that it is a node of a cluster, and not the one to ask".to_owned(),
            "ASK" | "TRYAGAIN" => "is moving the slot".to_owned(),
            "READONLY" => "is a replica".to_owned(),
            "OOM" => "has no memory left".to_owned(),
            // The text comes from the server, so control characters are removed and its length is
            // limited.
            code => {
                let words = format!("{code} {}", error.details().unwrap_or_default());
                let plain = words.trim().chars().filter(|c| !c.is_control()).take(160);
                format!("refused with {}", plain.collect::<String>())
            }
        };
        let user_wanted = error.code() == "NOAUTH";
        RedisFault { user_wanted, ..RedisFault::new(then, format!("{place} {reason}")) }
    }

    /// The error for a malformed answer of the server at `place`; `what` names the answer.
    pub(super) fn malformed(place: &ServerAddress, what: &str) -> Self {
        RedisFault::new(FaultRemedy::Reconnect, format!("{place} gave an odd answer: {what}"))
    }

    /// Returns true if the server demands authentication.
    pub(super) fn wants_user(&self) -> bool {
        self.user_wanted
    }

    pub(super) fn error(&self) -> StoreError {
        if let Some(retention_too_short) = self.retention_too_short {
            return retention_too_short.into();
        }
        match &self.source {
            Some(source) => StoreError::because(self.reason.clone(), source.clone()),
            None => StoreError::new(self.reason.clone()),
        }
    }
}
