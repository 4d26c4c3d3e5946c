//! Reads server-sent events from a complete answer (HTML standard, section 9.2).

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream as _;
use http_body_util::Full;
use sse_stream::SseStream;

/// Returns the data of each event in `stream`, of any type. Reading ends at the first byte that is
/// not UTF-8. A last event that is not ended by an empty line is left out.
pub(crate) fn data(stream: Bytes) -> impl Iterator<Item = String> {
    let mut stream = SseStream::new(Full::new(stream));
    std::iter::from_fn(move || {
        // Polling never has to wait, because the whole stream is in memory.
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut stream).poll_next(&mut context) {
            Poll::Ready(Some(Ok(event))) => Some(event.data.unwrap_or_default()),
            Poll::Ready(None | Some(Err(_))) | Poll::Pending => None,
        }
    })
}
