//! PEM (RFC 7468): PKCS#8 private keys and SPKI public keys of RFC 8410.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use zeroize::Zeroizing;

use super::{ED25519, FormatError, PRIVATE, PUBLIC, instead, malformed, openssh};
use crate::key::{PublicKey, SecretKey, Sign as _};

/// RFC 8410 section 4 before the 32 bytes of the key. DER knows no second way to write it.
const SPKI_PREFIX: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

pub(super) fn spki(key: &PublicKey) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), key.as_bytes()].concat()
}

/// Returns true if a line of `text` begins a block. Text around blocks is commentary (RFC 7468
/// section 2), such as the attributes that `openssl pkcs12` prints.
pub(super) fn begins(text: &str) -> bool {
    lines(text).any(is_begin)
}

/// Reads the one private key of a file. The file may also hold certificates and the public key.
pub(super) fn private(text: &str) -> Result<SecretKey, FormatError> {
    let Blocks { blocks, .. } = Blocks::of(text)?;
    let mut privates = blocks.iter().filter(|block| block.is_private());
    let (block, others) = (privates.next(), privates.count());
    if others > 0 {
        return Err(malformed("PEM file", format!("it holds {} private keys", others + 1)));
    }
    let Some(Block { label, body }) = block else {
        return Err(match blocks.first() {
            Some(Block { label: "PUBLIC KEY", body }) => {
                named(body).err().unwrap_or(instead(PUBLIC, PRIVATE))
            }
            Some(Block { label, .. }) => other_label(label, PRIVATE),
            None => FormatError::Unrecognised,
        });
    };
    let secret = match *label {
        "PRIVATE KEY" => {
            named(body)?;
            // Both versions are accepted (RFC 5958); in version 2 the public key must match.
            ed25519_dalek::SigningKey::from_pkcs8_der(body)
                .map(|key| SecretKey::from_seed(&Zeroizing::new(key.to_bytes())))
                .map_err(|e| malformed("PKCS#8 key", e.to_string()))?
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

/// Reads the public keys of a file, at least one. A private key anywhere in it is refused, also
/// spelled out in the commentary, as `openssl pkey -text` does.
pub(super) fn public(text: &str) -> Result<Vec<PublicKey>, FormatError> {
    let Blocks { blocks, tells_private } = Blocks::of(text)?;
    if let Some(private) = blocks.iter().find(|block| block.is_private()) {
        return Err(match private.label {
            "PRIVATE KEY" | "OPENSSH PRIVATE KEY" => instead(PRIVATE, PUBLIC),
            other => other_label(other, PUBLIC),
        });
    }
    if tells_private {
        return Err(instead("a private key in the text around a public key", PUBLIC));
    }
    let read = |block: &Block<'_>| match block.label {
        "PUBLIC KEY" => Some(public_der(&block.body)),
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
    named(der)?;
    let (prefix, key) = der
        .split_last_chunk::<32>()
        .filter(|(prefix, _)| *prefix == SPKI_PREFIX)
        .ok_or_else(|| malformed("SPKI key", "not the DER of RFC 8410"))?;
    debug_assert_eq!(prefix.len(), SPKI_PREFIX.len());
    PublicKey::from_bytes(key).map_err(|e| malformed("SPKI key", e.to_string()))
}

/// Returns the error for a PEM label of another kind.
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
        "SSH2 PUBLIC KEY" => instead(PUBLIC, PRIVATE),
        "SSH SIGNATURE" => instead("an SSH signature", wanted),
        label if label.starts_with("PGP ") => instead("an OpenPGP block", wanted),
        label => instead(format!("a PEM block {label:?}"), wanted),
    }
}

/// Names the algorithm of a key that is not Ed25519, from the object identifiers in the first bytes
/// of PKCS#8 and SPKI. The result is used only in an error message.
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

/// The content between a BEGIN and an END line.
struct Block<'a> {
    label: &'a str,
    body: Zeroizing<Vec<u8>>,
}

impl Block<'_> {
    fn is_private(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }
}

/// The blocks of a file, in its order.
struct Blocks<'a> {
    blocks: Vec<Block<'a>>,
    /// The text around the blocks spells a private key out, as `openssl pkey -text` does.
    tells_private: bool,
}

impl<'a> Blocks<'a> {
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
            let mut in_header = false;
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
                    Some(line) => base64.push_str(line),
                    None => return Err(bad("the END line is missing")),
                }
            }
            let body = STANDARD.decode(&*base64).map(Zeroizing::new);
            // A block that holds no key may have headers (RFC 1421 section 4.4), which are not
            // base64. The content of such a block is not used.
            let body = match body {
                Err(_) if OF_KEYS.contains(&label) => return Err(bad("not base64")),
                body => body.unwrap_or_default(),
            };
            blocks.push(Block { label, body });
        }
        Ok(Blocks { blocks, tells_private })
    }
}

/// The labels of blocks that are read.
const OF_KEYS: [&str; 4] = ["PRIVATE KEY", "OPENSSH PRIVATE KEY", "PUBLIC KEY", "SSH2 PUBLIC KEY"];

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
    // If a file has lost its line breaks, its first line is the whole file with all secrets.
    label
        .or(ssh2)
        .filter(|label| label.len() <= 64 && !label.contains("-----"))
        .zip(end)
        .ok_or_else(|| malformed("PEM block", "the BEGIN line is broken"))
}
