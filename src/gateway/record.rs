//! One request's record: filled in as it passes, written when nobody holds it any more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Version;
use http::request::Parts;

use crate::clock::Clock;
use crate::net::{Peer, RefusedHead};
use crate::tower::{Observer, RequestEvent, Status};
use crate::verify::Unavailable;
use crate::verify::rejection::chain;

use super::client_address::Client;
use super::log::{Does, LogLine, Outcome, Short};
use super::metrics::Metrics;
use super::remedy::remedy;

/// Takes the line of every request. It runs on the request's own task: what takes long belongs
/// elsewhere.
pub trait Log: Send + Sync {
    /// A request has ended.
    fn write(&self, line: &LogLine);
}

impl<F: Fn(&LogLine) + Send + Sync> Log for F {
    fn write(&self, line: &LogLine) {
        self(line);
    }
}

/// Where all records end up.
pub(super) struct Book {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    log: Arc<dyn Log>,
    opened: AtomicU64,
}

impl Book {
    pub(super) fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>, log: Arc<dyn Log>) -> Self {
        Book { clock, metrics, log, opened: AtomicU64::new(0) }
    }

    /// Begins the record of a request.
    pub(super) fn open(
        self: &Arc<Self>,
        parts: &Parts,
        peer: Option<Peer>,
        client: Client,
    ) -> Arc<Record> {
        let version = match parts.version {
            Version::HTTP_2 => "2",
            Version::HTTP_11 => "1.1",
            _ => "1.0",
        };
        let record = self.begin(parts.method.as_str(), parts.uri.path(), peer, version);
        if let Some(address) = client.address.filter(|_| client.is_forwarded) {
            record.note(|line| {
                line.via = line.peer.take();
                line.peer = Some(Short::new(&address.to_string()));
            });
        }
        record
    }

    /// Begins the record of a request whose head was refused before it was parsed.
    pub(super) fn open_refused(self: &Arc<Self>, head: &RefusedHead, peer: Peer) -> Arc<Record> {
        let version = if head.is_http_10() { "1.0" } else { "1.1" };
        self.begin(head.method(), head.path(), Some(peer), version)
    }

    fn begin(
        self: &Arc<Self>,
        method: &str,
        path: &str,
        peer: Option<Peer>,
        version: &'static str,
    ) -> Arc<Record> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let mut line = LogLine::new(self.clock.now(), number, method, path);
        line.peer = peer.map(|peer| Short::new(&peer.to_string()));
        line.http = Some(Short::word(version));
        let state = Mutex::new(State { line, id: None, answered: None });
        Arc::new(Record { book: Arc::clone(self), begun: Instant::now(), state })
    }
}

/// The record of one request, in its extensions and behind its answer.
pub(super) struct Record {
    book: Arc<Book>,
    begun: Instant,
    state: Mutex<State>,
}

struct State {
    line: LogLine,
    /// The id that the client waits for, as JSON.
    id: Option<Box<str>>,
    /// How long it took to the head of the answer.
    answered: Option<Duration>,
}

impl Record {
    /// Changes the line.
    pub(super) fn note(&self, change: impl FnOnce(&mut LogLine)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).line);
    }

    /// Reads something of the line.
    pub(super) fn read<T>(&self, look: impl FnOnce(&LogLine) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner).line)
    }

    /// The id that an answer has to name, as JSON.
    pub(super) fn id(&self) -> Option<Box<str>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).id.clone()
    }

    /// The head of the answer goes out.
    pub(super) fn answered(&self, status: u16) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answered = Some(self.begun.elapsed());
        state.line.answer = Some(status);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let begun = self.begun;
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.line.took(state.answered.unwrap_or_else(|| begun.elapsed()));
        if state.line.answer.is_none() && state.line.note.is_none() {
            state.line.note = Some(Short::word("the client went away"));
        }
        self.book.metrics.count(&state.line, state.answered);
        self.book.log.write(&state.line);
    }
}

/// Notes what the layer found out.
pub(super) struct Judged;

impl Observer for Judged {
    fn judged(&self, event: &RequestEvent<'_>) {
        let Some(record) = event.extensions.get::<Arc<Record>>() else { return };
        if let Some(id) = event.id {
            record.state.lock().unwrap_or_else(PoisonError::into_inner).id = Some(id.into());
        }
        record.note(|line| {
            line.mcp = event.operation.map(Does::from);
            line.mode = event.mode;
            // Why a strict pattern held that nobody would expect to.
            if event.operation.is_some_and(|operation| operation.forms().ambiguous().is_some()) {
                line.note = Some(Short::word("name ambiguous"));
            }
            if let Some(status) = event.status {
                line.judged(status);
            }
            if let Some(refused) = event.refused {
                line.outcome = Outcome::Refused;
                line.hint = remedy(refused.code()).map(Short::word);
                if line.code.is_none() {
                    line.note = Some(Short::word(refused.code()));
                }
            }
            if let Some(Status::Unavailable(why)) = event.status {
                line.note = Some(Short::new(&match &**why {
                    Unavailable::Store(error) => format!("the nonce store: {}", chain(error)),
                    why => chain(why),
                }));
            }
        });
    }
}
