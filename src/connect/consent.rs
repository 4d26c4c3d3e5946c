//! Consent: before a request is signed, a person sees what the request does and says yes or no.
//!
//! ```text
//! body ─► ConfirmPolicy::judge ─┬─► nothing to ask: sign
//!                               ├─► unreadable: refuse
//!                               └─► ConsentQuestion ─► Consent::ask ─► yes: sign | no: refuse
//! ```
//!
//! This module decides which requests need consent and how a request is shown. An implementation of
//! [`Consent`] asks the question, for example on a terminal. Only an explicit yes is consent; a
//! missing answer, a missing way to ask and a failed question count as no. The request is signed
//! after the yes, and [`ConsentQuestion::is_about`] checks that the signed body is the body that
//! was shown.
//!
//! ```
//! use mcpid::connect::consent::{ConfirmPolicy, ConsentNeed, PageLimits};
//! use mcpid::mcp::body::{self, Scope};
//! use mcpid::mcp::tools::Tools;
//! use mcpid::message::{Head, RequestTarget};
//!
//! let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call",
//!     "params":{"name":"delete_file","arguments":{"path":"/home/me/notes.txt"}}}"#;
//! let mut head = Head::new("POST", RequestTarget::Origin("/mcp".into()))?;
//! head.push("content-type", b"application/json".as_slice())?;
//! let reading = body::read(&head, body, Scope::Endpoint);
//!
//! let mut policy = ConfirmPolicy::default();
//! policy.add("tools/call:delete_*")?;
//! let url = "https://mcp.example.com/mcp";
//! let need = policy.judge(url, reading.as_ref(), body, &Tools::new());
//! let ConsentNeed::Ask(question) = need else { panic!("a person has to be asked") };
//! assert!(question.shown(&PageLimits::default()).text.contains("/home/me/notes.txt"));
//! assert!(question.is_about(body));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

pub use crate::nonce::BoxFuture;

use crate::mcp::body::{AmbiguousBody, Reading};
use crate::mcp::pattern::{Operation, Pattern, PatternError};
use crate::mcp::tools::Tools;

mod escape;
mod members;
mod page;

pub use page::{PageLimits, ShownPage};

/// A policy that says which requests need consent: `METHOD[:NAME]` patterns, and the word
/// `destructive`.
///
/// ```
/// use mcpid::connect::consent::ConfirmPolicy;
///
/// let mut policy = ConfirmPolicy::default();
/// assert!(policy.is_empty());
/// policy.add("tools/call:delete_*")?;
/// policy.add("destructive")?;
/// assert!(policy.add("tools/call:").is_err());
/// # Ok::<(), mcpid::mcp::pattern::PatternError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConfirmPolicy {
    patterns: Vec<Pattern>,
    destructive: bool,
}

/// The decision of a [`ConfirmPolicy`] before a request is signed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConsentNeed {
    /// The request is signed without a question.
    Nothing,
    /// A person has to say yes to this question.
    Ask(Box<ConsentQuestion>),
    /// The body cannot be read, so it cannot be shown to a person. The request must not be signed.
    Refuse,
}

impl ConfirmPolicy {
    /// Adds one rule: a pattern such as `tools/call:delete_*`, or the word `destructive` (see
    /// [`ConfirmPolicy::add_destructive`]).
    ///
    /// # Errors
    /// [`PatternError`] if `text` is neither.
    pub fn add(&mut self, text: &str) -> Result<(), PatternError> {
        match text {
            "destructive" => self.add_destructive(),
            pattern => self.add_pattern(Pattern::parse(pattern)?),
        }
        Ok(())
    }

    /// Adds a rule: requests that `pattern` matches need consent.
    pub fn add_pattern(&mut self, pattern: Pattern) {
        self.patterns.push(pattern);
    }

    /// Adds a rule: calls of tools need consent if the server lists the tool as destructive, or has
    /// not listed it.
    pub fn add_destructive(&mut self) {
        self.destructive = true;
    }

    /// Returns true if no request needs consent.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty() && !self.destructive
    }

    /// Decides whether the request with this `body` needs consent before it is signed. `target` is
    /// its absolute URL, `reading` the parsed body, and `tools` the server's list of tools.
    pub fn judge(
        &self,
        target: &str,
        reading: Result<&Reading<'_>, &AmbiguousBody>,
        body: &[u8],
        tools: &Tools,
    ) -> ConsentNeed {
        if self.is_empty() {
            return ConsentNeed::Nothing;
        }
        // An unreadable request could do anything, so it is refused instead of being compared with
        // patterns.
        let Some((reading, operation)) =
            reading.ok().and_then(|reading| Some((reading, reading.operation()?)))
        else {
            return ConsentNeed::Refuse;
        };
        let Some(because) = self.because(operation, tools) else { return ConsentNeed::Nothing };
        match ConsentQuestion::new(target, reading, body) {
            Some(question) => ConsentNeed::Ask(Box::new(ConsentQuestion { because, ..question })),
            None => ConsentNeed::Refuse,
        }
    }

    /// Returns the first rule by which `operation` needs consent.
    fn because(&self, operation: Operation<'_>, tools: &Tools) -> Option<String> {
        let forms = operation.forms();
        let pattern = self.patterns.iter().find(|pattern| pattern.restricts_forms(&forms));
        if let Some(pattern) = pattern {
            return Some(pattern.to_string());
        }
        (self.destructive && tools.calls_destructive(operation)).then(|| "destructive".to_owned())
    }
}

