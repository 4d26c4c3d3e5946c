//! Step 4: checks presence, type and form of the signature parameters that a profile demands.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::params::SignatureParams;
use crate::clock::Timestamp;
use crate::key::KeyKind;
use crate::message::structured::BareItem;
use crate::profile::{NonceForm, Presence, Profile, TagRule};

use super::rejection::{Code, Rejection, Step};

/// The parameters that verification uses. Other parameters are signed and reported, but have no
/// effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedParameters<'p> {
    /// When the signature was made.
    pub created: Option<Timestamp>,
    /// The time from which the signature is no longer valid.
    pub expires: Option<Timestamp>,
    /// The one-time value, exactly as received.
    pub nonce: Option<&'p str>,
    /// The id of the key.
    pub keyid: &'p str,
    /// The stable client id.
    pub tag: Option<&'p str>,
    /// The kind of keys for the algorithm that the parameter `alg` names.
    pub alg: Option<KeyKind>,
}

/// Reads and checks the parameters.
///
/// # Errors
/// `parameter_missing`, `parameter_invalid`, `alg_not_allowed`, `tag_mismatch`, and at step 2
/// `signature_missing` for a signature that is not meant for the profile.
pub fn judge<'p>(
    profile: &Profile,
    params: &'p SignatureParams<'_>,
) -> Result<CheckedParameters<'p>, Rejection> {
    // The types of all parameters are checked first, and then which of them are missing.
    let created = seconds(params, "created")?;
    let expires = seconds(params, "expires")?;
    let nonce = string(params, "nonce")?;
    let keyid = string(params, "keyid")?;
    let tag = string(params, "tag")?;
    if let (TagRule::UntaggedOr(text), Some(tag)) = (profile.tag, tag)
        && tag != text
    {
        return Err(not_read(profile, format!("its tag is {tag:?}")));
    }
    let alg = params.params().get("alg");
    let present = [
        created.is_some(),
        expires.is_some(),
        nonce.is_some(),
        keyid.is_some(),
        alg.is_some(),
        tag.is_some(),
    ];
    if let Some(name) = absent(profile, present).next() {
        return Err(missing(name));
    }
    let Some(keyid) = keyid else { return Err(missing("keyid")) };
    if let (TagRule::Exactly(text), Some(tag)) = (profile.tag, tag)
        && tag != text
    {
        let message = format!("the tag is not that of the profile {}", profile.name);
        return Err(Rejection::new(Step::Parameters, Code::TagMismatch, message)
            .with("tag", format!("{tag:?}"))
            .with("demanded", format!("{text:?}")));
    }
    // RFC 9421 section 3.2, step 6: the key determines the algorithm. A client may name that
    // algorithm, but cannot choose another one.
    let alg = match alg {
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
    // If the profile limits the lifetime, `created` and `expires` are compared in step 5 instead.
    if let (Some(created), Some(expires), None) = (created, expires, profile.expiry.longest)
        && created >= expires
    {
        return Err(invalid("it expires no later than it was created")
            .with("created", created)
            .with("expires", expires));
    }
    if let Some(nonce) = nonce {
        judge_nonce(profile.nonce_form, nonce)?;
    }
    Ok(CheckedParameters { created, expires, nonce, keyid, tag, alg })
}

/// The parameters that a profile can demand.
pub(super) const NAMES: [&str; 6] = ["created", "expires", "nonce", "keyid", "alg", "tag"];

/// Returns the parameters that the profile requires and that are absent. `present` states for each
/// of [`NAMES`] whether the parameter is present.
pub(super) fn absent(
    profile: &Profile,
    present: [bool; NAMES.len()],
) -> impl Iterator<Item = &'static str> {
    // A maximum age is counted from `created`, so `created` is then demanded.
    let counted = profile.window.max_age.is_some();
    let demanded = [
        profile.created == Presence::Required || counted,
        profile.expiry.presence == Presence::Required,
        profile.nonce == Presence::Required,
        true,
        profile.alg == Presence::Required,
        !matches!(profile.tag, TagRule::Ignored | TagRule::UntaggedOr(_)),
    ];
    let each = NAMES.into_iter().zip(demanded).zip(present);
    each.filter(|((_, demanded), present)| *demanded && !present).map(|((name, _), _)| name)
}

/// Returns the refusal of a signature whose tag or client field shows that it is for another
/// purpose. If the request has no other signature, it counts as unsigned.
pub(super) fn not_read(profile: &Profile, why: impl fmt::Display) -> Rejection {
    let message = format!("no signature here is one for the profile {}: {why}", profile.name);
    Rejection::new(Step::Present, Code::SignatureMissing, message)
}

fn judge_nonce(form: NonceForm, nonce: &str) -> Result<(), Rejection> {
    let wrong = |what: String| Err(invalid(what).with("length", nonce.len()));
    match form {
        NonceForm::Base64Text if !is_base64_text(nonce) => {
            wrong("nonce is not 16 to 256 characters of base64 or base64url".to_owned())
        }
        NonceForm::Base64Url { bytes }
            if nonce.len() > MAX_NONCE
                || URL_SAFE_NO_PAD.decode(nonce).map_or(0, |nonce| nonce.len()) < bytes =>
        {
            wrong(format!("nonce is not base64url without padding of at least {bytes} bytes"))
        }
        _ => Ok(()),
    }
}

/// The maximum length of a nonce, in characters without padding, if the profile prescribes its
/// form.
const MAX_NONCE: usize = 256;

/// Returns true if `text` is 16 to 256 characters of the two base64 alphabets and then at most two
/// `=`.
fn is_base64_text(text: &str) -> bool {
    let body = text.strip_suffix('=').unwrap_or(text);
    let body = body.strip_suffix('=').unwrap_or(body);
    (16..=MAX_NONCE).contains(&body.len())
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
    // This cannot fail: a value that was parsed can always be written.
    value.write_to(&mut text).map_or_else(|_| "?".to_owned(), |()| text)
}
