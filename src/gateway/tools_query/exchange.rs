//! Sends one request of the gateway's query for tools to the upstream, and reads the answer within
//! limits on size and time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_core::Stream as _;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use rand::rngs::SysRng;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sse_stream::SseStream;

use crate::clock::Clock;
use crate::mcp::media;
use crate::message::target::Origins;
use crate::message::{Head, RequestTarget};
use crate::sign::{Nonce, Signer};
use crate::tower::BoxError;

use super::super::proxy::UpstreamProxy;
use super::ToolsQueryError;

const SESSION_ID: &str = "mcp-session-id";
/// The maximum size of one answer, in bytes.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;
/// The maximum length of a session id, in bytes.
const LONGEST_SESSION: usize = 4096;
/// The maximum number of sessions that are closed after one query.
const MOST_SESSIONS: usize = 16;

/// Sends the requests of the gateway's query for tools to the upstream.
pub(super) struct ToolsExchange {
    proxy: UpstreamProxy,
    /// The host name under which clients know the gateway.
    public: HeaderValue,
    clock: Arc<dyn Clock>,
    pub(super) signer: Option<Arc<Signer>>,
    asked: AtomicU64,
}

/// The answer to one request of the query.
pub(super) struct ToolsAnswer {
    /// The JSON-RPC response, which has a result.
    pub(super) text: String,
    /// The session id in the answer.
    pub(super) session: Option<HeaderValue>,
}

/// The sessions that the upstream opened during one query. Some servers open a session for each
/// request without a session id, even if they refuse the request.
#[derive(Default)]
pub(super) struct OpenedSessions {
    /// The ids of sessions that the answers named, each once.
    pub(super) ids: Vec<HeaderValue>,
    /// The revision that the upstream chose, if it did.
    pub(super) version: Option<HeaderValue>,
}

impl OpenedSessions {
    /// Adds each session id in an answer.
    fn note(&mut self, headers: &HeaderMap) {
        for id in headers.get_all(SESSION_ID).iter().filter(|id| is_session(id)) {
            if self.ids.len() < MOST_SESSIONS && !self.ids.contains(id) {
                self.ids.push(id.clone());
            }
        }
    }
}

#[derive(Deserialize)]
struct AnswerEnvelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    result: Option<Value>,
    error: Option<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerError {
    #[serde(default)]
    code: i64,
}

impl ToolsAnswer {
    /// Returns a member of the JSON-RPC result.
    pub(super) fn member(&self, name: &str) -> Option<Value> {
        let envelope: AnswerEnvelope<'_> = serde_json::from_str(&self.text).ok()?;
        envelope.result?.get_mut(name).map(Value::take)
    }
}

impl ToolsExchange {
    pub(super) fn new(proxy: UpstreamProxy, public: HeaderValue, clock: Arc<dyn Clock>) -> Self {
        ToolsExchange { proxy, public, clock, signer: None, asked: AtomicU64::new(0) }
    }

    /// Sends a JSON-RPC request, and returns its successful answer.
    pub(super) async fn ask(
        &self,
        method: &str,
        params: &Value,
        fields: &HeaderMap,
        opened: &mut OpenedSessions,
    ) -> Result<ToolsAnswer, ToolsQueryError> {
        let id = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let response = self.send(Method::POST, fields, body.to_string(), opened).await?;
        let session = session_of(response.headers())?;
        let text = answer_to(id, response).await?;
        Ok(ToolsAnswer { text, session })
    }

    /// Sends a JSON-RPC notification.
    pub(super) async fn notify(
        &self,
        method: &str,
        fields: &HeaderMap,
        opened: &mut OpenedSessions,
    ) -> Result<(), ToolsQueryError> {
        let body = json!({ "jsonrpc": "2.0", "method": method });
        self.send(Method::POST, fields, body.to_string(), opened).await.map(drop)
    }

    /// Closes the session that `fields` name. If that fails, the session expires at the upstream.
    pub(super) async fn close(&self, fields: &HeaderMap) {
        let mut ended = OpenedSessions::default();
        let _ = self.send(Method::DELETE, fields, String::new(), &mut ended).await;
    }

