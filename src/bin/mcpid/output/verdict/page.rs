//! The HTML page of `mcpid verify`. It has the same content as the text output, for a reader who
//! does not know this program.
//!
//! A page claims no more than was checked: for each request, it names the steps that were done, and
//! it separates what a signature covers from what a request only claims.

mod sentence;
mod signed_bytes;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use mcpid::clock::Timestamp;
use mcpid::message::shown::{MOST_PRINTED, capped};
use mcpid::page::{capital, name, text};
use mcpid::verify::report::{TimeSource, VerdictReport};

use super::{as_of, exit, facts, failed_name, headline};
use crate::args::{JudgeTime, VerifyArgs, rerun_hint};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::page::PageKind;
use crate::output::page::parts::{self, PageInput, Tone};
pub(crate) use signed_bytes::SignedBytes;

/// The kind of page that `verify` writes.
pub(crate) const KIND: PageKind = PageKind {
    mark: "<!doctype html>\n<!-- mcpid verify -->\n",
    name: "a page of verify",
    mode: 0o600,
};

/// Maximum number of requests that a page shows. Further requests are only counted.
const MOST_SHOWN: u64 = 200;

/// The name of the file on the page if the input came from stdin.
const STDIN_FILE: &str = "request.http";

/// The twelve verification steps, explained for a reader who does not know them.
const STEPS: [(&str, &str); 12] = [
    ("limits", "sizes and counts, and that it was sent to a host of ours"),
    ("present", "that both signature fields are there"),
    ("parse", "that they have one reading (RFC 9421, RFC 9651)"),
    ("parameters", "presence and form of time, nonce, key id and algorithm"),
    ("window", "the time of signing against the moment of judging"),
    ("coverage", "that what steers the server is covered by the signature"),
    ("key", "that the key is in the trust files, valid, and not revoked"),
    ("signature", "the signature over the exact bytes that were signed"),
    ("digest", "the digest of the body against the one that was signed"),
    ("mcp", "that the body has one reading, and the MCP fields agree with it"),
    ("allowed", "that the trust file lets this key do this"),
    ("nonce", "that the one-time value was not used before"),
];

/// Returns the user's command with another file name for the page.
pub(crate) fn with_other_page(args: &VerifyArgs) -> String {
    rerun_hint::verify_to(args, args.at, Some(Path::new("verdicts.html")))
}

/// A page that grows with each verdict.
pub(crate) struct VerdictPage {
    trust: Vec<PageInput>,
    inputs: Vec<(String, Option<Arc<str>>)>,
    /// The requests so far, as HTML.
    shown: String,
    accepted: u64,
    rejected: u64,
    unjudged: u64,
    unreadable: u64,
    /// The sentence about the first verdict, and the time at which its request was judged.
    first: Option<(String, Timestamp)>,
    /// The first valid signature, with the name of its request.
    signed: Option<(String, SignedBytes)>,
}

impl VerdictPage {
    /// Creates a page without verdicts, by these trust files.
    pub(crate) fn new(trust: Vec<PageInput>) -> Self {
        VerdictPage {
            trust,
            inputs: Vec::new(),
            shown: String::new(),
            accepted: 0,
            rejected: 0,
            unjudged: 0,
            unreadable: 0,
            first: None,
            signed: None,
        }
    }

    fn all(&self) -> u64 {
        self.accepted + self.rejected + self.unjudged + self.unreadable
    }

    /// Adds a verdict. `signed` is the valid signature, if there is one.
    pub(crate) fn add(&mut self, verdict: &VerdictReport, signed: Option<SignedBytes>) {
        let count = match exit(verdict) {
            Exit::Ok => &mut self.accepted,
            Exit::Rejected => &mut self.rejected,
            _ => &mut self.unjudged,
        };
        *count += 1;
        if self.first.is_none() {
            self.first = Some((sentence::of(verdict), verdict.now()));
        }
        if self.all() > MOST_SHOWN {
            return;
        }
        if exit(verdict) == Exit::Ok && self.signed.is_none() {
            let place = format!("{} [{}]", verdict.input, verdict.index);
            self.signed = signed.map(|signed| (place, signed));
        }
        if self.inputs.last().is_none_or(|(name, _)| *name != verdict.input) {
            self.inputs.push((verdict.input.clone(), verdict.input_sha256.clone()));
        }
        show(verdict, &mut self.shown);
    }

