//! The result of checking a whole log, as text output, JSON and HTML pages show it.

use mcpid::audit::auditor::Report;
use mcpid::audit::note::NoteKey;

use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::page::parts::PageInput;
use crate::output::ui::Ui;

/// The result of an audit, for people and for programs.
pub(super) struct LogVerdict {
    pub(super) exit: Exit,
    /// The first lines of the output: the verdict, or the contradiction that was found.
    pub(super) first: Vec<String>,
    /// Names and values that are printed after the first lines.
    pub(super) numbers: Vec<(&'static str, String)>,
    /// What the check cannot prove, one sentence for each point.
    pub(super) open: Vec<String>,
    pub(super) json: serde_json::Value,
    pub(super) report: Report,
    /// The auditor's keys, checkpoints and trust files.
    pub(super) inputs: Vec<PageInput>,
    pub(super) log_key: NoteKey,
    pub(super) folder: String,
}

impl LogVerdict {
    /// Prints the result as text, followed by the lines in `more`.
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
