//! Keys: the identity of a signer, and the storage of keys on disk.
//!
//! ```text
//! elsewhere ─ format ─► SecretKey ─ keyfile ─ store ─► key.json      the signer's side
//! key.json | ssh-agent ─ source ─► Sign, wherever the private half is
//! elsewhere ─ format ─► PublicKey ─ trust ─── store ─► trust.json    the verifier's side
//! ```
//!
//! A [`PublicKey`] is judged when it is decoded: is it weak, is its private half published, and
//! what is its id. This module reads no clock and asks for no passphrase.

use std::borrow::Borrow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, Verifier as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

#[cfg(unix)]
pub mod agent;
pub mod format;
mod json;
pub mod keyfile;
mod misplaced;
mod published;
pub mod source;
pub mod store;
pub mod trust;

pub use json::JsonError;

/// A key's id: the RFC 7638 SHA-256 thumbprint of its JWK, 43 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 43]);

impl KeyId {
    /// Returns the id of the Ed25519 public key `key`: RFC 7638 over the RFC 8037 members `crv`,
    /// `kty` and `x`, which are already in the order and spelling that section 3 demands.
    fn of(key: &[u8; 32]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(key);
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
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

    /// Returns the 43 characters.
    pub fn as_str(&self) -> &str {
        // The array contains only ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Tables of ids can be searched for bytes that are not checked yet.
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

/// An Ed25519 public key (RFC 8032), decoded once, with its id.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: ed25519_dalek::VerifyingKey,
    id: KeyId,
    weak: bool,
    published: bool,
}

/// The error for bytes that encode no point of the curve, or encode one in a non-canonical way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the canonical encoding of an Ed25519 public key")]
#[non_exhaustive]
pub struct PublicKeyError;

/// The canonical encoding of the curve's identity: `y` is 1.
const IDENTITY: [u8; 32] = {
    let mut encoding = [0; 32];
    encoding[0] = 1;
    encoding
};

impl PublicKey {
    /// Decodes 32 bytes (RFC 8032 section 5.1.3).
    ///
    /// # Errors
    /// [`PublicKeyError`]. A y coordinate of 2^255−19 or more is one: it would give one key two ids.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, PublicKeyError> {
        let point = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError)?;
        let edwards = point.to_edwards();
        if edwards.compress().as_bytes() != bytes {
            return Err(PublicKeyError);
        }
        // With a key of small order, one signature fits many messages; with one of mixed order,
        // verifiers disagree about its signatures. Honest key generation makes neither.
        let weak = point.is_weak() || !edwards.is_torsion_free();
        let published = published::is_published(bytes);
        Ok(PublicKey { point, id: KeyId::of(bytes), weak, published })
    }

    /// Returns the 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.point.as_bytes()
    }

    /// Returns the key's id.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Returns true if the key has a component of small order; signatures under such a key prove
    /// nothing.
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// Returns true if the private half is published in an RFC or a specification's example, or is
    /// a very obvious seed, so that every attacker can sign with it. Judged once, at decoding.
    pub fn is_published(&self) -> bool {
        self.published
    }

    /// Verifies without cofactor and refuses small-order `R` and weak keys. Under all other keys it
    /// accepts the same signatures as `ed25519_dalek::VerifyingKey::verify_strict`, which decodes
    /// `R` to see its order: a seventh of its time.
    ///
    /// # Errors
    /// [`BadSignature`], which never says why.
    pub fn verify_strict(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        // A key that is not weak lies in the group of prime order, so `[S]B - [k]A`, whose
        // canonical encoding `R` has to equal, lies there too. Only the identity has small order
        // in that group.
        if self.weak || signature.starts_with(&IDENTITY) {
            return Err(BadSignature);
        }
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.point.verify(message, &signature).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

/// A signature that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
#[non_exhaustive]
pub struct BadSignature;

/// A signer with one Ed25519 key, wherever the private half is kept: in memory, in an agent, or in a
/// source that is written elsewhere.
pub trait Sign: Send + Sync {
    /// Returns the public half.
    fn public(&self) -> &PublicKey;

    /// Returns the Ed25519 signature over `message`, 64 bytes.
    ///
    /// # Errors
    /// [`SignError`] if the source of the private half cannot be reached or declines; a
    /// [`SecretKey`] in memory never fails.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// The source of a private key did not sign.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub struct SignError(pub Box<dyn std::error::Error + Send + Sync>);

impl SignError {
    /// Creates the error of another source: why it did not sign, in a lower-case fragment.
    pub fn new(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        SignError(why.into())
    }
}

/// An Ed25519 private key in memory: the RFC 8032 seed, wiped when it is dropped.
///
/// ```
/// use mcpid::key::{SecretKey, Sign};
/// use rand::rngs::SysRng;
///
/// let key = SecretKey::generate(&mut SysRng)?;
/// let signature = key.sign(b"message")?;
/// assert!(key.public().verify_strict(b"message", &signature).is_ok());
/// assert!(key.public().verify_strict(b"another", &signature).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SecretKey {
    key: ed25519_dalek::SigningKey,
    public: PublicKey,
}

impl SecretKey {
    /// Creates the key whose seed is `seed` (RFC 8032 section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let point = key.verifying_key();
        // A clamped scalar times the base point has prime order, and compresses canonically.
        let published = published::is_published(point.as_bytes());
        let id = KeyId::of(point.as_bytes());
        SecretKey { key, public: PublicKey { point, id, weak: false, published } }
    }

    /// Creates a new key from `random`, which must be a cryptographic generator.
    ///
    /// # Errors
    /// The error of the generator.
    pub fn generate<R: rand::TryCryptoRng>(random: &mut R) -> Result<Self, R::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        random.try_fill_bytes(seed.as_mut())?;
        Ok(SecretKey::from_seed(&seed))
    }

    /// Returns the seed, for sealing it into a keyfile.
    pub(crate) fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }
}

impl Sign for SecretKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(self.key.sign(message).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}, [secret])", self.public.id)
    }
}
