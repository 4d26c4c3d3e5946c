//! Explains one entry: what its signature covers, what the signature states, and which facts only
//! the log claims.

use super::entry::Request;
use crate::base::header;
use crate::clock::Timestamp;
use crate::message::json_line;
use crate::verify::covered;

/// What the signature of an entry covers and states.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Explanation {
    /// The signature's label.
    pub label: String,
    /// The components that the signature covers, as they are spelled in reports.
    pub covered: Vec<String>,
    /// Parts of the recorded request that the signature does not cover, so that only the log claims
    /// them.
    pub claimed: Vec<String>,
    /// When the signature was made, by its own parameter `created`.
    pub created: Option<Timestamp>,
    /// When the signature expires, by its own parameter `expires`.
    pub expires: Option<Timestamp>,
    /// The signature's `nonce`.
    pub nonce: Option<String>,
    /// The signature's `tag`, which names its purpose.
    pub tag: Option<String>,
}

/// Parses the signature at index `place` of an entry; returns `None` if there is none. Nothing is
/// verified.
pub fn explain(request: &Request<'_>, place: usize) -> Option<Explanation> {
    let told = request.signatures.get(place)?;
    let line = json_line::read(request.request.get().as_bytes()).ok()?;
    let candidates = header::read(&line.head).ok()?;
    let candidate = candidates.into_iter().find(|candidate| candidate.label == told.label)?;
    let params = candidate.params.ok()?;
    let claimed = covered::not_covered(&line.head, params.components());
    let moment = |seconds: Option<i64>| seconds.map(Timestamp::from_unix);
    Some(Explanation {
        label: told.label.to_string(),
        covered: params.components().iter().map(covered::shown).collect(),
        claimed,
        created: moment(params.created().value()),
        expires: moment(params.expires().value()),
        nonce: params.nonce().value().map(str::to_owned),
        tag: params.tag().value().map(str::to_owned),
    })
}
