//! The client's side: an unmodified MCP client speaks to the bridge, and the bridge signs.
//!
//! ```text
//! client ─► stdio, one message a line ─┐
//!                                      ├─► consent ─► signature ─► Streamable HTTP ─► server
//! client ─► HTTP on loopback ──────────┘
//! ```
//!
//! Both revisions are spoken: 2026-07-28, in which each request stands for itself, and the ones up
//! to 2025-11-25, with sessions, a stream for what the server sends unasked, and resumption. The
//! client decides which; the bridge follows.
//!
//! - Every attempt is signed anew, with a time and a nonce of its own. What may have been
//!   processed is never sent again.
//! - Every request gets an answer; what kept it from the server's is said in a JSON-RPC error
//!   ([`UNANSWERED`], [`NOT_SENT`], or the server's own).
//! - A message that a verifier could not read in one way only is refused, not signed.
//! - What a key is lent for can be put before a person first: [`consent`].
//! - It passes tokens along and obtains none.

mod answer;
mod answer_budget;
mod audit_copy;
mod bridge;
mod check;
pub mod consent;
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

pub use bridge::{
    Bridge, ConsentVia, DEFAULT_DRAIN, DEFAULT_MAX_ANSWER, DEFAULT_MAX_HELD, DEFAULT_SILENCE,
    StdioEnd,
};
pub use check::{CheckOutcome, ServerCheck};
pub use error::{NOT_SENT, UNANSWERED};
pub use log::{LogLevel, LogSink};
pub use loopback::LoopbackAccess;
pub use send::{EndpointUrl, UrlError};
