//! A gateway with its sockets: it serves requests, answers operators, and shuts down gracefully.

use std::fmt;
use std::future::pending;

use tokio::runtime::Handle;

use crate::net::tls::ReloadableCertificates;
use crate::net::{ListenAddress, Listener, Server, ServerLimits, Workers};

use super::admin::Admin;
use super::service::Gateway;

/// The most connections of operators at once.
const ADMIN_CONNECTIONS: usize = 32;

/// A [`Gateway`] with its listening socket, and with a second socket for operators if wanted.
///
/// ```no_run
/// # async fn serve(gateway: mcpid::gateway::Gateway) -> Result<(), Box<dyn std::error::Error>> {
/// use mcpid::gateway::GatewayServer;
/// use mcpid::net::{Listener, ServerLimits, Workers};
///
/// let listener = Listener::bind(&"127.0.0.1:8080".parse()?).await?;
/// let server = GatewayServer::new(gateway, listener, ServerLimits::default());
/// println!("listening at {}", server.address());
/// let stop = async { drop(tokio::signal::ctrl_c().await) };
/// let cut = server.run(Workers::of_this_machine()?, stop).await;
/// println!("{cut} connections were cut");
/// # Ok(())
/// # }
/// ```
///
/// `examples/gateway.rs` is a complete program.
pub struct GatewayServer {
    gateway: Gateway,
    server: Server,
    admin: Option<(Server, Admin)>,
}

impl GatewayServer {
    /// Serves `gateway` at `listener`, without TLS. The gateway also answers and logs heads that
    /// the server refuses before parsing.
    pub fn new(gateway: Gateway, listener: Listener, limits: ServerLimits) -> Self {
        let refusing = gateway.clone();
        let server = Server::new(listener, limits)
            .with_refused_heads(move |head, peer| refusing.refuse_head(head, peer));
        GatewayServer { gateway, server, admin: None }
    }

    /// Uses TLS with `certificates`, which can be replaced while the gateway runs.
    #[must_use]
    pub fn with_tls(self, certificates: ReloadableCertificates) -> Self {
        GatewayServer { server: self.server.with_tls(certificates), ..self }
    }

    /// Answers operators at `listener`, at most 32 connections at once. While the gateway drains,
    /// `admin` reports that it is not ready.
    #[must_use]
    pub fn with_admin(self, listener: Listener, admin: Admin) -> Self {
        let limits = ServerLimits { connections: ADMIN_CONNECTIONS, ..ServerLimits::default() };
        GatewayServer { admin: Some((Server::new(listener, limits), admin)), ..self }
    }

    /// Returns the address of the gateway's socket.
    pub fn address(&self) -> &ListenAddress {
        self.server.address()
    }

    /// Serves on the threads of `workers` until `stop` completes. Then it accepts no more
    /// connections, and waits for the requests in flight, up to [`ServerLimits::drain`]. Operators
    /// are answered until the last request has ended. Returns how many connections were cut.
    ///
    /// This runs on any tokio runtime, which accepts the connections and answers operators.
    /// Dropping the future cuts all connections.
    pub async fn run(self, workers: Workers, stop: impl Future<Output = ()>) -> usize {
        let GatewayServer { gateway, server, admin } = self;
        let readiness = admin.as_ref().map(|(_, admin)| admin.readiness());
        let operators = async {
            if let Some((server, admin)) = admin {
                server.run(vec![(Handle::current(), admin)], pending()).await;
            }
            pending().await
        };
        let serving = async {
            let stop = async {
                stop.await;
                if let Some(readiness) = readiness {
                    readiness.drain();
                }
            };
            let cut = server.run(workers.each(|| gateway.for_another_runtime()), stop).await;
            // Dropping the workers ends their remaining tasks, and writes the log lines of these
            // requests.
            let _ = tokio::task::spawn_blocking(move || drop(workers)).await;
            cut
        };
        tokio::select! {
            cut = serving => cut,
            () = operators => 0,
        }
    }
}

impl fmt::Debug for GatewayServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayServer").field("server", &self.server).finish_non_exhaustive()
    }
}
