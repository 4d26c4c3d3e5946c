//! A test client that talks to the bridge through two pipes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcpid::clock::{Clock, SystemClock};
use mcpid::connect::{Bridge, LogLevel, LogSink, StdioEnd};
use mcpid::net::{DialRoute, Dialer, tls};
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::server::{Server, key};

/// The lines that the bridge logged.
pub(crate) type Said = Arc<Mutex<Vec<String>>>;

pub(crate) struct Client {
    input: Option<DuplexStream>,
    output: BufReader<DuplexStream>,
    ended: JoinHandle<StdioEnd>,
    stop: Option<oneshot::Sender<()>>,
    said: Said,
}

/// Returns a bridge to `url` that uses `clock`, and the lines that it logs.
pub(crate) fn bridge_at(url: &str, clock: Arc<dyn Clock>) -> (Bridge, Said) {
    let signer = Arc::new(Signer::new(key(), &Profile::mcp()).unwrap());
    let dialer = Dialer::new(
        tls::client_without_roots().unwrap(),
        DialRoute::Direct,
        Duration::from_secs(60),
    );
    let said = Said::default();
    let log = Arc::clone(&said);
    let log = LogSink::new(move |weight, line| {
        let word = if weight == LogLevel::Warning { "warning" } else { "note" };
        log.lock().unwrap().push(format!("{word}: {line}"));
    });
    (Bridge::new(url, dialer, signer, clock, SysRng).unwrap().with_log(log), said)
}

pub(crate) fn bridge(url: &str) -> (Bridge, Said) {
    bridge_at(url, Arc::new(SystemClock))
}

impl Client {
    pub(crate) fn of(server: &Server) -> Self {
        Client::to(&server.url())
    }

    pub(crate) fn to(url: &str) -> Self {
        Client::by(bridge(url))
    }

    pub(crate) fn by((bridge, said): (Bridge, Said)) -> Self {
        let (input, theirs) = tokio::io::duplex(64 * 1024);
        let (output, written) = tokio::io::duplex(64 * 1024);
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(async move {
            let stop = async {
                if stopped.await.is_err() {
                    std::future::pending().await
                }
            };
            bridge.stdio(theirs, written, stop).await
        });
        let output = BufReader::new(output);
        Client { input: Some(input), output, ended, stop: Some(stop), said }
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.raw(format!("{message}\n").as_bytes()).await;
    }

    /// Returns the next line of the bridge, which must be a JSON-RPC message.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_secs(60), self.output.read_line(&mut line));
        let read = read.await.unwrap_or_else(|_| panic!("no line: {:#?}", self.said())).unwrap();
        assert!(read > 0, "the output ended: {:#?}", self.said());
        assert!(line.ends_with('\n'), "{line:?}");
        line
    }

    pub(crate) async fn receive(&mut self) -> Value {
        let line = self.line().await;
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        message
    }

    /// Checks that the bridge writes nothing for 300 ms.
    pub(crate) async fn silence(&mut self) {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        if tokio::time::timeout(Duration::from_millis(300), read).await.is_ok() {
            panic!("not silent: {line:?}");
        }
    }

    pub(crate) async fn ask(&mut self, message: &Value) -> Value {
        self.send(message).await;
        self.receive().await
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Closes the bridge's input. Returns the messages that still arrive, and how the bridge ended.
    pub(crate) async fn end(mut self) -> (Vec<Value>, StdioEnd) {
        self.close_input();
        self.rest().await
    }

    pub(crate) async fn rest(mut self) -> (Vec<Value>, StdioEnd) {
        let mut left = Vec::new();
        let mut line = String::new();
        while self.output.read_line(&mut line).await.unwrap() > 0 {
            left.push(serde_json::from_str(&line).unwrap());
            line.clear();
        }
        let ended = tokio::time::timeout(Duration::from_secs(60), self.ended).await;
        (left, ended.unwrap().unwrap())
    }
}

/// Returns the `_meta` of revision 2026-07-28.
pub(crate) fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// Returns a `tools/call` of revision 2026-07-28.
pub(crate) fn call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    let id: Value = id.into();
    json!({
        "jsonrpc": "2.0",
        "id": id,
        "method": "tools/call",
        "params": { "name": tool, "arguments": arguments, "_meta": meta() },
    })
}

/// Returns a request of revision 2026-07-28 with this method.
pub(crate) fn request(id: impl Into<Value>, method: &str) -> Value {
    let id: Value = id.into();
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": { "_meta": meta() } })
}

/// Returns a call of an older revision.
pub(crate) fn old_call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    let mut call = call(id, tool, arguments);
    call["params"].as_object_mut().unwrap().remove("_meta");
    call
}
