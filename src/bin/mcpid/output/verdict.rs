//! Prints the verdict on a request as text: one line with the result, then the facts.
//!
//! All received text goes through [`printed`], so that two different requests never look the same,
//! and no text fills the screen.

pub(crate) mod page;

use std::fmt::Write as _;

use mcpid::clock::Timestamp;
use mcpid::message::shown::{MOST_PRINTED, capped, printed, quoted};
use mcpid::profile::Profile;
use mcpid::verify::report::{
    FailedSignature, Judgement, ONLY_A_LOG, ReportedKey, ReportedOperation, ReportedTouch,
    TimeSource, VerdictReport,
};
use mcpid::verify::window::span;

use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Maximum number of covered components that are printed in one line.
const MAX_COMPONENTS_SHOWN: usize = 32;

type Fact = (&'static str, String);

/// Returns the exit code for a verdict.
pub(crate) fn exit(verdict: &VerdictReport) -> Exit {
    match verdict.verdict {
        Some(Judgement::Accepted) => Exit::Ok,
        Some(Judgement::Rejected) => Exit::Rejected,
        _ => Exit::Unavailable,
    }
}

/// Prints what a signature states about itself, with the age of each time, and then the facts in
/// `more`.
///
/// # Errors
/// Stdout cannot be written.
pub(crate) fn print_facts(
    verdict: &VerdictReport,
    more: &[Fact],
    ui: &mut Ui,
) -> Result<(), Failure> {
    let now = verdict.now();
    let age = |time: i64| {
        let time = Timestamp::from_unix(time);
        match (verdict.time_source, now.since(time)) {
            (TimeSource::Clock, ahead @ ..0) => format!("{time}, in {}", span(ahead)),
            (_, ago) => format!("{time}, {}", distance(verdict, ago)),
        }
    };
    let mut facts: Vec<Fact> = Vec::new();
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("keyid", verdict.key.as_ref().map(|key| printed(&key.id).into_owned()));
    add("tag", verdict.tag.as_deref().map(|tag| printed(tag).into_owned()));
    add("created", verdict.created.map(age));
    add("expires", verdict.expires.map(age));
    add("nonce", verdict.nonce.as_deref().map(|nonce| printed(nonce).into_owned()));
    add_request(verdict, &mut facts);
    if verdict.label.is_some() {
        facts.push(("covered", components(&verdict.covered)));
        facts.push(("open", components(&verdict.not_covered)));
    }
    facts.extend(more.iter().cloned());
    print_lines(&facts, ui)
}

/// Prints the verdict. If `named` is true, the line also names the input and the request.
///
/// # Errors
/// Stdout cannot be written.
pub(crate) fn print(verdict: &VerdictReport, named: bool, ui: &mut Ui) -> Result<(), Failure> {
    if ui.json() {
        ui.json_line(verdict)?;
    } else {
        let mut first = match named {
            true => format!("{} [{}]: ", ui.shown(&verdict.input), verdict.index),
            false => String::new(),
        };
        first.push_str(&headline(verdict));
        first.push_str(&as_of(verdict, "judged"));
        ui.line(&ui.shown(&first))?;
        print_lines(&facts(verdict), ui)?;
    }
    for failed in &verdict.failed {
        ui.detail(&format!("{}: {}", failed_name(failed), failed.message));
    }
    Ok(())
}

fn headline(verdict: &VerdictReport) -> String {
    match &verdict.rejection {
        Some(r) => {
            let (number, name) = (r.step().number(), r.step().name());
            format!("rejected at step {number} ({name}): {}", r.message())
        }
        None if verdict.verdict == Some(Judgement::Accepted) => match verdict.created() {
            Some(created) => {
                let ago = verdict.now().since(created);
                format!("accepted: signed {}", distance(verdict, ago))
            }
            None => "accepted".to_owned(),
        },
        None => {
            let held = if verdict.label.is_some() { "the signature holds, but " } else { "" };
            format!("unjudged: {held}{}", verdict.message.as_deref().unwrap_or("no body"))
        }
    }
}

/// Returns `words`. If the user chose another time than now, ` as of TIME (--at)` is appended.
pub(crate) fn as_of(verdict: &VerdictReport, words: &str) -> String {
    let flag = match verdict.time_source {
        TimeSource::Clock => return String::new(),
        TimeSource::Flag => "--at",
        TimeSource::Capture => "--at capture",
    };
    format!(", {words} as of {} ({flag})", verdict.now())
}

/// Returns a time difference: `3 s ago`, `2 s ahead` or `just now`; with `--at`, `3 s before` or `2
/// s after`.
fn distance(verdict: &VerdictReport, ago: i64) -> String {
    match (verdict.time_source, ago) {
        (TimeSource::Clock, 0) => "just now".to_owned(),
        (TimeSource::Clock, 1..) => format!("{} ago", span(ago)),
        (TimeSource::Clock, _) => format!("{} ahead", span(ago)),
        (_, 0..) => format!("{} before", span(ago)),
        (_, _) => format!("{} after", span(ago)),
    }
}

/// Returns the facts to print: the numbers of a refusal, or the key and times of an accepted
/// request, and the facts of the request in both cases.
fn facts(verdict: &VerdictReport) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::new();
    match &verdict.rejection {
        Some(r) => {
            let value = |value: &String| capped(value, MOST_PRINTED).into_owned();
            facts.extend(r.details().iter().map(|(name, text)| (*name, value(text))));
        }
        None => add_signer(verdict, &mut facts),
    }
    add_request(verdict, &mut facts);
    for failed in verdict.failed.iter().filter(|failed| failed.key_known) {
        facts.push(("failed", failed_name(failed)));
    }
    if verdict.rejection.is_none() && verdict.label.is_some() {
        add_result(verdict, &mut facts);
    }
    facts
}

