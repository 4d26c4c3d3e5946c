//! PEM (RFC 7468): PKCS#8 private keys and SPKI public keys of Ed25519 (RFC 8410) and P-256
//! (RFC 5480), and private keys of RFC 5915.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use zeroize::Zeroizing;

use super::openssh::SshKey;
use super::{FormatError, LEFT_OUT, PRIVATE, PUBLIC, SIGNING, instead, malformed, openssh};
use crate::key::{KeyKind, PublicKey, SecretKey, Sign as _, ecdsa};

/// The DER bytes of SPKI that stand before the bytes of an Ed25519 key. DER permits no other
/// encoding of them.
const ED25519_SPKI: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
const P256_SPKI: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The DER bytes of SPKI that stand before a compressed point, which RFC 5480 section 2.2 allows.
const P256_SPKI_COMPRESSED: &[u8] =
    b"\x30\x39\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x22\x00";

/// The object identifiers of elliptic-curve keys (RFC 5480 section 2.1.1) and of the curve P-256.
const EC_KEY: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

pub(super) fn spki(key: &PublicKey) -> Vec<u8> {
    let prefix = match key.kind() {
        KeyKind::Ed25519 => ED25519_SPKI,
        KeyKind::P256 => P256_SPKI,
    };
    [prefix, key.as_bytes()].concat()
}

/// Returns true if a line of `text` begins a block. Text before and after blocks is commentary (RFC
/// 7468 section 2), such as the attributes that `openssl pkcs12` prints.
pub(super) fn begins(text: &str) -> bool {
    lines(text).any(is_begin)
}

/// Reads the one private key of a file. The file may also hold certificates and the public key.
pub(super) fn private(text: &str) -> Result<SecretKey, FormatError> {
    let PemBlocks { blocks, .. } = PemBlocks::of(text)?;
    let mut privates = blocks.iter().filter(|block| block.is_private());
    let (block, others) = (privates.next(), privates.count());
    if others > 0 {
        return Err(malformed("PEM file", format!("it holds {} private keys", others + 1)));
    }
    let Some(PemBlock { label, body, is_encrypted }) = block else {
        return Err(match blocks.first() {
            Some(PemBlock { label: "PUBLIC KEY", body, .. }) => {
                named(body).err().unwrap_or(instead(PUBLIC, PRIVATE))
            }
            Some(PemBlock { label, .. }) => other_label(label, PRIVATE),
            None => FormatError::Unrecognised,
        });
    };
    let secret = match *label {
        // Both versions of PKCS#8 are accepted (RFC 5958). Version 2 may contain a public key,
        // which must then match.
        "PRIVATE KEY" => match named(body)? {
            KeyKind::Ed25519 => ed25519_dalek::SigningKey::from_pkcs8_der(body)
                .map(|key| SecretKey::from_seed(&Zeroizing::new(key.to_bytes())))
                .map_err(|e| malformed("PKCS#8 key", e.to_string()))?,
            KeyKind::P256 => p256("PKCS#8 key", ecdsa::private_der(body, false))?,
        },
        "EC PRIVATE KEY" if *is_encrypted => return Err(FormatError::EncryptedPem),
        "EC PRIVATE KEY" => {
            elliptic(body)?;
            p256("EC private key", ecdsa::private_der(body, true))?
        }
        "OPENSSH PRIVATE KEY" => openssh::private(body)?,
        other => return Err(other_label(other, PRIVATE)),
    };
    for block in blocks.iter().filter(|block| block.label == "PUBLIC KEY") {
        if public_der(&block.body)? != *secret.public() {
            let why = "the public key beside the private key is another one";
            return Err(malformed("PEM file", why));
        }
    }
    Ok(secret)
}

fn p256(
    form: &'static str,
    scalar: Result<Zeroizing<[u8; 32]>, String>,
) -> Result<SecretKey, FormatError> {
    scalar
        .and_then(|scalar| SecretKey::from_p256_scalar(&scalar).map_err(|e| e.to_string()))
        .map_err(|why| malformed(form, why))
}

