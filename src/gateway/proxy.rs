//! The exchange with the upstream.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, LengthLimitError};
use tower_service::Service;

use crate::key::KeyId;
use crate::message::target::Origin;
use crate::net::Dialer;
use crate::tower::{BoxError, Status};

use super::body::{Answer, TooSlow};
use super::client_address::Client;
use super::config::Config;
use super::forward;
use super::learn::Listening;
use super::location::{self, Locations};
use super::log::{Outcome, Short};
use super::metrics::Metrics;
use super::origin::Pages;
use super::place::Places;
use super::record::Record;
use super::session::{Bound, Sessions};
use super::sight::Fault;

const SESSION: &str = "mcp-session-id";

/// What is shared by all requests; the dialer by those of one thread.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) config: Arc<Config>,
    pub(super) dialer: Dialer<UnsyncBoxBody<Bytes, BoxError>>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) pages: Arc<Pages>,
    pub(super) places: Places,
    /// Of the public origin.
    pub(super) scheme: &'static str,
}

/// The service behind the layer: what gets here goes to the upstream's endpoint.
#[derive(Clone)]
pub(super) struct Behind(pub(super) Arc<Proxy>);

impl<B> Service<Request<B>> for Behind
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let proxy = Arc::clone(&self.0);
        Box::pin(async move {
            let path = proxy.config.upstream.path.clone();
            Ok(proxy.exchange(request, Some(&path), Outcome::Passed).await)
        })
    }
}

const GATEWAY_TIMEOUT: Fault = Fault {
    status: StatusCode::GATEWAY_TIMEOUT,
    reason: "upstream_timeout",
    words: "the server behind did not answer in time",
};
const UNREACHABLE: Fault = Fault {
    status: StatusCode::BAD_GATEWAY,
    reason: "upstream_unreachable",
    words: "the server behind cannot be reached",
};
const BROKEN: Fault = Fault {
    status: StatusCode::BAD_GATEWAY,
    reason: "upstream_broken",
    words: "the server behind did not answer with HTTP that can be passed on",
};
const TARGET: Fault = Fault {
    status: StatusCode::BAD_REQUEST,
    reason: "target",
    words: "the target cannot be passed on",
};
const SESSION_TAKEN: Fault = Fault {
    status: StatusCode::FORBIDDEN,
    reason: "not_allowed",
    words: "the session belongs to another key",
};
const BUSY: Fault = Fault {
    status: StatusCode::SERVICE_UNAVAILABLE,
    reason: "unavailable",
    words: "too many requests are with the server behind, try again later",
};
pub(super) const TOO_LARGE: Fault = Fault {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    reason: "too_large",
    words: "the request is too large",
};
const TOO_SLOW: Fault = Fault {
    status: StatusCode::REQUEST_TIMEOUT,
    reason: "body_broken",
    words: "the body of the request broke off",
};
const SESSIONS_FULL: Fault = Fault {
    status: StatusCode::SERVICE_UNAVAILABLE,
    reason: "unavailable",
    words: "too many sessions are open, try again later",
};

impl Proxy {
    /// The same with connections of its own.
    pub(super) fn apart(&self) -> Self {
        Proxy { dialer: self.dialer.apart(), ..self.clone() }
    }

    /// Sends a request on, to `path` or to its own, and passes on what comes back.
    pub(super) async fn exchange<B>(
        &self,
        request: Request<B>,
        path: Option<&str>,
        outcome: Outcome,
    ) -> Response<Answer>
    where
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let (parts, body) = request.into_parts();
        let status = parts.extensions.get::<Status>();
        let record = parts.extensions.get::<Arc<Record>>();
        let fail = |fault: Fault, note: Option<String>| {
            if let Some(record) = record {
                record.note(|line| {
                    let note = note.map(|note| Short::new(&note));
                    line.note = Some(note.unwrap_or(Short::word(fault.reason)));
                    line.outcome = Outcome::Failed;
                });
            }
            own_answer(fault, record.and_then(|record| record.id()).as_deref())
        };

