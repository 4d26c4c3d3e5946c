//! Judges one request in the layer: first its head, then its body if the body is needed.
//!
//! If its head is enough to refuse a request, at most [`ID_LIMIT`] bytes of the body are read, to
//! find the JSON-RPC id for the answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, HeaderValue, Request, Response, Version, header};
use http_body::Body;

use crate::mcp::body::{self, AmbiguousBody, Message, Reading, Scope};
use crate::mcp::pattern::Operation;
use crate::message::{Head, HeadError};
use crate::verify::{Code, Rejection, VerifiedHead, Verifier, VerifyError};

use super::BoxError;
use super::answer::AnswerCheck;
use super::budget::BudgetShare;
use super::content::{self, ReadError, RequestBody};
use super::echoed_id::id_to_echo;
use super::evidence::{self, HeadEvidence};
use super::findings::Findings;
use super::head;
use super::modes::Mode;
use super::observe::RequestEvent;
use super::refusal::{self, Refusal, RefusalReason};
use super::settings::VerifySettings;
use super::status::Status;
use super::unseen;

/// Maximum number of bytes that are read from the body of a refused request, to find the JSON-RPC
/// id that the refusal must repeat.
pub const ID_LIMIT: usize = 64 * 1024;

/// The decision about a request to a [`VerifyService`](super::VerifyService).
#[allow(clippy::large_enum_variant, reason = "it only moves within one future")]
pub(super) enum RequestOutcome<B> {
    /// The request goes to the service, and its answer is checked.
    Pass(Request<RequestBody<B>>, AnswerCheck),
    /// The layer answers the request.
    Refuse(Response<Bytes>),
}

/// The decision about a request; see [`VerifyLayer::judge`](super::VerifyLayer::judge).
#[derive(Debug)]
pub enum Decision<B> {
    /// The request goes to the application.
    Pass(PassedRequest<B>),
    /// The client receives this response, and the application receives nothing.
    Refuse(Response<Bytes>),
}

/// A request that the layer passes on.
#[derive(Debug)]
#[non_exhaustive]
pub struct PassedRequest<B> {
    /// The verification status of the request.
    pub status: Option<Status>,
    /// The body, byte for byte as received, without trailers.
    pub body: RequestBody<B>,
    /// Must be called with the answer of the application, before that answer is sent.
    pub answer: AnswerCheck,
}

/// How much of a request's body is known.
enum BodyState<B> {
    Unread(B),
    Read(Bytes, BudgetShare),
    /// The body was not read to its end and cannot be read any more. The answer then has no
    /// JSON-RPC id.
    Gone,
}

impl<B> BodyState<B> {
    /// Returns the bytes of the body, if it was read.
    fn bytes(&self) -> Option<Bytes> {
        match self {
            BodyState::Read(bytes, _) => Some(bytes.clone()),
            BodyState::Unread(_) | BodyState::Gone => None,
        }
    }
}

/// Judges `request`. It needs no particular runtime and only waits for the body and the nonce
/// store. Dropping the future abandons the request.
pub(super) async fn judge<B>(settings: &VerifySettings, request: Request<B>) -> RequestOutcome<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = request.into_parts();
    let decision = match head::received_head(&parts, settings.wire_target(&parts)) {
        Ok(head) => {
            // An `Expect` field in HTTP/1.0 is ignored (RFC 9110 section 10.1.1).
            let expects = parts.version > Version::HTTP_10 && head.has("expect");
            judge_received(settings, &head, &parts.extensions, expects, body).await
        }
        Err(error) => {
            let line = (parts.method.as_str(), parts.uri.path());
            Decision::Refuse(refuse_head(settings, error, line, &parts.extensions))
        }
    };
    match decision {
        Decision::Pass(PassedRequest { status, body, answer }) => {
            if let Some(status) = status {
                parts.extensions.insert(status);
            }
            if answer.wants_uncompressed() {
                let identity = HeaderValue::from_static("identity");
                parts.headers.insert(header::ACCEPT_ENCODING, identity);
            }
            RequestOutcome::Pass(Request::from_parts(parts, body), answer)
        }
        Decision::Refuse(response) => RequestOutcome::Refuse(response),
    }
}

