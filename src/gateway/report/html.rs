//! The report as one page that needs nothing else: no network, no script, no font, no image.
//!
//! Names in a log are chosen by strangers. They reach the page by [`text`] only, which makes every
//! character visible and escapes what HTML could obey; and if that had a hole, the page's own
//! policy lets nothing run or load.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::message::shown::{shell_word, visible};

use super::chart;
use super::figures::{self, count, grouped, minute, percent, span, width};
use super::summary::{Count, Operation, Report, Why};

/// The first bytes of every page: by these it is known again.
pub const MARK: &str = "<!doctype html>\n<!-- mcpid gateway report -->\n";

const STYLE: &str = include_str!("page.css");

/// Charts of single operations; the rest stands in the table.
const MOST_CHARTS: usize = 48;

/// Flags that are proposed at once.
const MOST_FLAGS: usize = 12;

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
});

/// The `Content-Security-Policy` of the page: its own style sheet, and nothing else. It stands in
/// the page too; who serves the page sends it as a field as well, with `frame-ancestors 'none'`,
/// which a page cannot say of itself.
pub fn content_security_policy() -> &'static str {
    &POLICY
}

/// Text as it may stand in an element or a quoted attribute.
fn text(text: &str) -> Cow<'_, str> {
    let text = visible(text);
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text;
    }
    let escape = |c| match c {
        '&' => Cow::Borrowed("&amp;"),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        '\'' => "&#39;".into(),
        c => String::from(c).into(),
    };
    text.chars().map(escape).collect::<String>().into()
}

impl Report {
    /// The page, as made at `made`.
    pub fn to_html(&self, made: Timestamp) -> String {
        let mut page = String::with_capacity(32 * 1024);
        let _ = write!(
            page,
            "{MARK}<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>Roll-out report: {}</title>\n<style>{STYLE}</style>\n",
            content_security_policy(),
            text(&self.headline)
        );
        self.head(&mut page);
        if self.all.requests > 0 {
            self.volume(&mut page);
            self.operations(&mut page);
            self.next(&mut page);
            self.advice(&mut page);
            self.charts(&mut page);
            self.senders(&mut page);
        }
        self.foot(&mut page, made);
        page.push_str("</html>\n");
        page
    }

    fn head(&self, page: &mut String) {
        page.push_str("<header>\n<p class=\"eyebrow\"><b>mcpid gateway</b><span>Roll-out report");
        page.push_str("</span>");
        if let Some((from, to)) = self.ends {
            let _ = write!(page, "<span>{} to {} UTC</span>", minute(from), minute(to));
        }
        let _ = write!(page, "</p>\n<h1>{}.</h1>\n", text(&capital(&self.headline)));
        let _ = match self.because() {
            Some(why) => {
                write!(page, "<p class=\"lede\">{}.{}</p>\n", text(&capital(&why)), self.last())
            }
            None if self.all.requests == 0 => write!(
                page,
                "<p class=\"lede\">Requests appear here once they come to the gateway. Start it \
                 with <code>--mode permissive</code>: everything gets through, and this page shows \
                 what strict would have said.</p>\n"
            ),
            None => write!(
                page,
                "<p class=\"lede\">Every request was signed by a key in the registry, over exactly \
                 its bytes, in time, and once.</p>\n"
            ),
        };
        if self.all.requests == 0 {
            page.push_str("</header>\n");
            return;
        }
        let all = &self.all;
        let figures = [
            ("s", "Signed and verified", percent(all.verified, all.requests)),
            (some("w", all.would_refuse), "Strict would refuse", grouped(all.would_refuse)),
            ("", "Refused already", grouped(all.refused)),
            ("", "Keys that sign", grouped(self.keys.len() as u64)),
        ];
        page.push_str("<dl class=\"figures\">");
        for (class, name, value) in figures {
            let _ = write!(
                page,
                "<div class=\"{class}\"><dt>{name}</dt><dd>{}</dd></div>",
                text(&value)
            );
        }
        page.push_str("</dl>\n</header>\n");
    }

