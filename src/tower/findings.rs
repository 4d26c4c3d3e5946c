//! The result of judging one request.

use super::modes::Mode;
use super::refusal::RefusalReason;
use super::status::Status;

/// The result of judging a request.
pub(super) struct Findings {
    pub(super) status: Option<Status>,
    pub(super) mode: Option<Mode>,
    /// Why the request is refused; `None` if it gets through.
    pub(super) refusal: Option<RefusalReason>,
}

impl Findings {
    pub(super) fn refuse(reason: RefusalReason) -> Self {
        Findings { status: None, mode: None, refusal: Some(reason) }
    }
}
