//! An HTTP server for public networks: limits, timeouts, and a graceful shutdown.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::listen::Listener;
use super::peer::Peer;
use super::stream::SocketStream;
use super::tls::ReloadableCertificates;
use activity::{Activity, AnswerRefusedRawHead, CountingService, WatchedStream};
use head_filter::{HeadFilter, RefusedHeadSlot};

mod activity;
mod chunks;
mod head_filter;
mod raw_head;

pub use raw_head::{HeadFault, RefusedRawHead};

/// The limits of a server, for all clients together and for each connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerLimits {
    /// The maximum number of connections at once. Further connections wait in the queue of the
    /// operating system.
    pub connections: usize,
    /// The time limit for the TLS handshake, and for each head from its first to its last byte.
    pub head_time: Duration,
    /// Maximum time that a connection may be idle, or that its client may leave a finished response
    /// unread.
    pub idle: Duration,
    /// The maximum size of a head (request line and fields), in bytes. A somewhat longer head still
    /// goes to the service, which has to refuse it: up to 16 KiB more for HTTP/1, up to four times
    /// the limit for HTTP/2. Longer HTTP/1 heads get the answer of [`Server::with_refused_heads`].
    /// Longer HTTP/2 header lists get an empty 431 from hyper, and the service is not called; a
    /// list of over 16 times the limit ends the connection.
    pub head_bytes: usize,
    /// The maximum number of requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// How long a server that is stopping waits for requests in flight.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            connections: 10_000,
            head_time: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            head_bytes: 64 * 1024,
            streams: 128,
            drain: Duration::from_secs(30),
        }
    }
}

/// Maximum time for a connection to close after the server asked it to.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// HTTP/1 heads that exceed the limit by at most this many bytes still go to the service.
const HEAD_ROOM: usize = 16 * 1024;
/// HTTP/2 header lists (RFC 9113 section 6.5.2) up to this multiple of the limit still go to the
/// service. hyper answers longer ones itself, so they can be neither counted nor logged.
const HTTP2_HEAD_FACTOR: usize = 4;
/// Pause before the next attempt to accept a connection, if the process has no free file
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening socket with its limits, and TLS if it has certificates.
///
/// HTTP/1 heads that two servers could delimit differently (request smuggling) or that exceed the
/// limits are refused before they are parsed; see [`HeadFault`].
pub struct Server {
    listener: Listener,
    limits: ServerLimits,
    tls: Option<ReloadableCertificates>,
    refused: AnswerRefusedRawHead,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Whether the server is running or stopping. Each connection watches for changes of this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
    Over,
}

impl Server {
    /// Makes a server that listens at `listener`, without TLS.
    pub fn new(listener: Listener, limits: ServerLimits) -> Self {
        Server { listener, limits, tls: None, refused: Arc::new(|head, _| plain_answer(head)) }
    }

    /// Sets the response to heads that are refused before they are parsed; the default is a line of
    /// text. The service is not called for these heads, and the connection is closed after the
    /// response.
    #[must_use]
    pub fn with_refused_heads<F>(mut self, answer: F) -> Self
    where
        F: Fn(&RefusedRawHead, Peer) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.refused = Arc::new(answer);
        self
    }

    /// Uses TLS with `certificates`, which can be replaced while the server runs.
    #[must_use]
    pub fn with_tls(mut self, certificates: ReloadableCertificates) -> Self {
        self.tls = Some(certificates);
        self
    }

    /// Serves until `stop` completes. Then it accepts no more connections, lets the requests in
    /// flight end within [`ServerLimits::drain`], and closes the remaining connections. Returns how
    /// many were closed so.
    ///
    /// `workers` are the runtimes that serve, each with its own service: the current runtime, or
    /// those of [`Workers::each`](super::Workers::each). A connection is given to the worker with
    /// the fewest connections, and stays there. Without workers, the server stops at the first
    /// connection.
    ///
    /// If a service panics, only the connection of that request ends.
    pub async fn run<S, B>(self, workers: Vec<(Handle, S)>, stop: impl Future<Output = ()>) -> usize
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Server { listener, limits, tls, refused } = self;
        let all = u32::try_from(limits.connections).unwrap_or(u32::MAX).max(1);
        let drain = limits.drain;
        let places = Arc::new(Semaphore::new(all as usize));
        let (phase, phase_changes) = watch::channel(Phase::Running);
        let workers: Vec<_> = workers
            .into_iter()
            .map(|(runtime, service)| {
                let (builder, limits, tls) = (builder(&limits), limits.clone(), tls.clone());
                let refused = Arc::clone(&refused);
                (runtime, Arc::new(ConnectionContext { builder, limits, tls, service, refused }))
            })
            .collect();
        let mut stop = pin!(stop);
        loop {
            let accepted = async {
                // The permit is taken before accepting, so that no connection is accepted that
                // cannot be served.
                let place = Arc::clone(&places).acquire_owned().await;
                let (stream, peer) = listener.accept().await?;
                Ok::<_, io::Error>((place, stream.detach()?, peer))
            };
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accepted => accepted,
            };
            let Ok((place, stream, peer)) = accepted else {
                // Accepting failed: the client gave up while it waited, or the process has no free
                // file descriptors.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            // Each connection of a worker holds one reference to `shared`, so the reference count
            // tells how many it has.
            let fewest = workers.iter().min_by_key(|(_, shared)| Arc::strong_count(shared));
            let Some((runtime, shared)) = fewest else { break };
            let (shared, phase_changes) = (Arc::clone(shared), phase_changes.clone());
            runtime.spawn(async move {
                if let Ok(stream) = stream.attach() {
                    shared.connection(stream, peer, phase_changes).await;
                }
                drop(place);
            });
        }
        drop(listener);
        let _ = phase.send(Phase::Draining);
        if tokio::time::timeout(drain, places.acquire_many(all)).await.is_ok() {
            return 0;
        }
        let cut = (all as usize).saturating_sub(places.available_permits());
        let _ = phase.send(Phase::Over);
        // The closed connections end when their tasks run next.
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, places.acquire_many(all)).await;
        cut
    }

    /// Returns the address of the listener.
    pub fn address(&self) -> &super::ListenAddress {
        self.listener.address()
    }
}