/// Refuses a request whose head is not valid HTTP.
pub(super) fn refuse_head(
    settings: &VerifySettings,
    error: HeadError,
    (method, path): (&str, &str),
    extensions: &Extensions,
) -> Response<Bytes> {
    let with = &settings.refuse_with;
    let refused = Refusal::new(RefusalReason::Head(error), None, false, with);
    let response = refusal::response(&refused, None, &settings.verifier(), None, with);
    settings.observe(|| RequestEvent {
        extensions,
        method,
        path,
        operation: None,
        id: None,
        traceparent: None,
        status: None,
        mode: None,
        refused: Some(&refused),
    });
    evidence::malformed_head(settings, refused.code());
    settings.answer(refused, response)
}

/// Judges a request with a valid head. `expects` is true if the request has an `Expect` field that
/// must be honoured, which is never so in HTTP/1.0.
pub(super) async fn judge_received<B>(
    settings: &VerifySettings,
    head: &Head<'_>,
    extensions: &Extensions,
    expects: bool,
    body: B,
) -> Decision<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let verifier = settings.verifier();
    let mut evidence = None;
    let received = (head, extensions, expects);
    let outcome = judge_head_and_read(settings, &verifier, received, body, &mut evidence).await;
    let (decided, content) = match outcome {
        HeadOutcome::Decided(findings, content) => (Ok(findings), content),
        HeadOutcome::BodyRead(judged_head, bytes, share) => {
            (Err(judged_head), BodyState::Read(bytes, share))
        }
    };
    // The body is parsed once here; the result is used for the verdict, the mode, the log and the
    // audit entry.
    let bytes = content.bytes();
    let reading = bytes.as_ref().map(|bytes| body::read(head, bytes, Scope::Endpoint));
    let findings = match (decided, &bytes, &reading) {
        (Ok(findings), ..) => findings,
        (Err(judged_head), Some(bytes), Some(reading)) => {
            judge_and_claim(settings, &verifier, head, judged_head, (bytes, reading), &mut evidence)
                .await
        }
        // This cannot happen, because a complete body has bytes.
        (Err(_), ..) => Findings::refuse(RefusalReason::Busy),
    };
    let reading = reading.and_then(Result::ok);
    let judged = (&*verifier, head, bytes.as_deref(), reading.as_ref());
    let findings = evidence::record(settings, judged, evidence, findings).await;
    let Findings { status, mode, refusal, session } = findings;
    let content = match (&refusal, content) {
        (Some(_), BodyState::Unread(body)) if !expects => read_for_id(settings, head, body).await,
        // The refused client may still wait for `100 Continue`, so its body is not read.
        (Some(_), BodyState::Unread(_)) => BodyState::Gone,
        (_, content) => content,
    };
    let late = content.bytes().filter(|_| refusal.is_some() && reading.is_none());
    let read = |bytes| body::read(head, bytes, Scope::Endpoint).ok();
    let reading = reading.or_else(|| late.as_deref().and_then(read));
    let operation = reading.as_ref().and_then(Reading::operation);
    let id = reading.as_ref().and_then(id_to_echo);
    let with = &settings.refuse_with;
    let refused = refusal.map(|reason| {
        let refused = Refusal::new(reason, Some(head), id.is_some(), with);
        let response = refusal::response(&refused, Some(head), &verifier, id, with);
        (refused, response)
    });
    settings.observe(|| RequestEvent {
        extensions,
        method: head.method(),
        path: head.target().path(),
        operation,
        id,
        traceparent: reading.as_ref().and_then(Reading::message).and_then(Message::traceparent),
        status: status.as_ref(),
        mode,
        refused: refused.as_ref().map(|(refused, _)| refused),
    });
    if let Some((refused, response)) = refused {
        return Decision::Refuse(settings.answer(refused, response));
    }
    let verified = status.as_ref().and_then(Status::verified);
    let key_and_session = verified.map(|verified| (verified, session));
    let answer = AnswerCheck::new(settings, head, operation, key_and_session, id);
    let is_verified = verified.is_some();
    drop(reading);
    let body = match content {
        BodyState::Unread(body) => RequestBody::streamed(body, verifier.max_body()),
        // Once the request is verified, its body does not count towards the budget any more.
        BodyState::Read(bytes, share) => RequestBody::read(bytes, (!is_verified).then_some(share)),
        BodyState::Gone => RequestBody::read(Bytes::new(), None),
    };
    Decision::Pass(PassedRequest { status, body, answer })
}