/// Reads the public keys of a file, at least one. A private key anywhere in the file is refused,
/// also in the text around the blocks, where `openssl pkey -text` prints one.
pub(super) fn public(text: &str) -> Result<Vec<SshKey>, FormatError> {
    let PemBlocks { blocks, tells_private } = PemBlocks::of(text)?;
    if let Some(private) = blocks.iter().find(|block| block.is_private()) {
        return Err(match private.label {
            "PRIVATE KEY" | "EC PRIVATE KEY" | "OPENSSH PRIVATE KEY" => instead(PRIVATE, PUBLIC),
            other => other_label(other, PUBLIC),
        });
    }
    if tells_private {
        return Err(instead("a private key in the text around a public key", PUBLIC));
    }
    let read = |block: &PemBlock<'_>| match block.label {
        "PUBLIC KEY" => Some(public_der(&block.body).map(|key| SshKey { key, application: None })),
        "SSH2 PUBLIC KEY" => Some(openssh::public_key(&block.body)),
        _ => None,
    };
    let keys = blocks.iter().filter_map(read).collect::<Result<Vec<_>, _>>()?;
    match (keys.is_empty(), blocks.first()) {
        (true, Some(first)) => Err(other_label(first.label, PUBLIC)),
        (true, None) => Err(FormatError::Unrecognised),
        (false, _) => Ok(keys),
    }
}

/// Returns the key in the DER of SPKI.
pub(super) fn public_der(der: &[u8]) -> Result<PublicKey, FormatError> {
    let key = match named(der)? {
        KeyKind::Ed25519 => der
            .strip_prefix(ED25519_SPKI)
            .and_then(|key| key.try_into().ok())
            .map(PublicKey::from_bytes)
            .ok_or_else(|| malformed("SPKI key", "not the DER of RFC 8410"))?,
        KeyKind::P256 => [(P256_SPKI, 65), (P256_SPKI_COMPRESSED, 33)]
            .iter()
            .find_map(|(prefix, length)| {
                der.strip_prefix(*prefix).filter(|key| key.len() == *length)
            })
            .map(PublicKey::from_sec1)
            .ok_or_else(|| malformed("SPKI key", "not the DER of RFC 5480"))?,
    };
    key.map_err(|e| malformed("SPKI key", e.to_string()))
}

/// Returns the error for a PEM block whose label is not that of a key.
fn other_label(label: &str, wanted: &'static str) -> FormatError {
    match label {
        "ENCRYPTED PRIVATE KEY" if wanted == PRIVATE => FormatError::EncryptedPem,
        "ENCRYPTED PRIVATE KEY" => instead(PRIVATE, PUBLIC),
        "RSA PRIVATE KEY" | "RSA PUBLIC KEY" => instead("an RSA key", SIGNING),
        "EC PARAMETERS" => instead("the parameters of an elliptic curve", wanted),
        "DSA PRIVATE KEY" => instead("a DSA key", SIGNING),
        "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => {
            instead("a certificate", wanted)
        }
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            instead("a certificate request", wanted)
        }
        "SSH2 PUBLIC KEY" => instead(PUBLIC, PRIVATE),
        "SSH SIGNATURE" => instead("an SSH signature", wanted),
        label if label.starts_with("PGP ") => instead("an OpenPGP block", wanted),
        label => instead(format!("a PEM block {label:?}"), wanted),
    }
}

/// Returns the kind of key, as told by the object identifiers in the first bytes of PKCS#8 and
/// SPKI: P-256 if they name that curve, otherwise Ed25519. The reader for that kind then checks all
/// bytes.
///
/// # Errors
/// The name of the algorithm, if it is another one.
fn named(der: &[u8]) -> Result<KeyKind, FormatError> {
    const OTHERS: [(&[u8], &str); 7] = [
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", "an RSA key"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", "an RSA-PSS key"),
        (b"\x06\x07\x2a\x86\x48\xce\x38\x04\x01", "a DSA key"),
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01", "a Diffie-Hellman key"),
        (b"\x06\x03\x2b\x65\x71", "an Ed448 key"),
        (b"\x06\x03\x2b\x65\x6e", "an X25519 key"),
        (b"\x06\x03\x2b\x65\x6f", "an X448 key"),
    ];
    let start = der.get(..32).unwrap_or(der);
    if contains(start, EC_KEY) {
        return elliptic(start).map(|()| KeyKind::P256);
    }
    match OTHERS.into_iter().find(|(oid, _)| contains(start, oid)) {
        Some((_, name)) => Err(instead(name, SIGNING)),
        None => Ok(KeyKind::Ed25519),
    }
}

