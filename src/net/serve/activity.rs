//! Tracks the state of a connection: idle, receiving a head, or answering requests.
//!
//! hyper has one time limit for both an idle connection and a slow head. This module permits
//! separate limits.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::Service;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head_filter::RefusedHeadSlot;
use super::raw_head::RefusedRawHead;
use crate::net::peer::Peer;
use crate::net::stream::SocketStream;

/// The state of one connection, shared by its socket, its requests and its timer.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<ActivityState>,
}

#[derive(Debug)]
struct ActivityState {
    /// The requests of the connection whose response is not complete.
    in_flight: Vec<OpenRequest>,
    /// The number of requests so far on the connection.
    request_count: u64,
    /// The time since which no request is in flight.
    quiet: Instant,
    /// The time at which the first byte arrived since no request is in flight.
    head_begun_at: Option<Instant>,
    /// Whether requests are multiplexed (HTTP/2). In HTTP/2, arriving bytes need not be the
    /// beginning of a head.
    multiplexed: bool,
    /// Whether no request has arrived yet.
    new: bool,
    /// Whether a response without a length broke off. A normal close of the connection would then
    /// make it look complete.
    broken_off: bool,
}

/// A request whose response is not complete.
#[derive(Debug)]
struct OpenRequest {
    number: u64,
    /// The time since which the request waits for its client to read the response; `None` if it
    /// waits for something else.
    since: Option<Instant>,
    /// Whether the response has no length, so that the end of the connection marks its end.
    ends_by_closing: bool,
}

