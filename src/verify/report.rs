//! The verdict on one request as a data structure: what `mcpid verify --json` and `mcpid inspect
//! --json` print. The members and their order are a public format.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

mod capped;
mod signers;

use super::{Code, NonceOutcome, Rejection, Statement, Touch, TouchFault};
use crate::clock::Timestamp;
use crate::mcp::body::{self, Scope};
use crate::mcp::name_forms::NameAmbiguity;
use crate::message::InputRequest;
use crate::message::target::Origins;
use capped::{parameter, shared, short, target};
pub use signers::{FailedSignature, ReportedKey, ReportedTouch};

/// The remark on a request whose key was revoked after `created`. The holder of a stolen key can
/// write any earlier `created`, so the signature alone does not show when it was made.
pub const ONLY_A_LOG: &str = "only a log proof shows that it was signed before";

/// Where the time comes from at which a request is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeSource {
    /// The system's clock.
    Clock,
    /// A time that the caller gave (`--at TIME`).
    Flag,
    /// The time that the captured request states (`--at capture`).
    Capture,
}

/// The result of the verification of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Judgement {
    /// The request is authorised.
    Accepted,
    /// The request is refused.
    Rejected,
    /// Some steps could not be judged, for example because the body is missing.
    Unjudged,
}

/// The verdict on one request. Its members are the JSON format, in this order.
///
/// ```
/// use mcpid::clock::Timestamp;
/// use mcpid::message::capture::Captured;
/// use mcpid::message::target::Origins;
/// use mcpid::verify::report::{TimeSource, VerdictReport};
///
/// let request = Captured::parse(b"GET /mcp HTTP/1.1\nHost: mcp.example.com\n\n", 0)?.into_request();
/// let time = (Timestamp::from_unix(1_795_773_600), TimeSource::Clock);
/// let report = VerdictReport::new(("stdin", 0), &request, &Origins::unknown(), "mcp", time);
/// assert_eq!(report.target.as_deref(), Some("https://mcp.example.com/mcp"));
/// assert!(serde_json::to_string(&report)?.starts_with(r#"{"version":1,"input":"stdin","#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct VerdictReport {
    /// The version of the format.
    pub version: u8,
    /// The name of the input that contains the request.
    pub input: String,
    /// The index of the request in the input, from 0.
    pub index: u64,
    /// The profile; None if no verdict was asked for.
    pub profile: Option<String>,
    /// The verdict; None if no verdict was asked for.
    pub verdict: Option<Judgement>,
    /// The status that a server would report: `verified`, `unsigned`, `unknown_key`, `invalid` or
    /// `unavailable`.
    pub status: Option<&'static str>,
    /// The step that refused the request.
    pub step: Option<u8>,
    /// The code of the refusal, such as `expired`.
    pub code: Option<&'static str>,
    /// The name that the documents of the profile give to the refusal; the member is left out if
    /// there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_code: Option<&'static str>,
    /// Why no touch of a security key is accepted, if the code is `touch_required`, or what the
    /// signature of a security key lacks; the member is left out otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub touch_fault: Option<&'static str>,
    /// The reason of the verdict, for people.
    pub message: Option<String>,
    /// The label of the signature.
    pub label: Option<String>,
    /// The key that signed.
    pub key: Option<ReportedKey>,
    /// The touch of a security key that confirms the signature; the member is left out if there is
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub touch: Option<ReportedTouch>,
    /// The `tag` parameter.
    #[serde(serialize_with = "parameter")]
    pub tag: Option<String>,
    /// The `created` parameter, in Unix seconds.
    pub created: Option<i64>,
    /// The `expires` parameter, in Unix seconds.
    pub expires: Option<i64>,
    /// The `nonce` parameter.
    #[serde(serialize_with = "parameter")]
    pub nonce: Option<String>,
    /// The time at which the request is judged, in Unix seconds.
    pub now: i64,
    /// Where the time `now` comes from.
    pub time_source: TimeSource,
    /// When the key was revoked, in Unix seconds.
    pub revoked_at: Option<i64>,
    /// The result of the nonce check ([`NonceOutcome::as_str`]).
    pub replay: &'static str,
    /// The numbers of the steps that could not be judged.
    pub unjudged: Vec<u8>,
    /// The components that the signature covers.
    pub covered: Vec<String>,
    /// The components of the request that the signature does not cover.
    pub not_covered: Vec<String>,
    /// The method of the request.
    pub method: String,
    /// The target URI; None if it cannot be resolved.
    #[serde(serialize_with = "target")]
    pub target: Option<String>,
    /// The operation of the MCP message in the body.
    pub mcp: Option<ReportedOperation>,
    /// When the request was made, as the input states, in Unix seconds.
    pub captured: Option<i64>,
    /// The other signatures of the request that are invalid.
    pub failed: Vec<FailedSignature>,
    /// The SHA-256 of the whole input in hex, if it is known.
    #[serde(serialize_with = "shared")]
    pub input_sha256: Option<Arc<str>>,
    /// The trust files and the SHA-256 of each.
    #[serde(serialize_with = "shared")]
    pub trust: Option<Arc<RawValue>>,
    /// The name and version of this program.
    pub program: &'static str,
    /// The refusal itself, for people; not in the JSON.
    #[serde(skip)]
    pub rejection: Option<Rejection>,
    /// The bytes of the body that the input has; not in the JSON.
    #[serde(skip)]
    pub body_size: u64,
}

/// The operation of a request's MCP message.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ReportedOperation {
    /// The JSON-RPC method.
    pub method: Option<String>,
    /// The name of the tool, prompt, resource or task.
    pub name: Option<String>,
    /// Whether servers may read the name in several ways, so that no pattern can be compared with
    /// it.
    pub name_ambiguous: bool,
    /// Why the name is ambiguous; not in the JSON.
    #[serde(skip)]
    pub ambiguous: Option<NameAmbiguity>,
}

