//! Tests of the gateway's log, and of the report that `mcpid gateway report` makes from it.
#![cfg(feature = "gateway")]
#![allow(clippy::unwrap_used)]

#[path = "gateway_report/browser.rs"]
mod browser;
#[cfg(all(unix, feature = "cli"))]
#[path = "gateway_report/command.rs"]
mod command;
#[cfg(all(unix, feature = "cli"))]
#[path = "gateway_report/live.rs"]
mod live;
#[path = "gateway_report/log.rs"]
mod log;
#[path = "gateway_report/page.rs"]
mod page;
#[path = "gateway_report/page_server.rs"]
mod page_server;
#[path = "gateway_report/tally.rs"]
mod tally;

use mcpid::clock::Timestamp;
use mcpid::gateway::log::{
    LogLine, LogText, LoggedKey, LoggedOperation, LoggedOutcome, LoggedStatus,
};
use mcpid::gateway::report::RolloutTally;
use mcpid::mcp::pattern::Operation;
use mcpid::tower::Mode;
use mcpid::verify::Code;

/// 2026-11-23T10:00:00Z as Unix time.
const TEN: i64 = 1_795_428_000;

/// Returns a log line for the operation `method:name`, `seconds` after ten o'clock. A text without
/// a colon is a method without a name, and an empty text means that the body was not read.
fn line(seconds: i64, operation: &str) -> LogLine {
    let mut line = LogLine::new(Timestamp::from_unix(TEN + seconds), 1, "POST", "/mcp");
    line.mcp = (!operation.is_empty()).then(|| match operation.split_once(':') {
        Some((method, name)) => LoggedOperation::from(Operation { method, name: Some(name) }),
        None => LoggedOperation::from(Operation { method: operation, name: None }),
    });
    line.answer = Some(200);
    line
}

/// Returns the log line of a request that was verified.
fn verified(seconds: i64, operation: &str, key: &str) -> LogLine {
    let mut line = line(seconds, operation);
    (line.status, line.outcome) = (Some(LoggedStatus::Verified), LoggedOutcome::Passed);
    line.key = Some(LoggedKey {
        id: LogText::new(key),
        name: Some(LogText::new(&format!("{key}'s name"))),
    });
    line
}

/// Returns the log line of a request that permissive mode passed on although it was not verified.
fn passed(seconds: i64, operation: &str, code: Code) -> LogLine {
    let mut line = line(seconds, operation);
    (line.status, line.code) = (Some(standing(code)), Some(code));
    (line.mode, line.outcome) = (Some(Mode::Permissive), LoggedOutcome::Passed);
    line
}

/// Returns the log line of a request that strict mode refused.
fn refused(seconds: i64, operation: &str, code: Code) -> LogLine {
    let mut line = passed(seconds, operation, code);
    (line.mode, line.outcome, line.answer) =
        (Some(Mode::Strict), LoggedOutcome::Refused, Some(403));
    line
}

fn standing(code: Code) -> LoggedStatus {
    match code {
        Code::SignatureMissing => LoggedStatus::Unsigned,
        Code::KeyUnknown => LoggedStatus::UnknownKey,
        _ => LoggedStatus::Invalid,
    }
}

fn tally(lines: impl IntoIterator<Item = LogLine>) -> RolloutTally {
    let mut tally = RolloutTally::new();
    lines.into_iter().for_each(|line| tally.add(&line));
    tally
}
