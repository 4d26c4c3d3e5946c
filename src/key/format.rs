//! Keys in the forms that other programs read and write.
//!
//! | form | private in | public in | out |
//! |---|---|---|---|
//! | JWK (RFC 7517, 8037) | yes | yes | yes |
//! | JWKS | no | yes | yes |
//! | PEM (PKCS#8 and SPKI, RFC 8410) | yes | yes | public |
//! | OpenSSH key file, `ssh-ed25519` line | unencrypted | yes | line |
//! | `did:key:z6Mk…` | | yes | yes |
//! | 32 bytes in hex | seed | key | key |
//! | 32 bytes in base64 | seed | key, with padding | |
//! | keyfile | | its public part | |
//!
//! The form is found out by looking, never by a file's name. What is not a key that can be used
//! is named for what it is.

use std::borrow::Cow;

use super::json::{self, Json, Members};
use super::keyfile::{Keyfile, KeyfileError};
use super::{PublicKey, SecretKey};

mod export;
pub(crate) mod jwk;
pub(super) mod openssh;
mod pem;
mod text;

pub(crate) use export::jwk_with_kid;
pub use export::{JwkAlg, did_key, hex, jwk, jwks, openssh, spki_pem};

/// A public key from elsewhere, with what came along.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// The key. It may be weak or published: that is for whoever would trust it to refuse.
    pub key: PublicKey,
    /// The comment of an OpenSSH line or the name in a keyfile: any text at all.
    pub name: Option<String>,
    /// The `kid` of a JWK: any text at all.
    pub kid: Option<String>,
}

/// Public keys that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Import {
    /// At least one; more only from a JWKS.
    pub keys: Vec<Imported>,
    /// What a JWKS held besides, one fragment each.
    pub skipped: Vec<String>,
}

/// Why bytes are not the key that was wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// There is nothing but white space.
    #[error("empty")]
    Empty,
    /// Nothing that looks like a key.
    #[error("not a key in any known form")]
    Unrecognised,
    /// Something else than what was wanted.
    #[error("{found}, not {wanted}")]
    Instead {
        /// What it is: `an RSA key`, `a certificate`, `a public key`.
        found: Cow<'static, str>,
        /// What was wanted: `an Ed25519 key`, `a private key`, `a public key`.
        wanted: &'static str,
    },
    /// An OpenSSH private key under a passphrase. `ssh-keygen -p` takes it off.
    #[error("an encrypted OpenSSH key")]
    EncryptedOpenSsh,
    /// A PEM private key under a passphrase. `openssl pkey` takes it off.
    #[error("an encrypted PEM key")]
    EncryptedPem,
    /// The form is known, but it is broken, or says two different things.
    #[error("not a proper {form}: {why}")]
    Malformed {
        /// The form it appears to be in.
        form: &'static str,
        /// What is wrong. Never holds secret text.
        why: String,
    },
    /// 32 bytes that could be several things, among them a secret.
    #[error("{0}")]
    Ambiguous(&'static str),
    /// A keyfile whose public part cannot be read.
    #[error(transparent)]
    Keyfile(#[from] KeyfileError),
}

pub(super) const PRIVATE: &str = "a private key";
pub(super) const PUBLIC: &str = "a public key";
pub(super) const ED25519: &str = "an Ed25519 key";

pub(super) fn instead(found: impl Into<Cow<'static, str>>, wanted: &'static str) -> FormatError {
    FormatError::Instead { found: found.into(), wanted }
}

pub(super) fn malformed(form: &'static str, why: impl Into<String>) -> FormatError {
    FormatError::Malformed { form, why: why.into() }
}

/// Reads a private key: JWK, PKCS#8 PEM, OpenSSH key file, or a bare seed in hex or base64.
///
/// # Errors
/// [`FormatError`]. Wherever a public key stands beside the private one, they must belong
/// together. A keyfile is refused: there is nothing to import, it is one already.
pub fn read_private(bytes: &[u8]) -> Result<SecretKey, FormatError> {
    match Form::of(bytes)? {
        Form::Json(json) => private_json(&json),
        Form::Pem(text) => pem::private(text),
        Form::Line(line) if line.starts_with("did:") => Err(instead("a DID", PRIVATE)),
        Form::Line(line) => match openssh::public_line(line) {
            Some(found) => found.and(Err(instead(PUBLIC, PRIVATE))),
            None => text::seed(line),
        },
    }
}

/// Reads public keys: JWK, JWKS, SPKI PEM, an OpenSSH line, `did:key`, 32 bytes in hex or in
/// padded base64, or the public part of a keyfile.
///
/// # Errors
/// [`FormatError`]. A private key is refused even though its public half could be told: it has
/// been where it should not be. So are 32 bytes that are no key, and 43 characters of base64url,
/// which is how a key id is written.
pub fn read_public(bytes: &[u8]) -> Result<Import, FormatError> {
    let one = |key, name| {
        Ok(Import { keys: vec![Imported { key, name, kid: None }], skipped: Vec::new() })
    };
    match Form::of(bytes)? {
        Form::Json(json) => {
            let object = json.as_object().ok_or(FormatError::Unrecognised)?;
            if is_keyfile(object) {
                let file = Keyfile::from_json(bytes)?;
                return one(file.public().clone(), Some(file.name().to_owned()));
            }
            jwk::import(object)
        }
        Form::Pem(text) => one(pem::public(text)?, None),
        Form::Line(line) if line.starts_with("did:") => one(text::did_key(line)?, None),
        Form::Line(line) => match openssh::public_line(line) {
            Some(found) => found.and_then(|(key, comment)| one(key, comment)),
            None => one(text::public(line)?, None),
        },
    }
}

/// What bytes look like.
enum Form<'a> {
    Json(Json),
    Pem(&'a str),
    Line(&'a str),
}

impl<'a> Form<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let text = std::str::from_utf8(bytes).map_err(|_| {
            // 0x30 begins a DER sequence, such as the key inside a PEM block.
            let der = bytes.first() == Some(&0x30);
            instead(if der { "binary data, DER perhaps" } else { "binary data" }, "text")
        })?;
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(FormatError::Empty);
        }
        if text.starts_with(['{', '[']) {
            return json::read(bytes).map(Form::Json).map_err(|e| malformed("JSON", e.to_string()));
        }
        if text.starts_with("-----BEGIN ") || text.starts_with("---- BEGIN ") {
            return Ok(Form::Pem(text));
        }
        if text.contains(['\n', '\r']) {
            return Err(match text.lines().next() {
                Some(first) if openssh::public_line(first).is_some() => {
                    malformed("OpenSSH line", "there is more than one line")
                }
                _ => FormatError::Unrecognised,
            });
        }
        Ok(Form::Line(text))
    }
}

fn is_keyfile(object: &Members) -> bool {
    object.get("mcpid").and_then(Json::as_str).is_some_and(|v| v.starts_with("keyfile/"))
}

fn private_json(json: &Json) -> Result<SecretKey, FormatError> {
    let object = json.as_object().ok_or(FormatError::Unrecognised)?;
    if is_keyfile(object) {
        return Err(instead("a keyfile", "a key to import"));
    }
    jwk::private(object)
}
