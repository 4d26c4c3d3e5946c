//! `mcpid audit show`: prints entries of a log as a table, one entry in full, or the exact lines.

use mcpid::audit::LogError;
use mcpid::audit::auditor;
use mcpid::audit::entry::{self, Entry, Event, Request};
use mcpid::audit::ocsf;
use mcpid::mcp::pattern::{Operation, Pattern};
use mcpid::message::shown::printed;
use serde::Deserialize;

use super::{archive, entry_text};
use crate::args::{AuditFormat, AuditShowArgs};
use crate::cmd::audit::open::{self, log_failure};
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::Ui;

/// The key in an entry, as the log names it.
#[derive(Default, Deserialize)]
struct EntryJwk {
    #[serde(default)]
    kid: String,
    #[serde(default)]
    mcpid: KeyMember,
}

#[derive(Default, Deserialize)]
struct KeyMember {
    name: Option<String>,
    /// Present if the key is a security key, whose touch confirms the signature of another key.
    security_key: Option<serde::de::IgnoredAny>,
}

/// The filters that select entries.
struct EntryFilter<'a> {
    args: &'a AuditShowArgs,
    tool: Option<Pattern>,
}

/// Prints the selected entries.
pub(crate) fn run(args: &AuditShowArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since >= until
    {
        return Err(Failure::usage(format!("--since {since} is not before --until {until}")));
    }
    let (folder, place) = open::folder(&args.log)?;
    let log_key = folder.public().map_err(|e| log_failure(&e, &place))?;
    let folder = archive::with_archives(folder, &place, &args.archives.archive)?;
    let tool = args.tool.as_ref().map(|name| Pattern::parse(&format!("*:{name}")));
    let tool = tool.transpose().map_err(|e| Failure::usage(format!("--tool: {}", chain(&e))))?;
    let wanted = EntryFilter { args, tool };
    let lines = auditor::lines(&folder).map_err(|e| log_failure(&e, &place))?;
    let raw = ui.json() || args.format == Some(AuditFormat::Jsonl);
    let (mut shown, mut unreadable) = (0_u64, 0_u64);
    for line in lines {
        let line = line.map_err(|e| log_failure(&e, &place))?;
        if let Some(why) = &line.fault {
            ui.warning(&format!("{why}: the rest of it was not read"));
            continue;
        }
        let Ok(entry) = entry::parse(&line.bytes) else {
            unreadable += 1;
            continue;
        };
        if args.n.is_some_and(|n| n != entry.n) || !wanted.has(&entry) {
            continue;
        }
        match (raw, args.format) {
            (true, _) => {
                // The line was already parsed as an entry, so it is valid JSON.
                if let Ok(value) =
                    serde_json::from_slice::<&serde_json::value::RawValue>(&line.bytes)
                {
                    ui.json_line(&value)?;
                }
            }
            (_, Some(AuditFormat::Ocsf)) => {
                ui.json_line(&ocsf::event(&entry, &line.bytes, log_key.name()))?;
            }
            (_, Some(AuditFormat::Csv)) => {
                if shown == 0 {
                    ui.data(CSV.as_bytes())?;
                }
                ui.data(csv(&entry).as_bytes())?;
            }
            _ if args.n.is_some() => page(&entry, ui)?,
            _ => {
                if shown == 0 {
                    ui.line(&row("N", "TIME", "VERDICT", "CODE", "KEY", "ASKED"))?;
                }
                show(&entry, ui)?;
            }
        }
        shown += 1;
        if args.n.is_some() {
            break;
        }
    }
    let archived = folder.not_given().map_err(|e| log_failure(&e, &place))?;
    if let Some(n) = args.n.filter(|_| shown == 0) {
        if folder.is_not_given(n).map_err(|e| log_failure(&e, &place))? {
            return Err(log_failure(&LogError::Archived(n), &place));
        }
        return Err(Failure::new(Exit::Input, "no_entry", format!("the log has no entry {n}"))
            .hint(format!("mcpid audit show{}", place.as_flag("--audit"))));
    }
    if unreadable > 0 {
        ui.note(&format!("{unreadable} lines are no entries"));
        ui.hint(&format!("mcpid audit verify{} --log-key log-key.pub", place.as_flag("--audit")));
    }
    if args.n.is_none() && archived > 0 {
        ui.note(&format!("{archived} entries are archived, and not shown: --archive DIR"));
    }
    match shown {
        0 if unreadable == 0 => ui.note("no entry to show: none was written, or none fits"),
        _ => ui.detail(&format!("{shown} shown")),
    }
    Ok(Exit::Ok)
}

impl EntryFilter<'_> {
    fn has(&self, entry: &Entry<'_>) -> bool {
        let (args, tool) = (self.args, self.tool.as_ref());
        let before = args.since.is_some_and(|since| entry.time < since);
        let after = args.until.is_some_and(|until| entry.time >= until);
        let Event::Request(request) = &entry.event else {
            let any = args.key.is_none() && tool.is_none() && args.status.is_none();
            return any && !before && !after;
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
                // If servers may read the name in several forms, the entry is shown if one form
                // matches.
                let operation = Operation { method: &mcp.method, name: mcp.name.as_deref() };
                mcp.name.is_some() && pattern.restricts(operation)
            })
        });
        key && status && tool && !before && !after
    }
}

