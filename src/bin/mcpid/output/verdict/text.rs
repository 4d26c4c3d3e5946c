//! Prints a verdict for people: one line with the result, then the facts.
//!
//! All received text goes through [`printed`], so that two different requests never print alike and
//! no text fills the screen.

use std::fmt::Write as _;

use mcpid::clock::Timestamp;
use mcpid::message::shown::{MOST_PRINTED, capped, printed, quoted};
use mcpid::profile::Profile;
use mcpid::verify::window::span;

use super::{FailedSignature, Key, Mcp, ONLY_A_LOG, TimeSource, Verdict};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// The most components in one line.
const MOST_COMPONENTS: usize = 32;

type Fact = (&'static str, String);

impl Verdict {
    /// Prints what a signature claims, with ages, and the facts in `more`.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(crate) fn print_facts(&self, more: &[Fact], ui: &mut Ui) -> Result<(), Failure> {
        let now = self.now();
        let age = |time: i64| {
            let time = Timestamp::from_unix(time);
            match (self.time_source, now.since(time)) {
                (TimeSource::Clock, ahead @ ..0) => format!("{time}, in {}", span(ahead)),
                (_, ago) => format!("{time}, {}", self.distance(ago)),
            }
        };
        let mut facts: Vec<Fact> = Vec::new();
        let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
        add("keyid", self.key.as_ref().map(|key| printed(&key.id).into_owned()));
        add("tag", self.tag.as_deref().map(|tag| printed(tag).into_owned()));
        add("created", self.created.map(age));
        add("expires", self.expires.map(age));
        add("nonce", self.nonce.as_deref().map(|nonce| printed(nonce).into_owned()));
        self.about(&mut facts);
        if self.label.is_some() {
            facts.push(("covered", components(&self.covered)));
            facts.push(("open", components(&self.not_covered)));
        }
        facts.extend(more.iter().cloned());
        print_facts(&facts, ui)
    }

    /// Prints the verdict. `named` says whether the line names the input and the request.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(crate) fn print(&self, named: bool, ui: &mut Ui) -> Result<(), Failure> {
        if ui.json() {
            ui.json_line(self)?;
        } else {
            let mut first = match named {
                true => format!("{} [{}]: ", ui.shown(&self.input), self.index),
                false => String::new(),
            };
            first.push_str(&self.headline());
            first.push_str(&self.as_of("judged"));
            ui.line(&ui.shown(&first))?;
            print_facts(&self.facts(), ui)?;
        }
        for failed in &self.failed {
            ui.detail(&format!("{}: {}", failed.named(), failed.message));
        }
        Ok(())
    }

    fn headline(&self) -> String {
        match &self.rejection {
            Some(r) => {
                let (number, name) = (r.step().number(), r.step().name());
                format!("rejected at step {number} ({name}): {}", r.message())
            }
            None if self.exit == Exit::Ok => match self.created() {
                Some(created) => {
                    let ago = self.now().since(created);
                    format!("accepted: signed {}", self.distance(ago))
                }
                None => "accepted".to_owned(),
            },
            None => {
                let held = if self.label.is_some() { "the signature holds, but " } else { "" };
                format!("unjudged: {held}{}", self.message.as_deref().unwrap_or("no body"))
            }
        }
    }

    /// Returns `words`, followed by ` as of TIME (--at)` if the verdict is not about the present.
    pub(crate) fn as_of(&self, words: &str) -> String {
        let flag = match self.time_source {
            TimeSource::Clock => return String::new(),
            TimeSource::Flag => "--at",
            TimeSource::Capture => "--at capture",
        };
        format!(", {words} as of {} ({flag})", self.now())
    }

    /// Returns a distance in time: `3 s ago`, `2 s ahead` or `just now`; with `--at`, `3 s before`
    /// or `2 s after`.
    fn distance(&self, ago: i64) -> String {
        match (self.time_source, ago) {
            (TimeSource::Clock, 0) => "just now".to_owned(),
            (TimeSource::Clock, 1..) => format!("{} ago", span(ago)),
            (TimeSource::Clock, _) => format!("{} ahead", span(ago)),
            (_, 0..) => format!("{} before", span(ago)),
            (_, _) => format!("{} after", span(ago)),
        }
    }

    /// Returns the facts to print. A refusal has its numbers; an accepted request has key and
    /// times; both have the request.
    fn facts(&self) -> Vec<Fact> {
        let mut facts: Vec<Fact> = Vec::new();
        match &self.rejection {
            Some(r) => {
                let value = |value: &String| capped(value, MOST_PRINTED).into_owned();
                facts.extend(r.details().iter().map(|(name, text)| (*name, value(text))));
            }
            None => self.signer(&mut facts),
        }
        self.about(&mut facts);
        for failed in self.failed.iter().filter(|failed| failed.key_known) {
            facts.push(("failed", failed.named()));
        }
        if self.rejection.is_none() && self.label.is_some() {
            self.rest(&mut facts);
        }
        facts
    }

    fn signer(&self, facts: &mut Vec<Fact>) {
        if let Some(key) = &self.key {
            facts.push(("key", key.named()));
            if let Some(tag) = self.tag.as_ref().filter(|tag| **tag != key.id) {
                facts.push(("tag", printed(tag).into_owned()));
            }
        }
        if let Some(created) = self.created() {
            facts.push(("created", created.to_string()));
        }
        if let Some(revoked) = self.revoked_at {
            let revoked = Timestamp::from_unix(revoked);
            facts.push(("revoked", format!("{revoked}; {ONLY_A_LOG}")));
        }
    }

    /// Adds the facts of the request itself.
    fn about(&self, facts: &mut Vec<Fact>) {
        let target = self.target.as_deref().map_or("(cannot be told)".into(), printed);
        facts.push(("target", format!("{} {target}", quoted(&self.method))));
        if let Some(Mcp { method: Some(method), name, ambiguous, .. }) = &self.mcp {
            let name = name.as_deref().map(|name| format!(" {}", quoted(name)));
            let why = ambiguous.map(|why| format!(" (name ambiguous: {why})")).unwrap_or_default();
            facts.push(("mcp", format!("{}{}{why}", quoted(method), name.unwrap_or_default())));
        }
        if let Some(captured) = self.captured {
            facts.push(("captured", Timestamp::from_unix(captured).to_string()));
        }
    }

    fn rest(&self, facts: &mut Vec<Fact>) {
        let profile = self.profile.as_deref().and_then(Profile::named);
        if profile.is_some_and(|profile| !profile.demands_coverage()) {
            let open = components(&self.not_covered);
            facts.push(("open", if open.is_empty() { "nothing".to_owned() } else { open }));
        }
        let replay = match self.replay {
            "fresh" => "the nonce is fresh",
            "replayed" => "the store has seen the nonce",
            "below_floor" => "the nonce is fresh, but the store may have forgotten",
            _ => "unchecked",
        };
        facts.push(("replay", replay.to_owned()));
    }
}