    /// Sends a request, and returns the answer if its status is a success.
    async fn send(
        &self,
        method: Method,
        fields: &HeaderMap,
        body: String,
        opened: &mut OpenedSessions,
    ) -> Result<Response<Incoming>, ToolsQueryError> {
        let proxy = &self.proxy;
        let mut request = Request::new(());
        *request.headers_mut() = fields.clone();
        let own = request.headers_mut();
        own.insert(header::HOST, self.public.clone());
        if method == Method::POST {
            own.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let media = HeaderValue::from_static("application/json, text/event-stream");
        own.insert(header::ACCEPT, media);
        own.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let agent = HeaderValue::from_static(concat!("mcpid/", env!("CARGO_PKG_VERSION")));
        own.insert(header::USER_AGENT, agent);
        let (parts, ()) = request.into_parts();
        let (uri, mut fields) = proxy
            .onward_head(&parts, None, None)
            .ok_or(ToolsQueryError::Answer("its URL cannot be used"))?;
        match &self.signer {
            Some(signer) => self.sign(signer, &method, &mut fields, &body).await?,
            // The upstream reads the result of the verification in these fields. The gateway's
            // query has no signature, so it is marked as unsigned.
            None => {
                fields.insert("mcpid-status", HeaderValue::from_static("unsigned"));
                fields.insert("mcpid-reason", HeaderValue::from_static("signature_missing"));
            }
        }
        let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = fields;
        let response = proxy.dialer.send(request).await;
        let response = response.map_err(|error| ToolsQueryError::Unreachable(error.into()))?;
        opened.note(response.headers());
        match response.status() {
            status if status.is_success() && status != StatusCode::PARTIAL_CONTENT => Ok(response),
            status => Err(ToolsQueryError::Status(status.as_u16())),
        }
    }

    /// Signs the request as the upstream gets it. This may wait for a person, if the key is in an
    /// ssh-agent that asks for consent.
    async fn sign(
        &self,
        signer: &Arc<Signer>,
        method: &Method,
        fields: &mut HeaderMap,
        body: &str,
    ) -> Result<(), ToolsQueryError> {
        let failed = ToolsQueryError::NotSigned;
        let upstream = &self.proxy.upstream;
        let host = fields.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let url = match self.proxy.config.preserve_host {
            true => format!("{}://{host}{}", upstream.origin.scheme().as_str(), upstream.path()),
            false => format!("{}{}", upstream.origin, upstream.path()),
        };
        let (signer, now, body) = (Arc::clone(signer), self.clock.now(), body.to_owned());
        let (method, sent) = (method.clone(), fields.clone());
        let signing = tokio::task::spawn_blocking(move || -> Result<_, BoxError> {
            let mut head = Head::new(method.as_str(), RequestTarget::from_url(&url)?)?;
            for (name, value) in &sent {
                head.push(name.as_str(), value.as_bytes())?;
            }
            let nonce = Nonce::generate(&mut SysRng)?;
            let signed = signer.sign(&head, &Origins::unknown(), body.as_bytes(), now, &nonce)?;
            let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            Ok(signed.headers().map(owned).collect::<Vec<_>>())
        });
        for (name, value) in signing.await.map_err(|e| failed(e.into()))?.map_err(failed)? {
            let name = header::HeaderName::try_from(name).map_err(|e| failed(e.into()))?;
            fields.insert(name, HeaderValue::try_from(value).map_err(|e| failed(e.into()))?);
        }
        Ok(())
    }
}

/// Returns the session id in an answer.
fn session_of(headers: &HeaderMap) -> Result<Option<HeaderValue>, ToolsQueryError> {
    let mut ids = headers.get_all(SESSION_ID).iter();
    match (ids.next(), ids.next()) {
        (None, _) => Ok(None),
        (Some(id), None) if is_session(id) => Ok(Some(id.clone())),
        _ => Err(ToolsQueryError::Answer("its session id cannot be used")),
    }
}

/// Returns true if `id` has the form of a session id (MCP 2025-11-25, transports).
fn is_session(id: &HeaderValue) -> bool {
    (1..=LONGEST_SESSION).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Reads the response to the request `id`, from JSON or from the events of a stream.
async fn answer_to(id: u64, response: Response<Incoming>) -> Result<String, ToolsQueryError> {
    let answer = ToolsQueryError::Answer;
    let headers = response.headers();
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(answer("it is compressed"));
    }
    let media = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_event_stream = media::is(media, "text/event-stream");
    if !is_event_stream && !media::is(media, "application/json") {
        return Err(answer("it is neither JSON nor an event stream"));
    }
    let body = Limited::new(response.into_body(), LONGEST_ANSWER);
    let broken = || answer("it broke off, or is over 4 MiB long");
    if !is_event_stream {
        let bytes = body.collect().await.map_err(|_| broken())?.to_bytes();
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| answer("it is not UTF-8"))?;
        return match is_answer_to(id, &text)? {
            true => Ok(text),
            false => Err(answer("it answers another question")),
        };
    }
    let mut events = SseStream::new(body.map_err(stream_error));
    loop {
        let next = std::future::poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await;
        let event = next.ok_or_else(broken)?.map_err(|_| broken())?;
        // Events without data contain no message.
        let Some(data) = event.data else { continue };
        match is_answer_to(id, &data) {
            Ok(true) => return Ok(data),
            Err(error @ ToolsQueryError::Error(_)) => return Err(error),
            _ => {}
        }
    }
}

/// Converts an error for the event parser, which accepts only `io::Error`.
fn stream_error(error: BoxError) -> io::Error {
    io::Error::other(error)
}

/// Returns true if `text` is the successful response to the request `id`.
///
/// # Errors
/// [`ToolsQueryError::Error`] if it is an error response to that request, or one without an id.
/// [`ToolsQueryError::Answer`] if it is no JSON-RPC message.
fn is_answer_to(id: u64, text: &str) -> Result<bool, ToolsQueryError> {
    let unreadable = |_| ToolsQueryError::Answer("it is no JSON-RPC response");
    let envelope: AnswerEnvelope<'_> = serde_json::from_str(text).map_err(unreadable)?;
    let ours = envelope.id.map(|given| given.get() == id.to_string());
    match envelope.error {
        Some(error) if ours != Some(false) => Err(ToolsQueryError::Error(error.code)),
        _ => Ok(envelope.result.is_some() && ours == Some(true)),
    }
}
