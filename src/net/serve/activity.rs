//! What a connection is doing: waiting for a request, in the middle of a head, or at work.
//!
//! The library's own time for heads also runs while a connection merely lies idle, so that one of
//! the two would have to be far too long or too short.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response, Version};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::Service;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Peer;

/// The state of one connection, shared by its socket, its requests and its clock.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests whose answer is not at its end, by number, and since when each of them waits for
    /// its client to take what is there; none for those that wait for something else.
    in_flight: Vec<(u64, Option<Instant>)>,
    /// Requests so far.
    asked: u64,
    /// Since when nothing is in flight.
    quiet: Instant,
    /// When the first byte since then came.
    begun: Option<Instant>,
    /// Several requests share the connection, so that bytes between them need not be a head.
    multiplexed: bool,
    /// Nothing was asked yet.
    new: bool,
}

/// A connection has taken longer than it may.
#[derive(Debug)]
pub(super) struct Overdue;

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        Activity {
            state: Mutex::new(State {
                in_flight: Vec::new(),
                asked: 0,
                quiet: now,
                begun: None,
                multiplexed: false,
                new: true,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When to look again.
    pub(super) fn overdue(
        &self,
        now: Instant,
        head_time: Duration,
        idle: Duration,
    ) -> Result<Instant, Overdue> {
        let state = self.state();
        let end = match &*state {
            State { in_flight, .. } if !in_flight.is_empty() => {
                // As long as one of them gets on, the connection is of use to somebody: behind
                // one that is multiplexed there may be many clients.
                match in_flight.iter().map(|(_, since)| *since).min() {
                    Some(Some(_)) => in_flight.iter().filter_map(|(_, since)| *since).max(),
                    _ => None,
                }
                .map_or(now + head_time + idle, |since| since + idle)
            }
            State { new: true, quiet, .. } => *quiet + head_time,
            State { begun: Some(begun), multiplexed: false, .. } => *begun + head_time,
            State { quiet, .. } => *quiet + idle,
        };
        // A head may begin at any moment, and its time is the shorter one.
        if now >= end { Err(Overdue) } else { Ok(end.min(now + head_time)) }
    }

    fn received(&self) {
        let mut state = self.state();
        if state.in_flight.is_empty() && state.begun.is_none() {
            state.begun = Some(Instant::now());
        }
    }

    fn asked(self: &Arc<Self>, multiplexed: bool) -> InFlight {
        let mut state = self.state();
        state.asked += 1;
        let number = state.asked;
        state.in_flight.push((number, None));
        state.begun = None;
        state.new = false;
        state.multiplexed = multiplexed;
        drop(state);
        InFlight { activity: Arc::clone(self), number }
    }
}

/// One request, until its answer has ended or nobody wants it any more.
struct InFlight {
    activity: Arc<Activity>,
    number: u64,
}

impl InFlight {
    /// Whether it is the client that is waited for, from now on.
    fn waits_for_client(&self, waits: bool) {
        let now = waits.then(Instant::now);
        let mut state = self.activity.state();
        if let Some(place) = state.in_flight.iter_mut().find(|(number, _)| *number == self.number) {
            place.1 = now;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.in_flight.retain(|(number, _)| *number != self.number);
        state.quiet = Instant::now();
    }
}

/// A socket that tells when something arrives.
pub(super) struct Watched<I> {
    io: I,
    activity: Arc<Activity>,
}

impl<I> Watched<I> {
    pub(super) fn new(io: I, activity: Arc<Activity>) -> Self {
        Watched { io, activity }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
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

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
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

/// A service whose requests are counted, and know who asks.
pub(super) struct Counting<S> {
    service: S,
    peer: Peer,
    activity: Arc<Activity>,
}

impl<S> Counting<S> {
    pub(super) fn new(service: S, peer: Peer, activity: Arc<Activity>) -> Self {
        Counting { service, peer, activity }
    }
}

impl<S, B> Service<Request<Incoming>> for Counting<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<Counted<B>>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let in_flight = self.activity.asked(request.version() >= Version::HTTP_2);
        request.extensions_mut().insert(self.peer);
        Answering { future: self.service.call(request), in_flight: Some(in_flight) }
    }
}

pin_project! {
    pub(super) struct Answering<F> {
        #[pin]
        future: F,
        in_flight: Option<InFlight>,
    }
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Counted<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        let in_flight = this.in_flight.take();
        if let Some(in_flight) = &in_flight {
            in_flight.waits_for_client(true);
        }
        Poll::Ready(Ok(response.map(|body| Counted { body, in_flight })))
    }
}

pin_project! {
    /// The body of an answer; the request is in flight as long as it is there.
    pub(super) struct Counted<B> {
        #[pin]
        body: B,
        in_flight: Option<InFlight>,
    }
}

impl<B: Body> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        // The library asks for more only when there is room for it.
        if let Some(in_flight) = this.in_flight {
            in_flight.waits_for_client(frame.is_ready());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
