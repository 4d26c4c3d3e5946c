//! Counts the verdicts of one run of `verify`.

use mcpid::verify::report::VerdictReport;

use crate::input::captures::InputCounts;
use crate::output::exit::Exit;
use crate::output::verdict;

/// Counts of requests by result.
#[derive(Default)]
pub(super) struct VerdictTally {
    pub(super) verdicts: u64,
    accepted: u64,
    rejected: u64,
    unjudged: u64,
    pub(super) failures: u64,
    /// Requests that were accepted although their key was revoked later.
    pub(super) on_revoked: u64,
    pub(super) exit: Exit,
}

impl VerdictTally {
    pub(super) fn count(&mut self, verdict: &VerdictReport) {
        self.verdicts += 1;
        match verdict::exit(verdict) {
            Exit::Ok => self.accepted += 1,
            Exit::Rejected => self.rejected += 1,
            _ => self.unjudged += 1,
        }
        self.on_revoked += u64::from(verdict.rests_on_revoked_key());
        self.exit = self.exit.max(verdict::exit(verdict));
    }

    pub(super) fn failed(&mut self, exit: Exit) {
        self.failures += 1;
        self.exit = self.exit.max(exit);
    }

    pub(super) fn progress(&self, read: u64, size: Option<u64>) -> String {
        let share = match size {
            // Bytes count as done when they are read, shortly before their request is judged.
            Some(size) if size > 0 => format!("{} %, ", read.saturating_mul(100) / size),
            _ => String::new(),
        };
        format!("{share}{} judged, {} rejected", self.verdicts, self.rejected)
    }

    pub(super) fn summary(&self, counts: &InputCounts) -> String {
        let mut parts =
            vec![format!("{} accepted", self.accepted), format!("{} rejected", self.rejected)];
        for (count, what) in [
            (self.unjudged, "unjudged"),
            (self.failures, "unreadable"),
            (InputCounts::of(&counts.preflights), "preflights passed over"),
            (InputCounts::of(&counts.elsewhere), "for other targets passed over"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        parts.join(", ")
    }
}
