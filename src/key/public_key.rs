//! Public keys. Each is checked once, when it is decoded.

use std::fmt;

use ed25519_dalek::Verifier as _;

use super::ecdsa::EcdsaPoint;
use super::{BadSignature, JwkMembers, KeyId, KeyKind, PublicKeyError, published};

/// A public key, decoded once, with its id: Ed25519 (RFC 8032) or P-256 (FIPS 186-5).
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: PublicPoint,
    id: KeyId,
    weak: bool,
    published: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum PublicPoint {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(EcdsaPoint),
}

/// The canonical encoding of the curve's identity: `y` is 1.
const IDENTITY: [u8; 32] = {
    let mut encoding = [0; 32];
    encoding[0] = 1;
    encoding
};

impl PublicKey {
    /// Decodes the 32 bytes of an Ed25519 key (RFC 8032 section 5.1.3).
    ///
    /// # Errors
    /// [`PublicKeyError`]. A y coordinate of 2^255−19 or more is refused, because the same key
    /// would then have two encodings and two ids.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, PublicKeyError> {
        let point =
            ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError::Ed25519)?;
        let edwards = point.to_edwards();
        if edwards.compress().as_bytes() != bytes {
            return Err(PublicKeyError::Ed25519);
        }
        // With a key of small order, one signature is valid for many messages. With a key of mixed
        // order, verifiers disagree about its signatures. Regular key generation makes neither
        // kind.
        let weak = point.is_weak() || !edwards.is_torsion_free();
        Ok(PublicKey::of_ed25519(point, weak))
    }

    /// Decodes a key of P-256 in the form of SEC 1 section 2.3.4: 65 bytes, or 33 compressed ones.
    ///
    /// ```
    /// # #[cfg(feature = "p256")] {
    /// use mcpid::key::{KeyKind, PublicKey};
    ///
    /// // The point whose x is 5, compressed.
    /// let mut point = [0; 33];
    /// (point[0], point[32]) = (2, 5);
    /// let key = PublicKey::from_sec1(&point).unwrap();
    /// assert_eq!((key.kind(), key.as_bytes().len()), (KeyKind::P256, 65));
    /// assert!(PublicKey::from_sec1(&[0]).is_err());
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`PublicKeyError`]: a point that is not on the curve, the point at infinity, a coordinate
    /// that is not below the prime, any other form; every key in a build without the feature
    /// `p256`.
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        Ok(PublicKey::of_p256(EcdsaPoint::from_sec1(bytes)?))
    }

    pub(super) fn of_ed25519(point: ed25519_dalek::VerifyingKey, weak: bool) -> Self {
        let id = KeyId::of(KeyKind::Ed25519, point.as_bytes());
        let published = published::is_published(KeyKind::Ed25519, point.as_bytes());
        PublicKey { point: PublicPoint::Ed25519(point), id, weak, published }
    }

    pub(super) fn of_p256(point: EcdsaPoint) -> Self {
        let id = KeyId::of(KeyKind::P256, point.as_bytes());
        let published = published::is_published(KeyKind::P256, point.coordinates().0);
        // Every point of P-256 except the point at infinity has prime order, so no key is weak.
        PublicKey { point: PublicPoint::P256(point), id, weak: false, published }
    }

    /// Returns the kind of the key.
    pub fn kind(&self) -> KeyKind {
        match &self.point {
            PublicPoint::Ed25519(_) => KeyKind::Ed25519,
            PublicPoint::P256(_) => KeyKind::P256,
        }
    }

    /// Returns the key as bytes: the 32 of Ed25519, or `04 ‖ x ‖ y`, 65 bytes, of P-256.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.point {
            PublicPoint::Ed25519(point) => point.as_bytes(),
            PublicPoint::P256(point) => point.as_bytes(),
        }
    }

    /// Returns the 33 bytes of the compressed form (SEC 1 section 2.3.3) of a key of P-256.
    pub(crate) fn compressed(&self) -> Option<[u8; 33]> {
        match &self.point {
            PublicPoint::Ed25519(_) => None,
            PublicPoint::P256(point) => Some(point.compressed()),
        }
    }

    /// Returns the members of the key's JWK that form the public key.
    pub(crate) fn jwk_members(&self) -> JwkMembers {
        JwkMembers::of(self.kind(), self.as_bytes())
    }

    /// Returns the key's id.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Returns true if the key has a component of small order. Signatures of such a key prove
    /// nothing.
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// Returns true if the private half is published in an RFC or a specification's example, or is
    /// an obvious value, such as zeros. Every attacker can sign with such a key.
    pub fn is_published(&self) -> bool {
        self.published
    }

    /// Verifies a signature by the algorithm of the key's kind.
    ///
    /// Ed25519: the check is without cofactor, and refuses small-order `R` and weak keys. Under all
    /// other keys it accepts the same signatures as `ed25519_dalek::VerifyingKey::verify_strict`,
    /// which spends a seventh of its time on decoding `R` to learn its order.
    ///
    /// P-256: `signature` is `r ‖ s`, each from 1 to the order of the curve less 1. Each valid
    /// signature has a second valid form, with `s` subtracted from the order.
    ///
    /// # Errors
    /// [`BadSignature`], which states no reason.
    pub fn verify_strict(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        match &self.point {
            PublicPoint::Ed25519(point) => {
                // A key that is not weak lies in the group of prime order. So `[S]B - [k]A` lies in
                // that group too, and `R` has to equal its canonical encoding. The only point of
                // small order in that group is the identity, which the line below refuses.
                if self.weak || signature.starts_with(&IDENTITY) {
                    return Err(BadSignature);
                }
                let signature = ed25519_dalek::Signature::from_bytes(signature);
                point.verify(message, &signature).map_err(|_| BadSignature)
            }
            PublicPoint::P256(point) => point.verify(message, signature),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}
