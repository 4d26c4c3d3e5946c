//! Reads the answers of the server: one JSON text or a stream of events, limited in size and in
//! time.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::mcp::media;

use super::answer_budget;
use super::bridge::Bridge;
use super::error::{BridgeError, ServerRefusal};
use super::events::EventStream;
use super::json_rpc::{self, InboundKind, InboundMessage, JsonRpcError};
use super::timing::server_time;

/// Maximum number of bytes that are read from the body of an error response.
pub(super) const ERROR_LIMIT: usize = 1 << 20;
/// Maximum time for reading the body of an error response.
const ERROR_TIME: Duration = Duration::from_secs(10);
/// Maximum number of characters of the server's text that a message repeats.
const MAX_SHOWN_CHARS: usize = 200;

/// The refusal code of a verifier that does not know the key.
pub(super) const KEY_UNKNOWN: &str = "key_unknown";

/// The refusal code of a verifier that demands the touch of a security key.
const TOUCH_REQUIRED: &str = "touch_required";
/// The hint for the user after the refusal `touch_required`.
const TOUCH_HINT: &str = "it wants a touch that no --touch rule here asks for: mcpid connect \
                          --touch METHOD:NAME --touch-key ssh-agent:ID";

/// The beginning of the message of a server that received a touch of a security key but does not
/// accept it.
const NO_COUNT: &str = "the touch does not count";

/// An answer with a 2xx status.
#[derive(Debug)]
pub(super) enum ServerAnswer {
    /// Status 202, or an empty body: the answer has no content.
    Nothing,
    /// One JSON text in UTF-8.
    Json(Bytes),
    /// A stream of events.
    Events(Box<EventStream>),
}

/// Returns the text of an answer or event. The bytes were checked to be UTF-8 when they arrived.
pub(super) fn as_text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Reads an answer whose status means success. A JSON text is read completely; an event stream is
/// not read yet.
///
/// # Errors
/// [`BridgeError::Encoded`] for a compressed answer, [`BridgeError::Garbage`] for one of another
/// type, and the errors of [`answer_budget::whole`].
pub(super) async fn read(
    response: Response<Incoming>,
    bridge: &Bridge,
    silence: Option<Duration>,
) -> Result<ServerAnswer, BridgeError> {
    if matches!(response.status(), StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
        return Ok(ServerAnswer::Nothing);
    }
    if let Some(coding) = coding(response.headers()) {
        return Err(BridgeError::Encoded { coding });
    }
    let (limit, budget) = (bridge.max_answer, &bridge.answer_budget);
    match media_of(&response) {
        AnswerMedia::Events => {
            Ok(ServerAnswer::Events(Box::new(EventStream::new(response, limit, silence, budget))))
        }
        AnswerMedia::Json => {
            let (bytes, reservation) =
                answer_budget::whole(response.into_body(), limit, silence, budget).await?;
            if std::str::from_utf8(&bytes).is_err() {
                return Err(BridgeError::Garbage("it is not UTF-8".to_owned()));
            }
            Ok(ServerAnswer::Json(answer_budget::text(bytes, reservation)))
        }
        AnswerMedia::Other(given) => {
            // Some servers answer a notification with status 200 and an empty body.
            let (bytes, _) =
                answer_budget::whole(response.into_body(), ERROR_LIMIT, silence, budget).await?;
            match bytes.is_empty() {
                true => Ok(ServerAnswer::Nothing),
                false => Err(BridgeError::Garbage(format!("its content type is {given}"))),
            }
        }
    }
}

/// Returns the content coding or transfer coding of an answer, for example `gzip`, or None if there
/// is no coding.
pub(super) fn coding(headers: &HeaderMap) -> Option<String> {
    let codings = [(header::CONTENT_ENCODING, "identity"), (header::TRANSFER_ENCODING, "chunked")];
    codings.into_iter().find_map(|(name, plain)| {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let all = values.collect::<Vec<_>>().join(",");
        let mut each = all.split(',').map(str::trim).filter(|coding| !coding.is_empty());
        let is_coded = each.any(|coding| !coding.eq_ignore_ascii_case(plain));
        is_coded.then(|| all.chars().take(MAX_SHOWN_CHARS).collect())
    })
}

