//! The settings of a [`VerifyLayer`](super::VerifyLayer), shared by all of its services.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, Uri};

use crate::key::KeyId;
use crate::message::Head;
use crate::verify::{BodyHeld, Verifier};

use super::budget::Budget;
use super::handle::Handle;
use super::modes::ModePolicy;
use super::observe::{Observer, RequestEvent};
use super::refusal::{RefuseWith, RefusedRequest};

type AnswerHook = Arc<dyn Fn(&RefusedRequest, Response<Bytes>) -> Response<Bytes> + Send + Sync>;
type AdmissionHook = Arc<dyn Fn(&Head<'_>, &KeyId) -> Result<(), String> + Send + Sync>;
type WireTargetHook = Arc<dyn Fn(&Parts) -> Option<Uri> + Send + Sync>;

#[derive(Clone)]
pub(super) struct VerifySettings {
    pub(super) verifier: Handle,
    pub(super) policy: Arc<dyn ModePolicy>,
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

    pub(super) fn wire_target<'p>(&self, parts: &'p Parts) -> Cow<'p, Uri> {
        match self.wire_target.as_ref().and_then(|find| find(parts)) {
            Some(uri) => Cow::Owned(uri),
            None => Cow::Borrowed(&parts.uri),
        }
    }

    pub(super) fn admit(&self, head: &Head<'_>, held: &BodyHeld) -> Result<(), String> {
        self.admission.as_ref().map_or(Ok(()), |admission| admission(head, held.key()))
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
