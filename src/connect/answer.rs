//! What the server answers: one JSON text, or a stream of events, bounded in size and in silence.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream as _;
use http::{Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sse_stream::{Sse, SseStream};

use crate::clock::Clock;

use super::rpc::{self, Fault, Inbound};
use super::send::server_time;
use super::trouble::{Refusal, Trouble};

/// Bytes of an error's body that are read to find out what it says.
const ERROR_LIMIT: usize = 1 << 20;
/// Characters of an error's text that are repeated.
const SHOWN: usize = 200;

/// What an answer is made of.
#[derive(Debug)]
pub(super) enum Answer {
    /// 202, or an empty answer.
    Nothing,
    /// The whole of it.
    Json(String),
    /// Events, to be read one by one.
    Events(Box<Events>),
}

/// Reads an answer whose status is good as far as it takes to know what it is.
pub(super) async fn read(
    response: Response<Incoming>,
    limit: usize,
    silence: Option<Duration>,
) -> Result<Answer, Trouble> {
    if matches!(response.status(), StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
        return Ok(Answer::Nothing);
    }
    match media(&response) {
        Media::Events => Ok(Answer::Events(Box::new(Events::new(response, limit, silence)))),
        Media::Json => {
            let bytes = whole(response.into_body(), limit, silence).await?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Trouble::Garbage("it is not UTF-8".to_owned()))?;
            Ok(Answer::Json(text))
        }
        Media::Other(given) => {
            // Some servers take a notification with 200 and nothing.
            let bytes = whole(response.into_body(), ERROR_LIMIT, silence).await?;
            match bytes.is_empty() {
                true => Ok(Answer::Nothing),
                false => Err(Trouble::Garbage(format!("its content type is {given}"))),
            }
        }
    }
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

/// Waits no longer than `silence`, if there is a limit.
pub(super) async fn within<T>(
    silence: Option<Duration>,
    future: impl Future<Output = T>,
) -> Result<T, Trouble> {
    match silence {
        None => Ok(future.await),
        Some(time) => tokio::time::timeout(time, future).await.map_err(|_| Trouble::Silent(time)),
    }
}

async fn whole(
    mut body: Incoming,
    limit: usize,
    silence: Option<Duration>,
) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    while let Some(frame) = within(silence, body.frame()).await? {
        let frame = frame.map_err(|_| Trouble::Ended)?;
        if let Ok(data) = frame.into_data() {
            if bytes.len().saturating_add(data.len()) > limit {
                return Err(Trouble::AnswerTooLong { limit });
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

/// What a server meant with an error status. `clock` is ours, to be held against the server's.
pub(super) async fn refusal(response: Response<Incoming>, clock: &dyn Clock) -> Trouble {
    let status = response.status();
    let (theirs, ours) = (server_time(&response), clock.now());
    let challenge = response.headers().get(header::WWW_AUTHENTICATE).is_some();
    let text = match media(&response) {
        Media::Other(given) if !given.starts_with("\"text/plain") => String::new(),
        // An error that does not end is an error all the same.
        _ => {
            let body = whole(response.into_body(), ERROR_LIMIT, Some(Duration::from_secs(10)));
            String::from_utf8_lossy(&body.await.unwrap_or_default()).into_owned()
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

/// A stream of events.
pub(super) struct Events {
    stream: SseStream<Bounded>,
    flow: Arc<Flow>,
    limit: usize,
    silence: Option<Duration>,
    /// The id of the last event that had one.
    pub(super) last_id: Option<String>,
    /// What the server wants to be waited for before the stream is taken up again.
    pub(super) retry: Option<Duration>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("last_id", &self.last_id).finish_non_exhaustive()
    }
}

impl Events {
    /// The events of `response`, each of at most `limit` bytes.
    pub(super) fn new(
        response: Response<Incoming>,
        limit: usize,
        silence: Option<Duration>,
    ) -> Self {
        let flow = Arc::new(Flow { since: AtomicUsize::new(0), frames: AtomicUsize::new(0) });
        let bounded = Bounded { body: response.into_body(), flow: Arc::clone(&flow), limit };
        let stream = SseStream::new(bounded);
        Events { stream, flow, limit, silence, last_id: None, retry: None }
    }

    /// The data of the next event that is a message; nothing at the end of the stream.
    ///
    /// # Errors
    /// The stream broke, an event is too long, or nothing came for too long.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Trouble> {
        loop {
            let frames = self.flow.frames.load(Ordering::Relaxed);
            let stream = &mut self.stream;
            let event = std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx));
            let event = match within(self.silence, event).await {
                // A long event, or comments that say that the server is there.
                Err(_) if self.flow.frames.load(Ordering::Relaxed) != frames => continue,
                event => event?,
            };
            let Some(event) = event else { return Ok(None) };
            let Sse { event, data, id, retry } = event.map_err(|error| match error {
                sse_stream::Error::Utf8Parse(_) => {
                    Trouble::Garbage("an event is not UTF-8".to_owned())
                }
                _ if self.flow.since.load(Ordering::Relaxed) > self.limit => {
                    Trouble::AnswerTooLong { limit: self.limit }
                }
                _ => Trouble::Ended,
            })?;
            self.flow.since.store(0, Ordering::Relaxed);
            if let Some(id) = id {
                // An empty id takes the id back (HTML, server-sent events).
                self.last_id = Some(id).filter(|id| !id.is_empty());
            }
            if let Some(retry) = retry {
                self.retry = Some(Duration::from_millis(retry));
            }
            let is_message = event.is_none_or(|kind| kind.is_empty() || kind == "message");
            match data {
                Some(data) if is_message && !data.is_empty() => return Ok(Some(data)),
                _ => {}
            }
        }
    }
}

/// A body that breaks off when an event grows over the limit: the reader of events itself would
/// take whatever comes.
struct Bounded {
    body: Incoming,
    flow: Arc<Flow>,
    limit: usize,
}

/// What came so far.
struct Flow {
    /// Bytes since the last event.
    since: AtomicUsize,
    /// Frames, whatever they held.
    frames: AtomicUsize,
}

/// The reason is in the counter.
#[derive(Debug, thiserror::Error)]
#[error("the stream broke")]
struct Broke;

impl Body for Bounded {
    type Data = Bytes;
    type Error = Broke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broke>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(_)) => return Poll::Ready(Some(Err(Broke))),
            Some(Ok(frame)) => frame,
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        self.flow.frames.fetch_add(1, Ordering::Relaxed);
        let since = self.flow.since.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        // A frame may hold the ends of many events; its own length is not held against them.
        if since.saturating_sub(bytes) > self.limit {
            return Poll::Ready(Some(Err(Broke)));
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

/// The messages of a JSON text that can be handed on, with a word on those that cannot.
pub(super) fn messages(text: &str) -> impl Iterator<Item = Result<Inbound<'_>, &'static str>> {
    rpc::each(text).into_iter().map(rpc::read)
}
