//! Decides which requests get an entry, and what happens if an entry cannot be written.

use std::sync::{Mutex, PoisonError};

use super::evidence::Evidence;
use super::fault::LogError;
use super::log::Log;
use super::record::{self, RecordedRefusal, RequestFacts, RulesSource, Verdict};
use super::redact::{self, KeptBody, Rule};
use super::refused::TokenBucket;
use crate::clock::Timestamp;
use crate::mcp::body::{self, Reading, Scope};
use crate::message::Head;
use crate::message::target::Origins;
use crate::profile::Profile;
use crate::verify::{Statement, Verifier};

/// Maximum number of entries per second, on average, about refused requests with a valid signature.
/// Without this limit, an attacker who has seen one signed request could fill the log by repeating
/// that request.
const REFUSED_ENTRIES_PER_SECOND: f64 = 100.0;
/// Maximum number of such entries in a burst (see [`REFUSED_ENTRIES_PER_SECOND`]).
const REFUSED_ENTRIES_BURST: f64 = 1_000.0;

/// What to do if an entry cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The request is not forwarded.
    #[default]
    Required,
    /// The request is forwarded. It is counted as a gap: a request without an entry.
    BestEffort,
}

/// Writes judged requests into a [`Log`].
#[derive(Debug)]
pub struct Recorder {
    log: Log,
    policy: Policy,
    bodies: bool,
    rules: Vec<Rule>,
    evidence_limit: Mutex<TokenBucket>,
}

/// What the recorder needs to know about a judged request.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct JudgedRequest<'a, 'h> {
    /// The head of the request.
    pub head: &'a Head<'h>,
    /// The body of the request, if it was read completely.
    pub body: Option<&'a [u8]>,
    /// The parsed body, if the caller has already parsed it.
    pub(crate) reading: Option<&'a Reading<'a>>,
    /// The verifier that judged the request. Its rules and origins are recorded.
    pub verifier: &'a Verifier,
    /// The time at which the request was judged.
    pub now: Timestamp,
    /// The patterns of requests that need the touch of a security key.
    touch_rules: &'a [String],
}

impl<'a, 'h> JudgedRequest<'a, 'h> {
    /// Creates the description of a request, with its head only.
    pub fn new(head: &'a Head<'h>, verifier: &'a Verifier, now: Timestamp) -> Self {
        let touch_rules = &[];
        JudgedRequest { head, body: None, reading: None, verifier, now, touch_rules }
    }

    /// Adds the request's body.
    #[must_use]
    pub fn with_body(self, body: Option<&'a [u8]>) -> Self {
        JudgedRequest { body, ..self }
    }

    /// Adds the patterns of requests that need a touch of a security key. They are recorded among
    /// the rules.
    #[must_use]
    pub fn with_touch_rules(self, touch_rules: &'a [String]) -> Self {
        JudgedRequest { touch_rules, ..self }
    }

    /// Adds the parsed body. With `None`, the body is parsed again.
    #[cfg(feature = "tower")]
    pub(crate) fn read(self, reading: Option<&'a Reading<'a>>) -> Self {
        JudgedRequest { reading, ..self }
    }
}

impl Recorder {
    /// Creates a recorder with the policy `required`, which keeps no bodies.
    pub fn new(log: Log) -> Self {
        let evidence_limit =
            Mutex::new(TokenBucket::new(REFUSED_ENTRIES_PER_SECOND, REFUSED_ENTRIES_BURST));
        Recorder { log, policy: Policy::Required, bodies: false, rules: Vec::new(), evidence_limit }
    }

