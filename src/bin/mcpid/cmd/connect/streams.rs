//! Opens the client's two streams in the way that delays messages least.
//!
//! tokio's own stdin and stdout pass every read and write to another thread, because they may be
//! files. Clients use pipes or sockets, which tokio can poll directly.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;

pub(super) type ClientInput = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type ClientOutput = Box<dyn AsyncWrite + Send + Unpin>;

/// Opens stdin and stdout. Must run on a tokio runtime.
pub(super) fn open() -> (ClientInput, ClientOutput) {
    (input().unwrap_or_else(|| Box::new(tokio::io::stdin())), output())
}

fn input() -> Option<ClientInput> {
    match kind(INPUT)? {
        StreamKind::Pipe => Some(Box::new(pipe::OpenOptions::new().open_receiver(INPUT).ok()?)),
        StreamKind::Socket => Some(Box::new(socket(std::io::stdin())?)),
    }
}

fn output() -> ClientOutput {
    let opened: Option<ClientOutput> = match kind(OUTPUT) {
        Some(StreamKind::Pipe) => {
            let sender = pipe::OpenOptions::new().open_sender(OUTPUT).ok();
            sender.map(|sender| Box::new(sender) as ClientOutput)
        }
        Some(StreamKind::Socket) => {
            socket(std::io::stdout()).map(|socket| Box::new(socket) as ClientOutput)
        }
        None => None,
    };
    opened.unwrap_or_else(|| Box::new(tokio::io::stdout()))
}

/// The path of stdin on Linux. On other systems, this path does not exist, and tokio's slower
/// streams are used.
const INPUT: &str = "/proc/self/fd/0";
const OUTPUT: &str = "/proc/self/fd/1";

enum StreamKind {
    /// A pipe. It is opened again, because its original descriptor may be shared with other
    /// processes, for which it must stay blocking.
    Pipe,
    /// A socket. It cannot be opened again, but a client uses a separate pair of sockets for each
    /// process.
    Socket,
}

fn kind(path: &str) -> Option<StreamKind> {
    let kind = fs::metadata(Path::new(path)).ok()?.file_type();
    match () {
        () if kind.is_fifo() => Some(StreamKind::Pipe),
        () if kind.is_socket() => Some(StreamKind::Socket),
        () => None,
    }
}

fn socket(stream: impl AsFd) -> Option<tokio::net::UnixStream> {
    let socket = UnixStream::from(stream.as_fd().try_clone_to_owned().ok()?);
    // This fails for sockets of other families, which are then not used.
    socket.local_addr().ok()?;
    socket.set_nonblocking(true).ok()?;
    tokio::net::UnixStream::from_std(socket).ok()
}
