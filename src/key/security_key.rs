//! Security keys (FIDO, as OpenSSH uses them): keys that sign only after a person touched them.
//!
//! A security key does not sign a message itself. It signs 69 bytes: the SHA-256 of the name of an
//! application, its flags, its counter, and the SHA-256 of the message (PROTOCOL.u2f of OpenSSH,
//! section "SSH U2F Signatures"). The flags say whether a person was present.
//!
//! In this program, a signature of a security key is `sig(64) ‖ flags(1) ‖ counter(4, big endian)`.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{PublicKey, SignError};

/// The length of a signature of a security key, in bytes.
pub const PRESENCE_SIGNATURE_BYTES: usize = 69;

/// The beginning of the application name of each security key that OpenSSH makes.
const SCHEME: &str = "ssh:";

/// Maximum length of an application name, in bytes.
const MAX_APPLICATION_BYTES: usize = 256;

/// A flag in a signature: the key was touched by a person (WebAuthn section 6.1, bit 0).
const PRESENT: u8 = 0x01;
/// A flag in a signature: the key verified its user, by a PIN or a fingerprint (bit 2).
const VERIFIED: u8 = 0x04;
/// Flags that announce attestation data (bit 6) or extension data (bit 7) after the counter. A
/// signature of OpenSSH never has such data.
const MORE_DATA: u8 = 0x40 | 0x80;

/// The application of a security key, such as `ssh:mcpid`. A signature is valid for one application
/// only.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyApplication {
    text: String,
    hash: [u8; 32],
}

/// The error for a text that is not the name of an application of a security key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an application begins with {SCHEME} and has {MAX_APPLICATION_BYTES} visible ASCII characters at most"
)]
#[non_exhaustive]
pub struct KeyApplicationError;

impl KeyApplication {
    /// Reads the name of an application.
    ///
    /// ```
    /// use mcpid::key::KeyApplication;
    ///
    /// assert_eq!(KeyApplication::parse("ssh:mcpid")?.as_str(), "ssh:mcpid");
    /// assert!(KeyApplication::parse("https://example.com").is_err());
    /// # Ok::<(), mcpid::key::KeyApplicationError>(())
    /// ```
    ///
    /// # Errors
    /// [`KeyApplicationError`] unless the text begins with `ssh:` and is visible ASCII.
    pub fn parse(text: &str) -> Result<Self, KeyApplicationError> {
        let fits = text.len() <= MAX_APPLICATION_BYTES && text.starts_with(SCHEME);
        if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyApplicationError);
        }
        Ok(KeyApplication { text: text.to_owned(), hash: Sha256::digest(text).into() })
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns true for `ssh:`, the application of keys for logins.
    pub fn is_for_logins(&self) -> bool {
        self.text == SCHEME
    }

    /// Verifies a signature of the security key `key` over `message`, and that a person was present.
    ///
    /// # Errors
    /// [`PresenceError`].
    pub fn verify_presence(
        &self,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8; PRESENCE_SIGNATURE_BYTES],
    ) -> Result<PresenceProof, PresenceError> {
        // This cannot fail: an array of 69 bytes has a first part of 64 bytes and a last part of 5.
        let (Some(raw), Some(rest)) = (signature.first_chunk::<64>(), signature.last_chunk::<5>())
        else {
            return Err(PresenceError::Signature);
        };
        let [flags, counter @ ..] = *rest;
        let signed = [&self.hash[..], rest, &Sha256::digest(message)].concat();
        key.verify_strict(&signed, raw).map_err(|_| PresenceError::Signature)?;
        // The flags are used only after the verification, because the signature covers them.
        if flags & MORE_DATA != 0 {
            return Err(PresenceError::MoreData { flags });
        }
        if flags & PRESENT == 0 {
            return Err(PresenceError::NotPresent);
        }
        let verified = flags & VERIFIED != 0;
        Ok(PresenceProof { verified, counter: u32::from_be_bytes(counter) })
    }
}

#[cfg(feature = "audit")]
impl PresenceProof {
    /// Returns what a signature states. It is not verified here, so its statements prove nothing.
    pub(crate) fn stated(signature: &[u8; PRESENCE_SIGNATURE_BYTES]) -> Self {
        let [.., flags, a, b, c, d] = *signature;
        PresenceProof { verified: flags & VERIFIED != 0, counter: u32::from_be_bytes([a, b, c, d]) }
    }
}

impl fmt::Debug for KeyApplication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyApplication({})", self.text)
    }
}

/// What a valid signature of a security key states besides its message. Its presence flag is set.
///
/// This does not prove that the key is a hardware device: a program can set the flag too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceProof {
    /// Whether the key also verified its user, by a PIN or a fingerprint.
    pub verified: bool,
    /// The counter of the key. Some keys count the signatures for each application, some count all
    /// signatures together, and some do not count.
    pub counter: u32,
}

/// Why a signature of a security key is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// The signature is invalid for this key, application and message.
    #[error("the signature does not hold")]
    Signature,
    /// The presence flag (0x01) is not set.
    #[error("the security key signed without a touch: its presence flag is not set")]
    NotPresent,
    /// The flag 0x40 or 0x80 is set, which announces data that signatures of OpenSSH do not have.
    #[error("the flags {flags:#04x} announce data that such a signature does not have")]
    MoreData {
        /// All flags of the security key, in one byte.
        flags: u8,
    },
}

/// The public half of a security key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityKey {
    public: PublicKey,
    application: KeyApplication,
}

impl SecurityKey {
    /// Combines a public key with the application for which the security key made it.
    pub fn new(public: PublicKey, application: KeyApplication) -> Self {
        SecurityKey { public, application }
    }

    /// Returns the public key. A verifier also needs the application.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the application that the security key signs with, such as `ssh:mcpid`.
    pub fn application(&self) -> &KeyApplication {
        &self.application
    }

    /// Verifies a signature over `message`, and that a person was present.
    ///
    /// # Errors
    /// [`PresenceError`].
    pub fn verify(
        &self,
        message: &[u8],
        signature: &[u8; PRESENCE_SIGNATURE_BYTES],
    ) -> Result<PresenceProof, PresenceError> {
        self.application.verify_presence(&self.public, message, signature)
    }
}

/// A signer with a security key, which waits for a touch at each signature.
pub trait SignByTouch: Send + Sync {
    /// Returns the public half.
    fn security_key(&self) -> &SecurityKey;

    /// Waits for a touch of a security key, and returns the signature over `message`: `sig(64) ‖
    /// flags(1) ‖ counter(4, big endian)`.
    ///
    /// # Errors
    /// [`SignError`] if the key cannot be reached, or was not touched in time.
    fn sign_by_touch(&self, message: &[u8]) -> Result<[u8; PRESENCE_SIGNATURE_BYTES], SignError>;
}
