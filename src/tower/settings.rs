//! The settings of a [`VerifyLayer`](super::VerifyLayer), which all of its services share.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::key::KeyId;
use crate::message::{Head, RequestTarget};
use crate::verify::{JudgedBody, Verifier};

use super::budget::Budget;
use super::handle::Handle;
use super::head;
use super::learning::LearningModes;
use super::modes::ModePolicy;
use super::observe::{Observer, RequestEvent};
use super::refusal::{RefuseWith, RefusedRequest};
use super::sessions::{SESSION_ID, SessionBindings, SessionDigest};

type AnswerHook = Arc<dyn Fn(&RefusedRequest, Response<Bytes>) -> Response<Bytes> + Send + Sync>;
type AdmissionHook = Arc<dyn Fn(&Head<'_>, &KeyId) -> Result<(), String> + Send + Sync>;
type WireTargetHook = Arc<dyn for<'p> Fn(&'p Parts) -> Option<RequestTarget<'p>> + Send + Sync>;

#[derive(Clone)]
pub(super) struct VerifySettings {
    pub(super) verifier: Handle,
    pub(super) policy: Arc<dyn ModePolicy>,
    /// The same value as `policy`, if that policy learns from the server's answers.
    pub(super) learning: Option<LearningModes>,
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

    /// Checks that the request's session belongs to its key, and calls the application's admission
    /// hook. Returns the session that the request names. A request that names several sessions was
    /// refused at step 1.
    pub(super) fn admit(
        &self,
        head: &Head<'_>,
        held: &JudgedBody,
    ) -> Result<Option<SessionDigest>, String> {
        let mut session = None;
        if let Some(bindings) = &self.sessions {
            for id in head.values(SESSION_ID) {
                let digest = SessionDigest::of(id);
                bindings.check(&digest, held.key()).map_err(str::to_owned)?;
                session = Some(digest);
            }
        }
        match &self.admission {
            Some(admission) => admission(head, held.key()).map(|()| session),
            None => Ok(session),
        }
    }

    pub(super) fn observe(&self, event: &RequestEvent<'_>) {
        if let Some(observer) = &self.observer {
            observer.judged(event);
        }
    }

    /// Returns the response to a refused request; the hook of the application may change it.
    pub(super) fn answer(
        &self,
        refused: RefusedRequest,
        response: Response<Bytes>,
    ) -> Response<Bytes> {
        let mut response = match &self.answer {
            Some(answer) => answer(&refused, response),
            None => response,
        };
        response.extensions_mut().insert(refused);
        response
    }
}