/// Checks that `der`, which begins with an elliptic-curve key, names P-256.
fn elliptic(der: &[u8]) -> Result<(), FormatError> {
    match contains(der, P256) {
        true if cfg!(feature = "p256") => Ok(()),
        true => Err(instead(LEFT_OUT, SIGNING)),
        false => Err(instead("an elliptic-curve key that does not name P-256", SIGNING)),
    }
}

fn contains(der: &[u8], oid: &[u8]) -> bool {
    der.windows(oid.len()).any(|window| window == oid)
}

/// The content between a BEGIN and an END line.
struct PemBlock<'a> {
    label: &'a str,
    body: Zeroizing<Vec<u8>>,
    /// True if a header states that the content is encrypted.
    is_encrypted: bool,
}

impl PemBlock<'_> {
    fn is_private(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }
}

/// The blocks of a file, in its order.
struct PemBlocks<'a> {
    blocks: Vec<PemBlock<'a>>,
    /// True if the text around the blocks contains a private key, as that of `openssl pkey -text`
    /// does.
    tells_private: bool,
}

impl<'a> PemBlocks<'a> {
    fn of(text: &'a str) -> Result<Self, FormatError> {
        let bad = |why: &str| malformed("PEM block", why);
        let (mut blocks, mut tells_private) = (Vec::new(), false);
        let mut lines = lines(text);
        while let Some(line) = lines.next() {
            if !is_begin(line) {
                let line = line.to_ascii_lowercase();
                tells_private |= line.starts_with("priv:") || line.contains("private-key:");
                continue;
            }
            let (label, end) = label(line)?;
            let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
            let (mut in_header, mut is_encrypted) = (false, false);
            loop {
                match lines.next() {
                    Some(line) if line == end => break,
                    Some(line) if is_begin(line) => return Err(bad("the END line is missing")),
                    // RFC 4716 section 3.3 allows headers, which continue after a backslash.
                    Some(line)
                        if label.starts_with("SSH2 ") && (in_header || line.contains(':')) =>
                    {
                        in_header = line.ends_with('\\');
                    }
                    // The header of RFC 1421 section 4.6.1.1, which openssl writes above an
                    // encrypted key.
                    Some(line) if line.starts_with("Proc-Type:") => is_encrypted = true,
                    Some(line) => base64.push_str(line),
                    None => return Err(bad("the END line is missing")),
                }
            }
            let body = STANDARD.decode(&*base64).map(Zeroizing::new);
            // A block that does not contain a key may have headers (RFC 1421 section 4.4), which
            // are not base64. Its content is not used.
            let body = match body {
                _ if is_encrypted => Zeroizing::default(),
                Err(_) if KEY_LABELS.contains(&label) => return Err(bad("not base64")),
                body => body.unwrap_or_default(),
            };
            blocks.push(PemBlock { label, body, is_encrypted });
        }
        Ok(PemBlocks { blocks, tells_private })
    }
}

/// The labels of the blocks that this module reads.
const KEY_LABELS: [&str; 5] =
    ["PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "PUBLIC KEY", "SSH2 PUBLIC KEY"];

/// Splits the text into lines at CRLF, LF or CR (RFC 7468 section 3), without surrounding blanks.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '\r']).map(str::trim_ascii)
}

fn is_begin(line: &str) -> bool {
    line.starts_with("-----BEGIN ") || line.starts_with("---- BEGIN ")
}

/// Returns the label in a BEGIN line, and the END line that belongs to it.
fn label(line: &str) -> Result<(&str, String), FormatError> {
    let label = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"));
    let ssh2 = line.strip_prefix("---- BEGIN ").and_then(|rest| rest.strip_suffix(" ----"));
    let end = label.map(|label| format!("-----END {label}-----"));
    let end = end.or_else(|| ssh2.map(|label| format!("---- END {label} ----")));
    // The text is not repeated in the error: if the file has lost its line breaks, its first line
    // is the whole file, with all secrets.
    label
        .or(ssh2)
        .filter(|label| label.len() <= 64 && !label.contains("-----"))
        .zip(end)
        .ok_or_else(|| malformed("PEM block", "the BEGIN line is broken"))
}
