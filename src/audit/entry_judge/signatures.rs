//! Compares the signatures of an entry with those of its request: each recorded signature is valid,
//! and each valid signature is recorded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::entry::{Mcp, Request, Signature};
use super::super::record::Verdict;
use super::facts;
use crate::base::params::SignatureParams;
use crate::clock::Timestamp;
use crate::key::PresenceProof;
use crate::key::trust::TrustEntry as Trusted;
use crate::mcp::pattern::Operation;
use crate::message::Head;
use crate::verify::coverage;
use crate::verify::{JudgedSignatures, OpaqueSignature, Rejection, Step, VerifiedHead, Verifier};

/// Runs steps 1 to 8 of verification on the signatures whose signature base the log keeps. Returns
/// the valid ones, and true if one of them can authorise the request. If this is false, only a
/// signature without a kept base can have authorised the request.
///
/// # Errors
/// A recorded signature is invalid, a valid one is not recorded, or nothing could authorise the
/// request.
pub(super) fn judge_kept<'h>(
    verifier: &Verifier,
    ids: &[String],
    request: &Request<'_>,
    head: &'h Head<'h>,
) -> Result<(VerifiedHead<'h>, bool), String> {
    let recorded = || request.signatures.iter().zip(ids);
    let labels = || request.signatures.iter().map(|one| &*one.label);
    if let Some((_, twice)) =
        labels().enumerate().find(|(n, one)| labels().take(*n).any(|l| l == *one))
    {
        return Err(format!("it tells of two signatures {twice:?}"));
    }
    // Signatures without a recorded base cover a field that the log does not keep, so they cannot
    // be verified again. This is no fault of the entry, and no fault of another signature that
    // covers one of them.
    let unseen: Vec<_> = recorded()
        .filter(|(told, _)| told.base.is_none())
        .map(|(told, id)| OpaqueSignature { label: &told.label, key: id })
        .collect();
    let has_body = coverage::says_body_follows(head);
    let judged = verifier.judge_each(head, has_body, &unseen).map_err(|no| facts::refused(&no))?;
    let JudgedSignatures { head: verified_head, refusal } = judged;
    if let Some(no) = refusal.as_ref().filter(|_| unseen.is_empty()) {
        return Err(facts::refused(no));
    }
    same_signatures(request, ids, &verified_head)?;
    // A signature without a recorded base can only fail when its bytes are verified (step 8). A
    // refusal at an earlier step is a real contradiction.
    let of_unseen = |no: &&Rejection| {
        no.step() != Step::Signature
            && no.statement().is_some_and(|said| unseen.iter().any(|one| one.label == said.label))
    };
    match verified_head.failed().iter().find(of_unseen) {
        Some(no) => Err(facts::refused(no)),
        None => Ok((verified_head, refusal.is_none())),
    }
}

/// Checks that the signatures that were recorded with a base are exactly the valid ones. If all
/// signatures have a base, their order is checked too.
fn same_signatures(
    request: &Request<'_>,
    ids: &[String],
    verified_head: &VerifiedHead<'_>,
) -> Result<(), String> {
    let told = || request.signatures.iter().zip(ids).filter(|(told, _)| told.base.is_some());
    let is_whole = told().count() == request.signatures.len();
    for (n, one) in verified_head.signatures().enumerate() {
        // A touch of a security key moves the signature that it confirms to the front. The touch
        // may be a signature that cannot be verified again, so the order is not checked then.
        let at = told()
            .enumerate()
            .find(|(at, (told, _))| told.label == one.label && (!is_whole || *at == n));
        let Some((_, (told, id))) = at else {
            return Err(format!("the signature {:?} holds, and it does not tell", one.label));
        };
        if told.base_sha256.is_some() {
            return Err(format!("the signature {:?} has a base, and a hash of one", one.label));
        }
        if *id != one.entry.key().id().as_str() {
            return Err(format!("the signature {:?} is of another key", one.label));
        }
        // The base64 of 69 bytes, the longest signature.
        let mut signature = [0; 92];
        let length = STANDARD.encode_slice(one.signature, &mut signature).unwrap_or_default();
        if Some(told.signature.as_bytes()) != signature.get(..length) {
            return Err("its signature is not that of its request".to_owned());
        }
        let base = told.base.map(|base| base.get()).unwrap_or_default();
        if !is_json_of(base, one.base) {
            return Err("its signature base is not that of its request".to_owned());
        }
    }
    let valid = |label: &str| verified_head.signatures().any(|one| one.label == label);
    match told().find(|(told, _)| !valid(&told.label)) {
        None => Ok(()),
        Some((told, _)) => Err(format!("the signature {:?} does not hold", told.label)),
    }
}

/// Checks that the recorded `kid` is the thumbprint of the signing key, or the `keyid` parameter of
/// the signature.
pub(super) fn check_kid(told: &Signature<'_>, id: &str, keyid: Option<&str>) -> Result<(), String> {
    let kid = facts::kid(told.key.get())?;
    match kid == id || Some(&*kid) == keyid {
        true => Ok(()),
        false => Err(format!("the id {kid} is not that of its key")),
    }
}

