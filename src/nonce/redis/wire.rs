//! The text formats of keys, tokens and epochs (records that show losses of nonces) on the server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::Value;

use super::{KnownNonce, Retention};
use crate::clock::Timestamp;

/// Times of more than this many seconds are refused, so that sums of a few times cannot overflow,
/// also in milliseconds.
const MAX_SECONDS: i64 = 1 << 40;

/// The group of a nonce: the first byte of its id. It is the hash tag in the name of each key, so
/// that a cluster keeps nonces in the same slot as the epoch of their group.
pub(super) type Tag = u8;

/// The names of the keys of one store on the server. All begin with the store's prefix.
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

    /// Returns the pattern with which `SCAN` matches the keys of all nonces. Pattern characters in
    /// the prefix are escaped.
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

    /// Returns the nonce's id in the name of a key, or `None` if the key is not exactly that of a
    /// nonce.
    pub(super) fn id_of(&self, key: &[u8]) -> Option<[u8; 32]> {
        let (_, text) = key.split_at_checked(key.len().checked_sub(43)?)?;
        let id = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        (self.claim(&id).as_bytes() == key).then_some(id)
    }

    pub(super) fn epoch(&self, tag: Tag) -> String {
        format!("{}{{{tag:02x}}}:epoch", self.prefix)
    }
}

/// Returns the cluster slot of a group of nonces: CRC-16/XMODEM of the two digits between the
/// braces, as in the cluster specification of Redis.
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

/// Returns the value that is stored for a nonce: the time of its use, which `peek` reports, and 16
/// random bytes, by which the caller recognises what it wrote itself.
pub(super) fn token(now: Timestamp, random: [u8; 16]) -> String {
    format!("{}.{}", now.unix(), URL_SAFE_NO_PAD.encode(random))
}

/// Returns the time in the value that is stored for a nonce, if the value contains one.
pub(super) fn first(token: &[u8]) -> Option<Timestamp> {
    let (seconds, _) = std::str::from_utf8(token).ok()?.split_once('.')?;
    seconds.parse().ok().filter(|s: &i64| s.abs() <= MAX_SECONDS).map(Timestamp::from_unix)
}

/// Parses the answers to `GET` and `PTTL` for the key of a nonce, read at `now`.
pub(super) fn parse_listed(
    now: Timestamp,
    value: &Value,
    ttl: &Value,
    keep: i64,
) -> Option<Option<KnownNonce>> {
    match (value, ttl) {
        // The key may expire between the two commands.
        (Value::Nil, _) | (_, Value::Int(-2)) => Some(None),
        (Value::BulkString(token), Value::Int(ms)) => {
            // Another program has removed the expiry of the key. The nonce is reported as if it was
            // claimed now.
            let left = if *ms < 0 { keep } else { ms.div_euclid(1_000).saturating_add(1) };
            Some(Some(KnownNonce::new(first(token), now.plus(left))))
        }
        _ => None,
    }
}

/// Returns for how many milliseconds the key of a nonce that is stored at `now` is kept. Returns
/// `None` if the times are out of range or already over, because Redis answers such an expiry with
/// an error.
pub(super) fn milliseconds(now: Timestamp, until: Timestamp, keep: i64) -> Option<i64> {
    let near = |time: Timestamp| (-MAX_SECONDS..=MAX_SECONDS).contains(&time.unix());
    (near(now) && near(until))
        .then(|| until.since(now).max(keep))
        .filter(|seconds| *seconds > 0)
        .map(|seconds| seconds.saturating_mul(1_000))
}

/// A record about all nonces of one group (tag). From it, the store detects that some of them may
/// be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    /// The primary's term when the epoch was written: a text that changes whenever the primary may
    /// have lost keys, see [`super::primary::Primary::term`].
    pub(super) term: String,
    pub(super) floor: Timestamp,
    pub(super) retention: Retention,
    /// Number of keys that the primary had evicted when the epoch was written. Any key that it
    /// evicts later may be a nonce.
    pub(super) evicted: u64,
}

impl Epoch {
    /// Writes the epoch as `TERM FLOOR WINDOW AHEAD EVICTED`. The margin is not written, because it
    /// follows from the maximum age (the window).
    pub(super) fn text(&self) -> String {
        let Epoch { term, floor, retention, evicted } = self;
        let (window, ahead) = (retention.window(), retention.ahead());
        format!("{term} {} {window} {ahead} {evicted}", floor.unix())
    }

    /// Returns the milliseconds until an epoch expires unless a user renews it: `ahead + margin`. A
    /// claim is kept for `ahead + margin` longer than its request can be accepted. So if the
    /// server's clock is set forward so far that a needed nonce expires, the epoch expires too.
    /// That shows even if the clock is set back afterwards.
    pub(super) fn lifetime(retention: Retention) -> i64 {
        retention.ahead().saturating_add(retention.margin()).saturating_mul(1_000)
    }

    /// Parses an epoch (a record that shows losses). Returns `None` for a damaged one, which is
    /// then treated as missing.
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
        // Only the exact spelling that `text` writes is accepted.
        (epoch.text().as_bytes() == text).then_some(epoch)
    }
}

/// A script that writes an epoch with an expiry, unless another user has changed it since it was
/// read, and returns the epoch that the server has afterwards. A script is used because `SET` can
/// compare values only in newer versions of Redis than the store supports.
pub(super) const COMPARE_AND_SET: &str = "\
local held = redis.call('GET', KEYS[1]) or ''
if held == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return ARGV[2]
end
return held";
