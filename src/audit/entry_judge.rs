//! Judges a single entry again from its own content. Other entries are not needed, so that entries
//! can be judged on all cores at once.
//!
//! There are three results. An entry is *bad* if it contradicts itself or a signature is invalid:
//! it was invented or changed. It is *unjudged*, for a [`UnjudgedReason`], if nothing contradicts
//! it but data is missing, for example a key that the auditor trusts. Otherwise it is good. The
//! holder of the log's key can write any line, but cannot make signatures of a key that the auditor
//! trusts.

use std::sync::Arc;

use super::entry::{self, Entry, Event, Request, Version};
use super::record::Verdict;
use super::segment::EntryLine;
use super::tree;
use crate::base::header::{self, Candidate};
use crate::clock::Timestamp;
use crate::key::trust::Registry;
use crate::mcp::body::{self, Reading, Scope};
use crate::message::error_chain::chain;
use crate::message::{Body, Head, json_line};
use crate::verify::coverage;
use crate::verify::{JudgedBody, Rejection, Step, VerifiedHead};

mod base_not_kept;
mod entry_findings;
mod facts;
mod key_status;
mod keys;
mod nonces;
mod reason;
mod rules;
mod signatures;
mod touch;
mod verifiers;

pub use entry_findings::{EntryFindings, JudgedEntry};
pub use key_status::KeyStatus;
pub use reason::{UnjudgedReason, UnjudgedReasons};
pub use rules::PinnedRules;
pub use touch::JudgedTouch;

pub(super) use entry_findings::Notice;
pub(super) use nonces::{NonceId, NonceUse, nonces_of};

use nonces::nonce_id;
use signatures::JudgedSignature;
use touch::TouchContext;
use verifiers::{EntryVerifier, EntryVerifiers};

/// The keys and rules that the auditor trusts. The holder of the log's key cannot change them.
#[derive(Clone, Default)]
pub struct AuditorTrust {
    registry: Option<Arc<Registry>>,
    rules: PinnedRules,
}

impl AuditorTrust {
    /// Trusts no key. Every entry is then unjudged, because no signer is known.
    pub fn of_the_log() -> Self {
        AuditorTrust::default()
    }

    /// Trusts the keys in the auditor's own trust files.
    pub fn pinned(registry: Arc<Registry>) -> Self {
        AuditorTrust { registry: Some(registry), rules: PinnedRules::default() }
    }

    /// Returns the keys that the auditor trusts, if trust files were given.
    pub fn registry(&self) -> Option<&Registry> {
        self.registry.as_deref()
    }

    /// Adds the auditor's own rules.
    #[must_use]
    pub fn with_rules(self, rules: PinnedRules) -> Self {
        AuditorTrust { rules, ..self }
    }
}

/// Judges entries, one after the other. Each core uses its own value.
pub struct EntryJudge {
    trust: AuditorTrust,
    verifiers: EntryVerifiers,
}

impl EntryJudge {
    /// Creates a judge with the keys and rules in `trust`.
    pub fn new(trust: AuditorTrust) -> Self {
        EntryJudge { trust, verifiers: EntryVerifiers::default() }
    }

    /// Judges the entry in `line`.
    pub fn judge_line(&mut self, line: &EntryLine) -> EntryFindings {
        let bytes = u64::try_from(line.bytes.len()).unwrap_or(u64::MAX);
        let mut looked = EntryFindings {
            position: line.position,
            position_by_name: line.position_by_name,
            leaf: tree::leaf(&line.bytes),
            whole: line.whole,
            stamp: None,
            notice: None,
            fault: line.fault.clone(),
            judged: JudgedEntry::default(),
            nonces: Vec::new(),
            bytes,
        };
        if !line.whole {
            return looked;
        }
        match entry::parse(&line.bytes) {
            Err(error) => {
                looked.stamp = entry::stamp(&line.bytes);
                looked.fault = Some(chain(&error));
            }
            Ok(entry) => {
                looked.stamp = Some((entry.n, entry.time));
                looked.fault = self.entry((&entry, &line.bytes), &mut looked).err();
            }
        }
        looked
    }

