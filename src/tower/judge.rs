//! One request through the layer: head first, then, if it is worth it, the body.
//!
//! What can be refused without the body is; at most [`ID_LIMIT`] bytes of it are read then, to
//! find the id that the client waits for.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;

use crate::mcp::body::{self, Ambiguous, MessageKind, Reading, Scope};
use crate::message::Head;
use crate::verify::{HeadHeld, Refusal, Rejection, Step, Verifier};

use super::BoxError;
use super::budget::BudgetShare;
use super::content::{self, ReadError, RequestBody};
use super::evidence::{self, HeadEvidence};
use super::findings::Findings;
use super::head;
use super::modes::Mode;
use super::observe::RequestEvent;
use super::refusal::{self, RefusalReason, RefusedRequest};
use super::settings::VerifySettings;
use super::status::Status;

/// Bytes that are read of a request that is refused already.
pub const ID_LIMIT: usize = 64 * 1024;

/// Bytes of an `id` that is echoed.
const LONGEST_ID: usize = 256;

/// What becomes of a request.
pub(super) enum RequestOutcome<B> {
    /// It goes on to the service.
    Pass(Request<RequestBody<B>>),
    /// It is answered here.
    Refuse(Response<Bytes>),
}

/// A body, as far as it was touched.
enum BodyState<B> {
    Unread(B),
    Read(Bytes, BudgetShare),
    /// There is nothing to find an id in: too long, broken, or better left alone.
    Gone,
}

impl<B> BodyState<B> {
    /// What was read.
    fn bytes(&self) -> Option<Bytes> {
        match self {
            BodyState::Read(bytes, _) => Some(bytes.clone()),
            BodyState::Unread(_) | BodyState::Gone => None,
        }
    }
}

/// Judges `request`. Runs on no particular runtime, and waits for the body and the nonce store
/// only; dropping it abandons the request.
pub(super) async fn judge<B>(settings: &VerifySettings, request: Request<B>) -> RequestOutcome<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = request.into_parts();
    let verifier = settings.verifier();
    let uri = settings.wire_target(&parts);
    let head = match head::received(&parts, &uri) {
        Ok(head) => head,
        Err(error) => {
            let refused =
                RefusedRequest::new(RefusalReason::Head(error), None, false, &settings.refuse_with);
            let response =
                refusal::response(&refused, None, &verifier, None, &settings.refuse_with);
            let event = RequestEvent {
                extensions: &parts.extensions,
                method: parts.method.as_str(),
                path: uri.path(),
                operation: None,
                id: None,
                status: None,
                mode: None,
                refused: Some(&refused),
            };
            settings.observe(&event);
            evidence::headless(settings, refused.code());
            return RequestOutcome::Refuse(settings.answer(refused, response));
        }
    };

    let mut evidence = None;
    // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
    let expects = parts.version > Version::HTTP_10 && head.has("expect");
    let outcome = judge_head(settings, &verifier, &head, expects, body, &mut evidence).await;
    let (settled, content) = match outcome {
        HeadOutcome::Settled(findings, content) => (Ok(findings), content),
        HeadOutcome::Whole(held, bytes, share) => (Err(held), BodyState::Read(bytes, share)),
    };
    // Read once for all who want to know what it says.
    let bytes = content.bytes();
    let reading = bytes.as_ref().map(|bytes| body::read(&head, bytes, Scope::Endpoint));
    let findings = match (settled, &bytes, &reading) {
        (Ok(findings), ..) => findings,
        (Err(held), Some(bytes), Some(reading)) => {
            conclude(settings, &verifier, &head, held, (bytes, reading), &mut evidence).await
        }
        // What is whole has bytes.
        (Err(_), ..) => Findings::refuse(RefusalReason::Busy),
    };
    let reading = reading.and_then(Result::ok);
    let judged = (&*verifier, &head, bytes.as_deref(), reading.as_ref());
    let findings = evidence::record(settings, judged, evidence, findings).await;
    let Findings { status, mode, refusal } = findings;
    let content = match (&refusal, content) {
        (Some(_), BodyState::Unread(body)) if !expects => for_its_id(settings, &head, body).await,
        // A client that waits for a 100 has not sent it yet.
        (Some(_), BodyState::Unread(_)) => BodyState::Gone,
        (_, content) => content,
    };
    let late = content.bytes().filter(|_| refusal.is_some() && reading.is_none());
    let read = |bytes| body::read(&head, bytes, Scope::Endpoint).ok();
    let reading = reading.or_else(|| late.as_deref().and_then(read));
    let refused = refusal.map(|reason| {
        let id = reading.as_ref().and_then(id_to_echo);
        let refused = RefusedRequest::new(reason, Some(&head), id.is_some(), &settings.refuse_with);
        let response =
            refusal::response(&refused, Some(&head), &verifier, id, &settings.refuse_with);
        (refused, response)
    });
    let event = RequestEvent {
        extensions: &parts.extensions,
        method: head.method(),
        path: uri.path(),
        operation: reading.as_ref().and_then(Reading::operation),
        id: reading.as_ref().and_then(id_to_echo),
        status: status.as_ref(),
        mode,
        refused: refused.as_ref().map(|(refused, _)| refused),
    };
    settings.observe(&event);
    if let Some((refused, response)) = refused {
        return RequestOutcome::Refuse(settings.answer(refused, response));
    }
    drop(reading);
    drop(head);

    let verified = matches!(status, Some(Status::Verified(_)));
    if let Some(status) = status {
        parts.extensions.insert(status);
    }
    let body = match content {
        BodyState::Unread(body) => RequestBody::streamed(body, verifier.max_body()),
        // A body that someone vouched for is the application's business from here on.
        BodyState::Read(bytes, share) => RequestBody::read(bytes, (!verified).then_some(share)),
        BodyState::Gone => RequestBody::read(Bytes::new(), None),
    };
    RequestOutcome::Pass(Request::from_parts(parts, body))
}