    /// When the last unverified request came, which may be long ago.
    fn last(&self) -> String {
        let (Some(last), Some((_, end))) = (self.all.last_unverified_at, self.ends) else {
            return String::new();
        };
        let before = match end.since(last) {
            0 => "in the last second of the log".to_owned(),
            seconds => format!("{} before the end of the log", span(seconds)),
        };
        format!(" The last of them came at {} UTC, {before}.", minute(last))
    }

    fn volume(&self, page: &mut String) {
        let _ = write!(
            page,
            "<section>\n<h2>Requests over time</h2>\n<ul class=\"key\">\
             <li class=\"k-signed\"><i></i>signed and verified</li>\
             <li class=\"k-would\"><i></i>not verified, strict would refuse</li>\
             <li class=\"k-refused\"><i></i>refused</li></ul>\n{}\n\
             <p class=\"note\">{} a bar. Times are UTC.</p>\n</section>\n",
            chart::volume(&self.over_time),
            capital(&width(self.over_time.seconds))
        );
    }

    fn operations(&self, page: &mut String) {
        page.push_str(
            "<section>\n<h2>What strict would refuse</h2>\n\
             <p class=\"note\">By MCP method and, for tools, prompts and resources, by name.</p>\n\
             <div class=\"scroll\"><table class=\"cards\"><thead><tr><th>Operation<th class=\"n\">\
             Requests<th class=\"n\">Signed<th><th class=\"n\">Would refuse<th class=\"n\">Refused\
             <th>Why<th>Last not verified</tr></thead><tbody>\n",
        );
        for operation in &self.operations {
            let name = text(&figures::operation(operation.does.as_ref())).into_owned();
            row(page, &format!("<bdi class=\"name\">{name}</bdi>"), &operation.count);
        }
        if let Some(other) = &self.other_operations {
            row(page, "<i class=\"soft\">others, not told apart</i>", other);
        }
        page.push_str("</tbody></table></div>\n</section>\n");
    }

    fn next(&self, page: &mut String) {
        page.push_str("<section>\n<h2>What can be done now</h2>\n");
        if self.all.would_refuse == 0 {
            page.push_str(
                "<p>Nothing that got through is in the way of strict for everything. Flags for \
                 <code>mcpid gateway</code>:</p>\n<pre>--mode strict</pre>\n</section>\n",
            );
            return;
        }
        if !self.strict_next.is_empty() {
            page.push_str(
                "<p>Every request for these was verified. Made strict one by one, they refuse \
                 nobody who came by in this time. Flags for <code>mcpid gateway</code>:</p>\n",
            );
            flags(page, "", "--strict", &self.strict_next);
        }
        match &self.still_permissive {
            Some(waiting) if waiting.len() <= MOST_FLAGS => {
                page.push_str(
                    "<p>Or the other way round: strict for everything, but for what is still in \
                     the way. This protects whatever nobody thought of.</p>\n",
                );
                flags(page, "--mode strict", "--permissive", waiting);
            }
            _ if self.strict_next.is_empty() => page.push_str(
                "<p>Nothing yet by flags alone: what gets through unverified includes bodies that \
                 cannot be read in one way only, answers, or too many different names. Go by the \
                 reasons below first.</p>\n",
            ),
            _ => {}
        }
        page.push_str("</section>\n");
    }

    fn advice(&self, page: &mut String) {
        if self.all.reasons.is_empty() {
            return;
        }
        page.push_str("<section>\n<h2>Why, and what to do about it</h2>\n<dl class=\"advice\">\n");
        for why in &self.all.reasons {
            let times = count(why.would_refuse + why.refused, "request", "requests");
            let last = why.last.get(..16).unwrap_or(&why.last).replace('T', " ");
            let _ = writeln!(
                page,
                "<dt><code>{}</code><span class=\"note\">{times}, last {last}</span></dt>\
                 <dd>{}</dd>",
                why.code,
                text(why.code.advice())
            );
        }
        page.push_str("</dl>\n</section>\n");
    }

