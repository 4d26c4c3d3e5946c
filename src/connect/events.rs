//! A stream of server-sent events, with a limit on the size of each event.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream as _;
use http::Response;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use sse_stream::{Sse, SseStream};

use super::answer_budget::{self, AnswerBudget, Reservation, UNRESERVED_BYTES};
use super::error::BridgeError;
use super::timing::within;

/// The events of one HTTP response.
pub(super) struct EventStream {
    stream: SseStream<BoundedBody>,
    flow: Arc<StreamProgress>,
    limit: usize,
    silence: Option<Duration>,
    /// The limit on the memory for all answers together, in bytes, for the error message.
    budget: usize,
    /// The id of the last event that had one.
    pub(super) last_id: Option<String>,
    /// The pause that the server asks for before the stream is resumed.
    pub(super) retry: Option<Duration>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").field("last_id", &self.last_id).finish_non_exhaustive()
    }
}

impl EventStream {
    /// Reads the events of `response`, each of at most `limit` bytes.
    pub(super) fn new(
        response: Response<Incoming>,
        limit: usize,
        silence: Option<Duration>,
        budget: &AnswerBudget,
    ) -> Self {
        let flow = Arc::new(StreamProgress::default());
        let (body, budget, total) = (response.into_body(), budget.clone(), budget.total());
        let bounded = BoundedBody { body, flow: Arc::clone(&flow), limit, budget, reserving: None };
        let stream = SseStream::new(bounded);
        EventStream { stream, flow, limit, silence, budget: total, last_id: None, retry: None }
    }

    /// Returns the data of the next event that contains a message, or None at the end of the
    /// stream.
    ///
    /// # Errors
    /// [`BridgeError::Ended`] if the stream breaks, [`BridgeError::AnswerTooLong`],
    /// [`BridgeError::Silent`], [`BridgeError::NoRoom`], and [`BridgeError::Garbage`] for an event
    /// that is not UTF-8.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BridgeError> {
        loop {
            let frames = self.flow.frames.load(Ordering::Relaxed);
            let stream = &mut self.stream;
            let event = std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx));
            let event = match within(self.silence, event).await {
                // No event is complete yet: the bytes were a part of a long event, or a comment
                // that keeps the connection open.
                Err(_) if self.flow.is_reserving.load(Ordering::Relaxed) => {
                    return Err(BridgeError::NoRoom { total: self.budget });
                }
                Err(_) if self.flow.frames.load(Ordering::Relaxed) != frames => continue,
                event => event?,
            };
            let Some(event) = event else { return Ok(None) };
            let Sse { event, data, id, retry } = event.map_err(|error| match error {
                sse_stream::Error::Utf8Parse(_) => {
                    BridgeError::Garbage("an event is not UTF-8".to_owned())
                }
                _ if self.flow.since.load(Ordering::Relaxed) > self.limit => {
                    BridgeError::AnswerTooLong { limit: self.limit }
                }
                _ => BridgeError::Ended,
            })?;
            self.flow.since.store(0, Ordering::Relaxed);
            let reservation = self.flow.reservation().take();
            if let Some(id) = id {
                // An event with an empty id resets the last id (HTML standard, server-sent events).
                self.last_id = Some(id).filter(|id| !id.is_empty());
            }
            if let Some(retry) = retry {
                self.retry = Some(Duration::from_millis(retry));
            }
            let is_message = event.is_none_or(|kind| kind.is_empty() || kind == "message");
            match data {
                Some(data) if is_message && !data.is_empty() => {
                    return Ok(Some(answer_budget::text(data.into_bytes(), reservation)));
                }
                _ => {}
            }
        }
    }
}

/// The body of a response, which fails when an event exceeds the limit, because the parser of
/// events has no limit.
struct BoundedBody {
    body: Incoming,
    flow: Arc<StreamProgress>,
    limit: usize,
    budget: AnswerBudget,
    /// The future that waits for the memory reservation of a long event.
    reserving: Option<Pin<Box<dyn Future<Output = Reservation> + Send>>>,
}

/// How far the events of a stream have arrived.
#[derive(Default)]
struct StreamProgress {
    /// Number of bytes since the end of the last complete event.
    since: AtomicUsize,
    /// Number of frames of the body, including empty ones.
    frames: AtomicUsize,
    /// The memory reservation for the event that is being read, if the event is long.
    reservation: Mutex<Option<Reservation>>,
    /// True while reading is paused until memory for the event is reserved.
    is_reserving: AtomicBool,
}

impl StreamProgress {
    fn reservation(&self) -> MutexGuard<'_, Option<Reservation>> {
        self.reservation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a response broke off, or an event was too long: then [`StreamProgress::since`]
/// exceeds the limit.
#[derive(Debug, thiserror::Error)]
#[error("the stream broke")]
struct BrokenStream;

impl Body for BoundedBody {
    type Data = Bytes;
    type Error = BrokenStream;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenStream>>> {
        let this = &mut *self;
        if this.flow.since.load(Ordering::Relaxed) > UNRESERVED_BYTES
            && this.flow.reservation().is_none()
        {
            let (budget, limit) = (&this.budget, this.limit);
            let reserving =
                this.reserving.get_or_insert_with(|| Box::pin(budget.clone().reserve(limit)));
            this.flow.is_reserving.store(true, Ordering::Relaxed);
            let reservation = ready!(reserving.as_mut().poll(cx));
            this.flow.is_reserving.store(false, Ordering::Relaxed);
            this.reserving = None;
            *this.flow.reservation() = Some(reservation);
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(_)) => return Poll::Ready(Some(Err(BrokenStream))),
            Some(Ok(frame)) => frame,
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        self.flow.frames.fetch_add(1, Ordering::Relaxed);
        let since = self.flow.since.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        // Only bytes before this frame count, because the frame may contain the ends of several
        // events.
        if since.saturating_sub(bytes) > self.limit {
            return Poll::Ready(Some(Err(BrokenStream)));
        }
        Poll::Ready(Some(Ok(frame)))
    }
}
