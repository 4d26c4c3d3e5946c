//! Verdicts as people read them: one line that says it, then its facts.
//!
//! Everything that a stranger chose goes through [`printed`], so that two requests that differ
//! never print alike and none fills the screen.

use std::fmt::Write as _;

use mcpid::clock::Timestamp;
use mcpid::message::shown::{MOST_PRINTED, capped, printed, quoted};
use mcpid::profile::Profile;
use mcpid::verify::window::span;

use super::{FailedSignature, Key, Mcp, ONLY_A_LOG, TimeSource, Verdict};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Components in one line.
const MOST_COMPONENTS: usize = 32;

type Fact = (&'static str, String);

impl Verdict {
    /// Prints what is claimed, and what else there is to say, with ages.
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

    /// Prints the verdict; `named` says whether it needs to say on what.
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

    /// `WORDS as of TIME (--at)` behind what does not hold for the present moment.
    pub(crate) fn as_of(&self, words: &str) -> String {
        let flag = match self.time_source {
            TimeSource::Clock => return String::new(),
            TimeSource::Flag => "--at",
            TimeSource::Capture => "--at capture",
        };
        format!(", {words} as of {} ({flag})", self.now())
    }

    /// `3 s ago`, `2 s ahead`, `just now`; `3 s before`, `2 s after` where now is another moment.
    fn distance(&self, ago: i64) -> String {
        match (self.time_source, ago) {
            (TimeSource::Clock, 0) => "just now".to_owned(),
            (TimeSource::Clock, 1..) => format!("{} ago", span(ago)),
            (TimeSource::Clock, _) => format!("{} ahead", span(ago)),
            (_, 0..) => format!("{} before", span(ago)),
            (_, _) => format!("{} after", span(ago)),
        }
    }

    /// The numbers of a refusal; who, when and how of a request that held; of both, what it is.
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

    /// What request it is about.
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

/// Names of components, each escaped, and how many more there are.
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
        // What looks empty is: every blank of a name stands in quotes.
        let value = if value.is_empty() { String::new() } else { format!("  {value}") };
        let name = if value.is_empty() { (*name).to_owned() } else { format!("{name:width$}") };
        ui.line(&ui.shown(&format!("    {name}{value}")))?;
    }
    Ok(())
}
