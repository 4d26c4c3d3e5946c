//! The client's side: an unmodified MCP client connects to the bridge, and the bridge signs its
//! requests.
//!
//! ```text
//! client ─► stdio, one message a line ─┐
//!                                      ├─► consent ─► signature ─► Streamable HTTP ─► server
//! client ─► HTTP on loopback ──────────┘
//! ```
//!
//! The bridge supports both kinds of MCP revisions; the client decides which one is used. In
//! 2026-07-28, requests are independent of each other. The revisions up to 2025-11-25 have
//! sessions, a stream for messages that the server sends on its own, and resumption of streams.
//!
//! - Every attempt to send has a new signature, with its own time and nonce. A request that the
//!   server may have executed is never sent again.
//! - Every request gets an answer: the server's answer, or a JSON-RPC error that says why there is
//!   none ([`UNANSWERED`], [`NOT_SENT`], or the error of the server).
//! - A message that two parsers could read differently is refused and not signed.
//! - A person can be asked before a request is signed: see [`consent`]. A person can be asked to
//!   touch a security key: see [`touch`].
//! - The bridge passes access tokens on, and requests none.
//!
//! A bridge on stdin and stdout, with a key in memory:
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mcpid::clock::SystemClock;
//! use mcpid::connect::Bridge;
//! use mcpid::key::SecretKey;
//! use mcpid::net::{DialRoute, Dialer, tls};
//! use mcpid::profile::Profile;
//! use mcpid::sign::Signer;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let key = Arc::new(SecretKey::from_seed(&[7; 32]));
//! let signer = Arc::new(Signer::new(key, &Profile::mcp())?);
//! let dialer = Dialer::new(tls::client(None)?, DialRoute::Direct, Duration::from_secs(20));
//! let url = "https://mcp.example.com/mcp";
//! let bridge = Bridge::new(url, dialer, signer, Arc::new(SystemClock), rand::rngs::SysRng)?;
//! bridge.stdio(tokio::io::stdin(), tokio::io::stdout(), std::future::pending()).await;
//! # Ok(())
//! # }
//! ```

mod agreement;
mod answer;
mod answer_budget;
mod audit_copy;
mod bridge;
mod check;
pub mod consent;
mod endpoint;
mod error;
mod events;
mod json_rpc;
mod line;
mod log;
mod loopback;
mod params;
mod send;
mod session;
mod stdio;
mod timing;
pub mod touch;

pub use bridge::{
    Bridge, ConsentVia, DEFAULT_DRAIN, DEFAULT_MAX_ANSWER, DEFAULT_MAX_HELD, DEFAULT_SILENCE,
    StdioEnd,
};
pub use check::{CheckOutcome, ServerCheck};
pub use endpoint::{EndpointUrl, UrlError};
pub use error::{NOT_SENT, UNANSWERED};
pub use log::{LogLevel, LogSink};
pub use loopback::LoopbackAccess;