    fn charts(&self, page: &mut String) {
        page.push_str(
            "<section>\n<h2>Signed share over time</h2>\n\
             <p class=\"note\">The full height is all requests in that time; the line behind is half. \
             A gap is a time without requests.</p>\n<ul class=\"key\">\
             <li class=\"k-signed\"><i></i>signed and verified</li>\
             <li class=\"k-rest\"><i></i>not</li></ul>\n<div class=\"tools\">\n",
        );
        figure(
            page,
            "<b>All operations</b>",
            &self.all,
            &chart::share(&self.over_time.buckets, &self.over_time),
        );
        for operation in self.operations.iter().take(MOST_CHARTS) {
            let Operation { count, over_time, does, .. } = operation;
            let name = text(&figures::operation(does.as_ref())).into_owned();
            let svg = chart::share(over_time, &self.over_time);
            figure(page, &format!("<bdi class=\"name\">{name}</bdi>"), count, &svg);
        }
        page.push_str("</div>\n");
        if let Some(more) = self.operations.len().checked_sub(MOST_CHARTS).filter(|n| *n > 0) {
            let more = count(more as u64, "more stands", "more stand");
            let _ = writeln!(page, "<p class=\"note\">{more} in the table above.</p>");
        }
        page.push_str("</section>\n");
    }

    fn senders(&self, page: &mut String) {
        page.push_str("<section>\n<h2>Who signs</h2>\n");
        if self.keys.is_empty() {
            page.push_str("<p>Nobody yet.</p>\n");
        } else {
            page.push_str(
                "<div class=\"scroll\"><table class=\"cards\"><thead><tr><th>Name<th>Key<th \
                 class=\"n\">Requests<th>First<th>Last</tr></thead><tbody>\n",
            );
            for key in &self.keys {
                let name = key.name.as_deref().map_or(Cow::Borrowed("(no name)"), text);
                let short = |time: &str| time.get(..16).unwrap_or(time).replace('T', " ");
                let _ = writeln!(
                    page,
                    "<tr><td class=\"wide\"><bdi class=\"name\">{name}</bdi><td class=\"wide\">\
                     <span class=\"id\">{}</span><td class=\"n\" data-l=\"Requests\">{}\
                     <td class=\"t\" data-l=\"First\">{}<td class=\"t\" data-l=\"Last\">{}</tr>",
                    text(&key.id),
                    grouped(key.requests),
                    text(&short(&key.first)),
                    text(&short(&key.last))
                );
            }
            page.push_str("</tbody></table></div>\n");
        }
        if self.other_keys > 0 {
            let requests = count(self.other_keys, "request", "requests");
            let _ = writeln!(page, "<p class=\"note\">{requests} more by keys not told apart.</p>");
        }
        page.push_str(
            "</section>\n<section>\n<h2>Who does not</h2>\n<p class=\"note\">Without a signature \
             that holds nobody is known: an address is no identity, so there are only numbers.</p>\n\
             <div class=\"scroll\"><table><tbody>\n",
        );
        for share in self.by_status.iter().filter(|share| share.status != "verified") {
            let words = match share.status {
                "unsigned" => "no signature at all",
                "unknown_key" => "well formed, under a key that is not in the registry",
                "invalid" => "a signature that does not hold, came late, or may not do this",
                _ => "could not be judged: the nonce store was not to be relied on",
            };
            let _ = writeln!(
                page,
                "<tr><td><code>{}</code><td>{words}<td class=\"n {}\">{}<td class=\"n soft\">{}</tr>",
                share.status,
                if share.requests == 0 { "zero" } else { "" },
                grouped(share.requests),
                text(&percent(share.requests, self.all.requests))
            );
        }
        page.push_str("</tbody></table></div>\n</section>\n");
    }

