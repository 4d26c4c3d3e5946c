//! Connections in and out: what the gateway and the bridge stand on.
//!
//! Sockets, TLS and HTTP/1.1 and HTTP/2 framing are the libraries' (tokio, rustls, hyper); here are
//! the limits that a server on the open net needs, and nothing that knows of signatures.
//!
//! - [`ListenAddress`]: where to listen, TCP or a Unix socket.
//! - [`Server`]: accepts, limits, drains, and checks the bytes of heads before they are parsed.
//! - [`Workers`]: the threads that serve, a runtime each.
//! - [`Dialer`]: the pooled client for one server.
//! - [`Proxy`]: the HTTP proxy that a client's connections go through.
//! - [`tls`]: certificates for both.

mod address;
mod dial;
mod listen;
mod peer;
mod proxy;
mod serve;
mod stream;
pub mod tls;
mod workers;

pub use address::{ListenAddress, ListenAddressError};
pub use dial::{Dialer, SendResult, Via};
pub use listen::Listener;
pub use peer::Peer;
pub use proxy::{Proxy, ProxyError, ProxySettings, TunnelFailed};
pub use serve::{HeadFault, RefusedHead, Server, ServerLimits};
pub use workers::Workers;
