//! Refusals: status, headers and JSON-RPC error.
//!
//! The response goes to a client that is not authenticated. So it has a code and a fixed message,
//! but no numbers and nothing from the trust files. Only the application and its log get the exact
//! reason.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::base::Component;
use crate::base::accept::{self, RequestedParameters};
use crate::message::Head;
use crate::message::error_chain::chain;
use crate::verify::{Code, MAX_COMPONENTS, Rejection, Step, Unavailable, Verifier};

use super::BoxError;
use super::client_messages::{client_message, touch_message};
use super::error_response::error_response;

/// The JSON-RPC error code of a refusal, outside the ranges that JSON-RPC 2.0 and MCP reserve.
pub const REFUSED: i32 = -31401;
/// The JSON-RPC error code with which MCP answers headers that contradict the body.
pub const HEADER_MISMATCH: i32 = -32020;
/// The JSON-RPC error code for an internal error of the server (JSON-RPC 2.0 section 5.1).
pub const INTERNAL_ERROR: i32 = -32603;

/// The default `Retry-After`, in seconds.
const RETRY_SOON: i64 = 5;

/// The message for a client that should send the same request again later.
const NOT_NOW: &str = "the request could not be judged now, try again later";

/// The HTTP status with which unsigned requests and requests with an invalid signature are refused.
///
/// Other refusals have their own status; see [`Refusal::status`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefuseWith {
    /// Status 403, the default. MCP clients show it as a refusal.
    Forbidden,
    /// Status 401 with `WWW-Authenticate: HTTPSig`, for clients that follow SEP-2752. Other clients
    /// would look for an OAuth server. `not_allowed` and `touch_required` still give 403, because
    /// signing again would not help.
    Unauthorized {
        /// The realm of the challenge.
        realm: String,
    },
    /// Status 200 for a POST with an `id`, otherwise 403. For clients that do not show the body of
    /// an error response to their user.
    Ok,
}

/// Why a server refuses a request: a [`Rejection`] by the verifier, or a reason outside of
/// verification.
#[derive(Debug)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The request was judged and rejected.
    Rejected(Arc<Rejection>),
    /// The request could not be judged, because the nonce store did not answer or a part of the
    /// request was not seen.
    Unavailable(Arc<Unavailable>),
    /// The body is longer than the limit, which applies in every mode.
    BodyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The request was verified, but the required audit entry could not be written.
    Unrecorded(BoxError),
    /// The memory budget for bodies of unverified requests is used up.
    Busy,
    /// The request has an `Expect` other than `100-continue` (RFC 9110 section 10.1.1).
    Expectation,
    /// The head is not valid HTTP.
    Head(crate::message::HeadError),
    /// The body ended early or its framing is wrong.
    BodyBroken(BoxError),
}

/// The refusal of a request: its reason and status. The application's hooks receive it, and it is
/// in the extensions of the response.
#[derive(Clone, Debug)]
pub struct Refusal {
    reason: Arc<RefusalReason>,
    status: StatusCode,
}

impl Refusal {
    pub(super) fn new(
        reason: RefusalReason,
        head: Option<&Head<'_>>,
        has_id: bool,
        with: &RefuseWith,
    ) -> Self {
        let status = status_of(&reason, head, has_id, with);
        Refusal { reason: Arc::new(reason), status }
    }

    /// Returns the exact reason. The client must not see it.
    pub fn reason(&self) -> &RefusalReason {
        &self.reason
    }

