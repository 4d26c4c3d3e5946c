//! The client's side: an unmodified MCP client speaks to the bridge, and the bridge signs.
//!
//! ```text
//! client ─► stdio, one message a line ─┐
//!                                      ├─► consent ─► signature ─► Streamable HTTP ─► server
//! client ─► HTTP on loopback ──────────┘
//! ```
//!
//! Both revisions are spoken: 2026-07-28, in which each request stands for itself, and the ones up
//! to 2025-11-25, with sessions, a stream for what the server sends unasked, and resumption. The
//! client decides which; the bridge follows.
//!
//! - Every attempt is signed anew, with a time and a nonce of its own. What may have been
//!   processed is never sent again.
//! - Every request gets an answer; what kept it from the server's is said in a JSON-RPC error
//!   ([`UNANSWERED`], [`NOT_SENT`], or the server's own).
//! - A message that a verifier could not read in one way only is refused, not signed.
//! - What a key is lent for can be put before a person first: [`consent`].
//! - It passes tokens along and obtains none.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::mcp::body::{self, Scope};
use crate::mcp::tools::Tools;
use crate::message::{Head, RequestTarget};
use crate::net::{Dialer, Server};
use crate::sign::Signer;
use crate::verify::DEFAULT_MAX_BODY;
use crate::verify::rejection::chain;

mod answer;
mod check;
pub mod consent;
mod copy;
mod events;
mod held;
mod line;
mod log;
mod loopback;
mod params;
mod rpc;
mod send;
mod session;
mod stdio;
mod timing;
mod trouble;

use consent::{Answer, Confirm, Consent, Need, Refused};
use held::AnswerRoom;
use send::{Away, Endpoint, Outbound, Sender};
use trouble::Trouble;

pub use check::{CheckOutcome, ServerCheck};
pub use log::{Log, Weight};
pub use loopback::Door;
pub use send::{Endpoint as Url, UrlError};
pub use trouble::{NOT_SENT, UNANSWERED};

/// Bytes of an answer, or of one event of a stream, that are held to be handed on.
pub const DEFAULT_MAX_ANSWER: usize = 64 << 20;
/// Bytes of all answers together that are held until the client has read them.
pub const DEFAULT_MAX_HELD: usize = 128 << 20;
/// How long a server may say nothing before a request is given up: long, since tools may be slow
/// and clients have a limit of their own.
pub const DEFAULT_SILENCE: Duration = Duration::from_secs(15 * 60);
/// How long requests may take to end after the client closed its end: a client that has gone says
/// so by a signal, and a script that pipes a message in may have to wait for a server's minute.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(75);

/// Questions that wait for a person at a time: who is asked more than can be read says yes to all.
const QUESTIONS: usize = 32;

/// How a session of [`Bridge::stdio`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The client closed its end, as it should.
    InputClosed,
    /// Nobody reads the answers any more.
    OutputClosed,
    /// It was told to.
    Stopped,
}

/// A signing bridge to one server.
#[derive(Debug)]
pub struct Bridge {
    sender: Sender,
    max_body: usize,
    max_answer: usize,
    room: AnswerRoom,
    silence: Option<Duration>,
    drain: Duration,
    log: Log,
    key_name: String,
    unknown_key_hint: Option<String>,
    confirm: Confirm,
    asking: Asking,
    /// Places for questions that wait.
    places: Semaphore,
    /// What the server calls destructive.
    tools: Mutex<Tools>,
}

/// How a person is asked.
#[non_exhaustive]
pub enum Asking {
    /// Not at all: whatever would have to be asked is refused.
    Nobody,
    /// Apart from the client.
    Person(Arc<dyn Consent>),
    /// Through the client itself, by an MCP elicitation that is given up after this time. Whoever
    /// chooses this trusts the client to pass the question on and not to answer it itself. Only a
    /// client on stdio that declared it can elicit by forms is asked; one of revision 2026-07-28
    /// about `tools/call`, `prompts/get` and `resources/read` alone.
    Client(Duration),
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Asking::Nobody => "Nobody",
            Asking::Person(_) => "Person",
            Asking::Client(_) => "Client",
        })
    }
}