fn builder(limits: &ServerLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper's timeout for heads is off, because `Activity` measures times and can tell an idle
    // connection from a slow head. hyper's limits on heads are somewhat higher than ours, so that
    // the service itself can answer heads that are too long.
    let room = limits.head_bytes.saturating_add(HEAD_ROOM);
    let http2_room = limits.head_bytes.saturating_mul(HTTP2_HEAD_FACTOR);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(room.saturating_add(HEAD_ROOM));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(http2_room).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Returns the default response to a refused head: one line of text.
fn plain_answer(head: &RefusedRawHead) -> Response<Bytes> {
    let fault = head.fault();
    let mut response = Response::new(Bytes::from(format!("{}\n", fault.message())));
    *response.status_mut() = fault.status();
    let media = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

struct ConnectionContext<S> {
    builder: auto::Builder<TokioExecutor>,
    limits: ServerLimits,
    tls: Option<ReloadableCertificates>,
    service: S,
    refused: AnswerRefusedRawHead,
}

impl<S, B> ConnectionContext<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn connection(
        &self,
        stream: SocketStream,
        peer: Peer,
        phase_changes: watch::Receiver<Phase>,
    ) {
        let activity = Arc::new(Activity::new(Instant::now()));
        let stream = WatchedStream::new(stream, Arc::clone(&activity));
        match &self.tls {
            None => self.http(stream, peer, activity, phase_changes).await,
            Some(certificates) => {
                let handshake = TlsAcceptor::from(certificates.config()).accept(stream);
                if let Ok(Ok(stream)) = tokio::time::timeout(self.limits.head_time, handshake).await
                {
                    self.http(stream, peer, activity, phase_changes).await;
                }
            }
        }
    }

    async fn http<I>(
        &self,
        stream: I,
        peer: Peer,
        activity: Arc<Activity>,
        mut phase_changes: watch::Receiver<Phase>,
    ) where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let refused = RefusedHeadSlot::default();
        let most = self.limits.head_bytes.saturating_add(HEAD_ROOM);
        let stream = HeadFilter::new(stream, most, Arc::clone(&refused));
        let (service, answer) = (self.service.clone(), Arc::clone(&self.refused));
        let counting = CountingService::new(service, peer, Arc::clone(&activity), refused, answer);
        let connection = self.builder.serve_connection(TokioIo::new(stream), counting);
        let mut connection = pin!(connection);
        let (head_time, idle) = (self.limits.head_time, self.limits.idle);
        let mut ending: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let wake = match ending {
                // A request that arrived just before the server stopped is still answered.
                Some(end) if now >= end => match activity.overdue(now, head_time, idle) {
                    Ok(wake) => wake,
                    Err(_) => return,
                },
                Some(end) => end,
                None => match activity.overdue(now, head_time, idle) {
                    Ok(wake) => wake,
                    Err(_) => {
                        connection.as_mut().graceful_shutdown();
                        let end = now + SHUTDOWN_GRACE;
                        ending = Some(end);
                        end
                    }
                },
            };
            let phase = tokio::select! {
                // An error of a connection is not reported, because its client sees the connection
                // break.
                _ = connection.as_mut() => return,
                changed = phase_changes.changed() => match changed {
                    Ok(()) => *phase_changes.borrow_and_update(),
                    Err(_) => Phase::Over,
                },
                () = tokio::time::sleep_until(wake.into()) => Phase::Running,
            };
            match phase {
                Phase::Running => {}
                Phase::Draining => connection.as_mut().graceful_shutdown(),
                Phase::Over => return,
            }
        }
    }
}