enum AnswerMedia {
    Json,
    Events,
    Other(String),
}

fn media_of<B>(response: &Response<B>) -> AnswerMedia {
    let value = response.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    match value {
        Some(value) if media::is(value, "application/json") => AnswerMedia::Json,
        Some(value) if media::is(value, "text/event-stream") => AnswerMedia::Events,
        Some(value) => {
            let shown: String =
                String::from_utf8_lossy(value).chars().take(MAX_SHOWN_CHARS).collect();
            AnswerMedia::Other(format!("{shown:?}"))
        }
        None => AnswerMedia::Other("absent".to_owned()),
    }
}

/// Reads an error response: the server's message in JSON-RPC or text, and a hint for the user.
pub(super) async fn refusal(response: Response<Incoming>, bridge: &Bridge) -> BridgeError {
    let status = response.status();
    let (theirs, ours) = (server_time(&response), bridge.sender.clock.now());
    let challenge = response.headers().get(header::WWW_AUTHENTICATE).is_some();
    let text = match media_of(&response) {
        AnswerMedia::Other(given) if !given.starts_with("\"text/plain") => String::new(),
        _ if coding(response.headers()).is_some() => String::new(),
        // If the body breaks off or does not arrive in time, only the status is reported.
        _ => {
            let (body, budget) = (response.into_body(), &bridge.answer_budget);
            let read = answer_budget::whole(body, ERROR_LIMIT, Some(ERROR_TIME), budget).await;
            let bytes = read.map(|(bytes, _)| bytes).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    let fault = json_rpc::read(&text).ok().and_then(|message| JsonRpcError::read(message.error?));
    let reason = fault.as_ref().and_then(JsonRpcError::reason);
    let hint = match (reason.as_deref(), theirs) {
        (Some("expired" | "not_yet_valid"), Some(theirs)) => {
            let skew = theirs.since(ours);
            let how = match skew {
                0 => "the clocks agree".to_owned(),
                1.. => format!("this clock is {skew} s behind"),
                _ => format!("this clock is {} s ahead", skew.saturating_neg()),
            };
            Some(format!("the server's clock says {theirs}, this one {ours}: {how}"))
        }
        (Some(KEY_UNKNOWN), _) => bridge.unknown_key_hint.clone(),
        // A server alone cannot make the bridge ask for a touch of a security key. Only the user's
        // rules can.
        (Some(TOUCH_REQUIRED), _) => {
            let is_about_ours =
                fault.as_ref().is_some_and(|fault| fault.message.starts_with(NO_COUNT));
            (!is_about_ours).then(|| TOUCH_HINT.to_owned())
        }
        (None, _) if status == StatusCode::UNAUTHORIZED && challenge => {
            Some("it wants a token: -H 'Authorization: Bearer ${TOKEN}'".to_owned())
        }
        _ => None,
    };
    let text = text.trim();
    let text = (fault.is_none() && !text.is_empty())
        .then(|| text.chars().take(MAX_SHOWN_CHARS).collect::<String>());
    BridgeError::Refused(Box::new(ServerRefusal { status, fault, text, hint }))
}

/// Splits a JSON text into JSON-RPC messages. The error says in words why a part is not a message.
pub(super) fn messages(
    text: &str,
) -> impl Iterator<Item = Result<InboundMessage<'_>, &'static str>> {
    json_rpc::each(text).into_iter().map(json_rpc::read)
}

impl Bridge {
    /// Returns the JSON texts of an answer to one of the bridge's own requests. For a stream of
    /// events, returns only the event with the response.
    pub(super) async fn texts(
        &self,
        response: Response<Incoming>,
    ) -> Result<Vec<Bytes>, BridgeError> {
        match read(response, self, self.silence).await? {
            ServerAnswer::Nothing => Ok(Vec::new()),
            ServerAnswer::Json(text) => Ok(vec![text]),
            ServerAnswer::Events(mut events) => {
                while let Some(data) = events.next().await? {
                    let answers = messages(as_text(&data))
                        .flatten()
                        .any(|message| !matches!(message.kind, InboundKind::Other));
                    if answers {
                        return Ok(vec![data]);
                    }
                }
                Err(BridgeError::Ended)
            }
        }
    }
}
