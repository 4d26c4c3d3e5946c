//! A request of the client that waits for its answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::connect::json_rpc::{self, RequestId};
use crate::connect::session::SessionNumber;

/// A request of the client that waits for its answer.
pub(super) struct PendingCall {
    pub(super) id: RequestId,
    pub(super) method: String,
    pub(super) name: Option<String>,
    /// Whether the request names its protocol version itself (2026-07-28 or later).
    pub(super) stateless: bool,
    pub(super) body: Bytes,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) number: SessionNumber,
    /// When the bridge last passed on a notification about the request.
    pub(super) last_notified: Mutex<Option<Instant>>,
    /// Set for a request that the client sent a second time to bring a person's consent (revision
    /// 2026-07-28). The bridge sends the body of the first request to the server, with the id and
    /// progress token of that first request.
    pub(super) alias: Option<CallAlias>,
}

impl PendingCall {
    pub(super) fn last_notified(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_notified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id and progress token that the server gets, if they differ from those that the client
/// expects.
#[derive(Debug)]
pub(super) struct CallAlias {
    /// The id that is sent to the server.
    pub(super) sent: RequestId,
    /// The progress token that is sent to the server, and the token that the client expects.
    pub(super) tokens: Option<(RequestId, String)>,
}

impl CallAlias {
    /// Returns a progress notification with its token replaced by the one that the client expects,
    /// or None if `text` is not a progress notification of this request.
    pub(super) fn progress(&self, text: &str) -> Option<String> {
        #[derive(Deserialize)]
        struct Progress<'p> {
            method: &'p str,
            #[serde(borrow)]
            params: Token<'p>,
        }
        #[derive(Deserialize)]
        struct Token<'p> {
            #[serde(borrow, rename = "progressToken")]
            token: &'p RawValue,
        }
        let (sent, own) = self.tokens.as_ref()?;
        let progress: Progress<'_> = serde_json::from_str(text).ok()?;
        let token = progress.params.token.get();
        if progress.method != "notifications/progress"
            || RequestId::read(token).as_ref() != Some(sent)
        {
            return None;
        }
        json_rpc::splice(text, token, own)
    }
}
