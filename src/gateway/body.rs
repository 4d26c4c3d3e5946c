//! Bodies on their way: a request's within its time, an answer's as it comes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::tower::{BoxError, ResponseBody};

use super::learn::Listening;
use super::place::Place;
use super::record::Record;

/// A body took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive within {} s", .0.as_secs())]
pub(super) struct TooSlow(Duration);

/// The body of a request, which has to arrive within a time, and is counted.
pub(super) struct Paced {
    body: Incoming,
    time: Duration,
    /// Made when there is something to wait for: most bodies are there with their head.
    deadline: Option<Pin<Box<Sleep>>>,
    begun: Instant,
    record: Arc<Record>,
}

impl Paced {
    pub(super) fn new(body: Incoming, time: Duration, record: Arc<Record>) -> Self {
        Paced { body, time, deadline: None, begun: Instant::now(), record }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some(Ok(frame)) = &frame
                && let Some(data) = frame.data_ref()
            {
                this.record.note(|line| line.sent = line.sent.saturating_add(data.len() as u64));
            }
            // No signature covers trailers.
            if matches!(&frame, Some(Ok(frame)) if frame.is_trailers()) {
                return Poll::Ready(None);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let (begun, time) = (this.begun, this.time);
        let deadline =
            this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(begun + time)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(TooSlow(this.time).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, of the gateway's own or the upstream's.
pub(super) enum Answer {
    Own(Full<Bytes>),
    Upstream { body: Box<Incoming>, listening: Option<Box<Listening>>, _place: Place },
}

impl Default for Answer {
    fn default() -> Self {
        Answer::Own(Full::default())
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Answer::Own(Full::new(Bytes::from(text)))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Answer::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Answer::Upstream { body, listening, .. } => {
                let frame = ready!(Pin::new(&mut **body).poll_frame(cx));
                let broken = matches!(frame, Some(Err(_)));
                if let (Some(Ok(frame)), Some(ears)) = (&frame, listening.as_mut())
                    && let Some(data) = frame.data_ref()
                {
                    ears.hear(data);
                }
                // Whoever sends a body of known length does not ask for what follows its last
                // byte. What broke off is no list.
                if (frame.is_none() || broken || body.is_end_stream())
                    && let Some(ears) = listening.take()
                    && !broken
                {
                    ears.understand();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Own(body) => body.is_end_stream(),
            Answer::Upstream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Own(body) => body.size_hint(),
            Answer::Upstream { body, .. } => body.size_hint(),
        }
    }
}

/// What goes out to the client. The record of the request is closed when this is dropped.
pub struct GatewayBody {
    inner: Inner,
    record: Option<Arc<Record>>,
}

enum Inner {
    Layer(ResponseBody<Answer>),
    Own(Answer),
}

impl GatewayBody {
    pub(super) fn judged(body: ResponseBody<Answer>, record: Arc<Record>) -> Self {
        GatewayBody { inner: Inner::Layer(body), record: Some(record) }
    }

    pub(super) fn own(body: Answer, record: Option<Arc<Record>>) -> Self {
        GatewayBody { inner: Inner::Own(body), record }
    }
}

impl fmt::Debug for GatewayBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayBody").finish_non_exhaustive()
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = ready!(match &mut this.inner {
            Inner::Layer(body) => Pin::new(body).poll_frame(cx),
            Inner::Own(body) => Pin::new(body).poll_frame(cx),
        });
        if let (Some(Ok(frame)), Some(record)) = (&frame, &this.record)
            && let Some(data) = frame.data_ref()
        {
            record.note(|line| line.received = line.received.saturating_add(data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Layer(body) => body.is_end_stream(),
            Inner::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Layer(body) => body.size_hint(),
            Inner::Own(body) => body.size_hint(),
        }
    }
}
