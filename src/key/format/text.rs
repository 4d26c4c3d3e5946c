//! Keys that are one word: `did:key`, hex, base64. A text of several words or lines is no such key.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{FormatError, LEFT_OUT, SIGNING, instead, malformed, pem};
use crate::key::{KeyKind, PublicKey, SecretKey};

/// The multicodec prefix of a public key: the number 0xed or 0x1200, encoded as a varint.
pub(super) fn multicodec(kind: KeyKind) -> [u8; 2] {
    match kind {
        KeyKind::Ed25519 => [0xed, 0x01],
        KeyKind::P256 => [0x80, 0x24],
    }
}

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
    // The decoding time of base58 grows with the square of the length. Valid texts have 47 or 48
    // characters.
    if base58.len() > 1024 {
        return Err(bad("it is too long"));
    }
    let bytes = bs58::decode(base58).into_vec().map_err(|_| bad("not base58"))?;
    let kind = KeyKind::ALL.iter().find(|kind| bytes.starts_with(&multicodec(**kind)));
    let key = bytes.get(2..).unwrap_or_default();
    let key = match kind {
        None => return Err(instead("a did:key of another kind of key", SIGNING)),
        Some(KeyKind::Ed25519) => {
            let key = key.try_into().map_err(|_| bad("the key does not have 32 bytes"))?;
            PublicKey::from_bytes(&key)
        }
        Some(KeyKind::P256) if !cfg!(feature = "p256") => return Err(instead(LEFT_OUT, SIGNING)),
        // The specification of did:key allows only the compressed form of a point.
        Some(KeyKind::P256) if key.len() != 33 => {
            return Err(bad("the key does not have the 33 bytes of a compressed point"));
        }
        Some(KeyKind::P256) => PublicKey::from_sec1(key),
    };
    key.map_err(|e| bad(&e.to_string()))
}

/// Parses the private key of `kind` in hex, base64 or base64url.
pub(super) fn private(text: &str, kind: KeyKind) -> Result<SecretKey, FormatError> {
    let secret = bytes_of_hex(text).or_else(|| base64(text)).ok_or(FormatError::Unrecognised)?;
    SecretKey::of_kind(kind, &secret).map_err(|e| malformed("private key", e.to_string()))
}

/// Parses a public key in hex, or an Ed25519 key in padded base64.
///
/// One of sixteen random strings of 32 bytes is a valid public key. So a seed or a key id that is
/// given by mistake would sometimes be accepted, and a seed would be published. Base64url, the
/// encoding of key ids and of seeds in JWKs, is therefore refused. Hex is accepted, because
/// exported keys use it.
pub(super) fn public(text: &str) -> Result<PublicKey, FormatError> {
    // Key management services and Java print the content of a PEM block without the BEGIN and END
    // lines. The three lengths are those of an Ed25519 key and of the two encodings of a P-256 key.
    if matches!(text.len(), 60 | 80 | 124)
        && let Ok(der) = STANDARD.decode(text)
    {
        return pem::public_der(&der);
    }
    if cfg!(feature = "p256")
        && let Some(key) = bytes_of_hex::<65>(text)
            .as_deref()
            .map(|key| PublicKey::from_sec1(key))
            .or_else(|| bytes_of_hex::<33>(text).as_deref().map(|key| PublicKey::from_sec1(key)))
    {
        return key.map_err(|e| malformed("key in hex", e.to_string()));
    }
    let bytes = match (bytes_of_hex(text), base64(text)) {
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

fn bytes_of_hex<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let text = Some(text.as_bytes()).filter(|text| text.len() == 2 * N)?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut bytes = Zeroizing::new([0; N]);
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
