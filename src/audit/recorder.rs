//! The recorder: decides which requests are written, and what happens if a write fails.

use std::sync::{Mutex, PoisonError};

use super::evidence::Evidence;
use super::fault::LogError;
use super::log::Log;
use super::record::{self, Because, Facts, RulesSource, Verdict};
use super::redact::{self, Keep, Rule};
use super::refused::Bucket;
use crate::clock::Timestamp;
use crate::mcp::body::{self, Reading, Scope};
use crate::message::Head;
use crate::message::target::Origins;
use crate::profile::Profile;
use crate::verify::{Statement, Verifier};

/// Entries a second, in the long run, about requests whose signature holds and that are not
/// verified all the same. An attacker who sees a signed request on its way can send it again without
/// end.
const HELD_RATE: f64 = 100.0;
/// Such entries at once.
const HELD_BURST: f64 = 1_000.0;

/// The policy for a failed write of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// A request without an entry is not forwarded.
    #[default]
    Required,
    /// The request is forwarded, and counted as a gap.
    BestEffort,
}

/// A recorder that writes judged requests into a [`Log`].
#[derive(Debug)]
pub struct Recorder {
    log: Log,
    policy: Policy,
    bodies: bool,
    rules: Vec<Rule>,
    held: Mutex<Bucket>,
}

/// A request that was judged, as far as its recorder has to know.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Judged<'a, 'h> {
    /// The head of the request.
    pub head: &'a Head<'h>,
    /// The body of the request, if it was read completely.
    pub body: Option<&'a [u8]>,
    /// The parsed body, if it is available already.
    pub(crate) reading: Option<&'a Reading<'a>>,
    /// The rules and origins that it was judged by.
    pub verifier: &'a Verifier,
    /// The time at which the request was judged.
    pub now: Timestamp,
}

impl<'a, 'h> Judged<'a, 'h> {
    /// Creates the record of a request with this head.
    pub fn new(head: &'a Head<'h>, verifier: &'a Verifier, now: Timestamp) -> Self {
        Judged { head, body: None, reading: None, verifier, now }
    }

    /// Adds the request's body.
    #[must_use]
    pub fn with_body(self, body: Option<&'a [u8]>) -> Self {
        Judged { body, ..self }
    }

    /// Adds the parsed body. `None` if it could not be read: then it is parsed again.
    #[cfg(feature = "tower")]
    pub(crate) fn read(self, reading: Option<&'a Reading<'a>>) -> Self {
        Judged { reading, ..self }
    }
}

impl Recorder {
    /// Creates a recorder that keeps no bodies and uses the policy `required`.
    pub fn new(log: Log) -> Self {
        let held = Mutex::new(Bucket::new(HELD_RATE, HELD_BURST));
        Recorder { log, policy: Policy::Required, bodies: false, rules: Vec::new(), held }
    }

    /// Sets the policy for a failed write.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Recorder { policy, ..self }
    }

    /// Keeps bodies, with what `rules` name cut out.
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

    /// Records a verified request. Under [`Policy::Required`] the entry is on the disk when this
    /// function returns, and the request must not be forwarded after an error. Under the other
    /// policy there is never an error.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn verified(
        &self,
        request: &Judged<'_, '_>,
        evidence: &Evidence,
    ) -> Result<(), LogError> {
        self.entry(request, evidence, Verdict::Verified, None).await
    }

    /// Records a request that is refused, or would be in strict mode. `evidence` is present if its
    /// signature is valid. A request that is forwarded anyway is recorded like a verified one,
    /// unless there are so many that they could fill the disk.
    ///
    /// # Errors
    /// [`LogError`], only for a request that is forwarded.
    pub async fn rejected(
        &self,
        request: &Judged<'_, '_>,
        evidence: Option<&Evidence>,
        because: Because<'_>,
        statement: Option<&Statement>,
        passes: bool,
    ) -> Result<(), LogError> {
        let verdict = if passes { Verdict::WouldRefuse } else { Verdict::Refused };
        let room = || self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        match evidence {
            Some(evidence) if room() => self.entry(request, evidence, verdict, Some(because)).await,
            _ => {
                self.log.note_refused(verdict, because, Some(request.head), statement);
                Ok(())
            }
        }
    }

    /// Counts a request that has no head that could be judged.
    pub fn headless(&self, code: &str) {
        let because = Because { step: None, code };
        self.log.note_refused(Verdict::Refused, because, None, None);
    }

    /// Records the signer's own copy of a request, before it is sent: `head` has the signature on
    /// it that `evidence` tells of, made by `profile`, with `origins` as they were then.
    ///
    /// # Errors
    /// As [`Recorder::verified`]; the request must not be sent then.
    pub async fn signed(
        &self,
        head: &Head<'_>,
        (profile, origins): (&Profile, &Origins),
        body: &[u8],
        evidence: &Evidence,
        now: Timestamp,
    ) -> Result<(), LogError> {
        let (body, reading, by) = (Some(body), None, RulesSource::Signer(profile));
        let request = RequestToWrite { head, body, reading, origins, by, now };
        self.write(&request, evidence, Verdict::Signed, None).await
    }

    async fn entry(
        &self,
        judged: &Judged<'_, '_>,
        evidence: &Evidence,
        verdict: Verdict,
        because: Option<Because<'_>>,
    ) -> Result<(), LogError> {
        let Judged { head, body, reading, verifier, now } = *judged;
        let origins = verifier.origins();
        let by = RulesSource::Verifier(verifier);
        let request = RequestToWrite { head, body, reading, origins, by, now };
        self.write(&request, evidence, verdict, because).await
    }

    async fn write(
        &self,
        request: &RequestToWrite<'_, '_>,
        evidence: &Evidence,
        verdict: Verdict,
        because: Option<Because<'_>>,
    ) -> Result<(), LogError> {
        let waits = self.policy == Policy::Required && verdict != Verdict::Refused;
        match self.record(request, evidence, verdict, because) {
            Ok(record) if waits => self.log.append(record).await.map(drop),
            Ok(record) => {
                self.log.post(record, verdict != Verdict::Refused);
                Ok(())
            }
            Err(error) if waits => Err(error),
            Err(_) => {
                if verdict != Verdict::Refused {
                    self.log.gap();
                }
                Ok(())
            }
        }
    }

    fn record(
        &self,
        request: &RequestToWrite<'_, '_>,
        evidence: &Evidence,
        verdict: Verdict,
        because: Option<Because<'_>>,
    ) -> Result<record::Record, LogError> {
        let RequestToWrite { head, body, reading, origins, by, now } = *request;
        // A head that was judged has a target.
        let target = origins.resolve(head).map(|target| target.target_uri()).unwrap_or_default();
        let scope = match by {
            RulesSource::Verifier(_) => Scope::Endpoint,
            RulesSource::Signer(_) => Scope::Anywhere,
        };
        let own = match reading {
            Some(_) => None,
            None => body.and_then(|body| body::read(head, body, scope).ok()),
        };
        let reading = reading.or(own.as_ref());
        let keep = match body.filter(|_| self.bodies) {
            Some(body) => {
                redact::apply(&self.rules, body, reading, &evidence.binding(), self.log.secret())?
            }
            None => Keep::Nothing,
        };
        let (kept, redacted) = match &keep {
            Keep::Whole => (body, None),
            Keep::Redacted(redacted) => (None, Some(redacted)),
            Keep::Nothing => (None, None),
        };
        let facts = Facts {
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
        Ok(record::write(&facts, evidence))
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
