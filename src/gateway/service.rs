//! The gateway as a service. It checks framing and web origin, chooses the route, and passes the
//! request to the verification layer, or directly to the application on an open path, which needs
//! no signature.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::service::Service;
use rustls::ClientConfig;
use tower_layer::Layer as _;

use crate::clock::Clock;
use crate::message::target::TargetForm;
use crate::net::{DialRoute, Dialer, Peer, RefusedRawHead};
use crate::tower::{
    Budget, LayerError, Refusal, RefusalReason, RefuseWith, Route, SessionBindings, SessionEvent,
    VerifierHandle, VerifyLayer, VerifyService,
};
use crate::verify::{Code, Verifier};

use super::allowed_origins::{AllowedOrigins, OriginHeader};
use super::application::Application;
use super::body::{AnswerBody, BodyTooSlow, GatewayBody, TimedBody};
use super::client_address::ClientAddress;
use super::config::{GatewayConfig, GatewayRole};
use super::framing::{self, GatewayError};
use super::log::{LogText, LoggedOutcome, MAX_TEXT_CHARS};
use super::metrics::Metrics;
use super::normal_target::normalise_target;
use super::proxy::{TOO_LARGE, UpstreamProxy, UpstreamTarget, own_answer};
use super::record::{AccessLog, RecordVerdict, RequestRecord, RequestRecords};
use super::remedy::remedy;
use super::tools_query::{ToolsLearning, ToolsQuery};
use super::upstream_permits::UpstreamPermits;

/// Judges requests and passes them on; see [the module](super). Cloning is cheap.
///
/// ```
/// # use std::sync::Arc;
/// # use mcpid::clock::SystemClock;
/// # use mcpid::gateway::log::LogLine;
/// # use mcpid::gateway::Metrics;
/// # use mcpid::net::tls;
/// # use mcpid::verify::Verifier;
/// use mcpid::gateway::{GatewayConfig, Gateway, Upstream};
///
/// # fn gateway(verifier: Verifier) -> Result<Gateway, Box<dyn std::error::Error>> {
/// let config = GatewayConfig::new(Upstream::parse("http://127.0.0.1:8000/mcp")?);
/// let clock = Arc::new(SystemClock);
/// let (tls, metrics) = (tls::client_without_roots()?, Arc::new(Metrics::new()));
/// let log = Arc::new(|line: &LogLine| println!("{}", line.to_line()));
/// let gateway = Gateway::new(config, verifier, tls, clock, metrics, log)?;
/// # Ok(gateway)
/// # }
/// ```
#[derive(Clone)]
pub struct Gateway {
    parts: Arc<GatewayParts>,
}

struct GatewayParts {
    judged: VerifyService<Application>,
    application: Application,
    shared: SharedParts,
}

/// The data that the copies of a gateway on all runtimes share.
#[derive(Clone)]
struct SharedParts {
    layer: VerifyLayer,
    config: Arc<GatewayConfig>,
    allowed_origins: Arc<AllowedOrigins>,
    records: Arc<RequestRecords>,
    handle: VerifierHandle,
    learning: ToolsLearning,
}

const NOT_FOUND: GatewayError = GatewayError {
    status: StatusCode::NOT_FOUND,
    reason: "not_found",
    message: "there is nothing at this path",
};
const NOT_OURS: GatewayError = GatewayError {
    status: StatusCode::MISDIRECTED_REQUEST,
    reason: "target_mismatch",
    message: "the request is for another host",
};

