//! Summarises a log: counts of entries by verdict and code, by key, and by operation.
//!
//! The verdicts are claims of the log. The names of keys are from the trust file. Memory use is
//! limited for any log.

use std::collections::BTreeMap;

use mcpid::audit::entry::{self, Event};
use mcpid::audit::entry_judge::{EntryFindings, JudgedTouch};
use mcpid::mcp::pattern::Operation;
use mcpid::message::shown::printed;

/// Maximum number of keys, and of operations, that are counted separately. All others are counted
/// together.
const MAX_COUNTED_SEPARATELY: usize = 500;

/// The facts about one entry that the summary counts.
pub(in crate::cmd::audit) struct SummaryRow {
    verdict: &'static str,
    code: Option<String>,
    key: Option<(String, Option<String>)>,
    /// The MCP operation, and whether only the log claims it.
    asked: Option<(String, bool)>,
    /// Whether the auditor's trust files confirm a touch of a security key.
    touched: bool,
    time: String,
}

impl SummaryRow {
    /// Returns the facts about the entry in `line`; `None` if the line cannot be parsed or
    /// contradicts itself.
    pub(in crate::cmd::audit) fn of(line: &[u8], looked: &EntryFindings) -> Option<Self> {
        let entry = entry::parse(line).ok().filter(|_| looked.fault.is_none())?;
        let time = entry.time.to_string();
        let Event::Request(request) = &entry.event else {
            let verdict = entry.event.as_str();
            let touched = false;
            return Some(SummaryRow { verdict, code: None, key: None, asked: None, touched, time });
        };
        let judged = &looked.judged;
        let name = judged.known.as_ref().and_then(|known| known.name.clone());
        let name = name.map(|name| printed(&name).into_owned());
        let asked = request.mcp.as_ref().map(|mcp| {
            let asked = Operation { method: &mcp.method, name: mcp.name.as_deref() };
            (asked.printed(), judged.operation_claimed)
        });
        Some(SummaryRow {
            verdict: request.verdict.as_str(),
            code: request.code.as_deref().map(|code| printed(code).into_owned()),
            key: judged.key.as_deref().map(|key| (printed(key).into_owned(), name)),
            asked,
            touched: judged.touch.as_ref().is_some_and(JudgedTouch::is_confirmed),
            time,
        })
    }
}

/// The counts of entries.
#[derive(Default)]
pub(in crate::cmd::audit) struct LogSummary {
    /// The number of entries by verdict, and for refused requests by code.
    verdicts: BTreeMap<(&'static str, Option<String>), u64>,
    keys: BTreeMap<String, CountOfKey>,
    operations: BTreeMap<String, CountOfOperation>,
    /// The number of entries whose key is beyond the limit, and so is not counted separately.
    other_keys: u64,
    other_operations: u64,
}

/// The entries of one key.
#[derive(Default)]
pub(super) struct CountOfKey {
    pub(super) name: Option<String>,
    pub(super) entries: u64,
    /// The number of entries with a touch of a security key that the auditor's trust files confirm.
    pub(super) touched: u64,
    pub(super) first: String,
    pub(super) last: String,
}

/// The entries of one operation.
#[derive(Default)]
pub(super) struct CountOfOperation {
    pub(super) entries: u64,
    pub(super) verified: u64,
    /// The number of entries with a touch of a security key that the auditor's trust files confirm.
    pub(super) touched: u64,
    /// The number of entries whose operation only the log claims.
    pub(super) claimed: u64,
}

impl LogSummary {
    /// Counts one entry.
    pub(in crate::cmd::audit) fn add(&mut self, row: SummaryRow) {
        let SummaryRow { verdict, code, key, asked, touched, time } = row;
        // Refusal codes come from a fixed list. A line with any other code contradicts the format,
        // and then the log is not summarised.
        let code = code.filter(|_| self.verdicts.len() < MAX_COUNTED_SEPARATELY);
        *self.verdicts.entry((verdict, code)).or_default() += 1;
        if let Some((key, name)) = key {
            let room = self.keys.len() < MAX_COUNTED_SEPARATELY || self.keys.contains_key(&key);
            self.other_keys += u64::from(!room);
            if room {
                let count = self.keys.entry(key).or_default();
                if count.entries == 0 {
                    count.first.clone_from(&time);
                }
                (count.entries, count.last) = (count.entries + 1, time);
                count.name = name.or(count.name.take());
                count.touched += u64::from(touched);
            }
        }
        if let Some((asked, claimed)) = asked {
            let room = self.operations.len() < MAX_COUNTED_SEPARATELY
                || self.operations.contains_key(&asked);
            self.other_operations += u64::from(!room);
            if room {
                let count = self.operations.entry(asked).or_default();
                count.entries += 1;
                count.verified += u64::from(verdict == "verified");
                count.claimed += u64::from(claimed);
                count.touched += u64::from(touched);
            }
        }
    }

