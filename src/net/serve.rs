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
use super::stream::Stream;
use super::tls::Shown;
use activity::{Activity, AnswerRefusedHead, Counting, Watched};
use head_filter::{HeadFilter, RefusedRequest};

mod activity;
mod chunks;
mod head_filter;
mod raw_head;

pub use raw_head::{HeadFault, RefusedHead};

/// What one server gives to all of its clients together, and to each.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
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

impl Default for Limits {
    fn default() -> Self {
        Limits {
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
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes over the limit on heads for which the service is still asked.
const HEAD_ROOM: usize = 16 * 1024;
/// How long to wait when the operating system has no more descriptors.
const BREATH: Duration = Duration::from_millis(50);

/// A listening socket with its limits, and TLS if it has certificates.
///
/// HTTP/1 heads that two servers could frame differently are refused before they are parsed, as are
/// those over the limits; see [`HeadFault`].
pub struct Server {
    listener: Listener,
    limits: Limits,
    tls: Option<Shown>,
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
    pub fn new(listener: Listener, limits: Limits) -> Self {
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

    /// The same with TLS; `shown` may change its certificates while it runs.
    #[must_use]
    pub fn with_tls(mut self, shown: Shown) -> Self {
        self.tls = Some(shown);
        self
    }

    /// Serves until `stop` is done, then takes no more connections, lets the requests in flight
    /// end within [`Limits::drain`], and cuts off the rest. Returns how many connections were cut.
    ///
    /// `hands` are the runtimes that answer, each with a service of its own: the one that this runs
    /// on, or those of [`Hands::each`](super::Hands::each). A connection is given to the one that
    /// has the fewest, and stays there. With none of them, nobody is served.
    ///
    /// A panic of a service ends its connection and nothing else.
    pub async fn run<S, B>(self, hands: Vec<(Handle, S)>, stop: impl Future<Output = ()>) -> usize
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
        let (phase, told) = watch::channel(Phase::Running);
        let hands: Vec<_> = hands
            .into_iter()
            .map(|(runtime, service)| {
                let (builder, limits, tls) = (builder(&limits), limits.clone(), tls.clone());
                let refused = Arc::clone(&refused);
                (runtime, Arc::new(Shared { builder, limits, tls, service, refused }))
            })
            .collect();
        let mut stop = pin!(stop);
        loop {
            let accepted = async {
                // The place comes first: what cannot be served is not accepted.
                let place = Arc::clone(&places).acquire_owned().await;
                let (stream, peer) = listener.accept().await?;
                Ok::<_, io::Error>((place, stream.loose()?, peer))
            };
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accepted => accepted,
            };
            let Ok((place, stream, peer)) = accepted else {
                // A client that gave up while it waited, or no descriptors left.
                tokio::time::sleep(BREATH).await;
                continue;
            };
            // Each connection holds one reference.
            let fewest = hands.iter().min_by_key(|(_, shared)| Arc::strong_count(shared));
            let Some((runtime, shared)) = fewest else { break };
            let (shared, told) = (Arc::clone(shared), told.clone());
            runtime.spawn(async move {
                if let Ok(stream) = stream.taken() {
                    shared.connection(stream, peer, told).await;
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
        let _ = tokio::time::timeout(FAREWELL, places.acquire_many(all)).await;
        cut
    }

    /// Where it listens.
    pub fn address(&self) -> &super::Address {
        self.listener.address()
    }
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
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
    let mut response = Response::new(Bytes::from(format!("{}\n", fault.words())));
    *response.status_mut() = fault.status();
    let media = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

struct Shared<S> {
    builder: auto::Builder<TokioExecutor>,
    limits: Limits,
    tls: Option<Shown>,
    service: S,
    refused: AnswerRefusedHead,
}

impl<S, B> Shared<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn connection(&self, stream: Stream, peer: Peer, told: watch::Receiver<Phase>) {
        let activity = Arc::new(Activity::new(Instant::now()));
        let stream = Watched::new(stream, Arc::clone(&activity));
        match &self.tls {
            None => self.http(stream, peer, activity, told).await,
            Some(shown) => {
                let handshake = TlsAcceptor::from(shown.config()).accept(stream);
                if let Ok(Ok(stream)) = tokio::time::timeout(self.limits.head_time, handshake).await
                {
                    self.http(stream, peer, activity, told).await;
                }
            }
        }
    }

    async fn http<I>(
        &self,
        stream: I,
        peer: Peer,
        activity: Arc<Activity>,
        mut told: watch::Receiver<Phase>,
    ) where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let refused = RefusedRequest::default();
        let most = self.limits.head_bytes.saturating_add(HEAD_ROOM);
        let stream = HeadFilter::new(stream, most, Arc::clone(&refused));
        let (service, answer) = (self.service.clone(), Arc::clone(&self.refused));
        let counting = Counting::new(service, peer, Arc::clone(&activity), refused, answer);
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
                        let end = now + FAREWELL;
                        ending = Some(end);
                        end
                    }
                },
            };
            let phase = tokio::select! {
                // Whatever went wrong on a connection is its client's to see.
                _ = connection.as_mut() => return,
                changed = told.changed() => match changed {
                    Ok(()) => *told.borrow_and_update(),
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
