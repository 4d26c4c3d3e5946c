//! The gateway as a service: sight, origin, route, verdict, upstream.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::service::Service;
use rustls::ClientConfig;
use tower_layer::Layer as _;

use crate::clock::Clock;
use crate::net::{Dialer, Peer, RefusedHead, Via};
use crate::tower::{
    Budget, Handle, LayerError, RefusalReason, RefusedRequest, VerifyLayer, VerifyService,
};
use crate::verify::Verifier;

use super::body::{Answer, GatewayBody, Paced, TooSlow};
use super::client_address::Client;
use super::config::Config;
use super::log::{LONGEST, Outcome, Short};
use super::metrics::Metrics;
use super::origin::Pages;
use super::place::Places;
use super::proxy::{Behind, Proxy, TOO_LARGE, own_answer};
use super::record::{Book, Judged, Log, Record};
use super::remedy::remedy;
use super::route::Route;
use super::session::Sessions;
use super::sight::{self, Fault};

/// Judges requests and passes them on; see [the module](super). Cloning is cheap.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    layer: VerifyLayer,
    judged: VerifyService<Behind>,
    proxy: Arc<Proxy>,
    book: Arc<Book>,
    handle: Handle,
}

const NOTHING: Fault = Fault {
    status: StatusCode::NOT_FOUND,
    reason: "not_found",
    words: "there is nothing at this path",
};
const NOT_OURS: Fault = Fault {
    status: StatusCode::MISDIRECTED_REQUEST,
    reason: "target_mismatch",
    words: "the request is for another host",
};