        let Some(place) = self.places.take(outcome == Outcome::Open) else {
            return fail(BUSY, None);
        };
        let sender = parts.extensions.get::<Client>().and_then(|client| client.address);
        let config = &self.config;
        let Some(uri) = self.uri(path.unwrap_or(parts.uri.path()), parts.uri.query()) else {
            return fail(TARGET, None);
        };
        let mut fields = forward::request_fields(
            &parts,
            sender,
            self.scheme,
            &config.upstream,
            config.preserve_host,
        );
        if let Some(status) = status {
            forward::add_status(&mut fields, status);
        }
        let lists = record.is_some_and(|record| does(record, "tools/list"));
        if lists && config.policies.asks_for_tools() {
            // A compressed list could not be read.
            fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
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
                return fail(fault, Some(crate::verify::rejection::chain(&error)));
            }
            Err(_) => return fail(GATEWAY_TIMEOUT, None),
        };
        let code = response.status();
        if code == StatusCode::SWITCHING_PROTOCOLS {
            return fail(BROKEN, Some("the upstream changed the protocol".to_owned()));
        }
        let (mut head, body) = response.into_parts();
        if head.headers.get_all(SESSION).iter().nth(1).is_some() {
            // Which of them a client takes is anyone's guess.
            return fail(BROKEN, Some("the upstream named two sessions".to_owned()));
        }
        if let Some(record) = record {
            record.note(|line| {
                line.upstream = Some(code.as_u16());
                line.outcome = outcome;
            });
        }
        if let Some(key) = status.and_then(Status::verified).map(|verified| verified.key()) {
            let opens = record.is_some_and(|record| does(record, "initialize"));
            let asked = parts.headers.get(SESSION);
            let opened = head.headers.get(SESSION).filter(|_| opens && code.is_success());
            if let Err(fault) = self.keep_session(&parts.method, code, asked, opened, key, record) {
                return fail(fault, None);
            }
        }
        if let Err(why) = forward::answer_fields(&mut head.headers) {
            return fail(BROKEN, Some(why.to_owned()));
        }
        if location::has_location(&head.headers) {
            self.rewrite_locations(&parts, &mut head.headers);
        }
        self.pages.silence(&mut head.headers);
        let listening = (lists && code == StatusCode::OK)
            .then(|| Listening::to(&head.headers, &config.policies, &self.metrics))
            .flatten()
            .map(Box::new);
        // The version is the connection's to say.
        let mut answer =
            Response::new(Answer::Upstream { body: Box::new(body), listening, _place: place });
        *answer.status_mut() = code;
        *answer.headers_mut() = head.headers;
        answer
    }

    /// Lets `Location` and its like name the gateway where they name the upstream.
    fn rewrite_locations(&self, parts: &Parts, fields: &mut HeaderMap) {
        let Some(public) = self.pages.public_origin(parts) else { return };
        let upstream = &self.config.upstream;
        let mut known_as = vec![upstream.origin.clone()];
        // An upstream that sees the client's host takes it, with its own scheme, for its own.
        let seen = format!("{}://{}", upstream.origin.scheme().as_str(), public.authority());
        if let (true, Ok(seen)) = (self.config.preserve_host, Origin::parse(&seen)) {
            known_as.push(seen);
        }
        let (upstream_path, endpoint) = (upstream.path(), self.config.paths.endpoint());
        Locations { upstream: &known_as, upstream_path, public: &public, endpoint }.rewrite(fields);
    }

    fn uri(&self, path: &str, query: Option<&str>) -> Option<Uri> {
        let origin = &self.config.upstream.origin;
        let target = match query {
            None => PathAndQuery::try_from(path),
            Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        };
        Uri::builder()
            .scheme(origin.scheme().as_str())
            .authority(origin.authority())
            .path_and_query(target.ok()?)
            .build()
            .ok()
    }

    /// Binds the session that the upstream has opened or accepted to `key`.
    fn keep_session(
        &self,
        method: &Method,
        code: StatusCode,
        asked: Option<&HeaderValue>,
        opened: Option<&HeaderValue>,
        key: &KeyId,
        record: Option<&Arc<Record>>,
    ) -> Result<(), Fault> {
        let say = |words: &'static str| {
            if let Some(record) = record {
                record.note(|line| line.note = Some(Short::word(words)));
            }
        };
        let id = match (opened, asked) {
            (Some(opened), _) => opened.as_bytes(),
            (None, Some(asked)) => {
                let ended = code == StatusCode::NOT_FOUND
                    || (code.is_success() && *method == Method::DELETE);
                if ended {
                    self.sessions.end(asked.as_bytes().trim_ascii(), key);
                }
                if ended || !code.is_success() {
                    return Ok(());
                }
                asked.as_bytes()
            }
            (None, None) => return Ok(()),
        };
        // As it was judged, and as the upstream reads it: HTTP/2 lets spaces through.
        match self.sessions.bind(id.trim_ascii(), key) {
            Bound::Known => Ok(()),
            Bound::New if opened.is_some() => Ok(()),
            Bound::New => {
                say("a session that was opened before is bound to the first key that uses it");
                Ok(())
            }
            Bound::Taken => Err(SESSION_TAKEN),
            Bound::Full => Err(SESSIONS_FULL),
        }
    }
}

/// What was wrong with the request's own body, where that is why it could not be sent on.
fn body_fault(error: &(dyn std::error::Error + 'static)) -> Option<Fault> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return Some(TOO_LARGE);
        }
        if error.is::<TooSlow>() {
            return Some(TOO_SLOW);
        }
        cause = error.source();
    }
    None
}

fn does(record: &Record, method: &str) -> bool {
    record.read(|line| line.mcp.as_ref().is_some_and(|does| does.method.as_str() == method))
}

/// The JSON-RPC code for an answer that the server behind owes (JSON-RPC 2.0 section 5.1).
const INTERNAL_ERROR: i32 = -32603;

/// An answer of the gateway's own, in the words of a JSON-RPC error. `id` is JSON.
pub(super) fn own_answer<B: From<String>>(fault: Fault, id: Option<&str>) -> Response<B> {
    let code = match fault.status {
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => INTERNAL_ERROR,
        _ => crate::tower::REFUSED,
    };
    let id = id.map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
    let (words, reason) = (fault.words, fault.reason);
    let text = format!(
        r#"{{"jsonrpc":"2.0",{id}"error":{{"code":{code},"message":"{words}","data":{{"reason":"{reason}"}}}}}}"#
    );
    let mut response = Response::new(B::from(text));
    *response.status_mut() = fault.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if fault.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
    }
    // Only what the server behind has not seen may be sent again unasked: anything else, a client
    // that tries again could do twice.
    if fault == BUSY || fault == UNREACHABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
