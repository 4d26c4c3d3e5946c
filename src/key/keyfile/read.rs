//! The parser for keyfiles. Only the known members are accepted, and each is checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::seal::{Kdf, KdfCost};
use super::{Keyfile, KeyfileError, KeyfileSecret, MAX_BYTES};
use crate::clock::Timestamp;
use crate::key::json::{self, StrictJson, StrictObject};
use crate::key::{PublicKey, SecretKey, Sign as _};
use crate::secret::quoted;

type Result<T> = std::result::Result<T, KeyfileError>;

fn damaged(why: impl Into<String>) -> KeyfileError {
    KeyfileError::Damaged(why.into())
}

pub(super) fn keyfile(bytes: &[u8]) -> Result<Keyfile> {
    if bytes.len() > MAX_BYTES {
        return Err(KeyfileError::NotAKeyfile);
    }
    let parsed = json::read(bytes).map_err(|e| {
        // A text that contains `"keyfile/` was meant to be a keyfile, so it is reported as a
        // damaged one.
        let ours = bytes.windows(9).any(|window| window == b"\"keyfile/");
        if ours { damaged(e.to_string()) } else { KeyfileError::NotAKeyfile }
    })?;
    let file = parsed.as_object().ok_or(KeyfileError::NotAKeyfile)?;
    match file.get("mcpid").and_then(StrictJson::as_str) {
        Some("keyfile/1") => {}
        Some(version) if version.starts_with("keyfile/") => {
            return Err(KeyfileError::UnknownVersion(version.to_owned()));
        }
        _ => return Err(KeyfileError::NotAKeyfile),
    }
    let cipher = object(file, "cipher")?;
    let plain = text(cipher, "name")? == "none";
    let shape: &[&str] = if plain {
        &["mcpid", "name", "created", "public", "cipher", "secret"]
    } else {
        &["mcpid", "name", "created", "public", "kdf", "cipher", "secret"]
    };
    only(file, shape)?;

    let public = public(object(file, "public")?)?;
    let created_text = text(file, "created")?.to_owned();
    let name = text(file, "name")?.to_owned();
    let created = Timestamp::parse_rfc3339(&created_text)
        .map_err(|e| damaged(format!("\"created\" is {e}")))?;
    let secret = if plain {
        only(cipher, &["name"])?;
        let seed = Zeroizing::new(binary::<32>(file, "secret")?);
        let secret = SecretKey::of_kind(public.kind(), &seed);
        if secret.ok().is_none_or(|secret| secret.public() != &public) {
            return Err(KeyfileError::PublicMismatch);
        }
        KeyfileSecret::Plain(seed)
    } else {
        only(cipher, &["name", "nonce"])?;
        expect(cipher, "name", "xchacha20-poly1305")?;
        let kdf = kdf(object(file, "kdf")?)?;
        let (nonce, sealed) = (binary(cipher, "nonce")?, binary(file, "secret")?);
        // This step comes last, because the checks above leave only strings and small integers,
        // which have a canonical form.
        let additional =
            file.canonical_without("secret").ok_or_else(|| damaged("has no canonical form"))?;
        KeyfileSecret::Sealed { kdf, nonce, sealed, additional }
    };
    Ok(Keyfile { name, created_text, created, public, secret })
}

fn public(jwk: &StrictObject) -> Result<PublicKey> {
    let key = match text(jwk, "kty")? {
        "EC" => {
            only(jwk, &["kty", "crv", "x", "y", "kid"])?;
            expect(jwk, "crv", "P-256")?;
            let (x, y) = (binary::<32>(jwk, "x")?, binary::<32>(jwk, "y")?);
            PublicKey::from_sec1(&[&[4], x.as_slice(), &y].concat())
        }
        _ => {
            only(jwk, &["kty", "crv", "x", "kid"])?;
            expect(jwk, "kty", "OKP")?;
            expect(jwk, "crv", "Ed25519")?;
            PublicKey::from_bytes(&binary(jwk, "x")?)
        }
    };
    let key = key.map_err(|e| damaged(format!("the public key is {e}")))?;
    if key.is_weak() {
        return Err(damaged("the public key is weak"));
    }
    if text(jwk, "kid")? != key.id().as_str() {
        return Err(damaged("\"kid\" is not the thumbprint of the public key"));
    }
    Ok(key)
}

fn kdf(kdf: &StrictObject) -> Result<Kdf> {
    only(kdf, &["name", "memory_kib", "passes", "lanes", "salt"])?;
    expect(kdf, "name", "argon2id")?;
    let cost =
        KdfCost::new(integer(kdf, "memory_kib")?, integer(kdf, "passes")?, integer(kdf, "lanes")?)?;
    let salt = URL_SAFE_NO_PAD
        .decode(text(kdf, "salt")?)
        .map_err(|_| damaged("\"salt\" is not base64url without padding"))?;
    if !(16..=64).contains(&salt.len()) {
        return Err(damaged(format!("the salt has {} bytes, not 16 to 64", salt.len())));
    }
    Ok(Kdf { cost, salt })
}

/// Refuses members that the format does not know, because another reader could give them a meaning.
fn only(object: &StrictObject, known: &[&str]) -> Result<()> {
    match object.iter().find(|(name, _)| !known.contains(name)) {
        Some((name, _)) => Err(damaged(format!("the member {} is not known", quoted(name)))),
        None => Ok(()),
    }
}

fn member<'m>(object: &'m StrictObject, name: &str) -> Result<&'m StrictJson> {
    object.get(name).ok_or_else(|| damaged(format!("the member {name:?} is missing")))
}

fn object<'m>(parent: &'m StrictObject, name: &str) -> Result<&'m StrictObject> {
    let value = member(parent, name)?;
    let wrong = || damaged(format!("{name:?} is {}, not an object", value.kind()));
    value.as_object().ok_or_else(wrong)
}

fn text<'m>(object: &'m StrictObject, name: &str) -> Result<&'m str> {
    let value = member(object, name)?;
    let wrong = || damaged(format!("{name:?} is {}, not a string", value.kind()));
    value.as_str().ok_or_else(wrong)
}

fn integer(object: &StrictObject, name: &str) -> Result<u64> {
    match member(object, name)? {
        StrictJson::Unsigned(n) => Ok(*n),
        StrictJson::Number(_) => Err(damaged(format!("{name:?} is not a non-negative integer"))),
        other => Err(damaged(format!("{name:?} is {}, not an integer", other.kind()))),
    }
}

fn expect(object: &StrictObject, name: &str, value: &str) -> Result<()> {
    let found = text(object, name)?;
    if found == value {
        Ok(())
    } else {
        Err(damaged(format!("{name:?} is {}, not {value:?}", quoted(found))))
    }
}

/// Reads strict base64url of exactly `N` bytes. Errors do not repeat the text, which may be a
/// secret.
fn binary<const N: usize>(object: &StrictObject, name: &str) -> Result<[u8; N]> {
    let decoded = URL_SAFE_NO_PAD
        .decode(text(object, name)?)
        .map(Zeroizing::new)
        .map_err(|_| damaged(format!("{name:?} is not base64url without padding")))?;
    let length = decoded.len();
    let wrong = |_| damaged(format!("{name:?} has {length} bytes, not {N}"));
    <[u8; N]>::try_from(decoded.as_slice()).map_err(wrong)
}
