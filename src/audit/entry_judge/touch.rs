//! The touch of a security key in an entry, and what the auditor's own trust files say about it.
//!
//! A touch is a signature that a security key makes after its user touched it. It confirms another
//! signature of the same request. The log names the security key, its application, and whose
//! signatures it may confirm. An auditor believes none of that, because the operator of the log
//! could have recorded a security key of its own. So a touch is *confirmed* only by the auditor's
//! trust files.

use super::super::entry::Request;
use super::super::record::Verdict;
use super::facts;
use super::key_status::{self, SignatureClaim};
use super::signatures::JudgedSignature;
use crate::clock::Timestamp;
use crate::key::trust::{Registry, TrustEntry};
use crate::mcp::pattern::{Operation, Pattern};

/// The touch of a security key that confirms the signature that authorised the request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JudgedTouch {
    /// The thumbprint of the security key.
    pub key: String,
    /// The name of the security key in the auditor's trust files.
    pub name: Option<String>,
    /// The application of the security key, as the log names it. The signature is verified with it.
    pub application: Option<String>,
    /// Whether the security key also verified its user, by a PIN or a fingerprint.
    pub verified: bool,
    /// The signature counter that the security key reported.
    pub counter: u32,
    /// Why the auditor's trust files do not confirm the touch; `None` if they do.
    pub doubt: Option<&'static str>,
}

impl JudgedTouch {
    /// Returns true if the auditor's trust files confirm the touch.
    pub fn is_confirmed(&self) -> bool {
        self.doubt.is_none()
    }
}

/// What is needed to judge the touches in an entry.
pub(super) struct TouchContext<'a> {
    pub(super) registry: Option<&'a Registry>,
    pub(super) operation: Option<Operation<'a>>,
    pub(super) time: Timestamp,
}

impl TouchContext<'_> {
    /// Returns the touch of a security key that, by the keys as the log records them, confirms the
    /// signature `vouching`, which authorised the request. A touch that also the auditor's trust
    /// files accept is preferred.
    pub(super) fn of(
        &self,
        signed: &[JudgedSignature<'_>],
        vouching: &JudgedSignature<'_>,
    ) -> Option<JudgedTouch> {
        let touches = signed.iter().filter(|one| self.counts(one, vouching));
        let judged = touches.filter_map(|one| self.judge(one, &vouching.id));
        judged.min_by_key(|touch| (!touch.is_confirmed(), !touch.verified))
    }

    /// Returns true if, by the keys as the log records them, a touch of a security key confirms any
    /// signature that can have authorised the request. That may be another signature than the one
    /// whose key the auditor knows.
    pub(super) fn any_counts(&self, signed: &[JudgedSignature<'_>]) -> bool {
        let may = |entry: &TrustEntry| self.operation.is_none_or(|o| entry.allows(o));
        let mut signers =
            signed.iter().filter(|one| one.is_of_signer() && one.entry.is_some_and(may));
        signers.any(|signer| signed.iter().any(|one| self.counts(one, signer)))
    }

    /// Returns true if, by the keys as the log records them, `touch` confirms `vouching`, the
    /// signature that authorised the request.
    fn counts(&self, touch: &JudgedSignature<'_>, vouching: &JudgedSignature<'_>) -> bool {
        let allows = |entry: &TrustEntry| self.operation.is_none_or(|o| entry.allows(o));
        touch.touch_for == Some(vouching.label) && touch.entry.is_some_and(allows)
    }

    fn judge(&self, touch: &JudgedSignature<'_>, signer: &str) -> Option<JudgedTouch> {
        let proof = touch.presence?;
        let application = touch.entry?.security_key()?.application();
        let application = application.map(|application| application.as_str().to_owned());
        let known = self.registry.and_then(|registry| registry.by_id(&touch.id));
        let doubt = match (self.registry, known) {
            (None, _) => Some("no trust file was given"),
            (_, None) => Some("no trust file that was given has its key"),
            (Some(registry), Some(entry)) => {
                self.doubt(registry, entry, touch, (signer, application.as_deref()))
            }
        };
        let name = known.and_then(|entry| entry.name()).map(str::to_owned);
        let (verified, counter) = (proof.verified, proof.counter);
        Some(JudgedTouch { key: touch.id.clone(), name, application, verified, counter, doubt })
    }

    /// Returns why the security key's entry in the auditor's trust files does not confirm the
    /// touch.
    fn doubt(
        &self,
        registry: &Registry,
        entry: &TrustEntry,
        touch: &JudgedSignature<'_>,
        (signer, application): (&str, Option<&str>),
    ) -> Option<&'static str> {
        let Some(rules) = entry.security_key() else {
            return Some("by the trust file its key is no security key");
        };
        let ours = rules.application().map(|application| application.as_str());
        if ours.is_none() || ours != application {
            return Some("the trust file names another application");
        }
        if rules.demands_verification() && !touch.presence.is_some_and(|proof| proof.verified) {
            return Some("the trust file demands a PIN or a finger, and there was none");
        }
        let signs_alone = touch.id == signer && rules.may_sign_alone();
        let joins = registry.by_id(signer).is_some_and(|signer| entry.may_touch_for(signer));
        if !signs_alone && !joins {
            return Some("by the trust file it may not touch for this signer");
        }
        let (created, time, operation) = (touch.created, self.time, self.operation);
        let (key, tag, purpose) = (&*touch.id, None, None);
        let claim = SignatureClaim { key, tag, created, time, operation, purpose };
        let status = key_status::of(registry, &claim)?;
        status.not_then.map(|_| "by the trust file its key was revoked or not valid then")
    }
}

