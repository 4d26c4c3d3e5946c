//! Keys: the identity of a signer, and the storage of keys on disk.
//!
//! ```text
//! elsewhere ─ format ─► SecretKey ─ keyfile ─ store ─► key.json      the signer's side
//! key.json | ssh-agent | exec: | pkcs11: ─ source ─► Sign, wherever the private half is
//! elsewhere ─ format ─► PublicKey ─ trust ─── store ─► trust.json    the verifier's side
//! ```
//!
//! A [`PublicKey`] is judged when it is decoded: whether it is weak, whether its private half is
//! published, and which id it has. This module reads no clock and asks for no passphrase.

use std::borrow::Borrow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

#[cfg(unix)]
pub mod agent;
mod ecdsa;
pub mod exec;
pub mod file_io;
pub mod file_watch;
pub mod format;
mod json;
pub mod keyfile;
mod kind;
mod misplaced;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
mod public_key;
mod published;
mod secret_key;
mod security_key;
pub mod source;
pub mod trust;

pub use json::JsonError;
pub use kind::KeyKind;
pub use public_key::PublicKey;
pub use secret_key::SecretKey;
pub use security_key::{
    KeyApplication, KeyApplicationError, PRESENCE_SIGNATURE_BYTES, PresenceError, PresenceProof,
    SecurityKey, SignByTouch,
};

/// A key's id: the RFC 7638 SHA-256 thumbprint of its JWK, 43 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 43]);

impl KeyId {
    /// Returns the id of a key of `kind` in the form of [`PublicKey::as_bytes`]. The id is the hash
    /// of RFC 7638 over the members `crv`, `kty`, `x` (RFC 8037), and for P-256 `y` (RFC 7518
    /// section 6.2), in the order that section 3.2 demands. The bytes need not encode a valid key.
    fn of(kind: KeyKind, key: &[u8]) -> Self {
        let JwkMembers { kty, crv, x, y } = JwkMembers::of(kind, key);
        let y = y.map(|y| format!(r#","y":"{y}""#)).unwrap_or_default();
        let jwk = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}"{y}}}"#);
        let mut id = [0; 43];
        let written = URL_SAFE_NO_PAD.encode_slice(Sha256::digest(jwk), &mut id);
        debug_assert_eq!(written, Ok(43));
        KeyId(id)
    }

    /// Returns the id that is written as `text`, or `None` unless it is 43 base64url characters
    /// whose unused bits are zero. Whether any key has this id is not checked.
    pub fn from_text(text: &str) -> Option<Self> {
        let id: [u8; 43] = text.as_bytes().try_into().ok()?;
        let mut thumbprint = [0; 33];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut thumbprint).ok()?;
        (length == 32).then_some(KeyId(id))
    }

    /// Returns the 43 characters as bytes.
    pub(crate) fn as_bytes(&self) -> &[u8; 43] {
        &self.0
    }

    /// Returns the 43 characters.
    pub fn as_str(&self) -> &str {
        // This cannot fail: the array contains only ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Permits looking up an id in a table by 43 bytes that were not checked to be an id.
impl Borrow<[u8; 43]> for KeyId {
    fn borrow(&self) -> &[u8; 43] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.as_str())
    }
}

/// The members of a JWK that make up the public key: RFC 8037 section 2, RFC 7518 section 6.2.1.
pub(crate) struct JwkMembers {
    pub(crate) kty: &'static str,
    pub(crate) crv: &'static str,
    pub(crate) x: String,
    /// The `y` coordinate, which only keys of P-256 have.
    pub(crate) y: Option<String>,
}

impl JwkMembers {
    /// Returns the JWK members of a key that is given as [`PublicKey::as_bytes`] returns it.
    fn of(kind: KeyKind, key: &[u8]) -> Self {
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match kind {
            KeyKind::Ed25519 => JwkMembers { kty: "OKP", crv: "Ed25519", x: base64(key), y: None },
            KeyKind::P256 => {
                let (x, y) =
                    key.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
                JwkMembers { kty: "EC", crv: "P-256", x: base64(x), y: Some(base64(y)) }
            }
        }
    }
}

impl fmt::Display for JwkMembers {
    /// The members as JSON, without braces, in the order of the RFCs' examples.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JwkMembers { kty, crv, x, y } = self;
        write!(f, r#""kty":"{kty}","crv":"{crv}","x":"{x}""#)?;
        match y {
            Some(y) => write!(f, r#","y":"{y}""#),
            None => Ok(()),
        }
    }
}

/// The error for bytes that encode no point of the curve, or encode one in a non-canonical way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// The 32 bytes are not the canonical encoding of a point of Ed25519.
    #[error("not the canonical encoding of an Ed25519 public key")]
    Ed25519,
    /// The bytes encode no point of P-256: off the curve, the point at infinity, a coordinate not
    /// below the prime, or an encoding that SEC 1 does not define.
    #[error("not a point of P-256")]
    P256,
    /// The key is of P-256, and this build lacks the feature `p256`.
    #[error("of P-256, which this build leaves out")]
    LeftOut,
}

/// The error for 32 bytes that are no private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretKeyError {
    /// The number is zero, or not below the order of the curve.
    #[error("not a private key of P-256: zero, or not below the order of the curve")]
    P256,
    /// The key is of P-256, and this build lacks the feature `p256`.
    #[error("a private key of P-256, which this build leaves out")]
    LeftOut,
}

/// The error for an invalid signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
#[non_exhaustive]
pub struct BadSignature;

/// A signer with one key. The private half can be in memory, in an ssh-agent, in a hardware token,
/// or in another program.
pub trait Sign: Send + Sync {
    /// Returns the public half.
    fn public(&self) -> &PublicKey;

    /// Returns the signature over `message`, 64 bytes: that of Ed25519, or `r ‖ s` of ECDSA with
    /// SHA-256 for a key of P-256.
    ///
    /// # Errors
    /// [`SignError`] if the source of the private half cannot be reached or declines. A
    /// [`SecretKey`] in memory fails only if it is of P-256 and the system has no random numbers.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// The error of a key that did not sign.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub struct SignError(pub Box<dyn std::error::Error + Send + Sync>);

impl SignError {
    /// Creates the error for an implementation of [`Sign`] outside of this crate. `why` is the
    /// reason, a lower-case fragment.
    pub fn new(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        SignError(why.into())
    }
}
