//! `mcpid audit check`: checks the evidence of one entry, without the log.

mod by_hand;
mod checks;
mod page;
mod sentence;

use mcpid::audit::check::{self, CheckedEvidence};
use mcpid::audit::entry::{Event, Request};
use mcpid::audit::entry_judge::UnjudgedReason;
use mcpid::audit::explain::{Explanation, explain};
use mcpid::audit::{Verdict, proof};
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::message::shown::printed;
use sha2::{Digest as _, Sha256};

use super::entry_text;
use super::page::CLOCK_ALLOWED;
use crate::args::AuditCheckArgs;
use crate::args::rerun_hint;
use crate::cmd::audit::open;
use crate::input::captures::hex;
use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::page::PageOutput;
use crate::output::page::parts::{NEVER_PROVEN, PageCheck, PageInput};
use crate::output::ui::Ui;

/// Checks the evidence and prints the result.
pub(crate) fn check(args: &AuditCheckArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let again = || page::with_other_page(args);
    let output = PageOutput::check(args.html.as_deref(), &page::KIND, again, ui)?;
    let auditor_inputs = open::auditor_inputs(&args.pins)?;
    let trust = open::trust(&args.pins, ui)?;
    let mut inputs = super::page::pins(&args.pins, &auditor_inputs, &trust);
    let body = match &args.body {
        Some(path) => Some(files::open_quietly(Some(path))?.read(proof::MAX_BYTES)?),
        None => None,
    };
    let input = files::open(args.file.as_deref(), ui)?;
    let name = input.name.clone();
    let bytes = input.read(proof::MAX_BYTES)?;
    open::whole_text(&bytes)
        .map_err(|why| Failure::new(Exit::Input, "damaged_copy", format!("{name} {why}")))?;
    let hash = hex(&Sha256::digest(&bytes));
    inputs.insert(0, PageInput::file("Evidence", &name, Some(hash.clone())));
    if let (Some(path), Some(body)) = (&args.body, &body) {
        let path = path.display().to_string();
        inputs.push(PageInput::file("Body", &path, Some(hex(&Sha256::digest(body)))));
    }
    let checked =
        check::check(&bytes, &auditor_inputs, trust, body.as_deref()).map_err(|error| {
            let message = format!("{name} is {}", chain(&error));
            Failure::new(Exit::Input, "not_evidence", message)
                .hint("evidence is made by: mcpid audit prove N")
        })?;
    if !checked.pinned {
        let html = args.html.as_deref();
        let again = |key: &str| rerun_hint::audit_check(args, Some(key), html);
        return Err(open::unpinned(&checked.log_key, again));
    }
    let entry = checked.entry();
    let request = entry.as_ref().and_then(|entry| match &entry.event {
        Event::Request(request) => Some(&**request),
        _ => None,
    });
    let page =
        EvidencePage { checked: &checked, request, open: open_ends(&checked, args, request) };
    if output.is_wanted() {
        let html = page.html(args, &inputs, &hash, SystemClock.now());
        output.write(&html, &page::KIND, ui)?;
    }
    match ui.json() {
        true => page.json(&name, ui)?,
        false if output.is_stdout() => {}
        false => page.print(args, ui)?,
    }
    Ok(match (&checked.fault, checked.is_good()) {
        (Some(_), _) => Exit::Rejected,
        (None, true) => Exit::Ok,
        (None, false) => Exit::Unavailable,
    })
}

/// Returns what this check cannot prove, one sentence for each point.
fn open_ends(
    checked: &CheckedEvidence,
    args: &AuditCheckArgs,
    request: Option<&Request<'_>>,
) -> Vec<String> {
    let mut open = Vec::new();
    if !checked.anchored {
        let signature = match checked.is_good() {
            true => ", but not made its signature without the signer's key",
            false => "",
        };
        open.push(format!(
            "without a witness or a checkpoint kept elsewhere, the holder of the log's key can have \
             written this entry at any time{signature}"
        ));
    }
    if args.pins.trust.is_empty() {
        open.push(
            "without -r nothing says whose key this is: any key can be given any name".to_owned(),
        );
    }
    if checked.fault.is_none() && request.is_some() && !checked.times_fit && args.pins.allow_clock {
        open.push(format!("when it was: {CLOCK_ALLOWED}"));
    }
    if request
        .is_some_and(|request| matches!(request.verdict, Verdict::Refused | Verdict::WouldRefuse))
    {
        open.push(
            "a refusal is the log keeper's word: it does not show that nothing was carried out"
                .to_owned(),
        );
    }
    open
}

/// The result for one piece of evidence, as it is printed.
struct EvidencePage<'a> {
    checked: &'a CheckedEvidence,
    request: Option<&'a Request<'a>>,
    open: Vec<String>,
}