/// Returns why the auditor's trust files do not let the key of `one` sign a request alone: it is a
/// security key there and not in the log, or the reverse, or other rules hold for it.
pub(super) fn misused(registry: &Registry, one: &JudgedSignature<'_>) -> Option<&'static str> {
    let rules = registry.by_id(&one.id)?.security_key();
    let logged = one.entry.and_then(|entry| entry.security_key()?.application());
    let fits = match (rules, one.presence) {
        (None, None) => true,
        (Some(rules), Some(proof)) => {
            rules.may_sign_alone()
                && rules.application().is_some_and(|ours| logged == Some(ours))
                && (proof.verified || !rules.demands_verification())
        }
        _ => false,
    };
    (!fits).then_some("its rules for security keys do not allow this signature")
}

/// What is unknown about the touches of an entry, because the log does not keep the data.
#[derive(Clone, Copy)]
pub(super) struct Unseen {
    /// Whether a signature cannot be verified again, so that it may be a touch of a security key.
    pub(super) base: bool,
    /// Whether the MCP operation is only a claim of the log.
    pub(super) operation: bool,
}

/// Checks the verdict of an entry against its touches. `counted` is true if, by the keys as the log
/// records them, a touch confirms the signature of any signer. Returns true if a rule of the log,
/// or one of `pinned`, demands a touch. The auditor's own patterns, `pinned`, also demand one if
/// the operation is only a claim of the log, or if the server passed the request on although it
/// failed verification (permissive mode).
///
/// # Errors
/// The entry contradicts itself: a rule of its own demands a touch that is not there, or it was
/// refused because of a missing touch that is there.
pub(super) fn check(
    request: &Request<'_>,
    counted: bool,
    pinned: &[Pattern],
    unseen: Unseen,
) -> Result<bool, String> {
    if counted && request.code.as_deref() == Some("touch_required") {
        return Err("it says touch_required, and it has a touch that counts".to_owned());
    }
    if request.verdict == Verdict::Refused {
        return Ok(false);
    }
    let operation = facts::operation(request);
    let matches = |pattern: &Pattern| operation.is_some_and(|o| pattern.restricts(o));
    let passed_by_mode = request.verdict == Verdict::WouldRefuse;
    let own = request.rules.iter().filter(|_| !passed_by_mode).flat_map(|rules| &rules.touch);
    let mut demanded = false;
    for text in own {
        // The server's list of tools, which says which tools are destructive, is not in the log.
        if text == "destructive" {
            continue;
        }
        let pattern =
            Pattern::parse(text).map_err(|error| format!("its rule about touches: {error}"))?;
        demanded |= matches(&pattern);
    }
    if demanded && !counted && request.verdict == Verdict::Verified && !unseen.base {
        return Err("its rules want the touch of a security key, and none counts".to_owned());
    }
    Ok(demanded || pinned.iter().any(|pattern| unseen.operation || matches(pattern)))
}
