//! Signed notes (C2SP `signed-note` and `tlog-cosignature`): a text, an empty line, and a line for
//! each signature.
//!
//! ```text
//! example.com/log
//! 1234
//! qINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=
//!
//! — example.com/log Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
//! ```

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::key::{KeyKind, PublicKey, Sign, SignError};

/// Maximum size of a note, in bytes.
pub const MAX_NOTE: usize = 64 * 1024;

/// Maximum number of signatures in a note.
const MAX_SIGNATURES: usize = 64;

/// The text before each signature line: a dash and a space (C2SP `signed-note`).
const DASH: &str = "\u{2014} ";

/// The kind of a key that signs notes. It decides what a signature with that key states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKeyKind {
    /// The key of a log: it signs the text itself.
    Log = 1,
    /// The key of a witness (`cosignature/v1`): it signs the text with a time, and states that the
    /// log has only grown since the last checkpoint that this witness signed.
    Witness = 4,
}

/// The public key that verifies a note, with its name: `NAME+HASH+KEY`.
///
/// ```
/// use mcpid::audit::note::{NoteKeyKind, NoteKey};
///
/// let text = "example.com/audit+28d95bd9+Aa6k0AQo0KGp1UhogdXH/by8Pv6pjzTdJ0Ya8bab9fUS";
/// let key: NoteKey = text.parse()?;
/// assert_eq!((key.name(), key.kind()), ("example.com/audit", NoteKeyKind::Log));
/// // The hash is over the name too.
/// assert!(text.replace("audit", "other").parse::<NoteKey>().is_err());
/// # Ok::<(), mcpid::audit::note::NoteKeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    kind: NoteKeyKind,
    public: PublicKey,
}

/// Why a text is not `NAME+HASH+KEY`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteKeyError {
    /// The text does not have three parts with plus signs between them.
    #[error("not NAME+HASH+KEY")]
    Form,
    /// The name is empty, longer than 255 bytes, or has white space, a control character or a plus
    /// sign.
    #[error("a name has no white space, no plus sign, and at most 255 bytes")]
    Name,
    /// The key is not canonical base64, or not an Ed25519 key.
    #[error("the key is no Ed25519 key")]
    Key,
    /// The key is weak: a signature under it can be made without a private key.
    #[error("the key is weak or published: anyone can sign under it")]
    Weak,
    /// The hash does not match name and key, so one of them was mistyped.
    #[error("the hash is not that of the name and the key")]
    Hash,
}

impl NoteKey {
    /// Creates a key from its name, kind and public key.
    ///
    /// # Errors
    /// [`NoteKeyError::Name`] if the name is not allowed, [`NoteKeyError::Key`] if the key is not
    /// an Ed25519 key.
    pub fn new(name: &str, kind: NoteKeyKind, public: PublicKey) -> Result<Self, NoteKeyError> {
        if !is_name(name) {
            return Err(NoteKeyError::Name);
        }
        if public.kind() != KeyKind::Ed25519 {
            return Err(NoteKeyError::Key);
        }
        Ok(NoteKey { name: name.to_owned(), kind, public })
    }

    /// Returns the name of the key, which for a log's key is also the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the kind of statement that the key signs.
    pub fn kind(&self) -> NoteKeyKind {
        self.kind
    }

    /// Returns the public key itself.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the first four bytes of SHA-256 over name, line feed, kind and key (C2SP
    /// `signed-note`).
    fn hash(&self) -> [u8; 4] {
        let mut hash = Sha256::new();
        hash.update(&self.name);
        hash.update([b'\n', self.kind as u8]);
        hash.update(self.public.as_bytes());
        let digest = hash.finalize();
        std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default())
    }

    /// Signs `text`. Only the signature of a witness contains `time`.
    fn sign(&self, text: &str, key: &dyn Sign, time: Timestamp) -> Result<String, SignError> {
        let mut bytes = self.hash().to_vec();
        let signature = match self.kind {
            NoteKeyKind::Log => key.sign(text.as_bytes())?,
            NoteKeyKind::Witness => {
                let time = u64::try_from(time.unix()).unwrap_or_default();
                bytes.extend(time.to_be_bytes());
                key.sign(cosigned(time, text).as_bytes())?
            }
        };
        bytes.extend(signature);
        Ok(format!("{DASH}{} {}\n", self.name, STANDARD.encode(bytes)))
    }
}

/// Returns the text that a witness signs.
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// Returns true if `name` is valid for a log or witness.
///
/// ```
/// use mcpid::audit::note::is_name;
///
/// assert!(is_name("example.com/audit"));
/// assert!(!is_name("two words") && !is_name("a+b") && !is_name(""));
/// ```
pub fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

impl FromStr for NoteKey {
    type Err = NoteKeyError;