/// The question whether a request may be signed, with everything that the person is shown.
///
/// It holds every member of the body except `jsonrpc`, `id` and `method`, with the value exactly as
/// it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsentQuestion {
    target: String,
    method: String,
    name: Option<String>,
    parts: Vec<BodyMember>,
    digest: [u8; 32],
    size: usize,
    because: String,
    /// Name and id of the key that signs after a yes.
    signer: Option<(String, String)>,
    /// Name and id of the security key that is to be touched.
    touch_key: Option<(String, String)>,
}

/// A member of the body, with its JSON exactly as it was written.
#[derive(Clone, PartialEq, Eq)]
struct BodyMember {
    label: String,
    json: String,
}

impl ConsentQuestion {
    /// Creates the question about the request with this `body` to the URL `target`. Returns None if
    /// the body is not an MCP message, or if `reading` is the parsed form of another body.
    pub fn new(target: &str, reading: &Reading<'_>, body: &[u8]) -> Option<Self> {
        let operation = reading.operation()?;
        let parts = match reading.message() {
            Some(message) => members::parts(body, message)?,
            None if body.is_empty() => Vec::new(),
            None => return None,
        };
        Some(ConsentQuestion {
            target: target.to_owned(),
            method: operation.method.to_owned(),
            name: operation.name.map(str::to_owned),
            parts,
            digest: Sha256::digest(body).into(),
            size: body.len(),
            because: String::new(),
            signer: None,
            touch_key: None,
        })
    }

    /// Sets the key that signs after a yes. `name` may be any text; `id` is the key id.
    #[must_use]
    pub fn signed_by(mut self, name: &str, id: &str) -> Self {
        self.signer = Some((name.to_owned(), id.to_owned()));
        self
    }

    /// Sets the security key that a person touches for this request. `name` may be any text; `id` is
    /// the key id.
    #[must_use]
    pub fn touched_by(mut self, name: &str, id: &str) -> Self {
        self.touch_key = Some((name.to_owned(), id.to_owned()));
        self
    }

    /// Returns the question about the same request to another URL, for a request that the server
    /// redirected.
    pub(super) fn at(&self, target: &str) -> Self {
        ConsentQuestion { target: target.to_owned(), ..self.clone() }
    }

    /// Returns the absolute URL of the request, as it is signed.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns method and name of the request, which patterns match.
    pub fn operation(&self) -> Operation<'_> {
        Operation { method: &self.method, name: self.name.as_deref() }
    }

    /// Returns the JSON of `params.arguments` exactly as it was written. Returns None if the
    /// request has no arguments.
    pub fn arguments(&self) -> Option<&str> {
        self.parts.iter().find(|part| part.label == "arguments").map(|part| &*part.json)
    }

    /// Returns the SHA-256 of the body.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Returns the length of the body in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the rule by which consent is needed, in the form that was given to
    /// [`ConfirmPolicy`]. A question made by [`ConsentQuestion::new`] has an empty text here.
    pub fn because(&self) -> &str {
        &self.because
    }

    /// Returns true if `body` is, byte for byte, the body that the person was shown. Call this
    /// right before signing.
    pub fn is_about(&self, body: &[u8]) -> bool {
        body.len() == self.size && Sha256::digest(body)[..] == self.digest
    }

    /// Returns the question as text for a person, which is safe to print on a terminal: lines of at
    /// most `limits.width` columns, each ending in a line feed. If the limits hide a part, the text
    /// says how much, and so does [`ShownPage::hidden`].
    pub fn shown(&self, limits: &PageLimits) -> ShownPage {
        page::page(self, limits)
    }
}

impl fmt::Debug for ConsentQuestion {
    /// Formats the question without its arguments, which may be confidential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ConsentQuestion({:?} to {:?}, {} bytes)",
            self.operation(),
            self.target,
            self.size
        )
    }
}

/// The answer to a [`ConsentQuestion`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentAnswer {
    /// A person said yes to exactly this request.
    Yes,
    /// There is no consent.
    No(NoConsent),
}

/// Why there is no consent. The client that sent the request gets this reason as its error text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoConsent {
    /// A person answered no.
    #[error("declined")]
    Declined,
    /// The person ended the program with Ctrl-C instead of answering.
    #[error("interrupted")]
    Interrupted,
    /// There was no answer within this time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// There is no way to ask, for example no terminal and no askpass program.
    #[error("there is no way to ask: {0}")]
    NoWay(String),
    /// The question could not be shown, for example because the terminal was closed.
    #[error("asking failed: {0}")]
    Failed(String),
    /// The question was withdrawn because the client cancelled the request or the program ends.
    #[error("withdrawn")]
    Withdrawn,
}

/// A way to ask a person, for example on a terminal.
///
/// ```
/// use mcpid::connect::consent::{BoxFuture, Consent, ConsentAnswer, ConsentQuestion, NoConsent};
///
/// /// Agrees to nothing: for a service on a machine without a person.
/// struct AlwaysDecline;
///
/// impl Consent for AlwaysDecline {
///     fn ask<'a>(&'a self, _question: &'a ConsentQuestion) -> BoxFuture<'a, ConsentAnswer> {
///         Box::pin(async { ConsentAnswer::No(NoConsent::Declined) })
///     }
/// }
/// ```
pub trait Consent: Send + Sync {
    /// Asks the question and waits for the answer, up to the implementation's own time limit. If
    /// the future is dropped, the question is withdrawn, and a later answer does not count.
    ///
    /// Several questions at the same time are shown one after another.
    fn ask<'a>(&'a self, question: &'a ConsentQuestion) -> BoxFuture<'a, ConsentAnswer>;
}
