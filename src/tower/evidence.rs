//! Writes each request to the audit log: after its verdict, and before the service receives it.
//!
//! Without the feature `audit`, these functions do nothing.

use crate::mcp::body::Reading;
use crate::message::Head;
use crate::profile::Profile;
use crate::verify::{VerifiedHead, Verifier};

use super::findings::Findings;
use super::settings::VerifySettings;

#[cfg(feature = "audit")]
pub(super) use on::{HeadEvidence, malformed_head, of, record};

#[cfg(not(feature = "audit"))]
pub(super) use off::{HeadEvidence, malformed_head, of, record};

/// A judged request: its verifier, its head, its body if that is complete, and its parsed body if
/// that is unambiguous.
type JudgedParts<'a, 'h> = (&'a Verifier, &'a Head<'h>, Option<&'a [u8]>, Option<&'a Reading<'a>>);

#[cfg(feature = "audit")]
mod on {
    use super::{Findings, Head, JudgedParts, Profile, VerifiedHead, VerifySettings};
    use crate::audit::{self, RecordedRefusal};
    use crate::clock::Timestamp;
    use crate::tower::refusal::RefusalReason;
    use crate::tower::status::Status;
    use crate::verify::{Code, Rejection};

    /// The verified signatures of a request, and the time when they were verified.
    pub(in crate::tower) struct HeadEvidence {
        signatures: audit::Evidence,
        now: Timestamp,
    }

    /// Takes what is recorded about the verified signatures, before the body is judged.
    pub(in crate::tower) fn of(
        settings: &VerifySettings,
        profile: &Profile,
        head: &Head<'_>,
        verified_head: &VerifiedHead<'_>,
    ) -> Option<HeadEvidence> {
        settings.recorder.as_ref()?;
        let signatures = audit::Evidence::of(profile, head, verified_head.signatures());
        Some(HeadEvidence { signatures, now: verified_head.now() })
    }

    /// Counts a request whose head is so malformed that it could not be judged.
    pub(in crate::tower) fn malformed_head(settings: &VerifySettings, code: &str) {
        if let Some(recorder) = &settings.recorder {
            recorder.malformed_head(code);
        }
    }

    /// Records the result. If a required entry cannot be written, the request is refused.
    pub(in crate::tower) async fn record(
        settings: &VerifySettings,
        (verifier, head, body, reading): JudgedParts<'_, '_>,
        evidence: Option<HeadEvidence>,
        findings: Findings,
    ) -> Findings {
        let Some(recorder) = &settings.recorder else { return findings };
        let signatures = evidence.as_ref().map(|evidence| &evidence.signatures);
        let judged = |now| {
            let judged = audit::JudgedRequest::new(head, verifier, now).with_body(body);
            judged.read(reading).with_touch_rules(settings.touch.described())
        };
        // The evidence is freed before the entry is awaited, because many requests may wait.
        let done = match (&findings.status, &findings.refusal, signatures) {
            (Some(Status::Verified(verified)), None, Some(signatures)) => {
                let written = recorder.verified(&judged(verified.now()), signatures);
                drop(evidence);
                written.await
            }
            (status, refusal, signatures) => {
                let rejection = status.as_ref().and_then(Status::rejection);
                let because = because(rejection, refusal.as_ref());
                let statement = rejection.and_then(Rejection::statement);
                let now = evidence.as_ref().map_or(Timestamp::default(), |e| e.now);
                let passes = refusal.is_none();
                let written =
                    recorder.rejected(&judged(now), signatures, because, statement, passes);
                drop(evidence);
                written.await
            }
        };
        match done {
            Ok(()) => findings,
            Err(error) => Findings::refuse(RefusalReason::Unrecorded(Box::new(error))),
        }
    }

    fn because<'a>(
        rejection: Option<&Rejection>,
        refusal: Option<&RefusalReason>,
    ) -> RecordedRefusal<'a> {
        let code = match (rejection, refusal) {
            (Some(rejection), _) => rejection.code().as_str(),
            (None, Some(RefusalReason::BodyTooLarge { .. })) => Code::TooLarge.as_str(),
            (None, Some(RefusalReason::Expectation)) => "expectation_failed",
            (None, Some(RefusalReason::BodyBroken(_))) => "body_broken",
            _ => "unavailable",
        };
        RecordedRefusal { step: rejection.map(|rejection| rejection.step().number()), code }
    }
}

#[cfg(not(feature = "audit"))]
mod off {
    use super::{Findings, Head, JudgedParts, Profile, VerifiedHead, VerifySettings};

    pub(in crate::tower) enum HeadEvidence {}

    pub(in crate::tower) fn of(
        _: &VerifySettings,
        _: &Profile,
        _: &Head<'_>,
        _: &VerifiedHead<'_>,
    ) -> Option<HeadEvidence> {
        None
    }

    pub(in crate::tower) fn malformed_head(_: &VerifySettings, _: &str) {}

    #[allow(clippy::unused_async)]
    pub(in crate::tower) async fn record(
        _: &VerifySettings,
        _: JudgedParts<'_, '_>,
        _: Option<HeadEvidence>,
        findings: Findings,
    ) -> Findings {
        findings
    }
}
