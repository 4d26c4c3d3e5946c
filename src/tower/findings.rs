//! What the layer found out about one request.

use super::modes::Mode;
use super::refusal::RefusalReason;
use super::status::Status;

/// What was found out about a request.
pub(super) struct Findings {
    pub(super) status: Option<Status>,
    pub(super) mode: Option<Mode>,
    /// Why it does not get through.
    pub(super) refusal: Option<RefusalReason>,
}

impl Findings {
    pub(super) fn refuse(reason: RefusalReason) -> Self {
        Findings { status: None, mode: None, refusal: Some(reason) }
    }
}
