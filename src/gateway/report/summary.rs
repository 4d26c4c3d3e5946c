//! The roll-out report, made from a tally of log lines, with a headline and a proposed next step.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::gateway::log::{LogText, LoggedOperation, LoggedStatus};
use crate::mcp::pattern::{self, Pattern};
use crate::message::shown::is_unsafe;
use crate::tower::{Mode, ModePolicy as _, Modes};

use super::addresses::ReportedAddress;
use super::figures::{count, grouped, percent};
use super::reason::RefusalCode;
use super::scale::Cell;
use super::{RolloutTally, VerdictCounts};

/// The roll-out report. Its fields are the members of the JSON report, in this order. Members may
/// be added; `version` changes only if the meaning of a member changes. Times are RFC 3339 in UTC;
/// times of buckets are seconds since 1970.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RolloutReport {
    version: u8,
    /// The text of [`RolloutReport::headline`].
    pub headline: String,
    /// The time of the first line.
    pub from: Option<String>,
    /// The time of the last line.
    pub to: Option<String>,
    /// The number of log lines that were counted.
    pub lines: u64,
    /// The number of input lines that are not log lines.
    #[serde(rename = "passed_over")]
    pub other_lines: u64,
    /// All requests that were judged.
    pub all: RequestCounts,
    /// The judged requests by verification status.
    pub by_status: Vec<StatusCount>,
    /// Requests that were refused before they were judged, in strict or permissive mode, by HTTP
    /// status of the answer.
    #[serde(rename = "on_sight")]
    pub refused_unjudged: Vec<UnjudgedRefusals>,
    /// Requests to open paths, which need no signature.
    pub open: u64,
    /// Requests that the upstream or the gateway failed to answer.
    pub failed: u64,
    /// The operations. Those with the most requests that strict mode would refuse come first.
    pub operations: Vec<OperationCounts>,
    /// The counts of all operations beyond the limit, added up.
    pub other_operations: Option<RequestCounts>,
    /// The signing keys. Those with the most requests come first.
    pub keys: Vec<ReportedSigner>,
    /// Requests by keys beyond the limit.
    pub other_keys: u64,
    /// The client addresses of requests that were not verified. Those with the most requests come
    /// first.
    pub not_verified_by: Vec<ReportedAddress>,
    /// Unverified requests from addresses beyond the limit.
    pub other_addresses: u64,
    /// All requests over time.
    pub over_time: RequestsOverTime,
    /// Patterns of operations whose requests were all verified. The operator can pass these to
    /// `--strict` first.
    pub strict_next: Vec<String>,
    /// Patterns of the operations that must stay permissive if all others become strict; `None` if
    /// one of these operations cannot be described by a pattern.
    pub still_permissive: Option<Vec<String>>,
    /// Patterns of operations whose requests were all confirmed by a touch of a security key. The
    /// operator can pass these to `--touch` without causing refusals.
    pub touch_next: Vec<String>,
    #[serde(skip)]
    pub(super) ends: Option<(Timestamp, Timestamp)>,
}

/// Numbers of requests by their outcome.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RequestCounts {
    /// All requests.
    pub requests: u64,
    /// Requests that were verified and forwarded.
    pub verified: u64,
    /// Verified requests that were confirmed by the touch of a security key. A `--touch` rule would
    /// refuse all others.
    pub touched: u64,
    /// Requests that were forwarded, and that strict mode would refuse.
    pub would_refuse: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// The reasons for the refusals, the most frequent first.
    pub reasons: Vec<ReasonCount>,
    /// The time of the first request.
    pub first: Option<String>,
    /// The time of the last request.
    pub last: Option<String>,
    /// The time of the last request that was not verified.
    pub last_unverified: Option<String>,
    #[serde(skip)]
    pub(super) last_unverified_at: Option<Timestamp>,
}

/// A reason for refusals, and the number of requests with this reason.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ReasonCount {
    /// The refusal code, or `unavailable`, or `other`.
    pub code: RefusalCode,
    /// Requests that were forwarded in permissive mode.
    pub would_refuse: u64,
    /// Requests that were refused for this reason.
    pub refused: u64,
    /// The time of the last request.
    pub last: String,
}

/// The requests with one verification status.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StatusCount {
    /// `verified`, `unsigned`, `unknown_key`, `invalid` or `unavailable`.
    pub status: &'static str,
    /// The number of requests.
    pub requests: u64,
}

/// Requests that were refused before they could be judged.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct UnjudgedRefusals {
    /// The HTTP status of the answer.
    pub answer: Option<u16>,
    /// The number of requests.
    pub requests: u64,
}

/// The counts of one operation.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct OperationCounts {
    /// The JSON-RPC method; `None` if the body was not read or is ambiguous.
    pub method: Option<String>,
    /// The name of the tool, prompt, resource or task.
    pub name: Option<String>,
    /// The number of requests.
    #[serde(flatten)]
    pub count: RequestCounts,
    /// The requests over time; only non-empty buckets.
    pub over_time: Vec<Cell>,
    #[serde(skip)]
    pub(super) does: Option<LoggedOperation>,
}

