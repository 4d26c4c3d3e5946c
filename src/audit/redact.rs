//! Redaction: replaces secret values in a body by a salted hash of each.
//!
//! A rule is `METHOD[:NAME]:PATH`, for example `tools/call:*:arguments.password`. The log keeps the
//! body as text without these values, and for each value the SHA-256 of a salt and its bytes. A
//! reader who is given the value and its salt can verify that it was in the body: with the value
//! put back, the body has the digest that was signed. The salt is not in the log. It is derived
//! with the log's key ([`salt`]), whose holder can disclose it for a single value. `Content-Digest`
//! has no salt: a reader with the rest of the body can still guess simple values and compare.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::key::{Sign, SignError};
use crate::mcp::body::Reading;
use crate::mcp::pattern::{Pattern, PatternError};

/// Maximum number of values that are cut out of one body. With more, no part of the body is kept.
const MAX_CUTS: usize = 256;

/// Maximum number of parts of a path.
const MAX_PATH: usize = 32;

/// Names the values to cut out, and the requests to which this applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pattern: Pattern,
    /// Member names below `params`, outermost first. A `*` matches any member or item.
    path: Vec<String>,
}

/// Why a text is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The rule has no colon before a path.
    #[error("not METHOD:NAME:PATH, such as tools/call:*:arguments.password")]
    Form,
    /// The path has an empty part, or more than 32 parts.
    #[error("the path has an empty part, or more than {MAX_PATH}")]
    Path,
    /// The text before the path is not a valid pattern of requests.
    #[error("{error}{}", .meant.as_ref().map(|m| format!("; {m} was meant?")).unwrap_or_default())]
    Pattern {
        /// The fault in the pattern.
        error: PatternError,
        /// The rule that the author probably meant.
        meant: Option<String>,
    },
}

impl Rule {
    /// Returns the pattern of the requests to which the rule applies.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (pattern, path) = text.rsplit_once(':').ok_or(RuleError::Form)?;
        let members: Vec<String> = path.split('.').map(str::to_owned).collect();
        if members.iter().any(String::is_empty) || members.len() > MAX_PATH {
            return Err(RuleError::Path);
        }
        let pattern = Pattern::parse(pattern).map_err(|error| {
            // `destructive` is a word of other options and not a pattern, so it is not suggested.
            let meant = error.suggestion().filter(|meant| *meant != "destructive");
            let meant = meant.map(|meant| format!("{meant}:{path}"));
            RuleError::Pattern { error, meant }
        })?;
        Ok(Rule { pattern, path: members })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pattern, self.path.join("."))
    }
}

/// A body with values cut out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redacted {
    /// The text between the cuts, one piece more than there are cuts. A cut is a complete JSON
    /// value, so each piece is valid text.
    pub rest: Vec<String>,
    /// The values that were cut out, in the order of the body.
    pub cuts: Vec<RedactedValue>,
}

impl Redacted {
    /// Returns true if there is at least one cut, all cuts have different places and a hash, and
    /// there is a piece of text before and after each cut.
    pub(super) fn is_well_formed(&self) -> bool {
        let hash =
            |cut: &RedactedValue| STANDARD.decode(&cut.sha256).is_ok_and(|hash| hash.len() == 32);
        let places: std::collections::HashSet<&str> =
            self.cuts.iter().map(|cut| &*cut.at).collect();
        !self.cuts.is_empty()
            && self.cuts.len() <= MAX_CUTS
            && self.rest.len() == self.cuts.len() + 1
            && places.len() == self.cuts.len()
            && self.cuts.iter().all(hash)
    }

    /// Checks that this value is `body` without the values at the recorded places.
    ///
    /// # Errors
    /// A sentence that names the difference.
    pub(super) fn follows_from(&self, body: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(body).map_err(|_| "the body is not text".to_owned())?;
        let whole = serde_json::from_str::<&RawValue>(text);
        let whole = whole.map_err(|_| "the body is not JSON".to_owned())?;
        let mut from = 0;
        let mut rest = self.rest.iter();
        let mut piece = |text: Option<&str>| match rest.next().map(String::as_str) == text {
            true => Ok(()),
            false => Err("what is kept of the body does not follow from it".to_owned()),
        };
        for cut in &self.cuts {
            let value =
                at(whole, &cut.at).ok_or(format!("the body has nothing at {:?}", cut.at))?;
            // A raw value borrows from `text`, so its address gives its position in `text`.
            let start = (value.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
            piece(text.get(from..start))?;
            from = start.saturating_add(value.len());
        }
        piece(text.get(from..))
    }
}

/// Returns the value at a JSON pointer (RFC 6901).
fn at<'t>(value: &'t RawValue, path: &str) -> Option<&'t str> {
    let mut raw = value.get();
    for part in path.strip_prefix('/')?.split('/') {
        let part = part.replace("~1", "/").replace("~0", "~");
        let next: &RawValue = if raw.starts_with('{') {
            serde_json::from_str::<BTreeMap<String, &RawValue>>(raw).ok()?.remove(&part)?
        } else {
            let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
            items.get(part.parse::<usize>().ok()?).copied()?
        };
        raw = next.get();
    }
    Some(raw)
}

/// A value that was cut out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactedValue {
    /// Where the value was, as a JSON pointer (RFC 6901).
    pub at: String,
    /// SHA-256 over the 32 bytes of the salt and the bytes of the value, in base64.
    pub sha256: String,
}

