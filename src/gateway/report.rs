//! The roll-out report, which an operator reads before turning strict mode on.
//!
//! ```text
//!   LogLine ─► Tally ─► Report ─┬─► text   for a terminal
//!   live, or   counts   sorted, ├─► JSON   for programs
//!   from files          judged  └─► HTML   one page without other files
//! ```
//!
//! A [`RolloutTally`] counts log lines. Adding a line is cheap, and its memory is bounded for any
//! input, because unsigned requests may come from an attacker. A [`RolloutReport`] is made on
//! demand. A gateway calls [`RolloutTally::add`] once for each request, under a lock; to make a
//! report, clone the tally under the lock, and use the clone.
//!
//! ```
//! use mcpid::clock::Timestamp;
//! use mcpid::gateway::log::{LogLine, LoggedOutcome, LoggedStatus};
//! use mcpid::gateway::report::RolloutTally;
//!
//! let mut line = LogLine::new(Timestamp::from_unix(0), 1, "POST", "/mcp");
//! (line.status, line.outcome) = (Some(LoggedStatus::Verified), LoggedOutcome::Passed);
//! let mut tally = RolloutTally::new();
//! tally.add(&line);
//! assert_eq!(tally.report().all.verified, 1);
//! ```

mod addresses;
mod chart;
mod figures;
mod html;
mod reason;
mod scale;
mod summary;
mod text;
mod touches;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use addresses::{AddressReason, MOST_ADDRESSES, ReportedAddress};
pub use html::{MARK, content_security_policy};
pub use reason::RefusalCode;
pub use scale::{Cell, MOST_BUCKETS};
pub use summary::{
    OperationCounts, ReasonCount, ReportedSigner, RequestCounts, RequestsOverTime, RolloutReport,
    StatusCount, UnjudgedRefusals,
};

use crate::clock::Timestamp;

use super::log::{
    LogLine, LogText, LoggedKey, LoggedOperation, LoggedOutcome, LoggedStatus, LoggedTouch,
};
use addresses::Addresses;
use scale::{Scale, Series};

/// The maximum number of operations that are counted separately. Half of these places are reserved
/// for operations of verified requests, so that invented names in unsigned requests cannot displace
/// them.
pub const MOST_OPERATIONS: usize = 1000;

/// The maximum number of keys that are counted separately.
pub const MOST_KEYS: usize = 1000;

/// The maximum number of security keys that the report names for one signer.
const MOST_TOUCH_KEYS: usize = 8;

/// What strict mode does, or would do, with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RolloutVerdict {
    Verified,
    /// The request was forwarded in permissive mode, and strict mode would have refused it.
    Passed(RefusalCode),
    /// The request was refused.
    Refused(RefusalCode),
}

/// Counts of requests for one operation, or for all operations together.
#[derive(Clone, Debug, Default)]
struct VerdictCounts {
    total: Cell,
    reasons: Vec<(RefusalCode, Cell, Timestamp)>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    last_unverified: Option<Timestamp>,
    /// Verified requests that were confirmed by the touch of a security key.
    touched: u64,
    series: Series,
}

impl VerdictCounts {
    fn add(&mut self, verdict: RolloutVerdict, time: Timestamp, bucket: i64) {
        let mut one = Cell::empty(bucket);
        let why = match verdict {
            RolloutVerdict::Verified => {
                one.verified = 1;
                None
            }
            RolloutVerdict::Passed(why) => {
                one.would_refuse = 1;
                Some(why)
            }
            RolloutVerdict::Refused(why) => {
                one.refused = 1;
                Some(why)
            }
        };
        self.series.add(&one);
        self.total.take(&one);
        self.seen(time, time);
        if let Some(why) = why {
            self.last_unverified = self.last_unverified.max(Some(time));
            self.reason(why, &one, time);
        }
    }

    fn reason(&mut self, why: RefusalCode, counted: &Cell, last: Timestamp) {
        match self.reasons.iter_mut().find(|(known, ..)| *known == why) {
            Some((_, cell, time)) => {
                cell.take(counted);
                *time = last.max(*time);
            }
            None => self.reasons.push((why, *counted, last)),
        }
    }

