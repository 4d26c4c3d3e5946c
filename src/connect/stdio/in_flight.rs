//! The requests of the client that wait for an answer. This module ensures that each gets exactly
//! one answer.

use std::collections::{HashMap, hash_map};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use crate::connect::error::BridgeError;
use crate::connect::json_rpc::RequestId;

/// Maximum number of requests that wait for an answer. Each takes up to half a megabyte for its
/// connection, besides the memory for its answer.
pub(super) const MAX_OPEN_REQUESTS: usize = 1024;

/// A request that waits for an answer.
#[derive(Debug)]
pub(super) struct InFlightRequest {
    /// The id, in the spelling of the client.
    pub(super) id: String,
    /// Whether the request is of revision 2026-07-28 or later: closing its connection then cancels
    /// it.
    pub(super) stateless: bool,
    /// Whether the request is a subscription, which stays open on purpose.
    pub(super) is_subscription: bool,
    /// Whether the request may have reached the server.
    pub(super) sent: bool,
    /// Whether the client cancelled the request, so that it expects no answer.
    pub(super) cancelled: bool,
    pub(super) work: Option<AbortHandle>,
}

impl InFlightRequest {
    /// Returns the error for a request that the bridge gives up. If the request never left the
    /// bridge, the error says that it was not sent.
    pub(super) fn given_up(&self, why: &str) -> BridgeError {
        if self.sent {
            BridgeError::Broken(why.to_owned())
        } else {
            BridgeError::Withdrawn(why.to_owned())
        }
    }
}

/// Why a request was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotBegun {
    /// A waiting request has the same id.
    Duplicate,
    /// [`MAX_OPEN_REQUESTS`] requests wait already.
    TooMany,
}

/// The effect of cancelling a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CancelEffect {
    /// No waiting request has this id.
    Unknown,
    /// The request has ended. The server need not be notified: it never got the request, or sees
    /// its connection close.
    Closed,
    /// The server has to get the notification that the request was cancelled.
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
    /// [`NotBegun`] if a waiting request has this id, or if [`MAX_OPEN_REQUESTS`] requests wait.
    pub(super) fn begin(&self, id: RequestId, entry: InFlightRequest) -> Result<(), NotBegun> {
        let mut entries = self.entries();
        let open = entries.len();
        match entries.entry(id) {
            hash_map::Entry::Occupied(_) => Err(NotBegun::Duplicate),
            hash_map::Entry::Vacant(_) if open >= MAX_OPEN_REQUESTS => Err(NotBegun::TooMany),
            hash_map::Entry::Vacant(free) => {
                free.insert(entry);
                Ok(())
            }
        }
    }

    /// Sets the task that handles the request, so that it can be aborted.
    pub(super) fn set_work(&self, id: &RequestId, work: AbortHandle) {
        if let Some(entry) = self.entries().get_mut(id) {
            entry.work = Some(work);
        }
    }

    /// Records that the request is about to be sent.
    pub(super) fn note_sent(&self, id: &RequestId) {
        if let Some(entry) = self.entries().get_mut(id) {
            entry.sent = true;
        }
    }

    /// Removes the request. Only the caller that gets it may send the answer.
    pub(super) fn finish(&self, id: &RequestId) -> Option<InFlightRequest> {
        self.entries().remove(id)
    }

    /// Removes the request because the server answered it. Returns None if the request was not sent
    /// yet, for example because a person is being asked: a server cannot answer such a request.
    pub(super) fn answer(&self, id: &RequestId) -> Option<InFlightRequest> {
        let mut entries = self.entries();
        if entries.get(id)?.sent { entries.remove(id) } else { None }
    }

    /// Returns true if the request still waits for an answer.
    pub(super) fn waits(&self, id: &RequestId) -> bool {
        self.entries().contains_key(id)
    }

    /// Returns true if the client cancelled the request, or if it does not wait any more.
    pub(super) fn is_cancelled(&self, id: &RequestId) -> bool {
        self.entries().get(id).is_none_or(|entry| entry.cancelled)
    }

    /// Cancels the request on behalf of the client.
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

    /// Gives up all subscriptions (requests that stay open to receive messages).
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
        for id in 0..MAX_OPEN_REQUESTS {
            assert_eq!(begin(id), Ok(()));
        }
        assert_eq!(begin(0), Err(NotBegun::Duplicate));
        assert_eq!(begin(MAX_OPEN_REQUESTS), Err(NotBegun::TooMany));
        open.finish(&request(7).0).unwrap();
        assert_eq!(begin(MAX_OPEN_REQUESTS), Ok(()));
        assert_eq!(open.give_up().len(), MAX_OPEN_REQUESTS);
    }

    #[test]
    fn only_a_request_that_was_sent_may_have_been_carried_out() {
        let (_, mut entry) = request(1);
        assert_eq!(entry.given_up("over").code(), "withdrawn");
        entry.sent = true;
        assert_eq!(entry.given_up("over").code(), "broken");
    }
}
