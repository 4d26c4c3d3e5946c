//! Public keys in the formats of other programs. Members of JSON come in a fixed order. Only PEM
//! ends with a newline.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{openssh as ssh, pem, text};
use crate::key::{KeyKind, PublicKey, SecurityKey};

/// The `alg` value of an exported JWK, for programs that require one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwkAlg {
    /// The value `EdDSA` (RFC 8037), which most programs know.
    EdDsa,
    /// The value `Ed25519` (RFC 9864), which is fully specified.
    Ed25519,
    /// The value `ES256` (RFC 7518 section 3.4), of keys of P-256.
    Es256,
}

impl JwkAlg {
    /// Returns the kind of keys that have this `alg`.
    pub fn kind(self) -> KeyKind {
        match self {
            JwkAlg::EdDsa | JwkAlg::Ed25519 => KeyKind::Ed25519,
            JwkAlg::Es256 => KeyKind::P256,
        }
    }
}

/// Returns a JWK (RFC 7517, 7518 and 8037) with `use` and the thumbprint as `kid`. `alg` is written
/// only on request, and only if it belongs to the kind of the key.
pub fn jwk(key: &PublicKey, alg: Option<JwkAlg>) -> String {
    jwk_with_kid(key, key.id().as_str(), alg)
}

pub(crate) fn jwk_with_kid(key: &PublicKey, kid: &str, alg: Option<JwkAlg>) -> String {
    let members = key.jwk_members();
    let kid = crate::key::json::quote(kid);
    let alg = match alg.filter(|alg| alg.kind() == key.kind()) {
        None => "",
        Some(JwkAlg::EdDsa) => r#","alg":"EdDSA""#,
        Some(JwkAlg::Ed25519) => r#","alg":"Ed25519""#,
        Some(JwkAlg::Es256) => r#","alg":"ES256""#,
    };
    format!(r#"{{{members},"kid":{kid},"use":"sig"{alg}}}"#)
}

/// Returns a JWK set with this one key.
pub fn jwks(key: &PublicKey, alg: Option<JwkAlg>) -> String {
    format!(r#"{{"keys":[{}]}}"#, jwk(key, alg))
}

/// Returns SPKI PEM (RFC 8410, 5480 and 7468), with its final newline.
pub fn spki_pem(key: &PublicKey) -> String {
    let body = STANDARD.encode(pem::spki(key));
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    // RFC 7468 section 2: lines of 64 characters.
    let mut rest = body.as_str();
    while let Some((line, more)) = rest.split_at_checked(64) {
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str(rest);
    pem.push_str("\n-----END PUBLIC KEY-----\n");
    pem
}

/// Returns the JWK of a security key. Its application is in the member `mcpid`, as in a trust file.
pub fn security_key_jwk(key: &SecurityKey) -> String {
    let mut jwk = jwk(key.public(), None);
    let application = crate::key::json::quote(key.application().as_str());
    // The closing brace of the object is removed, and a member is added.
    jwk.pop();
    jwk + &format!(r#","mcpid":{{"security_key":{{"application":{application}}}}}}}"#)
}

/// Returns an OpenSSH line, `ssh-ed25519 AAAA… comment` or `ecdsa-sha2-nistp256 AAAA… comment`. Control
/// characters are removed from the comment: the format cannot express them, and a line break would
/// begin another key.
pub fn openssh(key: &PublicKey, comment: &str) -> String {
    line(ssh::type_of(key.kind()), &ssh::encode_public(key), comment)
}

/// Returns the OpenSSH line of a security key, such as `sk-ssh-ed25519@openssh.com AAAA… comment`.
pub fn openssh_security_key(key: &SecurityKey, comment: &str) -> String {
    let of_type = ssh::security_type_of(key.public().kind());
    line(of_type, &ssh::encode_security_key(key), comment)
}

fn line(of_type: &str, blob: &[u8], comment: &str) -> String {
    let comment: String = comment.chars().filter(|c| !c.is_control()).collect();
    let line = format!("{of_type} {} {comment}", STANDARD.encode(blob));
    line.trim_end().to_owned()
}

/// Returns the key as `did:key:z6Mk…`, or `did:key:zDn…` for P-256.
pub fn did_key(key: &PublicKey) -> String {
    let compressed = key.compressed();
    let point = compressed.as_ref().map_or(key.as_bytes(), |point| point.as_slice());
    let bytes = [text::multicodec(key.kind()).as_slice(), point].concat();
    format!("did:key:z{}", bs58::encode(bytes).into_string())
}

/// Returns the key in lower-case hex: 32 bytes of Ed25519, `04 ‖ x ‖ y` of P-256.
pub fn hex(key: &PublicKey) -> String {
    key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
