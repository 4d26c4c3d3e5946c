//! Checks the signatures of witnesses (cosignatures) under a checkpoint against a policy, which
//! says how many are needed.

use super::super::note::Note;
use super::policy::WitnessPolicy;
use crate::clock::Timestamp;

/// The valid signatures of witnesses under a note, for the witnesses of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cosignatures {
    /// The index of each witness in the policy, with the time of its signature.
    pub by: Vec<(usize, Timestamp)>,
    /// The time at which there were enough signatures of witnesses for the quorum; `None` if there
    /// are not enough, or if the policy needs none and there is none.
    pub complete: Option<Timestamp>,
}

impl WitnessPolicy {
    /// Returns the valid signatures under `note` by witnesses of this policy. The caller has to
    /// check the log's own signature and the content.
    pub fn cosignatures(&self, note: &Note) -> Cosignatures {
        let witnesses = self.witnesses().iter().enumerate();
        let by: Vec<_> = witnesses
            .filter_map(|(place, w)| Some((place, note.signed_by(w.key.as_ref()?)?)))
            .filter(|(_, time)| time.unix() > 0)
            .collect();
        let complete = self.complete(&by);
        Cosignatures { by, complete }
    }

    /// Returns the earliest time at which there were enough of these witnesses' signatures for the
    /// quorum.
    pub(super) fn complete(&self, by: &[(usize, Timestamp)]) -> Option<Timestamp> {
        let mut times: Vec<Timestamp> = by.iter().map(|(_, time)| *time).collect();
        times.sort_unstable();
        times.into_iter().find(|until| {
            let has = |place| by.iter().any(|(other, time)| *other == place && time <= until);
            self.quorum().is_met(&has)
        })
    }
}
