//! The server of `mcpid demo`: HTTP/1.1 on loopback behind the verification engine. It answers
//! one request a connection, and is made for a story of a second, not for the world.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mcpid::block_on;
use mcpid::message::capture::Captured;
use mcpid::verify::{Refusal, Verified, Verifier};
use serde_json::json;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// The code of every refusal in JSON-RPC (DESIGN section 8).
const REFUSED: i64 = -31401;

/// A server that runs until it is dropped.
pub(crate) struct Stage {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stage {
    /// Takes a free port of loopback; the verifier is made once its number is known.
    pub(crate) fn open(verifier: impl FnOnce(SocketAddr) -> Verifier) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let verifier = verifier(address);
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                // A visitor that breaks off must not end the server.
                let _ = stream.and_then(|stream| answer(stream, &verifier));
            }
        });
        Ok(Stage { address, over, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends these bytes, and gives back status line and body of the answer.
    pub(crate) fn send(&self, request: &[u8]) -> io::Result<(String, String)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.lines().next().unwrap_or_default().trim_start_matches("HTTP/1.1 ");
        Ok((status.to_owned(), body.to_owned()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // One more visitor, so that the thread looks up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, verifier: &Verifier) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    let limit = verifier.max_body() + mcpid::verify::MAX_HEAD;
    let (status, body) = loop {
        match Captured::parse(&bytes, verifier.max_body() as u64) {
            Ok(captured) => break judge(&captured, verifier),
            Err(error) if error.is_incomplete() && bytes.len() <= limit => {
                let read = stream.read(&mut chunk)?;
                if read == 0 {
                    return Ok(());
                }
                bytes.extend_from_slice(chunk.get(..read).unwrap_or_default());
            }
            Err(error) => {
                break ("400 Bad Request", json!({ "error": error.to_string() }).to_string());
            }
        }
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn judge(captured: &Captured<'_>, verifier: &Verifier) -> (&'static str, String) {
    match block_on(verifier.verify(captured.head(), captured.body())) {
        Ok(verified) => ("200 OK", paid(&verified)),
        Err(Refusal::Rejected(rejection)) => {
            ("403 Forbidden", refusal("not authorised", rejection.public_code().as_str()))
        }
        Err(_) => ("503 Service Unavailable", refusal("could not be judged", "unavailable")),
    }
}

/// What the tool answers: it can name who asked, because that is proven.
fn paid(verified: &Verified) -> String {
    let who = verified.name().unwrap_or("somebody");
    json!({
        "jsonrpc": "2.0", "id": 1,
        "result": { "content": [{ "type": "text", "text": format!("done, as {who} asked") }] },
    })
    .to_string()
}

fn refusal(message: &str, reason: &str) -> String {
    let data = json!({ "reason": reason });
    let error = json!({ "code": REFUSED, "message": message, "data": data });
    json!({ "jsonrpc": "2.0", "id": 1, "error": error }).to_string()
}
