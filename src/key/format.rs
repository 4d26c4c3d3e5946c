//! Key formats of other programs, read and written.
//!
//! | form | private in | public in | out |
//! |---|---|---|---|
//! | JWK (RFC 7517, 7518, 8037) | yes | yes | yes |
//! | JWKS | no | yes | yes |
//! | PEM (PKCS#8 and SPKI, RFC 5480 and 8410), text around it | yes | yes | public |
//! | PEM `EC PRIVATE KEY` (RFC 5915) | yes | | |
//! | OpenSSH key file, its public lines, `authorized_keys` | unencrypted | yes | line |
//! | OpenSSH line of a security key (FIDO) | | yes | line |
//! | SSH2 public key (RFC 4716) | | yes | |
//! | `did:key:z6Mk…`, `did:key:zDn…` | | yes | yes |
//! | hex | 32 bytes | 32 bytes of Ed25519, 33 or 65 of P-256 | 32 or 65 bytes |
//! | 32 bytes in base64 | yes | Ed25519, with padding | |
//! | SPKI in base64, without PEM | | yes | |
//! | keyfile | | its public part | |
//!
//! A point of P-256 has two forms (SEC 1 section 2.3.3). The compressed form is read only in SPKI,
//! `did:key` and hex, whose specifications allow it. [`read_private`] reads bare 32 bytes as the
//! seed of an Ed25519 key, and [`read_private_of`] as a private key of the named kind.
//!
//! The form is recognized from the content, never from a file's name. A byte order mark at the
//! start and any line ending are accepted. For input that is not a usable key, the error names its
//! kind.

use std::borrow::Cow;

use super::json::{self, StrictJson, StrictObject};
use super::keyfile::{Keyfile, KeyfileError};
use super::{KeyApplication, KeyKind, PublicKey, SecretKey, Sign as _};
use crate::clock::Timestamp;
use openssh::SshKey;

mod export;
pub(crate) mod jwk;
mod lines;
pub(super) mod openssh;
mod pem;
mod text;

pub(crate) use export::jwk_with_kid;
pub use export::{
    JwkAlg, did_key, hex, jwk, jwks, openssh, openssh_security_key, security_key_jwk, spki_pem,
};

/// A public key from another program, with the name and dates stated beside the key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportedKey {
    /// The key. It may be weak or published: code that trusts keys has to refuse such keys.
    pub key: PublicKey,
    /// The application of a security key, from its OpenSSH line or SSH2 key; `None` for other keys.
    pub application: Option<KeyApplication>,
    /// True if the OpenSSH line of a security key has the option `verify-required`: a signature
    /// counts only if the security key also verified its user, by a PIN or a fingerprint.
    pub verify_required: bool,
    /// The comment of an OpenSSH line, or the name in a keyfile. Can be any text.
    pub name: Option<String>,
    /// The `kid` of a JWK. Can be any text.
    pub kid: Option<String>,
    /// The first moment at which the key is valid: `nbf` of a JWK.
    pub not_before: Option<Timestamp>,
    /// The first moment at which the key is no longer valid: `exp` of a JWK. It may have passed.
    pub not_after: Option<Timestamp>,
}

impl ImportedKey {
    /// Returns the key of an SSH line or file, without a name or dates.
    fn ssh(SshKey { key, application }: SshKey) -> Self {
        ImportedKey { application, ..ImportedKey::new(key) }
    }

    fn new(key: PublicKey) -> Self {
        let (application, name, kid) = (None, None, None);
        let (not_before, not_after, verify_required) = (None, None, false);
        ImportedKey { key, application, verify_required, name, kid, not_before, not_after }
    }
}

/// Public keys that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyImport {
    /// The keys: at least one; several only from a JWKS, several PEM blocks or several lines.
    pub keys: Vec<ImportedKey>,
    /// A description of each part of the input that was ignored, as a fragment of a sentence.
    pub skipped: Vec<String>,
}

