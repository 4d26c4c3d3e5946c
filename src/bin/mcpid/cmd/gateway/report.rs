//! `mcpid gateway report`: reads logs of the gateway, and prints what an operator needs to know
//! before enabling strict mode.

use std::path::Path;

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::gateway::report::{MARK, RolloutReport, RolloutTally};

use super::report_input;
use crate::args::GatewayReportArgs;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::page::{PageKind, PageOutput};
use crate::output::ui::{Ui, path_word, shell_word};

/// Number of lines between two updates of the progress display.
const PROGRESS_LINES: u64 = 10_000;

/// The kind of page that this command writes. A new file gets the same mode as one from shell
/// redirection.
const KIND: PageKind = PageKind { mark: MARK, name: "a report", mode: 0o666 };

/// Returns the user's command with another file name for the page.
fn with_other_page(args: &GatewayReportArgs) -> String {
    let page = args.html.clone().into_iter().collect::<Vec<_>>();
    let logs = if args.logs.is_empty() { &page } else { &args.logs };
    let logs = logs.iter().map(|log| format!(" {}", path_word(log))).collect::<String>();
    format!("mcpid gateway report --html report.html{logs}")
}

/// Prints the report, or writes it as a page.
pub(crate) fn run(args: &GatewayReportArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let html = args.html.as_deref();
    if html == Some(Path::new("-")) && ui.json() {
        return Err(Failure::usage("--html - and --json cannot be used together")
            .hint("mcpid gateway report --json --html report.html LOG"));
    }
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since >= until
    {
        return Err(Failure::usage(format!("--since {since} is not before --until {until}")));
    }
    // Where the page would be written is checked before a long log is read.
    let output = PageOutput::check(html, &KIND, || with_other_page(args), ui)?;
    let report = read(args, ui)?.report();
    if output.is_wanted() {
        output.write(&report.to_html(SystemClock.now()), &KIND, ui)?;
    }
    if ui.json() {
        ui.json_line(&report)?;
    } else if output.file().is_some() {
        ui.line(&report.headline)?;
    } else if !output.is_stdout() {
        ui.data(report.to_text().as_bytes())?;
    }
    hints(&report, ui);
    Ok(Exit::Ok)
}

/// Reads and counts all logs. If one log cannot be read, the command fails, because a report
/// without it would look complete.
fn read(args: &GatewayReportArgs, ui: &mut Ui) -> Result<RolloutTally, Failure> {
    let mut tally = RolloutTally::new();
    let (mut apart, mut lines) = (0_u64, 0_u64);
    let stdin = [Path::new("-").to_owned()];
    let logs = if args.logs.is_empty() { &stdin[..] } else { &args.logs };
    for input in report_input::open(logs, ui)? {
        let (name, input_lines) = input.lines()?;
        for line in input_lines {
            let line = line.map_err(|e| report_input::broken(&name, &e))?;
            lines += 1;
            if lines.is_multiple_of(PROGRESS_LINES) {
                ui.progress(&format!("{lines} lines"));
            }
            match line {
                None => tally.count_other_line(),
                Some(line) => {
                    let early = args.since.is_some_and(|since| line.time < since);
                    let late = args.until.is_some_and(|until| line.time >= until);
                    if early || late { apart += 1 } else { tally.add(&line) }
                }
            }
        }
    }
    if tally.lines() == 0 && apart == 0 && tally.other_lines() > 0 {
        let message = match tally.other_lines() {
            1 => "the one line is no log line of a gateway".to_owned(),
            lines => format!("none of {lines} lines is a log line of a gateway"),
        };
        let failure = Failure::new(Exit::Input, "not_a_log", message);
        return Err(match logs {
            [log] if log != Path::new("-") => failure.hint(format!("head -n 3 {}", path_word(log))),
            _ => failure,
        });
    }
    if tally.other_lines() > 0 {
        ui.note(&format!("lines passed over that are no log lines: {}", tally.other_lines()));
    }
    if apart > 0 {
        ui.note(&format!("log lines left out, of another time: {apart}"));
    }
    Ok(tally)
}

/// Prints up to two hints with flags that the operator could change next.
fn hints(report: &RolloutReport, ui: &mut Ui) {
    let few = |patterns: &&[String]| (1..=4).contains(&patterns.len());
    let flags = |flag: &str, patterns: &[String]| {
        let flags = patterns.iter().map(|pattern| format!(" {flag} {}", shell_word(pattern)));
        flags.collect::<String>()
    };
    if let Some(touched) = Some(report.touch_next.as_slice()).filter(few) {
        ui.hint(&format!("a touch where all were touched: add{}", flags("--touch", touched)));
    }
    if report.all.requests == 0 || report.all.would_refuse == 0 {
        if report.all.requests > 0 && report.all.refused == 0 {
            ui.hint("the gateway can go strict for everything: add --mode strict");
        }
        return;
    }
    if let Some(ready) = Some(report.strict_next.as_slice()).filter(few) {
        ui.hint(&format!("strict where all was verified: add{}", flags("--strict", ready)));
    }
    if let Some(waiting) = report.still_permissive.as_deref().filter(few) {
        let waiting = flags("--permissive", waiting);
        ui.hint(&format!("strict but for what is left: add --mode strict{waiting}"));
    }
}
