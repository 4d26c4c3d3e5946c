//! A connection over TCP or a Unix socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// A connection before TLS is added.
#[derive(Debug)]
pub(super) enum SocketStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// A connection that belongs to no runtime.
pub(super) enum DetachedStream {
    Tcp(std::net::TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl SocketStream {
    /// Removes the connection from its runtime.
    pub(super) fn detach(self) -> io::Result<DetachedStream> {
        Ok(match self {
            SocketStream::Tcp(stream) => DetachedStream::Tcp(stream.into_std()?),
            #[cfg(unix)]
            SocketStream::Unix(stream) => DetachedStream::Unix(stream.into_std()?),
        })
    }

    /// Makes the client see a connection reset, and not a normal close, when the connection is
    /// dropped. Unix sockets have no reset.
    pub(super) fn reset_when_dropped(&self) {
        if let SocketStream::Tcp(stream) = self {
            let _ = stream.set_zero_linger();
        }
    }
}

impl DetachedStream {
    /// Registers the connection with the current runtime.
    pub(super) fn attach(self) -> io::Result<SocketStream> {
        Ok(match self {
            DetachedStream::Tcp(stream) => SocketStream::Tcp(TcpStream::from_std(stream)?),
            #[cfg(unix)]
            DetachedStream::Unix(stream) => SocketStream::Unix(UnixStream::from_std(stream)?),
        })
    }
}

/// Calls the same method on the TCP or the Unix variant of a value.
macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self {
            SocketStream::Tcp($stream) => $call,
            #[cfg(unix)]
            SocketStream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for SocketStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for SocketStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
