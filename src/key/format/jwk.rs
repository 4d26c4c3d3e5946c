//! JSON Web Keys (RFC 7517) of Ed25519 (RFC 8037) and P-256 (RFC 7518 section 6.2), and sets of
//! them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::{
    FormatError, ImportedKey, KeyImport, LEFT_OUT, PRIVATE, PUBLIC, SIGNING, instead, malformed,
};
use crate::clock::Timestamp;
use crate::key::json::{StrictJson, StrictObject};
use crate::key::misplaced;
use crate::key::{KeyApplication, KeyId, KeyKind, PublicKey, SecretKey, Sign as _};

/// The kind of key that a JWK holds.
enum JwkKind {
    Ours(KeyKind),
    /// A key of a kind that this build cannot use. The text names the kind with its article: `an
    /// RSA key`.
    Other(String),
}

impl JwkKind {
    /// Reads `kty` and `crv`.
    ///
    /// # Errors
    /// What is wrong, as a fragment of a sentence, if either member is missing or is no string.
    fn of(jwk: &StrictObject) -> Result<Self, String> {
        let Some(kty) = jwk.string("kty")? else { return Err("\"kty\" is missing".into()) };
        Ok(JwkKind::Other(match (kty, jwk.string("crv").ok().flatten()) {
            ("OKP", Some("Ed25519")) => return Ok(JwkKind::Ours(KeyKind::Ed25519)),
            ("EC", Some("P-256")) if cfg!(feature = "p256") => {
                return Ok(JwkKind::Ours(KeyKind::P256));
            }
            ("OKP", None) => return Err("\"crv\" is missing".into()),
            ("OKP", Some("Ed448")) => "an Ed448 key".into(),
            ("OKP", Some("X25519")) => "an X25519 key".into(),
            ("RSA", _) => "an RSA key".into(),
            ("EC", Some("P-256")) => LEFT_OUT.into(),
            ("EC", None) => "an elliptic-curve key".into(),
            ("oct", _) => "a symmetric key".into(),
            ("OKP" | "EC", Some(crv)) => format!("a key on the curve {crv:?}"),
            (kty, _) => format!("a key of the type {kty:?}"),
        }))
    }
}

/// Returns true if a JWK of any type has a secret member: `d` (RSA, EC, OKP), `k` (symmetric) or
/// `priv` (AKP keys).
pub(crate) fn holds_secret(jwk: &StrictObject) -> bool {
    jwk.has("d") || jwk.has("k") || jwk.has("priv")
}

/// The `adcp_use` of a key that signs requests (AdCP, "Agent key publication").
const REQUEST_SIGNING: &str = "request-signing";

/// Returns the reason why a JWK must not be used for `operation` (`sign` or `verify`), if there is
/// one. These members are checked: `use` (RFC 7517 section 4.2), `key_ops` (section 4.3),
/// `adcp_use`, `alg` (section 4.4).
fn unfit(jwk: &StrictObject, kind: KeyKind, operation: &str) -> Result<Option<String>, String> {
    if let Some(r#use) = jwk.string("use")?
        && r#use != "sig"
    {
        return Ok(Some(format!("its \"use\" is {use:?}, not \"sig\"")));
    }
    if let Some(ops) = jwk.get("key_ops") {
        let wrong = || format!("\"key_ops\" is {}, not an array of strings", ops.kind());
        let ops = ops.as_array().ok_or_else(wrong)?;
        if !ops.iter().all(|op| op.as_str().is_some()) {
            return Err("\"key_ops\" holds something else than strings".into());
        }
        if !ops.iter().any(|op| op.as_str() == Some(operation)) {
            return Ok(Some(format!("its \"key_ops\" do not name {operation:?}")));
        }
    }
    // An AdCP key set contains keys for several purposes. A purpose that is not a string counts as
    // another purpose.
    if let Some(purpose) = jwk.get("adcp_use")
        && purpose.as_str() != Some(REQUEST_SIGNING)
    {
        return Ok(Some(format!("its \"adcp_use\" is not {REQUEST_SIGNING:?}")));
    }
    match (jwk.string("alg")?, kind) {
        (None, _) => Ok(None),
        // `EdDSA` is the name in RFC 8037, `Ed25519` that in RFC 9864.
        (Some("EdDSA" | "Ed25519"), KeyKind::Ed25519) | (Some("ES256"), KeyKind::P256) => Ok(None),
        (Some(alg), _) => Ok(Some(format!("its \"alg\" is {alg:?}"))),
    }
}

/// The reason why a JWK is not used.
pub(crate) enum Unusable {
    /// A key of another type or for another use, which RFC 7517 section 5 says to ignore.
    NotForUs(String),
    /// An invalid JWK: a member is missing or has a wrong type or value.
    Broken(String),
}

/// Returns the key of a JWK that may verify signatures, or make them if `operation` is `sign`.
pub(crate) fn usable(jwk: &StrictObject, operation: &str) -> Result<PublicKey, Unusable> {
    let kind = match JwkKind::of(jwk).map_err(Unusable::Broken)? {
        JwkKind::Ours(kind) => kind,
        JwkKind::Other(kind) => return Err(Unusable::NotForUs(format!("it is {kind}"))),
    };
    jwk.string("kid").map_err(Unusable::Broken)?;
    let unfit = unfit(jwk, kind, operation).map_err(Unusable::Broken)?;
    let key = public_key(jwk, kind).map_err(Unusable::Broken);
    match unfit {
        Some(why) => Err(Unusable::NotForUs(why)),
        None => key,
    }
}

/// Returns the id of an Ed25519 or P-256 key, even if the JWK says that it is for another use.
/// Returns `None` for another type or a broken key.
pub(crate) fn id(jwk: &StrictObject) -> Option<KeyId> {
    match JwkKind::of(jwk) {
        Ok(JwkKind::Ours(kind)) => point(jwk, kind).ok().map(|point| KeyId::of(kind, &point)),
        _ => None,
    }
}

/// Returns two ids for the bytes of a JWK: what they would be if it were an Ed25519 key, and if it
/// were a P-256 key. The JWK can be of any type.
pub(crate) fn ids(jwk: &StrictObject) -> impl Iterator<Item = KeyId> {
    KeyKind::ALL
        .iter()
        .filter_map(|kind| point(jwk, *kind).ok().map(|point| KeyId::of(*kind, &point)))
}

/// A JWK's statements about its validity, in registered members: `exp` and `nbf` as in RFC 7519
/// section 4.1, `revoked` as in OpenID Federation 1.0.
#[derive(Default)]
pub(crate) struct Validity {
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) not_after: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    /// The members that could not be read, as a fragment of a sentence. If there are any, the key
    /// counts as expired.
    pub(crate) unreadable: Option<String>,
}

