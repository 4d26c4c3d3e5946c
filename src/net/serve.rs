//! A server that strangers may connect to: limits, time-outs, and an orderly end.

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
use activity::{Activity, AnswerRefusedHead, CountingService, WatchedStream};
use head_filter::{HeadFilter, RefusedHeadCell};

mod activity;
mod chunks;
mod head_filter;
mod raw_head;

pub use raw_head::{HeadFault, RefusedHead};

/// What one server gives to all of its clients together, and to each.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerLimits {
    /// Connections at once; more wait in the operating system's queue.
    pub connections: usize,
    /// For the TLS handshake, and again from the first to the last byte of a request's head.
    pub head_time: Duration,
    /// For which a connection may lie without a request, or its client take nothing of any answer
    /// that is there for it.
    pub idle: Duration,
    /// Bytes of a request's head. What is over it by more than 16 KiB is refused here.
    pub head_bytes: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// For the requests in flight when the server is told to stop.
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

/// How long a connection that is asked to end may take for it.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// Bytes over the limit on heads for which the service is still asked.
const HEAD_ROOM: usize = 16 * 1024;
/// How long to wait when the operating system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening socket with its limits, and TLS if it has certificates.
///
/// HTTP/1 heads that two servers could frame differently are refused before they are parsed, as are
/// those over the limits; see [`HeadFault`].
pub struct Server {
    listener: Listener,
    limits: ServerLimits,
    tls: Option<ReloadableCertificates>,
    refused: AnswerRefusedHead,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// What a running server tells each of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
    Over,
}

impl Server {
    /// A server at `listener`, without TLS.
    pub fn new(listener: Listener, limits: ServerLimits) -> Self {
        Server { listener, limits, tls: None, refused: Arc::new(|head, _| plain_answer(head)) }
    }

    /// The same with `answer` in the place of a line of text for heads that are refused before they
    /// are parsed. The service is not asked for these, and the connection is closed behind them.
    #[must_use]
    pub fn with_refused_heads<F>(mut self, answer: F) -> Self
    where
        F: Fn(&RefusedHead, Peer) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.refused = Arc::new(answer);
        self
    }

    /// The same with TLS; `certificates` may change its certificates while it runs.
    #[must_use]
    pub fn with_tls(mut self, certificates: ReloadableCertificates) -> Self {
        self.tls = Some(certificates);
        self
    }

    /// Serves until `stop` is done, then takes no more connections, lets the requests in flight
    /// end within [`ServerLimits::drain`], and cuts off the rest. Returns how many connections were cut.
    ///
    /// `workers` are the runtimes that answer, each with a service of its own: the one that this runs
    /// on, or those of [`Workers::each`](super::Workers::each). A connection is given to the one that
    /// has the fewest, and stays there. With none of them, nobody is served.
    ///
    /// A panic of a service ends its connection and nothing else.
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
                // The place comes first: what cannot be served is not accepted.
                let place = Arc::clone(&places).acquire_owned().await;
                let (stream, peer) = listener.accept().await?;
                Ok::<_, io::Error>((place, stream.detach()?, peer))
            };
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accepted => accepted,
            };
            let Ok((place, stream, peer)) = accepted else {
                // A client that gave up while it waited, or no descriptors left.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            // Each connection holds one reference.
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
        // They end at their next turn.
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, places.acquire_many(all)).await;
        cut
    }

    /// Where it listens.
    pub fn address(&self) -> &super::ListenAddress {
        self.listener.address()
    }
}

fn builder(limits: &ServerLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The times are watched by `Activity`, which knows an idle connection from a slow head. Heads are
    // measured by the filter; somewhat more room than that, and one a little too long for the
    // service gets the service's own answer. HTTP/2 answers what is beyond with an empty 431.
    let room = limits.head_bytes.saturating_add(HEAD_ROOM);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(room.saturating_add(HEAD_ROOM));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(room).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// The answer to a refused head where nothing else is wanted.
fn plain_answer(head: &RefusedHead) -> Response<Bytes> {
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
    refused: AnswerRefusedHead,
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
        let refused = RefusedHeadCell::default();
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
                // Whatever was asked for in the last moment may still be answered.
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
                // Whatever went wrong on a connection is its client's to see.
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