    /// Returns the number of entries with this verdict.
    pub(super) fn of_verdict(&self, wanted: &str) -> u64 {
        let of = self.verdicts.iter().filter(|((verdict, _), _)| *verdict == wanted);
        of.map(|(_, count)| count).sum()
    }

    /// Returns each verdict, with the refusal code if there is one and the number of entries.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = (&'static str, Option<&str>, u64)> {
        self.verdicts.iter().map(|((verdict, code), n)| (*verdict, code.as_deref(), *n))
    }

    /// Returns the keys, the most used first.
    pub(super) fn keys(&self) -> Vec<(&str, &CountOfKey)> {
        let mut keys: Vec<_> = self.keys.iter().map(|(key, count)| (&**key, count)).collect();
        keys.sort_by_key(|(_, count)| std::cmp::Reverse(count.entries));
        keys
    }

    /// Returns the operations, the most used first.
    pub(super) fn operations(&self) -> Vec<(&str, &CountOfOperation)> {
        let all = self.operations.iter();
        let mut operations: Vec<_> = all.map(|(asked, count)| (&**asked, count)).collect();
        operations.sort_by_key(|(_, count)| std::cmp::Reverse(count.entries));
        operations
    }

    /// Returns the number of entries whose keys, and whose operations, are not counted separately.
    pub(super) fn others(&self) -> (u64, u64) {
        (self.other_keys, self.other_operations)
    }

    /// Returns the summary as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        let verdicts = self.verdicts().map(|(verdict, code, entries)| {
            serde_json::json!({"verdict": verdict, "code": code, "entries": entries})
        });
        let keys = self.keys().into_iter().map(|(key, count)| {
            serde_json::json!({
                "key": key, "name": count.name, "entries": count.entries,
                "touched": count.touched, "first": count.first, "last": count.last,
            })
        });
        let operations = self.operations().into_iter().map(|(asked, count)| {
            serde_json::json!({
                "asked": asked, "entries": count.entries, "verified": count.verified,
                "touched": count.touched, "claimed": count.claimed,
            })
        });
        serde_json::json!({
            "verdicts": verdicts.collect::<Vec<_>>(),
            "keys": keys.collect::<Vec<_>>(),
            "other_keys": self.other_keys,
            "operations": operations.collect::<Vec<_>>(),
            "other_operations": self.other_operations,
        })
    }

    /// Returns the lines for a terminal, printed below the verdict.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut table = |title: &str, rows: Vec<(u64, String)>, others: u64| {
            if rows.is_empty() {
                return;
            }
            lines.push(format!("{:>8}  {title}", "ENTRIES"));
            lines.extend(rows.iter().map(|(count, words)| format!("{count:>8}  {words}")));
            if others > 0 {
                lines.push(format!("{others:>8}  others"));
            }
        };
        let verdicts = self.verdicts().map(|(verdict, code, count)| {
            let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
            (count, format!("{verdict}{code}"))
        });
        let touched = |count: u64| match count {
            0 => String::new(),
            count => format!(", {count} touched"),
        };
        table("BY VERDICT OF THE LOG", verdicts.collect(), 0);
        let keys = self.keys().into_iter().map(|(key, count)| {
            let name = count.name.as_deref().unwrap_or("in no trust file that was given");
            (count.entries, format!("{key} ({name}){}", touched(count.touched)))
        });
        table("BY KEY", keys.collect(), self.other_keys);
        let operations = self.operations().into_iter().map(|(asked, count)| {
            let claimed = match count.claimed {
                0 => String::new(),
                n if n == count.entries => " (claimed)".to_owned(),
                n => format!(" ({n} of them claimed)"),
            };
            (count.entries, format!("{asked}{claimed}{}", touched(count.touched)))
        });
        table("BY WHAT WAS ASKED FOR", operations.collect(), self.other_operations);
        lines
    }
}
