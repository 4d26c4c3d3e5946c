//! The client for one server: a pool of connections over TCP, TLS or a Unix socket.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::{Body, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::proxy::{Proxy, TunnelFailed};
use super::stream::SocketStream;

/// What an exchange ends with: the head of the response, with its body still streaming.
pub type SendResult = Result<Response<Incoming>, Error>;

/// How long an unused connection is kept for the next request. Uvicorn and Node close theirs after 5
/// seconds, and a request that crosses the close is lost, since none is ever sent twice.
const IDLE: Duration = Duration::from_secs(3);
/// Bytes of a response's head.
const LARGEST_HEAD: usize = 128 * 1024;

/// Sends requests. Cloning is cheap; all clones share the connections. Dropping a response's
/// future or body closes the connection (HTTP/1.1) or resets the stream (HTTP/2) at once.
///
/// `Host` is not added: what the caller puts there is sent.
pub struct Dialer<B> {
    client: Client<TimedConnector, B>,
    connector: TimedConnector,
}

impl<B> Clone for Dialer<B> {
    fn clone(&self) -> Self {
        Dialer { client: self.client.clone(), connector: self.connector.clone() }
    }
}

impl<B> std::fmt::Debug for Dialer<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

impl<B> Dialer<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Connects by `via`, within `connect_timeout` for address, connection, tunnel and TLS handshake
    /// together.
    pub fn new(tls: ClientConfig, via: Via, connect_timeout: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(Duration::from_secs(60)));
        http.set_connect_timeout(Some(connect_timeout));
        let plain = PlainConnector { http, via };
        let inner = Arc::new(RwLock::new(secured(&plain, tls)));
        Dialer::by(TimedConnector { plain, inner, connect_timeout })
    }

    /// Connects by `tls` from now on, and so do all that were made [apart](Dialer::apart) from the
    /// same one. A connection that is open already stays as it is for as long as it is in use.
    pub fn trust(&self, tls: ClientConfig) {
        let fresh = secured(&self.connector.plain, tls);
        // Nothing that can panic is done under the lock.
        *self.connector.inner.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// One that connects in the same way, and shares no connection with this one.
    #[must_use]
    pub fn apart(&self) -> Self {
        Dialer::by(self.connector.clone())
    }

    fn by(connector: TimedConnector) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(LARGEST_HEAD)
            .http2_adaptive_window(true)
            // A server that is gone without a word is noticed, also behind a silent stream.
            .http2_keep_alive_interval(Duration::from_secs(30))
            .set_host(false)
            // Only what was taken back before its first byte was written is sent elsewhere.
            .retry_canceled_requests(true)
            .build(connector.clone());
        Dialer { client, connector }
    }

    /// Sends `request`, whose URI is absolute.
    ///
    /// # Errors
    /// No connection, or one that broke before the head of the response.
    pub async fn send(&self, request: Request<B>) -> SendResult {
        self.client.request(request).await
    }
}

fn secured(plain: &PlainConnector, tls: ClientConfig) -> HttpsConnector<PlainConnector> {
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(plain.clone())
}

/// The way to a server.
#[derive(Clone, Debug)]
pub enum Via {
    /// Where the URI of each request says.
    Direct,
    /// Always to this Unix socket.
    Unix(PathBuf),
    /// Where the URI of each request says, through a tunnel.
    Proxy(Proxy),
}

/// Connects by TCP, to a Unix socket or through a tunnel.
#[derive(Clone)]
struct PlainConnector {
    http: HttpConnector,
    via: Via,
}

/// A connection as the client library wants it.
struct ConnectionIo(TokioIo<SocketStream>);

type Connecting<T> =
    Pin<Box<dyn Future<Output = Result<T, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

impl Service<Uri> for PlainConnector {
    type Response = ConnectionIo;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Connecting<ConnectionIo>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self.via.clone() {
            #[cfg(unix)]
            Via::Unix(path) => Box::pin(async move {
                let stream = tokio::net::UnixStream::connect(path).await?;
                Ok(ConnectionIo(TokioIo::new(SocketStream::Unix(stream))))
            }),
            #[cfg(not(unix))]
            Via::Unix(_) => {
                Box::pin(async { Err(io::Error::from(io::ErrorKind::Unsupported).into()) })
            }
            Via::Direct => {
                let connecting = self.http.call(uri);
                Box::pin(async move { Ok(ConnectionIo::tcp(connecting.await?)) })
            }
            Via::Proxy(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
                if let Some(value) = proxy.authorization() {
                    tunnel = tunnel.with_auth(value.clone());
                }
                Box::pin(async move {
                    let connecting = tunnel.call(with_port(&uri)?).await;
                    let stream = connecting.map_err(|error| TunnelFailed::new(&proxy, &error))?;
                    Ok(ConnectionIo::tcp(stream))
                })
            }
        }
    }
}

impl ConnectionIo {
    fn tcp(stream: TokioIo<TcpStream>) -> Self {
        ConnectionIo(TokioIo::new(SocketStream::Tcp(stream.into_inner())))
    }
}

/// Scheme, host and port of `uri`: a tunnel takes 443 for every port that is not named.
fn with_port(uri: &Uri) -> Result<Uri, http::Error> {
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    let authority = format!("{}:{port}", uri.host().unwrap_or_default());
    Uri::builder().scheme("http").authority(authority).path_and_query("/").build()
}

impl Connection for ConnectionIo {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for ConnectionIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for ConnectionIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        hyper::rt::Write::poll_write(Pin::new(&mut self.get_mut().0), cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        hyper::rt::Write::poll_flush(Pin::new(&mut self.get_mut().0), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        hyper::rt::Write::poll_shutdown(Pin::new(&mut self.get_mut().0), cx)
    }

    fn is_write_vectored(&self) -> bool {
        hyper::rt::Write::is_write_vectored(&self.0)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        hyper::rt::Write::poll_write_vectored(Pin::new(&mut self.get_mut().0), cx, bufs)
    }
}

/// The whole of connecting, the TLS handshake included, within a time.
#[derive(Clone)]
struct TimedConnector {
    plain: PlainConnector,
    inner: Arc<RwLock<HttpsConnector<PlainConnector>>>,
    connect_timeout: Duration,
}

impl Service<Uri> for TimedConnector {
    type Response = hyper_rustls::MaybeHttpsStream<ConnectionIo>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.plain.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let mut inner = self.inner.read().unwrap_or_else(PoisonError::into_inner).clone();
        let connect_timeout = self.connect_timeout;
        Box::pin(async move {
            let connecting = async {
                std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
                inner.call(uri).await
            };
            match tokio::time::timeout(connect_timeout, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}
