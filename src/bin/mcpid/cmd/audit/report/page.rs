//! The HTML page about a whole audit log.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::entry_judge::UnjudgedReason;
use mcpid::clock::Timestamp;
use mcpid::page::{name, text};

use super::summary::LogSummary;
use crate::args::{AuditReportArgs, rerun_hint};
use crate::cmd::audit::entry_text::plural;
use crate::cmd::audit::log_verdict::LogVerdict;
use crate::cmd::audit::page::{KEEPERS_WORD, NEVER_WRITTEN};
use crate::output::exit::Exit;
use crate::output::page::PageKind;
use crate::output::page::parts::{self, PageCheck, PageInput, Tone};

/// The kind of page for a log.
pub(super) const KIND: PageKind = PageKind {
    mark: "<!doctype html>\n<!-- mcpid audit report -->\n",
    name: "a page of audit report",
    mode: 0o600,
};

/// Maximum number of rows of one table on the page. The JSON output has all rows.
const MOST_ROWS: usize = 100;

/// Returns the user's command with another file name for the page.
pub(super) fn with_other_page(args: &AuditReportArgs) -> String {
    let log_key = args.whole.pins.log_key.as_deref();
    rerun_hint::audit_report(args, log_key, Some(Path::new("report.html")))
}

/// Returns the page. `made` is shown as the time when the page was made.
pub(super) fn html(
    args: &AuditReportArgs,
    verdict: &LogVerdict,
    summary: &LogSummary,
    made: Timestamp,
) -> String {
    let log = verdict.log_key.name();
    let title = format!("Report on the audit log {log}");
    let (h1, lede) = sentence(verdict);
    let mut page = parts::begin(KIND.mark, &title, &["Report on an audit log", log], &h1, &lede);
    let tone = match verdict.exit {
        Exit::Ok => Tone::Good,
        Exit::Rejected => Tone::Bad,
        _ => Tone::Unjudged,
    };
    parts::verdict(&mut page, tone, &verdict.first);
    let is_sound = verdict.report.finding().is_none();
    if is_sound {
        figures(&mut page, verdict, summary);
    }
    page.push_str("</header>\n");
    if is_sound {
        entries(&mut page, summary);
        parts::section(
            &mut page,
            "What was checked, and how",
            "Each by computing it again, over the entries that were read.",
        );
        parts::checks(&mut page, &checks(verdict));
        parts::end(&mut page);
    }
    parts::section(&mut page, "The numbers", "As the text output has them.");
    let rows: Vec<_> = verdict
        .numbers
        .iter()
        .map(|(label, value)| {
            let shown = if *label == "root" { parts::id(value) } else { parts::value(value) };
            (mcpid::page::capital(label), shown)
        })
        .collect();
    parts::rows(&mut page, &rows);
    parts::end(&mut page);
    not_proven(&mut page, verdict);
    parts::inputs(&mut page, &inputs(verdict));
    commands(&mut page, args, verdict);
    parts::finish(&mut page, made, &evidence(verdict));
    page
}

/// Describes the result in one sentence, and the log in a second one. Both are HTML.
fn sentence(verdict: &LogVerdict) -> (String, String) {
    let report = &verdict.report;
    let count = plural(report.entries, "entry", "entries");
    let h1 = match (verdict.exit, report.entries) {
        (Exit::Ok, 0) => "The log is sound, and has no entries yet.".to_owned(),
        (Exit::Ok, _) if report.not_given > 0 => {
            "The entries of the log that were seen are good.".to_owned()
        }
        (Exit::Ok, _) if report.erased > 0 => {
            "The entries of the log that were not erased are good.".to_owned()
        }
        (Exit::Ok, 1) => "The one entry of the log is good.".to_owned(),
        (Exit::Ok, n) => format!("All {n} entries of the log are good."),
        (Exit::Rejected, _) => "The log is bad: something in it does not fit.".to_owned(),
        _ if report.not_good > 0 => {
            format!("{} of {count} cannot be called good.", report.not_good)
        }
        _ => "The log cannot be called good.".to_owned(),
    };
    let span = report.span.map(|(first, last)| {
        format!(", appended from {} to {}", parts::moment(first), parts::moment(last))
    });
    let anchored = match report.anchored.filter(|_| report.finding().is_none()) {
        Some(size) if size >= report.entries => {
            "A checkpoint over all of them was kept elsewhere".to_owned()
        }
        Some(size) => format!("A checkpoint over the first {size} of them was kept elsewhere"),
        None => "Nothing that was kept elsewhere confirms it".to_owned(),
    };
    let span = span.unwrap_or_default();
    (h1, format!("The log {}: {count}{span}. {anchored}.", name(verdict.log_key.name())))
}

