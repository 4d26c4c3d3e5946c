//! The bridge and its settings.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::key::SignByTouch;
use crate::mcp::tools::Tools;
use crate::net::Dialer;
use crate::sign::Signer;
use crate::verify::DEFAULT_MAX_BODY;

use super::answer_budget::AnswerBudget;
use super::consent::{ConfirmPolicy, Consent, ConsentNeed};
use super::endpoint::{EndpointUrl, UrlError};
use super::error::BridgeError;
use super::log::LogSink;
use super::send::{OutboundRequest, RedirectPolicy, SigningSender};
use super::touch::{TouchPrompt, TouchSettings};

/// Default limit of one answer, or of one event of a stream, in bytes.
pub const DEFAULT_MAX_ANSWER: usize = 64 << 20;
/// Default limit of all answers together that are held until the client reads them, in bytes.
pub const DEFAULT_MAX_HELD: usize = 128 << 20;
/// Default time after which a request is given up if the server sends nothing. It is long, because
/// tools may be slow and clients have their own time limits.
pub const DEFAULT_SILENCE: Duration = Duration::from_secs(15 * 60);
/// Default time for which open requests continue after the client closed its input. A script that
/// pipes one message into the bridge closes its input at once, and still gets the answer. A client
/// that wants to stop the bridge at once sends a signal.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(75);

/// Maximum number of questions that wait for a person at a time. A person who gets too many
/// questions would say yes without reading them.
pub(super) const QUESTIONS: usize = 32;

/// The reason why a session of [`Bridge::stdio`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StdioEnd {
    /// The client closed its input, which ends a session by the MCP specification.
    InputClosed,
    /// The client no longer reads the answers.
    OutputClosed,
    /// The caller's `stop` future completed.
    Stopped,
}

/// A signing bridge to one MCP server.
#[derive(Debug)]
pub struct Bridge {
    pub(super) sender: SigningSender,
    pub(super) max_body: usize,
    pub(super) max_answer: usize,
    pub(super) answer_budget: AnswerBudget,
    pub(super) silence: Option<Duration>,
    pub(super) drain: Duration,
    pub(super) log: LogSink,
    pub(super) key_name: String,
    pub(super) unknown_key_hint: Option<String>,
    pub(super) confirm: ConfirmPolicy,
    pub(super) consent_via: ConsentVia,
    /// One permit for each question to a person that waits for an answer.
    pub(super) question_slots: Semaphore,
    /// The server's list of tools, which says which of them are destructive.
    pub(super) tools: Mutex<Tools>,
}

/// How the bridge asks a person for consent.
#[non_exhaustive]
pub enum ConsentVia {
    /// No way to ask: a request that needs consent is refused.
    None,
    /// The program that embeds the bridge asks, for example on a terminal.
    Person(Arc<dyn Consent>),
    /// The client asks, after an MCP elicitation by the bridge, which is given up after this time.
    /// The user has to trust the client to pass the question on and not to answer it itself. Works
    /// only for a client on stdio that declared elicitation by forms, and with revision 2026-07-28
    /// only for `tools/call`, `prompts/get` and `resources/read`.
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
    /// Creates a bridge to the MCP endpoint `url`. It signs requests with `signer`, takes the time
    /// from `clock`, and makes nonces from `random`, which must be a cryptographic generator.
    ///
    /// # Errors
    /// [`UrlError`] if no request can be sent to `url` exactly as it is signed.
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

    /// Sets the log that receives a line about each event. By default nothing is logged.
    #[must_use]
    pub fn with_log(mut self, log: LogSink) -> Self {
        self.sender.log = log.clone();
        self.log = log;
        self
    }

