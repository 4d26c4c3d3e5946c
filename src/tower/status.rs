//! What is known about a request that gets through: a label in its extensions.

use std::sync::Arc;

use crate::verify::{Code, Rejection, Unavailable, Verified};

/// The verification status of a request, found in its extensions by everything behind the layer.
///
/// ```
/// # fn f(request: &http::Request<()>) -> Option<&str> {
/// use mcpid::tower::Status;
/// let status = request.extensions().get::<Status>()?;
/// status.verified()?.name()
/// # }
/// ```
///
/// Extensions never come from the wire, and the layer replaces one that is there already. Only
/// [`Status::Verified`] says who sent a request; everything that the others hold is a claim.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Status {
    /// All twelve steps hold; the witness says by whose key.
    Verified(Arc<Verified>),
    /// No signature.
    Unsigned(Arc<Rejection>),
    /// A well-formed signature under a key that the registry does not have.
    UnknownKey(Arc<Rejection>),
    /// A signature, refused at some other step.
    Invalid(Arc<Rejection>),
    /// It could not be judged.
    Unavailable(Arc<Unavailable>),
}

impl Status {
    /// The status of a request that was judged, with the answer no.
    pub(super) fn rejected(rejection: Arc<Rejection>) -> Self {
        match rejection.code() {
            Code::SignatureMissing => Status::Unsigned(rejection),
            Code::KeyUnknown => Status::UnknownKey(rejection),
            _ => Status::Invalid(rejection),
        }
    }

    /// `verified`, `unsigned`, `unknown_key`, `invalid` or `unavailable`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Status::Verified(_) => "verified",
            Status::Unsigned(_) => "unsigned",
            Status::UnknownKey(_) => "unknown_key",
            Status::Invalid(_) => "invalid",
            Status::Unavailable(_) => "unavailable",
        }
    }

    /// Who authorised exactly this request, if anyone did.
    pub fn verified(&self) -> Option<&Verified> {
        match self {
            Status::Verified(verified) => Some(verified),
            _ => None,
        }
    }

    /// Step, code and numbers with which strict mode refuses this request.
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Status::Unsigned(r) | Status::UnknownKey(r) | Status::Invalid(r) => Some(r),
            _ => None,
        }
    }

    /// The code with which strict mode refuses this request; `None` where it is verified, or
    /// could not be judged.
    pub fn code(&self) -> Option<Code> {
        self.rejection().map(Rejection::code)
    }
}