impl VerdictReport {
    /// Returns the report on a request that is not judged yet. `input` and `index` state where the
    /// request was found.
    pub fn new(
        (input, index): (&str, u64),
        request: &InputRequest<'_>,
        origins: &Origins,
        profile: &str,
        (now, time_source): (Timestamp, TimeSource),
    ) -> Self {
        static UNKNOWN: Origins = Origins::unknown();
        let bytes = request.body.bytes().unwrap_or_default();
        let reading = body::read(&request.head, bytes, Scope::Anywhere).ok();
        let mcp = reading.as_ref().and_then(|reading| reading.message()).map(|message| {
            let ambiguous = message.operation().forms().ambiguous();
            ReportedOperation {
                method: message.method().map(short),
                name: message.name().map(short),
                name_ambiguous: ambiguous.is_some(),
                ambiguous,
            }
        });
        // If the target is not on one of the configured origins, it is resolved as if none were
        // configured.
        let target = origins.resolve(&request.head);
        let target = target.or_else(|_| UNKNOWN.resolve(&request.head)).ok();
        VerdictReport {
            version: 1,
            input: input.to_owned(),
            index,
            profile: Some(profile.to_owned()),
            verdict: Some(Judgement::Unjudged),
            status: Some("unavailable"),
            step: None,
            code: None,
            profile_code: None,
            touch_fault: None,
            message: None,
            label: None,
            key: None,
            touch: None,
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
            body_size: bytes.len() as u64,
        }
    }

    /// Adds what the signature states about itself.
    #[must_use]
    pub fn with_statement(mut self, statement: Statement) -> Self {
        let seconds = |time: Option<Timestamp>| time.map(Timestamp::unix);
        self.label = Some(short(&statement.label));
        self.key = statement.key.map(|id| ReportedKey { id, name: statement.key_name });
        self.tag = statement.tag;
        self.created = seconds(statement.created);
        self.expires = seconds(statement.expires);
        self.nonce = statement.nonce;
        self.revoked_at = seconds(statement.revoked_at);
        self.covered = statement.covered.iter().map(|name| short(name)).collect();
        self.not_covered = statement.not_covered.iter().map(|name| short(name)).collect();
        self
    }

    /// Adds the touch that confirms the signature.
    #[must_use]
    pub fn with_touch(mut self, touch: Option<Touch<'_>>) -> Self {
        self.touch = touch.map(ReportedTouch::from);
        self
    }

    /// Adds the hash of the input and the hashes of the trust files.
    #[must_use]
    pub fn with_sources(mut self, input: Option<Arc<str>>, trust: Option<Arc<RawValue>>) -> Self {
        (self.input_sha256, self.trust) = (input, trust);
        self
    }

    /// Adds the other signatures of the request that are invalid.
    #[must_use]
    pub fn with_failed(mut self, all: &[Rejection]) -> Self {
        self.failed = all.iter().map(FailedSignature::from).collect();
        self
    }

    /// Reports that the request is accepted.
    #[must_use]
    pub fn accepted(mut self, nonce: NonceOutcome) -> Self {
        (self.verdict, self.status) = (Some(Judgement::Accepted), Some("verified"));
        self.replay = nonce.as_str();
        if self.revoked_at.is_some() {
            self.message = Some(format!("the key was revoked later; {ONLY_A_LOG}"));
        }
        self
    }

    /// Reports that the request is refused.
    #[must_use]
    pub fn rejected(mut self, rejection: Rejection) -> Self {
        if let Some(statement) = rejection.statement() {
            self = self.with_statement(statement.clone());
        }
        self.verdict = Some(Judgement::Rejected);
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
        self.profile_code = rejection.profile_code();
        self.touch_fault = rejection.touch_fault().map(TouchFault::as_str);
        self.message = Some(rejection.message().to_owned());
        self.rejection = Some(rejection);
        self
    }

    /// Reports that the signature is valid, but that digest, MCP content and allowed operations
    /// (steps 9 to 11) could not be checked, because the body is missing in the input or may have
    /// been changed there.
    #[must_use]
    pub fn without_body(mut self, why: &str, nonce: NonceOutcome) -> Self {
        self.unjudged = vec![9, 10, 11];
        self.message = Some(why.to_owned());
        self.replay = nonce.as_str();
        self
    }

    /// Reports that the time of the request is unknown, so that no step could be judged.
    #[must_use]
    pub fn without_time(mut self, why: String) -> Self {
        self.unjudged = (1..=12).collect();
        self.message = Some(why);
        self
    }

    /// Reports an unsigned request, without a verdict.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        (self.profile, self.verdict, self.status) = (None, None, Some("unsigned"));
        self
    }

    /// Reports what a signature states about itself, without a verdict.
    #[must_use]
    pub fn claiming(mut self, statement: Statement) -> Self {
        (self.profile, self.verdict, self.status) = (None, None, None);
        self.with_statement(statement)
    }

    /// Returns true if the target begins with `prefix`, and false if the target cannot be resolved.
    pub fn has_target_prefix(&self, prefix: &str) -> bool {
        self.target.as_ref().is_some_and(|target| target.starts_with(prefix))
    }

    /// Returns the time at which the request is judged.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.now)
    }

    /// Returns the `created` parameter.
    pub fn created(&self) -> Option<Timestamp> {
        self.created.map(Timestamp::from_unix)
    }

    /// Returns true if the request is accepted although its key was revoked after it was signed.
    pub fn rests_on_revoked_key(&self) -> bool {
        self.verdict == Some(Judgement::Accepted) && self.revoked_at.is_some()
    }
}
