//! The requests of the client that wait for an answer. Each of them gets exactly one.

use std::collections::{HashMap, hash_map};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use crate::connect::error::BridgeError;
use crate::connect::json_rpc::RequestId;

/// Most requests that wait for an answer at a time. Each of them takes up to half a megabyte for its
/// connection, beside the budget for answers.
pub(super) const MOST_OPEN: usize = 1024;

/// A request that waits for an answer.
#[derive(Debug)]
pub(super) struct InFlightRequest {
    /// The id as the client wrote it.
    pub(super) id: String,
    /// True for revision 2026-07-28 or later: then closing the connection cancels the request.
    pub(super) stateless: bool,
    /// True for a subscription, which stays open on purpose.
    pub(super) is_subscription: bool,
    /// True if the request may have reached the server.
    pub(super) sent: bool,
    /// True if the client cancelled the request and wants no answer.
    pub(super) cancelled: bool,
    pub(super) work: Option<AbortHandle>,
}

impl InFlightRequest {
    /// Returns the error for a request that the bridge gives up: not sent, if it never reached the
    /// server.
    pub(super) fn given_up(&self, why: &str) -> BridgeError {
        if self.sent {
            BridgeError::Broken(why.to_owned())
        } else {
            BridgeError::Withdrawn(why.to_owned())
        }
    }
}

/// The reason why a request was not added.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotBegun {
    /// A request with the same id waits.
    Duplicate,
    /// [`MOST_OPEN`] requests wait.
    TooMany,
}

/// The effect of cancelling a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CancelEffect {
    /// No waiting request has this id.
    Unknown,
    /// The request has ended: it was not sent, or its connection was closed, which the server sees.
    Closed,
    /// The notification has to be sent to the server.
    Tell,
}

/// The requests that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct RequestsInFlight {
    entries: Mutex<HashMap<RequestId, InFlightRequest>>,
}

impl RequestsInFlight {
    fn entries(&self) -> MutexGuard<'_, HashMap<RequestId, InFlightRequest>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request.
    ///
    /// # Errors
    /// A request with this id waits already, or [`MOST_OPEN`] requests wait.
    pub(super) fn begin(&self, id: RequestId, entry: InFlightRequest) -> Result<(), NotBegun> {
        let mut entries = self.entries();
        let open = entries.len();
        match entries.entry(id) {
            hash_map::Entry::Occupied(_) => Err(NotBegun::Duplicate),
            hash_map::Entry::Vacant(_) if open >= MOST_OPEN => Err(NotBegun::TooMany),
            hash_map::Entry::Vacant(free) => {
                free.insert(entry);
                Ok(())
            }
        }
    }

    /// Sets the task of the request, so that it can be aborted.
    pub(super) fn set_work(&self, id: &RequestId, work: AbortHandle) {
        if let Some(entry) = self.entries().get_mut(id) {
            entry.work = Some(work);
        }
    }

    /// Notes that the request is about to be sent.
    pub(super) fn note_sent(&self, id: &RequestId) {
        if let Some(entry) = self.entries().get_mut(id) {
            entry.sent = true;
        }
    }

    /// Removes the request. The caller that gets it, and no other, may answer it.
    pub(super) fn finish(&self, id: &RequestId) -> Option<InFlightRequest> {
        self.entries().remove(id)
    }

    /// Removes the request for an answer of the server. Returns None if the request was not sent, for
    /// example because a person is still asked: a server cannot answer it.
    pub(super) fn answer(&self, id: &RequestId) -> Option<InFlightRequest> {
        let mut entries = self.entries();
        if entries.get(id)?.sent { entries.remove(id) } else { None }
    }

    /// Returns whether the request still waits.
    pub(super) fn waits(&self, id: &RequestId) -> bool {
        self.entries().contains_key(id)
    }

    /// Returns whether the client cancelled the request, or it waits no longer.
    pub(super) fn is_cancelled(&self, id: &RequestId) -> bool {
        self.entries().get(id).is_none_or(|entry| entry.cancelled)
    }

    /// Cancels the request for the client.
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

    /// Gives up the subscriptions.
    pub(super) fn close_subscriptions(&self) {
        self.entries().retain(|_, entry| {
            if entry.is_subscription {
                entry.work.iter().for_each(AbortHandle::abort);
            }
            !entry.is_subscription
        });
    }

    /// Gives up all requests. Returns those for which the client still expects an answer.
    pub(super) fn give_up(&self) -> Vec<InFlightRequest> {
        let all = self.entries().drain().map(|(_, entry)| entry).collect::<Vec<_>>();
        all.iter().filter_map(|entry| entry.work.as_ref()).for_each(AbortHandle::abort);
        all.into_iter().filter(|entry| !entry.cancelled).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn request(id: usize) -> (RequestId, InFlightRequest) {
        let entry = InFlightRequest {
            id: id.to_string(),
            stateless: false,
            is_subscription: false,
            sent: false,
            cancelled: false,
            work: None,
        };
        (RequestId::read(&entry.id).unwrap(), entry)
    }

    #[test]
    fn open_requests_are_bounded() {
        let open = RequestsInFlight::default();
        let begin = |id| {
            let (id, entry) = request(id);
            open.begin(id, entry)
        };
        for id in 0..MOST_OPEN {
            assert_eq!(begin(id), Ok(()));
        }
        assert_eq!(begin(0), Err(NotBegun::Duplicate));
        assert_eq!(begin(MOST_OPEN), Err(NotBegun::TooMany));
        open.finish(&request(7).0).unwrap();
        assert_eq!(begin(MOST_OPEN), Ok(()));
        assert_eq!(open.give_up().len(), MOST_OPEN);
    }

    #[test]
    fn only_a_request_that_was_sent_may_have_been_carried_out() {
        let (_, mut entry) = request(1);
        assert_eq!(entry.given_up("over").code(), "withdrawn");
        entry.sent = true;
        assert_eq!(entry.given_up("over").code(), "broken");
    }
}
