//! The verifying reverse proxy: it verifies requests to any MCP server, which need not be changed.
//!
//! ```text
//! client ─► framing ─► web origin ─► route ─┬─► VerifyLayer ─► forward ─► upstream
//!           and host                        ├─► open path ───────────────►
//!                                           └─► 404
//! ```
//!
//! The gateway is a reverse proxy on hyper with a
//! [`tower::VerifyLayer`](crate::tower::VerifyLayer). It refuses requests that two servers could
//! frame or address differently. For the upstream, it writes the head of each request again, with
//! `Mcpid-*` fields for the verdict and the key. Answers are streamed back byte for byte.
//!
//! The same service can be an authorizer for an existing proxy ([`AuthzProtocol`]): the proxy
//! describes each request to the gateway, and passes it on itself.
//!
//! - [`GatewayConfig`]: the settings. [`Gateway`]: the service. [`GatewayServer`]: the service with
//!   its sockets, for programs that embed a gateway; `examples/gateway.rs` is one.
//! - [`log`]: one line for each request, for programs and for the report.
//! - [`report`]: the roll-out report, which is made from these lines. An operator reads it before
//!   turning strict mode on.
//! - [`ToolsQuery`]: the gateway's own question for the upstream's list of tools.
//! - [`Metrics`]: metrics for Prometheus. [`Admin`]: the service for operators, which shows them.

mod admin;
mod admin_host;
mod allowed_origins;
mod application;
mod authz;
mod body;
mod client_address;
mod config;
mod exposition;
mod forward;
mod framing;
mod location;
pub mod log;
mod metrics;
mod normal_target;
mod process_collector;
mod proxy;
mod record;
mod remedy;
pub mod report;
mod run;
mod service;
mod tools_query;
mod upstream_permits;
mod watched_store;
mod witness_collector;

pub use admin::{Admin, Readiness};
pub use admin_host::{AdminHost, AdminHostError};
pub use authz::{AuthzDialect, AuthzProtocol};
pub use body::GatewayBody;
pub use client_address::{TrustedProxy, TrustedProxyError};
pub use config::{GatewayConfig, GatewayRole, Upstream, UpstreamError};
pub use metrics::Metrics;
pub use record::AccessLog;
pub use run::GatewayServer;
pub use service::Gateway;
pub use tools_query::{ToolsQuery, ToolsQueryError};
