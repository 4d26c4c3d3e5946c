//! The HTML page about the evidence for one entry. It has the same content as the text output, for
//! a reader who does not know this program.

use std::path::Path;

use mcpid::audit::Verdict;
use mcpid::audit::entry::Entry;
use mcpid::audit::entry_judge::UnjudgedReason;
use mcpid::clock::Timestamp;
use mcpid::page::{name, short_name, text};

use super::super::page::{KEEPERS_WORD, NEVER_WRITTEN};
use super::EvidencePage;
use super::by_hand::by_hand;
use crate::args::{AuditCheckArgs, rerun_hint};
use crate::output::page::PageKind;
use crate::output::page::parts::{self, PageInput, Tone};
use crate::output::ui::shell_word;

/// The kind of page that `audit check` writes.
pub(super) const KIND: PageKind = PageKind {
    mark: "<!doctype html>\n<!-- mcpid audit check -->\n",
    name: "a page of audit check",
    mode: 0o600,
};

/// Maximum number of characters of a name in the headline.
const MOST_IN_HEADLINE: usize = 60;

/// The first line of the part of the script that verifies a signature over its recorded base.
const SIGNATURE_BY_HAND: &str = "# The request is signed";

/// For the label of each fact in the text output, the page's name for it and the part of the page.
const LABELS: &[(&str, &str, Part)] = &[
    ("revoked", "Revoked", Part::Who),
    ("then", "At that time", Part::Who),
    ("alone", "As a security key", Part::Who),
    ("allowed", "Allowed", Part::Who),
    ("tag", "Client id", Part::Who),
    ("target", "Sent to", Part::FindingKind),
    ("mcp", "Asks for", Part::FindingKind),
    ("content", "Digest of the content", Part::FindingKind),
    ("signed", "Signed, by the signer's clock", Part::JudgeTime),
    ("judged", "Judged, by the server's clock", Part::JudgeTime),
    ("clock", "Clock of the log", Part::JudgeTime),
    ("witnessed", "Cosigned by a witness", Part::JudgeTime),
    ("rules", "Rules it was judged by", Part::Rules),
    ("covered", "Covered by the signature", Part::Rules),
    ("touch", "Touch of a security key", Part::Rules),
];

/// A part of the page in which facts are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Who,
    FindingKind,
    JudgeTime,
    Rules,
}

/// Returns the user's command with another file name for the page.
pub(super) fn with_other_page(args: &AuditCheckArgs) -> String {
    let log_key = args.pins.log_key.as_deref();
    rerun_hint::audit_check(args, log_key, Some(Path::new("page.html")))
}

