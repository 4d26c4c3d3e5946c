//! The touch of a security key in an entry, and what the auditor's own trust files say about it.
//!
//! The log names the security key, its application and whose signatures its touch may join. An
//! auditor believes none of that: a keeper could enroll a key of its own. So a touch is *confirmed*
//! only by the auditor's trust files.

use super::super::entry::Request;
use super::super::record::Verdict;
use super::facts;
use super::key_status::{self, SignatureClaim};
use super::signatures::JudgedSignature;
use crate::clock::Timestamp;
use crate::key::trust::{Registry, TrustEntry};
use crate::mcp::pattern::{Operation, Pattern};

/// A touch that joins the signature on which an entry rests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JudgedTouch {
    /// The thumbprint of the security key.
    pub key: String,
    /// The name of the security key in the auditor's trust files.
    pub name: Option<String>,
    /// The application of the security key, as the log names it. The signature is verified with it.
    pub application: Option<String>,
    /// Whether the security key also verified its user.
    pub verified: bool,
    /// The counter of the security key.
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

/// The context in which the touches of an entry are judged.
pub(super) struct TouchContext<'a> {
    pub(super) registry: Option<&'a Registry>,
    pub(super) operation: Option<Operation<'a>>,
    pub(super) time: Timestamp,
}

impl TouchContext<'_> {
    /// Returns the touch of the signature `vouching`: by the log's own keys it counts. A confirmed
    /// touch comes first.
    pub(super) fn of(
        &self,
        signed: &[JudgedSignature<'_>],
        vouching: &JudgedSignature<'_>,
    ) -> Option<JudgedTouch> {
        let touches = signed.iter().filter(|one| self.counts(one, vouching));
        let judged = touches.filter_map(|one| self.judge(one, &vouching.id));
        judged.min_by_key(|touch| (!touch.is_confirmed(), !touch.verified))
    }

    /// Returns true if by the log's own keys a touch counts for a signature that can have
    /// authorised the request. The auditor may know only another one of the signers.
    pub(super) fn any_counts(&self, signed: &[JudgedSignature<'_>]) -> bool {
        let may = |entry: &TrustEntry| self.operation.is_none_or(|o| entry.allows(o));
        let mut signers =
            signed.iter().filter(|one| one.is_of_signer() && one.entry.is_some_and(may));
        signers.any(|signer| signed.iter().any(|one| self.counts(one, signer)))
    }

    /// Returns true if by the log's own keys `touch` counts for `vouching`.
    fn counts(&self, touch: &JudgedSignature<'_>, vouching: &JudgedSignature<'_>) -> bool {
        let allows = |entry: &TrustEntry| self.operation.is_none_or(|o| entry.allows(o));
        touch.joins == Some(vouching.label) && touch.entry.is_some_and(allows)
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

    /// Returns why the auditor's entry of the security key does not confirm the touch.
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

/// Returns why the auditor's entry of the key of `one`, which stands alone, does not let the key sign
/// so: it is a security key there and not in the log, or the reverse, or other rules hold for it.
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

/// What the auditor could not read from an entry about its touch.
#[derive(Clone, Copy)]
pub(super) struct Unseen {
    /// A signature cannot be verified again, so it may be a touch.
    pub(super) base: bool,
    /// Only the log's word names the operation.
    pub(super) operation: bool,
}

/// Checks the verdict of an entry against the touches that it has. `counted` is true if one of them
/// counts by the log's own keys, for any signer. Returns true if a rule of the log, or one of
/// `pinned`, demands a touch. The auditor's own patterns, `pinned`, also demand one if only the log's
/// word names the operation, and of a request that was passed on although strict mode would have
/// refused it.
///
/// # Errors
/// The entry contradicts itself: a rule of its own demands a touch that is not there, or it was
/// refused for want of a touch that is there.
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
        // The list of tools, by which a tool is destructive, is not in the log.
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