    fn seen(&mut self, first: Timestamp, last: Timestamp) {
        self.first = Some(self.first.map_or(first, |known| known.min(first)));
        self.last = self.last.max(Some(last));
    }

    fn merge(&mut self, other: &VerdictCounts) {
        self.series.merge(&other.series);
        self.total.take(&other.total);
        if let (Some(first), Some(last)) = (other.first, other.last) {
            self.seen(first, last);
        }
        self.last_unverified = self.last_unverified.max(other.last_unverified);
        self.touched += other.touched;
        for (why, cell, last) in &other.reasons {
            self.reason(*why, cell, *last);
        }
    }
}

/// The counts of a key that signs requests.
#[derive(Clone, Debug)]
struct SignerCounts {
    name: Option<LogText>,
    requests: u64,
    /// Requests that were confirmed by the touch of a security key.
    touched: u64,
    /// The security keys that confirmed requests, by name or else by id.
    touch_keys: BTreeSet<LogText>,
    first: Timestamp,
    last: Timestamp,
}

impl SignerCounts {
    /// Counts the touch of a security key for a request, if it has one.
    fn touched_by(&mut self, touch: Option<&LoggedTouch>) {
        let Some(LoggedTouch { id, name, .. }) = touch else { return };
        self.touched += 1;
        let key = name.as_ref().unwrap_or(id);
        if self.touch_keys.len() < MOST_TOUCH_KEYS && !self.touch_keys.contains(key) {
            self.touch_keys.insert(key.clone());
        }
    }
}

/// The counts of requests, from log lines.
#[derive(Clone, Debug)]
pub struct RolloutTally {
    lines: u64,
    other_lines: u64,
    ends: Option<(Timestamp, Timestamp)>,
    scale: Scale,
    all: VerdictCounts,
    by_status: [u64; LoggedStatus::ALL.len()],
    operations: HashMap<Option<LoggedOperation>, VerdictCounts>,
    /// The number of operations of which no request was verified.
    unproven: usize,
    other_operations: VerdictCounts,
    keys: HashMap<LogText, SignerCounts>,
    other_keys: u64,
    addresses: Addresses,
    refused_unjudged: BTreeMap<Option<u16>, u64>,
    open: u64,
    failed: u64,
}

impl Default for RolloutTally {
    fn default() -> Self {
        RolloutTally::new()
    }
}

impl RolloutTally {
    /// Makes counts that are all zero.
    pub fn new() -> Self {
        RolloutTally {
            lines: 0,
            other_lines: 0,
            ends: None,
            scale: Scale::new(),
            all: VerdictCounts::default(),
            by_status: [0; LoggedStatus::ALL.len()],
            operations: HashMap::new(),
            unproven: 0,
            other_operations: VerdictCounts::default(),
            keys: HashMap::new(),
            other_keys: 0,
            addresses: Addresses::default(),
            refused_unjudged: BTreeMap::new(),
            open: 0,
            failed: 0,
        }
    }

    /// Counts a line of the input that is not a log line.
    pub fn count_other_line(&mut self) {
        self.other_lines += 1;
    }

    /// Returns the number of input lines that are not log lines.
    pub fn other_lines(&self) -> u64 {
        self.other_lines
    }

    /// Returns the number of log lines.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Counts one request. The order of the lines matters only if there are more operations or keys
    /// than are counted separately.
    pub fn add(&mut self, line: &LogLine) {
        self.lines += 1;
        let ends = self.ends.unwrap_or((line.time, line.time));
        self.ends = Some((ends.0.min(line.time), ends.1.max(line.time)));
        if line.outcome == LoggedOutcome::Failed {
            self.failed += 1;
        }
        match (line.outcome, line.status) {
            (LoggedOutcome::Open, _) => self.open += 1,
            (LoggedOutcome::Refused, None) => {
                // Numbers that are not HTTP status codes are not counted, because a log file can
                // contain anything.
                let answer = line.answer.filter(|status| (100..600).contains(status));
                *self.refused_unjudged.entry(answer).or_default() += 1;
            }
            // A line without a status and without a refusal: the request ended before it was
            // judged.
            (_, None) => {}
            (_, Some(status)) => self.judged(line, status),
        }
    }

