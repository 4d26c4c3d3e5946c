//! Placeholder keys, whose signatures are zero bytes. They are used to try everything else before
//! the real key is opened or touched.

use mcpid::key::{PRESENCE_SIGNATURE_BYTES, PublicKey, SecurityKey, Sign, SignByTouch, SignError};

/// A placeholder for a key that is not a security key.
pub(super) struct PlaceholderSigner(pub(super) PublicKey);

impl Sign for PlaceholderSigner {
    fn public(&self) -> &PublicKey {
        &self.0
    }

    fn sign(&self, _message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok([0; 64])
    }
}

/// A placeholder for a security key.
pub(super) struct PlaceholderKey(pub(super) SecurityKey);

impl SignByTouch for PlaceholderKey {
    fn security_key(&self) -> &SecurityKey {
        &self.0
    }

    fn sign_by_touch(&self, _: &[u8]) -> Result<[u8; PRESENCE_SIGNATURE_BYTES], SignError> {
        Ok([0; PRESENCE_SIGNATURE_BYTES])
    }
}
