//! Verdicts as people and programs read them. One schema for yes and no.

use std::fmt::Write as _;

use mcpid::clock::Timestamp;
use mcpid::mcp::body::{self, Scope};
use mcpid::message::Request;
use mcpid::message::target::Origins;
use mcpid::verify::window::span;
use mcpid::verify::{Code, Rejection, Seen, Statement};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;

/// What a signature under a key that is revoked by now does not show: its `created` is the word of
/// the key's holder, and so of a thief too.
const ONLY_A_LOG: &str = "only a log proof shows that it was signed before";

/// Where the moment comes from as of which a request is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TimeSource {
    /// The system's clock.
    Clock,
    /// `--at TIME`.
    Flag,
    /// `--at capture`.
    Capture,
}

/// The verdict on one request; its members are the JSON schema, in its order.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    version: u8,
    pub(crate) input: String,
    pub(crate) index: u64,
    profile: Option<String>,
    verdict: Option<&'static str>,
    status: Option<&'static str>,
    step: Option<u8>,
    code: Option<&'static str>,
    message: Option<String>,
    label: Option<String>,
    key: Option<Key>,
    tag: Option<String>,
    created: Option<i64>,
    expires: Option<i64>,
    nonce: Option<String>,
    now: i64,
    time_source: TimeSource,
    revoked_at: Option<i64>,
    replay: &'static str,
    unjudged: Vec<u8>,
    covered: Vec<String>,
    not_covered: Vec<String>,
    method: String,
    target: Option<String>,
    mcp: Option<Mcp>,
    /// For people only.
    #[serde(skip)]
    rejection: Option<Rejection>,
    #[serde(skip)]
    pub(crate) exit: Exit,
    /// Bytes of the body, as far as it is there.
    #[serde(skip)]
    pub(crate) body_size: u64,
}

#[derive(Debug, Serialize)]
struct Key {
    id: String,
    name: Option<String>,
}

#[derive(Debug, Serialize)]
struct Mcp {
    method: Option<String>,
    name: Option<String>,
}

impl Verdict {
    /// What can be said of a request before it is judged.
    pub(crate) fn of(
        (input, index): (&str, u64),
        request: &Request<'_>,
        origins: &Origins,
        profile: &str,
        (now, time_source): (Timestamp, TimeSource),
    ) -> Self {
        let bytes = request.body.bytes().unwrap_or_default();
        let reading = body::read(&request.head, bytes, Scope::Anywhere).ok();
        let mcp = reading.as_ref().and_then(|reading| reading.message()).map(|message| Mcp {
            method: message.method().map(str::to_owned),
            name: message.name().map(str::to_owned),
        });
        Verdict {
            version: 1,
            input: input.to_owned(),
            index,
            profile: Some(profile.to_owned()),
            verdict: Some("unjudged"),
            status: Some("unavailable"),
            step: None,
            code: None,
            message: None,
            label: None,
            key: None,
            tag: None,
            created: None,
            expires: None,
            nonce: None,
            now: now.unix(),
            time_source,
            revoked_at: None,
            replay: Seen::Unchecked.as_str(),
            unjudged: Vec::new(),
            covered: Vec::new(),
            not_covered: Vec::new(),
            method: request.head.method().to_owned(),
            target: origins.resolve(&request.head).ok().map(|target| target.target_uri()),
            mcp,
            rejection: None,
            exit: Exit::Unavailable,
            body_size: bytes.len() as u64,
        }
    }

    /// Takes over what a signature says of itself.
    pub(crate) fn stating(mut self, statement: Statement) -> Self {
        let seconds = |time: Option<Timestamp>| time.map(Timestamp::unix);
        self.label = Some(statement.label);
        self.key = statement.key.map(|id| Key { id, name: statement.key_name });
        self.tag = statement.tag;
        self.created = seconds(statement.created);
        self.expires = seconds(statement.expires);
        self.nonce = statement.nonce;
        self.revoked_at = seconds(statement.revoked_at);
        self.covered = statement.covered;
        self.not_covered = statement.not_covered;
        self
    }

