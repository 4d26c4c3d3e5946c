//! The reasons why a request could not be judged.

use crate::clock::Timestamp;
use crate::nonce::StoreError;

/// Why a request could not be judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The nonce store did not answer, or its answer cannot be relied on.
    #[error("the nonce store could not say whether the nonce is new")]
    Store(#[from] StoreError),
    /// The store may have lost nonces of requests made at or before `floor`, for example after a
    /// restart or a fail-over: a replay of such a request would look new.
    #[error("the nonce store may have forgotten what was used until {floor}")]
    BelowFloor {
        /// The store may have lost nonces up to and including this second.
        floor: Timestamp,
        /// `created` of the request, if present.
        created: Option<Timestamp>,
        /// Seconds until newly signed requests can be judged.
        retry_after: i64,
    },
    /// The proxy that asked about the request did not show its body, or only a part of it.
    #[error("the proxy in front did not show the whole body")]
    BodyUnseen,
    /// The proxy that asked about the request may have changed a field that the signature covers:
    /// such a proxy joins several lines of a field with commas, and replaces bytes that are not
    /// UTF-8.
    #[error("the proxy in front may have joined lines of {field}, which the signature covers")]
    HeadUnseen {
        /// The name of the field.
        field: String,
    },
}

impl Unavailable {
    /// Returns a stable word for answers and logs: `body_unseen` or `head_unseen` if a part of the
    /// request was not shown, else `unavailable`.
    pub fn reason(&self) -> &'static str {
        match self {
            Unavailable::Store(_) | Unavailable::BelowFloor { .. } => "unavailable",
            Unavailable::BodyUnseen => "body_unseen",
            Unavailable::HeadUnseen { .. } => "head_unseen",
        }
    }

    /// Whether a part of the request was not shown. Sending it again does not help then.
    pub fn is_unseen(&self) -> bool {
        matches!(self, Unavailable::BodyUnseen | Unavailable::HeadUnseen { .. })
    }
}
