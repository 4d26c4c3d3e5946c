//! The front for clients that start a server as a process and speak to it by its streams.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};

use super::answer;
use super::bridge::{Bridge, StdioEnd};
use super::consent::ConsentNeed;
use super::error::BridgeError;
use super::line::{self, OutputQueue};
use super::params::ParamMirror;
use super::send::RedirectPolicy;
use super::session::McpSession;
use elicitation::ClientQuestions;
use in_flight::RequestsInFlight;
use reading::read;
use rounds::ConsentRounds;
use tasks::SessionTasks;

mod call;
mod deliver;
mod elicitation;
mod in_flight;
pub(super) mod reading;
mod request;
mod rounds;
mod stream;
mod tasks;
mod tools;

/// How long the next message may have to wait for a notification before it to arrive.
const IN_ORDER: Duration = Duration::from_secs(5);
/// How long the end of a session may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// A message so many times over the limit is not even held to be refused.
const HELD: usize = 8;

/// One client.
struct StdioSession {
    /// For work that outlives the request that began it.
    myself: Weak<StdioSession>,
    bridge: Arc<Bridge>,
    out: OutputQueue,
    mcp_session: McpSession,
    /// Held while a lost session is opened anew.
    renewing: tokio::sync::Mutex<()>,
    params: ParamMirror,
    in_flight: RequestsInFlight,
    /// Questions that the client was asked to pass on.
    questions: ClientQuestions,
    /// Calls that wait for the client to come back with a yes.
    rounds: ConsentRounds,
    /// The stream for what the server sends unasked.
    listening: Mutex<Option<AbortHandle>>,
}

impl Bridge {
    /// Serves one client that writes its messages to `input`, one a line, and reads those of the
    /// server from `output`. Nothing else is ever written there.
    ///
    /// Ends when the client closes its end and what waits is answered or [`Bridge::with_drain`] is
    /// over, when nobody reads `output`, or when `stop` is done. Runs on a tokio runtime.
    pub async fn stdio<R, W>(self, input: R, output: W, stop: impl Future<Output = ()>) -> StdioEnd
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let most = self.max_body.saturating_mul(HELD);
        let (out, writing) = OutputQueue::new(output);
        let mut writing = tokio::spawn(writing);
        let (sender, mut lines) = mpsc::channel(1);
        let reading = tokio::spawn(async move {
            let mut input = BufReader::with_capacity(64 * 1024, input);
            // A stream that breaks has ended.
            while let Ok(Some(line)) = line::read(&mut input, most).await {
                if sender.send(line).await.is_err() {
                    return;
                }
            }
        });
        let session = Arc::new_cyclic(|myself| StdioSession {
            myself: Weak::clone(myself),
            bridge: Arc::new(self),
            out,
            mcp_session: McpSession::default(),
            renewing: tokio::sync::Mutex::new(()),
            params: ParamMirror::default(),
            in_flight: RequestsInFlight::default(),
            questions: ClientQuestions::default(),
            rounds: ConsentRounds::default(),
            listening: Mutex::new(None),
        });
        let mut work = SessionTasks::new(Arc::clone(&session));
        let mut stop = std::pin::pin!(stop);
        let mut before: Option<oneshot::Receiver<()>> = None;
        let mut ended = loop {
            let next = async {
                if let Some(posted) = &mut before {
                    let _ = tokio::time::timeout(IN_ORDER, posted).await;
                }
                before = None;
                lines.recv().await
            };
            tokio::select! {
                () = &mut stop => break StdioEnd::Stopped,
                _ = &mut writing => break StdioEnd::OutputClosed,
                () = work.one_done() => {}
                line = next => match line {
                    None => break StdioEnd::InputClosed,
                    // It may have to wait for a client that does not read.
                    Some(line) => tokio::select! {
                        () = &mut stop => break StdioEnd::Stopped,
                        _ = &mut writing => break StdioEnd::OutputClosed,
                        posted = work.handle(line) => before = posted,
                    },
                },
            }
        };
        if ended == StdioEnd::InputClosed {
            // Whoever pipes a message in wants its answer; a client that has gone waits for nothing.
            session.in_flight.close_listening();
            session.stop_listening();
            tokio::select! {
                () = &mut stop => ended = StdioEnd::Stopped,
                _ = &mut writing => ended = StdioEnd::OutputClosed,
                _ = tokio::time::timeout(session.bridge.drain, work.all_done()) => {}
            }
        }
        reading.abort();
        // With the last task the output ends.
        work.give_up().await;
        session.end(writing, ended).await;
        ended
    }
}

impl StdioSession {
    /// Answers the request whose id is `id` (JSON), or nobody's, with an error.
    async fn refuse(&self, id: Option<&str>, error: &BridgeError) {
        self.bridge.log.warn(&error.words());
        self.out.line(error.fault().response(id)).await;
    }

    /// Sends what a person need not be asked about, or said yes to.
    async fn send(
        &self,
        method: Method,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<Response<Incoming>, BridgeError> {
        let redirects = self.bridge.agreed(&method, &body, Some(self)).await?;
        self.bridge.send(method, fields, body, redirects).await
    }

    /// Sends a message that wants no answer.
    async fn post(
        &self,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<(), BridgeError> {
        let response = self.send(Method::POST, fields, body).await?;
        if response.status().is_success() {
            // Nothing is wanted, but a connection whose answer was read can be used again.
            let silence = Some(FAREWELL);
            let _ = answer::read(response, &self.bridge, silence).await;
            return Ok(());
        }
        Err(answer::refusal(response, &self.bridge).await)
    }

    fn stop_listening(&self) {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        listening.iter().for_each(AbortHandle::abort);
    }

    /// The orderly end: what waits is answered, the session closed, the last line written.
    async fn end(self: Arc<Self>, mut writing: JoinHandle<std::io::Result<()>>, ended: StdioEnd) {
        self.stop_listening();
        if ended != StdioEnd::OutputClosed {
            let why = match ended {
                StdioEnd::Stopped => "mcpid was told to stop".to_owned(),
                _ => "the client closed its end".to_owned(),
            };
            let error = BridgeError::Broken(why);
            for entry in self.in_flight.give_up() {
                let told = self.out.line(error.fault().response(Some(&entry.id)));
                let _ = tokio::time::timeout(FAREWELL, told).await;
            }
        }
        // At the end nobody is asked any more.
        let unasked = matches!(self.bridge.need(&Method::DELETE, &[]), ConsentNeed::Nothing);
        if self.mcp_session.has_id() && unasked {
            let (fields, _) = self.mcp_session.bare_fields();
            let farewell =
                self.bridge.send(Method::DELETE, fields, Bytes::new(), RedirectPolicy::FollowOnce);
            if !matches!(tokio::time::timeout(FAREWELL, farewell).await, Ok(Ok(_))) {
                self.bridge.log.note("the server was not told that the session is over");
            }
        }
        drop(self);
        if ended != StdioEnd::OutputClosed {
            let _ = tokio::time::timeout(FAREWELL, &mut writing).await;
        }
        writing.abort();
    }
}