/// A signing key.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ReportedSigner {
    /// The RFC 7638 thumbprint.
    pub id: String,
    /// The name in the trust file.
    pub name: Option<String>,
    /// Requests that the key signed.
    pub requests: u64,
    /// Requests that were confirmed by the touch of a security key.
    pub touched: u64,
    /// The security keys that confirmed requests of this key, by name or else by id: at most eight.
    pub touch_keys: Vec<String>,
    /// The time of the first request.
    pub first: String,
    /// The time of the last request.
    pub last: String,
}

/// Counts of requests over time, each for one span (a bucket).
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RequestsOverTime {
    /// The width of a bucket in seconds. It is the same for every operation.
    pub seconds: i64,
    /// The counts of every span of time, also of those without requests.
    pub buckets: Vec<Cell>,
}

impl RolloutReport {
    pub(super) fn of(tally: &RolloutTally) -> Self {
        let all = RequestCounts::of(&tally.all);
        let mut operations: Vec<_> = tally
            .operations
            .iter()
            .map(|(does, counts)| OperationCounts::of(does.as_ref(), counts))
            .collect();
        operations.sort_by(|a, b| {
            let rank =
                |o: &OperationCounts| (o.count.would_refuse, o.count.refused, o.count.requests);
            rank(b).cmp(&rank(a)).then_with(|| (&a.method, &a.name).cmp(&(&b.method, &b.name)))
        });
        let mut keys: Vec<_> = tally.keys.iter().collect();
        keys.sort_by(|(a_id, a), (b_id, b)| b.requests.cmp(&a.requests).then(a_id.cmp(b_id)));
        let keys = keys.into_iter().map(|(id, signs)| ReportedSigner {
            id: id.as_str().to_owned(),
            name: signs.name.as_ref().map(|name| name.as_str().to_owned()),
            requests: signs.requests,
            touched: signs.touched,
            touch_keys: signs.touch_keys.iter().map(|key| key.as_str().to_owned()).collect(),
            first: signs.first.to_string(),
            last: signs.last.to_string(),
        });
        let shares = LoggedStatus::ALL.iter().zip(tally.by_status);
        let mut refused_unjudged: Vec<_> = tally
            .refused_unjudged
            .iter()
            .map(|(a, n)| UnjudgedRefusals { answer: *a, requests: *n })
            .collect();
        refused_unjudged.sort_by_key(|refusals| std::cmp::Reverse(refusals.requests));
        let other =
            Some(RequestCounts::of(&tally.other_operations)).filter(|count| count.requests > 0);
        RolloutReport {
            version: 1,
            headline: headline(&all),
            from: tally.ends.map(|(from, _)| from.to_string()),
            to: tally.ends.map(|(_, to)| to.to_string()),
            lines: tally.lines,
            other_lines: tally.other_lines,
            by_status: shares
                .map(|(status, requests)| StatusCount { status: status.as_str(), requests })
                .collect(),
            refused_unjudged,
            open: tally.open,
            failed: tally.failed,
            strict_next: strict_next(&operations, &all),
            still_permissive: still_permissive(&operations, other.as_ref(), &all),
            touch_next: Vec::new(),
            all,
            operations,
            other_operations: other,
            keys: keys.collect(),
            other_keys: tally.other_keys,
            not_verified_by: tally.addresses.report(),
            other_addresses: tally.addresses.other(),
            over_time: RequestsOverTime { seconds: tally.scale.width(), buckets: over_time(tally) },
            ends: tally.ends,
        }
    }

    /// Returns the summary in one sentence, without its period.
    pub fn headline(&self) -> &str {
        &self.headline
    }

    /// Returns the reasons, the most frequent first: `30 unsigned, 5 expired, 2 signed by unknown
    /// keys`.
    pub fn because(&self) -> Option<String> {
        let many = self.all.would_refuse > 0;
        let of = |why: &ReasonCount| if many { why.would_refuse } else { why.refused };
        let mut reasons: Vec<_> = self.all.reasons.iter().filter(|why| of(why) > 0).collect();
        reasons.sort_by_key(|why| std::cmp::Reverse(of(why)));
        let words = |why: &&ReasonCount| format!("{} {}", grouped(of(why)), why.code.phrase());
        let rest: u64 = reasons.iter().skip(3).map(|why| of(why)).sum();
        let mut phrases: Vec<_> = reasons.iter().take(3).map(words).collect();
        if rest > 0 {
            phrases.push(format!("{} for other reasons", grouped(rest)));
        }
        (!phrases.is_empty()).then(|| phrases.join(", "))
    }

