//! The bodies that pass through the gateway: request bodies with a time limit, and answers that are
//! streamed as they arrive.

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

use super::record::RequestRecord;
use super::upstream_permits::UpstreamPermit;

/// The error for a request body that exceeded its time limit.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive within {} s", .0.as_secs())]
pub(super) struct BodyTooSlow(Duration);

/// The body of a request, with a time limit and a count of its bytes.
pub(super) struct TimedBody {
    body: Incoming,
    time: Duration,
    /// The deadline for the body. It is set when the first part of the body has to be waited for.
    /// Most bodies arrive together with their head and need no deadline.
    deadline: Option<Pin<Box<Sleep>>>,
    begun: Instant,
    record: Arc<RequestRecord>,
}

impl TimedBody {
    pub(super) fn new(body: Incoming, time: Duration, record: Arc<RequestRecord>) -> Self {
        TimedBody { body, time, deadline: None, begun: Instant::now(), record }
    }
}

impl Body for TimedBody {
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
            // Trailers are dropped, because no signature covers them.
            if matches!(&frame, Some(Ok(frame)) if frame.is_trailers()) {
                return Poll::Ready(None);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let (begun, time) = (this.begun, this.time);
        let deadline =
            this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(begun + time)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(BodyTooSlow(this.time).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer: made by the gateway, or streamed from the upstream.
pub(super) enum AnswerBody {
    Own(Full<Bytes>),
    Upstream { body: Box<Incoming>, _permit: UpstreamPermit },
}

impl Default for AnswerBody {
    fn default() -> Self {
        AnswerBody::Own(Full::default())
    }
}

impl From<Bytes> for AnswerBody {
    fn from(text: Bytes) -> Self {
        AnswerBody::Own(Full::new(text))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            AnswerBody::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            AnswerBody::Upstream { body, .. } => {
                Pin::new(&mut **body).poll_frame(cx).map_err(Into::into)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Own(body) => body.is_end_stream(),
            AnswerBody::Upstream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Own(body) => body.size_hint(),
            AnswerBody::Upstream { body, .. } => body.size_hint(),
        }
    }
}

/// The body of an answer to the client. When it is dropped, the request is over and its log line is
/// written.
pub struct GatewayBody {
    shape: GatewayBodyShape,
    record: Option<Arc<RequestRecord>>,
}

enum GatewayBodyShape {
    Layer(ResponseBody<AnswerBody>),
    Own(AnswerBody),
}

impl GatewayBody {
    pub(super) fn judged(body: ResponseBody<AnswerBody>, record: Arc<RequestRecord>) -> Self {
        GatewayBody { shape: GatewayBodyShape::Layer(body), record: Some(record) }
    }

    pub(super) fn own(body: AnswerBody, record: Option<Arc<RequestRecord>>) -> Self {
        GatewayBody { shape: GatewayBodyShape::Own(body), record }
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
        let frame = ready!(match &mut this.shape {
            GatewayBodyShape::Layer(body) => Pin::new(body).poll_frame(cx),
            GatewayBodyShape::Own(body) => Pin::new(body).poll_frame(cx),
        });
        if let (Some(Ok(frame)), Some(record)) = (&frame, &this.record)
            && let Some(data) = frame.data_ref()
        {
            record.note(|line| line.received = line.received.saturating_add(data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.shape {
            GatewayBodyShape::Layer(body) => body.is_end_stream(),
            GatewayBodyShape::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.shape {
            GatewayBodyShape::Layer(body) => body.size_hint(),
            GatewayBodyShape::Own(body) => body.size_hint(),
        }
    }
}