/// How a body is kept.
pub(super) enum KeptBody {
    /// The complete body: no rule applies to it.
    Whole,
    /// The body without the values that rules name.
    Redacted(Redacted),
    /// No part of the body: it cannot be parsed, so it may contain a secret anywhere.
    Nothing,
}

/// Applies `rules` to a body. `reading` is the parsed body.
pub(super) fn apply(
    rules: &[Rule],
    body: &[u8],
    reading: Option<&Reading<'_>>,
    binding: &str,
    salts: &SaltSecret,
) -> KeptBody {
    if rules.is_empty() || body.is_empty() {
        return KeptBody::Whole;
    }
    let (Some(operation), Ok(text)) =
        (reading.and_then(Reading::operation), std::str::from_utf8(body))
    else {
        return KeptBody::Nothing;
    };
    // If the message names no tool or other target, the rules for every name apply to it. This can
    // hide more than necessary, but never less.
    let forms = operation.forms();
    let mine: Vec<&Rule> =
        rules.iter().filter(|rule| rule.pattern.restricts_forms(&forms)).collect();
    if mine.is_empty() {
        return KeptBody::Whole;
    }
    let mut cuts: Vec<(Range<usize>, String)> = Vec::new();
    let params = serde_json::from_str::<BTreeMap<String, &RawValue>>(text)
        .ok()
        .and_then(|mut envelope| envelope.remove("params"));
    for rule in mine {
        if let Some(params) = params
            && find(text, params, &rule.path, "/params", &mut cuts).is_none()
        {
            return KeptBody::Nothing;
        }
    }
    // If one cut lies inside another, the outer cut is kept.
    cuts.sort_by(|(a, _), (b, _)| (a.start, b.end).cmp(&(b.start, a.end)));
    if cuts.len() > MAX_CUTS {
        return KeptBody::Nothing;
    }
    let mut redacted = Redacted { rest: Vec::new(), cuts: Vec::new() };
    let mut from = 0;
    for (span, at) in cuts {
        if span.start < from {
            continue;
        }
        let (Some(before), Some(value)) = (text.get(from..span.start), text.get(span.clone()))
        else {
            return KeptBody::Nothing;
        };
        redacted.rest.push(before.to_owned());
        let sha256 = commitment(&salts.salt(binding, &at), value);
        redacted.cuts.push(RedactedValue { at, sha256 });
        from = span.end;
    }
    redacted.rest.push(text.get(from..).unwrap_or_default().to_owned());
    if redacted.cuts.is_empty() { KeptBody::Whole } else { KeptBody::Redacted(redacted) }
}

/// Finds the values below `value` that `path` names; `None` if there are too many to follow.
fn find(
    text: &str,
    value: &RawValue,
    path: &[String],
    at: &str,
    cuts: &mut Vec<(Range<usize>, String)>,
) -> Option<()> {
    let Some((part, rest)) = path.split_first() else {
        // A raw value borrows from `text`, so its address gives its position in `text`.
        let start = (value.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        cuts.push((start..start.checked_add(value.get().len())?, at.to_owned()));
        return (cuts.len() <= 2 * MAX_CUTS).then_some(());
    };
    let raw = value.get();
    if raw.starts_with('{') {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw).ok()?;
        for (name, value) in members {
            if part == "*" || *part == name {
                find(text, value, rest, &format!("{at}/{}", pointer(&name)), cuts)?;
            }
        }
    } else if raw.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
        for (index, value) in items.into_iter().enumerate() {
            if part == "*" || *part == index.to_string() {
                find(text, value, rest, &format!("{at}/{index}"), cuts)?;
            }
        }
    }
    Some(())
}

/// Escapes the name of a member for a JSON pointer (RFC 6901).
fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The secret from which the salts of a log are made. It is the hash of an Ed25519 signature of the
/// log's key, which is always the same and which only the holder of the key can make. The key signs
/// once for all salts, because a key in a hardware token or behind an external program would be too
/// slow to sign once for each value.
#[derive(Clone)]
pub(super) struct SaltSecret(Zeroizing<[u8; 32]>);

impl SaltSecret {
    /// Makes the secret by one signature of the log's key.
    ///
    /// # Errors
    /// [`SignError`] if the key does not sign.
    pub(super) fn of(key: &dyn Sign) -> Result<Self, SignError> {
        let signature = Zeroizing::new(key.sign(b"mcpid audit salt/2\n")?);
        Ok(SaltSecret(Zeroizing::new(Sha256::digest(&signature[..]).into())))
    }

    /// Returns the salt of the value at `at`, in the request whose first signature is `binding`.
    /// The hash is taken twice, because SHA-256 alone permits length-extension attacks.
    fn salt(&self, binding: &str, at: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.0[..]);
        hash.update(format!("{binding}\n{at}"));
        Sha256::digest(hash.finalize()).into()
    }
}

/// Returns the 32-byte salt of the value at `at`, in the request whose first signature is `binding`
/// (base64). Only the holder of the log's private key `key` can compute it.
///
/// # Errors
/// [`SignError`] if the log's key cannot sign.
pub fn salt(key: &dyn Sign, binding: &str, at: &str) -> Result<[u8; 32], SignError> {
    Ok(SaltSecret::of(key)?.salt(binding, at))
}

/// Returns the salted hash of `value`, which must have the exact bytes of the body.
pub fn commitment(salt: &[u8; 32], value: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(value);
    STANDARD.encode(hash.finalize())
}