/// Returns true if `json` is the JSON string of `text`, a signature base, as this program writes
/// it. A base is ASCII, and only quotation marks, backslashes, line feeds and tabs are escaped.
fn is_json_of(json: &str, text: &str) -> bool {
    let Some(inner) = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')) else {
        return false;
    };
    let (mut json, mut text) = (inner.as_bytes(), text.as_bytes());
    // Runs of characters without an escape are compared at once.
    loop {
        let run = json.iter().position(|b| *b == b'\\').unwrap_or(json.len());
        let (Some((plain, escaped)), Some((same, rest))) =
            (json.split_at_checked(run), text.split_at_checked(run))
        else {
            return false;
        };
        if plain != same {
            return false;
        }
        let (Some(escaped), Some((first, rest))) = (escaped.get(1..), rest.split_first()) else {
            return escaped.is_empty() && rest.is_empty();
        };
        let meant = match escaped.first() {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(other @ (b'"' | b'\\')) => *other,
            _ => return false,
        };
        if *first != meant {
            return false;
        }
        (json, text) = (escaped.get(1..).unwrap_or_default(), rest);
    }
}

/// The findings on one signature of an entry.
pub(super) struct JudgedSignature<'a> {
    pub(super) id: String,
    pub(super) label: &'a str,
    /// Whether the base of the signature is recorded, and the signature was verified over it.
    pub(super) base: bool,
    pub(super) created: Option<Timestamp>,
    pub(super) nonce: Option<&'a str>,
    pub(super) tag: Option<&'a str>,
    /// Whether the signature covers all parts of the request that matter: method, target and digest
    /// of the content, or the components that the auditor demands instead.
    pub(super) whole: bool,
    pub(super) mirror: facts::MirroredMembers,
    /// The key as the log records it, if the signature was verified.
    pub(super) entry: Option<&'a Trusted>,
    /// What the security key reported about the touch (flags and counter), if the signature is by a
    /// security key.
    pub(super) presence: Option<PresenceProof>,
    /// The label of the signature that this touch confirms, by the rules for the keys in the entry.
    pub(super) touch_for: Option<&'a str>,
    /// Whether the signature covers another signature of the request.
    pub(super) covers_another: bool,
}

impl<'a> JudgedSignature<'a> {
    /// Returns the findings on a signature of the key `id` that cannot be verified again.
    pub(super) fn unseen(id: String, label: &'a str, params: &'a SignatureParams<'_>) -> Self {
        let names = params.components().iter().map(|component| component.name());
        JudgedSignature {
            id,
            label,
            base: false,
            created: params.created().value().map(Timestamp::from_unix),
            nonce: params.nonce().value(),
            tag: params.tag().value(),
            whole: false,
            mirror: facts::MirroredMembers::default(),
            entry: None,
            presence: None,
            touch_for: None,
            covers_another: covers_another(names),
        }
    }

    /// Returns true if the owner of the signature's key can be the signer of the request: the
    /// signature covers no other signature, and a security key made it only if that key may sign
    /// alone.
    pub(super) fn is_of_signer(&self) -> bool {
        !self.covers_another && (self.presence.is_none() || self.touch_for == Some(self.label))
    }
}

/// Returns true if one of the covered components `names` is a signature field, so that the
/// signature covers another signature.
pub(super) fn covers_another<'n>(mut names: impl Iterator<Item = &'n str>) -> bool {
    names.any(|name| matches!(name, "signature" | "signature-input"))
}

/// Returns true if only the log claims which MCP operation the request asks for, because the body
/// is not kept.
pub(super) fn claimed(
    request: &Request<'_>,
    verifier: &Verifier,
    head: &Head<'_>,
    signed: &[JudgedSignature<'_>],
) -> Result<bool, String> {
    let agreed = match request.verdict {
        Verdict::Verified => verifier.profile().judge_mcp,
        Verdict::Signed => request.mcp.is_some(),
        _ => false,
    };
    if !agreed {
        return Ok(true);
    }
    // An accepted request needs a key whose recorded limits allow the operation.
    let may = |mcp: &Mcp| {
        let operation = Operation { method: &mcp.method, name: mcp.name.as_deref() };
        let mut signers = signed.iter().filter(|one| one.is_of_signer());
        signers.any(|one| one.entry.is_none_or(|entry| entry.allows(operation)))
    };
    if request.verdict == Verdict::Verified && request.mcp.as_ref().is_some_and(|mcp| !may(mcp)) {
        return Err("it says verified, and what it says of its key does not allow that".to_owned());
    }
    let mut covered = facts::MirroredMembers::default();
    for one in signed.iter().filter(|one| one.base) {
        covered.method |= one.mirror.method;
        covered.name |= one.mirror.name;
    }
    facts::check_mirror(request.mcp.as_ref(), head, covered)
}