    /// Adds an input that cannot be read.
    pub(crate) fn add_failure(&mut self, failure: &Failure) {
        self.unreadable += 1;
        if self.all() <= MOST_SHOWN {
            let line = format!("unreadable: {}", failure.message);
            self.shown.push_str("<div class=\"one\">\n");
            parts::verdict(&mut self.shown, Tone::Unjudged, &[line]);
            self.shown.push_str("</div>\n");
        }
    }

    /// Returns the whole page. `summary` counts the verdicts, in words.
    pub(crate) fn finish(&self, args: &VerifyArgs, summary: &str, made: Timestamp) -> String {
        let all = self.all();
        let one = self.first.as_ref().filter(|_| all == 1);
        let h1 = match one {
            Some((sentence, _)) => sentence.clone(),
            None if self.accepted == all => format!("All {all} requests are accepted."),
            None => format!("{} of {all} requests are accepted.", self.accepted),
        };
        let lede = format!("{}.", text(&capital(summary)));
        let title = "Verdicts on requests";
        let mut page = parts::begin(KIND.mark, title, &[title], &h1, &lede);
        page.push_str("</header>\n");
        parts::section(&mut page, if all == 1 { "The request" } else { "The requests" }, "");
        page.push_str(&self.shown);
        if let Some(more) = all.checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
            let _ = writeln!(page, "<p class=\"note\">{more} more, in the output by --json.</p>");
        }
        parts::end(&mut page);
        steps(&mut page);
        parts::section(&mut page, "What is not proven", "");
        parts::sentences(&mut page, &self.not_proven(args));
        parts::end(&mut page);
        parts::inputs(&mut page, &self.inputs());
        self.commands(&mut page, args);
        let evidence = "The evidence is the files named under What was read, by their SHA-256.";
        parts::finish(&mut page, made, evidence);
        page
    }

    fn inputs(&self) -> Vec<PageInput> {
        let own = self
            .inputs
            .iter()
            .map(|(name, hash)| PageInput::file("Input", name, hash.as_deref().map(str::to_owned)));
        own.chain(self.trust.iter().cloned()).collect()
    }

    /// Returns what these verdicts do not prove, one sentence for each point.
    fn not_proven(&self, args: &VerifyArgs) -> Vec<String> {
        let mut list = Vec::new();
        let mut add = |sentence: &str| list.push(sentence.to_owned());
        let held = self.accepted + self.unjudged > 0;
        if args.at.is_some() && held {
            add(
                "that it was sent then: it was judged as of a moment that was given, and was valid \
                 then",
            );
        }
        if held {
            add(match args.nonces {
                Some(_) => "that the nonce store has seen every request of the server",
                None => {
                    "that a request was not sent twice: no nonce store was asked, and only the \
                     requests here were compared"
                }
            });
            add("who sent it: a signed request can be copied; what is shown is who signed it");
            add("that a key which is revoked now signed before that: only a log proof shows it");
        }
        if self.unjudged > 0 {
            add("of a request that is unjudged: what the steps would find that were not made");
        }
        if self.rejected > 0 {
            add("of a request that is rejected: anything that it says, or who made it");
        }
        // The first of these sentences is about accepted requests, so it is left out if there are
        // none.
        let skipped = usize::from(self.accepted == 0);
        parts::NEVER_PROVEN.iter().skip(skipped).for_each(|sentence| add(sentence));
        list
    }

    fn commands(&self, page: &mut String, args: &VerifyArgs) {
        parts::section(page, "Check it again", "In a shell, with the files at hand.");
        let file = |name: &str| if name == "stdin" { STDIN_FILE } else { name }.to_owned();
        let same: Vec<String> = self
            .inputs
            .iter()
            .take(20)
            .filter_map(|(name, hash)| {
                Some(parts::same_file(hash.as_deref()?, Path::new(&file(name))))
            })
            .collect();
        if !same.is_empty() {
            parts::command(page, "That they are the same files:", &same.join("\n"));
        }
        // The command repeats the time of the verdict, because a request that was valid then may
        // have expired later.
        let then = self.first.as_ref().map(|(_, now)| JudgeTime::At(*now));
        let mut command = rerun_hint::verify_to(args, args.at.or(then), None);
        if args.inputs.is_empty() || args.inputs.iter().any(|input| input == Path::new("-")) {
            let _ = write!(command, " < {STDIN_FILE}");
        }
        parts::command(page, "The same judgement, as of the same moment:", &command);
        if let Some((place, script)) =
            self.signed.as_ref().and_then(|(place, signed)| Some((place, signed.script()?)))
        {
            let what = format!(
                "The signature of {} without this program, with openssl 3 and GNU coreutils, for \
                 bash. The script prints the bytes that were signed: compare them with the request.",
                capped(place, MOST_PRINTED)
            );
            parts::script(page, &what, &script);
        }
        parts::end(page);
    }
}

