//! Keys, tokens and epochs in the form in which the server holds them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::Value;

use super::{KnownNonce, Retention};
use crate::clock::Timestamp;

/// Times beyond this, in seconds, are refused: sums of a few of them fit every integer, and so do
/// their milliseconds.
const REACH: i64 = 1 << 40;

/// The first byte of an id. In a key it is the hash tag, so that a cluster keeps claims in the
/// same slot as the epoch that goes with them.
pub(super) type Tag = u8;

/// The names of the keys of a store, which begin with its prefix.
pub(super) struct KeyNames {
    prefix: String,
}

impl KeyNames {
    pub(super) fn new(prefix: Option<&str>) -> Self {
        KeyNames { prefix: format!("{}mcpid:1:", prefix.unwrap_or_default()) }
    }

    pub(super) fn claim(&self, id: &[u8; 32]) -> String {
        let [tag, ..] = *id;
        format!("{}{{{tag:02x}}}:{}", self.prefix, URL_SAFE_NO_PAD.encode(id))
    }

    /// Returns the pattern with which `SCAN` matches all claims. Pattern characters in the prefix
    /// are escaped.
    pub(super) fn claims(&self) -> String {
        let mut pattern = String::with_capacity(self.prefix.len() + 6);
        for c in self.prefix.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '^' | '\\' | '-') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern + "{??}:*"
    }

    /// Returns the id in a key, or `None` if the key is not exactly the key of a claim.
    pub(super) fn id_of(&self, key: &[u8]) -> Option<[u8; 32]> {
        let (_, text) = key.split_at_checked(key.len().checked_sub(43)?)?;
        let id = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        (self.claim(&id).as_bytes() == key).then_some(id)
    }

    pub(super) fn epoch(&self, tag: Tag) -> String {
        format!("{}{{{tag:02x}}}:epoch", self.prefix)
    }
}

/// The slot of a tag: CRC-16/XMODEM of the two digits between the braces, as the cluster
/// specification of Redis says.
pub(super) fn slot(tag: Tag) -> u16 {
    let mut crc = 0_u16;
    for byte in format!("{tag:02x}").bytes() {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc % 16_384
}

/// Returns the value of a claim: the time of the claim, which `peek` returns, and 16 random bytes,
/// by which the caller recognises its own claim.
pub(super) fn token(now: Timestamp, random: [u8; 16]) -> String {
    format!("{}.{}", now.unix(), URL_SAFE_NO_PAD.encode(random))
}

/// Returns the time of a claim, if its value holds one.
pub(super) fn first(token: &[u8]) -> Option<Timestamp> {
    let (seconds, _) = std::str::from_utf8(token).ok()?.split_once('.')?;
    seconds.parse().ok().filter(|s: &i64| s.abs() <= REACH).map(Timestamp::from_unix)
}

/// Reads the answers to `GET` and `PTTL` of a claim, read at `now`.
pub(super) fn seen(
    now: Timestamp,
    value: &Value,
    ttl: &Value,
    keep: i64,
) -> Option<Option<KnownNonce>> {
    match (value, ttl) {
        // The claim may end between the two commands.
        (Value::Nil, _) | (_, Value::Int(-2)) => Some(None),
        (Value::BulkString(token), Value::Int(ms)) => {
            // Another program removed its end: it is kept at least for as long as if it were new.
            let left = if *ms < 0 { keep } else { ms.div_euclid(1_000).saturating_add(1) };
            Some(Some(KnownNonce::new(first(token), now.plus(left))))
        }
        _ => None,
    }
}

/// For how many milliseconds something is kept that is claimed at `now`; none where the times are
/// out of reach, or nothing is to be kept at all: Redis answers that with an error.
pub(super) fn milliseconds(now: Timestamp, until: Timestamp, keep: i64) -> Option<i64> {
    let near = |time: Timestamp| (-REACH..=REACH).contains(&time.unix());
    (near(now) && near(until))
        .then(|| until.since(now).max(keep))
        .filter(|seconds| *seconds > 0)
        .map(|seconds| seconds.saturating_mul(1_000))
}

/// The record that covers the claims of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    /// The primary's term that it was written in, see [`super::primary::Primary::term`].
    pub(super) term: String,
    pub(super) floor: Timestamp,
    pub(super) retention: Retention,
    /// Keys that the primary had evicted by then: any key that it evicts later may be a nonce.
    pub(super) evicted: u64,
}

impl Epoch {
    /// `TERM FLOOR WINDOW AHEAD EVICTED`; the margin follows from the window.
    pub(super) fn text(&self) -> String {
        let Epoch { term, floor, retention, evicted } = self;
        let (window, ahead) = (retention.window(), retention.ahead());
        format!("{term} {} {window} {ahead} {evicted}", floor.unix())
    }

    /// Milliseconds until an epoch expires unless a user renews it: `ahead + margin`. A claim is
    /// kept for that much longer than its request can be accepted. So a step of the clock that ends
    /// a nonce too early ends the epoch too, even if the clock steps back unseen.
    pub(super) fn lifetime(retention: Retention) -> i64 {
        retention.ahead().saturating_add(retention.margin()).saturating_mul(1_000)
    }

    /// Reads an epoch. An unreadable epoch was damaged, and is treated as missing.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(text).ok()?.split(' ');
        let mut next = || words.next();
        let (term, floor, window, ahead) = (next()?, next()?, next()?, next()?);
        let evicted = next()?.parse().ok()?;
        if next().is_some() {
            return None;
        }
        let floor = Timestamp::from_unix(floor.parse().ok()?);
        let retention = Retention::new(window.parse().ok()?, ahead.parse().ok()?);
        let epoch = Epoch { term: term.to_owned(), floor, retention, evicted };
        // An epoch has one spelling only.
        (epoch.text().as_bytes() == text).then_some(epoch)
    }
}

/// Writes an epoch with an expiry unless another user was faster; returns the epoch that the server
/// then holds. `SET` itself can compare only in versions newer than the oldest that the store
/// supports.
pub(super) const COMPARE_AND_SET: &str = "\
local held = redis.call('GET', KEYS[1]) or ''
if held == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return ARGV[2]
end
return held";