    /// Returns the status of the response: 403 or the status that [`RefuseWith`] sets; 401 for a
    /// refusal that the profile names ([`Rejection::profile_code`]); or 400 for
    /// `header_body_mismatch`, 413 for a long body, 415 for a content coding, 417 for `Expect`, 421
    /// for `target_mismatch`, 429 for `nonce_quota`, 431 for a long head, 503 if the request could
    /// not be judged. A part that a proxy did not show (`body_unseen`, `head_unseen`) gives 403,
    /// because sending the request again does not help.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the exact code, for logs: one of [`Code`], or `unavailable`, `body_unseen`,
    /// `head_unseen`, `expectation_failed`, `head_invalid` or `body_broken`.
    pub fn code(&self) -> &'static str {
        match &*self.reason {
            RefusalReason::Rejected(rejection) => rejection.code().as_str(),
            RefusalReason::Unavailable(why) => why.reason(),
            RefusalReason::Unrecorded(_) | RefusalReason::Busy => "unavailable",
            RefusalReason::BodyTooLarge { .. } => Code::TooLarge.as_str(),
            RefusalReason::Expectation => "expectation_failed",
            RefusalReason::Head(_) => "head_invalid",
            RefusalReason::BodyBroken(_) => "body_broken",
        }
    }

    /// Returns the code that the client receives: the profile's own name for it, if the profile has
    /// one.
    pub fn public_code(&self) -> &'static str {
        match &*self.reason {
            RefusalReason::Rejected(rejection) => {
                rejection.profile_code().unwrap_or(rejection.public_code().as_str())
            }
            _ => self.code(),
        }
    }

    /// Returns the profile's own name for this refusal, if it has one.
    fn profile_code(&self) -> Option<&'static str> {
        match &*self.reason {
            RefusalReason::Rejected(rejection) => rejection.profile_code(),
            _ => None,
        }
    }

    /// Returns the fixed message that the client receives.
    pub fn client_message(&self) -> &'static str {
        match &*self.reason {
            // A client of a profile with its own names for refusals gets that name, which tells the
            // exact code. So the message is the one for that code too.
            RefusalReason::Rejected(rejection) if rejection.code() == Code::TouchRequired => {
                touch_message(rejection.touch_fault())
            }
            RefusalReason::Rejected(rejection) => client_message(match rejection.profile_code() {
                Some(_) => rejection.code(),
                None => rejection.public_code(),
            }),
            RefusalReason::Unavailable(why) => match **why {
                Unavailable::BodyUnseen => {
                    "the proxy in front did not show the body, so the request cannot be judged"
                }
                Unavailable::HeadUnseen { .. } => {
                    "the proxy in front may have changed a signed field, so the request cannot be judged"
                }
                _ => NOT_NOW,
            },
            RefusalReason::Unrecorded(_) => NOT_NOW,
            RefusalReason::BodyTooLarge { .. } => client_message(Code::TooLarge),
            RefusalReason::Busy => "too many requests are being read, try again later",
            RefusalReason::Expectation => "no expectation but 100-continue can be met",
            RefusalReason::Head(_) => "the head of the request cannot be read",
            RefusalReason::BodyBroken(_) => "the body of the request broke off",
        }
    }

    /// Returns the seconds of `Retry-After`, or `None` if trying again does not help.
    pub fn retry_after(&self) -> Option<i64> {
        match &*self.reason {
            RefusalReason::Unavailable(why) => Some(match &**why {
                Unavailable::BelowFloor { retry_after, .. } => (*retry_after).max(1),
                why if why.is_unseen() => return None,
                _ => RETRY_SOON,
            }),
            RefusalReason::Unrecorded(_) | RefusalReason::Busy => Some(RETRY_SOON),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    /// Writes one line for a log, with the exact code and its numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.code())?;
        match &*self.reason {
            RefusalReason::Rejected(rejection) => write!(f, " at {rejection}"),
            RefusalReason::Unavailable(why) => write!(f, ": {}", chain(&**why)),
            RefusalReason::Unrecorded(why) => write!(f, ": not recorded: {}", chain(&**why)),
            RefusalReason::BodyTooLarge { limit } => {
                write!(f, ": the body is over {limit} bytes long")
            }
            RefusalReason::Head(error) => write!(f, ": {error}"),
            RefusalReason::BodyBroken(error) => write!(f, ": {error}"),
            RefusalReason::Busy | RefusalReason::Expectation => {
                write!(f, ": {}", self.client_message())
            }
        }
    }
}

