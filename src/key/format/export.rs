//! Public keys as other programs want them. Members of JSON come in a fixed order, and nothing
//! but PEM ends with a newline.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{openssh as ssh, pem, text};
use crate::key::PublicKey;

/// The `alg` value of an exported JWK, for programs that require one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwkAlg {
    /// The value `EdDSA` (RFC 8037), which most programs know.
    EdDsa,
    /// The value `Ed25519` (RFC 9864), which is fully specified.
    Ed25519,
}

/// Returns a JWK (RFC 7517 and 8037) with `use` and the thumbprint as `kid`, and with `alg` only on
/// request.
pub fn jwk(key: &PublicKey, alg: Option<JwkAlg>) -> String {
    jwk_with_kid(key, key.id().as_str(), alg)
}

pub(crate) fn jwk_with_kid(key: &PublicKey, kid: &str, alg: Option<JwkAlg>) -> String {
    let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
    let kid = crate::key::json::quote(kid);
    let alg = match alg {
        None => "",
        Some(JwkAlg::EdDsa) => r#","alg":"EdDSA""#,
        Some(JwkAlg::Ed25519) => r#","alg":"Ed25519""#,
    };
    format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":{kid},"use":"sig"{alg}}}"#)
}

/// Returns a JWK set with this one key.
pub fn jwks(key: &PublicKey, alg: Option<JwkAlg>) -> String {
    format!(r#"{{"keys":[{}]}}"#, jwk(key, alg))
}

/// Returns SPKI PEM (RFC 8410 and 7468), with its final newline.
pub fn spki_pem(key: &PublicKey) -> String {
    // 44 bytes are 60 characters: one line, shorter than the 64 that RFC 7468 allows.
    let body = STANDARD.encode(pem::spki(key));
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
}

/// Returns an OpenSSH line, `ssh-ed25519 AAAA… comment`. Control characters are removed from the
/// comment: the format cannot express them, and a line break would begin another key.
pub fn openssh(key: &PublicKey, comment: &str) -> String {
    let comment: String = comment.chars().filter(|c| !c.is_control()).collect();
    let line = format!("ssh-ed25519 {} {}", STANDARD.encode(ssh::encode_public(key)), comment);
    line.trim_end().to_owned()
}

/// Returns the key as `did:key:z6Mk…`.
pub fn did_key(key: &PublicKey) -> String {
    let bytes = [text::MULTICODEC.as_slice(), key.as_bytes()].concat();
    format!("did:key:z{}", bs58::encode(bytes).into_string())
}

/// Returns the 32 bytes in lower-case hex.
pub fn hex(key: &PublicKey) -> String {
    key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
