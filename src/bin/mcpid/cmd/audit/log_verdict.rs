//! The result of checking a whole log, as text, JSON and pages have it.

use mcpid::audit::auditor::Report;
use mcpid::audit::note::NoteKey;

use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::page::parts::PageInput;
use crate::output::ui::Ui;

/// The result of an audit, for people and for programs.
pub(super) struct LogVerdict {
    pub(super) exit: Exit,
    /// The first lines: the verdict, or the findings.
    pub(super) first: Vec<String>,
    /// Names and values below them.
    pub(super) numbers: Vec<(&'static str, String)>,
    /// The remaining doubts, each as a sentence.
    pub(super) open: Vec<String>,
    pub(super) json: serde_json::Value,
    pub(super) report: Report,
    /// The auditor's keys, checkpoints and trust files.
    pub(super) inputs: Vec<PageInput>,
    pub(super) log_key: NoteKey,
    pub(super) folder: String,
}

impl LogVerdict {
    /// Prints it as text, with `more` lines below it.
    pub(super) fn print(&self, more: &[String], ui: &mut Ui) -> Result<(), Failure> {
        let numbers = self.numbers.iter().map(|(name, value)| format!("    {name:<12} {value}"));
        for line in self.first.iter().cloned().chain(numbers).chain(more.iter().cloned()) {
            let line = ui.shown(&line).into_owned();
            ui.line(&line)?;
        }
        for sentence in &self.open {
            ui.note(sentence);
        }
        Ok(())
    }
}