fn status_of(
    reason: &RefusalReason,
    head: Option<&Head<'_>>,
    has_id: bool,
    with: &RefuseWith,
) -> StatusCode {
    match reason {
        // The documents of the profile demand this status.
        RefusalReason::Rejected(rejection) if rejection.profile_code().is_some() => {
            StatusCode::UNAUTHORIZED
        }
        RefusalReason::Rejected(rejection) => match rejection.code() {
            Code::HeaderBodyMismatch => StatusCode::BAD_REQUEST,
            Code::TargetMismatch => StatusCode::MISDIRECTED_REQUEST,
            Code::NonceQuota => StatusCode::TOO_MANY_REQUESTS,
            // `too_large` at step 1 (limits) is about the head of the request. A body that is too
            // long is the variant `BodyTooLarge`.
            Code::TooLarge if rejection.step() == Step::Limits => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Code::BodyAmbiguous if head.is_some_and(|head| head.has("content-encoding")) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            code => match with {
                // 401 would ask the client to sign again, which would not help here without another
                // program or key (RFC 9110 section 15.5.4).
                RefuseWith::Unauthorized { .. }
                    if matches!(code, Code::NotAllowed | Code::TouchRequired) =>
                {
                    StatusCode::FORBIDDEN
                }
                RefuseWith::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
                RefuseWith::Ok if has_id => StatusCode::OK,
                RefuseWith::Forbidden | RefuseWith::Ok => StatusCode::FORBIDDEN,
            },
        },
        RefusalReason::Unavailable(why) if why.is_unseen() => match with {
            RefuseWith::Ok if has_id => StatusCode::OK,
            _ => StatusCode::FORBIDDEN,
        },
        RefusalReason::Unavailable(_) | RefusalReason::Unrecorded(_) | RefusalReason::Busy => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        RefusalReason::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        RefusalReason::Expectation => StatusCode::EXPECTATION_FAILED,
        RefusalReason::Head(_) | RefusalReason::BodyBroken(_) => StatusCode::BAD_REQUEST,
    }
}

/// Returns the response for a refusal. `id` is the JSON-RPC id, spelt as in the request.
pub(super) fn response(
    refused: &Refusal,
    head: Option<&Head<'_>>,
    verifier: &Verifier,
    id: Option<&str>,
    with: &RefuseWith,
) -> Response<Bytes> {
    let public_code = refused.public_code();
    let code = match public_code {
        "header_body_mismatch" => HEADER_MISMATCH,
        _ => REFUSED,
    };
    let message = refused.client_message();
    let mut response = error_response(refused.status(), code, message, public_code, id);
    let headers = response.headers_mut();
    if let Some(seconds) = refused.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    match (refused.status(), with) {
        (StatusCode::UNAUTHORIZED, _) if refused.profile_code().is_some() => {
            let challenge = format!("Signature error=\"{public_code}\"");
            if let Ok(value) = HeaderValue::try_from(challenge) {
                headers.insert(header::WWW_AUTHENTICATE, value);
            }
        }
        (StatusCode::UNAUTHORIZED, RefuseWith::Unauthorized { realm }) => {
            let challenge = format!("HTTPSig realm={}, error=\"{public_code}\"", quoted(realm));
            if let Ok(value) = HeaderValue::try_from(challenge) {
                headers.insert(header::WWW_AUTHENTICATE, value);
            }
        }
        // A response 415 names the accepted content coding (RFC 9110 section 15.5.16).
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, _) => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        _ => {}
    }
    // After `not_allowed` or `touch_required`, or if a part of the request was not seen, signing
    // again in the same way would not help.
    let again = match refused.reason() {
        RefusalReason::Unavailable(why) => !why.is_unseen(),
        _ => ![Code::NotAllowed, Code::TouchRequired].map(Code::as_str).contains(&public_code),
    };
    if again && let Some(value) = head.and_then(|head| accept_signature(verifier, head)) {
        headers.insert(accept::ACCEPT_SIGNATURE, value);
    }
    response
}

/// Returns the value of `Accept-Signature` for this request (RFC 9421 section 5), or `None` if the
/// request has more fields than one signature may cover.
fn accept_signature(verifier: &Verifier, head: &Head<'_>) -> Option<HeaderValue> {
    let names = verifier.wanted(head);
    if names.len() > MAX_COMPONENTS {
        return None;
    }
    let components = names.into_iter().map(Component::new).collect::<Result<Vec<_>, _>>().ok()?;
    let wish = RequestedParameters {
        created: true,
        expires: verifier.profile().ttl.is_some(),
        ..RequestedParameters::default()
    };
    let params = accept::wanted(components, &wish).ok()?;
    HeaderValue::try_from(accept::write(verifier.profile().label, &params).ok()?).ok()
}

/// Returns `text` as a quoted string (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

/// Returns true if `text` can be the realm of an authentication challenge.
pub(super) fn is_realm(text: &str) -> bool {
    text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}
