//! One message a line, in and out.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// What was read.
#[derive(Debug, PartialEq)]
pub(super) enum ClientLine {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// A line of so many bytes, which were not kept.
    TooLong(usize),
}

/// Reads the next line; the last may lack its end. One of more than `most` bytes is skipped.
///
/// # Errors
/// The stream's.
pub(super) async fn read<R: AsyncBufRead + Unpin>(
    input: &mut R,
    most: usize,
) -> io::Result<Option<ClientLine>> {
    let mut line = Vec::new();
    let mut bytes = 0_usize;
    loop {
        let chunk = input.fill_buf().await?;
        if chunk.is_empty() {
            return Ok((bytes > 0).then(|| whole(line, bytes, most)));
        }
        let end = chunk.iter().position(|&b| b == b'\n');
        let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
        bytes = bytes.saturating_add(part.len());
        if bytes <= most {
            line.extend_from_slice(part);
        } else {
            line = Vec::new();
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(Some(whole(line, bytes, most)));
        }
    }
}

fn whole(line: Vec<u8>, bytes: usize, most: usize) -> ClientLine {
    if bytes > most { ClientLine::TooLong(bytes) } else { ClientLine::Whole(line) }
}

/// Messages on their way out that nobody has read yet, before those who bring more have to wait.
const QUEUE: usize = 16;
/// A line shorter than this is written with its end by one call; a longer one is not copied.
const SHORT: usize = 16 * 1024;

/// Where lines go; one is never torn by another, nor by a sender that is dropped.
#[derive(Clone, Debug)]
pub(super) struct OutputQueue {
    queue: mpsc::Sender<Bytes>,
}

impl OutputQueue {
    /// The queue, and the work of writing it out: it ends when every [`OutputQueue`] is gone and all is
    /// written, or when nobody reads any more.
    pub(super) fn new<W>(output: W) -> (Self, impl Future<Output = io::Result<()>>)
    where
        W: AsyncWrite + Unpin,
    {
        let (queue, lines) = mpsc::channel(QUEUE);
        (OutputQueue { queue }, write(output, lines))
    }

    /// Hands on one message, which has no line break in it. Waits while the queue is full.
    pub(super) async fn line(&self, message: impl Into<Bytes>) {
        let message = message.into();
        debug_assert!(!message.contains(&b'\n'), "a message is one line");
        // Nobody reads any more: the session is about to end.
        let _ = self.queue.send(message).await;
    }
}

async fn write<W: AsyncWrite + Unpin>(
    mut output: W,
    mut lines: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let mut whole = Vec::new();
    while let Some(line) = lines.recv().await {
        if line.len() < SHORT {
            whole.clear();
            whole.extend_from_slice(&line);
            whole.push(b'\n');
            output.write_all(&whole).await?;
        } else {
            output.write_all(&line).await?;
            output.write_all(b"\n").await?;
        }
        output.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn lines_are_read_whole_or_not_at_all() {
        // A tiny buffer, so that lines come in pieces.
        let text: &[u8] = b"one\n\nthree three\nlong long long\r\nlast";
        let mut input = tokio::io::BufReader::with_capacity(4, text);
        let mut next = async || read(&mut input, 11).await.unwrap();
        assert_eq!(next().await, Some(ClientLine::Whole(b"one".to_vec())));
        assert_eq!(next().await, Some(ClientLine::Whole(Vec::new())));
        assert_eq!(next().await, Some(ClientLine::Whole(b"three three".to_vec())));
        assert_eq!(next().await, Some(ClientLine::TooLong(15)));
        assert_eq!(next().await, Some(ClientLine::Whole(b"last".to_vec())));
        assert_eq!(next().await, None);
    }
}
