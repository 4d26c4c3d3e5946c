//! Prints the erasures that entries of a log record, as text and JSON.

use mcpid::audit::auditor::ReportedErasure;
use mcpid::message::shown::quoted;

/// Returns one line for each erasure. `of` is inserted after the number of the erased entry, for
/// example to name the log; it may be empty.
pub(super) fn lines(list: &[ReportedErasure], of: &str) -> impl Iterator<Item = String> {
    list.iter().map(move |erasure| {
        let ReportedErasure { n, recorded_in, recorded_at, reason, seen, .. } = erasure;
        let unseen = if *seen { "" } else { " (archived, and not seen)" };
        format!(
            "entry {n}{of}{unseen}, as entry {recorded_in} says at {recorded_at}: {}",
            quoted(reason)
        )
    })
}

/// Returns the erasures as JSON objects.
pub(super) fn json(list: &[ReportedErasure]) -> Vec<serde_json::Value> {
    let one = |erasure: &ReportedErasure| {
        serde_json::json!({
            "entry": erasure.n, "entry_time": erasure.entry_time.to_string(), "by": erasure.recorded_in,
            "time": erasure.recorded_at.to_string(), "reason": erasure.reason, "seen": erasure.seen,
        })
    };
    list.iter().map(one).collect()
}
