//! The handle of a running layer, by which its verifier is replaced.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::mcp::body::Scope;
use crate::profile::Presence;
use crate::verify::{Replay, Verifier};

/// A layer cannot be built so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The verifier takes any origin at its word: a request that was signed for another server
    /// would be accepted.
    #[error("no origin is known to be ours")]
    NoOrigin,
    /// The verifier does not claim nonces: every request could be replayed.
    #[error("nonces are not claimed in a store")]
    NoStore,
    /// The profile accepts signatures without coverage, nonce, digest or an end.
    #[error("the profile {0:?} is for audits and not for servers")]
    Profile(String),
    /// A realm that no header can hold.
    #[error("the realm holds something else than visible ascii")]
    Realm,
}

/// Replaces the verifier of a running layer, as when a trust file has changed.
#[derive(Clone)]
pub struct Handle {
    verifier: Arc<RwLock<Arc<Verifier>>>,
}

impl Handle {
    /// The handle of a new layer that judges by `verifier`.
    pub(super) fn new(verifier: Verifier) -> Result<Self, LayerError> {
        Ok(Handle { verifier: Arc::new(RwLock::new(Arc::new(fit(verifier)?))) })
    }

    /// Judges by `verifier` from now on: a request whose body is not here yet is judged by it too,
    /// so that a key which is revoked counts for nothing at once. What was verified before stays so.
    ///
    /// # Errors
    /// As [`VerifyLayer::new`]; the old verifier stays then.
    pub fn replace(&self, verifier: Verifier) -> Result<(), LayerError> {
        let verifier = Arc::new(fit(verifier)?);
        // Nothing that can panic is done under the lock.
        *self.verifier.write().unwrap_or_else(PoisonError::into_inner) = verifier;
        Ok(())
    }

    /// The verifier as it stands.
    pub fn verifier(&self) -> Arc<Verifier> {
        Arc::clone(&self.verifier.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Whether a server may rely on `verifier`.
fn fit(verifier: Verifier) -> Result<Verifier, LayerError> {
    if verifier.origins().is_empty() {
        return Err(LayerError::NoOrigin);
    }
    if !matches!(verifier.replay(), Replay::Claim(_)) {
        return Err(LayerError::NoStore);
    }
    let profile = verifier.profile();
    let covers = |name: &str| profile.always.iter().any(|c| c == name);
    if profile.nonce != Presence::Required
        || profile.created != Presence::Required
        || profile.digest != Presence::Required
        || profile.window.back.is_none()
        || !["@method", "@target-uri", "content-digest"].into_iter().all(covers)
    {
        return Err(LayerError::Profile(profile.name.to_string()));
    }
    Ok(verifier.at(Scope::Endpoint))
}
