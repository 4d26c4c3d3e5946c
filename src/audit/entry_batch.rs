//! Entries that are written together: their lines, and the state of the log after them.

use serde_json::value::RawValue;

use super::entry::ClockStep;
use super::fault::{LogError, MAX_LINE};
use super::record::Record;
use super::state::{BatchLines, LogState, RulesInForce};
use crate::clock::Timestamp;

/// Maximum difference, in seconds, between the time of an entry and the time at which its request
/// was judged. If the difference is larger, the log records that the clock was set back. An auditor
/// allows a minute more.
const CLOCK_LEEWAY: i64 = 240;

/// Entries that are written together in one write.
pub(super) struct EntryBatch {
    /// The number of the next entry.
    next: u64,
    pub(super) time: Timestamp,
    pub(super) offset: i64,
    pub(super) rules: RulesInForce,
    pub(super) first_time: Option<Timestamp>,
    stamp: (Timestamp, String),
    pub(super) lines: BatchLines,
}

impl EntryBatch {
    /// Begins a batch after `state`, whose entries are hashed first. The memory of their lines is used
    /// again.
    pub(super) fn new(state: &mut LogState) -> Self {
        state.hash_entries();
        EntryBatch {
            next: state.size(),
            time: state.time,
            offset: state.offset,
            rules: state.rules.clone(),
            first_time: None,
            stamp: (state.time, state.time.to_string()),
            lines: std::mem::take(&mut state.tree.unhashed),
        }
    }

    /// Adds a record. If the clock offset or the rules have changed, adds an entry about each of
    /// them before the record. Returns the number of the record.
    pub(super) fn add(&mut self, record: &Record, now: Timestamp) -> Result<u64, LogError> {
        let judged = record.judged;
        // The time of an entry is not before the time of the previous entry, and not before the
        // time at which its request was judged.
        let time = judged.map_or(now, |judged| judged.max(now)).max(self.time);
        if let Some(judged) = judged {
            let late = time.since(judged);
            if late.saturating_sub(self.offset).saturating_abs() > CLOCK_LEEWAY {
                self.offset = if late <= CLOCK_LEEWAY { 0 } else { late };
                self.say_offset(time)?;
            }
        }
        if let Some(rules) = record.rules() {
            let known = match &self.rules {
                RulesInForce::None => true,
                RulesInForce::Unknown => false,
                RulesInForce::Known(known) => known == rules,
            };
            if !known && let Ok(rules) = serde_json::from_slice::<&RawValue>(rules) {
                self.push(&Record::event("rules", &rules), time)?;
            }
            if !known || self.rules == RulesInForce::None {
                self.rules = RulesInForce::Known(rules.to_vec());
            }
        }
        self.push(record, time)
    }

    pub(super) fn say_offset(&mut self, time: Timestamp) -> Result<(), LogError> {
        let step = ClockStep { offset: self.offset };
        self.push(&Record::event("clock", &step), time).map(drop)
    }

    fn push(&mut self, record: &Record, time: Timestamp) -> Result<u64, LogError> {
        let BatchLines { bytes, ends } = &mut self.lines;
        let (n, start) = (self.next, bytes.len());
        if self.stamp.0 != time {
            self.stamp = (time, time.to_string());
        }
        record.line(n, &self.stamp.1, bytes);
        let size = bytes.len() - start - 1;
        if size >= MAX_LINE {
            return Err(LogError::TooLarge(size));
        }
        ends.push(bytes.len());
        self.next += 1;
        self.time = time;
        self.first_time.get_or_insert(time);
        Ok(n)
    }
}
