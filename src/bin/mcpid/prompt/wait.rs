//! How long a person may take to answer, and what ends the wait before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mcpid::connect::consent::NoConsent;

/// How long an answer is waited for.
#[derive(Clone)]
pub(super) struct Wait {
    pub(super) until: Instant,
    pub(super) patience: Duration,
    /// Whether the question was taken back.
    pub(super) over: Arc<AtomicBool>,
}

impl Wait {
    /// Why to wait no longer, if so.
    pub(super) fn ended(&self) -> Option<NoConsent> {
        if self.over.load(Ordering::SeqCst) {
            return Some(NoConsent::Withdrawn);
        }
        (Instant::now() >= self.until).then_some(NoConsent::TimedOut(self.patience))
    }
}
