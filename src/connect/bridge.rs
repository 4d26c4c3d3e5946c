//! The bridge: what it is made of, what has to be agreed to, and what it learns.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::mcp::body::{self, Scope};
use crate::mcp::tools::Tools;
use crate::message::{Head, RequestTarget};
use crate::net::Dialer;
use crate::sign::Signer;
use crate::verify::DEFAULT_MAX_BODY;
use crate::verify::rejection::chain;

use super::answer_budget::AnswerBudget;
use super::consent::{ConfirmPolicy, Consent, ConsentAnswer, ConsentNeed, NoConsent};
use super::error::BridgeError;
use super::log::LogSink;
use super::send::{EndpointUrl, OutboundRequest, RedirectPolicy, SigningSender, UrlError};

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
pub(super) const QUESTIONS: usize = 32;

/// How a session of [`Bridge::stdio`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StdioEnd {
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
    pub(super) sender: SigningSender,
    pub(super) max_body: usize,
    pub(super) max_answer: usize,
    pub(super) answer_budget: AnswerBudget,
    pub(super) silence: Option<Duration>,
    pub(super) drain: Duration,
    pub(super) log: LogSink,
    key_name: String,
    pub(super) unknown_key_hint: Option<String>,
    pub(super) confirm: ConfirmPolicy,
    pub(super) consent_via: ConsentVia,
    /// Places for questions that wait.
    question_slots: Semaphore,
    /// What the server calls destructive.
    tools: Mutex<Tools>,
}

/// How a person is asked.
#[non_exhaustive]
pub enum ConsentVia {
    /// Not at all: whatever would have to be asked is refused.
    None,
    /// Apart from the client.
    Person(Arc<dyn Consent>),
    /// Through the client itself, by an MCP elicitation that is given up after this time. Whoever
    /// chooses this trusts the client to pass the question on and not to answer it itself. Only a
    /// client on stdio that declared it can elicit by forms is asked; one of revision 2026-07-28
    /// about `tools/call`, `prompts/get` and `resources/read` alone.
    Client(Duration),
}

impl fmt::Debug for ConsentVia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConsentVia::None => "None",
            ConsentVia::Person(_) => "Person",
            ConsentVia::Client(_) => "Client",
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
        let mut sender =
            SigningSender::new(EndpointUrl::parse(url)?, dialer, signer, clock, random);
        sender.silence = Some(DEFAULT_SILENCE);
        Ok(Bridge {
            sender,
            max_body: DEFAULT_MAX_BODY,
            max_answer: DEFAULT_MAX_ANSWER,
            answer_budget: AnswerBudget::new(DEFAULT_MAX_HELD),
            silence: Some(DEFAULT_SILENCE),
            drain: DEFAULT_DRAIN,
            log: LogSink::silent(),
            key_name: String::new(),
            unknown_key_hint: None,
            confirm: ConfirmPolicy::default(),
            consent_via: ConsentVia::None,
            question_slots: Semaphore::new(QUESTIONS),
            tools: Mutex::new(Tools::new()),
        })
    }

    /// Says what happens to `log`.
    #[must_use]
    pub fn with_log(mut self, log: LogSink) -> Self {
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
        self.answer_budget = AnswerBudget::new(bytes);
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

    /// Has a person asked by `consent_via` about what `confirm` names, before it is signed.
    #[must_use]
    pub fn with_consent(mut self, confirm: ConfirmPolicy, consent_via: ConsentVia) -> Self {
        self.confirm = confirm;
        self.consent_via = consent_via;
        self
    }

    /// Sends one message, or asks for a stream. What consent there is was given before.
    pub(super) async fn send(
        &self,
        method: Method,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
        redirects: RedirectPolicy,
    ) -> Result<Response<Incoming>, BridgeError> {
        let fields = with_accept(&method, fields);
        self.sender.send(&OutboundRequest { method, fields, body }, redirects).await
    }

    /// What has to happen to a request before it is signed.
    pub(super) fn need(&self, method: &Method, body: &[u8]) -> ConsentNeed {
        if self.confirm.is_empty() {
            return ConsentNeed::Nothing;
        }
        let Ok(mut head) = Head::new(method.as_str(), RequestTarget::Origin("/".into())) else {
            return ConsentNeed::Refuse;
        };
        // It is sent as JSON whatever it is.
        if head.push("content-type", b"application/json".as_slice()).is_err() {
            return ConsentNeed::Refuse;
        }
        let reading = body::read(&head, body, Scope::Endpoint);
        let tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        match self.confirm.judge(&self.sender.endpoint.url, reading.as_ref(), body, &tools) {
            ConsentNeed::Ask(question) => {
                let id = self.sender.signer.key().public().id().to_string();
                ConsentNeed::Ask(Box::new(question.signed_by(&self.key_name, &id)))
            }
            need => need,
        }
    }

    /// Makes sure that a person has said yes to what a person has to be asked about.
    ///
    /// # Errors
    /// Nobody did; then it must not be signed.
    pub(super) async fn agreed(
        &self,
        method: &Method,
        body: &[u8],
        by_client: Option<&dyn Consent>,
    ) -> Result<RedirectPolicy, BridgeError> {
        let question = match self.need(method, body) {
            ConsentNeed::Nothing => return Ok(RedirectPolicy::FollowOnce),
            ConsentNeed::Ask(question) => question,
            _ => {
                return Err(BridgeError::Declined("nobody could be shown what it does".to_owned()));
            }
        };
        let asker = match (&self.consent_via, by_client) {
            (ConsentVia::Person(person), _) => Some(&**person),
            (ConsentVia::Client(_), by_client) => by_client,
            (ConsentVia::None, _) => None,
        };
        let answer = match (asker, self.question_slots.try_acquire()) {
            (Some(asker), Ok(_slot)) => asker.ask(&question).await,
            (Some(_), Err(_)) => {
                ConsentAnswer::No(NoConsent::NoWay(format!("{QUESTIONS} questions wait already")))
            }
            (None, _) => {
                ConsentAnswer::No(NoConsent::NoWay("nobody is there to be asked".to_owned()))
            }
        };
        match answer {
            // What was shown is what is signed.
            ConsentAnswer::Yes if question.is_of(body) => Ok(RedirectPolicy::Never),
            ConsentAnswer::Yes => {
                Err(BridgeError::Declined("the yes was for another request".to_owned()))
            }
            ConsentAnswer::No(why) => {
                let what = question.operation().printed();
                Err(BridgeError::Declined(format!("{what} was not agreed to: {why}")))
            }
        }
    }

    /// Learns from the server's list of tools which of them are destructive.
    pub(super) fn learn(&self, answer: &str) {
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
pub(super) fn with_accept(
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
