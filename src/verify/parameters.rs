//! Step 4: checks presence, type and form of the signature parameters that a profile demands.

use crate::base::params::SignatureParams;
use crate::clock::Timestamp;
use crate::key::KeyKind;
use crate::message::structured::BareItem;
use crate::profile::{Presence, Profile, TagRule};

use super::rejection::{Code, Rejection, Step};

/// The parameters that verification uses. Others are signed and reported, but have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedParameters<'p> {
    /// When the signature was made.
    pub created: Option<Timestamp>,
    /// End of validity (exclusive).
    pub expires: Option<Timestamp>,
    /// The one-time value, exactly as received.
    pub nonce: Option<&'p str>,
    /// The id of the key.
    pub keyid: &'p str,
    /// The stable client id.
    pub tag: Option<&'p str>,
    /// The kind of keys whose algorithm `alg` names.
    pub alg: Option<KeyKind>,
}

/// Reads and checks the parameters.
///
/// # Errors
/// `parameter_missing`, `parameter_invalid`, `alg_not_allowed`.
pub fn judge<'p>(
    profile: &Profile,
    params: &'p SignatureParams<'_>,
) -> Result<CheckedParameters<'p>, Rejection> {
    // RFC 9421 section 3.2, step 6: the key determines the algorithm. A client may name it, but
    // cannot choose another.
    let alg = match params.params().get("alg") {
        None => None,
        Some(value) => Some(
            value
                .as_string()
                .and_then(KeyKind::from_alg)
                .filter(|kind| profile.key_kinds.contains(kind))
                .ok_or_else(|| {
                    let names: Vec<_> = profile.key_kinds.iter().map(|kind| kind.alg()).collect();
                    let message =
                        format!("alg names another algorithm than {}", names.join(" or "));
                    Rejection::new(Step::Parameters, Code::AlgNotAllowed, message)
                        .with("alg", written(value))
                })?,
        ),
    };
    let created = seconds(params, "created")?;
    let expires = seconds(params, "expires")?;
    // The window is counted from `created`.
    if created.is_none() && (profile.created == Presence::Required || profile.window.back.is_some())
    {
        return Err(missing("created"));
    }
    if let (Some(created), Some(expires)) = (created, expires)
        && created >= expires
    {
        return Err(invalid("it expires no later than it was created")
            .with("created", created)
            .with("expires", expires));
    }
    let nonce = string(params, "nonce")?;
    match nonce {
        None if profile.nonce == Presence::Required => return Err(missing("nonce")),
        Some(nonce) if profile.nonce == Presence::Required && !is_nonce(nonce) => {
            return Err(invalid("nonce is not 16 to 256 characters of base64 or base64url")
                .with("length", nonce.len()));
        }
        _ => {}
    }
    let Some(keyid) = string(params, "keyid")? else { return Err(missing("keyid")) };
    let tag = string(params, "tag")?;
    if tag.is_none() && profile.tag != TagRule::Ignored {
        return Err(missing("tag"));
    }
    Ok(CheckedParameters { created, expires, nonce, keyid, tag, alg })
}

/// Whether `text` is 16 to 256 characters of the two base64 alphabets and at most two `=`.
fn is_nonce(text: &str) -> bool {
    let body = text.strip_suffix('=').unwrap_or(text);
    let body = body.strip_suffix('=').unwrap_or(body);
    (16..=256).contains(&body.len())
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'))
}

fn missing(name: &'static str) -> Rejection {
    Rejection::new(
        Step::Parameters,
        Code::ParameterMissing,
        format!("the signature parameter {name} is missing"),
    )
}

fn invalid(message: impl Into<String>) -> Rejection {
    Rejection::new(Step::Parameters, Code::ParameterInvalid, message)
}

fn seconds(
    params: &SignatureParams<'_>,
    name: &'static str,
) -> Result<Option<Timestamp>, Rejection> {
    match params.params().get(name) {
        None => Ok(None),
        Some(BareItem::Integer(seconds)) if *seconds >= 0 => {
            Ok(Some(Timestamp::from_unix(*seconds)))
        }
        Some(other) => {
            Err(invalid(format!("{name} is not a time in whole seconds"))
                .with(name, written(other)))
        }
    }
}

fn string<'p>(
    params: &'p SignatureParams<'_>,
    name: &'static str,
) -> Result<Option<&'p str>, Rejection> {
    match params.params().get(name) {
        None => Ok(None),
        Some(BareItem::String(text)) => Ok(Some(text)),
        Some(other) => Err(invalid(format!("{name} is not a string")).with(name, written(other))),
    }
}

/// Returns a value as on the wire.
fn written(value: &BareItem<'_>) -> String {
    let mut text = String::new();
    // A parsed value can always be written.
    value.write_to(&mut text).map_or_else(|_| "?".to_owned(), |()| text)
}