/// The error for a connection that has exceeded a time limit.
#[derive(Debug)]
pub(super) struct Overdue;

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        Activity {
            state: Mutex::new(ActivityState {
                in_flight: Vec::new(),
                request_count: 0,
                quiet: now,
                head_begun_at: None,
                multiplexed: false,
                new: true,
                broken_off: false,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, ActivityState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when to check the connection again, or an error if it has exceeded a time limit.
    pub(super) fn overdue(
        &self,
        now: Instant,
        head_time: Duration,
        idle: Duration,
    ) -> Result<Instant, Overdue> {
        let state = self.state();
        let end = match &*state {
            ActivityState { in_flight, .. } if !in_flight.is_empty() => {
                // A multiplexed connection may be shared by many clients, so it stays open while
                // any of its requests makes progress.
                match in_flight.iter().map(|open| open.since).min() {
                    Some(Some(_)) => in_flight.iter().filter_map(|open| open.since).max(),
                    _ => None,
                }
                .map_or(now + head_time + idle, |since| since + idle)
            }
            ActivityState { new: true, quiet, .. } => *quiet + head_time,
            ActivityState { head_begun_at: Some(begun), multiplexed: false, .. } => {
                *begun + head_time
            }
            ActivityState { quiet, .. } => *quiet + idle,
        };
        // A new head may begin before `end`, and has a shorter time limit. So the next check is
        // after that limit at the latest.
        if now >= end { Err(Overdue) } else { Ok(end.min(now + head_time)) }
    }

    fn received(&self) {
        let mut state = self.state();
        if state.in_flight.is_empty() && state.head_begun_at.is_none() {
            state.head_begun_at = Some(Instant::now());
        }
    }

    fn begin_request(self: &Arc<Self>, multiplexed: bool, ends_by_closing: bool) -> InFlight {
        let mut state = self.state();
        state.request_count += 1;
        let number = state.request_count;
        state.in_flight.push(OpenRequest { number, since: None, ends_by_closing });
        state.head_begun_at = None;
        state.new = false;
        state.multiplexed = multiplexed;
        drop(state);
        InFlight { activity: Arc::clone(self), number }
    }
}

/// Marks a request as in flight until its response is complete or was dropped.
struct InFlight {
    activity: Arc<Activity>,
    number: u64,
}

impl InFlight {
    /// Records whether the request waits for its client to read, and whether the whole response was
    /// given to the HTTP library.
    fn waits_for_client(&self, waits: bool, whole: bool) {
        let now = waits.then(Instant::now);
        let mut state = self.activity.state();
        if let Some(open) = state.in_flight.iter_mut().find(|open| open.number == self.number) {
            open.since = now;
            open.ends_by_closing &= !whole;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        if let Some(at) = state.in_flight.iter().position(|open| open.number == self.number) {
            let open = state.in_flight.swap_remove(at);
            state.broken_off |= open.ends_by_closing;
        }
        state.quiet = Instant::now();
    }
}

/// A socket that records when bytes arrive. If a response without a length broke off, the socket is
/// reset, because a normal close would make the response look complete (RFC 9112 section 8).
pub(super) struct WatchedStream {
    io: SocketStream,
    activity: Arc<Activity>,
}

impl WatchedStream {
    pub(super) fn new(io: SocketStream, activity: Arc<Activity>) -> Self {
        WatchedStream { io, activity }
    }
}

impl Drop for WatchedStream {
    fn drop(&mut self) {
        let state = self.activity.state();
        if state.broken_off || state.in_flight.iter().any(|open| open.ends_by_closing) {
            self.io.reset_when_dropped();
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.activity.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// The function that answers heads that were refused before they were parsed.
pub(super) type AnswerRefusedRawHead =
    Arc<dyn Fn(&RefusedRawHead, Peer) -> Response<Bytes> + Send + Sync>;

/// Wraps a service: counts its requests, adds the [`Peer`], and answers refused heads without
/// calling the service.
pub(super) struct CountingService<S> {
    service: S,
    peer: Peer,
    activity: Arc<Activity>,
    refused: RefusedHeadSlot,
    answer: AnswerRefusedRawHead,
}

impl<S> CountingService<S> {
    pub(super) fn new(
        service: S,
        peer: Peer,
        activity: Arc<Activity>,
        refused: RefusedHeadSlot,
        answer: AnswerRefusedRawHead,
    ) -> Self {
        CountingService { service, peer, activity, refused, answer }
    }
}

impl<S, B> Service<Request<Incoming>> for CountingService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    type Response = Response<CountedBody<B>>;
    type Error = Infallible;
    type Future = AnsweringFuture<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        let ends_by_closing = version <= Version::HTTP_10 && request.method() != Method::HEAD;
        let in_flight = self.activity.begin_request(version >= Version::HTTP_2, ends_by_closing);
        let refusal = match self.refused.get() {
            Some((number, head)) if *number == in_flight.number => {
                Some((self.answer)(head, self.peer))
            }
            _ => None,
        };
        let future = refusal.is_none().then(|| {
            request.extensions_mut().insert(self.peer);
            self.service.call(request)
        });
        AnsweringFuture { future, refusal, in_flight: Some(in_flight) }
    }
}

pin_project! {
    pub(super) struct AnsweringFuture<F> {
        #[pin]
        future: Option<F>,
        refusal: Option<Response<Bytes>>,
        in_flight: Option<InFlight>,
    }
}

impl<F, B> Future for AnsweringFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<CountedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match (this.future.as_pin_mut(), this.refusal.take()) {
            (Some(future), _) => ready!(future.poll(cx))?.map(|body| (Some(body), None)),
            (None, Some(refusal)) => refusal.map(|text| (None, Some(text))),
            // This case occurs only if the future is polled again after its end.
            (None, None) => return Poll::Pending,
        };
        let in_flight = this.in_flight.take();
        Poll::Ready(Ok(response.map(|(body, refusal)| {
            let counted = CountedBody { body, refusal, in_flight };
            if let Some(in_flight) = &counted.in_flight {
                // A body without frames is recorded here, because hyper does not poll it.
                in_flight.waits_for_client(true, counted.is_end_stream());
            }
            counted
        })))
    }
}

pin_project! {
    /// The body of a response. Its request is in flight as long as this value exists.
    pub(super) struct CountedBody<B> {
        #[pin]
        body: Option<B>,
        // The text of the answer to a refused head. If it is present, there is no other body.
        refusal: Option<Bytes>,
        in_flight: Option<InFlight>,
    }
}

impl<B: Body<Data = Bytes>> Body for CountedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = match this.body.as_mut().as_pin_mut() {
            Some(body) => body.poll_frame(cx),
            None => Poll::Ready(this.refusal.take().map(|text| Ok(Frame::data(text)))),
        };
        if let Some(in_flight) = this.in_flight {
            // hyper polls the body only when it has room for more bytes.
            let whole = match &frame {
                Poll::Ready(None) => true,
                Poll::Ready(Some(Ok(_))) => {
                    this.body.as_ref().as_pin_ref().is_none_or(|body| body.is_end_stream())
                }
                _ => false,
            };
            in_flight.waits_for_client(frame.is_ready(), whole);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Some(body) => body.is_end_stream(),
            None => self.refusal.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(self.refusal.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}
