//! The result of judging one request.

use std::sync::Arc;

use crate::verify::Unavailable;

use super::modes::Mode;
use super::refusal::RefusalReason;
use super::sessions::SessionDigest;
use super::status::Status;

/// The result of judging a request.
pub(super) struct Findings {
    pub(super) status: Option<Status>,
    pub(super) mode: Option<Mode>,
    /// Why the request is refused; `None` if it is passed on.
    pub(super) refusal: Option<RefusalReason>,
    /// The digest of the session id in a verified request.
    pub(super) session: Option<SessionDigest>,
}

impl Findings {
    pub(super) fn refuse(reason: RefusalReason) -> Self {
        Findings { status: None, mode: None, refusal: Some(reason), session: None }
    }

    /// Returns the findings for a request that could not be judged. Strict mode refuses it, and
    /// permissive mode passes it on.
    pub(super) fn unavailable(why: Unavailable, mode: Mode) -> Self {
        let why = Arc::new(why);
        let refusal = (mode == Mode::Strict).then(|| RefusalReason::Unavailable(Arc::clone(&why)));
        let status = Some(Status::Unavailable(why));
        Findings { status, mode: Some(mode), refusal, session: None }
    }
}
