//! An explanation of one entry beside the verdict: what its signature covers, what the signature
//! states, and which facts only the log claims.

use super::entry::Request;
use crate::base::header;
use crate::clock::Timestamp;
use crate::message::line;
use crate::verify::covered;

/// The signature that vouches for an entry, in the words of its request.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Explanation {
    /// The signature's label.
    pub label: String,
    /// The components that it covers, as reports name them.
    pub covered: Vec<String>,
    /// Parts of the kept request that the signature does not cover.
    pub claimed: Vec<String>,
    /// The stated time at which the signature was made.
    pub created: Option<Timestamp>,
    /// The stated time at which the signature expires.
    pub expires: Option<Timestamp>,
    /// The signature's `nonce`.
    pub nonce: Option<String>,
    /// The signature's `tag`: its stated purpose.
    pub tag: Option<String>,
}

/// Reads the signature of an entry at index `place`, from 0; `None` if there is none. Nothing is
/// verified.
pub fn explain(request: &Request<'_>, place: usize) -> Option<Explanation> {
    let told = request.signatures.get(place)?;
    let line = line::read(request.request.get().as_bytes()).ok()?;
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