    /// Judged: yes.
    pub(crate) fn accepted(mut self, seen: Seen) -> Self {
        (self.verdict, self.status, self.exit) = (Some("accepted"), Some("verified"), Exit::Ok);
        self.replay = seen.as_str();
        if self.revoked_at.is_some() {
            self.message = Some(format!("the key was revoked later; {ONLY_A_LOG}"));
        }
        self
    }

    /// Judged: no.
    pub(crate) fn rejected(mut self, rejection: Rejection) -> Self {
        if let Some(statement) = rejection.statement() {
            self = self.stating(statement.clone());
        }
        self.verdict = Some("rejected");
        self.status = Some(match rejection.code() {
            Code::SignatureMissing => "unsigned",
            Code::KeyUnknown => "unknown_key",
            _ => "invalid",
        });
        if rejection.code() == Code::NonceReplayed {
            self.replay = Seen::Replayed.as_str();
        }
        self.step = Some(rejection.step().number());
        self.code = Some(rejection.code().as_str());
        self.message = Some(rejection.message().to_owned());
        self.exit = Exit::Rejected;
        self.rejection = Some(rejection);
        self
    }

    /// The head holds, and nobody has the body, or not exactly.
    pub(crate) fn unjudged(mut self, why: &str, seen: Seen) -> Self {
        self.unjudged = vec![9, 10, 11];
        self.message = Some(why.to_owned());
        self.replay = seen.as_str();
        self
    }

    /// Nobody asked for a verdict, and nothing claims anything.
    pub(crate) fn unsigned(mut self) -> Self {
        (self.profile, self.verdict, self.status) = (None, None, Some("unsigned"));
        self
    }

    /// Nobody asked for a verdict; this is what a signature claims.
    pub(crate) fn claiming(mut self, statement: Statement) -> Self {
        (self.profile, self.verdict, self.status) = (None, None, None);
        self.stating(statement)
    }

    /// The key id and the nonce, as claimed.
    pub(crate) fn pair(&self) -> Option<(&str, &str)> {
        Some((self.key.as_ref()?.id.as_str(), self.nonce.as_deref()?))
    }

    /// Prints what is claimed, and what else there is to say, with ages.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(crate) fn print_facts(
        &self,
        more: &[(&'static str, String)],
        ui: &mut Ui,
    ) -> Result<(), Failure> {
        let now = Timestamp::from_unix(self.now);
        let age = |time: i64| {
            let time = Timestamp::from_unix(time);
            let away = time.since(now);
            match away > 0 {
                true => format!("{time}, in {}", span(away)),
                false => format!("{time}, {}", relative(away.saturating_neg())),
            }
        };
        let mut facts: Vec<(&str, String)> = Vec::new();
        let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
        add("keyid", self.key.as_ref().map(|key| key.id.clone()));
        add("tag", self.tag.clone());
        add("created", self.created.map(age));
        add("expires", self.expires.map(age));
        add("nonce", self.nonce.clone());
        let target = self.target.as_deref().unwrap_or("(cannot be told)");
        add("target", Some(format!("{} {target}", self.method)));
        if let Some(Mcp { method: Some(method), name }) = &self.mcp {
            add("mcp", Some(named_call(method, name.as_deref())));
        }
        if self.label.is_some() {
            add("covered", Some(self.covered.join(" ")));
            add("open", Some(self.not_covered.join(" ")));
        }
        facts.extend(more.iter().cloned());
        print_numbers(&facts, ui)
    }

    /// Whether the target begins with `prefix`; nothing begins one that cannot be told.
    pub(crate) fn is_for(&self, prefix: &str) -> bool {
        self.target.as_ref().is_some_and(|target| target.starts_with(prefix))
    }

    /// Why it was refused, if it was.
    pub(crate) fn rejection(&self) -> Option<&Rejection> {
        self.rejection.as_ref()
    }

    /// The signature's label, where there is one.
    pub(crate) fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// The moment as of which this is said.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.now)
    }