impl EvidencePage<'_> {
    fn reasons(&self) -> Vec<&'static str> {
        self.checked.judged.reasons.iter().map(UnjudgedReason::as_str).collect()
    }

    /// Returns the numbers of the verification steps that could not be repeated.
    fn steps(&self) -> Vec<u8> {
        match (self.checked.judged.base_not_kept, self.checked.judged.without_body) {
            (true, _) => (1..=11).collect(),
            (_, true) => vec![9, 10, 11],
            _ => Vec::new(),
        }
    }

    fn member(&self, path: &str) -> Option<serde_json::Value> {
        let line: serde_json::Value = serde_json::from_slice(&self.checked.line).ok()?;
        line.pointer(path).cloned()
    }

    fn text(&self, path: &str) -> String {
        let value = self.member(path);
        value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }

    fn key(&self) -> String {
        self.checked.judged.key.clone().unwrap_or_default()
    }

    fn explanation(&self) -> Option<Explanation> {
        let judged = &self.checked.judged;
        let mut about = explain(self.request?, judged.vouching?)?;
        if judged.operation_claimed && self.request?.mcp.is_some() {
            about.claimed.push("mcp".to_owned());
        }
        Some(about)
    }

    fn verdict(&self) -> &'static str {
        match (&self.checked.fault, self.checked.is_good()) {
            (Some(_), _) => "bad",
            (None, true) => "good",
            (None, false) => "unjudged",
        }
    }

    fn json(&self, name: &str, ui: &mut Ui) -> Result<(), Failure> {
        let checked = self.checked;
        let entry = checked.entry();
        let known = checked.judged.known.as_ref();
        let about = self.explanation().unwrap_or_default();
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        ui.json_line(&serde_json::json!({
            "version": 1,
            "input": name,
            "verdict": self.verdict(),
            "message": checked.fault,
            "reasons": self.reasons(),
            "anchored": checked.anchored && checked.fault.is_none(),
            "log_key": checked.log_key.to_string(),
            "witnessed_at": time(checked.witnessed),
            "entry": entry.as_ref().map(|entry| entry.n),
            "time": entry.as_ref().map(|entry| entry.time.to_string()),
            "asked_at": time(checked.asked),
            "signed_at": time(about.created),
            "clock_offset": checked.offset,
            "times_fit": checked.times_fit && checked.fault.is_none(),
            "entry_verdict": self.request.map(|request| request.verdict.as_str()),
            "code": self.request.and_then(|request| request.code.clone()),
            "key": self.key(),
            "key_name": known.and_then(|known| known.name.clone()),
            "revoked_at": time(known.and_then(|known| known.revoked_at)),
            "no_longer_allowed": known.is_some_and(|known| known.no_longer_allowed),
            "tag": about.tag,
            "touch": checked.judged.touch.as_ref().map(|touch| serde_json::json!({
                "key": touch.key,
                "name": touch.name,
                "application": touch.application,
                "verified": touch.verified,
                "counter": touch.counter,
                "confirmed": touch.is_confirmed(),
                "doubt": touch.doubt,
            })),
            "method": self.member("/request/method"),
            "target": self.member("/request/target"),
            "mcp": self.member("/mcp"),
            "rules": self.member("/rules"),
            "covered": about.covered,
            "claimed": about.claimed,
            "unjudged": self.steps(),
            "size": checked.checkpoint.size,
            "not_excluded": self.open,
        }))
    }

    /// Returns the first line of the output, with the result.
    fn first(&self) -> String {
        let checked = self.checked;
        if let Some(fault) = &checked.fault {
            return format!("bad: {fault}");
        }
        let (Some(entry), Some(request)) = (checked.entry(), self.request) else {
            return "bad: its entry is not about a request".to_owned();
        };
        let (n, log, time) = (entry.n, checked.log_key.name(), entry.time);
        let code = request.code.as_deref().unwrap_or_default();
        if !checked.is_good() {
            let code = request.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
            let (reasons, verdict) = (self.reasons().join(", "), request.verdict.as_str());
            return format!(
                "unjudged: {reasons}: entry {n} of {log} says {verdict}{code} at {time}"
            );
        }
        match request.verdict {
            Verdict::Refused => format!(
                "genuine entry: the request was REFUSED ({code}): entry {n} of {log} at {time}"
            ),
            Verdict::WouldRefuse => format!(
                "genuine entry: the request was PASSED ON UNVERIFIED ({code}): entry {n} of {log} at {time}"
            ),
            other => format!("good: entry {n} of {log}: {} at {time}", other.as_str()),
        }
    }

    /// Returns the names and values that are printed after the first line.
    fn facts(&self) -> Vec<(String, String)> {
        let checked = self.checked;
        let mut facts = Vec::new();
        let mut add = |name: &str, value: String| facts.push((name.to_owned(), value));
        if checked.fault.is_none() {
            self.who(&mut add);
            self.what(&mut add);
            self.when(&mut add);
            if let Some(rules) = self.request.and_then(|request| request.rules.as_ref()) {
                add("rules", entry_text::rules(rules));
            }
            if let Some(about) = self.explanation() {
                add("covered", about.covered.join(" "));
                if !about.claimed.is_empty() {
                    add(
                        "claimed",
                        format!("{} (not signed: the log's word)", about.claimed.join(" ")),
                    );
                }
            }
            let touch = checked.judged.touch.as_ref();
            add(
                "touch",
                touch.map_or("none of a security key that counts".to_owned(), entry_text::touch),
            );
            for reason in checked.judged.reasons.iter() {
                add("unjudged", reason.text().to_owned());
            }
            if !checked.judged.base_not_kept && checked.judged.without_body {
                let steps = "steps 9 to 11 (digest of the body, method and tool, permission)";
                add("unjudged", format!("{steps}: the body was not kept"));
            }
        }
        let anchored = match checked.anchored {
            true => "yes: a checkpoint or cosignature from elsewhere covers the entry",
            false => "no: nothing from elsewhere covers the entry",
        };
        add("anchored", anchored.to_owned());
        facts
    }

    fn print(&self, args: &AuditCheckArgs, ui: &mut Ui) -> Result<(), Failure> {
        let mut facts = self.facts();
        if let (None, Some(request)) = (&self.checked.fault, self.request) {
            // Quotation marks show where a name ends, which may read like a part of the sentence.
            let summary = self.sentence(request, |text| {
                let shown = printed(text);
                if shown.starts_with('"') { shown.into_owned() } else { format!("\"{shown}\"") }
            });
            facts.insert(0, ("summary".to_owned(), summary));
            let checks = self.checks(args);
            let passed: Vec<_> = checks.iter().filter_map(PageCheck::passed).collect();
            facts.push(("checked".to_owned(), passed.join(", ").to_lowercase()));
            let never = NEVER_PROVEN.iter().filter_map(|sentence| sentence.split(": ").next());
            facts.extend(never.map(|what| ("not shown".to_owned(), what.to_owned())));
        }
        let facts = facts.iter().map(|(name, value)| format!("    {name:<12} {value}"));
        for line in std::iter::once(self.first()).chain(facts) {
            let line = ui.shown(&line).into_owned();
            ui.line(&line)?;
        }
        for sentence in &self.open {
            ui.note(sentence);
        }
        Ok(())
    }

    fn who(&self, add: &mut impl FnMut(&str, String)) {
        let key = self.key();
        let Some(known) = &self.checked.judged.known else {
            return add("key", format!("{key} (in no trust file that was given)"));
        };
        add(
            "key",
            match &known.name {
                Some(name) => format!("{key} ({})", printed(name)),
                None => key,
            },
        );
        if let Some(revoked) = known.revoked_at {
            add("revoked", revoked.to_string());
        }
        if let Some(why) = known.not_then {
            add("then", format!("by the trust file {why} at that time"));
        }
        if let Some(why) = known.not_alone {
            add("alone", format!("by the trust file {why}"));
        }
        if let Some(lacks) = &known.lacks_of_purpose {
            add("purpose", format!("the key is not published for this: {lacks}"));
        }
        if known.no_longer_allowed {
            add("allowed", "no longer: the key's allow of today does not grant this".to_owned());
        }
        if known.tag_not_listed {
            add("tag", "not among the client ids of the key today".to_owned());
        }
    }

    fn what(&self, add: &mut impl FnMut(&str, String)) {
        let both = |one: &str, two: &str| {
            let shown = [one, two].map(|path| self.member(path));
            let shown = shown.iter().flatten().filter_map(|value| value.as_str());
            shown.map(|text| printed(text).into_owned()).collect::<Vec<_>>().join(" ")
        };
        add("target", both("/request/method", "/request/target"));
        let asked = both("/mcp/method", "/mcp/name");
        if !asked.is_empty() {
            let claimed = if self.checked.judged.operation_claimed { " (claimed)" } else { "" };
            add("mcp", format!("{asked}{claimed}"));
        }
        let digest = self.text("/digest");
        if !digest.is_empty() {
            add("content", digest);
        }
    }

    fn when(&self, add: &mut impl FnMut(&str, String)) {
        let about = self.explanation().unwrap_or_default();
        if let Some(created) = about.created {
            add("signed", created.to_string());
        }
        if let Some(asked) = self.checked.asked {
            add("judged", asked.to_string());
        }
        if self.checked.offset != 0 {
            add(
                "clock",
                format!("the log's times are {} s ahead of its clock", self.checked.offset),
            );
        }
        if let Some(time) = self.checked.witnessed {
            add("witnessed", time.to_string());
        }
    }
}