    /// Returns the report as one line of JSON.
    pub fn to_json(&self) -> String {
        // This cannot fail: the values are strings and numbers.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn over_time(tally: &RolloutTally) -> Vec<Cell> {
    let mut filled = tally.all.series.cells().iter().copied().peekable();
    let buckets = tally.scale.buckets().into_iter();
    buckets.map(|at| filled.next_if(|c| c.from == at).unwrap_or(Cell::empty(at))).collect()
}

fn headline(all: &RequestCounts) -> String {
    let requests = count(all.requests, "request", "requests");
    let share = |n| format!("{} of {requests} ({})", grouped(n), percent(n, all.requests));
    match (all.requests, all.would_refuse, all.refused) {
        (0, ..) => "no request has been judged yet".to_owned(),
        (1, 0, 0) => {
            "turning strict on now would refuse nothing: the one request was verified".into()
        }
        (_, 0, 0) => format!("turning strict on now would refuse none of {requests}"),
        (_, 0, refused) => {
            let were = if refused == 1 { "was" } else { "were" };
            format!("nothing that strict refuses gets through: {} {were} refused", share(refused))
        }
        (_, would, 0) => format!("turning strict on now would refuse {}", share(would)),
        (_, would, refused) => format!(
            "turning strict on now would refuse {} that got through; {} {} refused already",
            share(would),
            grouped(refused),
            if refused == 1 { "was" } else { "were" }
        ),
    }
}

impl RequestCounts {
    fn of(counts: &VerdictCounts) -> Self {
        let total = counts.total;
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let mut reasons: Vec<_> = counts.reasons.iter().collect();
        reasons.sort_by(|(a, a_cell, _), (b, b_cell, _)| {
            b_cell.requests().cmp(&a_cell.requests()).then(a.as_str().cmp(b.as_str()))
        });
        let reasons = reasons.into_iter().map(|(code, cell, last)| ReasonCount {
            code: *code,
            would_refuse: cell.would_refuse,
            refused: cell.refused,
            last: last.to_string(),
        });
        RequestCounts {
            requests: total.requests(),
            verified: total.verified,
            touched: counts.touched,
            would_refuse: total.would_refuse,
            refused: total.refused,
            reasons: reasons.collect(),
            first: text(counts.first),
            last: text(counts.last),
            last_unverified: text(counts.last_unverified),
            last_unverified_at: counts.last_unverified,
        }
    }
}

impl OperationCounts {
    fn of(does: Option<&LoggedOperation>, counts: &VerdictCounts) -> Self {
        OperationCounts {
            method: does.map(|does| does.method.as_str().to_owned()),
            name: does.and_then(|does| does.name.as_ref()).map(|name| name.as_str().to_owned()),
            count: RequestCounts::of(counts),
            over_time: counts.series.cells().to_vec(),
            does: does.cloned(),
        }
    }

    pub(super) fn operation(&self) -> Option<pattern::Operation<'_>> {
        let LoggedOperation { method, name } = self.does.as_ref()?;
        let name = name.as_ref().map(LogText::as_str);
        Some(pattern::Operation { method: method.as_str(), name })
    }

    /// Returns the pattern that matches this operation only. Returns `None` for a name that cannot
    /// be written literally in a pattern, has invisible characters, or was cut.
    pub(super) fn pattern(&self) -> Option<Pattern> {
        let operation = self.operation()?;
        let text = operation.to_string();
        let does = self.does.as_ref()?;
        if text.contains(|c| c == '*' || is_unsafe(c))
            || does.method.is_cut()
            || does.name.as_ref().is_some_and(LogText::is_cut)
            || text == "destructive"
        {
            return None;
        }
        // Only a pattern that begins with `=` can name a method that MCP does not define.
        let pattern = Pattern::parse(&text).or_else(|_| Pattern::parse(&format!("={text}")));
        pattern.ok().filter(|pattern| pattern.grants(operation))
    }
}

/// Returns the operations whose requests were all verified, so that making them strict refuses no
/// request. A strict pattern also applies to unreadable bodies, to calls without a name and, if the
/// pattern is for a tool call, to JSON-RPC responses. If unverified requests of these kinds get
/// through, no pattern is recommended.
fn strict_next(operations: &[OperationCounts], all: &RequestCounts) -> Vec<String> {
    let waiting: Vec<_> = operations.iter().filter(|o| o.count.would_refuse > 0).collect();
    if all.would_refuse == 0 || waiting.iter().any(|o| o.does.is_none()) {
        return Vec::new();
    }
    let clean = operations.iter().filter(|o| o.count.requests == o.count.verified);
    let harmless = |pattern: &Pattern| {
        let modes = Modes::permissive().with_strict(pattern.clone());
        waiting.iter().all(|o| modes.mode(o.operation()) == Mode::Permissive)
    };
    clean.filter_map(OperationCounts::pattern).filter(harmless).map(|p| p.to_string()).collect()
}

/// Returns patterns for the operations that strict mode would refuse, if each of them can be
/// described by a pattern that matches no other operation.
fn still_permissive(
    operations: &[OperationCounts],
    other: Option<&RequestCounts>,
    all: &RequestCounts,
) -> Option<Vec<String>> {
    if all.would_refuse == 0 || other.is_some_and(|count| count.would_refuse > 0) {
        return None;
    }
    let waiting = operations.iter().filter(|o| o.count.would_refuse > 0);
    let alone = |o: &OperationCounts| {
        let pattern = o.pattern()?;
        let grants = |o: &&OperationCounts| o.operation().is_some_and(|it| pattern.grants(it));
        (operations.iter().filter(grants).count() == 1).then(|| pattern.to_string())
    };
    waiting.map(alone).collect()
}
