//! The charts of the report page, and the advice between them.

use std::fmt::Write as _;

use crate::gateway::report::chart;
use crate::gateway::report::figures::{count, grouped, percent, width};
use crate::gateway::report::summary::{RequestCounts, RolloutReport};
use crate::message::shown::shell_word;

use super::name;
use super::tables::short;
use crate::page::{capital, text};

/// The maximum number of charts for single operations. The table has all operations.
const MOST_CHARTS: usize = 48;

/// The maximum number of command-line flags that are proposed at once.
const MOST_FLAGS: usize = 12;

impl RolloutReport {
    pub(super) fn volume(&self, page: &mut String) {
        page.push_str("<section>\n<h2>Requests over time</h2>\n<ul class=\"key\">");
        for (class, words, n) in [
            ("k-signed", "signed and verified", self.all.verified),
            ("k-would", "not verified, strict would refuse", self.all.would_refuse),
            ("k-refused", "refused", self.all.refused),
        ] {
            if n > 0 {
                let _ = write!(page, "<li class=\"{class}\"><i></i>{words}</li>");
            }
        }
        let _ = write!(
            page,
            "</ul>\n{}\n<p class=\"note\">{} a bar. Times are UTC.</p>\n</section>\n",
            chart::volume(&self.over_time),
            capital(&width(self.over_time.seconds))
        );
    }

    pub(super) fn next(&self, page: &mut String) {
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
                "<p>Every request for these was verified. Made strict, they refuse no \
                 request of this time. Flags for <code>mcpid gateway</code>:</p>\n",
            );
            flags(page, None, "--strict", &self.strict_next);
        }
        match &self.still_permissive {
            Some(waiting) if waiting.len() <= MOST_FLAGS => {
                let begin = match self.strict_next.is_empty() {
                    true => "Strict can be set",
                    false => "A wider step: set strict",
                };
                let _ = writeln!(
                    page,
                    "<p>{begin} for everything except the operations that still get unverified \
                     requests. New operations are then protected too:</p>"
                );
                flags(page, Some("--mode strict"), "--permissive", waiting);
            }
            _ if self.strict_next.is_empty() => page.push_str(
                "<p>Nothing yet by flags alone: what gets through unverified is too much to name, \
                 or has no name that a pattern can mean. Go by the reasons below first.</p>\n",
            ),
            _ => {}
        }
        page.push_str("</section>\n");
    }

    pub(super) fn advice(&self, page: &mut String) {
        if self.all.reasons.is_empty() {
            return;
        }
        page.push_str("<section>\n<h2>Why, and what to do about it</h2>\n<dl class=\"rows\">\n");
        for why in &self.all.reasons {
            let times = count(why.would_refuse + why.refused, "request", "requests");
            let _ = writeln!(
                page,
                "<dt><code>{}</code><span class=\"note\">{times}, last {}</span></dt><dd>{}</dd>",
                why.code,
                short(&why.last),
                coded(why.code.advice())
            );
        }
        page.push_str("</dl>\n</section>\n");
    }

    pub(super) fn shares(&self, page: &mut String) {
        let buckets = i64::try_from(chart::buckets_a_bar(&self.over_time)).unwrap_or(1);
        let bar = width(self.over_time.seconds.saturating_mul(buckets));
        let _ = writeln!(
            page,
            "<section>\n<h2>Signed share over time</h2>\n<p class=\"note\">{} a bar, over the same \
             time as above. The full height is all requests of that time, the line behind it half; \
             a gap is a time without any.</p>\n<ul class=\"key\">\
             <li class=\"k-signed\"><i></i>signed and verified</li>\
             <li class=\"k-rest\"><i></i>not</li></ul>\n<div class=\"tools\">",
            capital(&bar)
        );
        let all = chart::share(&self.over_time.buckets, &self.over_time);
        figure(page, "<b>All operations</b>", &self.all, &all);
        for operation in self.operations.iter().take(MOST_CHARTS) {
            let svg = chart::share(&operation.over_time, &self.over_time);
            figure(page, &name(operation), &operation.count, &svg);
        }
        page.push_str("</div>\n");
        if let Some(more) = self.operations.len().checked_sub(MOST_CHARTS).filter(|n| *n > 0) {
            let more = count(more as u64, "more stands", "more stand");
            let _ = writeln!(page, "<p class=\"note\">{more} in the table above.</p>");
        }
        page.push_str("</section>\n");
    }
}

fn figure(page: &mut String, name: &str, n: &RequestCounts, svg: &str) {
    let rest = match n.would_refuse + n.refused {
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

/// Writes command-line flags that can be pasted, one on each line.
fn flags(page: &mut String, first: Option<&str>, flag: &str, patterns: &[String]) {
    let shown = patterns.iter().take(MOST_FLAGS);
    let shown = shown.map(|pattern| format!("{flag} {}", shell_word(pattern)));
    let lines: Vec<_> = first.map(str::to_owned).into_iter().chain(shown).collect();
    let _ = writeln!(page, "<pre>{}</pre>", text_lines(&lines));
    if let Some(more) = patterns.len().checked_sub(MOST_FLAGS).filter(|n| *n > 0) {
        let more = grouped(more as u64);
        let _ = writeln!(page, "<p class=\"note\">And {more} more, in the report by --json.</p>");
    }
}

fn text_lines(lines: &[String]) -> String {
    lines.iter().map(|line| text(line)).collect::<Vec<_>>().join(" \\\n")
}

/// Writes text as HTML, with the parts between backticks as code.
fn coded(words: &str) -> String {
    let part = |(n, part)| match n % 2 {
        0 => text(part).into_owned(),
        _ => format!("<code>{}</code>", text(part)),
    };
    words.split('`').enumerate().map(part).collect()
}
