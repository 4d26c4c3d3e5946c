//! The verifiers with which entries are judged again. Entries with the same keys and rules share
//! one verifier.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::super::entry::{Request, Rules, Version};
use super::super::record::Verdict;
use super::{keys, rules};
use crate::clock::{Clock, Timestamp};
use crate::mcp::body::Scope;
use crate::verify::{ReplayCheck, Verifier};

/// A clock that shows the time of the entry that is being judged.
#[derive(Default)]
struct EntryClock(AtomicI64);

impl Clock for EntryClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::Relaxed))
    }
}

/// A verifier for entries with the same keys and rules.
pub(super) struct EntryVerifier {
    pub(super) verifier: Verifier,
    /// The thumbprint of each key, in the order of the signatures of the entry.
    pub(super) ids: Vec<String>,
}

/// What a verifier depends on: the keys of an entry as JSON, its rules, its version, and whether a
/// signer wrote it.
type VerifierKey = (Vec<Box<str>>, Option<Rules>, (Version, bool));

/// Maximum number of verifiers that are kept. If a further one is needed, all kept ones are dropped
/// first.
const MAX_VERIFIERS: usize = 256;

/// Verifiers by the keys and rules of entries. A log has few combinations of these.
#[derive(Default)]
pub(super) struct EntryVerifiers {
    clock: Arc<EntryClock>,
    all: HashMap<VerifierKey, Arc<EntryVerifier>>,
    /// The verifier of the last entry, because the next entry often has the same keys and rules.
    last: Option<(VerifierKey, Arc<EntryVerifier>)>,
}

impl EntryVerifiers {
    /// Sets the time at which requests are judged.
    pub(super) fn set_time(&self, time: Timestamp) {
        self.clock.0.store(time.unix(), Ordering::Relaxed);
    }

    /// Returns the verifier for the keys and rules that an entry names, from the kept ones or newly
    /// made.
    pub(super) fn of(
        &mut self,
        request: &Request<'_>,
        (version, scope): (Version, Scope),
    ) -> Result<Arc<EntryVerifier>, String> {
        let keys = || request.signatures.iter().map(|signature| signature.key.get());
        let how = (version, request.verdict == Verdict::Signed);
        if let Some(((of, rules, last), verifier)) = &self.last
            && of.iter().map(|key| &**key).eq(keys())
            && *rules == request.rules
            && *last == how
        {
            return Ok(Arc::clone(verifier));
        }
        let key: VerifierKey = (keys().map(Box::from).collect(), request.rules.clone(), how);
        let verifier = match self.all.get(&key) {
            Some(verifier) => Arc::clone(verifier),
            None => self.make(request, (version, scope), &key)?,
        };
        self.last = Some((key, Arc::clone(&verifier)));
        Ok(verifier)
    }

    fn make(
        &mut self,
        request: &Request<'_>,
        (version, scope): (Version, Scope),
        key: &VerifierKey,
    ) -> Result<Arc<EntryVerifier>, String> {
        let (said, ids) = keys::of(key.0.iter().map(|key| &**key))?;
        let rules::AppliedRules { profile, overrides, origins } = rules::of(request, version)?;
        let clock: Arc<dyn Clock> = self.clock.clone();
        let verifier =
            Verifier::new(profile, Arc::new(said), origins, clock, ReplayCheck::Unchecked)
                .with_coverage_overrides(overrides)
                .with_max_body(usize::MAX)
                .with_scope(scope);
        if self.all.len() >= MAX_VERIFIERS {
            self.all.clear();
        }
        let verifier = Arc::new(EntryVerifier { verifier, ids });
        self.all.insert(key.clone(), Arc::clone(&verifier));
        Ok(verifier)
    }
}