    fn entry(
        &mut self,
        (entry, line): (&Entry<'_>, &[u8]),
        looked: &mut EntryFindings,
    ) -> Result<(), String> {
        let notice = match &entry.event {
            Event::Request(request) => {
                let judged = self.request(request, entry.version, None, &mut looked.nonces)?;
                looked.judged = judged.0;
                let rules = request.rules.clone().filter(|_| request.verdict != Verdict::Signed);
                Notice::Request { time: judged.1, rules }
            }
            Event::Dropped(dropped) if !dropped.adds_up() => {
                return Err("its counts do not add up".to_owned());
            }
            Event::Dropped(_) => Notice::Counts,
            Event::Clock(step) => Notice::Clock(step.offset),
            Event::Rules(rules) => Notice::Rules(rules.clone()),
            Event::Recovered(recovery) => Notice::Recovered(*recovery),
            Event::After(after) => Notice::After(after.clone()),
            Event::Closed(closed) => Notice::Closed(closed.successor.clone()),
            Event::Erased(erasure) => Notice::Erased(erasure.clone()),
            Event::Tombstone(tombstone) => {
                // The tree keeps the hash of the erased entry, not of the tombstone. So nothing
                // would reveal a change to the tombstone, and only its one valid spelling is
                // accepted.
                looked.leaf = tombstone.leaf;
                if tombstone.line(entry.n, entry.time).split_last() != Some((&b'\n', line)) {
                    return Err("its tombstone is not as one is written".to_owned());
                }
                Notice::Tombstone
            }
        };
        looked.notice = Some((entry.version, notice));
        Ok(())
    }

    /// Judges a recorded request again, with the clock set to the time when the server judged it.
    /// Returns that time too. `elsewhere` is the body of the request, if the auditor has it and the
    /// log does not.
    pub(super) fn request(
        &mut self,
        request: &Request<'_>,
        version: Version,
        elsewhere: Option<&[u8]>,
        nonces: &mut Vec<NonceUse>,
    ) -> Result<(JudgedEntry, Timestamp), String> {
        facts::check_verdict(request)?;
        if request.signatures.is_empty() {
            return Err("it holds no signature".to_owned());
        }
        let line = json_line::read(request.request.get().as_bytes());
        let line = line.map_err(|e| format!("its request cannot be read: {}", chain(&e)))?;
        let (head, time) = (&line.head, line.time.ok_or("its request bears no time")?);
        facts::check_head(request, head)?;
        let kept = match &line.body {
            Body::Kept(body) => Some(&**body),
            _ => None,
        };
        if elsewhere.is_some() && kept.is_some() && elsewhere != kept {
            return Err("the body that was given is not the one in the log".to_owned());
        }
        if let Some(body) = elsewhere {
            facts::check_given(request, head, body)?;
        }
        if let Some(redacted) = &request.redacted {
            facts::check_redacted(redacted, kept.is_some())?;
            if let Some(body) = elsewhere {
                redacted.follows_from(body)?;
            }
        }
        let scope = scope(request);
        let engine = self.verifiers.of(request, (version, scope))?;
        let verifier = &engine.verifier;
        self.verifiers.set_time(time);
        let (verified_head, authorises) =
            signatures::judge_kept(verifier, &engine.ids, request, head)?;
        let candidates = header::read(head).unwrap_or_default();
        let signed = self.signed(&engine, request, (head, time), (&verified_head, &candidates))?;
        if matches!(request.verdict, Verdict::Verified | Verdict::Signed) {
            nonces.extend(signed.iter().filter_map(|one| {
                let id = nonce_id(&one.id, one.nonce?);
                let until = verifier.retention().until(one.created?).unix();
                Some(NonceUse { id, until, at: time.unix() })
            }));
            // One key may have signed the request twice with the same nonce. A verifier stores it
            // once, so it counts once here.
            nonces.sort_by_key(|one| one.id);
            nonces.dedup_by_key(|one| one.id);
        }
        let mut judged = JudgedEntry {
            signatures: u64::try_from(signed.iter().filter(|one| one.base).count()).unwrap_or(0),
            base_not_kept: signed.iter().any(|one| !one.base),
            ..JudgedEntry::default()
        };
        let body = kept.or(elsewhere);
        judged.without_body = body.is_none();
        let reading = body.map(|body| body::read(head, body, scope));
        let read = reading.as_ref().and_then(|reading| reading.as_ref().ok());
        if reading.is_some() {
            facts::check_operation(request.mcp.as_ref(), read.and_then(Reading::operation))?;
        } else if request.mcp.is_some() || verifier.profile().judge_mcp {
            judged.operation_claimed = signatures::claimed(request, verifier, head, &signed)?;
        }
        self.stand(request, (&signed, time), &mut judged);
        let nameless = request.mcp.is_none() && coverage::says_body_follows(head);
        let unseen = touch::Unseen {
            base: judged.base_not_kept,
            operation: judged.operation_claimed || (judged.without_body && nameless),
        };
        let counted = self.touches(request, time).any_counts(&signed);
        if touch::check(request, counted, &self.trust.rules.touch, unseen)?
            && !judged.touch.as_ref().is_some_and(JudgedTouch::is_confirmed)
        {
            judged.reasons.add(UnjudgedReason::Touch);
        }
        let pinned = &self.trust.rules;
        let demanded = rules::demanded(request.rules.as_ref(), pinned);
        judged.reasons.join(rules::lax(request.rules.as_ref(), &demanded, pinned));
        let form = verifier.profile().target;
        if !pinned.origins.is_empty() && pinned.origins.resolve_as(head, form).is_err() {
            judged.reasons.add(UnjudgedReason::Origin);
        }
        if judged.base_not_kept {
            judged.reasons.add(UnjudgedReason::BaseNotKept);
        }
        drop(signed);
        let found = match (body, &reading) {
            (Some(body), Some(reading)) if authorises => {
                let judged = verifier.judge_parsed_body(verified_head, body, || reading);
                Some(judged.and_then(JudgedBody::into_rejection))
            }
            _ => None,
        };
        // A signature that cannot be verified again may be the one for which the server accepted
        // the request. Then the failure of another signature is no contradiction.
        let found = found.filter(|found| {
            let of_another = |no: &Rejection| {
                !matches!(no.step(), Step::Digest | Step::Mcp)
                    && request.code.as_deref() != Some(no.code().as_str())
            };
            !(judged.base_not_kept && found.as_ref().is_err_and(of_another))
        });
        facts::check_outcome(request, found)?;
        Ok((judged, time))
    }

    /// Returns the findings on each signature of an entry, in the order of the entry.
    fn signed<'s>(
        &self,
        engine: &EntryVerifier,
        request: &'s Request<'_>,
        (head, time): (&'s Head<'_>, Timestamp),
        (verified_head, candidates): (&'s VerifiedHead<'_>, &'s [Candidate<'_>]),
    ) -> Result<Vec<JudgedSignature<'s>>, String> {
        let pinned = &self.trust.rules;
        let demanded = rules::demanded(request.rules.as_ref(), pinned);
        let rules = (engine.verifier.profile(), engine.verifier.coverage_overrides());
        request
            .signatures
            .iter()
            .zip(&engine.ids)
            .map(|(told, id)| {
                let id = id.clone();
                if told.base.is_none() {
                    let at = (head, time);
                    let params = base_not_kept::check(told, candidates, at, rules)?;
                    let keyid = params.keyid().value();
                    signatures::check_kid(told, &id, keyid)?;
                    if keyid != Some(&*id) && keyid != facts::kid(told.key.get()).ok().as_deref() {
                        return Err(format!("the signature {:?} is of another key", told.label));
                    }
                    return Ok(JudgedSignature::unseen(id, &told.label, params));
                }
                // `judge_kept` has already compared the labels of the valid signatures with the
                // recorded ones, so the label is found.
                let one = verified_head.signatures().find(|one| one.label == told.label);
                let one = one.ok_or("a signature does not hold")?;
                let covered = rules::CoveredNames::of_base(one.base);
                let candidate = candidates.iter().find(|candidate| candidate.label == one.label);
                let params = candidate.and_then(|candidate| candidate.params.as_ref().ok());
                signatures::check_kid(told, &id, params.and_then(|p| p.keyid().value()))?;
                let mirror = facts::MirroredMembers {
                    method: covered.has("mcp-method"),
                    name: covered.has("mcp-name"),
                };
                Ok(JudgedSignature {
                    id,
                    label: one.label,
                    base: true,
                    created: one.created,
                    nonce: one.nonce,
                    tag: params.and_then(|params| params.tag().value()),
                    whole: rules::is_whole(&covered, &demanded, pinned),
                    mirror,
                    entry: Some(one.entry),
                    presence: one.presence,
                    touch_for: one.touch_for,
                    covers_another: signatures::covers_another(rules::names_of_base(one.base)),
                })
            })
            .collect()
    }

    /// Selects the signature that supports the verdict on the entry best: its key is one that the
    /// auditor trusts and was valid then, and the signature covers the whole request.
    fn stand(
        &self,
        request: &Request<'_>,
        (signed, time): (&[JudgedSignature<'_>], Timestamp),
        judged: &mut JudgedEntry,
    ) {
        let operation = facts::operation(request);
        // An entry that a client wrote about its own request is checked only against its signature.
        let demanded = rules::demanded(request.rules.as_ref(), &self.trust.rules);
        let purpose = demanded.key_purpose.filter(|_| request.verdict != Verdict::Signed);
        let known = |one: &JudgedSignature<'_>| {
            let (key, tag, created) = (&*one.id, one.tag, one.created);
            let claim = key_status::SignatureClaim { key, tag, created, time, operation, purpose };
            let registry = self.trust.registry.as_deref()?;
            let mut status = key_status::of(registry, &claim)?;
            status.not_alone = touch::misused(registry, one);
            Some(status)
        };
        // The signer of a request is never a touch of a security key, or a signature that covers
        // another signature.
        let signers = signed.iter().enumerate().filter(|(_, one)| one.is_of_signer());
        let all = signers.map(|(place, one)| (place, one, known(one)));
        // Preferred are, in this order: a key in the auditor's trust files; a key that was valid at
        // that time; a verified base; full coverage. Among equal signatures, the first one is
        // taken.
        let best = all.min_by_key(|(_, one, known)| {
            let then = known
                .as_ref()
                .is_some_and(|known| known.not_then.is_none() && known.not_alone.is_none());
            let fits = known.as_ref().is_some_and(|known| known.lacks_of_purpose.is_none());
            (known.is_none(), !then, !fits, !one.base, !one.whole)
        });
        let Some((place, one, known)) = best else {
            return judged.reasons.add(UnjudgedReason::Signer);
        };
        judged.key = Some(one.id.clone());
        match &known {
            None => judged.reasons.add(UnjudgedReason::Signer),
            Some(known) if known.not_then.is_some() => {
                judged.reasons.add(UnjudgedReason::NotTrustedThen)
            }
            Some(known) if known.not_alone.is_some() => {
                judged.reasons.add(UnjudgedReason::SecurityKey)
            }
            Some(known) if known.lacks_of_purpose.is_some() => {
                judged.reasons.add(UnjudgedReason::Purpose)
            }
            Some(_) => {}
        }
        if one.base && !one.whole {
            judged.reasons.add(UnjudgedReason::PartlySigned);
        }
        judged.touch = self.touches(request, time).of(signed, one);
        (judged.vouching, judged.known) = (Some(place), known);
    }

    /// Returns what is needed to judge the touches of security keys in an entry.
    fn touches<'r>(&'r self, request: &'r Request<'_>, time: Timestamp) -> TouchContext<'r> {
        let registry = self.trust.registry.as_deref();
        TouchContext { registry, operation: facts::operation(request), time }
    }
}

/// Returns how the body of a request is to be parsed: as MCP if the request was sent to the
/// endpoint, or not.
fn scope(request: &Request<'_>) -> Scope {
    match request.verdict {
        Verdict::Signed => Scope::Anywhere,
        _ => Scope::Endpoint,
    }
}
