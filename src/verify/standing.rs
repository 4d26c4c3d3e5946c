//! Step 7: whether the key of a signature is of a kind that may sign, strong, valid, not revoked
//! and permitted to use the `tag`.

use crate::clock::Timestamp;
use crate::key::KeyKind;
use crate::key::trust::TrustEntry;
use crate::profile::{ClientField, Profile, TagRule};

use super::parameters::CheckedParameters;
use super::rejection::{Code, Rejection, Step};

/// The data of a request against which its key is judged: the signature parameters, and the client
/// that a header field names.
pub(super) type KeyCheckInput<'a> = (&'a CheckedParameters<'a>, Option<&'a str>);

/// Checks the trust entry of a key for one signature. `client` is the client that a field of the
/// request names, if the profile reads one.
///
/// # Errors
/// `alg_not_allowed`, `key_weak`, `key_published`, `key_not_valid`, `key_revoked`, `tag_mismatch`.
pub(super) fn judge(
    profile: &Profile,
    entry: &TrustEntry,
    (parameters, client): KeyCheckInput<'_>,
    now: Timestamp,
) -> Result<(), Rejection> {
    let refuse = |code, message: String| {
        Rejection::new(Step::Key, code, message).with("key", describe(entry))
    };
    let kind = entry.key().kind();
    let (kinds, described_kind) = match entry.security_key() {
        Some(_) => (profile.security_keys, "a security key"),
        None => (profile.key_kinds, kind.described()),
    };
    if !kinds.contains(&kind) {
        let message = format!(
            "{described_kind} does not serve the profile {}: {} is needed",
            profile.name,
            described(profile.key_kinds)
        );
        return Err(refuse(Code::AlgNotAllowed, message));
    }
    // A security key signs a different message format, for which RFC 9421 has no algorithm name.
    let is_fit = |alg: KeyKind| alg == kind && entry.security_key().is_none();
    if let Some(alg) = parameters.alg.filter(|alg| !is_fit(*alg)) {
        let message = format!("alg does not fit the key, which is {described_kind}");
        return Err(refuse(Code::AlgNotAllowed, message).with("alg", alg.alg()));
    }
    if entry.key().is_weak() {
        return Err(refuse(
            Code::KeyWeak,
            "the key has a component of small order: anyone can sign under it".to_owned(),
        ));
    }
    if profile.refuse_published && entry.key().is_published() {
        return Err(refuse(
            Code::KeyPublished,
            "the private half of this key is published: anyone can sign under it".to_owned(),
        ));
    }
    // The key must be valid at `created` and now, because the client chooses `created`.
    for (what, moment) in [("created", parameters.created), ("now", Some(now))] {
        let Some(moment) = moment else { continue };
        if let Some(start) = entry.not_before()
            && moment < start
        {
            return Err(refuse(Code::KeyNotValid, "the key is not valid yet".to_owned())
                .with(what, moment)
                .with("not_before", start));
        }
        if let Some(end) = entry.not_after()
            && moment >= end
        {
            return Err(refuse(Code::KeyNotValid, "the key is no longer valid".to_owned())
                .with(what, moment)
                .with("not_after", end));
        }
        if let Some(revoked) = entry.revoked_at()
            && moment >= revoked
        {
            return Err(refuse(Code::KeyRevoked, "the key is revoked".to_owned())
                .with(what, moment)
                .with("revoked_at", revoked));
        }
    }
    if profile.tag == TagRule::KeyIdOrClientId {
        let tag = parameters.tag.unwrap_or_default();
        if !entry.may_use_tag(tag) {
            return Err(refuse(
                Code::TagMismatch,
                "the tag is not a client id of this key".to_owned(),
            )
            .with("tag", format!("{tag:?}"))
            .with("client_ids", client_ids(entry, "none but the key id")));
        }
    }
    if let (Some(ClientField { field, .. }), Some(client)) = (profile.client_field, client)
        && !entry.client_ids().iter().any(|id| id == client)
    {
        let message = format!("{field} names a client that is not one of this key");
        return Err(refuse(Code::TagMismatch, message)
            .with(field, format!("{client:?}"))
            .with("client_ids", client_ids(entry, "none")));
    }
    Ok(())
}

/// Returns the kinds in words: `an Ed25519 key or a P-256 key`.
fn described(kinds: &[KeyKind]) -> String {
    kinds.iter().map(|kind| kind.described()).collect::<Vec<_>>().join(" or ")
}

fn client_ids(entry: &TrustEntry, none: &str) -> String {
    match entry.client_ids() {
        [] => none.to_owned(),
        ids => ids.iter().map(|id| format!("{id:?}")).collect::<Vec<_>>().join(" "),
    }
}

fn describe(entry: &TrustEntry) -> String {
    match entry.name() {
        Some(name) => format!("{} ({name})", entry.key().id()),
        None => entry.key().id().to_string(),
    }
}