/// Writes the section that explains the twelve steps.
fn steps(page: &mut String) {
    parts::section(
        page,
        "What is checked, and how",
        "Twelve steps; the first that fails decides. Each request above says which of them were \
         made, in their order.",
    );
    page.push_str("<ol class=\"steps\">\n");
    for (name, what) in STEPS {
        let _ = writeln!(page, "<li><b>{name}</b> {what}</li>");
    }
    page.push_str("</ol>\n");
    parts::end(page);
}

/// Writes a request: its place, the first line of the text output, and its facts.
fn show(verdict: &VerdictReport, page: &mut String) {
    let input = capped(&verdict.input, MOST_PRINTED);
    let _ = write!(page, "<div class=\"one\">\n<h3>{} [{}]</h3>\n", name(&input), verdict.index);
    let tone = match exit(verdict) {
        Exit::Ok => Tone::Good,
        Exit::Rejected => Tone::Bad,
        _ => Tone::Unjudged,
    };
    let line = format!("{}{}", headline(verdict), as_of(verdict, "judged"));
    parts::verdict(page, tone, &[line]);
    let mut rows: Vec<(String, String)> = Vec::new();
    for (label, value) in facts(verdict) {
        let shown = match label {
            "key" | "tag" | "target" | "mcp" | "keyid" => parts::id(&value),
            _ => parts::value(&value),
        };
        let label = match label {
            "mcp" if sentence::is_asked_signed(verdict) => "Asks for".to_owned(),
            "mcp" => "Asks for, by its own word".to_owned(),
            _ => capital(label),
        };
        rows.push((label, shown));
    }
    // Failed signatures by known keys are already among the facts.
    for failed in verdict.failed.iter().filter(|failed| !failed.key_known) {
        rows.push(("Failed".to_owned(), parts::value(&failed_name(failed))));
    }
    let judged = match verdict.time_source {
        TimeSource::Clock => "by the clock of this machine",
        TimeSource::Flag => "as given by --at",
        TimeSource::Capture => "as the capture says",
    };
    let now = format!("{}, {judged}", parts::moment(verdict.now()));
    rows.push(("Judged as of".to_owned(), parts::value(&now)));
    rows.push(("Steps that were made".to_owned(), parts::value(&sentence::steps_made(verdict))));
    if verdict.label.is_some() {
        let list = |names: &[String]| match names.is_empty() {
            true => "nothing".to_owned(),
            false => names.join(" "),
        };
        let (covered, open) = match sentence::is_signature_verified(verdict) {
            true => ("Covered by the signature", "Only claimed"),
            false => ("Named as covered, and not verified", "Not even named as covered"),
        };
        rows.push((covered.to_owned(), parts::id(&list(&verdict.covered))));
        rows.push((open.to_owned(), parts::id(&list(&verdict.not_covered))));
    }
    parts::rows(page, &rows);
    page.push_str("</div>\n");
}
