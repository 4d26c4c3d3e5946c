//! Consent: before a request is signed, a person sees what it does and says yes.
//!
//! ```text
//! body ─ Confirm::judge ─► nothing to ask | refuse unasked | Asked ─ Consent::ask ─► Yes | No(why)
//! ```
//!
//! This room knows what has to be asked and how it is shown; where the question is put is up to
//! whoever implements [`Consent`]. Everything but an express yes is a no: silence, no way to ask,
//! a question that fails. `created` and nonce are made after the yes, by the caller, and what was
//! shown is what is signed: [`ConsentQuestion::is_of`] holds a body against it.

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

pub use crate::nonce::BoxFuture;

use crate::mcp::body::{Ambiguous, Reading};
use crate::mcp::pattern::{Operation, Pattern, PatternError};
use crate::mcp::tools::Tools;

mod escape;
mod members;
mod page;

pub use page::{PageLimits, ShownPage};

/// Which requests a person is asked about: `METHOD[:NAME]` patterns, and the word `destructive`.
#[derive(Clone, Debug, Default)]
pub struct ConfirmPolicy {
    patterns: Vec<Pattern>,
    destructive: bool,
}

/// What has to happen to a request before it is signed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConsentNeed {
    /// Nothing: it may be signed unasked.
    Nothing,
    /// A person has to say yes.
    Ask(Box<ConsentQuestion>),
    /// It cannot be read, so nobody could be shown what it does: it must not be signed.
    Refuse,
}

impl ConfirmPolicy {
    /// Reads one `--confirm`: a pattern, or `destructive` for calls of tools that the server's own
    /// list calls so or has not listed.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn add(&mut self, text: &str) -> Result<(), PatternError> {
        match text {
            "destructive" => self.add_destructive(),
            pattern => self.add_pattern(Pattern::parse(pattern)?),
        }
        Ok(())
    }

    /// Asks about what `pattern` matches.
    pub fn add_pattern(&mut self, pattern: Pattern) {
        self.patterns.push(pattern);
    }

    /// Asks about calls of tools that the server's own list calls destructive or has not listed.
    pub fn add_destructive(&mut self) {
        self.destructive = true;
    }

    /// Whether nothing at all is asked about.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty() && !self.destructive
    }

    /// What has to happen to the request of `body` to `target`, the absolute URL it goes to, where
    /// `reading` is the strict reading of the body and `tools` is what the server has listed.
    pub fn judge(
        &self,
        target: &str,
        reading: Result<&Reading<'_>, &Ambiguous>,
        body: &[u8],
        tools: &Tools,
    ) -> ConsentNeed {
        if self.is_empty() {
            return ConsentNeed::Nothing;
        }
        // What no pattern can be held against could be anything.
        let Some((reading, operation)) =
            reading.ok().and_then(|reading| Some((reading, reading.operation()?)))
        else {
            return ConsentNeed::Refuse;
        };
        let Some(because) = self.because(operation, tools) else { return ConsentNeed::Nothing };
        match ConsentQuestion::new(target, reading, body) {
            Some(asked) => ConsentNeed::Ask(Box::new(ConsentQuestion { because, ..asked })),
            None => ConsentNeed::Refuse,
        }
    }

    /// The first rule that wants `operation` to be asked about.
    fn because(&self, operation: Operation<'_>, tools: &Tools) -> Option<String> {
        let forms = operation.forms();
        let pattern = self.patterns.iter().find(|pattern| pattern.restricts_forms(&forms));
        if let Some(pattern) = pattern {
            return Some(pattern.to_string());
        }
        (self.destructive && tools.calls_destructive(operation)).then(|| "destructive".to_owned())
    }
}

/// A request that a person is asked about, with everything of it that is shown.
///
/// Of the body it holds every member but `jsonrpc`, `id` and `method`, each as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsentQuestion {
    target: String,
    method: String,
    name: Option<String>,
    parts: Vec<BodyMember>,
    digest: [u8; 32],
    size: usize,
    because: String,
    /// Name and id of the key that is to sign.
    signer: Option<(String, String)>,
}

/// A member of the body, and its JSON exactly as it was written.
#[derive(Clone, PartialEq, Eq)]
struct BodyMember {
    label: String,
    json: String,
}

impl ConsentQuestion {
    /// The question about the request of `body` to `target`; nothing if it is no MCP message, or
    /// if `reading` is not the reading of `body`.
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
        })
    }

    /// The same, to be signed by the key that is called `name`, which may be any text, and has the
    /// id `id`.
    #[must_use]
    pub fn signed_by(mut self, name: &str, id: &str) -> Self {
        self.signer = Some((name.to_owned(), id.to_owned()));
        self
    }

    /// The absolute URL that the request goes to, as it will be signed.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What patterns see of it.
    pub fn operation(&self) -> Operation<'_> {
        Operation { method: &self.method, name: self.name.as_deref() }
    }

    /// The JSON of `params.arguments` exactly as it was written, if the request has arguments.
    pub fn arguments(&self) -> Option<&str> {
        self.parts.iter().find(|part| part.label == "arguments").map(|part| &*part.json)
    }

    /// The SHA-256 of the body.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The length of the body in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The rule that wants it to be asked about, as it was given; empty for an [`ConsentQuestion`] that no
    /// [`ConfirmPolicy`] has made.
    pub fn because(&self) -> &str {
        &self.because
    }

    /// Whether `body` is, byte for byte, what was asked about. To be held right before signing.
    pub fn is_of(&self, body: &[u8]) -> bool {
        body.len() == self.size && Sha256::digest(body)[..] == self.digest
    }

    /// The question as text for a person: lines of at most `limits.width` columns, each ending in
    /// a line feed, safe on a terminal. What the limits hide is counted, where it is missing and
    /// in [`ShownPage::hidden`].
    pub fn shown(&self, limits: &PageLimits) -> ShownPage {
        page::page(self, limits)
    }
}

impl fmt::Debug for ConsentQuestion {
    /// Without the arguments: they are the caller's business, not a log's.
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

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentAnswer {
    /// A person said yes to exactly this request.
    Yes,
    /// Nobody did.
    No(NoConsent),
}

/// Why there was no yes. The words are what the client that made the request is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoConsent {
    /// A person said no.
    #[error("declined")]
    Declined,
    /// A person ended the program instead of an answer.
    #[error("interrupted")]
    Interrupted,
    /// Nobody answered.
    #[error("nobody answered within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// There is nobody to ask: no terminal, no askpass program.
    #[error("there is no way to ask: {0}")]
    NoWay(String),
    /// There is a way to ask, and it did not work.
    #[error("asking failed: {0}")]
    Failed(String),
    /// The question was withdrawn: the client cancelled the request, or the program ends.
    #[error("withdrawn")]
    Withdrawn,
}

/// A way to ask a person.
pub trait Consent: Send + Sync {
    /// Puts the question, and waits for the answer no longer than the asker's own time-out. If the
    /// future is dropped, the question is withdrawn, and no later answer counts.
    ///
    /// Of several questions at a time each is shown alone, one after another.
    fn ask<'a>(&'a self, asked: &'a ConsentQuestion) -> BoxFuture<'a, ConsentAnswer>;
}
