//! Refusals: status, headers and JSON-RPC error.
//!
//! A refusal is for a stranger to read. It tells the code and fixed words, never the numbers, and
//! not what the registry holds; the true reason is for the application and its log.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::base::Component;
use crate::base::accept::{self, RequestedParameters};
use crate::message::Head;
use crate::verify::rejection::chain;
use crate::verify::{Code, MAX_COMPONENTS, Rejection, Step, Unavailable, Verifier};

use super::BoxError;
use super::client_messages::client_message;

/// The JSON-RPC error code of a refusal: outside the range that JSON-RPC 2.0 and MCP keep for
/// themselves.
pub const REFUSED: i32 = -31401;
/// The JSON-RPC error code with which MCP answers headers that contradict the body.
pub const HEADER_MISMATCH: i32 = -32020;

/// Seconds after which it is worth to try again, where nothing better is known.
const RETRY_SOON: i64 = 5;

/// How a request is refused that is unsigned, or whose signature is not good enough.
///
/// Other faults have a status of their own; see [`RefusedRequest::status`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefuseWith {
    /// 403, the default: MCP clients take it for what it is.
    Forbidden,
    /// 401 with `WWW-Authenticate: HTTPSig`, for clients that follow SEP-2752. Others start to
    /// look for an OAuth server. `not_allowed` stays 403: to sign again would change nothing.
    Unauthorized {
        /// The realm of the challenge.
        realm: String,
    },
    /// 200 for a POST with an `id`, else 403: for clients that hide the text of an error status.
    Ok,
}

/// Why a request does not get through.
#[derive(Debug)]
#[non_exhaustive]
pub enum RefusalReason {
    /// It was judged, and the answer is no.
    Rejected(Arc<Rejection>),
    /// It could not be judged.
    Unavailable(Arc<Unavailable>),
    /// Its body is longer than the limit, which holds in every mode.
    BodyTooLarge {
        /// Bytes.
        limit: usize,
    },
    /// It was verified, and could not be written down, without which it must not be handed on.
    Unrecorded(BoxError),
    /// Bodies that nobody has vouched for take all the memory that they may.
    Busy,
    /// It expects something else than `100-continue` (RFC 9110 section 10.1.1).
    Expectation,
    /// Its head has no form that could be judged.
    Head(crate::message::HeadError),
    /// Its body broke off.
    BodyBroken(BoxError),
}

/// A refusal, as hooks get it and as it lies in the extensions of the response.
#[derive(Clone, Debug)]
pub struct RefusedRequest {
    reason: Arc<RefusalReason>,
    status: StatusCode,
}

impl RefusedRequest {
    pub(super) fn new(
        reason: RefusalReason,
        head: Option<&Head<'_>>,
        has_id: bool,
        with: &RefuseWith,
    ) -> Self {
        let status = status_of(&reason, head, has_id, with);
        RefusedRequest { reason: Arc::new(reason), status }
    }

    /// The true reason. Not for the client.
    pub fn reason(&self) -> &RefusalReason {
        &self.reason
    }

    /// The status of the response: 403, or what [`RefuseWith`] puts in its place; 400
    /// `header_body_mismatch`, 413 body, 415 content coding, 417 `Expect`, 421 `target_mismatch`,
    /// 429 `nonce_quota`, 431 head, 503 could not be judged.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The true code, for logs: one of [`Code`], else `unavailable`, `expectation_failed`,
    /// `head_invalid` or `body_broken`.
    pub fn code(&self) -> &'static str {
        match &*self.reason {
            RefusalReason::Rejected(rejection) => rejection.code().as_str(),
            RefusalReason::Unavailable(_) | RefusalReason::Unrecorded(_) | RefusalReason::Busy => {
                "unavailable"
            }
            RefusalReason::BodyTooLarge { .. } => Code::TooLarge.as_str(),
            RefusalReason::Expectation => "expectation_failed",
            RefusalReason::Head(_) => "head_invalid",
            RefusalReason::BodyBroken(_) => "body_broken",
        }
    }

    /// The code that the client is told.
    pub fn public_code(&self) -> &'static str {
        match &*self.reason {
            RefusalReason::Rejected(rejection) => rejection.public_code().as_str(),
            _ => self.code(),
        }
    }

    /// The fixed words that the client is told.
    pub fn client_message(&self) -> &'static str {
        match &*self.reason {
            RefusalReason::Rejected(rejection) => client_message(rejection.public_code()),
            RefusalReason::Unavailable(_) | RefusalReason::Unrecorded(_) => {
                "the request could not be judged now, try again later"
            }
            RefusalReason::BodyTooLarge { .. } => client_message(Code::TooLarge),
            RefusalReason::Busy => "too many requests are being read, try again later",
            RefusalReason::Expectation => "no expectation but 100-continue can be met",
            RefusalReason::Head(_) => "the head of the request cannot be read",
            RefusalReason::BodyBroken(_) => "the body of the request broke off",
        }
    }

    /// Seconds after which trying again may help.
    pub fn retry_after(&self) -> Option<i64> {
        match &*self.reason {
            RefusalReason::Unavailable(why) => Some(match &**why {
                Unavailable::BelowFloor { retry_after, .. } => (*retry_after).max(1),
                _ => RETRY_SOON,
            }),
            RefusalReason::Unrecorded(_) | RefusalReason::Busy => Some(RETRY_SOON),
            _ => None,
        }
    }
}

