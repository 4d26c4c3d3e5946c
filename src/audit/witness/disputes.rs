//! Disputes: answers of witnesses that contradict the log, until the other witnesses have decided
//! whether to believe them.
//!
//! An answer 409 or 422 is not signed. If one such answer stopped a log, each witness of its policy
//! could stop it, and so could an attacker in the network. Therefore the other witnesses decide:
//!
//! - If enough of them for the quorum cosign a checkpoint over as many entries or more, the answer
//!   is ignored.
//! - If they are too few for the quorum, or have not cosigned within [`DECISION`], the log counts
//!   as rolled back or forked. A log with the policy `required` then takes no more entries.
//!
//! Recorded signatures of witnesses need no decision: they prove by themselves that the log was
//! rolled back or forked.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::quorum::Quorum;

/// How long the other witnesses have to make the quorum.
pub(super) const DECISION: Duration = Duration::from_secs(10);

/// The decision on an answer that contradicts the log. Each variant holds the answer as text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisputeOutcome {
    /// The other witnesses made the quorum, so the answer is ignored.
    Overruled(String),
    /// The other witnesses did not make the quorum, so the answer is believed.
    Upheld(String),
}

/// An answer that contradicts the log.
#[derive(Debug)]
struct Dispute {
    /// The number of entries that the checkpoint covers that was sent to the witness.
    size: u64,
    why: String,
    since: Instant,
}

/// All answers of witnesses that contradict the log, and the signatures of other witnesses, which
/// decide on them.
#[derive(Debug, Default)]
pub(super) struct Disputes {
    open: Vec<Dispute>,
    /// The witnesses that gave an answer that contradicts the log, by their index in the policy.
    /// Their signatures do not count.
    by: BTreeSet<usize>,
    /// The largest number of entries over which a witness signed since the start, and the witnesses
    /// that signed it.
    cosigned: (u64, BTreeSet<usize>),
}

impl Disputes {
    /// Records that the witness at index `place` of the policy contradicts the checkpoint over
    /// `size` entries.
    pub(super) fn add(&mut self, place: usize, size: u64, why: String, now: Instant) {
        if self.by.insert(place) {
            self.open.push(Dispute { size, why, since: now });
        }
    }

    /// Records that the witness at index `place` signed the checkpoint over `size` entries.
    pub(super) fn note_cosigned(&mut self, place: usize, size: u64) {
        if size > self.cosigned.0 {
            self.cosigned = (size, BTreeSet::new());
        }
        if size == self.cosigned.0 {
            self.cosigned.1.insert(place);
        }
    }

    /// Decides on the answers that contradict the log, and returns the decisions. `can_ask` says
    /// which witnesses can be asked. If `at_once` is true, no more signatures of witnesses will
    /// come.
    pub(super) fn settle(
        &mut self,
        quorum: &Quorum,
        can_ask: impl Fn(usize) -> bool,
        now: Instant,
        at_once: bool,
    ) -> Vec<DisputeOutcome> {
        let (by, (size, cosigned)) = (&self.by, &self.cosigned);
        let has_quorum = quorum.is_met(&|place| !by.contains(&place) && cosigned.contains(&place));
        let can_have_it = quorum.is_met(&|place| !by.contains(&place) && can_ask(place));
        let mut outcomes = Vec::new();
        self.open.retain(|dispute| {
            let why = || dispute.why.clone();
            let waited = now.saturating_duration_since(dispute.since);
            if *quorum == Quorum::None || (has_quorum && *size >= dispute.size) {
                outcomes.push(DisputeOutcome::Overruled(why()));
            } else if at_once || !can_have_it || waited >= DECISION {
                let why = format!("{}; the other witnesses made no quorum", why());
                outcomes.push(DisputeOutcome::Upheld(why));
            } else {
                return true;
            }
            false
        });
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upheld(why: &str) -> DisputeOutcome {
        DisputeOutcome::Upheld(format!("{why}; the other witnesses made no quorum"))
    }

    fn two_of_three() -> Quorum {
        Quorum::Of { need: 2, members: (0..3).map(Quorum::Witness).collect() }
    }

    /// Returns a dispute: witness 2 contradicts a checkpoint over 9 entries. `cosigned` lists which
    /// other witnesses have signed, each as its index and the number of entries.
    fn disputed(cosigned: &[(usize, u64)]) -> (Disputes, Instant) {
        let (mut disputes, now) = (Disputes::default(), Instant::now());
        disputes.add(2, 9, "why".to_owned(), now);
        for (place, size) in cosigned {
            disputes.note_cosigned(*place, *size);
        }
        (disputes, now)
    }

    #[test]
    fn the_quorum_of_other_witnesses_overrules_a_dispute() {
        let overruled = [DisputeOutcome::Overruled("why".to_owned())];
        for cosigned in [[(0, 9), (1, 9)], [(1, 12), (0, 12)]] {
            let (mut disputes, now) = disputed(&cosigned);
            assert_eq!(disputes.settle(&two_of_three(), |_| true, now, false), overruled);
            let later = now + DECISION * 2;
            assert_eq!(disputes.settle(&two_of_three(), |_| true, later, true), [], "only once");
        }
        let (mut disputes, now) = disputed(&[]);
        assert_eq!(disputes.settle(&Quorum::None, |_| true, now, false), overruled);
    }

    #[test]
    fn a_dispute_is_upheld_without_a_quorum_of_other_witnesses() {
        for cosigned in [
            vec![],
            vec![(0, 9)],
            // Witness 2 does not count, because it contradicts the log, even if it signed this
            // checkpoint before.
            vec![(0, 9), (2, 9)],
            // Too few signatures count: they cover fewer entries, or two different numbers of
            // entries.
            vec![(0, 8), (1, 8)],
            vec![(0, 9), (1, 12)],
        ] {
            let (mut disputes, now) = disputed(&cosigned);
            let almost = now + DECISION - Duration::from_millis(1);
            assert_eq!(disputes.settle(&two_of_three(), |_| true, almost, false), []);
            let outcome = disputes.settle(&two_of_three(), |_| true, now + DECISION, false);
            assert_eq!(outcome, [upheld("why")], "{cosigned:?}");
        }
    }

    #[test]
    fn a_quorum_that_other_witnesses_cannot_reach_is_not_awaited() {
        let upheld = [upheld("why")];
        let (mut disputes, now) = disputed(&[(0, 9)]);
        assert_eq!(disputes.settle(&two_of_three(), |place| place != 1, now, false), upheld);
        let (mut disputes, now) = disputed(&[(0, 9)]);
        disputes.add(1, 9, "too".to_owned(), now);
        assert_eq!(disputes.settle(&two_of_three(), |_| true, now, false).len(), 2);
        let (mut disputes, now) = disputed(&[(0, 9)]);
        assert_eq!(disputes.settle(&Quorum::Witness(2), |_| true, now, false), upheld);
        let (mut disputes, now) = disputed(&[(0, 9)]);
        assert_eq!(disputes.settle(&two_of_three(), |_| true, now, true), upheld);
    }
}
