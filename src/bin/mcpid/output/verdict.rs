//! Verdicts as people and programs read them. One schema for yes and no.

mod text;

use std::sync::Arc;

use mcpid::clock::Timestamp;
use mcpid::mcp::body::{self, Scope};
use mcpid::mcp::name_forms::NameAmbiguity;
use mcpid::message::InputRequest;
use mcpid::message::shown::{MOST_PRINTED, capped};
use mcpid::message::target::Origins;
use mcpid::verify::{Code, NonceOutcome, Rejection, Statement};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::output::exit::Exit;

/// No origins at all: a target is what its request says.
static UNKNOWN: Origins = Origins::unknown();

/// Characters of a target in JSON: programs compare it, and few are longer.
const MOST_TARGET: usize = 2048;
/// Characters of a key id, tag or nonce in JSON: more than any that is accepted.
const MOST_PARAMETER: usize = 256;

/// What a signature under a key that is revoked by now does not show: its `created` is the word of
/// the key's holder, and so of a thief too.
const ONLY_A_LOG: &str = "only a log proof shows that it was signed before";

/// Where the moment comes from as of which a request is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TimeSource {
    /// The system's clock.
    Clock,
    /// `--at TIME`.
    Flag,
    /// `--at capture`.
    Capture,
}

/// The verdict on one request; its members are the JSON schema, in its order.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    version: u8,
    pub(crate) input: String,
    pub(crate) index: u64,
    profile: Option<String>,
    verdict: Option<&'static str>,
    status: Option<&'static str>,
    step: Option<u8>,
    code: Option<&'static str>,
    message: Option<String>,
    label: Option<String>,
    key: Option<Key>,
    #[serde(serialize_with = "parameter")]
    tag: Option<String>,
    created: Option<i64>,
    expires: Option<i64>,
    #[serde(serialize_with = "parameter")]
    nonce: Option<String>,
    now: i64,
    time_source: TimeSource,
    revoked_at: Option<i64>,
    replay: &'static str,
    unjudged: Vec<u8>,
    covered: Vec<String>,
    not_covered: Vec<String>,
    method: String,
    #[serde(serialize_with = "target")]
    target: Option<String>,
    mcp: Option<Mcp>,
    /// When the request was made, as the input says it.
    captured: Option<i64>,
    /// The signatures that do not hold beside one that does.
    failed: Vec<FailedSignature>,
    /// The SHA-256 of the input's bytes, where it is known before its end.
    #[serde(serialize_with = "shared")]
    input_sha256: Option<Arc<str>>,
    /// The trust files by which it was judged, with the SHA-256 of each.
    #[serde(serialize_with = "shared")]
    trust: Option<Arc<RawValue>>,
    /// The program and its version.
    program: &'static str,
    /// For people only.
    #[serde(skip)]
    rejection: Option<Rejection>,
    #[serde(skip)]
    pub(crate) exit: Exit,
    /// Bytes of the body, as far as it is there.
    #[serde(skip)]
    pub(crate) body_size: u64,
}

#[derive(Debug, Serialize)]
struct Key {
    #[serde(serialize_with = "text")]
    id: String,
    name: Option<String>,
}

/// A signature that does not hold, of a request that has one that does.
#[derive(Debug, Serialize)]
pub(crate) struct FailedSignature {
    label: String,
    key: Option<Key>,
    /// Whether the key is in a trust file.
    key_known: bool,
    step: u8,
    code: &'static str,
    message: String,
}

impl From<&Rejection> for FailedSignature {
    fn from(rejection: &Rejection) -> Self {
        let statement = rejection.statement().cloned().unwrap_or_default();
        FailedSignature {
            label: short(&statement.label),
            key: statement.key.map(|id| Key { id, name: statement.key_name }),
            key_known: statement.key_known,
            step: rejection.step().number(),
            code: rejection.code().as_str(),
            message: short(rejection.message()),
        }
    }
}

#[derive(Debug, Serialize)]
struct Mcp {
    method: Option<String>,
    name: Option<String>,
    /// Whether servers may read the name in ways that no pattern can be compared with.
    name_ambiguous: bool,
    /// Why; for people only.
    #[serde(skip)]
    ambiguous: Option<NameAmbiguity>,
}

impl Verdict {
    /// What can be said of a request before it is judged.
    pub(crate) fn of(
        (input, index): (&str, u64),
        request: &InputRequest<'_>,
        origins: &Origins,
        profile: &str,
        (now, time_source): (Timestamp, TimeSource),
    ) -> Self {
        let bytes = request.body.bytes().unwrap_or_default();
        let reading = body::read(&request.head, bytes, Scope::Anywhere).ok();
        let mcp = reading.as_ref().and_then(|reading| reading.message()).map(|message| {
            let ambiguous = message.operation().forms().ambiguous();
            Mcp {
                method: message.method().map(short),
                name: message.name().map(short),
                name_ambiguous: ambiguous.is_some(),
                ambiguous,
            }
        });
        // One that is not ours is named as it would be without our origins.
        let target = origins.resolve(&request.head);
        let target = target.or_else(|_| UNKNOWN.resolve(&request.head)).ok();
        Verdict {
            version: 1,
            input: input.to_owned(),
            index,
            profile: Some(profile.to_owned()),
            verdict: Some("unjudged"),
            status: Some("unavailable"),
            step: None,
            code: None,
            message: None,
            label: None,
            key: None,
            tag: None,
            created: None,
            expires: None,
            nonce: None,
            now: now.unix(),
            time_source,
            revoked_at: None,
            replay: NonceOutcome::Unchecked.as_str(),
            unjudged: Vec::new(),
            covered: Vec::new(),
            not_covered: Vec::new(),
            method: short(request.head.method()),
            target: target.map(|target| target.target_uri()),
            mcp,
            captured: request.time.map(Timestamp::unix),
            failed: Vec::new(),
            input_sha256: None,
            trust: None,
            program: concat!("mcpid ", env!("CARGO_PKG_VERSION")),
            rejection: None,
            exit: Exit::Unavailable,
            body_size: bytes.len() as u64,
        }
    }