    fn from_str(text: &str) -> Result<Self, NoteKeyError> {
        let (name, rest) = text.split_once('+').ok_or(NoteKeyError::Form)?;
        let (hash, key) = rest.split_once('+').ok_or(NoteKeyError::Form)?;
        let bytes = STANDARD.decode(key).map_err(|_| NoteKeyError::Key)?;
        let (kind, key) = bytes.split_first().ok_or(NoteKeyError::Key)?;
        let kind = match kind {
            1 => NoteKeyKind::Log,
            4 => NoteKeyKind::Witness,
            _ => return Err(NoteKeyError::Key),
        };
        let key: &[u8; 32] = key.try_into().map_err(|_| NoteKeyError::Key)?;
        let public = PublicKey::from_bytes(key).map_err(|_| NoteKeyError::Key)?;
        if public.is_weak() || public.is_published() {
            return Err(NoteKeyError::Weak);
        }
        let key = NoteKey::new(name, kind, public)?;
        match hash == hex(&key.hash()) {
            true => Ok(key),
            false => Err(NoteKeyError::Hash),
        }
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind as u8];
        key.extend(self.public.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex(&self.hash()), STANDARD.encode(key))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text with its signatures. [`Note::signed_by`] verifies one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    /// For each signature line, the name of the key and the bytes of the signature.
    signatures: Vec<(String, Vec<u8>)>,
}

/// Why bytes are not a signed note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signed note: {0}")]
pub struct NoteError(&'static str);

impl Note {
    /// Signs `text`, which must end with a line feed, but not with an empty line.
    ///
    /// # Errors
    /// [`SignError`] if `key` cannot sign.
    pub fn sign(text: String, as_key: &NoteKey, key: &dyn Sign) -> Result<String, SignError> {
        let line = as_key.sign(&text, key, Timestamp::from_unix(0))?;
        Ok(format!("{text}\n{line}"))
    }

    /// Parses a note.
    ///
    /// # Errors
    /// [`NoteError`] if there is no text or no signature, if a signature is not canonical base64,
    /// or if there are control characters.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError("it is over 64 KiB long"));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError("it is not UTF-8"))?;
        if whole.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError("it holds a control character"));
        }
        let at = whole.rfind("\n\n").ok_or(NoteError("it has no signatures"))?;
        let (text, signatures) = (&whole[..=at], &whole[at + 2..]);
        if text.len() < 2 || text.starts_with('\n') {
            return Err(NoteError("it has no text"));
        }
        if !signatures.ends_with('\n') {
            return Err(NoteError("it breaks off"));
        }
        let lines = signatures.lines();
        let signatures = lines.map(signature).collect::<Option<Vec<_>>>();
        let signatures = signatures.ok_or(NoteError("a signature cannot be read"))?;
        if signatures.is_empty() || signatures.len() > MAX_SIGNATURES {
            return Err(NoteError("it has no signatures, or over 64"));
        }
        Ok(Note { text: text.to_owned(), signatures })
    }

    /// Returns the signed text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the time at which `key` signed the note. The signature of a log's key states no
    /// time, and gives zero. Returns `None` if there is no signature of `key`, or if one of several
    /// signatures with its name and hash is invalid.
    pub fn signed_by(&self, key: &NoteKey) -> Option<Timestamp> {
        let hash = key.hash();
        let mut when = None;
        for (name, bytes) in &self.signatures {
            let Some(rest) = bytes.strip_prefix(&hash).filter(|_| *name == key.name) else {
                continue;
            };
            let (time, message) = match key.kind {
                NoteKeyKind::Log => (0, None),
                NoteKeyKind::Witness => {
                    let time = u64::from_be_bytes(*rest.first_chunk::<8>()?);
                    (time, Some(cosigned(time, &self.text)))
                }
            };
            let signature = if message.is_some() { rest.get(8..)? } else { rest };
            let message = message.as_deref().unwrap_or(&self.text);
            key.public.verify_strict(message.as_bytes(), signature.try_into().ok()?).ok()?;
            when = Some(Timestamp::from_unix(i64::try_from(time).ok()?));
        }
        when
    }

    /// Returns the bytes of the first signature line with the name and hash of `key`, including the
    /// line feed. The signature is not verified here; see [`Note::signed_by`].
    pub fn line_of(&self, key: &NoteKey) -> Option<String> {
        let hash = key.hash();
        let mut own = self.signatures.iter();
        let (name, bytes) =
            own.find(|(name, bytes)| *name == key.name && bytes.starts_with(&hash))?;
        Some(format!("{DASH}{name} {}\n", STANDARD.encode(bytes)))
    }

    /// Returns the note as text, with a signature of a witness added at its end, made at `time`.
    ///
    /// # Errors
    /// [`SignError`] if `key` cannot sign.
    pub fn cosign(
        &self,
        as_key: &NoteKey,
        key: &dyn Sign,
        time: Timestamp,
    ) -> Result<String, SignError> {
        Ok(format!("{self}{}", as_key.sign(&self.text, key, time)?))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for (name, bytes) in &self.signatures {
            writeln!(f, "{DASH}{name} {}", STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

fn signature(line: &str) -> Option<(String, Vec<u8>)> {
    let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = STANDARD.decode(bytes).ok()?;
    (is_name(name) && bytes.len() > 4).then(|| (name.to_owned(), bytes))
}