/// A request, as far as its head and the arrival of its body decide about it.
enum HeadOutcome<'h, B> {
    /// It is found out already.
    Settled(Findings, BodyState<B>),
    /// The body is here, and is judged by what the head has come to.
    Whole(Result<HeadHeld<'h>, Rejection>, Bytes, BudgetShare),
}

/// Judges the head, and reads the body if that is worth it.
async fn judge_head<'h, B>(
    settings: &VerifySettings,
    verifier: &Verifier,
    head: &'h Head<'h>,
    expects: bool,
    body: B,
    evidence: &mut Option<HeadEvidence>,
) -> HeadOutcome<'h, B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    // Who waits for a 100 would only send a body that nobody wants.
    if expects && head.values("expect").any(|value| !value.eq_ignore_ascii_case(b"100-continue")) {
        return HeadOutcome::Settled(Findings::refuse(RefusalReason::Expectation), BodyState::Gone);
    }
    let limit = verifier.max_body();
    let held = match verifier.judge_head(head) {
        Ok(held) => Ok(held),
        // Permissive waives what comes after the first step.
        Err(rejection) if rejection.step() == Step::Limits => {
            return HeadOutcome::Settled(over_limits(rejection), BodyState::Unread(body));
        }
        Err(rejection) => match settings.policy.uniform() {
            // What it does makes no difference, so it is not read: strict refuses it, permissive
            // lets it through as it is, if it is not known to be too long already.
            Some(mode) if mode == Mode::Strict || !content::announces_more(&body, limit) => {
                let findings = rejected(settings, rejection, None);
                return HeadOutcome::Settled(findings, BodyState::Unread(body));
            }
            _ => Err(rejection),
        },
    };

    *evidence = held.as_ref().ok().and_then(|held| evidence::of(settings, head, held));
    let share = match &held {
        Ok(_) => settings.budget.share(),
        Err(_) => settings.budget.unsigned_share(),
    };
    match content::read(body, limit, share).await {
        Ok((bytes, share)) => HeadOutcome::Whole(held, bytes, share),
        Err(error) => {
            let reason = match error {
                ReadError::TooLarge => RefusalReason::BodyTooLarge { limit },
                ReadError::Busy => RefusalReason::Busy,
                ReadError::Broken(error) => RefusalReason::BodyBroken(error),
            };
            HeadOutcome::Settled(Findings::refuse(reason), BodyState::Gone)
        }
    }
}