fn add_signer(verdict: &VerdictReport, facts: &mut Vec<Fact>) {
    if let Some(key) = &verdict.key {
        facts.push(("key", key_name(key)));
        if let Some(tag) = verdict.tag.as_ref().filter(|tag| **tag != key.id) {
            facts.push(("tag", printed(tag).into_owned()));
        }
    }
    facts.extend(verdict.touch.as_ref().map(|touch| ("touch", touch_name(touch))));
    if let Some(created) = verdict.created() {
        facts.push(("created", created.to_string()));
    }
    if let Some(revoked) = verdict.revoked_at {
        let revoked = Timestamp::from_unix(revoked);
        facts.push(("revoked", format!("{revoked}; {ONLY_A_LOG}")));
    }
}

/// Adds the facts of the request itself.
fn add_request(verdict: &VerdictReport, facts: &mut Vec<Fact>) {
    let target = verdict.target.as_deref().map_or("(unknown)".into(), printed);
    facts.push(("target", format!("{} {target}", quoted(&verdict.method))));
    if let Some(ReportedOperation { method: Some(method), name, ambiguous, .. }) = &verdict.mcp {
        let name = name.as_deref().map(|name| format!(" {}", quoted(name)));
        let why = ambiguous.map(|why| format!(" (name ambiguous: {why})")).unwrap_or_default();
        facts.push(("mcp", format!("{}{}{why}", quoted(method), name.unwrap_or_default())));
    }
    if let Some(captured) = verdict.captured {
        facts.push(("captured", Timestamp::from_unix(captured).to_string()));
    }
}

fn add_result(verdict: &VerdictReport, facts: &mut Vec<Fact>) {
    if let Some(profile) = verdict.profile.as_deref().and_then(Profile::named) {
        if !profile.demands_coverage() {
            let open = components(&verdict.not_covered);
            facts.push(("open", if open.is_empty() { "nothing".to_owned() } else { open }));
        } else if let Some(open) = steering_left_open(&profile, &verdict.not_covered) {
            facts.push(("open", open));
        }
    }
    let replay = match verdict.replay {
        "fresh" => "the nonce is fresh",
        "replayed" => "the store has seen the nonce",
        "below_floor" => "the nonce is fresh, but the store may have forgotten",
        _ => "unchecked",
    };
    facts.push(("replay", replay.to_owned()));
}

/// Returns a text about the fields that affect an MCP server and that the signature does not cover,
/// if the profile permits that.
fn steering_left_open(profile: &Profile, open: &[String]) -> Option<String> {
    let mcp = Profile::mcp().components;
    let steering =
        |name: &&String| mcp.covers_if_carried(name) && !profile.components.covers_if_carried(name);
    let names: Vec<String> = open.iter().filter(steering).cloned().collect();
    (!names.is_empty()).then(|| components(&names))
}

/// Returns the id of a key, and its name in parentheses.
fn key_name(key: &ReportedKey) -> String {
    let id = printed(&key.id);
    match &key.name {
        Some(name) => format!("{id} ({})", printed(name)),
        None => id.into_owned(),
    }
}

/// Returns a text about a touch: what it shows, and which security key was touched.
fn touch_name(touch: &ReportedTouch) -> String {
    let shown = if touch.verified { "present and verified" } else { "present" };
    let (key, application) = (key_name(&touch.key), quoted(&touch.application));
    format!("{shown}, by {key}, application {application}, counter {}", touch.counter)
}

fn failed_name(failed: &FailedSignature) -> String {
    let key = failed.key.as_ref().map_or("an unnamed key".to_owned(), key_name);
    let FailedSignature { label, step, code, .. } = failed;
    format!("signature {} by {key}, step {step} ({code})", quoted(label))
}

/// Returns the escaped names of components, and how many were left out.
fn components(names: &[String]) -> String {
    let mut line = names.iter().take(MAX_COMPONENTS_SHOWN).cloned().collect::<Vec<_>>().join(" ");
    if let Some(more) = names.len().checked_sub(MAX_COMPONENTS_SHOWN).filter(|more| *more > 0) {
        let _ = write!(line, " and {more} more");
    }
    line
}

fn print_lines(facts: &[Fact], ui: &mut Ui) -> Result<(), Failure> {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in facts {
        // A line without a value has no trailing blanks.
        let value = if value.is_empty() { String::new() } else { format!("  {value}") };
        let name = if value.is_empty() { (*name).to_owned() } else { format!("{name:width$}") };
        ui.line(&ui.shown(&format!("    {name}{value}")))?;
    }
    Ok(())
}
