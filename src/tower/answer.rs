//! Checks the server's answer to a request: binds the session that it opens to the key of the
//! request, and learns from a list of tools in it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};

use crate::key::KeyId;
use crate::mcp::pattern::Operation;
use crate::message::Head;
use crate::verify::Verified;

use super::content::ResponseBody;
use super::echoed_id::EchoedId;
use super::error_response::error_response;
use super::learning::{LearningModes, ToolsListener};
use super::refusal::{INTERNAL_ERROR, REFUSED};
use super::sessions::{Binding, SESSION_ID, SessionBindings, SessionDigest};
use super::settings::VerifySettings;

/// The check of the server's answer to one request that the layer passed on.
pub struct AnswerCheck {
    session: Option<SessionCheck>,
    /// Set if the answer may be a list of tools, or an event stream that is watched.
    learning: Option<LearningModes>,
    /// Whether a mode or touch rule depends on the list of tools.
    is_learning: bool,
    answered: AnsweredOperation,
}

/// What kind of answer is expected, as far as lists of tools are concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AnsweredOperation {
    /// A list of tools.
    ToolsList,
    /// A stream of the server's notifications.
    Notifications,
    /// Any other answer, which may be an event stream.
    Other,
}

/// What is needed to update the table of sessions from the answer to a verified request.
struct SessionCheck {
    bindings: Arc<SessionBindings>,
    key: KeyId,
    /// The session that the request names.
    named: Option<SessionDigest>,
    opens: bool,
    ends: bool,
    id: Option<EchoedId>,
}

/// An unusual event in the check of a session, for logs. A tower service finds it in the extensions
/// of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionEvent {
    /// A session that was bound to no key, for example because it was opened before a restart of
    /// this process, was bound to the first key that used it.
    Adopted,
    /// The session belongs to another key. The answer is refused with 403.
    Taken,
    /// The table of sessions is full. The answer is refused with 503.
    Full,
    /// The server named two sessions. Clients differ in which of the two ids they use, so the
    /// answer is refused with 502.
    Repeated,
}

/// The decision about an answer of the server.
pub enum AnswerDecision {
    /// The answer is sent to the client.
    Pass {
        /// [`SessionEvent::Adopted`] if this answer bound a session that had no binding.
        event: Option<SessionEvent>,
        /// If present, the server must pass the body of the answer to this listener, because it may
        /// contain a list of tools.
        listener: Option<ToolsListener>,
    },
    /// The client receives `response` instead of the answer.
    Refuse {
        /// Why the answer is refused.
        reason: SessionEvent,
        /// A JSON-RPC error.
        response: Response<Bytes>,
    },
}

impl AnswerCheck {
    pub(super) fn new(
        settings: &VerifySettings,
        head: &Head<'_>,
        operation: Option<Operation<'_>>,
        verified: Option<(&Verified, Option<SessionDigest>)>,
        id: Option<&str>,
    ) -> Self {
        let does = |method| operation.is_some_and(|operation| operation.method == method);
        let opens = does("initialize");
        let session = match (&settings.sessions, verified) {
            (Some(bindings), Some((verified, named))) if opens || named.is_some() => {
                Some(SessionCheck {
                    bindings: Arc::clone(bindings),
                    key: *verified.key(),
                    named,
                    opens,
                    ends: head.method() == Method::DELETE.as_str(),
                    id: id.map(EchoedId::new),
                })
            }
            _ => None,
        };
        let answered = if does("tools/list") {
            AnsweredOperation::ToolsList
        } else if does("@get") || does("subscriptions/listen") {
            AnsweredOperation::Notifications
        } else {
            AnsweredOperation::Other
        };
        let is_learning = settings.is_learning();
        let learns = |modes: &&LearningModes| {
            answered == AnsweredOperation::ToolsList || (is_learning && modes.is_watching())
        };
        let learning = settings.learning.as_ref().filter(learns).cloned();
        AnswerCheck { session, learning, is_learning, answered }
    }

    /// Returns true if every answer would pass unchanged, so that the server need not check it.
    pub fn is_trivial(&self) -> bool {
        self.session.is_none() && self.learning.is_none()
    }

