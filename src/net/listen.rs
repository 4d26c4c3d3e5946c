//! Listening sockets.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::unix::fs::FileTypeExt as _;
#[cfg(unix)]
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::ListenAddress;
use super::peer::Peer;
use super::stream::SocketStream;

/// The maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A listening socket. A Unix socket has mode 0600, and dropping the listener removes its file.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: ListenAddress,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, #[allow(dead_code)] UnlinkOnDrop),
}

/// Removes the file of a Unix socket when it is dropped.
#[cfg(unix)]
#[derive(Debug)]
struct UnlinkOnDrop(PathBuf);

#[cfg(unix)]
impl Drop for UnlinkOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens at `address`; port 0 selects a free port. Needs a tokio runtime.
    ///
    /// The file of a Unix socket is replaced if no process listens at it any more. A socket in use,
    /// and a file that is not a socket, are errors.
    ///
    /// # Errors
    /// Errors of the operating system; `AddrInUse` for a Unix socket that is in use.
    pub async fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(wanted) => {
                let listener = bind_tcp(*wanted)?;
                let address = ListenAddress::Tcp(listener.local_addr()?);
                Ok(Listener { socket: Socket::Tcp(listener), address })
            }
            #[cfg(unix)]
            ListenAddress::Unix(path) => {
                let listener = bind_unix(path).await?;
                let socket = Socket::Unix(listener, UnlinkOnDrop(path.clone()));
                Ok(Listener { socket, address: address.clone() })
            }
            #[cfg(not(unix))]
            ListenAddress::Unix(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }

    /// Returns the address, with the port that was selected.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    pub(super) async fn accept(&self) -> io::Result<(SocketStream, Peer)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Small responses are sent at once (TCP_NODELAY).
                let _ = stream.set_nodelay(true);
                Ok((SocketStream::Tcp(stream), Peer::Tcp(peer)))
            }
            #[cfg(unix)]
            Socket::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((SocketStream::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// Works like `TcpListener::bind`, but with a longer queue for waiting connections. With the usual
/// length of 128, clients wait for a second if many connect at once.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The option is not set on Windows, where it would let other processes use the same port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(unix)]
async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;

    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            Ok(_) => return Err(io::Error::from(io::ErrorKind::AddrInUse)),
            Err(error) => return Err(error),
        },
        Ok(_) => return Err(io::Error::from(io::ErrorKind::AlreadyExists)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    // The mode is set before `listen`, so that no client can connect earlier.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)
}
