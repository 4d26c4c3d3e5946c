//! Sends requests to the upstream, and passes its answers to the client.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, LengthLimitError};

use crate::message::target::Origin;
use crate::net::Dialer;
use crate::tower::{BoxError, EchoedId, INTERNAL_ERROR, REFUSED, Status, error_response};

use super::allowed_origins::AllowedOrigins;
use super::body::{AnswerBody, BodyTooSlow};
use super::client_address::ClientAddress;
use super::config::{GatewayConfig, Upstream};
use super::forward;
use super::framing::GatewayError;
use super::location::{self, Locations};
use super::log::{LogText, LoggedOutcome};
use super::record::RequestRecord;
use super::upstream_permits::UpstreamPermits;

/// The data that all requests to the upstream share. Only the connection pool is separate for each
/// thread.
#[derive(Clone)]
pub(super) struct UpstreamProxy {
    pub(super) config: Arc<GatewayConfig>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) dialer: Dialer<UnsyncBoxBody<Bytes, BoxError>>,
    pub(super) allowed_origins: Arc<AllowedOrigins>,
    pub(super) permits: UpstreamPermits,
    /// `None` if `http::Uri` cannot hold the URL of the upstream.
    pub(super) target: Option<Arc<UpstreamTarget>>,
}

/// The parsed URL of the upstream.
pub(super) struct UpstreamTarget {
    scheme: http::uri::Scheme,
    authority: Authority,
    endpoint: PathAndQuery,
    /// The value of `Host`.
    host: HeaderValue,
}

impl UpstreamTarget {
    /// Parses the URL. This happens once, and not for every request.
    pub(super) fn new(upstream: &Upstream) -> Option<Self> {
        let authority = upstream.origin.authority();
        Some(UpstreamTarget {
            scheme: upstream.origin.scheme().as_str().parse().ok()?,
            authority: authority.parse().ok()?,
            endpoint: upstream.path().parse().ok()?,
            host: authority.parse().ok()?,
        })
    }

    /// Returns the URL of the upstream's server without the endpoint's path, for connecting.
    pub(super) fn server(&self) -> Option<Uri> {
        self.uri(Some("/"), None, None)
    }

    /// Returns the URI of a request to `path`, or to the endpoint. `host` replaces the host of the
    /// upstream.
    fn uri(
        &self,
        path: Option<&str>,
        query: Option<&str>,
        host: Option<&HeaderValue>,
    ) -> Option<Uri> {
        let path_and_query = match (path, query) {
            (None, None) => self.endpoint.clone(),
            (Some(path), None) => PathAndQuery::try_from(path).ok()?,
            (path, Some(query)) => {
                let path = path.unwrap_or(self.endpoint.path());
                PathAndQuery::try_from([path, "?", query].concat()).ok()?
            }
        };
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(match host {
            Some(host) => Authority::try_from(host.as_bytes()).ok()?,
            None => self.authority.clone(),
        });
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).ok()
    }
}

const GATEWAY_TIMEOUT: GatewayError = GatewayError {
    status: StatusCode::GATEWAY_TIMEOUT,
    reason: "upstream_timeout",
    message: "the server behind did not answer in time",
};
const UNREACHABLE: GatewayError = GatewayError {
    status: StatusCode::BAD_GATEWAY,
    reason: "upstream_unreachable",
    message: "the server behind cannot be reached",
};
const BROKEN: GatewayError = GatewayError {
    status: StatusCode::BAD_GATEWAY,
    reason: "upstream_broken",
    message: "the server behind did not answer with HTTP that can be passed on",
};
const TARGET: GatewayError = GatewayError {
    status: StatusCode::BAD_REQUEST,
    reason: "target",
    message: "the target cannot be passed on",
};
const BUSY: GatewayError = GatewayError {
    status: StatusCode::SERVICE_UNAVAILABLE,
    reason: "unavailable",
    message: "too many requests are with the server behind, try again later",
};
pub(super) const TOO_LARGE: GatewayError = GatewayError {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    reason: "too_large",
    message: "the request is too large",
};
const TOO_SLOW: GatewayError = GatewayError {
    status: StatusCode::REQUEST_TIMEOUT,
    reason: "body_broken",
    message: "the body of the request broke off",
};

impl UpstreamProxy {
    /// Returns a proxy with the same settings and a separate connection pool.
    pub(super) fn with_own_pool(&self) -> Self {
        UpstreamProxy { dialer: self.dialer.with_own_pool(), ..self.clone() }
    }

    /// Returns the URI and the fields of the request to the upstream for the client's request
    /// `parts`, which came from the address `sender`. The path is that of the endpoint, if `path`
    /// does not name another. Returns `None` if `http::Uri` cannot hold the URI.
    pub(super) fn onward_head(
        &self,
        parts: &Parts,
        sender: Option<IpAddr>,
        path: Option<&str>,
    ) -> Option<(Uri, HeaderMap)> {
        let target = self.target.as_deref()?;
        let own_host = (!self.config.preserve_host).then_some(&target.host);
        let scheme = self.allowed_origins.scheme(parts);
        let fields = forward::request_fields(parts, sender, scheme, own_host);
        // HTTP/2 names the host in the URI (`:authority`), and servers refuse a request that also
        // has another `Host` (RFC 9113 section 8.3.1). If the client's `Host` is kept, it is
        // therefore also the host in the URI.
        let kept_host = fields.get(header::HOST).filter(|_| own_host.is_none());
        let uri = target.uri(path, parts.uri.query(), kept_host)?;
        Some((uri, fields))
    }