    /// Takes over what a signature says of itself.
    pub(crate) fn stating(mut self, statement: Statement) -> Self {
        let seconds = |time: Option<Timestamp>| time.map(Timestamp::unix);
        self.label = Some(short(&statement.label));
        self.key = statement.key.map(|id| Key { id, name: statement.key_name });
        self.tag = statement.tag;
        self.created = seconds(statement.created);
        self.expires = seconds(statement.expires);
        self.nonce = statement.nonce;
        self.revoked_at = seconds(statement.revoked_at);
        self.covered = statement.covered.iter().map(|one| short(one)).collect();
        self.not_covered = statement.not_covered.iter().map(|one| short(one)).collect();
        self
    }

    /// Adds by which bytes it was judged: the input's, and the trust files'.
    pub(crate) fn by(mut self, input: Option<Arc<str>>, trust: Option<Arc<RawValue>>) -> Self {
        (self.input_sha256, self.trust) = (input, trust);
        self
    }

    /// Adds the signatures that do not hold beside one that does; `all` of them.
    pub(crate) fn beside(mut self, all: &[Rejection]) -> Self {
        self.failed = all.iter().map(FailedSignature::from).collect();
        self
    }

    /// Judged: yes.
    pub(crate) fn accepted(mut self, seen: NonceOutcome) -> Self {
        (self.verdict, self.status, self.exit) = (Some("accepted"), Some("verified"), Exit::Ok);
        self.replay = seen.as_str();
        if self.revoked_at.is_some() {
            self.message = Some(format!("the key was revoked later; {ONLY_A_LOG}"));
        }
        self
    }

    /// Judged: no.
    pub(crate) fn rejected(mut self, rejection: Rejection) -> Self {
        if let Some(statement) = rejection.statement() {
            self = self.stating(statement.clone());
        }
        self.verdict = Some("rejected");
        self.status = Some(match rejection.code() {
            Code::SignatureMissing => "unsigned",
            Code::KeyUnknown => "unknown_key",
            _ => "invalid",
        });
        if rejection.code() == Code::NonceReplayed {
            self.replay = NonceOutcome::Replayed.as_str();
        }
        self.step = Some(rejection.step().number());
        self.code = Some(rejection.code().as_str());
        self.message = Some(rejection.message().to_owned());
        self.exit = Exit::Rejected;
        self.rejection = Some(rejection);
        self
    }

    /// The head holds, and the body is not there, or not exactly.
    pub(crate) fn unjudged(mut self, why: &str, seen: NonceOutcome) -> Self {
        self.unjudged = vec![9, 10, 11];
        self.message = Some(why.to_owned());
        self.replay = seen.as_str();
        self
    }

    /// No moment is known as of which it could be judged.
    pub(crate) fn timeless(mut self, why: String) -> Self {
        self.unjudged = (1..=12).collect();
        self.message = Some(why);
        self
    }

    /// Nobody asked for a verdict, and nothing claims anything.
    pub(crate) fn unsigned(mut self) -> Self {
        (self.profile, self.verdict, self.status) = (None, None, Some("unsigned"));
        self
    }

    /// Nobody asked for a verdict; this is what a signature claims.
    pub(crate) fn claiming(mut self, statement: Statement) -> Self {
        (self.profile, self.verdict, self.status) = (None, None, None);
        self.stating(statement)
    }

    /// The key id and the nonce, as claimed.
    pub(crate) fn pair(&self) -> Option<(&str, &str)> {
        Some((self.key.as_ref()?.id.as_str(), self.nonce.as_deref()?))
    }

    /// Whether the target begins with `prefix`; nothing begins one that cannot be told.
    pub(crate) fn is_for(&self, prefix: &str) -> bool {
        self.target.as_ref().is_some_and(|target| target.starts_with(prefix))
    }

    /// Why it was refused, if it was.
    pub(crate) fn rejection(&self) -> Option<&Rejection> {
        self.rejection.as_ref()
    }

    /// The signature's label, where there is one.
    pub(crate) fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// The moment as of which this is said.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.now)
    }

    /// When the signature says that it was made.
    pub(crate) fn created(&self) -> Option<Timestamp> {
        self.created.map(Timestamp::from_unix)
    }

    /// Whether the request was judged and accepted under a key that is revoked by now.
    pub(crate) fn rests_on_revoked_key(&self) -> bool {
        self.exit == Exit::Ok && self.revoked_at.is_some()
    }
}

/// At most [`MOST_PRINTED`] characters of it.
fn short(text: &str) -> String {
    capped(text, MOST_PRINTED).into_owned()
}

fn text<S: Serializer>(text: &str, into: S) -> Result<S::Ok, S::Error> {
    into.serialize_str(&capped(text, MOST_PARAMETER))
}

fn parameter<S: Serializer>(text: &Option<String>, into: S) -> Result<S::Ok, S::Error> {
    text.as_ref().map(|text| capped(text, MOST_PARAMETER)).serialize(into)
}

fn target<S: Serializer>(text: &Option<String>, into: S) -> Result<S::Ok, S::Error> {
    text.as_ref().map(|text| capped(text, MOST_TARGET)).serialize(into)
}

fn shared<T: Serialize + ?Sized, S: Serializer>(
    value: &Option<Arc<T>>,
    into: S,
) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(into)
}
