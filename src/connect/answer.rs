//! What the server answers: one JSON text, or a stream of events, bounded in size and in silence.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Incoming;

use super::bridge::Bridge;
use super::events::Events;
use super::held;
use super::rpc::{self, Fault, Inbound, Kind};
use super::timing::server_time;
use super::trouble::{Refusal, Trouble};

/// Bytes of an error's body that are read to find out what it says.
pub(super) const ERROR_LIMIT: usize = 1 << 20;
/// How long an error's body may take.
const ERROR_TIME: Duration = Duration::from_secs(10);
/// Characters of an error's text that are repeated.
const SHOWN: usize = 200;

/// The reason of a server that does not know the key, or says no more than that.
pub(super) const KEY_UNKNOWN: &str = "key_unknown";

/// What an answer is made of.
#[derive(Debug)]
pub(super) enum Answer {
    /// 202, or an empty answer.
    Nothing,
    /// The whole of it, UTF-8.
    Json(Bytes),
    /// Events, to be read one by one.
    Events(Box<Events>),
}

/// The text of an answer or an event, which was found to be UTF-8 when it arrived.
pub(super) fn as_text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Reads an answer whose status is good as far as it takes to know what it is.
pub(super) async fn read(
    response: Response<Incoming>,
    bridge: &Bridge,
    silence: Option<Duration>,
) -> Result<Answer, Trouble> {
    if matches!(response.status(), StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
        return Ok(Answer::Nothing);
    }
    if let Some(coding) = coding(response.headers()) {
        return Err(Trouble::Encoded { coding });
    }
    let (limit, room) = (bridge.max_answer, &bridge.room);
    match media(&response) {
        Media::Events => Ok(Answer::Events(Box::new(Events::new(response, limit, silence, room)))),
        Media::Json => {
            let (bytes, reservation) =
                held::whole(response.into_body(), limit, silence, room).await?;
            if std::str::from_utf8(&bytes).is_err() {
                return Err(Trouble::Garbage("it is not UTF-8".to_owned()));
            }
            Ok(Answer::Json(held::text(bytes, reservation)))
        }
        Media::Other(given) => {
            // Some servers take a notification with 200 and nothing.
            let (bytes, _) = held::whole(response.into_body(), ERROR_LIMIT, silence, room).await?;
            match bytes.is_empty() {
                true => Ok(Answer::Nothing),
                false => Err(Trouble::Garbage(format!("its content type is {given}"))),
            }
        }
    }
}

/// The coding that an answer is in, if it is in one: by `Content-Encoding` or, which clients see
/// more seldom, by `Transfer-Encoding`.
pub(super) fn coding(headers: &HeaderMap) -> Option<String> {
    let codings = [(header::CONTENT_ENCODING, "identity"), (header::TRANSFER_ENCODING, "chunked")];
    codings.into_iter().find_map(|(name, plain)| {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let all = values.collect::<Vec<_>>().join(",");
        let mut each = all.split(',').map(str::trim).filter(|coding| !coding.is_empty());
        let is_coded = each.any(|coding| !coding.eq_ignore_ascii_case(plain));
        is_coded.then(|| all.chars().take(SHOWN).collect())
    })
}

enum Media {
    Json,
    Events,
    Other(String),
}

fn media<B>(response: &Response<B>) -> Media {
    let value = response.headers().get(header::CONTENT_TYPE);
    let text = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let essence = text.as_deref().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match () {
        () if essence.eq_ignore_ascii_case("application/json") => Media::Json,
        () if essence.eq_ignore_ascii_case("text/event-stream") => Media::Events,
        () => Media::Other(match text {
            Some(text) => format!("{:?}", text.chars().take(SHOWN).collect::<String>()),
            None => "absent".to_owned(),
        }),
    }
}

/// What a server meant with an error status.
pub(super) async fn refusal(response: Response<Incoming>, bridge: &Bridge) -> Trouble {
    let status = response.status();
    let (theirs, ours) = (server_time(&response), bridge.sender.clock.now());
    let challenge = response.headers().get(header::WWW_AUTHENTICATE).is_some();
    let text = match media(&response) {
        Media::Other(given) if !given.starts_with("\"text/plain") => String::new(),
        _ if coding(response.headers()).is_some() => String::new(),
        // An error that does not end is an error all the same.
        _ => {
            let (body, room) = (response.into_body(), &bridge.room);
            let read = held::whole(body, ERROR_LIMIT, Some(ERROR_TIME), room).await;
            let bytes = read.map(|(bytes, _)| bytes).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    let fault = rpc::read(&text).ok().and_then(|message| Fault::read(message.error?));
    let reason = fault.as_ref().and_then(Fault::reason);
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
        (None, _) if status == StatusCode::UNAUTHORIZED && challenge => {
            Some("it wants a token: -H 'Authorization: Bearer ${TOKEN}'".to_owned())
        }
        _ => None,
    };
    let text = text.trim();
    let text =
        (fault.is_none() && !text.is_empty()).then(|| text.chars().take(SHOWN).collect::<String>());
    Trouble::Refused(Box::new(Refusal { status, fault, text, hint }))
}

/// The messages of a JSON text that can be handed on, with a word on those that cannot.
pub(super) fn messages(text: &str) -> impl Iterator<Item = Result<Inbound<'_>, &'static str>> {
    rpc::each(text).into_iter().map(rpc::read)
}

impl Bridge {
    /// The messages of an answer up to the response, for a request of the bridge's own.
    pub(super) async fn texts(&self, response: Response<Incoming>) -> Result<Vec<Bytes>, Trouble> {
        match read(response, self, self.silence).await? {
            Answer::Nothing => Ok(Vec::new()),
            Answer::Json(text) => Ok(vec![text]),
            Answer::Events(mut events) => {
                while let Some(data) = events.next().await? {
                    let answers = messages(as_text(&data))
                        .flatten()
                        .any(|message| !matches!(message.kind, Kind::Other));
                    if answers {
                        return Ok(vec![data]);
                    }
                }
                Err(Trouble::Ended)
            }
        }
    }
}
