//! OpenSSH's key files (its PROTOCOL.key) and its one-line public keys (RFC 8709).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{ED25519, FormatError, instead, malformed};
use crate::key::{PublicKey, SecretKey, Sign as _};

pub(in crate::key) const TYPE: &str = "ssh-ed25519";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// Reads fields of the SSH wire format (RFC 4251 section 5) off the front of some bytes.
pub(in crate::key) struct Wire<'a>(pub(in crate::key) &'a [u8]);

impl<'a> Wire<'a> {
    pub(in crate::key) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(in crate::key) fn number(&mut self) -> Option<u32> {
        self.take(4).and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)))
    }

    pub(in crate::key) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }
}

/// Returns the key in the 51 bytes that `ssh-ed25519` lines and key files share.
pub(in crate::key) fn public_blob(blob: &[u8]) -> Option<[u8; 32]> {
    let mut wire = Wire(blob);
    let of_type = wire.string()? == TYPE.as_bytes();
    let key = wire.string()?.try_into().ok()?;
    (of_type && wire.0.is_empty()).then_some(key)
}

/// Returns the bytes of `key` as `ssh-ed25519` lines hold them.
pub(in crate::key) fn encode_public(key: &PublicKey) -> Vec<u8> {
    let mut blob = Vec::with_capacity(51);
    blob.extend_from_slice(&[0, 0, 0, 11]);
    blob.extend_from_slice(TYPE.as_bytes());
    blob.extend_from_slice(&[0, 0, 0, 32]);
    blob.extend_from_slice(key.as_bytes());
    blob
}

/// The key of a line, and its comment.
pub(super) type OpensshLine = (PublicKey, Option<String>);

/// Reads a public key line and its comment; `None` if it does not begin like one.
pub(super) fn public_line(line: &str) -> Option<Result<OpensshLine, FormatError>> {
    let (kind, rest) = line.split_once([' ', '\t'])?;
    let other = match kind {
        TYPE => return Some(ed25519_line(rest)),
        "ssh-rsa" => "an RSA key",
        "ssh-dss" => "a DSA key",
        "ssh-ed448" => "an Ed448 key",
        "sk-ssh-ed25519@openssh.com" | "sk-ecdsa-sha2-nistp256@openssh.com" => {
            "a security-key (FIDO) key, whose signatures differ"
        }
        _ if kind.starts_with("ecdsa-sha2-") => "an elliptic-curve key",
        _ if kind.ends_with("-cert-v01@openssh.com") => "an SSH certificate",
        _ => return None,
    };
    Some(Err(instead(other, ED25519)))
}

fn ed25519_line(rest: &str) -> Result<OpensshLine, FormatError> {
    let rest = rest.trim_ascii_start();
    let (blob, comment) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let blob = STANDARD.decode(blob).map_err(|_| malformed("OpenSSH line", "not base64"))?;
    let key = public_key(&blob)?;
    let comment = comment.trim_ascii();
    Ok((key, (!comment.is_empty()).then(|| comment.to_owned())))
}

/// Returns the key in the bytes that a line or an SSH2 block (RFC 4716) holds.
pub(super) fn public_key(blob: &[u8]) -> Result<PublicKey, FormatError> {
    let bad = |why: &str| malformed("OpenSSH key", why);
    match Wire(blob).string().unwrap_or_default() {
        b"ssh-rsa" => return Err(instead("an RSA key", ED25519)),
        b"ssh-dss" => return Err(instead("a DSA key", ED25519)),
        t if t.starts_with(b"ecdsa-") => return Err(instead("an elliptic-curve key", ED25519)),
        t if t.starts_with(b"sk-") => return Err(instead("a security-key (FIDO) key", ED25519)),
        _ => {}
    }
    let key = public_blob(blob).ok_or_else(|| bad("the key does not have 32 bytes"))?;
    PublicKey::from_bytes(&key).map_err(|e| bad(&e.to_string()))
}

/// Reads the content of an `OPENSSH PRIVATE KEY` block.
pub(super) fn private(bytes: &[u8]) -> Result<SecretKey, FormatError> {
    let bad = |why: &str| malformed("OpenSSH key", why);
    let mut outer = Wire(bytes);
    if outer.take(MAGIC.len()) != Some(MAGIC) {
        return Err(bad("it does not begin with openssh-key-v1"));
    }
    let cut = || bad("it is cut");
    let cipher = outer.string().ok_or_else(cut)?;
    let kdf = outer.string().ok_or_else(cut)?;
    let options = outer.string().ok_or_else(cut)?;
    let count = outer.number().ok_or_else(cut)?;
    let public = outer.string().ok_or_else(cut)?;
    let mut type_of = Wire(public);
    match type_of.string().unwrap_or_default() {
        b"ssh-ed25519" => {}
        b"ssh-rsa" => return Err(instead("an RSA key", ED25519)),
        b"ssh-dss" => return Err(instead("a DSA key", ED25519)),
        t if t.starts_with(b"ecdsa-") => return Err(instead("an elliptic-curve key", ED25519)),
        t if t.starts_with(b"sk-") => return Err(instead("a security-key (FIDO) key", ED25519)),
        _ => return Err(bad("its type is not known")),
    }
    if cipher != b"none" || kdf != b"none" {
        return Err(FormatError::EncryptedOpenSsh);
    }
    let inner = outer.string().ok_or_else(cut)?;
    // PROTOCOL.key requires one key, no options, and padding to a multiple of the block size, which
    // is 8 without a cipher. Some programs pad further: puttygen to 16, as for a cipher.
    if !options.is_empty() || count != 1 || !outer.0.is_empty() || inner.len() % 8 != 0 {
        return Err(bad("it holds more than one plain key"));
    }
    let public = public_blob(public).ok_or_else(|| bad("the public key is broken"))?;
    let mut inner = Wire(inner);
    let checks = (inner.number().ok_or_else(cut)?, inner.number().ok_or_else(cut)?);
    let of_type = inner.string().ok_or_else(cut)?;
    let again = inner.string().ok_or_else(cut)?;
    let both = inner.string().ok_or_else(cut)?;
    inner.string().ok_or_else(cut)?; // the comment
    let (seed, third) = both
        .split_first_chunk::<32>()
        .ok_or_else(|| bad("the private key does not have 64 bytes"))?;
    // 1, 2, 3 and so on, in single bytes; ssh-keygen takes any number of them.
    let padded = inner.0.len() < 256 && inner.0.iter().zip(1..=u8::MAX).all(|(byte, n)| *byte == n);
    if checks.0 != checks.1 || of_type != TYPE.as_bytes() || !padded {
        return Err(bad("its inner part is broken"));
    }
    let secret = SecretKey::from_seed(seed);
    // The file contains the public key three times.
    if [again, third, public.as_slice()].iter().any(|key| *key != secret.public().as_bytes()) {
        return Err(bad("the public key is not that of the private key"));
    }
    Ok(secret)
}
