//! A gateway with its sockets: it serves requests, answers operators, and shuts down gracefully.

use std::fmt;
use std::future::pending;
use std::thread;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::net::tls::ReloadableCertificates;
use crate::net::{ListenAddress, Listener, Server, ServerLimits, Workers};

use super::admin::Admin;
use super::service::Gateway;

/// The maximum number of connections to the service for operators.
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
    /// Makes a server for `gateway` at `listener`, without TLS. The gateway also answers and logs
    /// heads that the server refuses before parsing.
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

    /// Answers operators at `listener`, at most 32 connections at once. While the gateway drains
    /// (finishes its requests before it ends), `admin` reports that it is not ready.
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
    /// This runs on any tokio runtime, which accepts the connections. Operators are answered on a
    /// separate thread. So a page that takes long to make delays no request, and requests delay no
    /// operator. Dropping the future closes all connections.
    pub async fn run(self, workers: Workers, stop: impl Future<Output = ()>) -> usize {
        let GatewayServer { gateway, server, admin } = self;
        let readiness = admin.as_ref().map(|(_, admin)| admin.readiness());
        let operators = admin.map(|(server, admin)| OperatorService::start(server, admin));
        let stop = async {
            stop.await;
            if let Some(readiness) = readiness {
                readiness.drain();
            }
        };
        let cut = server.run(workers.each(|| gateway.for_another_runtime()), stop).await;
        // Dropping the workers ends their remaining tasks; this writes the log lines of the
        // requests that were still running.
        let _ = tokio::task::spawn_blocking(move || drop(workers)).await;
        if let Some(operators) = operators {
            operators.end().await;
        }
        cut
    }
}

/// Serves the operators' address (health and metrics) on a separate thread. Dropping this value
/// closes its connections.
struct OperatorService {
    accepting: JoinHandle<usize>,
    thread: Option<Workers>,
}

impl OperatorService {
    /// Starts the thread. If the operating system cannot start one, the current runtime serves
    /// operators.
    fn start(server: Server, admin: Admin) -> Self {
        let thread = Workers::new(1).ok();
        let own = thread.as_ref().and_then(|thread| thread.each(|| ()).pop());
        let runtime = own.map_or_else(Handle::current, |(runtime, ())| runtime);
        let accepting = tokio::spawn(server.run(vec![(runtime, admin)], pending()));
        OperatorService { accepting, thread }
    }

    /// Closes the listening socket and the connections.
    async fn end(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for OperatorService {
    fn drop(&mut self) {
        self.accepting.abort();
        // A page that is still being made must not delay the end of the gateway.
        let thread = self.thread.take();
        let _ = thread::Builder::new().spawn(move || drop(thread));
    }
}

impl fmt::Debug for GatewayServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayServer").field("server", &self.server).finish_non_exhaustive()
    }
}
