//! The bridge for clients that speak HTTP: a signing reverse proxy on loopback.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::runtime::Handle;

use crate::mcp::body::{self, Message, Reading, Scope};
use crate::mcp::media;
use crate::message::{Head, RequestTarget};
use crate::net::Server;
use crate::tower::event_stream;

use super::answer::{self, ERROR_LIMIT, KEY_UNKNOWN};
use super::answer_budget;
use super::bridge::Bridge;
use super::error::{BridgeError, NOT_SENT};
use super::json_rpc::{self, JsonRpcError};
use access::AccessDenied;
use mirror_check::{bodiless, contradicted};

mod access;
mod fields;
mod mirror_check;

pub use access::LoopbackAccess;

type LoopbackResponse = Response<Either<Incoming, Full<Bytes>>>;

impl Bridge {
    /// Serves the clients of `server` whose requests pass the check of `access`, until `stop`
    /// completes. Returns how many connections were cut at the end.
    pub async fn http(
        self,
        server: Server,
        access: LoopbackAccess,
        stop: impl Future<Output = ()>,
    ) -> usize {
        let (bridge, access) = (Arc::new(self), Arc::new(access));
        let service = move |request: Request<Incoming>| {
            let (bridge, access) = (Arc::clone(&bridge), Arc::clone(&access));
            async move { Ok::<_, Infallible>(answer(&bridge, &access, request).await) }
        };
        server.run(vec![(Handle::current(), service_fn(service))], stop).await
    }
}

async fn answer(
    bridge: &Bridge,
    access: &LoopbackAccess,
    request: Request<Incoming>,
) -> LoopbackResponse {
    let (parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let path = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    let origin = match access.check(&parts.method, path, authority, &parts.headers) {
        Ok(origin) => origin,
        Err(denied) => {
            // The log does not show the requested path: it may be the secret path with only a
            // typing mistake.
            bridge.log.note(&format!("refused a request with {}: {}", denied.status, denied.why));
            return refused(denied, None);
        }
    };
    let mut answer = match (&parts.method, origin.is_some()) {
        (&Method::OPTIONS, true) => {
            let mut answer = empty(StatusCode::NO_CONTENT);
            fields::for_preflight(answer.headers_mut(), &parts.headers);
            answer
        }
        _ => match admit(&parts, &body) {
            Ok(()) => forward(bridge, parts, body).await,
            Err(denied) => refused(denied, None),
        },
    };
    if let Some(origin) = origin {
        fields::for_page(answer.headers_mut(), &origin);
    }
    answer
}

/// Checks method, content type and `Accept`. The rules are the same for all clients.
fn admit(parts: &Parts, body: &Incoming) -> Result<(), AccessDenied> {
    let no = |status, why| Err(AccessDenied { status, why });
    let mut kinds = parts.headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = match (kinds.next(), kinds.next()) {
        (Some(kind), None) => media::is(kind.as_bytes(), "application/json"),
        _ => false,
    };
    let accepts = |wanted: &str| {
        let values = parts.headers.get_all(header::ACCEPT).iter();
        let mut kinds = values.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        kinds.any(|kind| media::is(kind.as_bytes(), wanted))
    };
    match parts.method {
        // Requests with other content types are refused, because a web page can send them to any
        // site without a preflight.
        Method::POST if !is_json => {
            no(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type is not application/json")
        }
        Method::GET if !accepts("text/event-stream") => {
            no(StatusCode::NOT_ACCEPTABLE, "GET is for text/event-stream")
        }
        Method::GET | Method::DELETE if !body.is_end_stream() => {
            no(StatusCode::BAD_REQUEST, "content where there is none")
        }
        Method::POST | Method::GET | Method::DELETE => Ok(()),
        _ => no(StatusCode::METHOD_NOT_ALLOWED, "only POST, GET and DELETE"),
    }
}

async fn forward(bridge: &Bridge, parts: Parts, body: Incoming) -> LoopbackResponse {
    let body = match read(body, bridge.max_body).await {
        Ok(body) => body,
        Err(error) => return error_response(bridge, &error, None),
    };
    // Missing `Mcp-*` fields are not added, so that the server sees what the client left out.
    let mut passed = fields::passed(&parts.headers);
    // From an answer to `tools/list`, the bridge learns which tools are destructive.
    let (mut id, mut learns) = (None, false);
    if parts.method == Method::POST {
        match message(&parts.headers, &body) {
            Ok(message) => {
                id = message.id().map(str::to_owned);
                learns = message.method() == Some("tools/list") && bridge.has_rules();
                // If a field contradicts the body, the request is not signed, because the signature
                // would confirm the field.
                let asks = bridge.has_rules();
                if let Some(why) = contradicted(&passed, &message, &body, asks) {
                    return error_response(bridge, &BridgeError::Contradicted(why), id.as_deref());
                }
            }
            Err(error) => return error_response(bridge, &error, None),
        }
    } else if let Some(why) = bodiless(&passed) {
        return error_response(bridge, &BridgeError::Contradicted(why), None);
    }
    if learns {
        // The bridge has to read this answer, so the server must not compress it.
        passed.retain(|(name, _)| name != header::ACCEPT_ENCODING);
    }
    let redirects = match bridge.agreed(&parts.method, &body, None).await {
        Ok(redirects) => redirects,
        Err(error) => return error_response(bridge, &error, id.as_deref()),
    };
    let outbound = match bridge.outbound_as_is(parts.method, passed, body) {
        Ok(outbound) => outbound,
        Err(error) => return error_response(bridge, &error, id.as_deref()),
    };
    let response = match bridge.sender.send(&outbound, redirects, &|| ()).await {
        Ok(response) => response,
        Err(error) => return error_response(bridge, &error, id.as_deref()),
    };
    let (mut head, body) = response.into_parts();
    head.headers = fields::passed(&head.headers).into_iter().collect();
    if learns && head.status.is_success() {
        if let Some(coding) = answer::coding(&head.headers) {
            return error_response(bridge, &BridgeError::Encoded { coding }, id.as_deref());
        }
        let events = head
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| media::is(kind.as_bytes(), "text/event-stream"));
        return match answer_budget::whole(
            body,
            bridge.max_answer,
            bridge.silence,
            &bridge.answer_budget,
        )
        .await
        {
            Ok((body, reservation)) => {
                let body = answer_budget::bytes(body, reservation);
                learn(bridge, &body, events);
                Response::from_parts(head, Either::Right(Full::new(body)))
            }
            Err(error) => error_response(bridge, &error, id.as_deref()),
        };
    }
    let length = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    if head.status == StatusCode::FORBIDDEN && length.is_some_and(|bytes| bytes <= ERROR_LIMIT) {
        return match answer_budget::whole(body, ERROR_LIMIT, bridge.silence, &bridge.answer_budget)
            .await
        {
            Ok((body, reservation)) => {
                hint(bridge, &body);
                let body = answer_budget::bytes(body, reservation);
                Response::from_parts(head, Either::Right(Full::new(body)))
            }
            Err(error) => error_response(bridge, &error, id.as_deref()),
        };
    }
    // The body is passed on byte for byte as it arrives. If the client closes its connection, the
    // body is dropped.
    Response::from_parts(head, Either::Left(body))
}

/// Parses the message as strictly as a verifier does.
fn message<'b>(fields: &HeaderMap, body: &'b [u8]) -> Result<Message<'b>, BridgeError> {
    let unreadable = |error: &dyn std::error::Error| BridgeError::Unreadable(error.to_string());
    let mut head =
        Head::new("POST", RequestTarget::Origin("/".into())).map_err(|e| unreadable(&e))?;
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        for value in fields.get_all(&name) {
            head.push(name.as_str().to_owned(), value.as_bytes().to_vec())
                .map_err(|e| unreadable(&e))?;
        }
    }
    match body::read(&head, body, Scope::Endpoint) {
        Ok(Reading::Message(message)) => Ok(message),
        Ok(_) => Err(BridgeError::Unreadable("not a JSON-RPC message".to_owned())),
        Err(ambiguous) => Err(BridgeError::Unreadable(ambiguous.to_string())),
    }
}

