//! A limit on the bytes of all answers that the bridge holds in memory.
//!
//! The bridge keeps an answer in memory from its first byte until the client has read it. An answer
//! of up to [`UNRESERVED_BYTES`] bytes needs no reservation. For a longer answer, the bridge makes
//! one reservation before it reads on: of its `Content-Length`, or of the limit for one answer if
//! the length is unknown. At the end, the unused part is released. The bridge does not read from
//! the server until the reservation is granted. An answer never needs a second reservation, so two
//! answers cannot block each other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::BridgeError;
use super::timing::within;

/// Size of an answer that needs no reservation, in bytes.
pub(super) const UNRESERVED_BYTES: usize = 64 * 1024;

/// The bytes that all answers together may take.
#[derive(Clone, Debug)]
pub(super) struct AnswerBudget {
    bytes: Arc<Semaphore>,
    total: usize,
}

/// A reserved part of an [`AnswerBudget`]. Dropping this value releases that part.
#[derive(Debug)]
pub(super) struct Reservation(OwnedSemaphorePermit);

impl AnswerBudget {
    /// Creates a budget of `total` bytes.
    pub(super) fn new(total: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS);
        AnswerBudget { bytes: Arc::new(Semaphore::new(total)), total }
    }

    /// Returns the size of the whole budget in bytes.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Waits until `bytes` are free, and reserves them. If `bytes` is more than the whole budget,
    /// waits until nothing else is reserved.
    pub(super) async fn reserve(self, bytes: usize) -> Reservation {
        let bytes = u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX);
        match self.bytes.acquire_many_owned(bytes).await {
            Ok(permit) => Reservation(permit),
            // Cannot happen: only a closed semaphore gives an error, and no code closes this one.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Reservation {
    /// Keeps `bytes` of the reservation, and releases the rest.
    fn keep(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(bytes);
        drop(self.0.split(surplus));
    }
}

/// Bytes with their reservation, which is released when the last reference to the bytes is dropped.
struct HeldBytes {
    bytes: Vec<u8>,
    _reservation: Option<Reservation>,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns the JSON text `bytes` on one line, with its reservation.
pub(super) fn text(mut bytes: Vec<u8>, reservation: Option<Reservation>) -> Bytes {
    join_lines(&mut bytes);
    self::bytes(bytes, reservation)
}

/// Returns `bytes` unchanged, with their reservation.
pub(super) fn bytes(mut bytes: Vec<u8>, mut reservation: Option<Reservation>) -> Bytes {
    bytes.shrink_to_fit();
    if let Some(reservation) = &mut reservation {
        reservation.keep(bytes.len());
    }
    Bytes::from_owner(HeldBytes { bytes, _reservation: reservation })
}

/// Returns `text`, which was made from `of`, with the reservation of `of`.
pub(super) fn derived(text: String, of: &Bytes) -> Bytes {
    struct DerivedText {
        text: String,
        _of: Bytes,
    }
    impl AsRef<[u8]> for DerivedText {
        fn as_ref(&self) -> &[u8] {
            self.text.as_bytes()
        }
    }
    Bytes::from_owner(DerivedText { text, _of: of.clone() })
}

/// Reads a whole body of at most `limit` bytes. Waits for at most `silence` between two parts of
/// the body.
///
/// # Errors
/// [`BridgeError::AnswerTooLong`] over the limit, [`BridgeError::NoRoom`] if the budget stays used
/// up, [`BridgeError::Silent`] if no part arrives in time, [`BridgeError::Ended`] if the body
/// breaks off.
pub(super) async fn whole(
    mut body: Incoming,
    limit: usize,
    silence: Option<Duration>,
    budget: &AnswerBudget,
) -> Result<(Vec<u8>, Option<Reservation>), BridgeError> {
    let reserve = async |bytes| {
        let waiting = within(silence, budget.clone().reserve(bytes)).await;
        waiting.map_err(|_| BridgeError::NoRoom { total: budget.total })
    };
    let known = body.size_hint().exact().map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let (mut bytes, mut reservation) = (Vec::new(), None);
    match known {
        Some(known) if known > limit => return Err(BridgeError::AnswerTooLong { limit }),
        Some(known) if known > UNRESERVED_BYTES => {
            reservation = Some(reserve(known).await?);
            bytes.reserve_exact(known);
        }
        _ => {}
    }
    while let Some(frame) = within(silence, body.frame()).await? {
        let frame = frame.map_err(|_| BridgeError::Ended)?;
        if let Ok(data) = frame.into_data() {
            let length = bytes.len().saturating_add(data.len());
            if length > limit {
                return Err(BridgeError::AnswerTooLong { limit });
            }
            if length > UNRESERVED_BYTES && reservation.is_none() {
                reservation = Some(reserve(limit).await?);
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok((bytes, reservation))
}

/// Replaces the line breaks between the tokens of a JSON text with spaces. A line break inside a
/// string is invalid JSON and stays as it is.
fn join_lines(json: &mut [u8]) {
    if !json.iter().any(|b| matches!(b, b'\n' | b'\r')) {
        return;
    }
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match *byte {
            b'"' if !escaped => in_string = !in_string,
            b'\n' | b'\r' if !in_string => *byte = b' ',
            _ => {}
        }
        escaped = in_string && *byte == b'\\' && !escaped;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_line_breaks_between_tokens_become_blanks() {
        for (given, joined) in [
            ("{\r\n \"a\": 1\n}", "{   \"a\": 1 }"),
            (r#"{"a":"\\","b":"\"\n"}"#, r#"{"a":"\\","b":"\"\n"}"#),
            ("{\"a\\\\\":\n1}", "{\"a\\\\\": 1}"),
            ("{\"a\\\"\n\":\n1}", "{\"a\\\"\n\": 1}"),
            ("{\"a\nb\"}", "{\"a\nb\"}"),
        ] {
            assert_eq!(text(given.into(), None), joined, "{given:?}");
        }
    }

    #[tokio::test]
    async fn a_reservation_ends_with_the_last_reference() {
        let budget = AnswerBudget::new(100);
        let reservation = budget.clone().reserve(80).await;
        let held = text(vec![b'x'; 30], Some(reservation));
        assert_eq!(budget.bytes.available_permits(), 70, "what was not needed is given back");
        let line = derived("y".to_owned(), &held.slice(3..4));
        drop(held);
        assert_eq!(budget.bytes.available_permits(), 70);
        drop(line);
        assert_eq!(budget.bytes.available_permits(), 100);
        // A reservation of more than the whole budget is granted once nothing else is reserved.
        let all = budget.clone().reserve(1000).await;
        assert_eq!(budget.bytes.available_permits(), 0);
        drop(all);
        assert_eq!(budget.bytes.available_permits(), 100);
    }
}
