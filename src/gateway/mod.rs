//! The verifying reverse proxy: attestation before any MCP server, without touching it.
//!
//! ```text
//! client ─► sight ─► origin ─► route ─┬─► VerifyLayer ─► session ─► forward ─► upstream
//!           framing   pages            ├─► open paths ───────────────────────►
//!           and host                   └─► 404
//! ```
//!
//! It is [`tower::VerifyLayer`](crate::tower::VerifyLayer) in a reverse proxy. HTTP is hyper's; what
//! two servers could frame or address differently is refused on sight, and a fresh head is built
//! for the upstream, which learns in `Mcpid-*` fields who authorised what it gets. Answers stream
//! back byte for byte.
//!
//! - [`Config`]: the settings. [`Gateway`]: the service. [`GatewayServer`]: the service with its
//!   sockets, for programs that embed a gateway; `examples/gateway.rs` is one.
//! - [`log`]: one line a request, for programs and for the report.
//! - [`report`]: what the lines say, for who wants to turn strict on.
//! - [`Metrics`]: numbers for Prometheus, and [`Admin`], the service that tells them.

mod admin;
mod body;
mod client_address;
mod config;
mod forward;
mod learn;
mod location;
pub mod log;
mod metrics;
mod origin;
mod place;
mod policy;
mod proxy;
mod record;
mod remedy;
pub mod report;
mod route;
mod run;
mod service;
mod session;
mod sight;
mod watched_store;

pub use admin::{Admin, Readiness};
pub use body::GatewayBody;
pub use client_address::{TrustedProxy, TrustedProxyError};
pub use config::{Config, Upstream, UpstreamError};
pub use metrics::Metrics;
pub use policy::Policies;
pub use record::Log;
pub use route::{Open, PathError, Paths};
pub use run::GatewayServer;
pub use service::Gateway;
