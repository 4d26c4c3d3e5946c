//! The record of one request. It is filled in while the request is handled; when it is dropped, its
//! log line is written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{Extensions, Version};

use crate::clock::Clock;
use crate::message::error_chain::chain;
use crate::net::{Peer, RefusedRawHead};
use crate::tower::{EchoedId, Observer, RequestEvent, Status};
use crate::verify::Unavailable;

use super::client_address::ClientAddress;
use super::log::{LogLine, LogText, LoggedOperation, LoggedOutcome};
use super::metrics::Metrics;
use super::remedy::remedy;

/// Receives the log line of every request. It runs on the task of the request, so it must not
/// block.
///
/// ```
/// use std::sync::Arc;
///
/// use mcpid::gateway::AccessLog;
/// use mcpid::gateway::log::LogLine;
///
/// let log: Arc<dyn AccessLog> = Arc::new(|line: &LogLine| println!("{}", line.to_line()));
/// # drop(log);
/// ```
pub trait AccessLog: Send + Sync {
    /// Called when a request has ended.
    fn write(&self, line: &LogLine);
}

impl<F: Fn(&LogLine) + Send + Sync> AccessLog for F {
    fn write(&self, line: &LogLine) {
        self(line);
    }
}

/// Makes the record of each request, and has the log to which the records are written.
pub(super) struct RequestRecords {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    log: Arc<dyn AccessLog>,
    opened: AtomicU64,
}

impl RequestRecords {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        log: Arc<dyn AccessLog>,
    ) -> Self {
        RequestRecords { clock, metrics, log, opened: AtomicU64::new(0) }
    }

    /// Makes the record of a request.
    pub(super) fn open(
        self: &Arc<Self>,
        parts: &Parts,
        peer: Option<Peer>,
        client: ClientAddress,
    ) -> Arc<RequestRecord> {
        let version = match parts.version {
            Version::HTTP_2 => "2",
            Version::HTTP_11 => "1.1",
            _ => "1.0",
        };
        let record = self.begin(parts.method.as_str(), parts.uri.path(), peer, version);
        if let Some(address) = client.address.filter(|_| client.is_forwarded) {
            record.note(|line| {
                line.via = line.peer.take();
                line.peer = Some(LogText::new(&address.to_string()));
            });
        }
        let mut traces = parts.headers.get_all("traceparent").iter();
        if let (Some(trace), None) = (traces.next(), traces.next()) {
            let mut state = record.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.line.traced(trace.to_str().unwrap_or_default());
            state.is_traced_by_head = state.line.traceparent.is_some();
        }
        record
    }

    /// Makes the record of a request whose head was refused before it was parsed.
    pub(super) fn open_refused(
        self: &Arc<Self>,
        head: &RefusedRawHead,
        peer: Peer,
    ) -> Arc<RequestRecord> {
        let version = if head.is_http_10() { "1.0" } else { "1.1" };
        self.begin(head.method(), head.path(), Some(peer), version)
    }

    fn begin(
        self: &Arc<Self>,
        method: &str,
        path: &str,
        peer: Option<Peer>,
        version: &'static str,
    ) -> Arc<RequestRecord> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        self.metrics.begin();
        let mut line = LogLine::new(self.clock.now(), number, method, path);
        line.peer = peer.map(|peer| LogText::new(&peer.to_string()));
        line.http = Some(LogText::word(version));
        let state =
            Mutex::new(RecordState { line, id: None, answered: None, is_traced_by_head: false });
        Arc::new(RequestRecord { records: Arc::clone(self), begun: Instant::now(), state })
    }
}

/// The record of one request. It is shared by the extensions of the request and the body of the
/// answer. When both are dropped, the log line is written.
pub(super) struct RequestRecord {
    records: Arc<RequestRecords>,
    begun: Instant,
    state: Mutex<RecordState>,
}

struct RecordState {
    line: LogLine,
    id: Option<EchoedId>,
    /// The time from receiving the head of the request to sending the head of the answer.
    answered: Option<Duration>,
    /// Whether the trace came in the header field `traceparent`, and not in the body.
    is_traced_by_head: bool,
}

impl RequestRecord {
    /// Calls `change` with the log line of this request.
    pub(super) fn note(&self, change: impl FnOnce(&mut LogLine)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).line);
    }

    /// Returns the id of the JSON-RPC request.
    pub(super) fn id(&self) -> Option<EchoedId> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).id.clone()
    }

    /// Returns the trace of the request (W3C Trace Context), and whether it came in a header field.
    pub(super) fn trace(&self) -> Option<(LogText, bool)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let trace = state.line.traceparent.clone()?;
        Some((trace, state.is_traced_by_head))
    }

    /// Records that the head of the answer is sent now.
    pub(super) fn answered(&self, status: u16) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answered = Some(self.begun.elapsed());
        state.line.answer = Some(status);
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let begun = self.begun;
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.line.took(state.answered.unwrap_or_else(|| begun.elapsed()));
        if state.line.answer.is_none() && state.line.note.is_none() {
            state.line.note = Some(LogText::word("the client went away"));
        }
        self.records.metrics.count(&state.line, state.answered);
        self.records.log.write(&state.line);
    }
}

/// Calls `change` with the log line of the request that has these extensions.
pub(super) fn note(extensions: &Extensions, change: impl FnOnce(&mut LogLine)) {
    if let Some(record) = extensions.get::<Arc<RequestRecord>>() {
        record.note(change);
    }
}

/// Writes the verdict of the verification layer into the record of the request.
pub(super) struct RecordVerdict;

impl Observer for RecordVerdict {
    fn judged(&self, event: &RequestEvent<'_>) {
        let Some(record) = event.extensions.get::<Arc<RequestRecord>>() else { return };
        if let Some(id) = event.id {
            record.state.lock().unwrap_or_else(PoisonError::into_inner).id =
                Some(EchoedId::new(id));
        }
        record.note(|line| {
            line.mcp = event.operation.map(LoggedOperation::from);
            if let Some(trace) = event.traceparent {
                line.traced(trace);
            }
            line.mode = event.mode;
            // This remark explains to the operator why a strict pattern matched: servers may read
            // the tool's name in several forms, and only one of them matches.
            if event.operation.is_some_and(|operation| operation.forms().ambiguous().is_some()) {
                line.note = Some(LogText::word("name ambiguous"));
            }
            if let Some(status) = event.status {
                line.judged(status);
            }
            if let Some(refused) = event.refused {
                line.outcome = LoggedOutcome::Refused;
                line.hint = remedy(refused.code()).map(LogText::word);
                if line.code.is_none() {
                    line.note = Some(LogText::word(refused.code()));
                }
            }
            if let Some(Status::Unavailable(why)) = event.status {
                line.hint = remedy(why.reason()).map(LogText::word);
                line.note = Some(LogText::new(&match &**why {
                    Unavailable::Store(error) => format!("the nonce store: {}", chain(error)),
                    why => chain(why),
                }));
            }
        });
    }
}
