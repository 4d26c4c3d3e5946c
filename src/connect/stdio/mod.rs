//! The bridge for clients that start their server as a process and talk to it over stdin and
//! stdout.

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
use super::params::AnnotatedTools;
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

/// Maximum time that a message waits until the server has answered the notification before it, so
/// that messages stay in order.
const IN_ORDER: Duration = Duration::from_secs(5);
/// Maximum time for each step at the end of a session.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// A message of more than this many times the size limit is skipped while it is read. A shorter one
/// that exceeds the limit is read completely, so that the error can name its id.
const SKIPPED_FROM: usize = 8;

/// One client on stdin and stdout.
struct StdioSession {
    /// A reference to this session, for tasks that outlive the request that started them.
    myself: Weak<StdioSession>,
    bridge: Arc<Bridge>,
    out: OutputQueue,
    mcp_session: McpSession,
    /// Locked while a new session is opened in place of a session that the server has lost.
    renewing: tokio::sync::Mutex<()>,
    params: AnnotatedTools,
    in_flight: RequestsInFlight,
    /// Questions for consent that the client shows (for revisions up to 2025-11-25).
    questions: ClientQuestions,
    /// Calls whose second request, with a person's answer, is awaited (for revision 2026-07-28).
    rounds: ConsentRounds,
    /// The task that reads the messages that the server sends on its own.
    listening: Mutex<Option<AbortHandle>>,
}

impl Bridge {
    /// Serves one client, which writes one message on each line of `input` and reads the server's
    /// messages from `output`. Only MCP messages are written to `output`.
    ///
    /// Returns when `stop` completes, when the client no longer reads `output`, or when the client
    /// has closed `input` and its requests are answered or the time of [`Bridge::with_drain`] has
    /// passed. Needs a tokio runtime.
    pub async fn stdio<R, W>(self, input: R, output: W, stop: impl Future<Output = ()>) -> StdioEnd
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let most = self.max_body.saturating_mul(SKIPPED_FROM);
        let (out, writing) = OutputQueue::new(output);
        let mut writing = tokio::spawn(writing);
        let (sender, mut lines) = mpsc::channel(1);
        let reading = tokio::spawn(async move {
            let mut input = BufReader::with_capacity(64 * 1024, input);
            // An error on the input counts as its end.
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
            params: AnnotatedTools::default(),
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
                    // Handling a line may block while the client does not read the output, so
                    // `stop` is polled too.
                    Some(line) => tokio::select! {
                        () = &mut stop => break StdioEnd::Stopped,
                        _ = &mut writing => break StdioEnd::OutputClosed,
                        posted = work.handle(line) => before = posted,
                    },
                },
            }
        };
        if ended == StdioEnd::InputClosed {
            // Only subscriptions end now. Other requests continue, because a script that pipes one
            // message into the bridge waits for its answer.
            session.in_flight.close_subscriptions();
            session.stop_listening();
            tokio::select! {
                () = &mut stop => ended = StdioEnd::Stopped,
                _ = &mut writing => ended = StdioEnd::OutputClosed,
                _ = tokio::time::timeout(session.bridge.drain, work.all_done()) => {}
            }
        }
        reading.abort();
        // The future that writes the output ends when the last task is dropped.
        work.give_up().await;
        session.end(writing, ended).await;
        ended
    }
}

impl StdioSession {
    /// Writes an error for the request whose id is `id` (JSON), or with the id null, and logs it.
    async fn refuse(&self, id: Option<&str>, error: &BridgeError) {
        self.bridge.log.warn(&error.words());
        self.out.line(error.fault().response(id)).await;
    }

    /// Sends a message after asking a person, if it needs consent.
    async fn send(
        &self,
        method: Method,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<Response<Incoming>, BridgeError> {
        let redirects = self.bridge.agreed(&method, &body, Some(self)).await?;
        self.bridge.send(method, fields, body, redirects).await
    }

    /// Sends a message to which the server sends no answer.
    async fn post(
        &self,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<(), BridgeError> {
        let response = self.send(Method::POST, fields, body).await?;
        if response.status().is_success() {
            // The body is read to its end, so that the connection can be used again.
            let silence = Some(END_TIMEOUT);
            let _ = answer::read(response, &self.bridge, silence).await;
            return Ok(());
        }
        Err(answer::refusal(response, &self.bridge).await)
    }

    fn stop_listening(&self) {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        listening.iter().for_each(AbortHandle::abort);
    }

    /// Ends the session: answers open requests with an error, closes the MCP session, and writes
    /// the remaining lines.
    async fn end(self: Arc<Self>, mut writing: JoinHandle<std::io::Result<()>>, ended: StdioEnd) {
        self.stop_listening();
        if ended != StdioEnd::OutputClosed {
            let why = match ended {
                StdioEnd::Stopped => "mcpid was told to stop",
                _ => "the client closed its end",
            };
            for entry in self.in_flight.give_up() {
                let answer = entry.given_up(why).fault().response(Some(&entry.id));
                let _ = tokio::time::timeout(END_TIMEOUT, self.out.line(answer)).await;
            }
        }
        // At the end of a session, a person is not asked any more. If the DELETE that closes the
        // session needs consent or a touch of a security key, it is not sent.
        let needs =
            [self.bridge.need(&Method::DELETE, &[]), self.bridge.needs_touch(&Method::DELETE, &[])];
        let unasked = needs.iter().all(|need| matches!(need, ConsentNeed::Nothing));
        if self.mcp_session.has_id() && unasked {
            let (fields, _) = self.mcp_session.bare_fields();
            let closing =
                self.bridge.send(Method::DELETE, fields, Bytes::new(), RedirectPolicy::FollowOnce);
            if !matches!(tokio::time::timeout(END_TIMEOUT, closing).await, Ok(Ok(_))) {
                self.bridge.log.note("the server was not told that the session is over");
            }
        }
        drop(self);
        if ended != StdioEnd::OutputClosed {
            let _ = tokio::time::timeout(END_TIMEOUT, &mut writing).await;
        }
        writing.abort();
    }
}