/// Logs a hint if the server does not know the key. The client gets the server's answer unchanged.
fn hint(bridge: &Bridge, body: &[u8]) {
    let text = std::str::from_utf8(body).ok();
    let fault = text.and_then(|text| JsonRpcError::read(json_rpc::read(text).ok()?.error?));
    if fault.and_then(|fault| fault.reason()).as_deref() == Some(KEY_UNKNOWN)
        && let Some(hint) = &bridge.unknown_key_hint
    {
        bridge.log.warn(&format!("the server does not know the key: {hint}"));
    }
}

/// Reads the body of a message, of at most `limit` bytes.
async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, BridgeError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BridgeError::Unreadable("it broke off".to_owned()))?;
        if let Ok(data) = frame.into_data() {
            let length = bytes.len().saturating_add(data.len());
            if length > limit {
                return Err(BridgeError::TooLong { bytes: length, limit });
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Bytes::from(bytes))
}

fn learn(bridge: &Bridge, body: &Bytes, events: bool) {
    if !events {
        return bridge.learn(&String::from_utf8_lossy(body));
    }
    for data in event_stream::data(body.clone()) {
        if json_rpc::read(&data).is_ok_and(|message| message.result.is_some()) {
            bridge.learn(&data);
        }
    }
}

fn empty(status: StatusCode) -> LoopbackResponse {
    let mut answer = Response::new(Either::Right(Full::default()));
    *answer.status_mut() = status;
    answer
}

fn refused(denied: AccessDenied, id: Option<&str>) -> LoopbackResponse {
    let fault = json_rpc::JsonRpcError {
        code: NOT_SENT,
        message: format!("not sent: {}", denied.why),
        data: None,
    };
    json(denied.status, fault.response(id))
}

fn error_response(bridge: &Bridge, error: &BridgeError, id: Option<&str>) -> LoopbackResponse {
    bridge.log.warn(&error.words());
    let status = match error {
        BridgeError::Unreadable(_) | BridgeError::Contradicted(_) => StatusCode::BAD_REQUEST,
        BridgeError::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        BridgeError::NotSigned(_) | BridgeError::Declined(_) => StatusCode::FORBIDDEN,
        BridgeError::Silent(_) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    json(status, error.fault().response(id))
}

fn json(status: StatusCode, text: String) -> LoopbackResponse {
    let mut answer = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
