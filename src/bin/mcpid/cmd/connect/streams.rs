//! The client's two streams, by whatever way costs a message the least.
//!
//! tokio's own stdin and stdout hand every read and write to another thread and wait for it, since
//! they may be files. Clients give pipes or sockets, and those can be waited for like any connection.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;

pub(super) type Input = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// stdin and stdout. Runs on a tokio runtime.
pub(super) fn open() -> (Input, Output) {
    (input().unwrap_or_else(|| Box::new(tokio::io::stdin())), output())
}

fn input() -> Option<Input> {
    match kind(INPUT)? {
        Kind::Pipe => Some(Box::new(pipe::OpenOptions::new().open_receiver(INPUT).ok()?)),
        Kind::Socket => Some(Box::new(socket(std::io::stdin())?)),
    }
}

fn output() -> Output {
    let opened: Option<Output> = match kind(OUTPUT) {
        Some(Kind::Pipe) => {
            let sender = pipe::OpenOptions::new().open_sender(OUTPUT).ok();
            sender.map(|sender| Box::new(sender) as Output)
        }
        Some(Kind::Socket) => socket(std::io::stdout()).map(|socket| Box::new(socket) as Output),
        None => None,
    };
    opened.unwrap_or_else(|| Box::new(tokio::io::stdout()))
}

/// Where Linux has them; elsewhere this is not there, and the other way is taken.
const INPUT: &str = "/proc/self/fd/0";
const OUTPUT: &str = "/proc/self/fd/1";

enum Kind {
    /// It is opened anew, so that whoever shares ours does not find it changed.
    Pipe,
    /// It cannot be opened anew. Nobody but a client makes one, a pair for each child.
    Socket,
}

fn kind(path: &str) -> Option<Kind> {
    let kind = fs::metadata(Path::new(path)).ok()?.file_type();
    match () {
        () if kind.is_fifo() => Some(Kind::Pipe),
        () if kind.is_socket() => Some(Kind::Socket),
        () => None,
    }
}

fn socket(stream: impl AsFd) -> Option<tokio::net::UnixStream> {
    let socket = UnixStream::from(stream.as_fd().try_clone_to_owned().ok()?);
    // A socket of another family is not for this.
    socket.local_addr().ok()?;
    socket.set_nonblocking(true).ok()?;
    tokio::net::UnixStream::from_std(socket).ok()
}