    fn judged(&mut self, line: &LogLine, status: LoggedStatus) {
        if self.scale.cover(line.time) {
            let scale = self.scale;
            for counts in self.operations.values_mut() {
                counts.series.coarsen(&scale);
            }
            self.other_operations.series.coarsen(&scale);
            self.all.series.coarsen(&scale);
        }
        let bucket = self.scale.bucket(line.time);
        let why = match (line.code, status) {
            (Some(code), _) => RefusalCode::Code(code),
            (None, LoggedStatus::Unavailable) => RefusalCode::Unavailable,
            (None, _) => RefusalCode::Other,
        };
        let verdict = match (line.outcome, line.code, status) {
            (LoggedOutcome::Refused, ..) => RolloutVerdict::Refused(why),
            (_, None, LoggedStatus::Verified) => RolloutVerdict::Verified,
            _ => RolloutVerdict::Passed(why),
        };
        for (known, count) in LoggedStatus::ALL.iter().zip(&mut self.by_status) {
            *count += u64::from(*known == status);
        }
        if verdict != RolloutVerdict::Verified {
            self.addresses.add(line, why);
        }
        self.all.add(verdict, line.time, bucket);
        let verified = verdict == RolloutVerdict::Verified;
        let touched = u64::from(verified && line.touch.is_some());
        self.all.touched += touched;
        let operation = self.operation(&line.mcp, verified);
        operation.add(verdict, line.time, bucket);
        operation.touched += touched;
        if let (LoggedStatus::Verified, Some(key)) = (status, &line.key) {
            self.signed_by(key, line.touch.as_ref(), line.time);
        }
    }

    /// Returns the counts of an operation; an operation beyond the limit shares its counts with all
    /// others beyond it.
    fn operation(&mut self, does: &Option<LoggedOperation>, verified: bool) -> &mut VerdictCounts {
        if let Some(known) = self.operations.get(does) {
            if verified && known.total.verified == 0 {
                self.unproven -= 1;
            }
        } else if self.make_room(verified) {
            self.unproven += usize::from(!verified);
            self.operations.insert(does.clone(), VerdictCounts::default());
        }
        self.operations.get_mut(does).unwrap_or(&mut self.other_operations)
    }

    /// Returns true if one more operation can be counted separately. If there is no room, the least
    /// frequent operation without a verified request is removed, because an invented name usually
    /// occurs only once.
    fn make_room(&mut self, verified: bool) -> bool {
        let full = self.operations.len() >= MOST_OPERATIONS;
        if !full && (verified || self.unproven < MOST_OPERATIONS / 2) {
            return true;
        }
        let unproven = self.operations.iter().filter(|(_, counts)| counts.total.verified == 0);
        let rarest = unproven.min_by_key(|(_, counts)| (counts.total.requests(), counts.last));
        let Some(rarest) = rarest.map(|(does, _)| does.clone()) else { return false };
        if let Some(counts) = self.operations.remove(&rarest) {
            self.unproven -= 1;
            self.other_operations.merge(&counts);
        }
        true
    }

    fn signed_by(&mut self, key: &LoggedKey, touch: Option<&LoggedTouch>, time: Timestamp) {
        let full = self.keys.len() >= MOST_KEYS;
        if let Some(known) = self.keys.get_mut(&key.id) {
            known.requests += 1;
            known.touched_by(touch);
            if time >= known.last {
                // The name of a key can change; the report shows the latest one.
                known.name.clone_from(&key.name);
            }
            (known.first, known.last) = (known.first.min(time), known.last.max(time));
        } else if full {
            self.other_keys += 1;
        } else {
            let name = key.name.clone();
            let (touched, touch_keys) = (0, BTreeSet::new());
            let mut signs =
                SignerCounts { name, requests: 1, touched, touch_keys, first: time, last: time };
            signs.touched_by(touch);
            self.keys.insert(key.id.clone(), signs);
        }
    }

    /// Returns the report of these counts.
    pub fn report(&self) -> RolloutReport {
        let mut report = RolloutReport::of(self);
        report.touch_next = touches::touch_next(&report.operations);
        report
    }
}
