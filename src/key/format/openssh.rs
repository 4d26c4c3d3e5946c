//! OpenSSH's key files (its PROTOCOL.key) and its public keys on one line: Ed25519 (RFC 8709) and
//! P-256 (RFC 5656).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use zeroize::Zeroizing;

use super::{FormatError, LEFT_OUT, SIGNING, instead, malformed};
use crate::key::{
    KeyApplication, KeyKind, PublicKey, PublicKeyError, SecretKey, SecurityKey, Sign as _,
};

/// The name of the curve P-256 (RFC 5656 section 10.1), which stands before each point.
pub(in crate::key) const CURVE: &[u8] = b"nistp256";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// A reader of the fields of the SSH wire format (RFC 4251 section 5). It removes each field from
/// the start of the bytes.
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

/// Returns OpenSSH's type name for a kind of key. Signatures of these keys have the same type name.
pub(in crate::key) fn type_of(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Ed25519 => "ssh-ed25519",
        KeyKind::P256 => "ecdsa-sha2-nistp256",
    }
}

/// Returns the kind of key for OpenSSH's type name.
fn kind_of(of_type: &[u8]) -> Option<KeyKind> {
    KeyKind::ALL.iter().copied().find(|kind| type_of(*kind).as_bytes() == of_type)
}

/// Returns OpenSSH's type name for a kind of security key. Signatures of these keys have the same
/// type name.
pub(in crate::key) fn security_type_of(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Ed25519 => "sk-ssh-ed25519@openssh.com",
        KeyKind::P256 => "sk-ecdsa-sha2-nistp256@openssh.com",
    }
}

/// Returns the kind of security key for OpenSSH's type name.
fn security_kind_of(of_type: &[u8]) -> Option<KeyKind> {
    KeyKind::ALL.iter().copied().find(|kind| security_type_of(*kind).as_bytes() == of_type)
}

/// A public key of an SSH line, file or agent.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::key) struct SshKey {
    pub(in crate::key) key: PublicKey,
    /// The application of a security key; `None` for other keys.
    pub(in crate::key) application: Option<KeyApplication>,
}

/// Returns the key in the encoding that lines, key files and agents share. Returns `None` for
/// another type, a malformed encoding, and bytes that are no key. Compressed points are not read:
/// RFC 5656 section 3.1 allows them, but OpenSSH does not. The application of a security key must
/// begin with `ssh:`.
pub(in crate::key) fn public_blob(blob: &[u8]) -> Option<Result<SshKey, PublicKeyError>> {
    let mut wire = Wire(blob);
    let of_type = wire.string()?;
    let (kind, is_security_key) = match kind_of(of_type) {
        Some(kind) => (kind, false),
        None => (security_kind_of(of_type)?, true),
    };
    let key = match kind {
        KeyKind::Ed25519 => PublicKey::from_bytes(wire.string()?.try_into().ok()?),
        KeyKind::P256 => {
            let of_curve = wire.string()? == CURVE;
            let point = wire.string().filter(|point| of_curve && point.len() == 65)?;
            PublicKey::from_sec1(point)
        }
    };
    let application = match is_security_key {
        true => Some(KeyApplication::parse(std::str::from_utf8(wire.string()?).ok()?).ok()?),
        false => None,
    };
    wire.0.is_empty().then(|| key.map(|key| SshKey { key, application }))
}

/// Returns a key that is not a security key in the encoding of an SSH public key (RFC 4253 section
/// 6.6), which `.pub` lines, key files and agents contain.
pub(in crate::key) fn encode_public(key: &PublicKey) -> Vec<u8> {
    encode(type_of(key.kind()), key)
}

/// Returns a security key in the encoding of an SSH public key, with its application at the end.
pub(in crate::key) fn encode_security_key(key: &SecurityKey) -> Vec<u8> {
    let mut blob = encode(security_type_of(key.public().kind()), key.public());
    push_string(&mut blob, key.application().as_str().as_bytes());
    blob
}

fn encode(of_type: &str, key: &PublicKey) -> Vec<u8> {
    let mut blob = Vec::with_capacity(128);
    push_string(&mut blob, of_type.as_bytes());
    if key.kind() == KeyKind::P256 {
        push_string(&mut blob, CURVE);
    }
    push_string(&mut blob, key.as_bytes());
    blob
}

/// Appends a string of the SSH wire format (RFC 4251 section 5).
pub(in crate::key) fn push_string(message: &mut Vec<u8>, bytes: &[u8]) {
    // The length of a string over 4 GiB is written wrongly, but the message is then too long and is
    // refused when it is sent.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(bytes);
}

/// Returns the 32 bytes, big endian, of an mpint, SSH's form of an integer (RFC 4251 section 5). It
/// has no leading zero bytes, except one before a byte of 0x80 or more. Padding to 32 bytes, which
/// some agents leave, is accepted.
pub(in crate::key) fn mpint(bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let is_high = |bytes: &[u8]| bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let number = match bytes {
        [0, rest @ ..] if rest.len() == 32 && is_high(rest) => rest,
        bytes if bytes.len() < 32 && is_high(bytes) => return None,
        bytes => bytes,
    };
    let mut padded = Zeroizing::new([0; 32]);
    let start = 32_usize.checked_sub(number.len())?;
    padded.get_mut(start..)?.copy_from_slice(number);
    Some(padded)
}

/// The key of a line, and its comment.
pub(super) type OpensshLine = (SshKey, Option<String>);

