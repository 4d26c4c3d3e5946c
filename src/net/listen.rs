//! A socket that connections come in by.

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

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A bound socket. A Unix socket is one that only its owner can connect to, and its file goes
/// when this is dropped.
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

/// Removes the file of a Unix socket.
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
    /// Listens at `address`; port 0 takes a free one. Runs on a tokio runtime.
    ///
    /// A Unix socket that nobody listens at any more is replaced; one that is in use, and any other
    /// kind of file, is left alone.
    ///
    /// # Errors
    /// The operating system's; `AddrInUse` for a Unix socket that is in use.
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

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    pub(super) async fn accept(&self) -> io::Result<(SocketStream, Peer)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and waited for.
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

/// As `TcpListener::bind`, whose queue of 128 makes a client of a busy moment wait a second.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Not on Windows, where it would let others take a port that is in use.
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
    // Nobody can connect before `listen`, so nobody gets in before the mode is set.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)
}
