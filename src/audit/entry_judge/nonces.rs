//! The nonces that the request of an entry used up.

use sha2::{Digest as _, Sha256};

use super::super::entry::{Entry, Event};
use super::super::record::Verdict;
use super::keys;
use crate::base::header;
use crate::clock::Timestamp;
use crate::message::json_line;
use crate::nonce::Retention;
use crate::profile::Profile;

/// The first 24 bytes of the SHA-256 hash of a key id and a nonce.
pub(in crate::audit) type NonceId = [u8; 24];

/// A nonce that the request of an entry used up.
#[derive(Clone, Copy, Debug)]
pub(in crate::audit) struct NonceUse {
    pub(in crate::audit) id: NonceId,
    /// When the nonce may be used again, in Unix seconds.
    pub(in crate::audit) until: i64,
    /// The time of the request (not of its entry), in Unix seconds.
    pub(in crate::audit) at: i64,
}

/// Returns the id of a pair of key and nonce.
pub(in crate::audit) fn nonce_id(key: &str, nonce: &str) -> NonceId {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update([0]);
    hash.update(nonce);
    let digest = hash.finalize();
    std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default())
}

/// Returns the nonces of an entry that a verifier accepted as new. The signatures are not verified
/// here.
pub(in crate::audit) fn nonces_of(entry: &Entry<'_>) -> Vec<NonceUse> {
    let Event::Request(request) = &entry.event else { return Vec::new() };
    if !matches!(request.verdict, Verdict::Verified | Verdict::Signed) {
        return Vec::new();
    }
    let Ok(line) = json_line::read(request.request.get().as_bytes()) else { return Vec::new() };
    let (Some(time), Ok(candidates)) = (line.time, header::read(&line.head)) else {
        return Vec::new();
    };
    let Some(rules) = &request.rules else { return Vec::new() };
    let whole = |seconds: i64| u32::try_from(seconds).unwrap_or(u32::MAX);
    let lifetime = || Profile::named(&rules.profile).and_then(|profile| profile.lifetime());
    let window = rules.window.or_else(lifetime).unwrap_or(0);
    let retention = Retention::new(whole(window), whole(rules.ahead));
    let uses = request.signatures.iter().filter_map(|told| {
        let candidate = candidates.iter().find(|candidate| candidate.label == told.label)?;
        let params = candidate.params.as_ref().ok()?;
        let id = nonce_id(&keys::thumbprint(told.key.get()).ok()?, params.nonce().value()?);
        let created = Timestamp::from_unix(params.created().value()?);
        Some(NonceUse { id, until: retention.until(created).unix(), at: time.unix() })
    });
    uses.collect()
}