impl Validity {
    pub(crate) fn of(jwk: &StrictObject) -> Self {
        let mut validity = Validity::default();
        for (name, json) in jwk.iter() {
            let read = match (name, json) {
                ("exp", json) => {
                    numeric_date(json, f64::floor).map(|time| validity.not_after = Some(time))
                }
                ("nbf", json) => {
                    numeric_date(json, f64::ceil).map(|time| validity.not_before = Some(time))
                }
                ("revoked", StrictJson::Object(revoked)) => revoked
                    .get("revoked_at")
                    .and_then(|json| numeric_date(json, f64::floor))
                    .map(|time| validity.revoked_at = Some(time)),
                ("revoked", _) => None,
                _ => continue,
            };
            if read.is_none() {
                validity.unreadable = Some(format!("its {name:?} cannot be read"));
            }
        }
        if validity.unreadable.is_some() {
            validity.not_after = Some(Timestamp::from_unix(0));
        }
        validity
    }
}

/// Reads a time in seconds since 1970, rounded to whole seconds by `round`. A number of 10^11 or
/// more (in seconds, the year 5138) counts as milliseconds, which key directories of Web Bot Auth
/// use.
fn numeric_date(json: &StrictJson, round: fn(f64) -> f64) -> Option<Timestamp> {
    let number = match json {
        StrictJson::Unsigned(n) => *n as f64,
        StrictJson::Number(n) => *n,
        _ => return None,
    };
    let seconds = if number.abs() >= 1e11 { number / 1000.0 } else { number };
    // A double holds every whole second up to 2^53. Dates end at the year 9999.
    (seconds.abs() < 2.6e11).then(|| Timestamp::from_unix(round(seconds) as i64))
}

/// Returns the bytes of a public key, in the form of [`PublicKey::as_bytes`]. RFC 7518 section
/// 6.2.1.2 demands all 32 bytes of each coordinate.
fn point(jwk: &StrictObject, kind: KeyKind) -> Result<Vec<u8>, String> {
    let x = binary(jwk, "x")?;
    match kind {
        KeyKind::Ed25519 => Ok(x.to_vec()),
        KeyKind::P256 => Ok([&[4], x.as_slice(), binary(jwk, "y")?.as_slice()].concat()),
    }
}

fn public_key(jwk: &StrictObject, kind: KeyKind) -> Result<PublicKey, String> {
    let point = point(jwk, kind)?;
    match (kind, point.first_chunk()) {
        (KeyKind::Ed25519, Some(x)) => {
            PublicKey::from_bytes(x).map_err(|e| format!("\"x\" is {e}"))
        }
        _ => PublicKey::from_sec1(&point).map_err(|e| format!("\"x\" and \"y\" are {e}")),
    }
}

fn binary(jwk: &StrictObject, name: &str) -> Result<Zeroizing<[u8; 32]>, String> {
    let text = jwk.string(name)?.ok_or_else(|| format!("{name:?} is missing"))?;
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| format!("{name:?} is not base64url without padding"))?;
    let length = bytes.len();
    let wrong = |_| format!("{name:?} has {length} bytes, not 32");
    <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new).map_err(wrong)
}

fn unusable_key(why: String) -> FormatError {
    malformed("JWK", why)
}

