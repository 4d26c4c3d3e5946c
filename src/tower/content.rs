//! Bodies: reads them up to a limit, and passes them on.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Full, LengthLimitError, Limited};
use pin_project_lite::pin_project;

use super::BoxError;
use super::budget::BudgetShare;
use super::learning::ToolsListener;

/// Why a body could not be read to its end.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The body is longer than the limit.
    TooLarge,
    /// The memory budget is used up.
    Busy,
    /// The body ended early, or its framing is wrong.
    Broken(BoxError),
}

/// Reads the whole `body`, up to `limit` bytes, and takes as much memory from the budget of
/// `share`. Trailers are dropped.
pub(super) async fn read<B>(
    body: B,
    limit: usize,
    mut share: BudgetShare,
) -> Result<(Bytes, BudgetShare), ReadError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    if announces_more(&body, limit) {
        return Err(ReadError::TooLarge);
    }
    let mut body = pin!(body);
    // Most bodies are one frame, which is passed on without a copy. Several frames are copied into
    // one buffer, because even a short frame keeps the whole read buffer in memory that it points
    // to.
    let mut first = Bytes::new();
    let mut whole: Vec<u8> = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let mut data = match frame.map_err(broken)?.into_data() {
            Ok(data) => data,
            Err(_) => break,
        };
        let length = data.remaining();
        if length > limit.saturating_sub(first.len().saturating_add(whole.len())) {
            return Err(ReadError::TooLarge);
        }
        let held = if whole.is_empty() && first.is_empty() {
            first = data.copy_to_bytes(length);
            length
        } else {
            if whole.is_empty() {
                whole = Vec::from(std::mem::take(&mut first));
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                let taken = chunk.len();
                whole.extend_from_slice(chunk);
                data.advance(taken);
            }
            whole.capacity()
        };
        if !share.grow_to(held) {
            return Err(ReadError::Busy);
        }
    }
    Ok((if whole.is_empty() { first } else { Bytes::from(whole) }, share))
}

/// Returns true if the announced length of a body is over `limit`.
pub(super) fn announces_more<B: Body>(body: &B, limit: usize) -> bool {
    u64::try_from(limit).is_ok_and(|limit| body.size_hint().lower() > limit)
}

/// Converts a read error. A [`LengthLimitError`] comes from an outer layer with a smaller limit; it
/// counts as [`ReadError::TooLarge`].
fn broken(error: impl Into<BoxError>) -> ReadError {
    let error = error.into();
    if error.is::<LengthLimitError>() { ReadError::TooLarge } else { ReadError::Broken(error) }
}

pin_project! {
    /// The body of a request after the layer: the same bytes, but without trailers, because no
    /// signature covers them.
    ///
    /// The layer has read the body completely, unless it passed the request on before the body was
    /// read. The body is then streamed, and reading it beyond the limit fails with
    /// [`LengthLimitError`].
    pub struct RequestBody<B> {
        #[pin]
        shape: RequestShape<B>,
    }
}

pin_project! {
    #[project = ProjectedRequest]
    enum RequestShape<B> {
        // The body of an unverified request counts towards the memory budget until it is dropped.
        Read { content: Option<Bytes>, _share: Option<BudgetShare> },
        Streamed { #[pin] body: Limited<B>, done: bool },
    }
}

impl<B> RequestBody<B> {
    pub(super) fn read(content: Bytes, share: Option<BudgetShare>) -> Self {
        let content = (!content.is_empty()).then_some(content);
        RequestBody { shape: RequestShape::Read { content, _share: share } }
    }

    pub(super) fn streamed(body: B, limit: usize) -> Self {
        RequestBody {
            shape: RequestShape::Streamed { body: Limited::new(body, limit), done: false },
        }
    }
}

impl<B> std::fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.shape {
            RequestShape::Read { content, .. } => {
                let length = content.as_ref().map_or(0, Bytes::len);
                write!(f, "RequestBody({length} bytes)")
            }
            RequestShape::Streamed { .. } => f.write_str("RequestBody(unread)"),
        }
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().shape.project() {
            ProjectedRequest::Read { content, .. } => {
                Poll::Ready(content.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            ProjectedRequest::Streamed { done: true, .. } => Poll::Ready(None),
            ProjectedRequest::Streamed { body, done } => {
                let frame = ready!(body.poll_frame(cx));
                let data = frame.and_then(|frame| frame.map(|f| f.into_data().ok()).transpose());
                *done = !matches!(data, Some(Ok(_)));
                Poll::Ready(data.map(|data| {
                    data.map(|mut data| Frame::data(data.copy_to_bytes(data.remaining())))
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.shape {
            RequestShape::Read { content, .. } => content.is_none(),
            RequestShape::Streamed { body, done } => *done || body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.shape {
            RequestShape::Read { content, .. } => {
                let length = content.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            RequestShape::Streamed { done: true, .. } => SizeHint::with_exact(0),
            RequestShape::Streamed { body, .. } => body.size_hint(),
        }
    }
}

pin_project! {
    /// The body of a response: the unchanged body of the service, or a refusal.
    pub struct ResponseBody<B> {
        #[pin]
        shape: ResponseShape<B>,
    }
}

pin_project! {
    #[project = ProjectedResponse]
    enum ResponseShape<B> {
        Refusal { #[pin] body: Full<Bytes> },
        Service { #[pin] body: B, listener: Option<Box<ToolsListener>> },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn refusal(text: Bytes) -> Self {
        ResponseBody { shape: ResponseShape::Refusal { body: Full::new(text) } }
    }

    pub(super) fn service(body: B, listener: Option<ToolsListener>) -> Self {
        ResponseBody { shape: ResponseShape::Service { body, listener: listener.map(Box::new) } }
    }
}

impl<B> std::fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.shape {
            ResponseShape::Refusal { .. } => "ResponseBody(refusal)",
            ResponseShape::Service { .. } => "ResponseBody(service)",
        })
    }
}

/// Passes `frame` to the listener for lists of tools. A server may not poll a body of known length
/// again after its last byte, so the listener finishes at that byte. If a body breaks off, nothing
/// is learned from it.
fn listen<E>(
    listener: &mut Option<Box<ToolsListener>>,
    frame: &Option<Result<Frame<Bytes>, E>>,
    is_last: bool,
) {
    match frame {
        Some(Err(_)) => *listener = None,
        Some(Ok(frame)) => {
            if let (Some(listener), Some(data)) = (listener.as_mut(), frame.data_ref()) {
                listener.push_bytes(data);
            }
        }
        None => {}
    }
    if (frame.is_none() || is_last)
        && let Some(listener) = listener.take()
    {
        listener.finish();
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().shape.project() {
            ProjectedResponse::Refusal { body } => {
                body.poll_frame(cx).map_err(|never| match never {})
            }
            ProjectedResponse::Service { mut body, listener } => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                if listener.is_some() {
                    listen(listener, &frame, body.is_end_stream());
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.shape {
            ResponseShape::Refusal { body } => body.is_end_stream(),
            ResponseShape::Service { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.shape {
            ResponseShape::Refusal { body } => body.size_hint(),
            ResponseShape::Service { body, .. } => body.size_hint(),
        }
    }
}
