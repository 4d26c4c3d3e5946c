//! What the auditor's own trust files say about a key. Names, client ids and limits in the log are
//! ignored.

use crate::clock::Timestamp;
use crate::key::trust::{Registry, TrustEntry};
use crate::mcp::pattern::Operation;

/// A key that the auditor knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The result for a key that the auditor's trust files contain.
    pub name: Option<String>,
    /// The time of the revocation, which may be in the future.
    pub revoked_at: Option<Timestamp>,
    /// Why the key was not valid at the time of the request: it was revoked, or the request was
    /// outside the key's validity.
    pub not_then: Option<&'static str>,
    /// Why the key may not sign a request alone: the auditor's trust files and the log disagree
    /// about whether it is a security key, or give it different rules.
    pub not_alone: Option<&'static str>,
    /// The statement of a purpose (that the key is for signing requests) that the key lacks in the
    /// auditor's trust files. Present only if the profile demands that keys state their purpose.
    pub lacks_of_purpose: Option<String>,
    /// Whether the `allow` list of the key in the auditor's trust files does not contain the
    /// operation.
    pub no_longer_allowed: bool,
    /// Whether the signature's `tag` is missing from the client ids that the auditor's trust files
    /// list for the key.
    pub tag_not_listed: bool,
}

/// What a signature states about its request.
pub(super) struct SignatureClaim<'a> {
    pub(super) key: &'a str,
    pub(super) tag: Option<&'a str>,
    pub(super) created: Option<Timestamp>,
    pub(super) time: Timestamp,
    pub(super) operation: Option<Operation<'a>>,
    /// The purpose that a key has to state, such as signing requests
    /// ([`Profile::key_purpose`](crate::profile::Profile)).
    pub(super) purpose: Option<&'static str>,
}

/// Looks a key up in `registry`; `None` if the registry lacks it.
pub(super) fn of(registry: &Registry, claim: &SignatureClaim<'_>) -> Option<KeyStatus> {
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
    Some(KeyStatus {
        name: entry.name().map(str::to_owned),
        revoked_at: entry.revoked_at(),
        not_then,
        not_alone: None,
        lacks_of_purpose: claim.purpose.and_then(|purpose| entry.lacks_of_purpose(purpose)),
        no_longer_allowed: !allowed,
        tag_not_listed: claim.tag.is_some_and(|tag| !entry.may_use_tag(tag)),
    })
}