/// Finds out whether a request gets through whose body is here and read.
async fn conclude<'h>(
    settings: &VerifySettings,
    verifier: &Verifier,
    head: &'h Head<'h>,
    held: Result<HeadHeld<'h>, Rejection>,
    (bytes, reading): (&[u8], &Result<Reading<'_>, Ambiguous>),
    evidence: &mut Option<HeadEvidence>,
) -> Findings {
    // A key that was revoked while the body was on its way has not authorised it.
    let current = settings.verifier();
    let held = match held {
        Ok(_) if !std::ptr::eq(&*current, verifier) => {
            let again = current.judge_head(head);
            *evidence = again.as_ref().ok().and_then(|held| evidence::of(settings, head, held));
            again
        }
        held => held,
    };
    let verifier = &*current;
    let held = held.and_then(|held| verifier.judge_read(held, bytes, || reading));
    let judged = match held {
        Ok(held) => match settings.admit(head, &held) {
            Ok(()) => verifier.claim(held).await,
            Err(why) => Err(Refusal::Rejected(held.not_allowed(head, why))),
        },
        Err(rejection) => Err(Refusal::Rejected(rejection)),
    };
    let reading = reading.as_ref().ok();
    match judged {
        Ok(verified) => Findings {
            status: Some(Status::Verified(Arc::new(verified))),
            mode: None,
            refusal: None,
        },
        Err(Refusal::Rejected(rejection)) if rejection.step() == Step::Limits => {
            over_limits(rejection)
        }
        Err(Refusal::Rejected(rejection)) => rejected(settings, rejection, reading),
        Err(Refusal::Unavailable(why)) => {
            let why = Arc::new(why);
            let mode = mode(settings, reading);
            let refusal =
                (mode == Mode::Strict).then(|| RefusalReason::Unavailable(Arc::clone(&why)));
            Findings { status: Some(Status::Unavailable(why)), mode: Some(mode), refusal }
        }
    }
}

/// What becomes of a request that breaks a limit, which hold in every mode.
fn over_limits(rejection: Rejection) -> Findings {
    let rejection = Arc::new(rejection);
    let status = Some(Status::rejected(Arc::clone(&rejection)));
    Findings { status, mode: None, refusal: Some(RefusalReason::Rejected(rejection)) }
}

/// What becomes of a request that was judged, with the answer no. `reading` is what it says, where
/// that makes a difference and can be told.
fn rejected(
    settings: &VerifySettings,
    rejection: Rejection,
    reading: Option<&Reading<'_>>,
) -> Findings {
    let rejection = Arc::new(rejection);
    let mode = mode(settings, reading);
    let refusal = (mode == Mode::Strict).then(|| RefusalReason::Rejected(Arc::clone(&rejection)));
    Findings { status: Some(Status::rejected(rejection)), mode: Some(mode), refusal }
}

/// The mode for a request that is not verified.
fn mode(settings: &VerifySettings, reading: Option<&Reading<'_>>) -> Mode {
    let decided = settings.policy.uniform();
    decided.unwrap_or_else(|| settings.policy.mode(reading.and_then(Reading::operation)))
}

/// Reads as much of a refused request as may be read to find its id.
async fn for_its_id<B>(settings: &VerifySettings, head: &Head<'_>, body: B) -> BodyState<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    // Only a JSON-RPC request has one.
    if head.method() != "POST" {
        return BodyState::Gone;
    }
    match content::read(body, ID_LIMIT, settings.budget.unsigned_share()).await {
        Ok((bytes, share)) => BodyState::Read(bytes, share),
        Err(_) => BodyState::Gone,
    }
}

/// The id that the client waits for an answer to, as it was written. The id of a response names
/// a request of the server, and to echo it would answer something else.
fn id_to_echo<'r>(reading: &'r Reading<'_>) -> Option<&'r str> {
    let message = reading.message().filter(|m| m.kind() == MessageKind::Request)?;
    let id = message.id()?;
    let length = match id.starts_with('"') {
        true => serde_json::from_str::<String>(id).ok()?.len(),
        false => id.len(),
    };
    (length <= LONGEST_ID).then_some(id)
}
