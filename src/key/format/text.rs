//! Keys that are one word: `did:key`, hex, base64. A text of several words or lines is none.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{ED25519, FormatError, instead, malformed, pem};
use crate::key::{PublicKey, SecretKey};

/// The multicodec prefix of an Ed25519 public key.
pub(super) const MULTICODEC: [u8; 2] = [0xed, 0x01];

/// Parses `did:key:z…`: multibase base58-btc of the multicodec prefix and the key.
pub(super) fn did_key(text: &str) -> Result<PublicKey, FormatError> {
    let bad = |why: &str| malformed("did:key", why);
    let Some(key) = text.strip_prefix("did:key:") else {
        return Err(instead("a DID of another method", "a did:key"));
    };
    if key.contains(['#', '?', '/']) {
        return Err(bad("a DID URL; leave out what follows the key"));
    }
    let base58 = key.strip_prefix('z').ok_or_else(|| bad("it does not begin with z"))?;
    // Base58 takes time quadratic in its length; an Ed25519 key has 47 characters.
    if base58.len() > 1024 {
        return Err(bad("it is too long"));
    }
    let bytes = bs58::decode(base58).into_vec().map_err(|_| bad("not base58"))?;
    let Some(key) = bytes.strip_prefix(&MULTICODEC) else {
        return Err(instead("a did:key of another kind of key", ED25519));
    };
    let key = key.try_into().map_err(|_| bad("the key does not have 32 bytes"))?;
    PublicKey::from_bytes(&key).map_err(|e| bad(&e.to_string()))
}

/// Parses a seed in hex, base64 or base64url.
pub(super) fn seed(text: &str) -> Result<SecretKey, FormatError> {
    let seed = hex(text).or_else(|| base64(text)).ok_or(FormatError::Unrecognised)?;
    Ok(SecretKey::from_seed(&seed))
}

/// Parses a public key in hex or padded base64.
///
/// One of sixteen random strings of 32 bytes is a valid public key, so a seed or a key id given by
/// mistake would sometimes be accepted, and a seed would be published. The encoding of key ids and
/// JWK seeds is therefore refused; hex is accepted, since exported keys use it.
pub(super) fn public(text: &str) -> Result<PublicKey, FormatError> {
    // Key management services and Java print the DER of a PEM block without the PEM lines.
    if text.len() == 60
        && let Ok(der) = STANDARD.decode(text)
    {
        return pem::public_der(&der);
    }
    let bytes = match (hex(text), base64(text)) {
        (Some(bytes), _) => bytes,
        (None, Some(bytes)) if text.len() == 44 => bytes,
        (None, Some(_)) => {
            return Err(FormatError::Ambiguous(
                "43 characters of base64, which may be a key id or a seed, not only a public key",
            ));
        }
        (None, None) => return Err(FormatError::Unrecognised),
    };
    match PublicKey::from_bytes(&bytes) {
        Ok(key) if !key.is_weak() => Ok(key),
        _ => Err(FormatError::Ambiguous("32 bytes that are no public key, but may be a seed")),
    }
}

fn hex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut bytes = Zeroizing::new([0; 32]);
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn base64(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let standard = text.contains(['+', '/']);
    let engine = match (text.len(), standard) {
        (44, true) => &STANDARD,
        (44, false) => &URL_SAFE,
        (43, true) => &STANDARD_NO_PAD,
        (43, false) => &URL_SAFE_NO_PAD,
        _ => return None,
    };
    let decoded = Zeroizing::new(engine.decode(text).ok()?);
    <[u8; 32]>::try_from(decoded.as_slice()).ok().map(Zeroizing::new)
}
