//! Tells the operator when the audit log of a running gateway fails, and when it works again.

use std::sync::Arc;

use mcpid::audit::{Policy, Recorder};

use crate::output::failure::chain;
use crate::output::ui::Ui;

/// Watches the audit log, to report when it fails and when it works again.
pub(super) struct AuditWatch {
    recorder: Option<Arc<Recorder>>,
    is_failing: bool,
}

impl AuditWatch {
    pub(super) fn new(recorder: Option<Arc<Recorder>>) -> Self {
        AuditWatch { recorder, is_failing: false }
    }

    /// Reports once that entries cannot be written, for example because the log's key does not
    /// sign, and once that they can be written again.
    pub(super) fn check(&mut self, ui: &mut Ui) {
        let Some(recorder) = &self.recorder else { return };
        match (recorder.log().trouble(), self.is_failing) {
            (Some(why), false) => {
                let so = match recorder.policy() {
                    Policy::Required => "requests are refused",
                    _ => "requests are passed on without an entry",
                };
                ui.warning(&format!("the audit log: {}; {so} until it works", chain(&why)));
                self.is_failing = true;
            }
            (None, true) => {
                ui.note("the audit log works again");
                self.is_failing = false;
            }
            _ => {}
        }
    }
}
