//! The handle that replaces the verifier of a running layer.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::mcp::body::Scope;
use crate::verify::{ReplayCheck, Verifier};

/// Why a verifier or setting cannot be used in a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The verifier accepts every origin: a request that was signed for another server would be
    /// accepted.
    #[error("no origin is known to be ours")]
    NoOrigin,
    /// The verifier does not store nonces, so every signed request could be replayed.
    #[error("nonces are not claimed in a store")]
    NoStore,
    /// The profile accepts signatures without coverage, nonce, digest or a time limit. The first
    /// text is the name of the profile, the second says why a server cannot rely on that profile.
    #[error("the profile {0:?} is not for servers: {1}")]
    Profile(String, &'static str),
    /// The profile with this name knows no security keys, so that no touch would ever be accepted.
    #[error("the profile {0:?} knows no security keys, so no request could be touched")]
    Touch(String),
    /// The realm (RFC 9110 section 11.5) cannot be written in a header.
    #[error("the realm holds something else than visible ascii")]
    Realm,
    /// Refusals would have the status 200, which tells the proxy in front to let the request
    /// through.
    #[error("a refusal with status 200 would let the request through")]
    RefusedWithOk,
}

/// Replaces the verifier of a running layer, for example after a trust file has changed.
#[derive(Clone)]
pub struct VerifierHandle {
    verifier: Arc<RwLock<Arc<Verifier>>>,
}

impl VerifierHandle {
    /// Creates the handle of a new layer that judges with `verifier`.
    pub(super) fn new(verifier: Verifier) -> Result<Self, LayerError> {
        Ok(VerifierHandle { verifier: Arc::new(RwLock::new(Arc::new(fit(verifier)?))) })
    }

    /// Judges with `verifier` from now on. This includes requests whose body is not complete yet,
    /// so that a revoked key stops working at once. Requests that were verified before stay
    /// verified.
    ///
    /// # Errors
    /// [`LayerError`] if `verifier` cannot be used in a server; the old verifier then stays in use.
    pub fn replace(&self, verifier: Verifier) -> Result<(), LayerError> {
        let mut verifier = Arc::new(fit(verifier)?);
        // A lock that another thread poisoned by a panic is used anyway: no code that can panic
        // runs under this lock. The old verifier is freed after the lock is released, so that no
        // request waits for that.
        std::mem::swap(
            &mut *self.verifier.write().unwrap_or_else(PoisonError::into_inner),
            &mut verifier,
        );
        Ok(())
    }

    /// Returns true if `verifier` is still in use. This is cheaper than comparing with
    /// [`VerifierHandle::verifier`], which increments a reference count.
    pub(super) fn is_current(&self, verifier: &Arc<Verifier>) -> bool {
        Arc::ptr_eq(verifier, &self.verifier.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the verifier that is in use.
    pub fn verifier(&self) -> Arc<Verifier> {
        Arc::clone(&self.verifier.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for VerifierHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierHandle").finish_non_exhaustive()
    }
}

/// Checks that `verifier` can be used in a server: it must check origins and store nonces.
fn fit(verifier: Verifier) -> Result<Verifier, LayerError> {
    if verifier.origins().is_empty() {
        return Err(LayerError::NoOrigin);
    }
    if !matches!(verifier.replay(), ReplayCheck::Claim(_)) {
        return Err(LayerError::NoStore);
    }
    let profile = verifier.profile();
    if let Some(why) = profile.server_fault() {
        return Err(LayerError::Profile(profile.name.to_string(), why));
    }
    Ok(verifier.with_scope(Scope::Endpoint))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rand::rngs::SysRng;

    use super::*;
    use crate::clock::{Clock, SystemClock, Timestamp};
    use crate::key::trust::Registry;
    use crate::message::target::{Origin, Origins};
    use crate::nonce::Retention;
    use crate::nonce::memory::Memory;
    use crate::profile::Profile;

    /// A clock that, when it is dropped, says whether the handle of its verifier is free.
    #[derive(Default)]
    struct DroppedClock {
        handle: Arc<OnceLock<VerifierHandle>>,
        was_free: Arc<AtomicBool>,
    }

    impl Clock for DroppedClock {
        fn now(&self) -> Timestamp {
            SystemClock.now()
        }
    }

    impl Drop for DroppedClock {
        fn drop(&mut self) {
            let is_free =
                self.handle.get().is_some_and(|handle| handle.verifier.try_read().is_ok());
            self.was_free.store(is_free, Ordering::SeqCst);
        }
    }

    fn verifier(clock: Arc<dyn Clock>) -> Verifier {
        let store = Memory::new(clock.now(), Retention::new(30, 5), &mut SysRng).unwrap();
        let origins = Origins::new([Origin::parse("https://mcp.example.com").unwrap()]);
        let (registry, replay) =
            (Arc::new(Registry::merge([])), ReplayCheck::Claim(Arc::new(store)));
        Verifier::new(Profile::mcp(), registry, origins, clock, replay)
    }

    #[test]
    fn a_replaced_verifier_is_freed_outside_of_the_lock() {
        let clock = DroppedClock::default();
        let (known, was_free) = (Arc::clone(&clock.handle), Arc::clone(&clock.was_free));
        let handle = VerifierHandle::new(verifier(Arc::new(clock))).unwrap();
        assert!(known.set(handle.clone()).is_ok());
        handle.replace(verifier(Arc::new(SystemClock))).unwrap();
        assert!(was_free.load(Ordering::SeqCst));
    }
}