impl fmt::Display for RefusedRequest {
    /// One line for a log, with the true code and its numbers.
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
        RefusalReason::Rejected(rejection) => match rejection.code() {
            Code::HeaderBodyMismatch => StatusCode::BAD_REQUEST,
            Code::TargetMismatch => StatusCode::MISDIRECTED_REQUEST,
            Code::NonceQuota => StatusCode::TOO_MANY_REQUESTS,
            // Bodies are measured before they are judged, so it is the head that is meant.
            Code::TooLarge if rejection.step() == Step::Limits => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Code::BodyAmbiguous if head.is_some_and(|head| head.has("content-encoding")) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            code => match with {
                // Who signs may not do this; another try is no use (RFC 9110 section 15.5.4).
                RefuseWith::Unauthorized { .. } if code == Code::NotAllowed => {
                    StatusCode::FORBIDDEN
                }
                RefuseWith::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
                RefuseWith::Ok if has_id => StatusCode::OK,
                RefuseWith::Forbidden | RefuseWith::Ok => StatusCode::FORBIDDEN,
            },
        },
        RefusalReason::Unavailable(_) | RefusalReason::Unrecorded(_) | RefusalReason::Busy => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        RefusalReason::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        RefusalReason::Expectation => StatusCode::EXPECTATION_FAILED,
        RefusalReason::Head(_) | RefusalReason::BodyBroken(_) => StatusCode::BAD_REQUEST,
    }
}

/// The response to a refusal. `id` is JSON, as the request wrote it.
pub(super) fn response(
    refused: &RefusedRequest,
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
    // All but the id are words of ours, which need no escapes; the id is JSON already.
    let id = id.map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
    let text = format!(
        r#"{{"jsonrpc":"2.0",{id}"error":{{"code":{code},"message":"{}","data":{{"reason":"{public_code}"}}}}}}"#,
        refused.client_message()
    );
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = refused.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = refused.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    match (refused.status(), with) {
        (StatusCode::UNAUTHORIZED, RefuseWith::Unauthorized { realm }) => {
            let challenge = format!("HTTPSig realm={}, error=\"{public_code}\"", quoted(realm));
            if let Ok(value) = HeaderValue::try_from(challenge) {
                headers.insert(header::WWW_AUTHENTICATE, value);
            }
        }
        // RFC 9110 section 15.5.16: say which coding would do.
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, _) => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        _ => {}
    }
    // Whoever may not do this will not be allowed to by signing again.
    if public_code != Code::NotAllowed.as_str()
        && let Some(value) = head.and_then(|head| accept_signature(verifier, head))
    {
        headers.insert(accept::ACCEPT_SIGNATURE, value);
    }
    response
}

/// What a signature over this very request has to cover (RFC 9421 section 5). Nothing for a
/// request that carries more than one signature may cover: it cannot be signed.
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
    HeaderValue::try_from(accept::write("mcp", &params).ok()?).ok()
}

/// A quoted string (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

/// Whether a realm can be written in a header.
pub(super) fn is_realm(text: &str) -> bool {
    text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}
