//! `mcpid audit report`: summarises the entries of a log, and prints the result of its audit.

mod page;
pub(super) mod summary;

use mcpid::clock::{Clock as _, SystemClock};

use super::verify;
use crate::args::{AuditReportArgs, rerun_hint};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::page::PageOutput;
use crate::output::ui::Ui;
use summary::LogSummary;

/// Audits the log, summarises it, and prints both.
pub(crate) fn run(args: &AuditReportArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let output =
        PageOutput::check(args.html.as_deref(), &page::KIND, || page::with_other_page(args), ui)?;
    let mut summary = Some(LogSummary::default());
    let again = |key: &str| rerun_hint::audit_report(args, Some(key), args.html.as_deref());
    let mut verdict = verify::conduct(&args.whole, &mut summary, again, ui)?;
    // If the log contradicts itself, its entries are not summarised.
    let summary = summary.filter(|_| verdict.report.finding().is_none()).unwrap_or_default();
    if output.is_wanted() {
        let html = page::html(args, &verdict, &summary, SystemClock.now());
        output.write(&html, &page::KIND, ui)?;
    }
    if ui.json() {
        verdict.json["summary"] = summary.json();
        ui.json_line(&verdict.json)?;
    } else if !output.is_stdout() {
        verdict.print(&summary.lines(), ui)?;
    }
    Ok(verdict.exit)
}
