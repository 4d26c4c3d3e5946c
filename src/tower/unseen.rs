//! The parts of a request that a server could not see, because another proxy described the request
//! to it (external authorization).

use http::Extensions;

use crate::base::header;
use crate::message::Head;
use crate::verify::{Code, Rejection, Unavailable, VerifiedHead};

/// The parts of a request that a server could not see. A server that judges requests described by a
/// proxy (external authorization) puts this value into the extensions of the request. A request
/// whose signature depends on such a part is never verified: its status is
/// [`Status::Unavailable`](super::Status::Unavailable).
///
/// ```
/// use mcpid::tower::UnseenParts;
///
/// let mut extensions = http::Extensions::new();
/// extensions.insert(UnseenParts { body: true, joined_lines: false });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnseenParts {
    /// Whether the body was not shown, or only a part of it.
    pub body: bool,
    /// Whether the proxy may have joined several lines of a field with commas, and replaced bytes
    /// that are not UTF-8 by exclamation marks, as Envoy does.
    pub joined_lines: bool,
}

/// Returns why a request cannot be judged, or `None` if all parts that its signature depends on
/// were seen. `judged_head` is the result of judging the head.
pub(super) fn unjudged(
    extensions: &Extensions,
    head: &Head<'_>,
    judged_head: &Result<VerifiedHead<'_>, Rejection>,
) -> Option<Unavailable> {
    let unseen = extensions.get::<UnseenParts>()?;
    // A refusal before the signature was verified does not depend on the values of the covered
    // fields.
    let depends = match judged_head {
        Ok(_) => true,
        Err(rejection) => rejection.code() == Code::SignatureInvalid,
    };
    if unseen.joined_lines
        && depends
        && let Some(field) = joined_field(head)
    {
        return Some(Unavailable::HeadUnseen { field });
    }
    (unseen.body && judged_head.is_ok()).then_some(Unavailable::BodyUnseen)
}

/// Returns a covered field whose lines may have been joined. The signature fields are ignored: for
/// dictionaries, one line and several lines mean the same (RFC 9421 section 4.1).
fn joined_field(head: &Head<'_>) -> Option<String> {
    let candidates = header::read(head).ok()?;
    let covered = candidates.iter().filter_map(|candidate| candidate.params.as_ref().ok());
    let mut fields = covered
        .flat_map(|params| params.components())
        .filter(|component| !component.is_derived())
        .map(|component| component.name())
        .filter(|name| ![header::SIGNATURE, header::SIGNATURE_INPUT].contains(name));
    let is_joined = |name: &&str| {
        head.values(name).any(|value| value.iter().any(|byte| matches!(byte, b',' | b'!')))
    };
    fields.find(is_joined).map(str::to_owned)
}