/// Returns the private key in a JWK.
pub(super) fn private(jwk: &StrictObject) -> Result<SecretKey, FormatError> {
    if jwk.has("keys") {
        return Err(instead("a JWK set", "one private key"));
    }
    if !jwk.has("kty") {
        return Err(FormatError::Unrecognised);
    }
    let kind = match JwkKind::of(jwk).map_err(unusable_key)? {
        JwkKind::Ours(kind) => kind,
        JwkKind::Other(other) => return Err(instead(other, SIGNING)),
    };
    if !jwk.has("d") {
        return Err(instead(PUBLIC, PRIVATE));
    }
    if let Some(why) = unfit(jwk, kind, "sign").map_err(unusable_key)? {
        return Err(unusable_key(why));
    }
    let secret = SecretKey::of_kind(kind, &*binary(jwk, "d").map_err(unusable_key)?);
    let secret = secret.map_err(|e| unusable_key(format!("\"d\" is {e}")))?;
    // RFC 8037 section 2 and RFC 7518 section 6.2.2 demand the public key beside `d`. If the two do
    // not belong together, the file contains two different keys.
    if point(jwk, kind).map_err(unusable_key)? != secret.public().as_bytes() {
        let members = match kind {
            KeyKind::Ed25519 => "\"x\" is",
            KeyKind::P256 => "\"x\" and \"y\" are",
        };
        return Err(unusable_key(format!("{members} not the public key of \"d\"")));
    }
    Ok(secret)
}

/// Returns the public keys of a JWK or a JWKS. In a set, unusable keys are skipped (RFC 7517
/// section 5); a private key is refused at any place.
pub(super) fn import(object: &StrictObject) -> Result<KeyImport, FormatError> {
    if !object.has("keys") {
        if !object.has("kty") {
            return Err(FormatError::Unrecognised);
        }
        return match read_jwk(object)? {
            Ok(key) => Ok(KeyImport { keys: vec![key], skipped: Vec::new() }),
            Err(Unusable::NotForUs(why)) => match why.strip_prefix("it is ") {
                Some(kind) => Err(instead(kind.to_owned(), SIGNING)),
                None => Err(unusable_key(why)),
            },
            Err(Unusable::Broken(why)) => Err(unusable_key(why)),
        };
    }
    misplaced::beside_keys(object).map_err(|why| malformed("JWK set", why))?;
    let keys = object
        .get("keys")
        .and_then(StrictJson::as_array)
        .ok_or_else(|| malformed("JWK set", "\"keys\" is not an array"))?;
    let mut import = KeyImport { keys: Vec::new(), skipped: Vec::new() };
    for (at, key) in keys.iter().enumerate() {
        let read = match key.as_object() {
            Some(jwk) => read_jwk(jwk)?,
            None => Err(Unusable::Broken(format!("it is {}, not an object", key.kind()))),
        };
        match read {
            Ok(key) => import.keys.push(key),
            Err(Unusable::NotForUs(why) | Unusable::Broken(why)) => {
                import.skipped.push(format!("key {} is passed over: {why}", at + 1));
            }
        }
    }
    if import.keys.is_empty() {
        return Err(instead(format!("a JWK set without {SIGNING} that may verify"), PUBLIC));
    }
    Ok(import)
}

/// Returns the application of a security key, if the member `mcpid` of the JWK states nothing but
/// that.
fn application(jwk: &StrictObject) -> Option<KeyApplication> {
    let only = |object: &StrictObject| object.iter().count() == 1;
    let settings = jwk.get(misplaced::SETTINGS)?.as_object().filter(|settings| only(settings))?;
    let rules = settings.get("security_key")?.as_object().filter(|rules| only(rules))?;
    KeyApplication::parse(rules.get("application")?.as_str()?).ok()
}

fn read_jwk(jwk: &StrictObject) -> Result<Result<ImportedKey, Unusable>, FormatError> {
    if holds_secret(jwk) {
        return Err(instead(PRIVATE, PUBLIC));
    }
    let application = application(jwk);
    if jwk.has(misplaced::SETTINGS) && application.is_none() {
        // An import would lose the limits and the revocation that a trust file states for the key.
        return Err(instead("an entry of a trust file, with settings of its own", PUBLIC));
    }
    misplaced::in_key(jwk).map_err(unusable_key)?;
    let key = match usable(jwk, "verify") {
        Ok(key) => key,
        Err(why) => return Ok(Err(why)),
    };
    let Validity { not_before, not_after, revoked_at, unreadable } = Validity::of(jwk);
    if let Some(why) = unreadable.or(revoked_at.map(|at| format!("it is revoked since {at}"))) {
        return Ok(Err(Unusable::Broken(why)));
    }
    let kid = jwk.string("kid").map_err(unusable_key)?;
    if kid.and_then(KeyId::from_text).is_some_and(|named| named != *key.id()) {
        return Ok(Err(Unusable::Broken("its \"kid\" is the id of another key".to_owned())));
    }
    let kid = kid.map(str::to_owned);
    Ok(Ok(ImportedKey { application, kid, not_before, not_after, ..ImportedKey::new(key) }))
}
