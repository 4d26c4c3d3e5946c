//! What the report says about touches of security keys: whose keys confirm requests, and what a
//! touch rule would refuse.

use crate::mcp::pattern::Pattern;
use crate::message::shown::printed;
use crate::verify::Code;

use super::figures::{self, count, grouped};
use super::reason::RefusalCode;
use super::summary::{OperationCounts, RequestCounts, RolloutReport};
use super::text::{MOST_ROWS, cut};

impl RolloutReport {
    /// Returns what a touch rule for every request would refuse, in one sentence without its
    /// period. Returns `None` if no request was confirmed by a touch, and none was refused because
    /// a touch was missing.
    pub fn touch_line(&self) -> Option<String> {
        let RequestCounts { requests, verified, touched, reasons, .. } = &self.all;
        let wanted = RefusalCode::Code(Code::TouchRequired);
        let refused = reasons.iter().filter(|why| why.code == wanted).map(|why| why.refused);
        let refused: u64 = refused.sum();
        (*touched > 0 || refused > 0).then(|| {
            format!(
                "{} of {} had the touch of a security key; a touch rule for everything would refuse {}",
                grouped(*touched),
                count(*verified, "verified request", "verified requests"),
                grouped(requests - touched),
            )
        })
    }

    /// Returns table rows about touches: first the keys that confirm requests, then the operations.
    pub(super) fn touch_rows(&self) -> Vec<Vec<String>> {
        let head = ["TOUCHED", "WITH TOUCH", "WITHOUT", "SECURITY KEYS"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for key in self.keys.iter().take(MOST_ROWS) {
            let name = cut(&printed(key.name.as_deref().unwrap_or(&key.id)));
            let keys = key.touch_keys.iter().map(|key| cut(&printed(key))).collect::<Vec<_>>();
            let keys = if keys.is_empty() { "none yet".to_owned() } else { keys.join(", ") };
            let without = grouped(key.requests.saturating_sub(key.touched));
            rows.push(vec![format!("by {name}"), grouped(key.touched), without, keys]);
        }
        for operation in self.operations.iter().take(MOST_ROWS) {
            let RequestCounts { requests, touched, .. } = operation.count;
            let name = cut(&figures::operation(operation.does.as_ref()));
            rows.push(vec![name, grouped(touched), grouped(requests.saturating_sub(touched))]);
        }
        rows
    }
}

/// Returns the operations whose requests were all confirmed by a touch, so that a touch rule for
/// them refuses no request.
pub(super) fn touch_next(operations: &[OperationCounts]) -> Vec<String> {
    let touched = |o: &&OperationCounts| o.count.touched > 0 && o.count.touched == o.count.requests;
    let others = |pattern: &Pattern| {
        let rest = operations.iter().filter(|o| o.count.touched < o.count.requests);
        rest.filter_map(OperationCounts::operation).all(|o| !pattern.restricts(o))
    };
    let touched = operations.iter().filter(touched).filter_map(OperationCounts::pattern);
    touched.filter(others).map(|pattern| pattern.to_string()).collect()
}