/// The result of [`judge_head_and_read`].
enum HeadOutcome<'h, B> {
    /// The head alone decided about the request.
    Decided(Findings, BodyState<B>),
    /// The body was read completely and is judged next. The result of judging the head is included.
    BodyRead(Result<VerifiedHead<'h>, Rejection>, Bytes, BudgetShare),
}

/// Judges the head, and reads the body if it is needed.
async fn judge_head_and_read<'h, B>(
    settings: &VerifySettings,
    verifier: &Verifier,
    (head, extensions, expects): (&'h Head<'h>, &Extensions, bool),
    body: B,
    evidence: &mut Option<HeadEvidence>,
) -> HeadOutcome<'h, B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    // A request with an unknown `Expect` value is refused before the client sends its body.
    if expects && head.values("expect").any(|value| !value.eq_ignore_ascii_case(b"100-continue")) {
        return HeadOutcome::Decided(Findings::refuse(RefusalReason::Expectation), BodyState::Gone);
    }
    let limit = verifier.max_body();
    // The head of an HTTP/2 request need not say whether a body follows, so the body itself is
    // asked.
    let judged_head = verifier.judge_head_for(head, !body.is_end_stream());
    if let Some(why) = unseen::unjudged(extensions, head, &judged_head) {
        return HeadOutcome::Decided(
            Findings::unavailable(why, settings.mode(None)),
            BodyState::Unread(body),
        );
    }
    let judged_head = match judged_head {
        Ok(verified) => Ok(verified),
        // Requests that exceed a limit of step 1 (sizes and counts), or whose signature is
        // malformed by the rules of the profile, are refused in permissive mode too.
        Err(rejection) if rejection.is_refused_in_every_mode() => {
            return HeadOutcome::Decided(refuse_in_every_mode(rejection), BodyState::Unread(body));
        }
        Err(rejection) => match settings.uniform_mode() {
            // If all operations have the same mode, the body is not needed to choose it. Strict
            // mode refuses the request now. Permissive mode passes it on unread, unless the
            // announced length is over the limit.
            Some(mode) if mode == Mode::Strict || !content::announces_more(&body, limit) => {
                let findings = apply_mode(settings, rejection, None);
                return HeadOutcome::Decided(findings, BodyState::Unread(body));
            }
            _ => Err(rejection),
        },
    };

    let profile = verifier.profile();
    let verified = judged_head.as_ref().ok();
    *evidence = verified.and_then(|verified| evidence::of(settings, profile, head, verified));
    let share = match &judged_head {
        Ok(_) => settings.budget.share(),
        Err(_) => settings.budget.unsigned_share(),
    };
    match content::read(body, limit, share).await {
        Ok((bytes, share)) => HeadOutcome::BodyRead(judged_head, bytes, share),
        Err(error) => {
            let reason = match error {
                ReadError::TooLarge => RefusalReason::BodyTooLarge { limit },
                ReadError::Busy => RefusalReason::Busy,
                ReadError::Broken(error) => RefusalReason::BodyBroken(error),
            };
            HeadOutcome::Decided(Findings::refuse(reason), BodyState::Gone)
        }
    }
}

