//! JSON Web Keys (RFC 7517) on the curve Ed25519 (RFC 8037), and sets of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::{ED25519, FormatError, Import, Imported, PRIVATE, PUBLIC, instead, malformed};
use crate::key::json::{Json, Members};
use crate::key::{PublicKey, SecretKey, Sign as _};

/// What kind of key a JWK holds: `None` for an Ed25519 key, else its name.
pub(crate) fn other_kind(jwk: &Members) -> Result<Option<String>, String> {
    let Some(kty) = jwk.string("kty")? else { return Err("\"kty\" is missing".into()) };
    Ok(match (kty, jwk.string("crv").ok().flatten()) {
        ("OKP", Some("Ed25519")) => None,
        ("OKP", None) => return Err("\"crv\" is missing".into()),
        ("OKP", Some("Ed448")) => Some("an Ed448 key".into()),
        ("OKP", Some("X25519")) => Some("an X25519 key".into()),
        ("RSA", _) => Some("an RSA key".into()),
        ("EC", _) => Some("an elliptic-curve key".into()),
        ("oct", _) => Some("a symmetric key".into()),
        ("OKP", Some(crv)) => Some(format!("a key on the curve {crv:?}")),
        (kty, _) => Some(format!("a key of the type {kty:?}")),
    })
}

/// Whether something in a JWK of any type is secret: `d` (RSA, EC, OKP), `k` (symmetric) or
/// `priv` (the newer AKP keys).
pub(crate) fn holds_secret(jwk: &Members) -> bool {
    jwk.has("d") || jwk.has("k") || jwk.has("priv")
}

/// Why an Ed25519 JWK must not be used for `operation` (`sign` or `verify`), if there is a
/// reason: `use` (RFC 7517 section 4.2), `key_ops` (section 4.3), `alg` (section 4.4).
pub(crate) fn unfit(jwk: &Members, operation: &str) -> Result<Option<String>, String> {
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
    // RFC 8037 calls it EdDSA, RFC 9864 calls it Ed25519.
    match jwk.string("alg")? {
        None | Some("EdDSA" | "Ed25519") => Ok(None),
        Some(alg) => Ok(Some(format!("its \"alg\" is {alg:?}"))),
    }
}

/// The public key of an Ed25519 JWK.
pub(crate) fn public_key(jwk: &Members) -> Result<PublicKey, String> {
    PublicKey::from_bytes(&*binary(jwk, "x")?).map_err(|e| format!("\"x\" is {e}"))
}

fn binary(jwk: &Members, name: &str) -> Result<Zeroizing<[u8; 32]>, String> {
    let text = jwk.string(name)?.ok_or_else(|| format!("{name:?} is missing"))?;
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| format!("{name:?} is not base64url without padding"))?;
    let length = bytes.len();
    let wrong = |_| format!("{name:?} has {length} bytes, not 32");
    <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new).map_err(wrong)
}

fn bad(why: String) -> FormatError {
    malformed("JWK", why)
}

/// The private key in a JWK.
pub(super) fn private(jwk: &Members) -> Result<SecretKey, FormatError> {
    if jwk.has("keys") {
        return Err(instead("a JWK set", "one private key"));
    }
    if !jwk.has("kty") {
        return Err(FormatError::Unrecognised);
    }
    if let Some(other) = other_kind(jwk).map_err(bad)? {
        return Err(instead(other, ED25519));
    }
    if !jwk.has("d") {
        return Err(instead(PUBLIC, PRIVATE));
    }
    if let Some(why) = unfit(jwk, "sign").map_err(bad)? {
        return Err(bad(why));
    }
    let secret = SecretKey::from_seed(&*binary(jwk, "d").map_err(bad)?);
    // RFC 8037 section 2 demands x beside d; a file whose halves differ holds two keys.
    if *binary(jwk, "x").map_err(bad)? != *secret.public().as_bytes() {
        return Err(bad("\"x\" is not the public key of \"d\"".into()));
    }
    Ok(secret)
}

/// The public keys of a JWK or a JWKS.
pub(super) fn import(object: &Members) -> Result<Import, FormatError> {
    if !object.has("keys") {
        if !object.has("kty") {
            return Err(FormatError::Unrecognised);
        }
        return match one(object)? {
            Ok(key) => Ok(Import { keys: vec![key], skipped: Vec::new() }),
            Err((found, None)) => Err(instead(found, ED25519)),
            Err((_, Some(why))) => Err(bad(why)),
        };
    }
    let keys = object
        .get("keys")
        .and_then(Json::as_array)
        .ok_or_else(|| malformed("JWK set", "\"keys\" is not an array"))?;
    let mut import = Import { keys: Vec::new(), skipped: Vec::new() };
    for (at, key) in keys.iter().enumerate() {
        let jwk = key.as_object().ok_or_else(|| {
            malformed("JWK set", format!("key {} is {}, not an object", at + 1, key.kind()))
        })?;
        match one(jwk)? {
            Ok(key) => import.keys.push(key),
            Err((found, why)) => {
                let why = why.map(|w| format!(": {w}")).unwrap_or_default();
                import.skipped.push(format!("key {} is {found}{why}", at + 1));
            }
        }
    }
    if import.keys.is_empty() {
        return Err(instead("a JWK set without an Ed25519 signing key", PUBLIC));
    }
    Ok(import)
}

type NotForUs = (String, Option<String>);

fn one(jwk: &Members) -> Result<Result<Imported, NotForUs>, FormatError> {
    if let Some(other) = other_kind(jwk).map_err(bad)? {
        return Ok(Err((other, None)));
    }
    if holds_secret(jwk) {
        return Err(instead(PRIVATE, PUBLIC));
    }
    if jwk.has("mcpid") {
        // Its limits and its revocation would be lost on the way.
        return Err(instead("an entry of a trust file, with settings of its own", PUBLIC));
    }
    if let Some(why) = unfit(jwk, "verify").map_err(bad)? {
        return Ok(Err((ED25519.into(), Some(why))));
    }
    let kid = jwk.string("kid").map_err(bad)?.map(str::to_owned);
    Ok(Ok(Imported { key: public_key(jwk).map_err(bad)?, name: None, kid }))
}