    /// When the signature says that it was made.
    pub(crate) fn created(&self) -> Option<Timestamp> {
        self.created.map(Timestamp::from_unix)
    }

    /// Whether the request was judged and accepted under a key that is revoked by now.
    pub(crate) fn rests_on_revoked_key(&self) -> bool {
        self.exit == Exit::Ok && self.revoked_at.is_some()
    }

    /// Prints the verdict; `named` says whether it needs to say on what.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(crate) fn print(&self, named: bool, ui: &mut Ui) -> Result<(), Failure> {
        if ui.json() {
            return ui.json_line(self);
        }
        let mut first = match named {
            true => format!("{} [{}]: ", ui.shown(&self.input), self.index),
            false => String::new(),
        };
        let mut numbers: Vec<(&str, String)> = Vec::new();
        match &self.rejection {
            Some(r) => {
                let (number, name) = (r.step().number(), r.step().name());
                let _ = write!(first, "rejected at step {number} ({name}): {}", r.message());
                numbers.extend(r.details().iter().map(|(name, value)| (*name, value.clone())));
            }
            None if self.exit == Exit::Ok => {
                first.push_str("accepted");
                if let Some(created) = self.created() {
                    let ago = Timestamp::from_unix(self.now).since(created);
                    let _ = write!(first, ": signed {}", relative(ago));
                }
                self.facts(&mut numbers);
            }
            None => {
                let _ = write!(
                    first,
                    "unjudged: the signature holds, but {}",
                    self.message.as_deref().unwrap_or("the body is not there")
                );
                self.facts(&mut numbers);
            }
        }
        ui.line(&ui.shown(&first))?;
        print_numbers(&numbers, ui)
    }

    /// Who, when, what: the numbers of a request that held.
    fn facts(&self, numbers: &mut Vec<(&'static str, String)>) {
        if let Some(Key { id, name }) = &self.key {
            numbers.push(("key", named(id, name.as_deref())));
            if let Some(tag) = self.tag.as_ref().filter(|tag| *tag != id) {
                numbers.push(("tag", tag.clone()));
            }
        }
        if let Some(created) = self.created() {
            numbers.push(("created", created.to_string()));
        }
        if let Some(revoked) = self.revoked_at {
            let revoked = Timestamp::from_unix(revoked);
            numbers.push(("revoked", format!("{revoked}; {ONLY_A_LOG}")));
        }
        let target = self.target.as_deref().unwrap_or_default();
        numbers.push(("target", format!("{} {target}", self.method)));
        if let Some(Mcp { method: Some(method), name }) = &self.mcp {
            numbers.push(("mcp", named_call(method, name.as_deref())));
        }
        if self.profile.as_deref() == Some("rfc9421") {
            let open = self.not_covered.join(" ");
            numbers.push(("open", if open.is_empty() { "nothing".to_owned() } else { open }));
        }
        let replay = match self.replay {
            "fresh" => "the nonce is fresh",
            "replayed" => "the store has seen the nonce",
            "below_floor" => "the nonce is fresh, but the store may have forgotten",
            _ => "unchecked",
        };
        numbers.push(("replay", replay.to_owned()));
    }
}

fn print_numbers(numbers: &[(&str, String)], ui: &mut Ui) -> Result<(), Failure> {
    let width = numbers.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in numbers {
        let line = format!("    {name:width$}  {value}");
        ui.line(ui.shown(line.trim_end()).into_owned().as_str())?;
    }
    Ok(())
}

/// `3 s ago`, `2 s ahead`, `just now`.
fn relative(ago: i64) -> String {
    match ago {
        0 => "just now".to_owned(),
        1.. => format!("{} ago", span(ago)),
        _ => format!("{} ahead", span(ago)),
    }
}

fn named(id: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{id} ({name})"),
        None => id.to_owned(),
    }
}

fn named_call(method: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{method} {name}"),
        None => method.to_owned(),
    }
}
