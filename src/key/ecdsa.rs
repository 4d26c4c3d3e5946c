//! ECDSA on the curve P-256 with SHA-256 (FIPS 186-5).
//!
//! The crate `p256` decodes points and derives public keys. The crate `ring` verifies and signs,
//! five times as fast as `p256`. Without the feature `p256`, both crates are left out, and every
//! constructor here returns an error.
//!
//! A signature is `r ‖ s`, 64 bytes (RFC 9421 section 3.3.4). `r` and `s` must lie between 1 and
//! the order of the curve. For every valid signature (`r`, `s`), (`r`, order − `s`) is valid too.
//! Both are accepted, as RFC 9421 permits. This is harmless, because no table uses the bytes of a
//! signature as its key.

#[cfg(feature = "p256")]
use std::sync::OnceLock;

#[cfg(feature = "p256")]
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use zeroize::Zeroizing;

use super::{BadSignature, PublicKeyError, SecretKeyError, SignError};

/// A point of P-256: `04 ‖ x ‖ y` (SEC 1 section 2.3.3), on the curve and not at infinity.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct EcdsaPoint([u8; 65]);

impl EcdsaPoint {
    /// Decodes a point from 65 bytes, or from the 33 bytes of its compressed form.
    pub(super) fn from_sec1(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        match (bytes.first(), bytes.len()) {
            (Some(4), 65) | (Some(2 | 3), 33) => decode(bytes).map(EcdsaPoint),
            _ => Err(PublicKeyError::P256),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }

    /// Returns `x` and `y`, 32 bytes each, big endian.
    pub(super) fn coordinates(&self) -> (&[u8], &[u8]) {
        self.0.get(1..).unwrap_or_default().split_at(32)
    }

    /// Returns the 33 bytes of the compressed form.
    pub(super) fn compressed(&self) -> [u8; 33] {
        let (x, y) = self.coordinates();
        let odd = y.last().is_some_and(|byte| byte & 1 == 1);
        std::array::from_fn(|at| match at.checked_sub(1) {
            None => 2 + u8::from(odd),
            Some(at) => x.get(at).copied().unwrap_or_default(),
        })
    }

    #[cfg(feature = "p256")]
    pub(super) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        ring::signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }

    #[cfg(not(feature = "p256"))]
    pub(super) fn verify(&self, _: &[u8], _: &[u8; 64]) -> Result<(), BadSignature> {
        Err(BadSignature)
    }
}

#[cfg(feature = "p256")]
fn decode(bytes: &[u8]) -> Result<[u8; 65], PublicKeyError> {
    let point = p256::PublicKey::from_sec1_bytes(bytes).map_err(|_| PublicKeyError::P256)?;
    (*point.to_sec1_bytes()).try_into().map_err(|_| PublicKeyError::P256)
}

#[cfg(not(feature = "p256"))]
fn decode(_: &[u8]) -> Result<[u8; 65], PublicKeyError> {
    Err(PublicKeyError::LeftOut)
}

/// A private key of P-256: a number from 1 to the order of the curve less 1, big endian.
#[cfg(feature = "p256")]
pub(super) struct EcdsaSecret {
    scalar: Zeroizing<[u8; 32]>,
    /// The key as the crate `ring` needs it. `ring` does not wipe this copy. The copy is made at
    /// the first signature, so that a key that is only imported or encrypted never has one.
    pair: OnceLock<EcdsaKeyPair>,
}

/// A private key of P-256. A build without the feature `p256` has no values of this type.
#[cfg(not(feature = "p256"))]
pub(super) enum EcdsaSecret {}

#[cfg(feature = "p256")]
impl EcdsaSecret {
    pub(super) fn from_scalar(scalar: &[u8; 32]) -> Result<(Self, EcdsaPoint), SecretKeyError> {
        let secret = p256::SecretKey::from_slice(scalar).map_err(|_| SecretKeyError::P256)?;
        let point = secret.public_key().to_sec1_bytes();
        let point = (*point).try_into().map(EcdsaPoint).map_err(|_| SecretKeyError::P256)?;
        let scalar = Zeroizing::new(*scalar);
        Ok((EcdsaSecret { scalar, pair: OnceLock::new() }, point))
    }

    pub(super) fn scalar(&self) -> Zeroizing<[u8; 32]> {
        self.scalar.clone()
    }

    /// Signs `message`; `public` is the key's point. The secret one-time number in the signature
    /// depends on the key, the message and the system's random numbers. So that number stays secret
    /// even if the random numbers are weak.
    pub(super) fn sign(&self, public: &[u8], message: &[u8]) -> Result<[u8; 64], SignError> {
        let random = ring::rand::SystemRandom::new();
        let pair = match self.pair.get() {
            Some(pair) => pair,
            None => {
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    self.scalar.as_slice(),
                    public,
                    &random,
                );
                let pair = pair.map_err(|_| SignError::new("the P-256 key cannot be prepared"))?;
                self.pair.get_or_init(|| pair)
            }
        };
        let signature = pair.sign(&random, message);
        let failed = || SignError::new("the system gives no random numbers for a P-256 signature");
        signature.ok().and_then(|signature| signature.as_ref().try_into().ok()).ok_or_else(failed)
    }
}

#[cfg(not(feature = "p256"))]
impl EcdsaSecret {
    pub(super) fn from_scalar(_: &[u8; 32]) -> Result<(Self, EcdsaPoint), SecretKeyError> {
        Err(SecretKeyError::LeftOut)
    }

    pub(super) fn scalar(&self) -> Zeroizing<[u8; 32]> {
        match *self {}
    }

    pub(super) fn sign(&self, _: &[u8], _: &[u8]) -> Result<[u8; 64], SignError> {
        match *self {}
    }
}

/// Returns the private key in the DER of PKCS#8 (RFC 5958, which contains the structure of RFC
/// 5915). If `sec1` is true, `der` is the structure of RFC 5915 alone.
///
/// # Errors
/// What is wrong, as a fragment of a sentence: not the expected DER, another curve, a private key
/// out of range, or a public key in the file that does not belong to the private key.
#[cfg(feature = "p256")]
pub(super) fn private_der(der: &[u8], sec1: bool) -> Result<Zeroizing<[u8; 32]>, String> {
    use p256::elliptic_curve::sec1::ToSec1Point as _;

    let secret = if sec1 {
        p256::SecretKey::from_sec1_der(der).map_err(|e| e.to_string())?
    } else {
        let info = p256::pkcs8::PrivateKeyInfoRef::try_from(der).map_err(|e| e.to_string())?;
        let public = info.public_key.as_ref().map(|bits| bits.as_bytes().map(<[u8]>::to_vec));
        let secret = p256::SecretKey::try_from(info).map_err(|e| e.to_string())?;
        // The crate `p256` compares the public key inside the structure of RFC 5915 with the
        // private key, but not the public key that PKCS#8 may contain.
        let own = secret.public_key();
        let is_own = |key: &[u8]| {
            [false, true].iter().any(|form| own.to_sec1_point(*form).as_bytes() == key)
        };
        if public.is_some_and(|key| !key.is_some_and(|key| is_own(&key))) {
            return Err("the public key is not that of the private key".to_owned());
        }
        secret
    };
    let mut scalar = Zeroizing::new([0; 32]);
    let bytes = Zeroizing::new(secret.to_bytes());
    scalar.copy_from_slice(&bytes);
    Ok(scalar)
}

#[cfg(not(feature = "p256"))]
pub(super) fn private_der(_: &[u8], _: bool) -> Result<Zeroizing<[u8; 32]>, String> {
    Err(SecretKeyError::LeftOut.to_string())
}
