//! PEM (RFC 7468): PKCS#8 private keys and SPKI public keys of RFC 8410.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use zeroize::Zeroizing;

use super::{ED25519, FormatError, PRIVATE, PUBLIC, instead, malformed, openssh};
use crate::key::{PublicKey, SecretKey};

/// RFC 8410 section 4 before the 32 bytes of the key. DER knows no second way to write it.
const SPKI_PREFIX: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

pub(super) fn spki(key: &PublicKey) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), key.as_bytes()].concat()
}

pub(super) fn private(text: &str) -> Result<SecretKey, FormatError> {
    match label(text)? {
        "PRIVATE KEY" => {
            let der = body(text)?;
            named(&der)?;
            // Version 1 and version 2 (RFC 5958); in version 2 the public key must match.
            ed25519_dalek::SigningKey::from_pkcs8_der(&der)
                .map(|key| SecretKey::from_seed(&Zeroizing::new(key.to_bytes())))
                .map_err(|e| malformed("PKCS#8 key", e.to_string()))
        }
        "OPENSSH PRIVATE KEY" => openssh::private(&body(text)?),
        "PUBLIC KEY" => Err(named(&body(text)?).err().unwrap_or(instead(PUBLIC, PRIVATE))),
        other => Err(other_label(other, PRIVATE)),
    }
}

pub(super) fn public(text: &str) -> Result<PublicKey, FormatError> {
    match label(text)? {
        "PUBLIC KEY" => {
            let der = body(text)?;
            named(&der)?;
            let (prefix, key) = der
                .split_last_chunk::<32>()
                .filter(|(prefix, _)| *prefix == SPKI_PREFIX)
                .ok_or_else(|| malformed("SPKI key", "not the DER of RFC 8410"))?;
            debug_assert_eq!(prefix.len(), SPKI_PREFIX.len());
            PublicKey::from_bytes(key).map_err(|e| malformed("SPKI key", e.to_string()))
        }
        "PRIVATE KEY" | "OPENSSH PRIVATE KEY" => Err(instead(PRIVATE, PUBLIC)),
        other => Err(other_label(other, PUBLIC)),
    }
}

/// What a label that is not for us says.
fn other_label(label: &str, wanted: &'static str) -> FormatError {
    match label {
        "ENCRYPTED PRIVATE KEY" if wanted == PRIVATE => FormatError::EncryptedPem,
        "ENCRYPTED PRIVATE KEY" => instead(PRIVATE, PUBLIC),
        "RSA PRIVATE KEY" | "RSA PUBLIC KEY" => instead("an RSA key", ED25519),
        "EC PRIVATE KEY" | "EC PARAMETERS" => instead("an elliptic-curve key", ED25519),
        "DSA PRIVATE KEY" => instead("a DSA key", ED25519),
        "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => {
            instead("a certificate", wanted)
        }
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            instead("a certificate request", wanted)
        }
        "SSH2 PUBLIC KEY" => instead("an SSH2 (RFC 4716) key", "an OpenSSH line"),
        "SSH SIGNATURE" => instead("an SSH signature", wanted),
        label if label.starts_with("PGP ") => instead("an OpenPGP block", wanted),
        label => instead(format!("a PEM block {label:?}"), wanted),
    }
}

/// Names the algorithm of a key that is not Ed25519, by the object identifiers that stand in the
/// first bytes of PKCS#8 and SPKI. It only finds words for an error.
fn named(der: &[u8]) -> Result<(), FormatError> {
    const OTHERS: [(&[u8], &str); 8] = [
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", "an RSA key"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", "an RSA-PSS key"),
        (b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01", "an elliptic-curve key"),
        (b"\x06\x07\x2a\x86\x48\xce\x38\x04\x01", "a DSA key"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01", "a Diffie-Hellman key"),
        (b"\x06\x03\x2b\x65\x71", "an Ed448 key"),
        (b"\x06\x03\x2b\x65\x6e", "an X25519 key"),
        (b"\x06\x03\x2b\x65\x6f", "an X448 key"),
    ];
    let start = der.get(..24).unwrap_or(der);
    for (oid, name) in OTHERS {
        if start.windows(oid.len()).any(|window| window == oid) {
            return Err(instead(name, ED25519));
        }
    }
    Ok(())
}

fn label(text: &str) -> Result<&str, FormatError> {
    let first = text.lines().next().unwrap_or_default().trim_ascii_end();
    first
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.strip_suffix("-----"))
        .or_else(|| first.strip_prefix("---- BEGIN ").and_then(|rest| rest.strip_suffix(" ----")))
        .ok_or_else(|| malformed("PEM block", "the BEGIN line is broken"))
}

/// The bytes between the BEGIN and END lines: one block, nothing before or behind it.
fn body(text: &str) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    let bad = |why: &str| malformed("PEM block", why);
    let end = format!("-----END {}-----", label(text)?);
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    let mut lines = text.lines().skip(1).map(str::trim_ascii_end);
    loop {
        match lines.next() {
            Some(line) if line == end => break,
            Some(line) => base64.push_str(line),
            None => return Err(bad("the END line is missing")),
        }
    }
    if lines.next().is_some() {
        return Err(bad("there is something behind the END line"));
    }
    STANDARD.decode(&*base64).map(Zeroizing::new).map_err(|_| bad("not base64"))
}
