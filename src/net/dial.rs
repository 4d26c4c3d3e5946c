//! A client with a pool of connections to one server, over TCP, TLS or a Unix socket.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
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

/// The result of a request: a response whose body is still arriving, or an error.
pub type SendResult = Result<Response<Incoming>, Error>;

/// How long an idle connection is kept: less than the 5 seconds after which servers such as Uvicorn
/// and Node close it. A request that is sent while the server closes the connection is lost,
/// because requests are never sent twice.
const MAX_IDLE: Duration = Duration::from_secs(3);
/// The maximum size of the head of a response (status line and fields), in bytes.
const LARGEST_HEAD: usize = 128 * 1024;

/// Sends requests. Cloning is cheap; all clones share the connections. Dropping the future or the
/// body of a response closes its connection (HTTP/1.1) or resets its stream (HTTP/2) at once.
///
/// `Host` may be left out. It is sent over HTTP/1.1, and over HTTP/2 only if it differs from the
/// authority in the URI. Servers refuse two different hosts in HTTP/2: to name another host than
/// that of the connection, put it into the URI, and name the server with [`Dialer::to_server`].
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
    /// Makes a client that connects by `via`. `connect_timeout` limits name look-up, connection,
    /// tunnel and TLS handshake together.
    pub fn new(tls: ClientConfig, via: DialRoute, connect_timeout: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(Duration::from_secs(60)));
        http.set_connect_timeout(Some(connect_timeout));
        let plain = PlainConnector { http, via };
        let inner = Arc::new(RwLock::new(secured(&plain, tls)));
        Dialer::by(TimedConnector { plain, inner, server: None, connect_timeout })
    }

    /// Connects to the host and port of `server` for every request, and checks a certificate for
    /// that host. The URI of a request is then used only for the request itself.
    #[must_use]
    pub fn to_server(self, server: Uri) -> Self {
        Dialer::by(TimedConnector { server: Some(server), ..self.connector })
    }

    /// Uses the TLS settings `tls` for new connections, also in all clients that
    /// [`Dialer::with_own_pool`] made from this one. Open connections do not change.
    pub fn replace_tls(&self, tls: ClientConfig) {
        let fresh = secured(&self.connector.plain, tls);
        // No code that can panic runs under this lock, so it can be used even if it is poisoned.
        *self.connector.inner.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// Returns a client with the same settings and a separate connection pool.
    #[must_use]
    pub fn with_own_pool(&self) -> Self {
        Dialer::by(self.connector.clone())
    }

    fn by(connector: TimedConnector) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(MAX_IDLE)
            .http1_max_buf_size(LARGEST_HEAD)
            .http2_adaptive_window(true)
            // These pings detect a server that disappeared without closing the connection.
            .http2_keep_alive_interval(Duration::from_secs(30))
            // `Host` is added only over HTTP/1.1, and only if there is none.
            .set_host(true)
            // hyper repeats a request on another connection only if none of its bytes was written.
            .retry_canceled_requests(true)
            .build(connector.clone());
        Dialer { client, connector }
    }

    /// Sends `request`, whose URI is absolute.
    ///
    /// # Errors
    /// [`Error`] if no connection was made, or if it broke before the head of the response.
    pub async fn send(&self, mut request: Request<B>) -> SendResult {
        // RFC 9113 section 8.3.1: HTTP/2 names the host in `:authority`. nginx refuses a request that
        // has `Host` too, even if the two are equal.
        let named = request.headers().get(HOST).map(HeaderValue::as_bytes);
        if named == request.uri().authority().map(|authority| authority.as_str().as_bytes()) {
            request.headers_mut().remove(HOST);
        }
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

/// How to reach a server.
#[derive(Clone, Debug)]
pub enum DialRoute {
    /// Connects to the server itself.
    Direct,
    /// Connects to this Unix socket, and ignores the server that the URI names.
    Unix(PathBuf),
    /// Connects to the server through a tunnel of an HTTP proxy.
    Proxy(Proxy),
}

/// Connects over TCP, to a Unix socket, or through a tunnel; TLS is added later.
#[derive(Clone)]
struct PlainConnector {
    http: HttpConnector,
    via: DialRoute,
}

/// A connection in the form that the client library needs.
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
            DialRoute::Unix(path) => Box::pin(async move {
                let stream = tokio::net::UnixStream::connect(path).await?;
                Ok(ConnectionIo(TokioIo::new(SocketStream::Unix(stream))))
            }),
            #[cfg(not(unix))]
            DialRoute::Unix(_) => {
                Box::pin(async { Err(io::Error::from(io::ErrorKind::Unsupported).into()) })
            }
            DialRoute::Direct => {
                let connecting = self.http.call(uri);
                Box::pin(async move { Ok(ConnectionIo::tcp(connecting.await?)) })
            }
            DialRoute::Proxy(proxy) => {
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

/// Returns scheme, host and port of `uri`. The port is always written, because a tunnel would use
/// 443 by default.
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

/// Makes connections, with a time limit for each that includes the TLS handshake.
#[derive(Clone)]
struct TimedConnector {
    plain: PlainConnector,
    inner: Arc<RwLock<HttpsConnector<PlainConnector>>>,
    /// The server to connect to; `None` for the one in the URI of each request.
    server: Option<Uri>,
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
        let uri = self.server.clone().unwrap_or(uri);
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
