//! Selects one of an agent's keys by fingerprint, key id or comment.

use std::collections::HashSet;

use super::{AgentError, AgentIdentity};
use crate::key::{KeyId, KeyKind, PublicKey, SecurityKey};

/// The reason why none of the agent's keys was chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChooseError {
    /// The agent did not list its keys, or lists none.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// No key matches `wanted`, or the agent has no key of a kind that can sign requests.
    #[error("the ssh-agent has no such key that can sign")]
    Unknown {
        /// All keys that the agent lists.
        there: Vec<AgentIdentity>,
    },
    /// Several keys that can sign match `wanted`, or `wanted` was empty and the agent has several
    /// keys.
    #[error("the ssh-agent has several such keys")]
    Several {
        /// The keys that match equally well.
        which: Vec<AgentIdentity>,
    },
    /// The matching key has a kind that cannot sign requests.
    #[error("the key in the ssh-agent is {}", .0.kind())]
    Unfit(Box<AgentIdentity>),
    /// No security key matches `wanted`.
    #[error("the ssh-agent has no such security key")]
    NoSecurityKey {
        /// All keys that the agent lists.
        there: Vec<AgentIdentity>,
    },
}

/// Returns the keys that `wanted` names, each once.
fn meant(there: &[AgentIdentity], wanted: &str) -> Vec<AgentIdentity> {
    let id = KeyId::from_text(wanted);
    let is_meant = |identity: &&AgentIdentity| {
        if wanted.is_empty() {
            true
        } else if wanted.starts_with("SHA256:") {
            identity.fingerprint() == wanted
        } else if let Some(id) = &id {
            identity.id() == Some(id)
        } else {
            identity.comment == wanted
        }
    };
    // An agent may list the same key twice, with two comments.
    let mut seen = HashSet::new();
    let named = there.iter().filter(is_meant);
    named.filter(|identity| seen.insert(&identity.blob)).cloned().collect()
}

pub(super) fn choose_security_key(
    there: Vec<AgentIdentity>,
    wanted: &str,
) -> Result<(AgentIdentity, SecurityKey), ChooseError> {
    if there.is_empty() {
        return Err(AgentError::Empty.into());
    }
    let mut which = meant(&there, wanted);
    which.retain(|identity| identity.security_key.is_some());
    match which.as_slice() {
        [one] => match &one.security_key {
            Some(key) => Ok((one.clone(), key.clone())),
            None => Err(ChooseError::NoSecurityKey { there }),
        },
        [] => Err(ChooseError::NoSecurityKey { there }),
        _ => Err(ChooseError::Several { which }),
    }
}

pub(super) fn choose(
    there: Vec<AgentIdentity>,
    wanted: &str,
) -> Result<(AgentIdentity, PublicKey), ChooseError> {
    if there.is_empty() {
        return Err(AgentError::Empty.into());
    }
    let (mut fit, unfit): (Vec<AgentIdentity>, Vec<AgentIdentity>) =
        meant(&there, wanted).into_iter().partition(|identity| identity.key.is_some());
    // Many users have keys of several types with the same comment. The Ed25519 key is then
    // preferred.
    let of_ed25519 =
        |i: &AgentIdentity| i.key.as_ref().is_some_and(|key| key.kind() == KeyKind::Ed25519);
    if fit.iter().any(of_ed25519) {
        fit.retain(of_ed25519);
    }
    match (fit.as_slice(), unfit.into_iter().next()) {
        ([one], _) => match &one.key {
            Some(key) => Ok((one.clone(), key.clone())),
            None => Err(ChooseError::Unfit(Box::new(one.clone()))),
        },
        ([], Some(other)) if !wanted.is_empty() => Err(ChooseError::Unfit(Box::new(other))),
        ([], _) => Err(ChooseError::Unknown { there }),
        _ => Err(ChooseError::Several { which: fit }),
    }
}