    fn foot(&self, page: &mut String, made: Timestamp) {
        page.push_str("<footer>\n<p>");
        let mut besides = vec![count(self.lines, "log line", "log lines")];
        let mut add = |n: u64, words: String| {
            if n > 0 {
                besides.push(words);
            }
        };
        add(
            self.passed_over,
            format!("{} passed over", count(self.passed_over, "other line", "other lines")),
        );
        for sight in &self.on_sight {
            let answer = sight.answer.map_or("no answer".to_owned(), |status| status.to_string());
            add(
                sight.requests,
                format!("{} refused on sight in either mode ({answer})", grouped(sight.requests)),
            );
        }
        add(self.open, format!("{} on open paths", grouped(self.open)));
        add(self.failed, format!("{} failed at the upstream or here", grouped(self.failed)));
        let _ = write!(
            page,
            "{}.</p>\n<p>Made {} UTC by mcpid {}. A verified request proves who authorised exactly \
             these bytes; not that the tool ran.</p>\n</footer>\n",
            besides.join(" · "),
            minute(made),
            env!("CARGO_PKG_VERSION")
        );
    }
}

fn row(page: &mut String, name: &str, n: &Count) {
    let cell = super::Cell {
        verified: n.verified,
        would_refuse: n.would_refuse,
        refused: n.refused,
        ..super::Cell::default()
    };
    let class = |n: u64, some: &'static str| if n == 0 { "zero" } else { some };
    let last = n.last_unverified_at.map_or("–".to_owned(), minute);
    let _ = writeln!(
        page,
        "<tr><td class=\"wide\">{name}<td class=\"n\" data-l=\"Requests\">{}<td class=\"n\" \
         data-l=\"Signed\">{}<td class=\"strip-cell\">{}<td class=\"n {}\" data-l=\"Would refuse\">{}\
         <td class=\"n {}\" data-l=\"Refused\">{}<td class=\"codes wide\">{}<td class=\"t\" \
         data-l=\"Last\">{last}</tr>",
        grouped(n.requests),
        text(&percent(n.verified, n.requests)),
        chart::strip(&cell),
        class(n.would_refuse, "some"),
        grouped(n.would_refuse),
        class(n.refused, ""),
        grouped(n.refused),
        codes(&n.reasons),
    );
}

fn codes(reasons: &[Why]) -> String {
    let each = reasons.iter().map(|why| {
        let times = grouped(why.would_refuse + why.refused);
        format!("<span><code>{}</code> {times}</span>", why.code)
    });
    let codes = each.collect::<Vec<_>>().join(", ");
    if codes.is_empty() { "<span class=\"soft\">–</span>".to_owned() } else { codes }
}

fn figure(page: &mut String, name: &str, n: &Count, svg: &str) {
    let rest = n.would_refuse + n.refused;
    let rest = match rest {
        0 => String::new(),
        rest => format!(", {} not verified", grouped(rest)),
    };
    let _ = writeln!(
        page,
        "<figure><h3>{name}<span>{}</span></h3>{svg}<figcaption>{}{rest}</figcaption></figure>",
        text(&percent(n.verified, n.requests)),
        count(n.requests, "request", "requests")
    );
}

/// Flags that can be pasted, one a line.
fn flags(page: &mut String, first: &str, flag: &str, patterns: &[String]) {
    let mut lines: Vec<_> = Some(first.to_owned()).into_iter().filter(|f| !f.is_empty()).collect();
    let shown = patterns.iter().take(MOST_FLAGS);
    lines.extend(shown.map(|pattern| format!("{flag} {}", shell_word(pattern))));
    let _ = writeln!(page, "<pre>{}</pre>", text_lines(&lines));
    if let Some(more) = patterns.len().checked_sub(MOST_FLAGS).filter(|n| *n > 0) {
        let more = grouped(more as u64);
        let _ = writeln!(page, "<p class=\"note\">And {more} more, in the report by --json.</p>");
    }
}

fn text_lines(lines: &[String]) -> String {
    lines.iter().map(|line| text(line)).collect::<Vec<_>>().join(" \\\n")
}

fn some(class: &'static str, n: u64) -> &'static str {
    if n == 0 { "" } else { class }
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
