//! The layer and its settings.

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
    /// MCP endpoint. Whoever gives the verifier its store has registered
    /// [`Verifier::retention`] with it.
    ///
    /// # Errors
    /// [`LayerError`] for a verifier that would let through what nobody authorised here and now.
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

    /// Decides by `policy`, such as [`Modes`], what gets through without being verified.
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

    /// Shares `budget` for bodies that nobody has vouched for with other layers.
    #[must_use]
    pub fn with_budget(self, budget: Arc<Budget>) -> Self {
        self.with(|settings| settings.budget = budget)
    }

    /// Tells `observer` of every request.
    #[must_use]
    pub fn with_observer(self, observer: impl Observer + 'static) -> Self {
        self.with(|settings| settings.observer = Some(Arc::new(observer)))
    }

    /// Lets the application answer refused requests. `answer` gets the refusal and the response
    /// that would be sent; what it returns is sent, with the refusal in its extensions.
    #[must_use]
    pub fn with_answers<F>(self, answer: F) -> Self
    where
        F: Fn(&RefusedRequest, Response<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.with(|settings| settings.answer = Some(Arc::new(answer)))
    }

    /// Asks `admission` about every request whose signature and body hold, before its nonce is
    /// claimed: whether this key may do what the head asks. The words of a no, a lower-case
    /// fragment, are for the log; the request is refused at step 11 as `not_allowed`.
    #[must_use]
    pub fn with_admission<F>(self, admission: F) -> Self
    where
        F: Fn(&Head<'_>, &KeyId) -> Result<(), String> + Send + Sync + 'static,
    {
        self.with(|settings| settings.admission = Some(Arc::new(admission)))
    }

    /// Says how to get the target as it stood on the wire, where a router cut it before this layer
    /// sees it. Without it every signature behind such a router fails. `None` means that the
    /// request's own target is whole.
    ///
    /// In axum, for a layer inside of `Router::nest`:
    /// `layer.with_wire_target(|parts| Some(parts.extensions.get::<OriginalUri>()?.0.clone()))`.
    /// It must not take anything from a header.
    #[must_use]
    pub fn with_wire_target<F>(self, wire_target: F) -> Self
    where
        F: Fn(&Parts) -> Option<Uri> + Send + Sync + 'static,
    {
        self.with(|settings| settings.wire_target = Some(Arc::new(wire_target)))
    }

    /// A handle that replaces the verifier while the layer is in use.
    pub fn handle(&self) -> Handle {
        self.settings.verifier.clone()
    }

    /// Writes every request down. Under [`ModePolicy::Required`](crate::audit::Policy::Required) a
    /// request that is verified is on the disk before the service behind gets it, and refused with
    /// 503 if it cannot be.
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
