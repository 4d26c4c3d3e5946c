//! The restrictions of a key, combined from its entry, from entries in other files, and from
//! skipped entries.

use super::touch_rules::SecurityKeyRules;
use crate::clock::Timestamp;
use crate::mcp::pattern::Pattern;

/// The limits of one key: its times, its revocation, and its allowed operations.
#[derive(Clone, Debug, Default)]
pub(super) struct TrustLimits {
    /// The first moment at which the key is valid.
    pub(super) not_before: Option<Timestamp>,
    /// The first moment at which the key is no longer valid.
    pub(super) not_after: Option<Timestamp>,
    /// The time from which the key is revoked.
    pub(super) revoked_at: Option<Timestamp>,
    /// One list of allowed operations for each entry that has one. An operation must match a
    /// pattern in every list.
    pub(super) allow: Vec<Vec<Pattern>>,
    /// Present if the key is a security key in any of the entries.
    pub(super) security_key: Option<SecurityKeyRules>,
}

impl TrustLimits {
    /// Returns true if there is any restriction.
    pub(super) fn restrict(&self) -> bool {
        let times = [self.not_before, self.not_after, self.revoked_at];
        times.iter().any(Option::is_some) || !self.allow.is_empty() || self.security_key.is_some()
    }

    /// Adds the restrictions of `other`: latest start, earliest end, earliest revocation, every
    /// list of patterns, and the rules for touches.
    pub(super) fn tighten(&mut self, other: TrustLimits) {
        let stricter =
            |a: Option<Timestamp>, b: Option<Timestamp>, pick: fn(_, _) -> _| match (a, b) {
                (Some(a), Some(b)) => Some(pick(a, b)),
                (one, None) | (None, one) => one,
            };
        self.not_before = stricter(self.not_before, other.not_before, std::cmp::max);
        self.not_after = stricter(self.not_after, other.not_after, std::cmp::min);
        self.revoked_at = stricter(self.revoked_at, other.revoked_at, std::cmp::min);
        self.allow.extend(other.allow);
        match (&mut self.security_key, other.security_key) {
            (Some(rules), Some(other)) => rules.tighten(other),
            (rules @ None, other) => *rules = other,
            (Some(_), None) => {}
        }
    }

    /// Returns the start and the end of validity if the end is not later than the start. A key with
    /// these limits is never valid.
    pub(super) fn never_valid(&self) -> Option<(Timestamp, Timestamp)> {
        self.not_before.zip(self.not_after).filter(|(start, end)| end <= start)
    }
}