/// Judges the rest of a request whose body is complete (steps 9 to 12: digest, MCP content, allowed
/// operation, nonce). If it is rejected, applies the mode.
async fn judge_and_claim<'h>(
    settings: &VerifySettings,
    verifier: &Arc<Verifier>,
    head: &'h Head<'h>,
    judged_head: Result<VerifiedHead<'h>, Rejection>,
    (bytes, reading): (&[u8], &Result<Reading<'_>, AmbiguousBody>),
    evidence: &mut Option<HeadEvidence>,
) -> Findings {
    // The trust files may have changed while the body arrived, for example because a key was
    // revoked.
    let replaced = (!settings.verifier.is_current(verifier)).then(|| settings.verifier());
    let verifier = replaced.as_ref().unwrap_or(verifier);
    let judged_head = match judged_head {
        Ok(_) if replaced.is_some() => {
            let (again, profile) = (verifier.judge_head(head), verifier.profile());
            let verified = again.as_ref().ok();
            *evidence =
                verified.and_then(|verified| evidence::of(settings, profile, head, verified));
            again
        }
        judged_head => judged_head,
    };
    let judged_body =
        judged_head.and_then(|verified| verifier.judge_parsed_body(verified, bytes, || reading));
    let operation = reading.as_ref().ok().and_then(Reading::operation);
    let mut session = None;
    let judged = match judged_body {
        // Some profiles refuse a request only after its nonce was stored. The application's hook is
        // not called for such a request.
        Ok(body) if body.is_rejected() => verifier.claim(body).await,
        Ok(body) => match settings.admit(head, &body, operation) {
            Ok(named) => {
                session = named;
                verifier.claim(body).await
            }
            Err(rejection) => Err(VerifyError::Rejected(rejection)),
        },
        Err(rejection) => Err(VerifyError::Rejected(rejection)),
    };
    match judged {
        Ok(verified) => Findings {
            status: Some(Status::Verified(Arc::new(verified))),
            mode: None,
            refusal: None,
            session,
        },
        Err(VerifyError::Rejected(rejection)) if rejection.is_refused_in_every_mode() => {
            refuse_in_every_mode(rejection)
        }
        Err(VerifyError::Rejected(rejection)) => apply_mode(settings, rejection, operation),
        Err(VerifyError::Unavailable(why)) => Findings::unavailable(why, settings.mode(operation)),
    }
}

/// Returns the findings for a rejection that refuses the request in permissive mode too.
fn refuse_in_every_mode(rejection: Rejection) -> Findings {
    let rejection = Arc::new(rejection);
    let status = Some(Status::rejected(Arc::clone(&rejection)));
    let refusal = Some(RefusalReason::Rejected(rejection));
    Findings { status, mode: None, refusal, session: None }
}

/// Applies the strict or permissive mode to a request that was judged and rejected. `operation` is
/// the operation of its body, if the body was read and is unambiguous.
fn apply_mode(
    settings: &VerifySettings,
    rejection: Rejection,
    operation: Option<Operation<'_>>,
) -> Findings {
    let mode = match rejection.code() {
        // A missing touch is always refused. The mode is not asked again, because the list of tools
        // on which it depends may have changed since.
        Code::TouchRequired => Mode::Strict,
        _ => settings.mode(operation),
    };
    let rejection = Arc::new(rejection);
    let refusal = (mode == Mode::Strict).then(|| RefusalReason::Rejected(Arc::clone(&rejection)));
    let status = Some(Status::rejected(rejection));
    Findings { status, mode: Some(mode), refusal, session: None }
}

/// Reads the beginning of the body of a refused request, to find its JSON-RPC id.
async fn read_for_id<B>(settings: &VerifySettings, head: &Head<'_>, body: B) -> BodyState<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    // Only a POST contains a JSON-RPC request.
    if head.method() != "POST" {
        return BodyState::Gone;
    }
    match content::read(body, ID_LIMIT, settings.budget.unsigned_share()).await {
        Ok((bytes, share)) => BodyState::Read(bytes, share),
        Err(_) => BodyState::Gone,
    }
}