fn figures(page: &mut String, verdict: &LogVerdict, summary: &LogSummary) {
    page.push_str("<dl class=\"figures\">");
    for (name, n) in [
        ("Entries", verdict.report.entries),
        ("Verified, by the log", summary.of_verdict("verified")),
        ("Refused, by the log", summary.of_verdict("refused")),
        ("Not judged good", verdict.report.not_good),
    ] {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{n}</dd></div>");
    }
    page.push_str("</dl>\n");
}

/// Writes the summary of the entries.
fn entries(page: &mut String, summary: &LogSummary) {
    parts::section(
        page,
        "What the log says",
        "Verdicts are the log's word; names of keys are those of the given trust files.",
    );
    let verdicts = summary.verdicts().map(|(verdict, code, n)| {
        let code = code.map(|code| format!(" <code>{}</code>", text(code))).unwrap_or_default();
        format!(
            "<tr><td class=\"wide\"><b>{}</b>{code}<td class=\"wide\">{}<td class=\"n\" \
             data-l=\"Entries\">{n}</tr>",
            text(verdict),
            meaning(verdict)
        )
    });
    table(page, "<th>Verdict<th>Meaning<th class=\"n\">Entries", verdicts.collect(), 0);
    let (other_keys, other_operations) = summary.others();
    let keys = summary.keys().into_iter().map(|(key, count)| {
        let who = count.name.as_deref().map(name);
        let who = who.unwrap_or_else(|| "<i class=\"soft\">in no given trust file</i>".to_owned());
        format!(
            "<tr><td class=\"wide\">{who}<td class=\"wide\">{}<td class=\"n\" data-l=\"Entries\">{}\
             <td class=\"n\" data-l=\"Touched\">{}<td class=\"t wide\" data-l=\"First\">{}<td class=\"t wide\" data-l=\"Last\">{}</tr>",
            parts::id(key),
            count.entries,
            count.touched,
            text(&count.first),
            text(&count.last)
        )
    });
    let heads =
        "<th>Signed by<th>Key<th class=\"n\">Entries<th class=\"n\">Touched<th>First<th>Last";
    table(page, heads, keys.collect(), other_keys);
    let operations = summary.operations().into_iter().map(|(asked, count)| {
        format!(
            "<tr><td class=\"wide\">{}<td class=\"n\" data-l=\"Entries\">{}<td class=\"n\" \
             data-l=\"Verified\">{}<td class=\"n\" data-l=\"Touched\">{}\
             <td class=\"n\" data-l=\"Only claimed\">{}</tr>",
            parts::id(asked),
            count.entries,
            count.verified,
            count.touched,
            count.claimed
        )
    });
    let heads = "<th>Asked for<th class=\"n\">Entries<th class=\"n\">Verified\
                 <th class=\"n\">Touched<th class=\"n\">Only claimed";
    table(page, heads, operations.collect(), other_operations);
    parts::end(page);
}

fn meaning(verdict: &str) -> &'static str {
    match verdict {
        "verified" => "signed, in time, and new: passed on",
        "refused" => "signed, and refused",
        "would_refuse" => "passed on although strict rules would have refused it",
        "signed" => "the signer's own copy",
        "dropped" => "counts of requests that have no entry of their own",
        "clock" => "the clock of the log stepped",
        "rules" => "the rules in force from there on",
        "recovered" => "which entries were under no checkpoint when the log was opened",
        "erased" => "which entry was erased, and why",
        "tombstone" => "in the place of an erased entry",
        "after" => "the log that this one follows",
        "closed" => "the log that follows this one",
        _ => "about the log itself",
    }
}

/// Writes a table, unless it is empty.
fn table(page: &mut String, heads: &str, rows: Vec<String>, others: u64) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(
        page,
        "<div class=\"scroll\"><table class=\"cards\"><thead><tr>{heads}</tr></thead><tbody>"
    );
    for row in rows.iter().take(MOST_ROWS) {
        let _ = writeln!(page, "{row}");
    }
    page.push_str("</tbody></table></div>\n");
    let more = rows.len().saturating_sub(MOST_ROWS);
    if more > 0 || others > 0 {
        let _ = writeln!(
            page,
            "<p class=\"note\">{more} rows more, and {others} entries that are not told apart: \
             in the report by --json.</p>"
        );
    }
}

