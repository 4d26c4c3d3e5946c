//! Holds back the bytes of each HTTP/1 head until they have been checked.
//!
//! The filter stands between the connection and hyper. It passes valid requests on byte for byte.
//! In place of a refused head it passes on a short valid head, whose response closes the
//! connection, and no further bytes. So the refusal is sent after the responses to earlier
//! requests, and bytes after a refused head are never parsed as a request.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::chunks::Chunks;
use super::raw_head::{self, BodyFraming, HeadEnd, HeadFault, RefusedRawHead};

/// If the caller's buffer is smaller than this, heads are read into a buffer of the filter.
const LEAST_ROOM: usize = 2048;
const READ_SIZE: usize = 8 * 1024;
/// The maximum number of bytes that are read and dropped after a refused head. If the connection
/// were closed at once, it would be reset, and the client could lose the response.
const MOST_DISCARDED: usize = 1 << 20;
/// How long bytes are read and dropped after the response to a refused head was sent.
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// The refused head of a connection, and the number of its request, counted from 1. A connection
/// has at most one, because it is closed afterwards.
pub(super) type RefusedHeadSlot = Arc<OnceLock<(u64, RefusedRawHead)>>;

#[derive(Debug)]
enum FilterState {
    Head(HeadEnd),
    /// The filter is inside a body, of which this number of bytes is left.
    Body(u64),
    Chunked(Chunks),
    /// The connection uses HTTP/2, whose heads are not checked here.
    Http2,
    /// A head was refused. The number is that of the bytes that were dropped since.
    Refused(usize),
    /// A chunked body was malformed; no more bytes are passed on.
    Broken,
}

/// A connection whose heads are checked before they are passed on.
pub(super) struct HeadFilter<I> {
    io: I,
    state: FilterState,
    /// Bytes that were read and not passed on yet. The first `checked` of them are valid.
    unread: Vec<u8>,
    checked: usize,
    /// The number of heads on the connection so far.
    heads: u64,
    head_bytes: usize,
    refused: RefusedHeadSlot,
    linger: Option<Pin<Box<Sleep>>>,
}

impl<I> HeadFilter<I> {
    pub(super) fn new(io: I, head_bytes: usize, refused: RefusedHeadSlot) -> Self {
        HeadFilter {
            io,
            state: FilterState::Head(HeadEnd::default()),
            unread: Vec::new(),
            checked: 0,
            heads: 0,
            head_bytes,
            refused,
            linger: None,
        }
    }

    /// Returns how many bytes at the start of `bytes` may be passed on; the first `checked` of them
    /// are known to be valid. An error holds the offset of the refused head.
    fn check(&mut self, bytes: &[u8], mut checked: usize) -> Result<usize, (usize, HeadFault)> {
        while let Some(rest) = bytes.get(checked..).filter(|rest| !rest.is_empty()) {
            match &mut self.state {
                FilterState::Head(end) => {
                    if self.heads == 0
                        && let Some(fault) = raw_head::other_protocol(rest)
                    {
                        return Err((checked, fault));
                    }
                    let head = match end.find(rest, self.head_bytes) {
                        Ok(None) => return Ok(checked),
                        Ok(Some(length)) => rest.get(..length).unwrap_or_default(),
                        Err(fault) => return Err((checked, fault)),
                    };
                    self.state = match raw_head::check(head) {
                        Ok(BodyFraming::Length(0)) => FilterState::Head(HeadEnd::default()),
                        Ok(BodyFraming::Length(length)) => FilterState::Body(length),
                        Ok(BodyFraming::Chunked) => FilterState::Chunked(Chunks::new()),
                        Ok(BodyFraming::Http2) if self.heads == 0 => FilterState::Http2,
                        Ok(BodyFraming::Http2) => return Err((checked, HeadFault::Malformed)),
                        Err(fault) => return Err((checked, fault)),
                    };
                    self.heads += 1;
                    checked += head.len();
                }
                FilterState::Body(left) => {
                    let here = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= here as u64;
                    checked += here;
                    if *left == 0 {
                        self.state = FilterState::Head(HeadEnd::default());
                    }
                }
                FilterState::Chunked(chunks) => match chunks.follow(rest) {
                    Ok((here, ends)) => {
                        checked += here;
                        if ends {
                            self.state = FilterState::Head(HeadEnd::default());
                        }
                    }
                    Err(_) => {
                        self.state = FilterState::Broken;
                        return Ok(checked);
                    }
                },
                FilterState::Http2 => return Ok(bytes.len()),
                FilterState::Refused(_) | FilterState::Broken => return Ok(checked),
            }
        }
        Ok(checked)
    }