impl Key {
    fn named(&self) -> String {
        let id = printed(&self.id);
        match &self.name {
            Some(name) => format!("{id} ({})", printed(name)),
            None => id.into_owned(),
        }
    }
}

impl FailedSignature {
    fn named(&self) -> String {
        let key = self.key.as_ref().map_or("an unnamed key".to_owned(), Key::named);
        format!("signature {} by {key}, step {} ({})", quoted(&self.label), self.step, self.code)
    }
}

/// Returns the escaped names of components, and the number of those left out.
fn components(names: &[String]) -> String {
    let mut line = names.iter().take(MOST_COMPONENTS).cloned().collect::<Vec<_>>().join(" ");
    if let Some(more) = names.len().checked_sub(MOST_COMPONENTS).filter(|more| *more > 0) {
        let _ = write!(line, " and {more} more");
    }
    line
}

fn print_facts(facts: &[Fact], ui: &mut Ui) -> Result<(), Failure> {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in facts {
        // An empty value is really empty: a name with blanks is printed in quotes.
        let value = if value.is_empty() { String::new() } else { format!("  {value}") };
        let name = if value.is_empty() { (*name).to_owned() } else { format!("{name:width$}") };
        ui.line(&ui.shown(&format!("    {name}{value}")))?;
    }
    Ok(())
}
