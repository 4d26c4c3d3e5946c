//! Private keys in memory.

use std::fmt;

use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use super::ecdsa::EcdsaSecret;
use super::{KeyKind, PublicKey, SecretKeyError, Sign, SignError};

/// A private key in memory, wiped when it is dropped: the RFC 8032 seed of an Ed25519 key, or the
/// number of a P-256 key. The first signature with a P-256 key makes a second copy inside `ring`,
/// which is not wiped.
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
    private: PrivateHalf,
    public: PublicKey,
}

enum PrivateHalf {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P256(Box<EcdsaSecret>),
}

impl SecretKey {
    /// Creates the Ed25519 key whose seed is `seed` (RFC 8032 section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = Box::new(ed25519_dalek::SigningKey::from_bytes(seed));
        // The public key of a regular Ed25519 key has prime order and a canonical encoding, so it
        // is not weak.
        let public = PublicKey::of_ed25519(key.verifying_key(), false);
        SecretKey { private: PrivateHalf::Ed25519(key), public }
    }

    /// Creates the key of P-256 whose private key is the big-endian number `scalar`.
    ///
    /// # Errors
    /// [`SecretKeyError`] if the number is zero or not below the order of the curve, and for every
    /// key in a build without the feature `p256`.
    pub fn from_p256_scalar(scalar: &[u8; 32]) -> Result<Self, SecretKeyError> {
        let (secret, point) = EcdsaSecret::from_scalar(scalar)?;
        let public = PublicKey::of_p256(point);
        Ok(SecretKey { private: PrivateHalf::P256(Box::new(secret)), public })
    }

    /// Creates the key of `kind` from the 32 bytes of [`SecretKey::to_bytes`].
    pub(crate) fn of_kind(kind: KeyKind, secret: &[u8; 32]) -> Result<Self, SecretKeyError> {
        match kind {
            KeyKind::Ed25519 => Ok(SecretKey::from_seed(secret)),
            KeyKind::P256 => SecretKey::from_p256_scalar(secret),
        }
    }

    /// Creates a new Ed25519 key from `random`, which must be a cryptographic generator.
    ///
    /// # Errors
    /// The error of the generator.
    pub fn generate<R: rand::TryCryptoRng>(random: &mut R) -> Result<Self, R::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        random.try_fill_bytes(seed.as_mut())?;
        Ok(SecretKey::from_seed(&seed))
    }

    /// Creates a new key of P-256 from `random`, which must be a cryptographic generator.
    ///
    /// # Errors
    /// The error of the generator.
    #[cfg(feature = "p256")]
    pub fn generate_p256<R: rand::TryCryptoRng>(random: &mut R) -> Result<Self, R::Error> {
        let mut scalar = Zeroizing::new([0; 32]);
        loop {
            random.try_fill_bytes(scalar.as_mut())?;
            // One of 2^32 random numbers is not below the order of the curve, and another one is
            // drawn (FIPS 186-5, A.2.2).
            if let Ok(key) = SecretKey::from_p256_scalar(&scalar) {
                return Ok(key);
            }
        }
    }

    /// Returns the 32 bytes of the private key, for encrypting it into a keyfile.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        match &self.private {
            PrivateHalf::Ed25519(key) => Zeroizing::new(key.to_bytes()),
            PrivateHalf::P256(key) => key.scalar(),
        }
    }
}

impl Sign for SecretKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        match &self.private {
            PrivateHalf::Ed25519(key) => Ok(key.sign(message).to_bytes()),
            PrivateHalf::P256(key) => key.sign(self.public.as_bytes(), message),
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}, [secret])", self.public.id())
    }
}
