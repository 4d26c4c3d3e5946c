//! The time limit for a person's answer, and the events that end the waiting earlier.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mcpid::connect::consent::NoConsent;

/// The time limit of a question, and whether it was withdrawn.
#[derive(Clone)]
pub(super) struct AnswerWait {
    pub(super) until: Instant,
    pub(super) timeout: Duration,
    /// Set to true when the question is withdrawn.
    pub(super) over: Arc<AtomicBool>,
}

impl AnswerWait {
    /// Returns why waiting is over, or None if it is not.
    pub(super) fn ended(&self) -> Option<NoConsent> {
        if self.over.load(Ordering::SeqCst) {
            return Some(NoConsent::Withdrawn);
        }
        (Instant::now() >= self.until).then_some(NoConsent::TimedOut(self.timeout))
    }
}