    /// Checks the bytes that are held back.
    fn check_held(&mut self) {
        let mut unread = std::mem::take(&mut self.unread);
        let outcome = self.check(&unread, self.checked);
        let checked = match outcome {
            Ok(checked) | Err((checked, _)) => checked,
        };
        self.checked = checked;
        match outcome {
            Ok(_) if matches!(self.state, FilterState::Broken) => unread.truncate(checked),
            Ok(_) => {}
            Err((_, fault)) => {
                let replacement = self.refuse(fault, unread.get(checked..).unwrap_or_default());
                unread.truncate(checked);
                unread.extend_from_slice(replacement);
                self.checked = unread.len();
            }
        }
        self.unread = unread;
    }

    /// Records why the head at the start of `bytes` is refused. Returns the harmless head that
    /// hyper reads in its place, so that the refusal is sent as a normal response, after the
    /// responses to earlier requests.
    fn refuse(&mut self, fault: HeadFault, bytes: &[u8]) -> &'static [u8] {
        let head = RefusedRawHead::new(fault, bytes);
        let replacement: &[u8] = match head.is_http_10() {
            true => b"GET / HTTP/1.0\r\nhost: -\r\n\r\n",
            false => b"GET / HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n",
        };
        // This cannot fail: the value is set only here, and only once.
        let _ = self.refused.set((self.heads + 1, head));
        self.state = FilterState::Refused(0);
        replacement
    }

    /// Passes the valid part of the held bytes on. Returns true if there were any.
    fn pass(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let length = self.checked.min(buf.remaining());
        if length == 0 {
            return false;
        }
        buf.put_slice(self.unread.get(..length).unwrap_or_default());
        self.unread.drain(..length);
        self.checked -= length;
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        true
    }
}

impl<I: AsyncRead + Unpin> HeadFilter<I> {
    /// Reads and drops the bytes after a refused head, until the end of the stream or the limit.
    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut piece = [0; 4096];
        while let FilterState::Refused(discarded) = &mut self.state {
            let mut buf = ReadBuf::new(&mut piece);
            if *discarded > MOST_DISCARDED {
                break;
            }
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                break;
            }
            *discarded += buf.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for HeadFilter<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if buf.remaining() == 0 || this.pass(buf) {
                return Poll::Ready(Ok(()));
            }
            match this.state {
                FilterState::Http2 => return Pin::new(&mut this.io).poll_read(cx, buf),
                FilterState::Refused(_) => return this.discard(cx),
                FilterState::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                FilterState::Head(_) | FilterState::Body(_) | FilterState::Chunked(_) => {}
            }
            if this.unread.is_empty() && buf.remaining() >= LEAST_ROOM {
                // Usually the read bytes end with a complete request, which is passed on without a
                // copy.
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
                let read = buf.filled().get(before..).unwrap_or_default();
                if read.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let outcome = this.check(read, 0);
                let checked = match outcome {
                    Ok(checked) | Err((checked, _)) => checked,
                };
                let rest = read.get(checked..).unwrap_or_default();
                match outcome {
                    Ok(_) if matches!(this.state, FilterState::Broken) => {}
                    Ok(_) => this.unread.extend_from_slice(rest),
                    Err((_, fault)) => {
                        let replacement = this.refuse(fault, rest);
                        this.unread.extend_from_slice(replacement);
                        this.checked = replacement.len();
                    }
                }
                buf.set_filled(before + checked);
                if checked > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let start = this.unread.len();
                this.unread.resize(start + READ_SIZE, 0);
                let mut piece = ReadBuf::new(this.unread.get_mut(start..).unwrap_or_default());
                let polled = Pin::new(&mut this.io).poll_read(cx, &mut piece);
                let read = piece.filled().len();
                this.unread.truncate(start + read);
                ready!(polled)?;
                if read == 0 {
                    return Poll::Ready(Ok(()));
                }
                this.check_held();
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for HeadFilter<I> {
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
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        }
        if !matches!(this.state, FilterState::Refused(_)) {
            return Poll::Ready(Ok(()));
        }
        let linger = this.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(DISCARD_TIME)));
        if linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        // Errors are ignored here, because the response has already been sent.
        this.discard(cx).map(|_| Ok(()))
    }
}