impl Gateway {
    /// Makes a gateway that judges requests with `verifier`, and uses `tls` for the connections to
    /// its upstream.
    ///
    /// # Errors
    /// [`LayerError`] if `verifier` cannot be used in a server or with the touch rules, if the
    /// realm cannot be sent in a header, or if an authorizer refuses with status 200.
    pub fn new(
        mut config: GatewayConfig,
        verifier: Verifier,
        tls: ClientConfig,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        log: Arc<dyn AccessLog>,
    ) -> Result<Self, LayerError> {
        let is_proxy = match &config.role {
            GatewayRole::Proxy(upstream) => {
                config.paths = config.paths.with_upstream(upstream.path());
                true
            }
            GatewayRole::Authorizer(_) => false,
        };
        if !is_proxy && config.refuse_with == RefuseWith::Ok {
            return Err(LayerError::RefusedWithOk);
        }
        let learning = ToolsLearning::new(&config, &metrics, &clock);
        let layer = VerifyLayer::new(verifier)?
            .with_learning_modes(learning.modes())
            .with_touch(config.touch.clone())?
            .with_refusals(config.refuse_with.clone())?
            .with_budget(Arc::new(Budget::new(config.budget)))
            .with_observer(RecordVerdict)
            .with_answers(|refused, mut response| {
                if let RefusalReason::BodyBroken(error) = refused.reason()
                    && error.is::<BodyTooSlow>()
                {
                    *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                response
            });
        let layer = match &config.audit {
            Some(recorder) => {
                metrics.audited(recorder.log());
                layer.with_audit(Arc::clone(recorder))
            }
            None => layer,
        };
        // A session is bound to a key when the answer that opens it is seen. An authorizer does not
        // see answers, so it binds no sessions.
        let layer = match is_proxy {
            true => {
                let sessions = SessionBindings::new(config.sessions, config.session_idle);
                let sessions = Arc::new(sessions);
                metrics.watch_sessions(Arc::clone(&sessions));
                layer.with_sessions(sessions)
            }
            false => layer,
        };
        let handle = layer.handle();
        let allowed = config.allow_origins.clone();
        let allowed_origins = Arc::new(AllowedOrigins::new(handle.clone(), allowed, is_proxy));
        let records = Arc::new(RequestRecords::new(clock, Arc::clone(&metrics), log));
        let config = Arc::new(config);
        let application = match &config.role {
            GatewayRole::Proxy(upstream) => {
                let via = upstream.unix.clone().map_or(DialRoute::Direct, DialRoute::Unix);
                let target = UpstreamTarget::new(upstream).map(Arc::new);
                let mut dialer = Dialer::new(tls, via, config.connect_time);
                if let Some(server) = target.as_ref().and_then(|target| target.server()) {
                    dialer = dialer.to_server(server);
                }
                Application::Proxy(Arc::new(UpstreamProxy {
                    dialer,
                    allowed_origins: Arc::clone(&allowed_origins),
                    permits: UpstreamPermits::new(config.exchanges),
                    target,
                    upstream: Arc::new(upstream.clone()),
                    config: Arc::clone(&config),
                }))
            }
            GatewayRole::Authorizer(protocol) => Application::Authorizer(protocol.clone()),
        };
        let shared = SharedParts { layer, config, allowed_origins, records, handle, learning };
        Ok(Gateway::assemble(application, shared))
    }

    fn assemble(application: Application, shared: SharedParts) -> Self {
        let judged = shared.layer.layer(application.clone());
        Gateway { parts: Arc::new(GatewayParts { judged, application, shared }) }
    }

    /// Returns the same gateway for another runtime. The two share everything except the
    /// connections to the upstream, because a connection belongs to the runtime on which it was
    /// made.
    #[must_use]
    pub fn for_another_runtime(&self) -> Self {
        let application = self.parts.application.for_another_runtime();
        Gateway::assemble(application, self.parts.shared.clone())
    }

    /// Uses `tls` for new connections to the upstream, also in gateways that were made with
    /// [`Gateway::for_another_runtime`].
    pub fn replace_tls(&self, tls: ClientConfig) {
        self.parts.application.replace_tls(tls);
    }

    /// Returns the query by which the gateway asks the upstream for its list of tools, with
    /// separate connections. `None` if no rule depends on that list, or if there is no upstream.
    pub fn tools_query(&self) -> Option<ToolsQuery> {
        let SharedParts { learning, handle, .. } = &self.parts.shared;
        let Application::Proxy(proxy) = &self.parts.application else { return None };
        let public = handle.verifier().origins().iter().next()?.authority().parse().ok()?;
        learning.query(proxy, public)
    }

    /// Answers a head that the server refused before parsing, and logs it. Pass this to
    /// [`Server::with_refused_heads`](crate::net::Server::with_refused_heads).
    pub fn refuse_head(&self, head: &RefusedRawHead, peer: Peer) -> Response<Bytes> {
        let record = self.parts.shared.records.open_refused(head, peer);
        let fault = GatewayError::from(head.fault());
        note_refusal(&record, fault);
        let answer = own_answer(fault, None);
        record.note(|line| line.received = answer.body().len() as u64);
        answer
    }

    /// Returns a handle that replaces the verifier while the gateway runs.
    pub fn handle(&self) -> VerifierHandle {
        self.parts.shared.handle.clone()
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

impl Service<Request<Incoming>> for Gateway {
    type Response = Response<GatewayBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let parts = Arc::clone(&self.parts);
        Box::pin(async move { Ok(parts.answer(request).await) })
    }
}

impl GatewayParts {
    async fn answer(&self, request: Request<Incoming>) -> Response<GatewayBody> {
        let is_old = request.version() <= Version::HTTP_10;
        let mut response = self.answer_any(request).await;
        if is_old {
            // An HTTP/1.0 answer makes hyper close the connection, even if the client asked to keep
            // it.
            *response.version_mut() = Version::HTTP_10;
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }

    async fn answer_any(&self, request: Request<Incoming>) -> Response<GatewayBody> {
        let (mut parts, body) = request.into_parts();
        let SharedParts { config, allowed_origins, .. } = &self.shared;
        let peer = parts.extensions.get::<Peer>().copied();
        let client = ClientAddress::of(&config.trusted_proxies, peer, &parts.headers);
        let protocol = self.application.protocol();
        let described = protocol.map_or(Ok(()), |p| p.describe(&mut parts, body.is_end_stream()));
        parts.extensions.insert(client);
        let record = self.shared.records.open(&parts, peer, client);
        parts.extensions.insert(Arc::clone(&record));

        let checked = described.and_then(|()| framing::check(&parts));
        let origin = match checked.and_then(|()| allowed_origins.check(&parts.headers)) {
            Ok(origin) => origin,
            Err(fault) => return self.refuse(fault, None, record),
        };
        let route = self.route(&mut parts);
        if route == Route::NotFound {
            return self.refuse(NOT_FOUND, origin, record);
        }
        if (route == Route::Open || parts.method == Method::OPTIONS)
            && allowed_origins.public_origin(&parts).is_none()
        {
            self.note_host(&record, parts.headers.get(header::HOST));
            return self.refuse(NOT_OURS, origin, record);
        }
        if let Some(response) = allowed_origins.preflight::<AnswerBody>(&parts, &origin) {
            record.note(|line| line.outcome = LoggedOutcome::Open);
            record.answered(response.status().as_u16());
            return response.map(|body| GatewayBody::own(body, Some(record)));
        }

        let body = TimedBody::new(body, config.body_time, Arc::clone(&record));
        let mut response = if route == Route::Endpoint {
            let host = parts.headers.get(header::HOST).cloned();
            let unsigned = protocol.and_then(|protocol| protocol.unsigned_cause(&parts.headers));
            let request = Request::from_parts(parts, body);
            let answering = tower_service::Service::call(&mut self.judged.clone(), request);
            let response = match answering.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if response.status() == StatusCode::MISDIRECTED_REQUEST
                && response.extensions().get::<Refusal>().is_some()
            {
                self.note_host(&record, host.as_ref());
            }
            if let Some(event) = response.extensions().get::<SessionEvent>() {
                note_session(&record, *event);
            }
            if let Some(cause) = unsigned {
                record.note(|line| {
                    if line.code == Some(Code::SignatureMissing) {
                        line.hint = remedy(cause).map(LogText::word);
                    }
                });
            }
            response.map(|body| GatewayBody::judged(body, Arc::clone(&record)))
        } else {
            let limit = self.shared.handle.verifier().max_body();
            if u64::try_from(limit).is_ok_and(|limit| body.size_hint().lower() > limit) {
                return self.refuse(TOO_LARGE, origin, record);
            }
            let request = Request::from_parts(parts, Limited::new(body, limit));
            let response = self.application.answer(request, LoggedOutcome::Open).await;
            response.map(|body| GatewayBody::own(body, Some(Arc::clone(&record))))
        };
        allowed_origins.add_cors(&origin, response.headers_mut());
        record.answered(response.status().as_u16());
        response
    }

    /// Returns the route of a request. Under a profile that signs targets in normal form, a request
    /// to the endpoint gets its target and host in that form, so that the upstream sees only the
    /// signed spelling. Open paths are compared as the client wrote them, because they are not
    /// signed. An authorizer compares all paths as the client wrote them, because the proxy passes
    /// the request on unchanged.
    fn route(&self, parts: &mut Parts) -> Route {
        let SharedParts { config, handle, .. } = &self.shared;
        let paths = &config.paths;
        let sends_on = self.application.protocol().is_none();
        let verifier = handle.verifier();
        if sends_on && verifier.profile().target == TargetForm::Rfc3986 {
            let mut normal = parts.clone();
            normalise_target(&mut normal, verifier.origins());
            if paths.route(normal.method.as_str(), normal.uri.path()) == Route::Endpoint {
                *parts = normal;
                return Route::Endpoint;
            }
        }
        paths.route(parts.method.as_str(), parts.uri.path())
    }

    fn refuse(
        &self,
        fault: GatewayError,
        origin: OriginHeader,
        record: Arc<RequestRecord>,
    ) -> Response<GatewayBody> {
        let mut response = own_answer(fault, None);
        self.shared.allowed_origins.add_cors(&origin, response.headers_mut());
        note_refusal(&record, fault);
        response.map(|body| GatewayBody::own(body.into(), Some(record)))
    }

    /// Writes the host that the request names, and the configured hosts, into the record.
    fn note_host(&self, record: &RequestRecord, host: Option<&HeaderValue>) {
        let given = host.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        // The client's text is cut to half, to leave room for the configured origins.
        let given: String = given.unwrap_or_default().chars().take(MAX_TEXT_CHARS / 2).collect();
        let verifier = self.shared.handle.verifier();
        let ours: Vec<String> = verifier.origins().iter().map(ToString::to_string).collect();
        let note = LogText::new(&format!("host {given:?}, ours: {}", ours.join(" ")));
        record.note(|line| line.note = Some(note));
    }
}

/// Records that an existing session was bound to a key, or why the answer of the upstream was
/// refused.
fn note_session(record: &RequestRecord, event: SessionEvent) {
    record.note(|line| {
        line.note = Some(LogText::word(event.as_str()));
        if event != SessionEvent::Adopted {
            line.outcome = LoggedOutcome::Failed;
        }
    });
}

/// Completes the log line of a request that the gateway refused without a verdict of the verifier.
fn note_refusal(record: &RequestRecord, fault: GatewayError) {
    record.note(|line| {
        line.outcome = LoggedOutcome::Refused;
        line.note.get_or_insert(LogText::word(fault.reason));
        line.hint = remedy(fault.reason).map(LogText::word);
    });
    record.answered(fault.status.as_u16());
}