impl Gateway {
    /// A gateway that judges by `verifier` and reaches its upstream by `tls`.
    ///
    /// # Errors
    /// [`LayerError`] for a verifier that a server may not rely on, or a realm that no header holds.
    pub fn new(
        mut config: Config,
        verifier: Verifier,
        tls: ClientConfig,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        log: Arc<dyn Log>,
    ) -> Result<Self, LayerError> {
        config.paths = config.paths.before(config.upstream.path());
        let public = verifier.origins().clone();
        let scheme = public.iter().next().map_or("https", |origin| origin.scheme().as_str());
        let sessions = Arc::new(Sessions::new(config.sessions, config.session_idle));
        let admitted = Arc::clone(&sessions);
        let layer = VerifyLayer::new(verifier)?
            .with_modes(config.policies.clone())
            .with_refusals(config.refuse_with.clone())?
            .with_budget(Arc::new(Budget::new(config.budget)))
            .with_observer(Judged)
            .with_admission(move |head, key| {
                // That it stands on one line only was judged at step 1.
                head.values("mcp-session-id")
                    .try_for_each(|id| admitted.check(id, key))
                    .map_err(str::to_owned)
            })
            .with_answers(|refused, mut response| {
                if let RefusalReason::BodyBroken(error) = refused.reason()
                    && error.is::<TooSlow>()
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
        let handle = layer.handle();
        let via = config.upstream.unix.clone().map_or(Via::Direct, Via::Unix);
        let dialer = Dialer::new(tls, via, config.connect_time);
        let pages = Arc::new(Pages::new(public, config.allow_origins.clone()));
        let book = Arc::new(Book::new(clock, Arc::clone(&metrics), log));
        let (places, config) = (Places::new(config.exchanges), Arc::new(config));
        let proxy = Proxy { config, dialer, sessions, metrics, pages, places, scheme };
        Ok(Gateway::before(proxy, layer, book, handle))
    }

    fn before(proxy: Proxy, layer: VerifyLayer, book: Arc<Book>, handle: Handle) -> Self {
        let proxy = Arc::new(proxy);
        let judged = layer.layer(Behind(Arc::clone(&proxy)));
        Gateway { shared: Arc::new(Shared { layer, judged, proxy, book, handle }) }
    }

    /// The same gateway, for another runtime: it shares everything but the connections to the
    /// upstream, which belong to the runtime that they were made on.
    #[must_use]
    pub fn apart(&self) -> Self {
        let Shared { layer, proxy, book, handle, .. } = &*self.shared;
        Gateway::before(proxy.apart(), layer.clone(), Arc::clone(book), handle.clone())
    }

    /// Reaches the upstream by `tls` from now on, in all that are [apart](Gateway::apart) too.
    pub fn trust(&self, tls: ClientConfig) {
        self.shared.proxy.dialer.trust(tls);
    }

    /// Answers a head that the server refused before it was parsed, and writes its line into the
    /// log: for [`Server::with_refused_heads`](crate::net::Server::with_refused_heads).
    pub fn refuse_head(&self, head: &RefusedHead, peer: Peer) -> Response<Bytes> {
        let record = self.shared.book.open_refused(head, peer);
        let fault = Fault::from(head.fault());
        note_refusal(&record, fault);
        let answer: Response<Bytes> = own_answer(fault, None);
        record.note(|line| line.received = answer.body().len() as u64);
        answer
    }

    /// Replaces the verifier while the gateway runs.
    pub fn handle(&self) -> Handle {
        self.shared.handle.clone()
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
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { Ok(shared.answer(request).await) })
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<GatewayBody> {
        let is_old = request.version() <= Version::HTTP_10;
        let mut response = self.answer_any(request).await;
        if is_old {
            // The library then closes the connection, also of a client that would keep it.
            *response.version_mut() = Version::HTTP_10;
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }

    async fn answer_any(&self, request: Request<Incoming>) -> Response<GatewayBody> {
        let (mut parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>().copied();
        let client = Client::of(&self.proxy.config.trusted_proxies, peer, &parts.headers);
        parts.extensions.insert(client);
        let record = self.book.open(&parts, peer, client);
        parts.extensions.insert(Arc::clone(&record));
        let proxy = &self.proxy;

        let asked = match sight::check(&parts).and_then(|()| proxy.pages.check(&parts.headers)) {
            Ok(asked) => asked,
            Err(fault) => return self.refuse(fault, None, record),
        };
        let route = proxy.config.paths.route(parts.method.as_str(), parts.uri.path());
        if route == Route::Nothing {
            return self.refuse(NOTHING, asked, record);
        }
        if (route == Route::Open || parts.method == Method::OPTIONS)
            && proxy.pages.public_origin(&parts).is_none()
        {
            self.note_host(&record, parts.headers.get(header::HOST));
            return self.refuse(NOT_OURS, asked, record);
        }
        if let Some(response) = proxy.pages.preflight::<Answer>(&parts, &asked) {
            record.note(|line| line.outcome = Outcome::Open);
            record.answered(response.status().as_u16());
            return response.map(|body| GatewayBody::own(body, Some(record)));
        }

        let body = Paced::new(body, proxy.config.body_time, Arc::clone(&record));
        let mut response = if route == Route::Endpoint {
            let host = parts.headers.get(header::HOST).cloned();
            let request = Request::from_parts(parts, body);
            let answering = tower_service::Service::call(&mut self.judged.clone(), request);
            let response = match answering.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if response.status() == StatusCode::MISDIRECTED_REQUEST
                && response.extensions().get::<RefusedRequest>().is_some()
            {
                self.note_host(&record, host.as_ref());
            }
            response.map(|body| GatewayBody::judged(body, Arc::clone(&record)))
        } else {
            let limit = self.handle.verifier().max_body();
            if u64::try_from(limit).is_ok_and(|limit| body.size_hint().lower() > limit) {
                return self.refuse(TOO_LARGE, asked, record);
            }
            let request = Request::from_parts(parts, Limited::new(body, limit));
            let response = proxy.exchange(request, None, Outcome::Open).await;
            response.map(|body| GatewayBody::own(body, Some(Arc::clone(&record))))
        };
        proxy.pages.tell(&asked, response.headers_mut());
        record.answered(response.status().as_u16());
        proxy.metrics.sessions(proxy.sessions.len());
        response
    }

    fn refuse(
        &self,
        fault: Fault,
        asked: super::origin::Asked,
        record: Arc<Record>,
    ) -> Response<GatewayBody> {
        let mut response = own_answer(fault, None);
        self.proxy.pages.tell(&asked, response.headers_mut());
        note_refusal(&record, fault);
        response.map(|body| GatewayBody::own(body, Some(record)))
    }

    /// Notes which host came, and which ones are ours.
    fn note_host(&self, record: &Record, host: Option<&HeaderValue>) {
        let given = host.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        // Room for ours beside whatever came.
        let given: String = given.unwrap_or_default().chars().take(LONGEST / 2).collect();
        let verifier = self.handle.verifier();
        let ours: Vec<String> = verifier.origins().iter().map(ToString::to_string).collect();
        let note = Short::new(&format!("host {given:?}, ours: {}", ours.join(" ")));
        record.note(|line| line.note = Some(note));
    }
}

/// Closes the line of a request that was refused without a verdict.
fn note_refusal(record: &Record, fault: Fault) {
    record.note(|line| {
        line.outcome = Outcome::Refused;
        line.note.get_or_insert(Short::word(fault.reason));
        line.hint = remedy(fault.reason).map(Short::word);
    });
    record.answered(fault.status.as_u16());
}
