//! What a signature states about itself, unverified, for reports.

use crate::base::params::SignatureParams;
use crate::clock::Timestamp;
use crate::key::trust::TrustEntry;
use crate::message::Head;

use super::covered;

/// What a signature states: its key, times, nonce and components. For a refused request, none of
/// this is proven.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Statement {
    /// The label. It only distinguishes the signatures of one request.
    pub label: String,
    /// `keyid` as received, or the id of the key if it was found in the trust files.
    pub key: Option<String>,
    /// Whether a trust file has the key.
    pub key_known: bool,
    /// The name that the trust entry gives the key, if the key was found.
    pub key_name: Option<String>,
    /// When the key was revoked according to the trust entry, if it was.
    pub revoked_at: Option<Timestamp>,
    /// The parameter `tag`, as received.
    pub tag: Option<String>,
    /// The parameter `created`, if it is a number.
    pub created: Option<Timestamp>,
    /// The parameter `expires`, if it is a number.
    pub expires: Option<Timestamp>,
    /// The parameter `nonce`, as received.
    pub nonce: Option<String>,
    /// The covered components, in the order received.
    pub covered: Vec<String>,
    /// The parts of the request that the signature does not cover.
    pub not_covered: Vec<String>,
}

impl Statement {
    /// Collects what a signature states about itself, without judging it.
    pub fn of(
        head: &Head<'_>,
        label: &str,
        params: Option<&SignatureParams<'_>>,
        entry: Option<&TrustEntry>,
    ) -> Self {
        let mut statement = Statement { label: label.to_owned(), ..Statement::default() };
        if let Some(params) = params {
            let text =
                |name| params.params().get(name).and_then(|v| v.as_string()).map(str::to_owned);
            let time = |name| {
                params.params().get(name).and_then(|v| v.as_integer()).map(Timestamp::from_unix)
            };
            statement.key = text("keyid");
            statement.tag = text("tag");
            statement.nonce = text("nonce");
            statement.created = time("created");
            statement.expires = time("expires");
            statement.covered = params.components().iter().map(covered::shown).collect();
            statement.not_covered = covered::not_covered(head, params.components());
        }
        if let Some(entry) = entry {
            statement.key = Some(entry.key().id().to_string());
            statement.key_known = true;
            statement.key_name = entry.name().map(str::to_owned);
            statement.revoked_at = entry.revoked_at();
        }
        statement
    }
}
