//! The client addresses of requests that were not verified. An address is not an identity, but it
//! helps the operator to find the client that does not sign.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde::Serialize;

use super::reason::RefusalCode;
use crate::clock::Timestamp;
use crate::gateway::log::{LogLine, LogText};

/// The maximum number of addresses that are counted separately. An attacker may use many addresses,
/// so if there is no room, the least frequent address is replaced by a new one.
pub const MOST_ADDRESSES: usize = 1000;

/// The unverified requests from one address.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ReportedAddress {
    /// The address without the port, or `unix`, as in the log; `None` if the log line has no
    /// address.
    pub address: Option<String>,
    /// The number of requests.
    pub requests: u64,
    /// The reasons, the most frequent first.
    pub reasons: Vec<AddressReason>,
    /// The time of the first request.
    pub first: String,
    /// The time of the last request.
    pub last: String,
}

/// A reason, and how many requests were refused for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AddressReason {
    /// The refusal code, or `unavailable`, or `other`.
    pub code: RefusalCode,
    /// The number of requests.
    pub requests: u64,
}

/// The counts of one address.
#[derive(Clone, Debug)]
struct SeenAddress {
    requests: u64,
    reasons: Vec<AddressReason>,
    first: Timestamp,
    last: Timestamp,
}

/// Counts by address, at most [`MOST_ADDRESSES`].
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    seen: HashMap<Option<LogText>, SeenAddress>,
    other: u64,
}

impl Addresses {
    /// Counts one request that was not verified.
    pub(super) fn add(&mut self, line: &LogLine, why: RefusalCode) {
        let address = line.peer.as_ref().map(without_port);
        if !self.seen.contains_key(&address) && self.seen.len() >= MOST_ADDRESSES {
            let rarest = self.seen.iter().min_by_key(|(_, seen)| (seen.requests, seen.last));
            let rarest = rarest.map(|(address, _)| address.clone());
            if let Some(seen) = rarest.and_then(|address| self.seen.remove(&address)) {
                self.other += seen.requests;
            }
        }
        let (first, last) = (line.time, line.time);
        let empty = SeenAddress { requests: 0, reasons: Vec::new(), first, last };
        let seen = self.seen.entry(address).or_insert(empty);
        seen.requests += 1;
        (seen.first, seen.last) = (seen.first.min(first), seen.last.max(last));
        match seen.reasons.iter_mut().find(|known| known.code == why) {
            Some(times) => times.requests += 1,
            None => seen.reasons.push(AddressReason { code: why, requests: 1 }),
        }
    }

    /// Returns the number of requests from addresses beyond the limit [`MOST_ADDRESSES`].
    pub(super) fn other(&self) -> u64 {
        self.other
    }

    /// Returns the addresses, sorted by their number of requests, largest first.
    pub(super) fn report(&self) -> Vec<ReportedAddress> {
        let mut sorted: Vec<_> = self.seen.iter().collect();
        sorted.sort_by(|(a_name, a), (b_name, b)| {
            b.requests.cmp(&a.requests).then_with(|| a_name.cmp(b_name))
        });
        let address = |(address, seen): (&Option<LogText>, &SeenAddress)| {
            let mut reasons = seen.reasons.clone();
            reasons.sort_by_key(|why| (std::cmp::Reverse(why.requests), why.code.as_str()));
            ReportedAddress {
                address: address.as_ref().map(|text| text.as_str().to_owned()),
                requests: seen.requests,
                reasons,
                first: seen.first.to_string(),
                last: seen.last.to_string(),
            }
        };
        sorted.into_iter().map(address).collect()
    }
}

/// Removes the port, which differs for each connection of a client.
fn without_port(peer: &LogText) -> LogText {
    match peer.as_str().parse::<SocketAddr>() {
        Ok(address) => LogText::new(&address.ip().to_string()),
        Err(_) => peer.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Code;

    fn line(peer: &str, at: i64) -> LogLine {
        let mut line = LogLine::new(Timestamp::from_unix(at), 1, "POST", "/mcp");
        line.peer = Some(LogText::new(peer));
        line
    }

    #[test]
    fn ports_are_no_part_of_an_address() {
        let mut addresses = Addresses::default();
        let unsigned = RefusalCode::Code(Code::SignatureMissing);
        for (peer, at) in [("10.0.0.9:1", 2), ("10.0.0.9:2", 1), ("[2001:db8::1]:4", 3)] {
            addresses.add(&line(peer, at), unsigned);
        }
        for peer in ["unix", "10.0.0.9", "10.0.0.9:99999", "<b>"] {
            addresses.add(&line(peer, 4), RefusalCode::Code(Code::Expired));
        }
        let report = addresses.report();
        let shown: Vec<_> =
            report.iter().map(|a| (a.address.as_deref().unwrap_or("-"), a.requests)).collect();
        assert_eq!(
            shown,
            [("10.0.0.9", 3), ("10.0.0.9:99999", 1), ("2001:db8::1", 1), ("<b>", 1), ("unix", 1)]
        );
        let why = |code, requests| AddressReason { code, requests };
        assert_eq!(report[0].reasons, [why(unsigned, 2), why(RefusalCode::Code(Code::Expired), 1)]);
        assert_eq!(
            (&*report[0].first, &*report[0].last),
            ("1970-01-01T00:00:01Z", "1970-01-01T00:00:04Z")
        );
    }

    #[test]
    fn many_addresses_do_not_displace_a_client_that_sends_again() {
        let mut addresses = Addresses::default();
        for n in 0..20_000_u32 {
            addresses.add(&line("10.0.0.9:1", 0), RefusalCode::Other);
            addresses.add(&line(&format!("stranger {n}"), i64::from(n)), RefusalCode::Other);
        }
        let report = addresses.report();
        assert_eq!((report.len(), report[0].requests), (MOST_ADDRESSES, 20_000));
        let sum: u64 = report.iter().map(|a| a.requests).sum();
        assert_eq!(sum + addresses.other(), 40_000);
    }
}
