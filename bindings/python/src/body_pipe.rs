//! The body of a request on its way from ASGI messages to the engine.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use mcpid::tower::BoxError;

use crate::future::lock;

/// The body of a request, as its messages arrive.
#[derive(Debug, Default)]
pub(crate) struct BodyPipe {
    state: Mutex<PipeState>,
}

#[derive(Debug, Default)]
struct PipeState {
    next: Option<Bytes>,
    /// Bytes received.
    received: u64,
    /// `Content-Length`, if there is one.
    announced: Option<u64>,
    ended: bool,
    broken: Option<&'static str>,
    /// Whether the engine waits for a message.
    wanted: bool,
}

impl BodyPipe {
    /// A body with this `Content-Length`, or with lines of it that differ or cannot be read.
    pub(crate) fn new(announced: Result<Option<u64>, &'static str>) -> Self {
        let mut state = PipeState::default();
        match announced {
            Ok(length) => state.announced = length,
            Err(why) => state.broken = Some(why),
        }
        BodyPipe { state: Mutex::new(state) }
    }

    /// Takes the bytes of a message. Returns how many there were in all.
    pub(crate) fn push(&self, bytes: Bytes, more: bool) -> u64 {
        let mut state = lock(&self.state);
        state.wanted = false;
        state.received = state.received.saturating_add(bytes.len() as u64);
        state.ended |= !more;
        if let Some(announced) = state.announced
            && (state.received > announced || (state.ended && state.received < announced))
        {
            state.broken = Some("the body is not as long as content-length says");
        }
        if !bytes.is_empty() {
            state.next = Some(bytes);
        }
        state.received
    }

    /// Whether the engine waits for a message.
    pub(crate) fn is_wanted(&self) -> bool {
        lock(&self.state).wanted
    }

    /// Whether no byte has arrived yet.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.state).received == 0
    }
}

/// The engine's end of the pipe.
pub(crate) struct PipedBody(pub(crate) Arc<BodyPipe>);

impl Body for PipedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = lock(&self.0.state);
        if let Some(why) = state.broken {
            return Poll::Ready(Some(Err(why.into())));
        }
        match (state.next.take(), state.ended) {
            (Some(bytes), _) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            (None, true) => Poll::Ready(None),
            (None, false) => {
                state.wanted = true;
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let state = lock(&self.0.state);
        let mut hint = SizeHint::new();
        if let Some(announced) = state.announced {
            hint.set_lower(announced.saturating_sub(state.received));
        }
        hint
    }
}