    /// Sends a request to the upstream, and returns its answer. A request to an open path, which
    /// needs no signature ([`LoggedOutcome::Open`]), keeps its path; every other request goes to
    /// the endpoint.
    pub(super) async fn exchange<B>(
        &self,
        request: Request<B>,
        outcome: LoggedOutcome,
    ) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let status = parts.extensions.get::<Status>();
        let record = parts.extensions.get::<Arc<RequestRecord>>();
        let fail = |fault: GatewayError, note: Option<String>| {
            if let Some(record) = record {
                record.note(|line| {
                    let note = note.map(|note| LogText::new(&note));
                    line.note = Some(note.unwrap_or(LogText::word(fault.reason)));
                    line.outcome = LoggedOutcome::Failed;
                });
            }
            let id = record.and_then(|record| record.id());
            own_answer(fault, id.as_ref()).map(AnswerBody::from)
        };

        let is_open = outcome == LoggedOutcome::Open;
        let Some(permit) = self.permits.take(is_open) else {
            return fail(BUSY, None);
        };
        let sender = parts.extensions.get::<ClientAddress>().and_then(|client| client.address);
        let config = &self.config;
        let path = is_open.then(|| parts.uri.path());
        let Some((uri, mut fields)) = self.onward_head(&parts, sender, path) else {
            return fail(TARGET, None);
        };
        let trace = record.and_then(|record| record.trace());
        forward::set_trace(&mut fields, trace.as_ref().map(|(text, head)| (text.as_str(), *head)));
        if let Some(status) = status {
            forward::add_status(&mut fields, status);
        }
        let mut onward = Request::new(body.boxed_unsync());
        *onward.method_mut() = parts.method.clone();
        *onward.uri_mut() = uri;
        *onward.headers_mut() = fields;

        let sent = tokio::time::timeout(config.answer_time, self.dialer.send(onward)).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let fault = body_fault(&error).unwrap_or(match error.is_connect() {
                    true => UNREACHABLE,
                    false => BROKEN,
                });
                return fail(fault, Some(crate::message::error_chain::chain(&error)));
            }
            Err(_) => return fail(GATEWAY_TIMEOUT, None),
        };
        let code = response.status();
        if code == StatusCode::SWITCHING_PROTOCOLS {
            return fail(BROKEN, Some("the upstream changed the protocol".to_owned()));
        }
        let (mut head, body) = response.into_parts();
        if head.headers.get_all("mcp-session-id").iter().nth(1).is_some() {
            // Some clients use the first of several session ids and some the last. So an answer
            // with two ids is refused.
            return fail(BROKEN, Some("the upstream named two sessions".to_owned()));
        }
        if let Some(record) = record {
            record.note(|line| {
                line.upstream = Some(code.as_u16());
                line.outcome = outcome;
            });
        }
        if let Err(why) = forward::answer_fields(&mut head.headers) {
            return fail(BROKEN, Some(why.to_owned()));
        }
        if location::has_location(&head.headers) {
            self.rewrite_locations(&parts, &mut head.headers);
        }
        self.allowed_origins.drop_upstream_cors(&mut head.headers);
        // The HTTP version of the answer depends on the connection to the client.
        let body = AnswerBody::Upstream { body: Box::new(body), _permit: permit };
        let mut answer = Response::new(body);
        *answer.status_mut() = code;
        *answer.headers_mut() = head.headers;
        answer
    }

    /// Replaces URLs of the upstream in `Location` and `Content-Location` by those of the gateway.
    fn rewrite_locations(&self, parts: &Parts, fields: &mut HeaderMap) {
        let Some(public) = self.allowed_origins.public_origin(parts) else { return };
        let upstream = &self.upstream;
        let mut known_as = vec![upstream.origin.clone()];
        // If the upstream receives the client's `Host`, its URLs contain that host, with the
        // upstream's own scheme.
        let seen = format!("{}://{}", upstream.origin.scheme().as_str(), public.authority());
        if let (true, Ok(seen)) = (self.config.preserve_host, Origin::parse(&seen)) {
            known_as.push(seen);
        }
        let (upstream_path, endpoint) = (upstream.path(), self.config.paths.endpoint());
        Locations { upstream: &known_as, upstream_path, public: &public, endpoint }.rewrite(fields);
    }
}

/// Returns the error to send to the client if the client's body is the cause of `error`.
fn body_fault(error: &(dyn std::error::Error + 'static)) -> Option<GatewayError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return Some(TOO_LARGE);
        }
        if error.is::<BodyTooSlow>() {
            return Some(TOO_SLOW);
        }
        cause = error.source();
    }
    None
}

/// Returns an answer that the gateway itself makes: a JSON-RPC error.
pub(super) fn own_answer(fault: GatewayError, id: Option<&EchoedId>) -> Response<Bytes> {
    let code = match fault.status {
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => INTERNAL_ERROR,
        _ => REFUSED,
    };
    let id = id.map(EchoedId::as_str);
    let mut response = error_response(fault.status, code, fault.message, fault.reason, id);
    let headers = response.headers_mut();
    if fault.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
    }
    // `Retry-After` is sent only if the request did not reach the upstream. Any other request may
    // have been executed, and repeating it could execute its call twice.
    if fault == BUSY || fault == UNREACHABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
