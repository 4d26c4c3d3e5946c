//! A request of the client while its answer is waited for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::connect::json_rpc::{self, RequestId};
use crate::connect::session::SessionNumber;

/// A request of the client.
pub(super) struct PendingCall {
    pub(super) id: RequestId,
    pub(super) method: String,
    pub(super) name: Option<String>,
    /// It names a protocol version itself.
    pub(super) stateless: bool,
    pub(super) body: Bytes,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) number: SessionNumber,
    /// When the last notification about it was handed on.
    pub(super) last_notified: Mutex<Option<Instant>>,
    /// It came a second time, with a yes, and is sent as it came the first time.
    pub(super) alias: Option<CallAlias>,
}

impl PendingCall {
    pub(super) fn last_notified(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_notified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a request that came in a second round goes by its name of the first.
#[derive(Debug)]
pub(super) struct CallAlias {
    /// The id that is sent.
    pub(super) sent: RequestId,
    /// Its token for progress as it is sent, and as the client waits for it.
    pub(super) tokens: Option<(RequestId, String)>,
}

impl CallAlias {
    /// A notification of progress by the token that the client waits for; nothing if `text` is
    /// something else.
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
