//! Tells the service manager that started the gateway when it is ready, by the protocol of
//! systemd's `Type=notify` (sd_notify(3)).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdUnixDatagram};
use std::time::Duration;

use mcpid::gateway::Readiness;
use tokio::net::UnixDatagram;
use tokio::sync::watch;

use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};

const VARIABLE: &str = "NOTIFY_SOCKET";
/// How often readiness is checked until the gateway is ready.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The socket on which a service manager receives the state of this process.
pub(crate) struct Supervisor(StdUnixDatagram);

impl Supervisor {
    /// Connects to the socket that `NOTIFY_SOCKET` names. Returns `None` if the variable is not set.
    ///
    /// # Errors
    /// The variable does not name a socket, or no program listens there.
    pub(crate) fn of_this_process() -> Result<Option<Self>, Failure> {
        let Some(name) = env::var_os(VARIABLE) else { return Ok(None) };
        let address = address(&name).ok_or_else(|| {
            Failure::usage(format!(
                "{VARIABLE} names no socket: neither an absolute path nor @NAME"
            ))
            .hint(format!("unset {VARIABLE}"))
        })?;
        let connected = || -> io::Result<StdUnixDatagram> {
            let socket = StdUnixDatagram::unbound()?;
            socket.connect_addr(&address)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let socket = connected().map_err(|error| {
            let message = format!("cannot reach the socket of {VARIABLE}: {}", reason(&error).1);
            Failure::new(Exit::Unavailable, "supervisor", message)
        })?;
        Ok(Some(Supervisor(socket)))
    }

    /// Reports the state to the service manager until the gateway stops: first why it is not ready
    /// yet, then that it is ready, and at last that it stops. `stopping` becomes true when it
    /// stops. Runs inside a tokio runtime.
    ///
    /// # Errors
    /// The supervisor closed its socket.
    pub(crate) async fn report(
        self,
        readiness: &Readiness,
        mut stopping: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let socket = UnixDatagram::from_std(self.0)?;
        tokio::select! {
            reported = report_ready(&socket, readiness) => reported?,
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        let _ = stopping.wait_for(|stopping| *stopping).await;
        socket.send(b"STOPPING=1\nSTATUS=requests in flight are let through").await.map(drop)
    }
}

/// Waits until the gateway is ready, and reports that.
async fn report_ready(socket: &UnixDatagram, readiness: &Readiness) -> io::Result<()> {
    let mut reported = String::new();
    while let Err(why) = readiness.check().await {
        if why != reported {
            // In the protocol of `sd_notify`, a line feed begins another variable, so line feeds
            // are replaced.
            let line = format!("STATUS=not ready: {}", why.replace(['\n', '\0'], " "));
            socket.send(line.as_bytes()).await?;
            reported = why;
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
    socket.send(b"READY=1\nSTATUS=ready").await.map(drop)
}

/// Returns the address of a socket: an absolute path, or `@` and the name of an abstract socket.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        #[cfg(target_os = "linux")]
        [b'@', rest @ ..] if !rest.is_empty() => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(rest).ok()
        }
        _ => None,
    }
}
