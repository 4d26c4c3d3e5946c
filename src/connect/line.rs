//! Reads lines from the client and writes lines to it. Each line is one message.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// One line of the input.
#[derive(Debug, PartialEq)]
pub(super) enum ClientLine {
    /// A complete line: its bytes, without the line feed.
    Whole(Vec<u8>),
    /// A line over the limit, which was skipped; the number is its length in bytes.
    TooLong(usize),
}

/// Reads the next line, or None at the end of the input. The last line may lack its line feed. A
/// line of more than `most` bytes is skipped.
///
/// # Errors
/// The error of the input stream.
pub(super) async fn read<R: AsyncBufRead + Unpin>(
    input: &mut R,
    most: usize,
) -> io::Result<Option<ClientLine>> {
    let mut line = Vec::new();
    let mut bytes = 0_usize;
    loop {
        let chunk = input.fill_buf().await?;
        if chunk.is_empty() {
            return Ok((bytes > 0).then(|| finish_line(line, bytes, most)));
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
            return Ok(Some(finish_line(line, bytes, most)));
        }
    }
}

fn finish_line(line: Vec<u8>, bytes: usize, most: usize) -> ClientLine {
    if bytes > most { ClientLine::TooLong(bytes) } else { ClientLine::Whole(line) }
}

/// Maximum number of messages that wait to be written. A task that adds another message has to
/// wait.
const MAX_QUEUED_LINES: usize = 16;
/// A line of at most this many bytes is copied together with its line feed, so that one write sends
/// both.
const MAX_COPIED_LINE: usize = 16 * 1024;

/// The queue of lines for the client. A line is always written whole, even if the task that added
/// it is dropped.
#[derive(Clone, Debug)]
pub(super) struct OutputQueue {
    queue: mpsc::Sender<Bytes>,
}

impl OutputQueue {
    /// Creates the queue, and the future that writes it to `output`. The future ends when every
    /// [`OutputQueue`] is dropped and all lines are written, or when `output` is closed.
    pub(super) fn new<W>(output: W) -> (Self, impl Future<Output = io::Result<()>>)
    where
        W: AsyncWrite + Unpin,
    {
        let (queue, lines) = mpsc::channel(MAX_QUEUED_LINES);
        (OutputQueue { queue }, write(output, lines))
    }

    /// Adds one message, which must not contain a line break. Waits if the queue is full.
    pub(super) async fn line(&self, message: impl Into<Bytes>) {
        let message = message.into();
        debug_assert!(!message.contains(&b'\n'), "a message is one line");
        // An error means that the client no longer reads. The session then ends soon.
        let _ = self.queue.send(message).await;
    }
}

async fn write<W: AsyncWrite + Unpin>(
    mut output: W,
    mut lines: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let mut whole = Vec::new();
    while let Some(line) = lines.recv().await {
        if line.len() < MAX_COPIED_LINE {
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
    async fn lines_are_read_whole_or_skipped() {
        // The buffer is so small that a line arrives in several pieces.
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