/// Returns the first key of an entry that is not a security key, or else the first key.
fn key(request: &Request<'_>) -> EntryJwk {
    let keys = request.signatures.iter().map(|signature| signature.key.get());
    let mut keys: Vec<EntryJwk> = keys.filter_map(|key| serde_json::from_str(key).ok()).collect();
    let signer = keys.iter().position(|key| key.mcpid.security_key.is_none()).unwrap_or(0);
    if keys.is_empty() { EntryJwk::default() } else { keys.swap_remove(signer) }
}

fn operation_text(request: &Request<'_>) -> String {
    request.mcp.as_ref().map_or_else(String::new, |mcp| {
        Operation { method: &mcp.method, name: mcp.name.as_deref() }.printed()
    })
}

/// Returns the text of an entry that is not about a request.
fn event_text(event: &Event<'_>) -> String {
    match event {
        Event::Dropped(dropped) => {
            let codes: Vec<String> =
                dropped.codes.iter().map(|(code, count)| format!("{count} {code}")).collect();
            let gaps = match dropped.gaps {
                0 => String::new(),
                gaps => format!("; {gaps} passed on without an entry"),
            };
            format!("{} without an entry: {}{gaps}", dropped.seen, codes.join(", "))
        }
        Event::Clock(step) => {
            format!("times are {} s ahead of the clock from here on", step.offset)
        }
        Event::Rules(rules) => format!("{}, from here on", entry_text::rules(rules)),
        Event::Recovered(recovery) => recovery.to_string(),
        Event::After(after) => format!("this log follows that of {}", after.log_key),
        Event::Erased(erasure) => {
            format!("entry {} was erased: {}", erasure.n, printed(&erasure.reason))
        }
        Event::Tombstone(_) => "what was here was erased".to_owned(),
        Event::Closed(closed) => format!("this log ends, {} follows it", closed.successor),
        _ => String::new(),
    }
}

/// Returns the word in the verdict column of the table.
fn verdict<'a>(event: &'a Event<'_>) -> &'a str {
    match event {
        Event::Request(request) => request.verdict.as_str(),
        Event::Dropped(_) => "counted",
        other => other.as_str(),
    }
}

fn show(entry: &Entry<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let (n, time, verdict) = (entry.n.to_string(), entry.time.to_string(), verdict(&entry.event));
    let line = match &entry.event {
        Event::Request(request) => {
            let key = key(request);
            let key = key.mcpid.name.unwrap_or(key.kid);
            let code = printed(request.code.as_deref().unwrap_or("-"));
            row(&n, &time, verdict, &code, &printed(&key), &operation_text(request))
        }
        other => row(&n, &time, verdict, "-", "-", &event_text(other)),
    };
    let line = ui.shown(&line).into_owned();
    ui.line(&line)
}

/// Returns a row of the table. A name or code that is too long for its column is not cut; the
/// following columns then move to the right.
fn row(n: &str, time: &str, verdict: &str, code: &str, key: &str, asked: &str) -> String {
    // No value ends with a blank, so this removes only the padding of empty columns at the end.
    let line = format!("{n:<8}  {time:<20}  {verdict:<12}  {code:<20}  {key:<16}  {asked}");
    line.trim_end_matches(' ').to_owned()
}

/// Prints everything in one entry.
fn page(entry: &Entry<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let mut lines = vec![format!("entry {}: {} at {}", entry.n, verdict(&entry.event), entry.time)];
    let mut add = |name: &str, value: String| lines.push(format!("    {name:<12} {value}"));
    match &entry.event {
        Event::Request(request) => {
            if let Some(code) = &request.code {
                let step = request.step.map_or(String::new(), |step| format!(" at step {step}"));
                add("code", format!("{code}{step}"));
            }
            for (place, signature) in request.signatures.iter().enumerate() {
                let key: EntryJwk = serde_json::from_str(signature.key.get()).unwrap_or_default();
                let name =
                    key.mcpid.name.map(|name| format!(" (the log calls it {})", printed(&name)));
                let label = if key.mcpid.security_key.is_some() { "touch key" } else { "key" };
                add(label, format!("{}{}", printed(&key.kid), name.unwrap_or_default()));
                entry_text::signature(request, place, &mut add);
            }
            entry_text::request(request, &mut add);
            if let Some(rules) = &request.rules {
                add("rules", entry_text::rules(rules));
            }
        }
        other => add("says", event_text(other)),
    }
    for line in lines {
        let line = ui.shown(&line).into_owned();
        ui.line(&line)?;
    }
    ui.note("nothing of this is verified: mcpid audit prove and mcpid audit check do that");
    Ok(())
}

const CSV: &str = "n,time,verdict,step,code,key,name,method,tool,says\r\n";

/// Returns an entry as one line of CSV (RFC 4180). If a spreadsheet would treat a value as a
/// formula, an apostrophe is put in front of it.
fn csv(entry: &Entry<'_>) -> String {
    let text = |text: &str| {
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
    };
    let (n, time, verdict) = (entry.n, entry.time, verdict(&entry.event));
    match &entry.event {
        Event::Request(request) => {
            let key = key(request);
            let mcp = request.mcp.as_ref();
            format!(
                "{n},{time},{verdict},{},{},{},{},{},{},\r\n",
                request.step.map(|step| step.to_string()).unwrap_or_default(),
                text(request.code.as_deref().unwrap_or_default()),
                text(&key.kid),
                text(key.mcpid.name.as_deref().unwrap_or_default()),
                text(mcp.map_or("", |mcp| &mcp.method)),
                text(mcp.and_then(|mcp| mcp.name.as_deref()).unwrap_or_default()),
            )
        }
        other => format!("{n},{time},{verdict},,,,,,,{}\r\n", text(&event_text(other))),
    }
}
