//! The roll-out report as one HTML page, by the rules of [`crate::page`].

mod panels;
mod tables;

use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::clock::Timestamp;
use crate::gateway::log::LoggedOperation;
use crate::page::{PageStyle, breakable, capital, text};

use super::figures::{self, count, grouped, minute, percent, span};
use super::summary::{OperationCounts, RolloutReport};

/// The first bytes of every report page. They distinguish a report from other files.
pub const MARK: &str = "<!doctype html>\n<!-- mcpid gateway report -->\n";

static STYLE: LazyLock<PageStyle> = LazyLock::new(|| PageStyle::new(include_str!("report.css")));

/// Returns the `Content-Security-Policy` of the page, which [`PageStyle::policy`] makes.
pub fn content_security_policy() -> &'static str {
    STYLE.policy()
}

/// Writes an operation as HTML; the method is in a lighter colour if a name follows.
fn name(operation: &OperationCounts) -> String {
    let whole = figures::operation(operation.does.as_ref());
    let Some(does) = operation.does.as_ref().filter(|does| does.name.is_some()) else {
        return format!("<bdi class=\"name\">{}</bdi>", breakable(&whole));
    };
    // A name can contain a colon, so the method ends at the first colon.
    let method = LoggedOperation { name: None, ..does.clone() };
    let (method, name) = whole.split_at(figures::operation(Some(&method)).len() + 1);
    format!(
        "<bdi class=\"name\"><span class=\"method\">{}</span><wbr>{}</bdi>",
        text(method),
        breakable(name)
    )
}

impl RolloutReport {
    /// Returns the page. `made` is shown as the time of the report.
    pub fn to_html(&self, made: Timestamp) -> String {
        let mut page = STYLE.begin(MARK, &format!("Roll-out report: {}", self.headline));
        self.head(&mut page);
        if self.all.requests > 0 {
            self.volume(&mut page);
            self.operations(&mut page);
            self.next(&mut page);
            self.advice(&mut page);
            self.shares(&mut page);
            self.signers(&mut page);
            self.touches(&mut page);
            self.others(&mut page);
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
                let why = capital(&why);
                writeln!(page, "<p class=\"lede\">{}.{}</p>", text(&why), self.last())
            }
            None if self.all.requests == 0 => writeln!(
                page,
                "<p class=\"lede\">Requests appear here once they come to the gateway. Start it \
                 with <code>--mode permissive</code>: everything gets through, and this page shows \
                 what strict would have said.</p>"
            ),
            None => writeln!(
                page,
                "<p class=\"lede\">Every request was signed by a key in the registry, over exactly \
                 its bytes, in time, and once.</p>"
            ),
        };
        if self.all.requests > 0 {
            self.figures(page);
        }
        page.push_str("</header>\n");
    }

    fn figures(&self, page: &mut String) {
        let all = &self.all;
        let would = if all.would_refuse == 0 { "" } else { "w" };
        page.push_str("<dl class=\"figures\">");
        for (class, name, value) in [
            ("s", "Signed and verified", percent(all.verified, all.requests)),
            (would, "Strict would refuse", grouped(all.would_refuse)),
            ("", "Refused already", grouped(all.refused)),
            ("", "Keys that sign", grouped(self.keys.len() as u64)),
        ] {
            let value = text(&value);
            let _ = write!(page, "<div class=\"{class}\"><dt>{name}</dt><dd>{value}</dd></div>");
        }
        page.push_str("</dl>\n");
    }

    /// Writes the time of the last unverified request.
    fn last(&self) -> String {
        let (Some(last), Some((_, end))) = (self.all.last_unverified_at, self.ends) else {
            return String::new();
        };
        let before = match end.since(last) {
            0 => "in the last second of this time".to_owned(),
            seconds => format!("{} before the end of this time", span(seconds)),
        };
        format!(" The last of them came at {} UTC, {before}.", minute(last))
    }

    fn foot(&self, page: &mut String, made: Timestamp) {
        let mut besides = vec![count(self.lines, "log line", "log lines")];
        let mut add = |n: u64, words: String| {
            if n > 0 {
                besides.push(words);
            }
        };
        let other = count(self.other_lines, "other line", "other lines");
        add(self.other_lines, format!("{other} passed over"));
        for refusals in &self.refused_unjudged {
            let answer =
                refusals.answer.map_or("no answer".to_owned(), |status| status.to_string());
            let n = grouped(refusals.requests);
            add(refusals.requests, format!("{n} refused on sight in either mode ({answer})"));
        }
        add(self.open, format!("{} on open paths", grouped(self.open)));
        add(self.failed, format!("{} failed at the upstream or here", grouped(self.failed)));
        let _ = write!(
            page,
            "<footer>\n<p>{}.</p>\n<p>Made {} UTC by mcpid {}. A verified request proves who \
             authorised exactly these bytes; not that the tool ran.</p>\n</footer>\n",
            besides.join(" · "),
            minute(made),
            env!("CARGO_PKG_VERSION")
        );
    }
}
