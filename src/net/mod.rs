//! HTTP server and client for the gateway and the bridge.
//!
//! tokio, rustls and hyper provide sockets, TLS and HTTP framing. This module adds the limits that
//! a public server needs. It knows nothing about signatures.
//!
//! - [`ListenAddress`]: where to listen, TCP or a Unix socket.
//! - [`Server`]: accepts connections, limits them, stops without cutting requests off, and checks
//!   the bytes of heads before they are parsed.
//! - [`Workers`]: the threads that serve, each with its own runtime.
//! - [`Dialer`]: a client with a pool of connections to one server.
//! - [`Proxy`]: the HTTP proxy that a client's connections go through.
//! - [`tls`]: TLS settings for servers and clients.

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
pub use dial::{DialRoute, Dialer, SendResult};
pub use listen::Listener;
pub use peer::Peer;
pub use proxy::{Proxy, ProxyError, ProxySettings, TunnelFailed};
pub use serve::{HeadFault, RefusedRawHead, Server, ServerLimits};
pub use workers::Workers;