    /// Returns true if the server must send its answer without a content coding, so that the layer
    /// can read it. The request then has to reach the server with `Accept-Encoding: identity`.
    pub fn wants_uncompressed(&self) -> bool {
        self.is_learning && self.learning.is_some() && self.answered != AnsweredOperation::Other
    }

    /// Decides about the answer with this `status` and these `headers`.
    pub fn check(self, status: StatusCode, headers: &HeaderMap) -> AnswerDecision {
        let event = match self.session.as_ref().map_or(Ok(None), |s| s.check(status, headers)) {
            Ok(event) => event,
            Err(event) => {
                let id = self.session.as_ref().and_then(|session| session.id.as_ref());
                return AnswerDecision::Refuse { reason: event, response: event.response(id) };
            }
        };
        let learning = self.learning.filter(|_| status == StatusCode::OK);
        let lists = self.answered == AnsweredOperation::ToolsList;
        let listener = learning.and_then(|modes| ToolsListener::new(headers, &modes, lists));
        AnswerDecision::Pass { event, listener }
    }

    /// Checks `response`, and wraps its body.
    pub(super) fn apply<R>(self, response: Response<R>) -> Response<ResponseBody<R>> {
        if self.is_trivial() {
            return response.map(|body| ResponseBody::service(body, None));
        }
        match self.check(response.status(), response.headers()) {
            AnswerDecision::Pass { event, listener } => {
                let mut response = response.map(|body| ResponseBody::service(body, listener));
                if let Some(event) = event {
                    response.extensions_mut().insert(event);
                }
                response
            }
            AnswerDecision::Refuse { reason, response } => {
                let mut response = response.map(ResponseBody::refusal);
                response.extensions_mut().insert(reason);
                response
            }
        }
    }
}

impl SessionCheck {
    fn check(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Option<SessionEvent>, SessionEvent> {
        let mut lines = headers.get_all(SESSION_ID).iter();
        let (first, second) = (lines.next(), lines.next());
        if second.is_some() {
            return Err(SessionEvent::Repeated);
        }
        let opened = first.filter(|_| self.opens && status.is_success());
        let session = match (opened, self.named) {
            (Some(opened), _) => SessionDigest::of(opened.as_bytes()),
            (None, Some(named)) => {
                let ended = status == StatusCode::NOT_FOUND || (status.is_success() && self.ends);
                if ended {
                    self.bindings.end(&named, &self.key);
                }
                if ended || !status.is_success() {
                    return Ok(None);
                }
                named
            }
            (None, None) => return Ok(None),
        };
        match self.bindings.bind(session, &self.key) {
            Binding::Known => Ok(None),
            Binding::New if opened.is_some() => Ok(None),
            Binding::New => Ok(Some(SessionEvent::Adopted)),
            Binding::Taken => Err(SessionEvent::Taken),
            Binding::Full => Err(SessionEvent::Full),
        }
    }
}

impl SessionEvent {
    /// Returns a text for a log.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionEvent::Adopted => {
                "a session that was opened before is bound to the first key that uses it"
            }
            SessionEvent::Taken => "not_allowed",
            SessionEvent::Full => "unavailable",
            SessionEvent::Repeated => "the upstream named two sessions",
        }
    }

    fn response(self, id: Option<&EchoedId>) -> Response<Bytes> {
        let (status, code, message, reason) = match self {
            SessionEvent::Adopted | SessionEvent::Taken => (
                StatusCode::FORBIDDEN,
                REFUSED,
                "the session belongs to another key",
                "not_allowed",
            ),
            SessionEvent::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                REFUSED,
                "too many sessions are open, try again later",
                "unavailable",
            ),
            SessionEvent::Repeated => (
                StatusCode::BAD_GATEWAY,
                INTERNAL_ERROR,
                "the server behind did not answer with HTTP that can be passed on",
                "upstream_broken",
            ),
        };
        error_response(status, code, message, reason, id.map(EchoedId::as_str))
    }
}

impl fmt::Debug for AnswerCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerCheck").finish_non_exhaustive()
    }
}

impl fmt::Debug for AnswerDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerDecision::Pass { event, .. } => write!(f, "Pass({event:?})"),
            AnswerDecision::Refuse { reason, .. } => write!(f, "Refuse({reason:?})"),
        }
    }
}
