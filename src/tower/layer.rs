//! The layer that verifies requests, and its builder methods.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, Response};
use http_body::Body;
use tower_layer::Layer;

use crate::key::KeyId;
use crate::message::{Head, HeadError, RequestTarget};
use crate::verify::Verifier;

use super::BoxError;
use super::budget::Budget;
use super::handle::{LayerError, VerifierHandle};
use super::judge::{self, Decision};
use super::learning::LearningModes;
use super::modes::{ModePolicy, Modes};
use super::observe::Observer;
use super::refusal::{self, Refusal, RefuseWith};
use super::service::VerifyService;
use super::sessions::SessionBindings;
use super::settings::VerifySettings;
use super::touch::TouchRules;

/// Verifies the requests to a service; see [the module](super).
///
/// Cloning is cheap; all clones share the verifier, the memory budget and the observer.
#[derive(Clone)]
pub struct VerifyLayer {
    settings: Arc<VerifySettings>,
}

impl VerifyLayer {
    /// Creates a strict layer that judges requests with `verifier`. The verifier is set to read
    /// every body as a request to an MCP endpoint. Before this, register [`Verifier::retention`]
    /// with the nonce store.
    ///
    /// # Errors
    /// [`LayerError`] if `verifier` would accept requests that were signed for other servers, or
    /// replays.
    pub fn new(verifier: Verifier) -> Result<Self, LayerError> {
        let verifier = VerifierHandle::new(verifier)?;
        Ok(VerifyLayer {
            settings: Arc::new(VerifySettings {
                verifier,
                policy: Arc::new(Modes::strict()),
                learning: None,
                touch: TouchRules::new(),
                sessions: None,
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

    /// Uses `policy`, such as [`Modes`], to decide which requests are passed on without being
    /// verified.
    #[must_use]
    pub fn with_modes(self, policy: impl ModePolicy + 'static) -> Self {
        self.with(|settings| {
            settings.policy = Arc::new(policy);
            settings.learning = None;
        })
    }

    /// Uses `modes` to decide which requests are passed on without being verified. They learn from
    /// the service's answers to `tools/list`. If the modes depend on the list, requests for it
    /// reach the service with `Accept-Encoding: identity`, so that the layer can read the answer.
    #[must_use]
    pub fn with_learning_modes(self, modes: LearningModes) -> Self {
        self.with(|settings| {
            settings.policy = Arc::new(modes.clone());
            settings.learning = Some(modes);
        })
    }

    /// Demands a person's touch of a security key for the requests that `rules` name. A request
    /// that needs a touch and has no acceptable one is refused with `touch_required`, in every
    /// mode.
    ///
    /// # Errors
    /// [`LayerError::Touch`] if the profile of the verifier knows no security keys.
    pub fn with_touch(self, rules: TouchRules) -> Result<Self, LayerError> {
        let verifier = self.settings.verifier();
        let profile = verifier.profile();
        if !rules.is_empty() && profile.security_keys.is_empty() {
            return Err(LayerError::Touch(profile.name.to_string()));
        }
        Ok(self.with(|settings| settings.touch = rules))
    }

    /// Binds each session (`Mcp-Session-Id`) to the key that opened it, and refuses verified
    /// requests that use the session of another key. Servers behind several layers share
    /// `bindings`.
    #[must_use]
    pub fn with_sessions(self, bindings: Arc<SessionBindings>) -> Self {
        self.with(|settings| settings.sessions = Some(bindings))
    }

    /// Sets the status of refusals, in place of 403.
    ///
    /// # Errors
    /// [`LayerError::Realm`] if the realm cannot be written in a header.
    pub fn with_refusals(self, with: RefuseWith) -> Result<Self, LayerError> {
        if let RefuseWith::Unauthorized { realm } = &with
            && !refusal::is_realm(realm)
        {
            return Err(LayerError::Realm);
        }
        Ok(self.with(|settings| settings.refuse_with = with))
    }

    /// Sets the memory budget for bodies of unverified requests. Several layers can share one
    /// budget.
    #[must_use]
    pub fn with_budget(self, budget: Arc<Budget>) -> Self {
        self.with(|settings| settings.budget = budget)
    }

    /// Calls `observer` for every request.
    #[must_use]
    pub fn with_observer(self, observer: impl Observer + 'static) -> Self {
        self.with(|settings| settings.observer = Some(Arc::new(observer)))
    }

    /// Lets the application change the answer to refused requests. `answer` gets the refusal and
    /// the default response, and returns the response to send. The refusal is added to its
    /// extensions.
    #[must_use]
    pub fn with_answers<F>(self, answer: F) -> Self
    where
        F: Fn(&Refusal, Response<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.with(|settings| settings.answer = Some(Arc::new(answer)))
    }

    /// Calls `admission` for every request that passed all checks, before its nonce is claimed. If
    /// it returns an error, the request is refused with `not_allowed`. The error is a lower-case
    /// fragment of a sentence for the log.
    #[must_use]
    pub fn with_admission<F>(self, admission: F) -> Self
    where
        F: Fn(&Head<'_>, &KeyId) -> Result<(), String> + Send + Sync + 'static,
    {
        self.with(|settings| settings.admission = Some(Arc::new(admission)))
    }

    /// Sets how to find the target as it was on the wire. Two kinds of servers need this setting.
    /// Behind a router that removes a part of the path, every signature would fail without the
    /// original target. A server that has the bytes of the request line should pass them on,
    /// because `Uri` silently drops a fragment. If `find` returns `None`, the URI of the request is
    /// used.
    ///
    /// In axum, for a layer inside of `Router::nest`:
    /// `layer.with_wire_target(|p| Some(wire_target(p, &p.extensions.get::<OriginalUri>()?.0)))`,
    /// with [`wire_target`](super::wire_target) of this module. A server that has the bytes puts a
    /// `RequestTarget<'static>` into the extensions of the request:
    /// `layer.with_wire_target(|p| Some(p.extensions.get::<RequestTarget<'static>>()?.borrowed()))`.
    /// `find` must not take the target from a header, because clients choose the headers.
    #[must_use]
    pub fn with_wire_target<F>(self, find: F) -> Self
    where
        F: for<'p> Fn(&'p Parts) -> Option<RequestTarget<'p>> + Send + Sync + 'static,
    {
        self.with(|settings| settings.wire_target = Some(Arc::new(find)))
    }

    /// Judges one request, for a server that does not use [`VerifyService`], such as an ASGI server
    /// or an authorization service. Verdicts, refusals, events and audit entries are the same as
    /// those of [`VerifyService`].
    ///
    /// `head` has the field lines as received. For HTTP/2, add the `:authority` as `Host`. For
    /// HTTP/1.0, leave out `Expect` (RFC 9110 section 10.1.1). The observer gets `extensions`. The
    /// server itself has to refuse bad framing; see [the module](super).
    ///
    /// ```
    /// # use mcpid::tower::{BoxError, VerifyLayer};
    /// use mcpid::message::{Head, RequestTarget};
    /// use mcpid::tower::{AnswerDecision, Decision};
    ///
    /// # async fn front(layer: VerifyLayer, body: bytes::Bytes) -> Result<(), BoxError> {
    /// let mut head = Head::new("POST", RequestTarget::from_bytes(b"/mcp")?)?;
    /// head.push("host", b"mcp.example.com")?;
    /// let body = http_body_util::Full::new(body);
    /// match layer.judge(&head, &http::Extensions::new(), body).await {
    ///     Decision::Refuse(response) => println!("send {response:?}"),
    ///     Decision::Pass(passed) => {
    ///         // The application answers, given `passed.status` and `passed.body`.
    ///         let (status, headers) = (http::StatusCode::OK, http::HeaderMap::new());
    ///         match passed.answer.check(status, &headers) {
    ///             AnswerDecision::Refuse { response, .. } => println!("send {response:?}"),
    ///             AnswerDecision::Pass { listener, .. } => {
    ///                 // Send the answer, and give its body to `listener`.
    /// #               drop(listener);
    ///             }
    ///         }
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn judge<B>(&self, head: &Head<'_>, extensions: &Extensions, body: B) -> Decision<B>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let expects = head.has("expect");
        judge::judge_received(&self.settings, head, extensions, expects, body).await
    }

    /// Returns the response to a request whose head is not a valid [`Head`]. The observer gets an
    /// event with this `method` and `path`, and the audit log counts the request.
    pub fn refuse_head(
        &self,
        error: HeadError,
        (method, path): (&str, &str),
        extensions: &Extensions,
    ) -> Response<Bytes> {
        judge::refuse_head(&self.settings, error, (method, path), extensions)
    }

    /// Returns a handle that replaces the verifier while the layer is in use.
    pub fn handle(&self) -> VerifierHandle {
        self.settings.verifier.clone()
    }

    /// Records every request in the audit log. With
    /// [`Policy::Required`](crate::audit::Policy::Required), the entry of a verified request is on
    /// the disk before the service receives the request; if the entry cannot be written, the
    /// request is refused with 503.
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
