//! Metrics for Prometheus. Every label value is a fixed word, or the name of a tool that the
//! upstream has listed, so that clients cannot create new time series.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::audit;
use crate::audit::witness::WitnessStatus;
use crate::clock::{Clock, Timestamp};
use crate::mcp::tools::Tools;
use crate::tower::SessionBindings;

use super::log::{LogLine, LoggedOutcome, LoggedStatus};
use super::process_collector;
use super::witness_collector::WitnessCollector;

type Labels<const N: usize> = [(&'static str, Word); N];
type Word = std::borrow::Cow<'static, str>;

/// Methods of MCP that have a label of their own.
const LABELLED_METHODS: [&str; 24] = [
    "@delete",
    "@get",
    "@response",
    "completion/complete",
    "elicitation/create",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "sampling/createMessage",
    "server/discover",
    "tasks/get",
    "tools/call",
    "tools/list",
];

/// The maximum number of tools that have a label of their own.
const MOST_TOOLS: usize = 1_000;

/// The bounds of the histogram of answer times, in seconds.
const BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// All metrics of a gateway.
///
/// ```
/// use mcpid::clock::Timestamp;
/// use mcpid::gateway::Metrics;
///
/// let metrics = Metrics::new();
/// metrics.keys(3);
/// assert!(metrics.text(Timestamp::from_unix(0)).contains("mcpid_registry_keys 3"));
/// ```
pub struct Metrics {
    registry: Mutex<Registry>,
    /// The metrics about this process, whose names do not begin with `mcpid`.
    process: Registry,
    requests: Family<Labels<4>, Counter>,
    would_refuse: Family<Labels<3>, Counter>,
    touches: Family<Labels<1>, Counter>,
    seconds: Histogram,
    in_flight: Gauge,
    store_errors: Counter,
    live_nonces: Gauge,
    keys: Gauge,
    sessions: Gauge,
    reload_failures: Counter,
    lost_lines: Counter,
    known_tools: Gauge,
    tools_query_failures: Counter,
    certificate: OnceLock<Gauge>,
    audit: OnceLock<Audit>,
    bindings: OnceLock<Arc<SessionBindings>>,
    tools: Mutex<Vec<Box<str>>>,
    fresh: Mutex<VecDeque<(i64, u64)>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Metrics {
            registry: Mutex::new(Registry::with_prefix("mcpid")),
            process: process_collector::registry(),
            requests: Family::default(),
            would_refuse: Family::default(),
            touches: Family::default(),
            seconds: Histogram::new(BUCKETS),
            in_flight: Gauge::default(),
            store_errors: Counter::<u64, AtomicU64>::default(),
            live_nonces: Gauge::default(),
            keys: Gauge::default(),
            sessions: Gauge::default(),
            reload_failures: Counter::default(),
            lost_lines: Counter::default(),
            known_tools: Gauge::default(),
            tools_query_failures: Counter::default(),
            certificate: OnceLock::new(),
            audit: OnceLock::new(),
            bindings: OnceLock::new(),
            tools: Mutex::default(),
            fresh: Mutex::default(),
        };
        metrics.name_all();
        metrics
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Makes metrics that are all zero.
    pub fn new() -> Self {
        Metrics::default()
    }

    fn name_all(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = "Requests by what became of them, status, code, and status of the answer";
        registry.register("requests", requests, self.requests.clone());
        let would = "Requests that permissive let through and strict would have refused";
        registry.register("would_refuse", would, self.would_refuse.clone());
        let touches =
            "Verified requests with a touch that counts, by what the security key checked";
        registry.register("touches", touches, self.touches.clone());
        for how in ["present", "verified"] {
            drop(self.touches.get_or_create(&[("touch", how.into())]));
        }
        let seconds = "Seconds from the head of a request to the head of its answer";
        registry.register("answer_seconds", seconds, self.seconds.clone());
        let in_flight = "Requests whose answer has not ended";
        registry.register("requests_in_flight", in_flight, self.in_flight.clone());
        let errors = "Claims that the nonce store could not answer";
        registry.register("store_errors", errors, self.store_errors.clone());
        let live = "Nonces that this gateway has claimed and that are still kept";
        registry.register("live_nonces", live, self.live_nonces.clone());
        registry.register("registry_keys", "Keys that are trusted", self.keys.clone());
        let sessions = "Sessions that are bound to a key";
        registry.register("sessions", sessions, self.sessions.clone());
        let reload = "Trust files or certificates that changed and could not be used";
        registry.register("reload_failures", reload, self.reload_failures.clone());
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of the program", version);
        let lost = "Log lines that were dropped because they could not be written";
        registry.register("log_lines_lost", lost, self.lost_lines.clone());
        let tools = "Tools that the upstream has listed";
        registry.register("known_tools", tools, self.known_tools.clone());
        let failures = "How often the upstream did not list its tools to the gateway";
        registry.register("tools_query_failures", failures, self.tools_query_failures.clone());
    }

    /// Counts a request that begins.
    pub(super) fn begin(&self) {
        self.in_flight.inc();
    }

    /// Counts a request that has ended, after [`Metrics::begin`].
    pub(super) fn count(&self, line: &LogLine, answered: Option<Duration>) {
        self.in_flight.dec();
        let outcome = match line.outcome {
            LoggedOutcome::Passed => "passed",
            LoggedOutcome::Refused => "refused",
            LoggedOutcome::Open => "open",
            LoggedOutcome::Failed => "failed",
        };
        let status = line.status.map_or("none", LoggedStatus::as_str);
        let code = line.code.map_or("none", |code| code.as_str());
        let class = match line.answer {
            None => "none",
            Some(status) => match status / 100 {
                2 => "2xx",
                3 => "3xx",
                4 => "4xx",
                5 => "5xx",
                _ => "other",
            },
        };
        let labels: [(&'static str, &'static str); 4] =
            [("outcome", outcome), ("status", status), ("code", code), ("answer", class)];
        self.requests.get_or_create(&labels.map(|(name, word)| (name, word.into()))).inc();
        if let Some(touch) = &line.touch {
            let how = if touch.verified { "verified" } else { "present" };
            self.touches.get_or_create(&[("touch", how.into())]).inc();
        }
        if let Some(time) = answered {
            self.seconds.observe(time.as_secs_f64());
        }
        let unverified = line.status.is_some_and(|status| status != LoggedStatus::Verified);
        if unverified && line.outcome != LoggedOutcome::Refused {
            let does = line.mcp.as_ref();
            let method = does.map_or("other", |does| known_method(does.method.as_str()));
            let tool = does.and_then(|does| does.name.as_ref()).filter(|_| method == "tools/call");
            let tool: Word = match tool {
                None => "none".into(),
                Some(tool) => self.known_tool(tool.as_str()),
            };
            let labels = [("method", method.into()), ("tool", tool), ("code", code.into())];
            self.would_refuse.get_or_create(&labels).inc();
        }
    }

    fn known_tool(&self, name: &str) -> Word {
        let tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        match tools.binary_search_by(|known| (**known).cmp(name)) {
            Ok(_) => name.to_owned().into(),
            Err(_) => "other".into(),
        }
    }

    /// Counts a query for the upstream's list of tools that failed.
    pub(super) fn tools_query_failed(&self) {
        self.tools_query_failures.inc();
    }

    /// Sets the number of tools in the upstream's list, and adds their names to the label values.
    pub(super) fn learn_tools(&self, known: &Tools) {
        self.known_tools.set(i64::try_from(known.len()).unwrap_or(i64::MAX));
        let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        for name in known.names() {
            if tools.len() >= MOST_TOOLS {
                return;
            }
            if let Err(place) = tools.binary_search_by(|known| (**known).cmp(name)) {
                tools.insert(place, name.into());
            }
        }
    }

    /// Sets the gauge with the number of trusted keys.
    pub fn keys(&self, count: usize) {
        self.keys.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Adds a metric with the number of sessions that are bound to keys. It is read each time the
    /// metrics are requested.
    pub(super) fn watch_sessions(&self, bindings: Arc<SessionBindings>) {
        let _ = self.bindings.set(bindings);
    }

    /// Sets the gauge with the time at which the first of the gateway's certificates expires
    /// ([`net::tls::expiry`](crate::net::tls::expiry)).
    pub fn certificate_expires(&self, time: Timestamp) {
        let gauge = self.certificate.get_or_init(|| {
            let gauge = Gauge::default();
            let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
            let help = "When the first certificate of --tls-cert expires, as unix time";
            registry.register("certificate_expiry_timestamp_seconds", help, gauge.clone());
            gauge
        });
        gauge.set(time.unix());
    }

    /// Counts a change of a trust file or certificate that could not be used.
    pub fn reload_failed(&self) {
        self.reload_failures.inc();
    }

    /// Counts `count` log lines that are dropped because they could not be written.
    pub fn lines_lost(&self, count: u64) {
        self.lost_lines.inc_by(count);
    }

    /// Adds the metrics of an audit log. They are read each time the metrics are requested.
    pub(super) fn audited(&self, log: &audit::Log) {
        let audit = Audit::new(log);
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if self.audit.get().is_none() {
            audit.name_all(&mut registry);
            let _ = self.audit.set(audit);
        }
    }

    /// Adds the metrics of the witnesses of the audit log.
    pub fn witnessed(&self, status: Arc<WitnessStatus>, clock: Arc<dyn Clock>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(WitnessCollector::new(status, clock)));
    }

    /// Returns the metrics at `now` as OpenMetrics text.
    pub fn text(&self, now: Timestamp) -> String {
        self.live_nonces.set(i64::try_from(self.live(now)).unwrap_or(i64::MAX));
        if let Some(audit) = self.audit.get() {
            audit.read_log(now);
        }
        if let Some(bindings) = self.bindings.get() {
            self.sessions.set(i64::try_from(bindings.len()).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string cannot fail.
        let _ = encode_registry(&mut text, &registry)
            .and_then(|()| encode_registry(&mut text, &self.process))
            .and_then(|()| encode_eof(&mut text));
        text
    }

    /// Counts a nonce that the store accepted as new and keeps until `until`. Nonces that end in
    /// the same second share one counter.
    pub(super) fn claimed(&self, until: Timestamp, now: Timestamp) {
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        while fresh.front().is_some_and(|(end, _)| *end <= now.unix()) {
            fresh.pop_front();
        }
        let until = until.unix();
        match fresh.binary_search_by_key(&until, |(end, _)| *end) {
            Ok(place) => {
                if let Some((_, count)) = fresh.get_mut(place) {
                    *count += 1;
                }
            }
            Err(place) => fresh.insert(place, (until, 1)),
        }
    }

    fn live(&self, now: Timestamp) -> u64 {
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.iter().filter(|(end, _)| *end > now.unix()).map(|(_, count)| count).sum()
    }

    pub(super) fn store_failed(&self) {
        self.store_errors.inc();
    }
}

/// The metrics of an audit log.
struct Audit {
    log: audit::Log,
    entries: Gauge,
    failures: Counter,
    gaps: Counter,
    refusals_not_logged: Counter,
    checkpoint_age: Gauge,
    checkpoint_entries: Gauge,
}

impl Audit {
    fn new(log: &audit::Log) -> Self {
        Audit {
            log: log.clone(),
            entries: Gauge::default(),
            failures: Counter::default(),
            gaps: Counter::default(),
            refusals_not_logged: Counter::default(),
            checkpoint_age: Gauge::default(),
            checkpoint_entries: Gauge::default(),
        }
    }

    fn name_all(&self, registry: &mut Registry) {
        registry.register("audit_entries", "Entries in the audit log", self.entries.clone());
        let failures = "Entries that could not be written, or not in time";
        registry.register("audit_failures", failures, self.failures.clone());
        let gaps = "Requests that were passed on without an entry";
        registry.register("audit_gaps", gaps, self.gaps.clone());
        let refusals_not_logged = "Refused requests that the audit log only counts";
        registry.register("audit_unnoted", refusals_not_logged, self.refusals_not_logged.clone());
        let age = "Seconds since the last checkpoint, or since the start if there was none";
        registry.register("audit_checkpoint_age_seconds", age, self.checkpoint_age.clone());
        let entries = "Entries under the last checkpoint";
        registry.register("audit_checkpoint_entries", entries, self.checkpoint_entries.clone());
    }

    fn read_log(&self, now: Timestamp) {
        let (entries, time) = self.log.last_checkpoint();
        self.checkpoint_entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.checkpoint_age.set(now.since(time).max(0));
        self.entries.set(i64::try_from(self.log.size()).unwrap_or(i64::MAX));
        self.failures.inner().store(self.log.failed(), Ordering::Relaxed);
        self.gaps.inner().store(self.log.gaps(), Ordering::Relaxed);
        self.refusals_not_logged.inner().store(self.log.refusals_not_logged(), Ordering::Relaxed);
    }
}

fn known_method(method: &str) -> &'static str {
    LABELLED_METHODS.iter().find(|known| **known == method).copied().unwrap_or("other")
}