fn checks(verdict: &LogVerdict) -> Vec<PageCheck> {
    let (report, held, open) = (&verdict.report, PageCheck::held, PageCheck::open);
    let mut list = vec![
        held(
            "Tree of hashes",
            &match report.not_given {
                0 => format!(
                    "rebuilt over {} (RFC 9162), and equal to the stored hashes",
                    plural(report.entries, "entry", "entries")
                ),
                unseen => format!(
                    "rebuilt over {} (RFC 9162); of {unseen} that were not seen only the stored \
                     hashes are known",
                    plural(report.entries, "entry", "entries")
                ),
            },
        ),
        held(
            "Checkpoints",
            &format!(
                "{} in the log by its key, as given, over exactly these entries",
                plural(report.checkpoints, "is signed", "are signed")
            ),
        ),
        held(
            "Signatures",
            &format!(
                "{} of requests verified again over the bytes that were signed (RFC 9421)",
                plural(report.signatures, "signature", "signatures")
            ),
        ),
        held(
            "Entries in themselves",
            "all that follows from a request that was read was derived again and compared; times \
             never go back",
        ),
        held(
            "Nonces",
            "no nonce of the verified requests that were read was used twice by its key",
        ),
    ];
    for reason in UnjudgedReason::ALL {
        if let Some(n) = report.unjudged.get(reason.as_str()) {
            list.push(open(
                "Entries not judged",
                &format!("{}: {}", plural(*n, "entry", "entries"), reason.text()),
            ));
        }
    }
    if report.not_given > 0 {
        list.push(open(
            "Archived entries",
            &format!(
                "{} archived and not seen: only their hashes were checked",
                plural(report.not_given, "entry is", "entries are")
            ),
        ));
    }
    if report.without_body > 0 {
        list.push(open(
            "Bodies",
            &format!(
                "{} not kept: steps 9 to 11 rest on the log's word",
                plural(report.without_body, "body was", "bodies were")
            ),
        ));
    }
    list.push(match report.anchored {
        Some(size) => held(
            "Kept elsewhere",
            &format!(
                "{} lie under a checkpoint that was kept elsewhere or cosigned",
                plural(size, "entry", "entries")
            ),
        ),
        None if report.lacks_quorum => open(
            "Kept elsewhere",
            "the quorum of the given witness policy has cosigned no checkpoint",
        ),
        None => {
            open("Kept elsewhere", "no checkpoint was kept elsewhere, and no given witness signed")
        }
    });
    list
}

fn not_proven(page: &mut String, verdict: &LogVerdict) {
    parts::section(page, "What is not proven", "");
    let mut list = verdict.open.clone();
    list.extend(parts::NEVER_PROVEN.iter().map(|sentence| (*sentence).to_owned()));
    list.push(NEVER_WRITTEN.to_owned());
    parts::sentences(page, &list);
    parts::end(page);
    parts::section(page, "What is only claimed", "No signature of a user covers it.");
    let mut list = vec![KEEPERS_WORD.to_owned()];
    if verdict.report.operation_claimed > 0 {
        list.push(format!(
            "in {}: the tool or method that the request asks for",
            plural(verdict.report.operation_claimed, "entry", "entries")
        ));
    }
    parts::sentences(page, &list);
    parts::end(page);
}

fn inputs(verdict: &LogVerdict) -> Vec<PageInput> {
    let root = verdict.report.root.map(|root| crate::input::captures::hex(&root));
    let mut inputs =
        vec![PageInput::file("Log, and the root over its entries", &verdict.folder, root)];
    inputs.extend(verdict.inputs.iter().cloned());
    inputs
}

fn evidence(verdict: &LogVerdict) -> String {
    let root = verdict.report.root.map(|root| STANDARD.encode(root)).unwrap_or_default();
    format!(
        "The evidence is the log in {}: {} under the root {root}.",
        verdict.folder,
        plural(verdict.report.entries, "entry", "entries")
    )
}

fn commands(page: &mut String, args: &AuditReportArgs, verdict: &LogVerdict) {
    parts::section(page, "Check it again", "In a shell, with the log and these files at hand.");
    let key = verdict.log_key.to_string();
    let verify = rerun_hint::audit_verify(&args.whole, &key);
    parts::command(page, "The same check by the same program:", &verify);
    let log = crate::output::ui::shell_word(&verdict.folder).into_owned();
    let show = format!("mcpid audit show --audit {log}");
    parts::command(page, "What each entry says:", &show);
    let prove = format!("mcpid audit prove --audit {log} -o evidence.json N");
    parts::command(
        page,
        "One entry as a file of its own, which can be checked by hand with openssl and sha256sum (the \
         page of mcpid audit check --html says how):",
        &prove,
    );
    parts::end(page);
}
