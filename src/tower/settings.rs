//! The settings of a [`VerifyLayer`](super::VerifyLayer), which all of its services share.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::key::KeyId;
use crate::mcp::pattern::Operation;
use crate::message::{Head, RequestTarget};
use crate::verify::{JudgedBody, Rejection, Verifier};

use super::budget::Budget;
use super::handle::VerifierHandle;
use super::head;
use super::learning::LearningModes;
use super::modes::{Mode, ModePolicy};
use super::observe::{Observer, RequestEvent};
use super::refusal::{Refusal, RefuseWith};
use super::sessions::{SESSION_ID, SessionBindings, SessionDigest};
use super::touch::TouchRules;

type AnswerHook = Arc<dyn Fn(&Refusal, Response<Bytes>) -> Response<Bytes> + Send + Sync>;
type AdmissionHook = Arc<dyn Fn(&Head<'_>, &KeyId) -> Result<(), String> + Send + Sync>;
type WireTargetHook = Arc<dyn for<'p> Fn(&'p Parts) -> Option<RequestTarget<'p>> + Send + Sync>;

#[derive(Clone)]
pub(super) struct VerifySettings {
    pub(super) verifier: VerifierHandle,
    pub(super) policy: Arc<dyn ModePolicy>,
    /// The same modes as in `policy`, if they learn from the server's answers.
    pub(super) learning: Option<LearningModes>,
    pub(super) touch: TouchRules,
    pub(super) sessions: Option<Arc<SessionBindings>>,
    pub(super) refuse_with: RefuseWith,
    pub(super) budget: Arc<Budget>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) answer: Option<AnswerHook>,
    pub(super) admission: Option<AdmissionHook>,
    pub(super) wire_target: Option<WireTargetHook>,
    #[cfg(feature = "audit")]
    pub(super) recorder: Option<Arc<crate::audit::Recorder>>,
}

impl VerifySettings {
    pub(super) fn verifier(&self) -> Arc<Verifier> {
        self.verifier.verifier()
    }

    pub(super) fn wire_target<'p>(&self, parts: &'p Parts) -> RequestTarget<'p> {
        let found = self.wire_target.as_ref().and_then(|find| find(parts));
        found.unwrap_or_else(|| head::wire_target(parts, &parts.uri))
    }

    /// Returns the mode for requests that are not verified, or `None` if it depends on the
    /// operation.
    pub(super) fn uniform_mode(&self) -> Option<Mode> {
        let uniform = self.policy.uniform();
        uniform.filter(|mode| *mode == Mode::Strict || self.touch.is_empty())
    }

    /// Returns the mode for a request with this `operation`. `None` stands for a body that was not
    /// read, or that is ambiguous.
    pub(super) fn mode(&self, operation: Option<Operation<'_>>) -> Mode {
        if self.touch.is_strict(operation, self.learning.as_ref()) {
            return Mode::Strict;
        }
        self.policy.uniform().unwrap_or_else(|| self.policy.mode(operation))
    }

    /// Returns true if a request with this `operation` needs a touch of a security key.
    pub(super) fn needs_touch(&self, operation: Option<Operation<'_>>) -> bool {
        self.touch.needs_touch(operation, self.learning.as_ref())
    }

    /// Returns true if the layer reads the server's list of tools because a mode or touch rule
    /// depends on it.
    pub(super) fn is_learning(&self) -> bool {
        self.learning.as_ref().is_some_and(LearningModes::is_learning) || self.touch.is_learning()
    }

    /// Completes step 11 (allowed operations): checks the touch, checks that the request's session
    /// belongs to its key, and calls the application's admission hook. Returns the session that the
    /// request names. A request that names several sessions was refused before.
    pub(super) fn admit(
        &self,
        head: &Head<'_>,
        judged: &JudgedBody,
        operation: Option<Operation<'_>>,
    ) -> Result<Option<SessionDigest>, Rejection> {
        if self.needs_touch(operation) && judged.touch().is_none() {
            return Err(judged.touch_required(head, None));
        }
        let mut session = None;
        if let Some(bindings) = &self.sessions {
            for id in head.values(SESSION_ID) {
                let digest = SessionDigest::of(id);
                let bound = bindings.check(&digest, judged.key());
                bound.map_err(|why| judged.not_allowed(head, why))?;
                session = Some(digest);
            }
        }
        match &self.admission {
            Some(admission) => {
                let admitted = admission(head, judged.key()).map(|()| session);
                admitted.map_err(|why| judged.not_allowed(head, why))
            }
            None => Ok(session),
        }
    }

    /// Tells the observer what `event` returns, which is not asked for without an observer.
    pub(super) fn observe<'e>(&self, event: impl FnOnce() -> RequestEvent<'e>) {
        if let Some(observer) = &self.observer {
            observer.judged(&event());
        }
    }

    /// Returns the response to a refused request. The application's hook may change it.
    pub(super) fn answer(&self, refused: Refusal, response: Response<Bytes>) -> Response<Bytes> {
        let mut response = match &self.answer {
            Some(answer) => answer(&refused, response),
            None => response,
        };
        response.extensions_mut().insert(refused);
        response
    }
}
