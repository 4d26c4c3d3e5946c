//! The layer and its settings.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::request::Parts;
use http::{Response, Uri};
use tower_layer::Layer;

use crate::key::KeyId;
use crate::mcp::body::Scope;
use crate::message::Head;
use crate::profile::Presence;
use crate::verify::{BodyHeld, Replay, Verifier};

use super::budget::Budget;
use super::modes::{Modes, Policy};
use super::observe::{Event, Observer};
use super::refusal::{self, RefuseWith, Refused};
use super::service::VerifyService;

type Answer = Arc<dyn Fn(&Refused, Response<Bytes>) -> Response<Bytes> + Send + Sync>;
type Admission = Arc<dyn Fn(&Head<'_>, &KeyId) -> Result<(), String> + Send + Sync>;
type WireTarget = Arc<dyn Fn(&Parts) -> Option<Uri> + Send + Sync>;

/// A layer cannot be built so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The verifier takes any origin at its word: a request that was signed for another server
    /// would be accepted.
    #[error("no origin is known to be ours")]
    NoOrigin,
    /// The verifier does not claim nonces: every request could be replayed.
    #[error("nonces are not claimed in a store")]
    NoStore,
    /// The profile accepts signatures without coverage, nonce, digest or an end.
    #[error("the profile {0:?} is for audits and not for servers")]
    Profile(String),
    /// A realm that no header can hold.
    #[error("the realm holds something else than visible ascii")]
    Realm,
}

/// Verifies the requests to a service; see [the module](super).
///
/// Cloning is cheap; all clones share the verifier, the budget and the observer.
#[derive(Clone)]
pub struct VerifyLayer {
    settings: Arc<Settings>,
}

#[derive(Clone)]
pub(super) struct Settings {
    verifier: Handle,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) refuse_with: RefuseWith,
    pub(super) budget: Arc<Budget>,
    observer: Option<Arc<dyn Observer>>,
    answer: Option<Answer>,
    admission: Option<Admission>,
    wire_target: Option<WireTarget>,
    #[cfg(feature = "audit")]
    pub(super) recorder: Option<Arc<crate::audit::Recorder>>,
}

/// Replaces the verifier of a running layer, as when a trust file has changed.
#[derive(Clone)]
pub struct Handle {
    verifier: Arc<RwLock<Arc<Verifier>>>,
}

impl VerifyLayer {
    /// A strict layer that judges by `verifier`, which it sets to read every body as that of an
    /// MCP endpoint. Whoever gives the verifier its store has registered
    /// [`Verifier::retention`] with it.
    ///
    /// # Errors
    /// [`LayerError`] for a verifier that would let through what nobody authorised here and now.
    pub fn new(verifier: Verifier) -> Result<Self, LayerError> {
        let verifier = Handle { verifier: Arc::new(RwLock::new(Arc::new(fit(verifier)?))) };
        Ok(VerifyLayer {
            settings: Arc::new(Settings {
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
    pub fn with_modes(self, policy: impl Policy + 'static) -> Self {
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
        F: Fn(&Refused, Response<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
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

    pub(super) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
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

impl Handle {
    /// Judges by `verifier` from now on: a request whose body is not here yet is judged by it too,
    /// so that a key which is revoked counts for nothing at once. What was verified before stays so.
    ///
    /// # Errors
    /// As [`VerifyLayer::new`]; the old verifier stays then.
    pub fn replace(&self, verifier: Verifier) -> Result<(), LayerError> {
        let verifier = Arc::new(fit(verifier)?);
        // Nothing that can panic is done under the lock.
        *self.verifier.write().unwrap_or_else(PoisonError::into_inner) = verifier;
        Ok(())
    }

    /// The verifier as it stands.
    pub fn verifier(&self) -> Arc<Verifier> {
        Arc::clone(&self.verifier.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Whether a server may rely on `verifier`.
fn fit(verifier: Verifier) -> Result<Verifier, LayerError> {
    if verifier.origins().is_empty() {
        return Err(LayerError::NoOrigin);
    }
    if !matches!(verifier.replay(), Replay::Claim(_)) {
        return Err(LayerError::NoStore);
    }
    let profile = verifier.profile();
    let covers = |name: &str| profile.always.iter().any(|c| c == name);
    if profile.nonce != Presence::Required
        || profile.created != Presence::Required
        || profile.digest != Presence::Required
        || profile.window.back.is_none()
        || !["@method", "@target-uri", "content-digest"].into_iter().all(covers)
    {
        return Err(LayerError::Profile(profile.name.to_string()));
    }
    Ok(verifier.at(Scope::Endpoint))
}

impl Settings {
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

    pub(super) fn observe(&self, event: &Event<'_>) {
        if let Some(observer) = &self.observer {
            observer.judged(event);
        }
    }

    /// The response to a refused request, by the application if it wants to.
    pub(super) fn answer(&self, refused: Refused, response: Response<Bytes>) -> Response<Bytes> {
        let mut response = match &self.answer {
            Some(answer) => answer(&refused, response),
            None => response,
        };
        response.extensions_mut().insert(refused);
        response
    }
}
