//! What the auditor's own trust files say of a key. The log's word on names, client ids and limits
//! counts for nothing.

use crate::clock::Timestamp;
use crate::key::trust::{Registry, TrustEntry};
use crate::mcp::pattern::Operation;

/// A key that the auditor knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// The name that the auditor's trust file gives it.
    pub name: Option<String>,
    /// When it was, or will be, revoked.
    pub revoked_at: Option<Timestamp>,
    /// Why it could not speak at the time of the request: by the auditor's file it was revoked or
    /// not valid then.
    pub not_then: Option<&'static str>,
    /// What the request asks for is not in its `allow` today.
    pub no_longer_allowed: bool,
    /// The tag of the signature is not one of its client ids today.
    pub tag_not_listed: bool,
}

/// What a signature says of itself, and what its request asks for.
pub(super) struct KeyClaim<'a> {
    pub(super) key: &'a str,
    pub(super) tag: Option<&'a str>,
    pub(super) created: Option<Timestamp>,
    pub(super) time: Timestamp,
    pub(super) operation: Option<Operation<'a>>,
}

/// What `registry` says of a key; `None` if it does not know it.
pub(super) fn of(registry: &Registry, claim: &KeyClaim<'_>) -> Option<Known> {
    let entry: &TrustEntry = registry.by_id(claim.key)?;
    let moments = || claim.created.into_iter().chain([claim.time]);
    let not_then = if entry.key().is_weak() || entry.key().is_published() {
        Some("anyone can sign under this key")
    } else if moments().any(|moment| entry.is_revoked_at(moment)) {
        Some("it was revoked")
    } else if moments().any(|moment| !entry.is_valid_at(moment)) {
        Some("it was not valid")
    } else {
        None
    };
    let allowed = claim.operation.is_none_or(|operation| entry.allows(operation));
    Some(Known {
        name: entry.name().map(str::to_owned),
        revoked_at: entry.revoked_at(),
        not_then,
        no_longer_allowed: !allowed,
        tag_not_listed: claim.tag.is_some_and(|tag| !entry.may_use_tag(tag)),
    })
}
