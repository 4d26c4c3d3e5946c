//! The roll-out report as a table for a terminal.

use std::fmt::Write as _;

use crate::message::shown::{capped, printed};

use super::figures::{self, count, grouped, percent};
use super::summary::{ReasonCount, RequestCounts, RolloutReport};

/// The maximum number of characters of a name in a table.
const MAX_NAME_WIDTH: usize = 60;

/// The maximum number of rows of a table. The JSON report and the HTML page have more.
pub(super) const MOST_ROWS: usize = 50;

impl RolloutReport {
    /// Returns the report as plain text, with a line feed after each line. Invisible characters in
    /// names are made visible.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let _ = match self.because() {
            Some(why) => writeln!(text, "{}: {why}", self.headline),
            None => writeln!(text, "{}", self.headline),
        };
        for (name, value) in self.facts() {
            let _ = writeln!(text, "    {name:8}  {value}");
        }
        if !self.operations.is_empty() {
            text.push('\n');
            table(&mut text, &self.operation_rows(), &[1, 2, 3, 4]);
        }
        if !self.keys.is_empty() {
            text.push('\n');
            table(&mut text, &self.key_rows(), &[2]);
        }
        if self.touch_line().is_some() {
            text.push('\n');
            table(&mut text, &self.touch_rows(), &[1, 2]);
        }
        if !self.not_verified_by.is_empty() {
            text.push('\n');
            table(&mut text, &self.address_rows(), &[1]);
        }
        text
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            facts.push(("from", from.clone()));
            facts.push(("to", to.clone()));
        }
        let known = self.by_status.iter().filter(|share| share.requests > 0);
        let known: Vec<_> =
            known.map(|share| format!("{} {}", grouped(share.requests), share.status)).collect();
        if !known.is_empty() {
            facts.push(("status", known.join(", ")));
        }
        if let Some(touch) = self.touch_line() {
            facts.push(("touch", touch));
        }
        if let Some(last) = &self.all.last_unverified {
            facts.push(("last", format!("not verified {last}")));
        }
        let mut besides = Vec::new();
        for refusals in &self.refused_unjudged {
            let answer =
                refusals.answer.map_or("no answer".to_owned(), |status| status.to_string());
            besides.push(format!("{} refused on sight ({answer})", grouped(refusals.requests)));
        }
        if self.open > 0 {
            besides.push(format!("{} on open paths", grouped(self.open)));
        }
        if self.failed > 0 {
            besides.push(format!("{} failed", grouped(self.failed)));
        }
        if !besides.is_empty() {
            facts.push(("besides", besides.join(", ")));
        }
        facts
    }

    fn operation_rows(&self) -> Vec<Vec<String>> {
        let head = ["OPERATION", "REQUESTS", "SIGNED", "WOULD REFUSE", "REFUSED", "WHY"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let row = |name: String, n: &RequestCounts| {
            vec![
                name,
                grouped(n.requests),
                percent(n.verified, n.requests),
                grouped(n.would_refuse),
                grouped(n.refused),
                reasons_text(&n.reasons),
            ]
        };
        for operation in self.operations.iter().take(MOST_ROWS) {
            let name = figures::operation(operation.does.as_ref());
            rows.push(row(cut(&name), &operation.count));
        }
        if let Some(more) = self.operations.len().checked_sub(MOST_ROWS).filter(|n| *n > 0) {
            rows.push(vec![format!("({} more: see --json)", grouped(more as u64))]);
        }
        if let Some(other) = &self.other_operations {
            rows.push(row("(others, not told apart)".to_owned(), other));
        }
        rows
    }

    fn key_rows(&self) -> Vec<Vec<String>> {
        let mut rows =
            vec![["KEY", "NAME", "REQUESTS", "FIRST", "LAST"].map(str::to_owned).to_vec()];
        for key in self.keys.iter().take(MOST_ROWS) {
            let name = cut(&key.name.as_deref().map_or("-".into(), printed));
            let id = cut(&printed(&key.id));
            rows.push(vec![id, name, grouped(key.requests), key.first.clone(), key.last.clone()]);
        }
        if let Some(more) = self.keys.len().checked_sub(MOST_ROWS).filter(|n| *n > 0) {
            rows.push(vec![format!("({} more: see --json)", grouped(more as u64))]);
        }
        if self.other_keys > 0 {
            let requests = count(self.other_keys, "request", "requests");
            rows.push(vec![format!("(others, not told apart: {requests})")]);
        }
        rows
    }

    fn address_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![["ADDRESS", "NOT VERIFIED", "LAST", "WHY"].map(str::to_owned).to_vec()];
        for from in self.not_verified_by.iter().take(MOST_ROWS) {
            let address = cut(&from.address.as_deref().map_or("-".into(), printed));
            let why =
                from.reasons.iter().map(|why| format!("{} {}", why.code, grouped(why.requests)));
            let why = why.collect::<Vec<_>>().join(", ");
            rows.push(vec![address, grouped(from.requests), from.last.clone(), why]);
        }
        let more = self.not_verified_by.iter().skip(MOST_ROWS);
        let more = more.fold(self.other_addresses, |sum, from| sum + from.requests);
        if more > 0 {
            let requests = count(more, "request", "requests");
            rows.push(vec![format!("(other addresses: {requests})")]);
        }
        rows
    }
}

pub(super) fn cut(name: &str) -> String {
    capped(name, MAX_NAME_WIDTH).into_owned()
}

fn reasons_text(reasons: &[ReasonCount]) -> String {
    let each = reasons
        .iter()
        .map(|why| format!("{} {}", why.code, grouped(why.would_refuse + why.refused)));
    each.collect::<Vec<_>>().join(", ")
}

/// Formats columns with two spaces between them. The columns in `right` are aligned to the right;
/// the last column is not padded.
fn table(text: &mut String, rows: &[Vec<String>], right: &[usize]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        // A row with one cell is a remark that spans all columns.
        let cells = rows.iter().filter(|row| row.len() > 1).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match right.contains(&column) {
                true => write!(line, "{cell:>width$}  "),
                false => write!(line, "{cell:width$}  "),
            };
        }
        // Spaces at the end of a line come from the padding only: a name that ends with a space is
        // quoted.
        text.push_str(line.trim_end_matches(' '));
        text.push('\n');
    }
}
