//! What the layer found out about one request.

use super::modes::Mode;
use super::refusal::Reason;
use super::status::Status;

/// What was found out about a request.
pub(super) struct Findings {
    pub(super) status: Option<Status>,
    pub(super) mode: Option<Mode>,
    /// Why it does not get through.
    pub(super) refusal: Option<Reason>,
}

impl Findings {
    pub(super) fn refuse(reason: Reason) -> Self {
        Findings { status: None, mode: None, refusal: Some(reason) }
    }
}
