//! `mcpid audit show`: entries, as a table or as they are.

use mcpid::audit::auditor;
use mcpid::audit::entry::{self, Entry, Event, Request};
use mcpid::mcp::pattern::{Operation, Pattern};
use mcpid::message::shown::printed;
use serde::Deserialize;

use crate::args::AuditShowArgs;
use crate::auditing::{self, log_failure};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::ui::Ui;

/// The key of an entry, as far as it is shown.
#[derive(Default, Deserialize)]
struct Jwk {
    #[serde(default)]
    kid: String,
    #[serde(default)]
    mcpid: Standing,
}

#[derive(Default, Deserialize)]
struct Standing {
    name: Option<String>,
}

/// Prints the entries that are asked for.
pub(crate) fn run(args: &AuditShowArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since >= until
    {
        return Err(Failure::usage(format!("--since {since} is not before --until {until}")));
    }
    let (folder, place) = auditing::folder(&args.log)?;
    folder.public().map_err(|e| log_failure(&e, &place))?;
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since >= until
    {
        return Err(Failure::usage(format!("--since {since} is not before --until {until}")));
    }
    let tool = args.tool.as_ref().map(|name| Pattern::parse(&format!("*:{name}")));
    let tool = tool.transpose().map_err(|e| Failure::usage(format!("--tool: {}", chain(&e))))?;
    let lines = auditor::lines(&folder).map_err(|e| log_failure(&e, &place))?;
    let (mut shown, mut unreadable) = (0_u64, 0_u64);
    for line in lines {
        let line = line.map_err(|e| log_failure(&e, &place))?;
        let Ok(entry) = entry::parse(&line.bytes) else {
            unreadable += 1;
            continue;
        };
        let before = args.since.is_some_and(|since| entry.time < since);
        let after = args.until.is_some_and(|until| entry.time >= until);
        if before || after || !wanted(&entry, args, tool.as_ref()) {
            continue;
        }
        if ui.json() {
            let value = serde_json::from_slice::<&serde_json::value::RawValue>(&line.bytes);
            // It was read as an entry, so it is JSON.
            if let Ok(value) = value {
                ui.json_line(&value)?;
            }
        } else {
            if shown == 0 {
                ui.line(&row("N", "TIME", "VERDICT", "CODE", "KEY", "ASKED"))?;
            }
            show(&entry, ui)?;
        }
        shown += 1;
    }
    if unreadable > 0 {
        ui.note(&format!("{unreadable} lines are no entries"));
        ui.hint(&format!("mcpid audit verify{} --log-key log-key.pub", place.as_flag("--audit")));
    }
    match shown {
        0 if unreadable == 0 => ui.note("no entry to show: none was written, or none fits"),
        _ => ui.detail(&format!("{shown} shown")),
    }
    Ok(Exit::Ok)
}

fn wanted(entry: &Entry<'_>, args: &AuditShowArgs, tool: Option<&Pattern>) -> bool {
    let Event::Request(request) = &entry.event else {
        return args.key.is_none() && tool.is_none() && args.status.is_none();
    };
    let key = args.key.as_deref().is_none_or(|wanted| {
        let key = key(request);
        key.kid == wanted || key.mcpid.name.as_deref() == Some(wanted)
    });
    let status = args.status.as_deref().is_none_or(|wanted| {
        request.verdict.as_str() == wanted || request.code.as_deref() == Some(wanted)
    });
    let tool = tool.is_none_or(|pattern| {
        request.mcp.as_ref().is_some_and(|mcp| {
            // A name that could be read as the wanted one is shown too.
            mcp.name.is_some()
                && pattern.restricts(Operation { method: &mcp.method, name: mcp.name.as_deref() })
        })
    });
    key && status && tool
}

fn key(request: &Request<'_>) -> Jwk {
    let first = request.signatures.first();
    first.and_then(|s| serde_json::from_str(s.key.get()).ok()).unwrap_or_default()
}

fn show(entry: &Entry<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let (n, time) = (entry.n.to_string(), entry.time.to_string());
    let line = match &entry.event {
        Event::Request(request) => {
            let key = key(request);
            let key = key.mcpid.name.unwrap_or(key.kid);
            let asked = request.mcp.as_ref().map_or_else(String::new, |mcp| {
                Operation { method: &mcp.method, name: mcp.name.as_deref() }.printed()
            });
            let code = printed(request.code.as_deref().unwrap_or("-"));
            row(&n, &time, request.verdict.as_str(), &code, &printed(&key), &asked)
        }
        Event::Dropped(dropped) => {
            let codes: Vec<String> =
                dropped.codes.iter().map(|(code, count)| format!("{count} {code}")).collect();
            let gaps = match dropped.gaps {
                0 => String::new(),
                gaps => format!("; {gaps} passed on without an entry"),
            };
            let text = format!("{} without an entry: {}{gaps}", dropped.seen, codes.join(", "));
            row(&n, &time, "counted", "-", "-", &text)
        }
        _ => return Ok(()),
    };
    let line = ui.shown(&line).into_owned();
    ui.line(&line)
}

/// Long names of keys and codes push what follows aside rather than being cut.
fn row(n: &str, time: &str, verdict: &str, code: &str, key: &str, asked: &str) -> String {
    // No name ends with a blank: what is trimmed is the width of an empty column.
    let line = format!("{n:<8}  {time:<20}  {verdict:<12}  {code:<20}  {key:<16}  {asked}");
    line.trim_end_matches(' ').to_owned()
}