    /// Adds these header fields to every request. They replace fields of the same name.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        self.sender.fixed = fields;
        self
    }

    /// Writes an audit entry for each signed request before the request is sent. Under the policy
    /// `required`, a request whose entry cannot be written is not sent.
    #[must_use]
    pub fn with_audit(mut self, recorder: Arc<crate::audit::Recorder>) -> Self {
        self.sender.audit = Some(recorder);
        self
    }

    /// Signs on a separate thread. An agent that asks a person for each use of its key needs
    /// seconds, and other requests must not wait for it.
    #[must_use]
    pub fn with_slow_key(mut self) -> Self {
        self.sender.is_slow_key = true;
        self
    }

    /// Signs messages of at most `bytes`. Verifiers accept 4 MiB by default.
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Accepts answers, and events of a stream, of at most `bytes` ([`DEFAULT_MAX_ANSWER`]).
    #[must_use]
    pub fn with_max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }

    /// Sets how many bytes of answers are held until the client reads them, for all answers
    /// together ([`DEFAULT_MAX_HELD`]). The first 64 KiB of each answer do not count. If the budget
    /// is used up, a further answer is read only after the client has read other answers. The
    /// bridge gives it up after the time of [`Bridge::with_silence`]. [`Bridge::http`] holds no
    /// answers: it passes their bytes on as they arrive. On stdio, at most 1,024 requests may be
    /// open at a time; a further request is refused.
    #[must_use]
    pub fn with_max_held(mut self, bytes: usize) -> Self {
        self.answer_budget = AnswerBudget::new(bytes);
        self
    }

    /// Sets the name by which questions to a person call the key.
    #[must_use]
    pub fn with_key_name(mut self, name: String) -> Self {
        self.key_name = name;
        self
    }

    /// Sets the hint that is reported if a server does not know the key: an instruction for the
    /// server's operator.
    #[must_use]
    pub fn with_unknown_key_hint(mut self, hint: String) -> Self {
        self.unknown_key_hint = Some(hint);
        self
    }

    /// Sets the time after which a request is given up if the server sends nothing
    /// ([`DEFAULT_SILENCE`]). With `None`, a request is never given up.
    #[must_use]
    pub fn with_silence(mut self, time: Option<Duration>) -> Self {
        self.silence = time;
        self.sender.silence = time;
        self
    }

    /// Sets how long open requests continue after the client closed its input ([`DEFAULT_DRAIN`]).
    #[must_use]
    pub fn with_drain(mut self, time: Duration) -> Self {
        self.drain = time;
        self
    }

    /// Makes the bridge ask a person, by `consent_via`, before it signs a request that `confirm`
    /// matches.
    #[must_use]
    pub fn with_consent(mut self, confirm: ConfirmPolicy, consent_via: ConsentVia) -> Self {
        self.confirm = confirm;
        self.consent_via = consent_via;
        self
    }

    /// Makes the bridge ask a person to touch the security key `key`, called `name`, for requests
    /// that `rules` match: the touch makes a second signature that confirms the first. `prompt`
    /// shows the request to the person. The touch must come within the time for which the signature
    /// is valid ([`Signer::ttl`], at most the window of the profile) less ten seconds. If that time
    /// is ten seconds or less, no request that needs a touch is sent.
    #[must_use]
    pub fn with_touch(
        mut self,
        rules: ConfirmPolicy,
        (key, name): (Arc<dyn SignByTouch>, String),
        prompt: Arc<dyn TouchPrompt>,
    ) -> Self {
        let settings = TouchSettings { rules, key, key_name: name, prompt };
        self.sender.touch = Some(settings).filter(|settings| !settings.rules.is_empty());
        self
    }

    /// Sends one message, or opens a stream of messages from the server. The caller has already
    /// asked for consent if it was needed.
    pub(super) async fn send(
        &self,
        method: Method,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
        redirects: RedirectPolicy,
    ) -> Result<Response<Incoming>, BridgeError> {
        let outbound = self.outbound(method, fields, body)?;
        self.sender.send(&outbound, redirects, &|| ()).await
    }

    /// Returns the message as a request to the server, with the question to show to a person if it
    /// needs a touch.
    ///
    /// # Errors
    /// [`BridgeError::Declined`] if the request needs a touch and cannot be shown to a person.
    pub(super) fn outbound(
        &self,
        method: Method,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<OutboundRequest, BridgeError> {
        let fields = with_accept(&method, fields);
        self.outbound_as_is(method, fields, body)
    }

    /// Like [`Bridge::outbound`], but the request has no other header fields than `fields`.
    ///
    /// # Errors
    /// As [`Bridge::outbound`].
    pub(super) fn outbound_as_is(
        &self,
        method: Method,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<OutboundRequest, BridgeError> {
        let touch = match self.needs_touch(&method, &body) {
            ConsentNeed::Nothing => None,
            ConsentNeed::Ask(question) => Some(question),
            _ => return Err(BridgeError::cannot_be_shown()),
        };
        Ok(OutboundRequest { method, fields, body, touch, again: None })
    }
}

/// Returns `fields`, preceded by the `Content-Type` and `Accept` that MCP prescribes for `method`.
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
