//! One request to the agent and its answer, on a separate connection.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::AgentError;

/// The longest message in either direction, without its length field: the limit of OpenSSH's agent.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// Sends `message` of the type `act` to the agent at `socket`. Returns the answer without its
/// length field: the type and the content. The connection, the request and the answer together take
/// at most `within`.
pub(super) fn exchange(
    socket: &Path,
    act: u8,
    message: &[u8],
    within: Duration,
) -> Result<Vec<u8>, AgentError> {
    let length = message.len().saturating_add(1);
    let header = match u32::try_from(length) {
        Ok(header) if length <= MAX_MESSAGE_BYTES => header.to_be_bytes(),
        _ => return Err(AgentError::TooLong(length)),
    };
    let wait = ExchangeTimeout { until: Instant::now() + within, within };
    let mut stream = connect(socket, &wait)?;
    // The request is one buffer that is wiped when it is dropped, because it may contain a private
    // key.
    let mut request = Zeroizing::new(Vec::with_capacity(length + 4));
    request.extend_from_slice(&header);
    request.push(act);
    request.extend_from_slice(message);
    send(&mut stream, &request, &wait)?;

    let mut header = [0; 4];
    receive(&mut stream, &mut header, &wait)?;
    let length = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if length == 0 || length > MAX_MESSAGE_BYTES {
        return Err(AgentError::Malformed("its length is 0 or over 256 KiB"));
    }
    let mut answer = vec![0; length];
    receive(&mut stream, &mut answer, &wait)?;
    Ok(answer)
}

/// The deadline of the whole exchange.
struct ExchangeTimeout {
    until: Instant,
    within: Duration,
}

impl ExchangeTimeout {
    fn remaining(&self) -> Result<Duration, AgentError> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(self.timed_out()),
            left => Ok(left),
        }
    }

    fn timed_out(&self) -> AgentError {
        AgentError::TimedOut(self.within)
    }

    fn failed(&self, error: io::Error) -> AgentError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => self.timed_out(),
            _ => AgentError::Broken(error),
        }
    }
}

/// Connects to the agent's socket. Connecting to an agent that hangs can block forever, and the
/// standard library has no timeout for it. So a separate thread connects, and is left behind after
/// the timeout.
fn connect(socket: &Path, wait: &ExchangeTimeout) -> Result<UnixStream, AgentError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let path = socket.to_owned();
    std::thread::Builder::new()
        .name("ssh-agent".to_owned())
        .spawn(move || drop(sender.send(UnixStream::connect(path))))
        .map_err(AgentError::Broken)?;
    match receiver.recv_timeout(wait.remaining()?) {
        Ok(stream) => {
            stream.map_err(|source| AgentError::Gone { socket: socket.to_owned(), source })
        }
        Err(_) => Err(wait.timed_out()),
    }
}

fn send(
    stream: &mut UnixStream,
    mut bytes: &[u8],
    wait: &ExchangeTimeout,
) -> Result<(), AgentError> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(wait.remaining()?)).map_err(AgentError::Broken)?;
        match stream.write(bytes) {
            Ok(0) => return Err(AgentError::Broken(io::ErrorKind::WriteZero.into())),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(wait.failed(e)),
        }
    }
    Ok(())
}

fn receive(
    stream: &mut UnixStream,
    buffer: &mut [u8],
    wait: &ExchangeTimeout,
) -> Result<(), AgentError> {
    let mut filled = 0;
    while filled < buffer.len() {
        stream.set_read_timeout(Some(wait.remaining()?)).map_err(AgentError::Broken)?;
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Err(AgentError::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(wait.failed(e)),
        }
    }
    Ok(())
}