/// The reason why bytes could not be read as the expected key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The input has only white space.
    #[error("empty")]
    Empty,
    /// The input is not in any known key format.
    #[error("not a key in any known form")]
    Unrecognised,
    /// The input is a key or file of another kind than the wanted one.
    #[error("{found}, not {wanted}")]
    Instead {
        /// The kind of the input: `an RSA key`, `a certificate`, `a public key`.
        found: Cow<'static, str>,
        /// The expected kind: `an Ed25519 or P-256 key`, `a private key`, `a public key`.
        wanted: &'static str,
    },
    /// The input is an OpenSSH private key under a passphrase. `ssh-keygen -p` removes the
    /// passphrase.
    #[error("an encrypted OpenSSH key")]
    EncryptedOpenSsh,
    /// The input is a PEM private key under a passphrase. `openssl pkey` removes the passphrase.
    #[error("an encrypted PEM key")]
    EncryptedPem,
    /// The format of the input is known, but the input is malformed, or its parts contradict each
    /// other.
    #[error("not a proper {form}: {why}")]
    Malformed {
        /// The format that the input appears to have.
        form: &'static str,
        /// What is wrong. This text never contains a secret.
        why: String,
    },
    /// The input is 32 bytes that could be a public key or a secret.
    #[error("{0}")]
    Ambiguous(&'static str),
    /// A keyfile whose public part cannot be read.
    #[error(transparent)]
    Keyfile(#[from] KeyfileError),
}

pub(super) const PRIVATE: &str = "a private key";
pub(super) const PUBLIC: &str = "a public key";
/// The kinds of keys that this build signs and verifies with.
pub(super) const SIGNING: &str = match cfg!(feature = "p256") {
    true => "an Ed25519 or P-256 key",
    false => "an Ed25519 key",
};
/// A key of P-256, in a build without the feature `p256`.
pub(super) const LEFT_OUT: &str = "a P-256 key, which this build leaves out";

pub(super) fn instead(found: impl Into<Cow<'static, str>>, wanted: &'static str) -> FormatError {
    FormatError::Instead { found: found.into(), wanted }
}

pub(super) fn malformed(form: &'static str, why: impl Into<String>) -> FormatError {
    FormatError::Malformed { form, why: why.into() }
}

/// Reads a private key: JWK, PKCS#8 PEM, PEM of RFC 5915, OpenSSH key file, or the bare 32 bytes in
/// hex or base64, which are read as the seed of an Ed25519 key.
///
/// # Errors
/// [`FormatError`]. If the file also holds a public key, the two keys must belong together. A
/// keyfile is refused because it needs no import.
pub fn read_private(bytes: &[u8]) -> Result<SecretKey, FormatError> {
    private(bytes, KeyKind::Ed25519)
}

/// Reads a private key of `kind` as [`read_private`] does. Bare 32 bytes are read as a private key
/// of that kind.
///
/// # Errors
/// [`FormatError`]; a key of another kind is refused.
pub fn read_private_of(kind: KeyKind, bytes: &[u8]) -> Result<SecretKey, FormatError> {
    let key = private(bytes, kind)?;
    match key.public().kind() {
        found if found == kind => Ok(key),
        found => Err(instead(found.described(), kind.described())),
    }
}

/// Reads a private key of any kind. `bare` is the kind of key that bare 32 bytes are read as.
fn private(bytes: &[u8], bare: KeyKind) -> Result<SecretKey, FormatError> {
    match KeyForm::of(bytes)? {
        KeyForm::Json(json) => private_json(&json),
        KeyForm::Pem(text) => pem::private(text),
        KeyForm::Lines(text) if text.starts_with("did:") => Err(instead("a DID", PRIVATE)),
        KeyForm::Lines(text) => match lines::public(text) {
            Some(found) => found.and(Err(instead(PUBLIC, PRIVATE))),
            None => text::private(text, bare),
        },
    }
}

/// Reads public keys: JWK, JWKS, SPKI PEM, OpenSSH lines, an SSH2 key, `did:key`, hex, an Ed25519
/// key in padded base64, or the public part of a keyfile.
///
/// # Errors
/// [`FormatError`]. A private key is refused although its public half is known, because the key may
/// have leaked. 32 bytes that encode no key are refused. 43 characters of base64url are refused
/// too, because key ids have this form.
pub fn read_public(bytes: &[u8]) -> Result<KeyImport, FormatError> {
    let one = |key, name| {
        Ok(KeyImport {
            keys: vec![ImportedKey { name, ..ImportedKey::new(key) }],
            skipped: Vec::new(),
        })
    };
    match KeyForm::of(bytes)? {
        KeyForm::Json(json) => {
            let object = json.as_object().ok_or(FormatError::Unrecognised)?;
            if is_keyfile(object) {
                let file = Keyfile::from_json(bytes)?;
                return one(file.public().clone(), Some(file.name().to_owned()));
            }
            jwk::import(object)
        }
        KeyForm::Pem(text) => {
            let keys = pem::public(text)?.into_iter().map(ImportedKey::ssh).collect();
            Ok(KeyImport { keys, skipped: Vec::new() })
        }
        KeyForm::Lines(text) if text.starts_with("did:") => one(text::did_key(text)?, None),
        KeyForm::Lines(text) => match lines::public(text) {
            Some(found) => found,
            None => one(text::public(text)?, None),
        },
    }
}

/// The format of the input, as recognized from its first bytes.
enum KeyForm<'a> {
    Json(StrictJson),
    Pem(&'a str),
    Lines(&'a str),
}

impl<'a> KeyForm<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let bytes = json::without_bom(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => instead("UTF-16 text", "UTF-8"),
            // The byte 0x30 begins a DER sequence, such as the key inside a PEM block.
            [0x30, ..] => instead("binary data, DER perhaps", "text"),
            _ => instead("binary data", "text"),
        })?;
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(FormatError::Empty);
        }
        if text.starts_with(['{', '[']) {
            return json::read(bytes)
                .map(KeyForm::Json)
                .map_err(|e| malformed("JSON", e.to_string()));
        }
        Ok(if pem::begins(text) { KeyForm::Pem(text) } else { KeyForm::Lines(text) })
    }
}

fn is_keyfile(object: &StrictObject) -> bool {
    object.get("mcpid").and_then(StrictJson::as_str).is_some_and(|v| v.starts_with("keyfile/"))
}

fn private_json(json: &StrictJson) -> Result<SecretKey, FormatError> {
    let object = json.as_object().ok_or(FormatError::Unrecognised)?;
    if is_keyfile(object) {
        return Err(instead("a keyfile", "a key to import"));
    }
    jwk::private(object)
}