impl Bridge {
    /// A bridge to the MCP endpoint `url`, which signs with `signer` at the time of `clock`, with
    /// nonces from `random`, which must be a cryptographic generator.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn new<R>(
        url: &str,
        dialer: Dialer<Full<Bytes>>,
        signer: Arc<Signer>,
        clock: Arc<dyn Clock>,
        random: R,
    ) -> Result<Self, UrlError>
    where
        R: rand::TryCryptoRng + Send + 'static,
        R::Error: Send + Sync + 'static,
    {
        let mut sender = Sender::new(Endpoint::parse(url)?, dialer, signer, clock, random);
        sender.silence = Some(DEFAULT_SILENCE);
        Ok(Bridge {
            sender,
            max_body: DEFAULT_MAX_BODY,
            max_answer: DEFAULT_MAX_ANSWER,
            room: AnswerRoom::new(DEFAULT_MAX_HELD),
            silence: Some(DEFAULT_SILENCE),
            drain: DEFAULT_DRAIN,
            log: Log::silent(),
            key_name: String::new(),
            unknown_key_hint: None,
            confirm: Confirm::default(),
            asking: Asking::Nobody,
            places: Semaphore::new(QUESTIONS),
            tools: Mutex::new(Tools::new()),
        })
    }

    /// Says what happens to `log`.
    #[must_use]
    pub fn with_log(mut self, log: Log) -> Self {
        self.sender.log = log.clone();
        self.log = log;
        self
    }

    /// Sends these fields with every request, in place of any of the same name.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        self.sender.fixed = fields;
        self
    }

    /// Writes down what is signed before it is sent. Under the policy `required` nothing is sent
    /// without its entry.
    #[must_use]
    pub fn with_audit(mut self, recorder: Arc<crate::audit::Recorder>) -> Self {
        self.sender.audit = Some(recorder);
        self
    }

    /// The key's holder may take its time, as an agent that asks a person does: others are served
    /// meanwhile.
    #[must_use]
    pub fn with_slow_key(mut self) -> Self {
        self.sender.waits = true;
        self
    }

    /// Signs messages of at most `bytes`. What verifiers accept by default is 4 MiB.
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Takes answers, and events of a stream, of at most `bytes`.
    #[must_use]
    pub fn with_max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }

    /// Holds at most `bytes` of all answers together that the client has not read, the first 64 KiB
    /// of each not counted. Until there is room for an answer it is not read from the server; one
    /// that has waited for as long as a server may say nothing is given up. Answers on their way
    /// through [`Bridge::http`] are not held.
    #[must_use]
    pub fn with_max_held(mut self, bytes: usize) -> Self {
        self.room = AnswerRoom::new(bytes);
        self
    }

    /// Calls the key `name` where a person is asked.
    #[must_use]
    pub fn with_key_name(mut self, name: String) -> Self {
        self.key_name = name;
        self
    }

    /// Says `hint` where a server does not know the key: what its operator has to do.
    #[must_use]
    pub fn with_unknown_key_hint(mut self, hint: String) -> Self {
        self.unknown_key_hint = Some(hint);
        self
    }

    /// Gives a request up when the server said nothing for `time`; never without one.
    #[must_use]
    pub fn with_silence(mut self, time: Option<Duration>) -> Self {
        self.silence = time;
        self.sender.silence = time;
        self
    }

    /// Lets requests end for `time` after the client closed its end.
    #[must_use]
    pub fn with_drain(mut self, time: Duration) -> Self {
        self.drain = time;
        self
    }

    /// Has a person asked by `asking` about what `confirm` names, before it is signed.
    #[must_use]
    pub fn with_consent(mut self, confirm: Confirm, asking: Asking) -> Self {
        self.confirm = confirm;
        self.asking = asking;
        self
    }

    /// Serves one client that writes its messages to `input`, one a line, and reads those of the
    /// server from `output`. Nothing else is ever written there.
    ///
    /// Ends when the client closes its end and what waits is answered or [`Bridge::with_drain`] is
    /// over, when nobody reads `output`, or when `stop` is done. Runs on a tokio runtime.
    pub async fn stdio<R, W>(self, input: R, output: W, stop: impl Future<Output = ()>) -> Ended
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        stdio::run(Arc::new(self), input, output, stop).await
    }

    /// Sends one message, or asks for a stream. What consent there is was given before.
    async fn send(
        &self,
        method: Method,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
        away: Away,
    ) -> Result<Response<Incoming>, Trouble> {
        let fields = with_accept(&method, fields);
        self.sender.send(&Outbound { method, fields, body }, away).await
    }

    /// What has to happen to a request before it is signed.
    fn need(&self, method: &Method, body: &[u8]) -> Need {
        if self.confirm.is_empty() {
            return Need::Nothing;
        }
        let Ok(mut head) = Head::new(method.as_str(), RequestTarget::Origin("/".into())) else {
            return Need::Refuse;
        };
        // It is sent as JSON whatever it is.
        if head.push("content-type", b"application/json".as_slice()).is_err() {
            return Need::Refuse;
        }
        let reading = body::read(&head, body, Scope::Endpoint);
        let tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        match self.confirm.judge(&self.sender.endpoint.url, reading.as_ref(), body, &tools) {
            Need::Ask(asked) => {
                let id = self.sender.signer.key().public().id().to_string();
                Need::Ask(Box::new(asked.signed_by(&self.key_name, &id)))
            }
            need => need,
        }
    }

    /// Serves clients that speak HTTP to `server`, those that `door` lets in, until `stop` is done.
    /// Returns how many connections were cut off then.
    pub async fn http(self, server: Server, door: Door, stop: impl Future<Output = ()>) -> usize {
        loopback::run(Arc::new(self), server, door, stop).await
    }

    /// Makes sure that a person has said yes to what a person has to be asked about.
    ///
    /// # Errors
    /// Nobody did; then it must not be signed.
    async fn agreed(
        &self,
        method: &Method,
        body: &[u8],
        by_client: Option<&dyn Consent>,
    ) -> Result<Away, Trouble> {
        let asked = match self.need(method, body) {
            Need::Nothing => return Ok(Away::Once),
            Need::Ask(asked) => asked,
            _ => return Err(Trouble::Declined("nobody could be shown what it does".to_owned())),
        };
        let asker = match (&self.asking, by_client) {
            (Asking::Person(person), _) => Some(&**person),
            (Asking::Client(_), by_client) => by_client,
            (Asking::Nobody, _) => None,
        };
        let answer = match (asker, self.places.try_acquire()) {
            (Some(asker), Ok(_place)) => asker.ask(&asked).await,
            (Some(_), Err(_)) => {
                Answer::No(Refused::NoWay(format!("{QUESTIONS} questions wait already")))
            }
            (None, _) => Answer::No(Refused::NoWay("nobody is there to be asked".to_owned())),
        };
        match answer {
            // What was shown is what is signed.
            Answer::Yes if asked.is_of(body) => Ok(Away::Never),
            Answer::Yes => Err(Trouble::Declined("the yes was for another request".to_owned())),
            Answer::No(why) => {
                let what = asked.operation().printed();
                Err(Trouble::Declined(format!("{what} was not agreed to: {why}")))
            }
        }
    }

    /// Learns from the server's list of tools which of them are destructive.
    fn learn(&self, answer: &str) {
        if !self.confirm.is_empty() {
            let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = tools.learn(answer.as_bytes()) {
                let words = "nothing is learned from it, and tools that no other list has named \
                             count as destructive";
                self.log.warn(&format!("{}: {words}", chain(&error)));
            }
        }
    }
}

/// `fields` behind those that say what is sent and what is wanted back.
fn with_accept(
    method: &Method,
    fields: Vec<(HeaderName, HeaderValue)>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut all = Vec::with_capacity(fields.len() + 2);
    if *method == Method::POST {
        all.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
        let both = HeaderValue::from_static("application/json, text/event-stream");
        all.push((header::ACCEPT, both));
    } else if *method == Method::GET {
        all.push((header::ACCEPT, HeaderValue::from_static("text/event-stream")));
    }
    all.extend(fields);
    all
}
