//! `mcpid gateway report`: reads logs, and prints what an operator needs before turning strict on.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::gateway::log::LogLines;
use mcpid::gateway::report::{MARK, RolloutReport, RolloutTally};

use crate::args::GatewayReportArgs;
use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};
use crate::output::ui::{Ui, path_word, shell_word};

/// Lines between two progress lines.
const PROGRESS_LINES: u64 = 10_000;

/// Prints the report, or writes it as a page.
pub(crate) fn run(args: &GatewayReportArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let page = args.html.as_deref();
    let to_stdout = page.is_some_and(|page| page == Path::new("-"));
    if to_stdout && ui.json() {
        return Err(Failure::usage("--html - and --json cannot be used together")
            .hint("mcpid gateway report --json --html report.html LOG"));
    }
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since >= until
    {
        return Err(Failure::usage(format!("--since {since} is not before --until {until}")));
    }
    let file = page.filter(|_| !to_stdout);
    // The page is checked first, so that a long log is not read in vain.
    if let Some(file) = file {
        check(file, &args.logs)?;
    }
    let report = read(args, ui)?.report();
    let html = || report.to_html(SystemClock.now());
    if let Some(file) = file {
        write(file, &html())?;
    }
    if ui.json() {
        ui.json_line(&report)?;
    } else if to_stdout {
        ui.data(html().as_bytes())?;
    } else if file.is_some() {
        ui.line(&report.headline)?;
    } else {
        ui.data(report.to_text().as_bytes())?;
    }
    hints(&report, ui);
    Ok(Exit::Ok)
}

/// Reads and counts all logs. A log that cannot be read is a failure, since a report without it
/// would look complete.
fn read(args: &GatewayReportArgs, ui: &mut Ui) -> Result<RolloutTally, Failure> {
    let mut tally = RolloutTally::new();
    let (mut apart, mut lines) = (0_u64, 0_u64);
    let stdin = [Path::new("-").to_owned()];
    let logs = if args.logs.is_empty() { &stdin[..] } else { &args.logs };
    for path in logs {
        let files::OpenedInput { name, reader } = files::open(Some(path), ui)?;
        for line in LogLines::new(BufReader::with_capacity(256 * 1024, reader)) {
            let line = line.map_err(|e| {
                let (code, why) = reason(&e);
                Failure::new(Exit::Input, code, format!("cannot read {name}: {why}"))
            })?;
            lines += 1;
            if lines.is_multiple_of(PROGRESS_LINES) {
                ui.progress(&format!("{lines} lines"));
            }
            match line {
                None => tally.pass_over(),
                Some(line) => {
                    let early = args.since.is_some_and(|since| line.time < since);
                    let late = args.until.is_some_and(|until| line.time >= until);
                    if early || late { apart += 1 } else { tally.add(&line) }
                }
            }
        }
    }
    if tally.lines() == 0 && apart == 0 && tally.passed_over() > 0 {
        let message = match tally.passed_over() {
            1 => "the one line is no log line of a gateway".to_owned(),
            lines => format!("none of {lines} lines is a log line of a gateway"),
        };
        let failure = Failure::new(Exit::Input, "not_a_log", message);
        return Err(match logs {
            [log] if log != Path::new("-") => failure.hint(format!("head -n 3 {}", path_word(log))),
            _ => failure,
        });
    }
    if tally.passed_over() > 0 {
        ui.note(&format!("lines passed over that are no log lines: {}", tally.passed_over()));
    }
    if apart > 0 {
        ui.note(&format!("log lines left out, of another time: {apart}"));
    }
    Ok(tally)
}

/// Prints as hints the two ways to change the gateway's flags.
fn hints(report: &RolloutReport, ui: &mut Ui) {
    if report.all.requests == 0 || report.all.would_refuse == 0 {
        if report.all.requests > 0 && report.all.refused == 0 {
            ui.hint("the gateway can go strict for everything: add --mode strict");
        }
        return;
    }
    let flags = |flag: &str, patterns: &[String]| {
        let flags = patterns.iter().map(|pattern| format!(" {flag} {}", shell_word(pattern)));
        flags.collect::<String>()
    };
    let few = |patterns: &&[String]| (1..=4).contains(&patterns.len());
    if let Some(ready) = Some(report.strict_next.as_slice()).filter(few) {
        ui.hint(&format!("strict where all was verified: add{}", flags("--strict", ready)));
    }
    if let Some(waiting) = report.still_permissive.as_deref().filter(few) {
        let waiting = flags("--permissive", waiting);
        ui.hint(&format!("strict but for what is left: add --mode strict{waiting}"));
    }
}

/// Checks that the page may be written: nothing is there, or an older report. Reports are made
/// repeatedly, so an older one is replaced; but a mistyped name must not destroy a log.
fn check(path: &Path, logs: &[PathBuf]) -> Result<(), Failure> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return files::check_free(path),
        other => other.map_err(|e| Failure::write(path, &e))?,
    };
    let about = file.metadata().map_err(|e| Failure::write(path, &e))?;
    if about.is_dir() {
        return Err(Failure::write(path, &io::ErrorKind::IsADirectory.into()));
    }
    let mut start = Vec::new();
    if about.is_file() {
        let read = file.take(MARK.len() as u64).read_to_end(&mut start);
        read.map_err(|e| Failure::read(path, &e))?;
    }
    if start != MARK.as_bytes() {
        let message = format!("output exists, and is not a report: {}", path.display());
        // `--html` takes the page first, and is easily given the log instead.
        let page = [path.to_owned()];
        let logs = if logs.is_empty() { &page[..] } else { logs };
        let logs = logs.iter().map(|log| format!(" {}", path_word(log)));
        let again = format!("mcpid gateway report --html report.html{}", logs.collect::<String>());
        return Err(Failure::new(Exit::Input, "exists", message).hint(again));
    }
    files::check_folder(path)
}

/// Writes the page under a temporary name and renames it, so that a reader never sees a part of it.
fn write(path: &Path, page: &str) -> Result<(), Failure> {
    // The target of a link is replaced, and the link stays.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = || -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".mcpid-").suffix(".tmp");
        // The mode is that of a shell's redirection; a replaced file keeps its mode.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(page.as_bytes())?;
        if let Ok(old) = fs::metadata(&target) {
            file.as_file().set_permissions(old.permissions())?;
        }
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|e| e.error)?;
        Ok(())
    };
    written().map_err(|e| Failure::write(path, &e))
}