impl EvidencePage<'_> {
    /// Returns the page. `made` is shown as the time when the page was made.
    pub(super) fn html(
        &self,
        args: &AuditCheckArgs,
        inputs: &[PageInput],
        hash: &str,
        made: Timestamp,
    ) -> String {
        let entry = self.checked.entry();
        let log = self.checked.log_key.name();
        let n = entry.as_ref().map(|entry| entry.n.to_string());
        let n = n.unwrap_or_else(|| "?".to_owned());
        let about = format!("Evidence of entry {n}");
        let title = format!("{about} of {log}");
        let (h1, lede) = self.sentences(entry.as_ref());
        let mut page = parts::begin(KIND.mark, &title, &[&about, log], &h1, &lede);
        parts::verdict(&mut page, self.tone(), &[self.first()]);
        page.push_str("</header>\n");
        if self.checked.fault.is_none() {
            self.happened(&mut page, entry.as_ref());
            parts::section(
                &mut page,
                "What was checked, and how",
                "Each by computing it again from the bytes of the evidence.",
            );
            parts::checks(&mut page, &self.checks(args));
            parts::end(&mut page);
        }
        self.not_proven(&mut page);
        parts::inputs(&mut page, inputs);
        self.commands(&mut page, args, hash);
        let file = args.file.as_deref().filter(|file| *file != Path::new("-"));
        let file = file.map_or("read from stdin".to_owned(), |file| file.display().to_string());
        let evidence = format!("The evidence is the file {file}, SHA-256 {hash}.");
        parts::finish(&mut page, made, &evidence);
        page
    }

    fn tone(&self) -> Tone {
        let verdict = self.request.map(|request| request.verdict);
        match (&self.checked.fault, self.checked.is_good(), verdict) {
            (Some(_), ..) | (.., None) => Tone::Bad,
            (_, false, _) => Tone::Unjudged,
            (.., Some(Verdict::Refused | Verdict::WouldRefuse)) => Tone::Refused,
            _ => Tone::Good,
        }
    }

    /// Describes the event in one sentence, and its place in the log and its time in a second one.
    /// Both are HTML.
    fn sentences(&self, entry: Option<&Entry<'_>>) -> (String, String) {
        let shown = |text: &str| short_name(text, MOST_IN_HEADLINE);
        let (None, Some(request), Some(entry)) = (&self.checked.fault, self.request, entry) else {
            let lede = "Nothing in it counts: what it says about a request may be made up.";
            return ("This evidence does not hold.".to_owned(), lede.to_owned());
        };
        let sentence = format!("{}.", self.sentence(request, shown));
        let code = text(request.code.as_deref().unwrap_or_default());
        let (h1, signed) = match (self.checked.is_good(), request.verdict) {
            (true, Verdict::Refused) => {
                (format!("Genuine entry: the request was REFUSED ({code})."), sentence + " ")
            }
            (true, Verdict::WouldRefuse) => (
                format!("Genuine entry: the request was PASSED ON UNVERIFIED ({code})."),
                sentence + " ",
            ),
            _ => (sentence, String::new()),
        };
        let when = self.explanation().and_then(|about| about.created);
        let when = when.map(|time| format!("Signed {}. ", parts::moment(time)));
        let target = self.text("/request/target");
        let lede = format!(
            "{signed}{}Sent to {}. Entry {} of the log {}, appended {}, says {}.",
            when.unwrap_or_default(),
            name(&target),
            entry.n,
            name(self.checked.log_key.name()),
            parts::moment(entry.time),
            text(request.verdict.as_str())
        );
        (h1, lede)
    }

    fn happened(&self, page: &mut String, entry: Option<&Entry<'_>>) {
        parts::section(page, "Who, what, when, and by which rules", "");
        let mut rows: Vec<(String, String)> = Vec::new();
        let known = self.checked.judged.known.as_ref();
        rows.push((
            "Who".to_owned(),
            match known.and_then(|known| known.name.as_deref()) {
                Some(who) => format!("{}, as the given trust file calls the key", name(who)),
                None if known.is_some() => {
                    "a key of the given trust file, without a name".to_owned()
                }
                None => "not known: the key is in no trust file that was given".to_owned(),
            },
        ));
        rows.push(("Key (RFC 7638 thumbprint)".to_owned(), parts::id(&self.key())));
        let facts = self.facts();
        let shown = |part: Part| {
            let of = LABELS.iter().filter(move |(.., other)| *other == part);
            of.flat_map(|(label, words, _)| {
                let facts = facts.iter().filter(move |(name, _)| name == label);
                facts.map(|(name, value)| ((*words).to_owned(), html_of(name, value)))
            })
            .collect::<Vec<_>>()
        };
        for part in [Part::Who, Part::FindingKind, Part::JudgeTime] {
            rows.extend(shown(part));
        }
        if let Some(entry) = entry {
            let time = parts::moment(entry.time);
            rows.push(("Appended to the log".to_owned(), parts::value(&time)));
        }
        rows.extend(shown(Part::Rules));
        // These facts have their own place on the page, so they are not listed among the others.
        let listed = ["key", "claimed", "unjudged", "anchored"];
        let other = facts.iter().filter(|(name, _)| {
            !listed.contains(&name.as_str()) && !LABELS.iter().any(|(label, ..)| label == name)
        });
        rows.extend(other.map(|(name, value)| (name.clone(), parts::value(value))));
        parts::rows(page, &rows);
        parts::end(page);
    }

    fn not_proven(&self, page: &mut String) {
        parts::section(page, "What is not proven", "");
        let mut list: Vec<String> = self.open.clone();
        let reasons = self.checked.judged.reasons.iter().map(UnjudgedReason::text);
        list.extend(reasons.map(str::to_owned).filter(|_| self.checked.fault.is_none()));
        // For a refused request, the first of these sentences would repeat what is already said.
        let refused = usize::from(self.tone() == Tone::Refused);
        let never = parts::NEVER_PROVEN.iter().skip(refused);
        list.extend(never.map(|sentence| (*sentence).to_owned()));
        list.push(NEVER_WRITTEN.to_owned());
        parts::sentences(page, &list);
        parts::end(page);
        if self.checked.fault.is_some() {
            return;
        }
        parts::section(page, "What is only claimed", "No signature of the user covers it.");
        let mut list = vec![KEEPERS_WORD.to_owned()];
        let claimed = self.explanation().unwrap_or_default().claimed;
        list.extend(claimed.into_iter().map(|what| match what.as_str() {
            "mcp" => "mcp, the tool or method that the request asks for".to_owned(),
            _ => format!("the field or part {what} of the request"),
        }));
        parts::sentences(page, &list);
        parts::end(page);
    }

    fn commands(&self, page: &mut String, args: &AuditCheckArgs, hash: &str) {
        parts::section(page, "Check it again", "In a shell, with the file at hand.");
        let file = args.file.clone().filter(|file| file != Path::new("-"));
        let file = file.unwrap_or_else(|| "evidence.json".into());
        parts::command(page, "That it is the same file:", &parts::same_file(hash, &file));
        let key = self.checked.log_key.to_string();
        let again = rerun_hint::audit_check(args, Some(&key), None);
        parts::command(page, "The same check by the same program:", &again);
        let script = by_hand(&shell_word(&key), &crate::output::ui::path_word(&file));
        let one = self.request.is_some_and(|request| {
            request.signatures.len() == 1 && request.signatures.iter().all(|s| s.base.is_some())
        });
        let (before, signature) =
            script.split_at(script.find(SIGNATURE_BY_HAND).unwrap_or(script.len()));
        let script = if one { format!("{before}{signature}") } else { before.to_owned() };
        parts::script(
            page,
            "The same without this program, with openssl 3, GNU coreutils, sed and awk, for bash:",
            script.trim_end(),
        );
        parts::end(page);
    }
}

/// Returns a value of the text output as HTML. Ids and targets are in a monospaced font.
fn html_of(name: &str, value: &str) -> String {
    match name {
        "target" | "mcp" | "content" | "covered" | "tag" => parts::id(value),
        _ => parts::value(value),
    }
}
