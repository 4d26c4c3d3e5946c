//! The key of a signer: an ordinary key, or a security key that signs by a touch.

use std::sync::Arc;

use crate::key::{PRESENCE_SIGNATURE_BYTES, PublicKey, SecurityKey, Sign, SignByTouch, SignError};

/// A key that signs requests.
pub(super) enum SignerKey {
    Plain(Arc<dyn Sign>),
    SecurityKey(Arc<dyn SignByTouch>),
}

impl SignerKey {
    pub(super) fn public(&self) -> &PublicKey {
        match self {
            SignerKey::Plain(key) => key.public(),
            SignerKey::SecurityKey(key) => key.security_key().public(),
        }
    }

    pub(super) fn security_key(&self) -> Option<&SecurityKey> {
        match self {
            SignerKey::Plain(_) => None,
            SignerKey::SecurityKey(key) => Some(key.security_key()),
        }
    }

    /// Returns the signature over `base`: 64 bytes, or 69 of a security key.
    pub(super) fn sign(&self, base: &[u8]) -> Result<Vec<u8>, SignError> {
        match self {
            SignerKey::Plain(key) => key.sign(base).map(|signature| signature.to_vec()),
            SignerKey::SecurityKey(key) => {
                key.sign_by_touch(base).map(|signature| signature.to_vec())
            }
        }
    }

    /// Returns true if `signature` is a valid signature of this key over `base`.
    pub(super) fn has_signed(&self, base: &[u8], signature: &[u8]) -> bool {
        match self {
            SignerKey::Plain(key) => signature
                .try_into()
                .is_ok_and(|signature| key.public().verify_strict(base, signature).is_ok()),
            SignerKey::SecurityKey(key) => {
                let signature: Result<&[u8; PRESENCE_SIGNATURE_BYTES], _> = signature.try_into();
                signature.is_ok_and(|signature| key.security_key().verify(base, signature).is_ok())
            }
        }
    }
}
