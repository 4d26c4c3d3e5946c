//! The kinds of signing keys, and the names that other formats give them.

use std::fmt;

/// The kind of a signing key. The kind alone decides the algorithm of its signatures (RFC 9421
/// section 3.2, step 6); both algorithms make signatures of 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA on the curve P-256 with SHA-256 (FIPS 186-5). Without the feature `p256`, this kind is
    /// known but no key of this kind can be used.
    P256,
}

impl KeyKind {
    /// All kinds.
    pub const ALL: &'static [KeyKind] = &[KeyKind::Ed25519, KeyKind::P256];

    /// Returns the name in flags and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyKind::Ed25519 => "ed25519",
            KeyKind::P256 => "p256",
        }
    }

    /// Returns the name of the algorithm in the signature parameter `alg` (RFC 9421 section 6.2).
    pub fn alg(self) -> &'static str {
        match self {
            KeyKind::Ed25519 => "ed25519",
            KeyKind::P256 => "ecdsa-p256-sha256",
        }
    }

    /// Returns the kind of keys whose algorithm the signature parameter `alg` names.
    ///
    /// ```
    /// use mcpid::key::KeyKind;
    ///
    /// assert_eq!(KeyKind::from_alg("ecdsa-p256-sha256"), Some(KeyKind::P256));
    /// assert_eq!(KeyKind::from_alg("ES256"), None);
    /// ```
    pub fn from_alg(alg: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.alg() == alg)
    }

    /// Returns the kind with its article: `an Ed25519 key`.
    pub fn described(self) -> &'static str {
        match self {
            KeyKind::Ed25519 => "an Ed25519 key",
            KeyKind::P256 => "a P-256 key",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
