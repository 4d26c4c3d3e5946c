//! Which requests of the client wait for an answer. Each gets exactly one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use crate::connect::json_rpc::RequestId;

/// A request that waits.
#[derive(Debug)]
pub(super) struct InFlightRequest {
    /// The id as the client wrote it.
    pub(super) id: String,
    /// Of revision 2026-07-28 or later: closing the request cancels it.
    pub(super) stateless: bool,
    /// It stays open on purpose, so that nobody waits for its end.
    pub(super) listens: bool,
    /// It may have reached the server.
    pub(super) sent: bool,
    /// The client wants no answer any more.
    pub(super) cancelled: bool,
    pub(super) work: Option<AbortHandle>,
}

/// What becomes of a request that the client cancels.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CancelEffect {
    /// Nothing of this id waits.
    Unknown,
    /// It is over: nothing was sent, or the request was closed, which tells the server.
    Closed,
    /// The server has to be told.
    Tell,
}

#[derive(Debug, Default)]
pub(super) struct RequestsInFlight {
    entries: Mutex<HashMap<RequestId, InFlightRequest>>,
}

impl RequestsInFlight {
    fn entries(&self) -> MutexGuard<'_, HashMap<RequestId, InFlightRequest>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; no, if one of this id waits already.
    pub(super) fn begin(&self, id: RequestId, entry: InFlightRequest) -> bool {
        match self.entries().entry(id) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(entry);
                true
            }
        }
    }

    /// By what the request can be given up.
    pub(super) fn work(&self, id: &RequestId, work: AbortHandle) {
        if let Some(entry) = self.entries().get_mut(id) {
            entry.work = Some(work);
        }
    }

    /// The request is about to reach the server.
    pub(super) fn sent(&self, id: &RequestId) {
        if let Some(entry) = self.entries().get_mut(id) {
            entry.sent = true;
        }
    }

    /// Takes the request out: whoever gets it, and only they, may answer it.
    pub(super) fn finish(&self, id: &RequestId) -> Option<InFlightRequest> {
        self.entries().remove(id)
    }

    /// Takes the request out for the server's answer to it. One that was not sent, because a person
    /// is still asked, has none.
    pub(super) fn answer(&self, id: &RequestId) -> Option<InFlightRequest> {
        let mut entries = self.entries();
        if entries.get(id)?.sent { entries.remove(id) } else { None }
    }

    /// Whether it still waits.
    pub(super) fn waits(&self, id: &RequestId) -> bool {
        self.entries().contains_key(id)
    }

    /// Whether the client wants no answer any more.
    pub(super) fn is_cancelled(&self, id: &RequestId) -> bool {
        self.entries().get(id).is_none_or(|entry| entry.cancelled)
    }

    /// The client wants no answer any more.
    pub(super) fn cancel(&self, id: &RequestId) -> CancelEffect {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(id) else { return CancelEffect::Unknown };
        if entry.sent && !entry.stateless {
            entry.cancelled = true;
            return CancelEffect::Tell;
        }
        let work = entry.work.take();
        entries.remove(id);
        work.iter().for_each(AbortHandle::abort);
        CancelEffect::Closed
    }

    /// Gives up what stays open on purpose.
    pub(super) fn close_listening(&self) {
        self.entries().retain(|_, entry| {
            if entry.listens {
                entry.work.iter().for_each(AbortHandle::abort);
            }
            !entry.listens
        });
    }

    /// Gives up everything, and tells what the client still waits for.
    pub(super) fn give_up(&self) -> Vec<InFlightRequest> {
        let all = self.entries().drain().map(|(_, entry)| entry).collect::<Vec<_>>();
        all.iter().filter_map(|entry| entry.work.as_ref()).for_each(AbortHandle::abort);
        all.into_iter().filter(|entry| !entry.cancelled).collect()
    }
}
