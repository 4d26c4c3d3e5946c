//! The gateway as a service: sight, origin, route, verdict, upstream.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::service::Service;
use rustls::ClientConfig;
use tower_layer::Layer as _;

use crate::clock::Clock;
use crate::message::target::Origins;
use crate::message::{Head, RequestTarget};
use crate::net::{Dialer, Peer};
use crate::tower::{Budget, Handle, LayerError, Reason, VerifyLayer, VerifyService};
use crate::verify::Verifier;

use super::body::{Answer, GatewayBody, Paced, TooSlow};
use super::config::Config;
use super::log::{Outcome, Short};
use super::metrics::Metrics;
use super::origin::Pages;
use super::place::Places;
use super::proxy::{Behind, Proxy, TOO_LARGE, own_answer};
use super::record::{Book, Judged, Log, Record};
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
                if let Reason::BodyBroken(error) = refused.reason()
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
        let dialer = Dialer::new(tls, config.upstream.unix.clone(), config.connect_time);
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
        let (mut parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>().copied();
        let record = self.book.open(&parts, peer);
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
            && !is_ours(self.handle.verifier().origins(), &parts)
        {
            return self.refuse(NOT_OURS, asked, record);
        }
        if let Some(response) = proxy.pages.preflight::<Answer>(&parts, &asked) {
            record.note(|line| line.outcome = Outcome::Open);
            record.answered(response.status().as_u16());
            return response.map(|body| GatewayBody::own(body, Some(record)));
        }

        let body = Paced::new(body, proxy.config.body_time, Arc::clone(&record));
        let mut response = if route == Route::Endpoint {
            let request = Request::from_parts(parts, body);
            let answering = tower_service::Service::call(&mut self.judged.clone(), request);
            let response = match answering.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
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
        record.note(|line| {
            line.outcome = Outcome::Refused;
            line.note = Some(Short::word(fault.reason));
        });
        record.answered(fault.status.as_u16());
        response.map(|body| GatewayBody::own(body, Some(record)))
    }
}

/// Whether an unsigned request is for one of our hosts; the layer judges that of all others.
fn is_ours(origins: &Origins, parts: &http::request::Parts) -> bool {
    let host = match (parts.headers.get(header::HOST), parts.uri.authority()) {
        (Some(host), _) => host.as_bytes(),
        (None, Some(authority)) => authority.as_str().as_bytes(),
        (None, None) => return false,
    };
    let target = RequestTarget::Origin(parts.uri.path().into());
    let Ok(mut head) = Head::new(parts.method.as_str(), target) else { return false };
    head.push("host", host).is_ok() && origins.resolve(&head).is_ok()
}
