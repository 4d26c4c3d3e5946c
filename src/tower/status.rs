//! The verification status of a request, which the layer adds to its extensions.

use std::sync::Arc;

use crate::verify::{Code, Rejection, Unavailable, Verified};

/// The verification status of a request. Services behind the layer find it in the extensions.
///
/// ```
/// # fn f(request: &http::Request<()>) -> Option<&str> {
/// use mcpid::tower::Status;
/// let status = request.extensions().get::<Status>()?;
/// status.verified()?.name()
/// # }
/// ```
///
/// A client cannot set extensions, and the layer replaces an earlier status. Only
/// [`Status::Verified`] proves the key; the other variants contain only unproven claims.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Status {
    /// A signature passed all twelve verification steps. The value names its key.
    Verified(Arc<Verified>),
    /// The request has no signature.
    Unsigned(Arc<Rejection>),
    /// A signature is well-formed, but no trust file has its key.
    UnknownKey(Arc<Rejection>),
    /// A signature was refused for another reason.
    Invalid(Arc<Rejection>),
    /// The request could not be judged, because the nonce store did not answer or a part of the
    /// request was not seen.
    Unavailable(Arc<Unavailable>),
}

impl Status {
    /// Returns the status of a rejected request.
    pub(super) fn rejected(rejection: Arc<Rejection>) -> Self {
        match rejection.code() {
            Code::SignatureMissing => Status::Unsigned(rejection),
            Code::KeyUnknown => Status::UnknownKey(rejection),
            _ => Status::Invalid(rejection),
        }
    }

    /// Returns `verified`, `unsigned`, `unknown_key`, `invalid` or `unavailable`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Status::Verified(_) => "verified",
            Status::Unsigned(_) => "unsigned",
            Status::UnknownKey(_) => "unknown_key",
            Status::Invalid(_) => "invalid",
            Status::Unavailable(_) => "unavailable",
        }
    }

    /// Returns the verified signature, or `None` for every other status.
    pub fn verified(&self) -> Option<&Verified> {
        match self {
            Status::Verified(verified) => Some(verified),
            _ => None,
        }
    }

    /// Returns the rejection with which strict mode refuses this request.
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Status::Unsigned(r) | Status::UnknownKey(r) | Status::Invalid(r) => Some(r),
            _ => None,
        }
    }

    /// Returns the code with which strict mode refuses this request, or `None` if it is verified or
    /// could not be judged.
    pub fn code(&self) -> Option<Code> {
        self.rejection().map(Rejection::code)
    }
}