/// Reads a public key line and its comment. Returns `None` if the line does not begin with the name
/// of a key type.
pub(super) fn public_line(line: &str) -> Option<Result<OpensshLine, FormatError>> {
    let (kind, rest) = line.split_once([' ', '\t'])?;
    let other = match kind {
        _ if kind_of(kind.as_bytes()).or_else(|| security_kind_of(kind.as_bytes())).is_some() => {
            return Some(line_of(kind, rest));
        }
        "ssh-rsa" => "an RSA key",
        "ssh-dss" => "a DSA key",
        "ssh-ed448" => "an Ed448 key",
        _ if kind.starts_with("ecdsa-sha2-") => "an elliptic-curve key",
        _ if kind.ends_with("-cert-v01@openssh.com") => "an SSH certificate",
        _ => return None,
    };
    Some(Err(instead(other, SIGNING)))
}

fn line_of(of_type: &str, rest: &str) -> Result<OpensshLine, FormatError> {
    let rest = rest.trim_ascii_start();
    let (blob, comment) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let blob = STANDARD.decode(blob).map_err(|_| malformed("OpenSSH line", "not base64"))?;
    let key = public_key(&blob)?;
    let own_type = match key.application {
        Some(_) => security_type_of(key.key.kind()),
        None => type_of(key.key.kind()),
    };
    if own_type != of_type {
        return Err(malformed("OpenSSH line", "its type is not that of its key"));
    }
    let comment = comment.trim_ascii();
    Ok((key, (!comment.is_empty()).then(|| comment.to_owned())))
}

/// Returns the key in the encoding that a line or an SSH2 block (RFC 4716) holds.
pub(super) fn public_key(blob: &[u8]) -> Result<SshKey, FormatError> {
    let bad = |why: &str| malformed("OpenSSH key", why);
    let security = security_kind_of(Wire(blob).string().unwrap_or_default());
    let kind = match security {
        Some(KeyKind::P256) if !cfg!(feature = "p256") => return Err(instead(LEFT_OUT, SIGNING)),
        Some(_) => None,
        None => kind_of_blob(blob)?,
    };
    let key = public_blob(blob).ok_or_else(|| {
        bad(match kind {
            None if security.is_some() => {
                "the security key is broken, or its application does not begin with ssh:"
            }
            None => "its type is not known",
            Some(KeyKind::Ed25519) => "the key does not have 32 bytes",
            Some(KeyKind::P256) => "the key is not a point of 65 bytes on nistp256",
        })
    })?;
    key.map_err(|e| bad(&e.to_string()))
}

/// Returns the kind of a key from the type name at the start of its encoding, or `None` for an
/// unknown type.
///
/// # Errors
/// The name of a type that this build does not use.
fn kind_of_blob(blob: &[u8]) -> Result<Option<KeyKind>, FormatError> {
    let of_type = Wire(blob).string().unwrap_or_default();
    Err(match (kind_of(of_type), of_type) {
        (Some(KeyKind::P256), _) if !cfg!(feature = "p256") => instead(LEFT_OUT, SIGNING),
        (Some(kind), _) => return Ok(Some(kind)),
        (None, b"ssh-rsa") => instead("an RSA key", SIGNING),
        (None, b"ssh-dss") => instead("a DSA key", SIGNING),
        (None, t) if t.starts_with(b"ecdsa-") => instead("an elliptic-curve key", SIGNING),
        (None, t) if t.starts_with(b"sk-") => instead("a security-key (FIDO) key", SIGNING),
        (None, _) => return Ok(None),
    })
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
    let kind = kind_of_blob(public)?.ok_or_else(|| bad("its type is not known"))?;
    if cipher != b"none" || kdf != b"none" {
        return Err(FormatError::EncryptedOpenSsh);
    }
    let inner = outer.string().ok_or_else(cut)?;
    // PROTOCOL.key requires one key, no options, and padding to a multiple of the block size, which
    // is 8 without a cipher. Some programs pad further: puttygen to 16, as for a cipher.
    if !options.is_empty() || count != 1 || !outer.0.is_empty() || inner.len() % 8 != 0 {
        return Err(bad("it holds more than one plain key"));
    }
    let public = public_blob(public).and_then(Result::ok).map(|public| public.key);
    let public = public.ok_or_else(|| bad("the public key is broken"))?;
    let mut inner = Wire(inner);
    let checks = (inner.number().ok_or_else(cut)?, inner.number().ok_or_else(cut)?);
    let of_type = inner.string().ok_or_else(cut)?;
    let of_curve = kind != KeyKind::P256 || inner.string().ok_or_else(cut)? == CURVE;
    let again = inner.string().ok_or_else(cut)?;
    let private = inner.string().ok_or_else(cut)?;
    inner.string().ok_or_else(cut)?; // the comment
    // The padding bytes are 1, 2, 3 and so on. As ssh-keygen does, any number of them is accepted.
    let padded = inner.0.len() < 256 && inner.0.iter().zip(1..=u8::MAX).all(|(byte, n)| *byte == n);
    if checks.0 != checks.1 || kind_of(of_type) != Some(kind) || !of_curve || !padded {
        return Err(bad("its inner part is broken"));
    }
    // A file of Ed25519 contains the public key a third time, after the seed.
    let (secret, third) = match kind {
        KeyKind::Ed25519 => {
            let (seed, third) = private
                .split_first_chunk::<32>()
                .ok_or_else(|| bad("the private key does not have 64 bytes"))?;
            (SecretKey::from_seed(seed), third)
        }
        KeyKind::P256 => {
            let scalar = mpint(private).ok_or_else(|| bad("the private key is no number"))?;
            let secret = SecretKey::from_p256_scalar(&scalar);
            (secret.map_err(|e| bad(&format!("the private key is {e}")))?, again)
        }
    };
    if public != *secret.public() || [again, third].iter().any(|key| *key != public.as_bytes()) {
        return Err(bad("the public key is not that of the private key"));
    }
    Ok(secret)
}