    /// Sets the policy for a failed write.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Recorder { policy, ..self }
    }

    /// Keeps bodies, without the values that `rules` name.
    #[must_use]
    pub fn with_bodies(self, rules: Vec<Rule>) -> Self {
        Recorder { bodies: true, rules, ..self }
    }

    /// Returns the log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Returns the policy.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Records a verified request. Under [`Policy::Required`], the entry is on the disk when the
    /// future completes; after an error the request must not be forwarded. Under
    /// [`Policy::BestEffort`], a failed write is counted and no error is returned.
    ///
    /// The entry is made at once, and put into the log when the future is first polled. So
    /// `request` and `evidence` can be dropped while the future waits for the disk.
    ///
    /// # Errors
    /// [`LogError`] if the entry was not written and the policy is `required`.
    pub fn verified<'r>(
        &'r self,
        request: &JudgedRequest<'_, '_>,
        evidence: &Evidence,
    ) -> impl Future<Output = Result<(), LogError>> + use<'r> {
        self.entry(request, evidence, Verdict::Verified, None)
    }

    /// Records a request that is refused, or that strict mode would refuse. `evidence` is present
    /// if a signature is valid. A request that is forwarded anyway is recorded like a verified one.
    /// Refused requests beyond a rate limit are only counted, because entries about them could fill
    /// the disk. As in [`Recorder::verified`], the entry is made at once.
    ///
    /// # Errors
    /// [`LogError`] if the entry of a request that is forwarded was not written and the policy is
    /// `required`.
    pub fn rejected<'r>(
        &'r self,
        request: &JudgedRequest<'_, '_>,
        evidence: Option<&Evidence>,
        because: RecordedRefusal<'_>,
        statement: Option<&Statement>,
        passes: bool,
    ) -> impl Future<Output = Result<(), LogError>> + use<'r> {
        let verdict = if passes { Verdict::WouldRefuse } else { Verdict::Refused };
        let room = || self.evidence_limit.lock().unwrap_or_else(PoisonError::into_inner).take();
        let entry = match evidence {
            Some(evidence) if room() => Some(self.entry(request, evidence, verdict, Some(because))),
            _ => {
                self.log.note_refused(verdict, because, Some(request.head), statement);
                None
            }
        };
        async move {
            match entry {
                Some(entry) => entry.await,
                None => Ok(()),
            }
        }
    }

    /// Counts a request whose head (method, target, fields) is so malformed that it could not be
    /// judged.
    pub fn malformed_head(&self, code: &str) {
        let because = RecordedRefusal { step: None, code };
        self.log.note_refused(Verdict::Refused, because, None, None);
    }

    /// Records a request on the client's side, before it is sent. `head` contains the signature
    /// that `evidence` describes. `by` holds the profile and the origins of the signer when it
    /// signed. As in [`Recorder::verified`], the entry is made at once.
    ///
    /// # Errors
    /// As [`Recorder::verified`]; after an error, the request must not be sent.
    pub fn signed<'r>(
        &'r self,
        head: &Head<'_>,
        (profile, origins): (&Profile, &Origins),
        body: &[u8],
        evidence: &Evidence,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), LogError>> + use<'r> {
        let (body, reading, by) = (Some(body), None, RulesSource::Signer(profile));
        let request = RequestToWrite { head, body, reading, origins, by, now };
        self.write(&request, evidence, Verdict::Signed, None)
    }

    fn entry<'r>(
        &'r self,
        judged: &JudgedRequest<'_, '_>,
        evidence: &Evidence,
        verdict: Verdict,
        because: Option<RecordedRefusal<'_>>,
    ) -> impl Future<Output = Result<(), LogError>> + use<'r> {
        let JudgedRequest { head, body, reading, verifier, now, touch_rules } = *judged;
        let origins = verifier.origins();
        let by = RulesSource::Verifier(verifier, touch_rules);
        let request = RequestToWrite { head, body, reading, origins, by, now };
        self.write(&request, evidence, verdict, because)
    }

    /// Makes the entry at once. The future puts it into the log, and waits until it is written.
    fn write<'r>(
        &'r self,
        request: &RequestToWrite<'_, '_>,
        evidence: &Evidence,
        verdict: Verdict,
        because: Option<RecordedRefusal<'_>>,
    ) -> impl Future<Output = Result<(), LogError>> + use<'r> {
        let waits = self.policy == Policy::Required && verdict != Verdict::Refused;
        let record = self.record(request, evidence, verdict, because);
        async move {
            if waits {
                return self.log.append(record).await.map(drop);
            }
            self.log.post(record, verdict != Verdict::Refused);
            Ok(())
        }
    }

    fn record(
        &self,
        request: &RequestToWrite<'_, '_>,
        evidence: &Evidence,
        verdict: Verdict,
        because: Option<RecordedRefusal<'_>>,
    ) -> record::Record {
        let RequestToWrite { head, body, reading, origins, by, now } = *request;
        // The target could be resolved when the head was judged, so it can be resolved here too.
        let target = origins.resolve(head).map(|target| target.target_uri()).unwrap_or_default();
        let scope = match by {
            RulesSource::Verifier(..) => Scope::Endpoint,
            RulesSource::Signer(_) => Scope::Anywhere,
        };
        let own = match reading {
            Some(_) => None,
            None => body.and_then(|body| body::read(head, body, scope).ok()),
        };
        let reading = reading.or(own.as_ref());
        let keep = match body.filter(|_| self.bodies) {
            Some(body) => {
                redact::apply(&self.rules, body, reading, &evidence.binding(), self.log.salts())
            }
            None => KeptBody::Nothing,
        };
        let (kept, redacted) = match &keep {
            KeptBody::Whole => (body, None),
            KeptBody::Redacted(redacted) => (None, Some(redacted)),
            KeptBody::Nothing => (None, None),
        };
        let facts = RequestFacts {
            verdict,
            because,
            by,
            head,
            target_uri: &target,
            reading,
            body: kept,
            redacted,
            time: now,
        };
        record::write(&facts, evidence)
    }
}

#[derive(Clone, Copy)]
struct RequestToWrite<'a, 'h> {
    head: &'a Head<'h>,
    body: Option<&'a [u8]>,
    reading: Option<&'a Reading<'a>>,
    origins: &'a Origins,
    by: RulesSource<'a>,
    now: Timestamp,
}
