//! The layer that verifies, and its builder methods.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, Uri};
use tower_layer::Layer;

use crate::key::KeyId;
use crate::message::Head;
use crate::verify::Verifier;

use super::budget::Budget;
use super::handle::{Handle, LayerError};
use super::modes::{ModePolicy, Modes};
use super::observe::Observer;
use super::refusal::{self, RefuseWith, RefusedRequest};
use super::service::VerifyService;
use super::settings::VerifySettings;

/// Verifies the requests to a service; see [the module](super).
///
/// Cloning is cheap; all clones share the verifier, the budget and the observer.
#[derive(Clone)]
pub struct VerifyLayer {
    settings: Arc<VerifySettings>,
}

impl VerifyLayer {
    /// A strict layer that judges by `verifier`, which it sets to read every body as that of an
    /// MCP endpoint. Register [`Verifier::retention`] with the
    /// nonce store before.
    ///
    /// # Errors
    /// [`LayerError`] for a verifier that would accept requests for other servers, or replays.
    pub fn new(verifier: Verifier) -> Result<Self, LayerError> {
        let verifier = Handle::new(verifier)?;
        Ok(VerifyLayer {
            settings: Arc::new(VerifySettings {
                verifier,
                policy: Arc::new(Modes::strict()),
                refuse_with: RefuseWith::Forbidden,
                budget: Arc::new(Budget::new(Budget::DEFAULT)),
                observer: None,
                answer: None,
                admission: None,
                wire_target: None,
                #[cfg(feature = "audit")]
                recorder: None,
            }),
        })
    }

    /// Decides by `policy`, such as [`Modes`], which requests get through without being verified.
    #[must_use]
    pub fn with_modes(self, policy: impl ModePolicy + 'static) -> Self {
        self.with(|settings| settings.policy = Arc::new(policy))
    }

    /// Refuses with another status than 403.
    ///
    /// # Errors
    /// [`LayerError::Realm`].
    pub fn with_refusals(self, with: RefuseWith) -> Result<Self, LayerError> {
        if let RefuseWith::Unauthorized { realm } = &with
            && !refusal::is_realm(realm)
        {
            return Err(LayerError::Realm);
        }
        Ok(self.with(|settings| settings.refuse_with = with))
    }

    /// Sets the memory budget for bodies of unverified requests, to share it with other layers.
    #[must_use]
    pub fn with_budget(self, budget: Arc<Budget>) -> Self {
        self.with(|settings| settings.budget = budget)
    }

    /// Calls `observer` for every request.
    #[must_use]
    pub fn with_observer(self, observer: impl Observer + 'static) -> Self {
        self.with(|settings| settings.observer = Some(Arc::new(observer)))
    }

    /// Lets the application answer refused requests. `answer` receives the refusal and the default
    /// response. The response that it returns is sent, with the refusal in its extensions.
    #[must_use]
    pub fn with_answers<F>(self, answer: F) -> Self
    where
        F: Fn(&RefusedRequest, Response<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.with(|settings| settings.answer = Some(Arc::new(answer)))
    }

    /// Calls `admission` for every request that passed steps 1 to 11, before its nonce is claimed.
    /// An error refuses the request at step 11 as `not_allowed`; its text, a lower-case fragment,
    /// is for the log.
    #[must_use]
    pub fn with_admission<F>(self, admission: F) -> Self
    where
        F: Fn(&Head<'_>, &KeyId) -> Result<(), String> + Send + Sync + 'static,
    {
        self.with(|settings| settings.admission = Some(Arc::new(admission)))
    }

    /// Sets how to find the target as on the wire, if a router removes a part of the path before
    /// this layer. Without it, every signature behind such a router fails. If `wire_target` returns
    /// `None`, the target of the request is used.
    ///
    /// In axum, for a layer inside of `Router::nest`:
    /// `layer.with_wire_target(|parts| Some(parts.extensions.get::<OriginalUri>()?.0.clone()))`.
    /// `wire_target` must not use a header, because clients choose these.
    #[must_use]
    pub fn with_wire_target<F>(self, wire_target: F) -> Self
    where
        F: Fn(&Parts) -> Option<Uri> + Send + Sync + 'static,
    {
        self.with(|settings| settings.wire_target = Some(Arc::new(wire_target)))
    }

    /// Returns a handle that replaces the verifier while the layer is in use.
    pub fn handle(&self) -> Handle {
        self.settings.verifier.clone()
    }

    /// Records every request in the audit log. With
    /// [`Policy::Required`](crate::audit::Policy::Required) a verified request is on the disk
    /// before the service receives it, and refused with 503 if it cannot be written.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn with_audit(self, recorder: Arc<crate::audit::Recorder>) -> Self {
        self.with(|settings| settings.recorder = Some(recorder))
    }

    fn with(mut self, change: impl FnOnce(&mut VerifySettings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = VerifyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        VerifyService::new(inner, Arc::clone(&self.settings))
    }
}

impl fmt::Debug for VerifyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyLayer").finish_non_exhaustive()
    }
}
