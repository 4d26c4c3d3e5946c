//! Keyfiles: one JSON object that contains a private key, encrypted ("sealed") under a passphrase.
//!
//! ```json
//! {"mcpid":"keyfile/1","name":"agent","created":"2026-11-23T15:00:00Z",
//!  "public":{"kty":"OKP","crv":"Ed25519","x":"…","kid":"…"},
//!  "kdf":{"name":"argon2id","memory_kib":65536,"passes":3,"lanes":1,"salt":"…"},
//!  "cipher":{"name":"xchacha20-poly1305","nonce":"…"},
//!  "secret":"…"}
//! ```
//!
//! Argon2id (RFC 9106, version 0x13) derives the key of XChaCha20-Poly1305 from the passphrase.
//! That cipher encrypts the 32 bytes of the private key: the seed of an Ed25519 key, or the
//! big-endian number of a P-256 key, whose `public` is
//! `{"kty":"EC","crv":"P-256","x":"…","y":"…","kid":"…"}`. The additional authenticated data is the
//! canonical JSON (RFC 8785) of the object without `secret`. So a file whose name, date or cost was
//! changed cannot be decrypted. Public key and name can be read without the passphrase.
//!
//! A plain keyfile has no `kdf`, its cipher is `{"name":"none"}`, and its `secret` is the
//! unencrypted private key. Only its public key is checked, by computing it from the private key.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::json::quote;
use super::{KeyId, PublicKey, SecretKey, Sign as _};
use crate::clock::Timestamp;
use crate::secret::quoted;

mod read;
mod seal;

pub use seal::KdfCost;

use seal::Kdf;

/// The largest size of a keyfile in bytes; mcpid writes about 600.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most bytes of a new key's name, in UTF-8.
pub const MAX_NAME_BYTES: usize = 256;

/// A keyfile that was read or made. Its private key stays encrypted until [`open`](Self::open) is
/// called.
pub struct Keyfile {
    name: String,
    /// The date with the exact characters of the file, because the authenticated data contains
    /// them.
    created_text: String,
    created: Timestamp,
    public: PublicKey,
    secret: KeyfileSecret,
}

enum KeyfileSecret {
    Plain(Zeroizing<[u8; 32]>),
    Sealed { kdf: Kdf, nonce: [u8; 24], sealed: [u8; 48], additional: String },
}

/// The reason why a keyfile cannot be read, opened or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyfileError {
    /// The input is not JSON with the member `mcpid` of a keyfile.
    #[error("not a keyfile")]
    NotAKeyfile,
    /// A keyfile of a version that this program does not know.
    #[error("a keyfile of the unknown version {}", quoted(.0))]
    UnknownVersion(String),
    /// The keyfile is malformed; the text says how. It never contains a secret.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The file asks for a costlier passphrase hash than the format allows. No memory was allocated
    /// for it.
    #[error("asks for {asked} {what}, the limit is {limit}")]
    TooCostly {
        /// The resource that the file asks for, with its unit: `KiB of memory`, `passes`, `lanes`.
        what: &'static str,
        /// The requested amount.
        asked: u64,
        /// The largest amount that the format allows.
        limit: u64,
    },
    /// The cost is below the minimum of Argon2: one pass, one lane, and 8 KiB for each lane.
    #[error("{asked} {what} is too little, at least {least} are needed")]
    TooCheap {
        /// The resource with a too small amount, with its unit.
        what: &'static str,
        /// The requested amount.
        asked: u64,
        /// The smallest amount that Argon2 needs.
        least: u64,
    },
    /// The memory that the passphrase hashing needs cannot be allocated.
    #[error("cannot allocate the {0} KiB of memory that the passphrase needs")]
    OutOfMemory(u32),
    /// The private key is encrypted, and no passphrase was given.
    #[error("a passphrase is needed")]
    PassphraseNeeded,
    /// An empty passphrase was given to seal a key. It would protect nothing.
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    /// The decryption failed: either the passphrase is wrong or the file was changed. These cases
    /// cannot be told apart.
    #[error("wrong passphrase, or the file was changed")]
    WrongPassphrase,
    /// The decrypted bytes are no private key, or do not belong to the public key in the file.
    #[error("the secret does not belong to the public key in the file")]
    PublicMismatch,
    /// A new key's name is empty, over [`MAX_NAME_BYTES`], or holds a control character.
    #[error("a name has 1 to {MAX_NAME_BYTES} bytes and no control characters")]
    Name,
    /// The random number generator failed.
    #[error("no random numbers")]
    Random(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl KeyfileError {
    /// Returns a message in one line: the name of the keyfile at `path`, and this error.
    pub fn about(&self, path: &Path) -> String {
        let name = path.display();
        match self {
            KeyfileError::WrongPassphrase => {
                format!("wrong passphrase for {name}, or the file was changed")
            }
            KeyfileError::NotAKeyfile => format!("{name} is not a keyfile"),
            KeyfileError::UnknownVersion(_) => format!("{name} is {self}"),
            KeyfileError::TooCostly { .. } => format!("{name} {self}"),
            KeyfileError::Random(_) => format!("cannot make {name}: {self}"),
            _ => format!("{name}: {self}"),
        }
    }
}

impl Keyfile {
    /// Encrypts `secret` under `passphrase`, with a fresh salt and nonce from `random`.
    ///
    /// # Errors
    /// [`KeyfileError::Name`], [`KeyfileError::PassphraseEmpty`], [`KeyfileError::OutOfMemory`],
    /// [`KeyfileError::Random`].
    pub fn seal<R: rand::TryCryptoRng>(
        secret: &SecretKey,
        name: &str,
        created: Timestamp,
        passphrase: &[u8],
        cost: KdfCost,
        random: &mut R,
    ) -> Result<Self, KeyfileError>
    where
        R::Error: Send + Sync + 'static,
    {
        let file = Keyfile::plain(secret, name, created)?;
        file.sealed_again(secret, passphrase, cost, random)
    }

    /// Makes a keyfile without encryption. Every program that can read the file can sign.
    ///
    /// # Errors
    /// [`KeyfileError::Name`].
    pub fn plain(secret: &SecretKey, name: &str, created: Timestamp) -> Result<Self, KeyfileError> {
        if !is_name(name) {
            return Err(KeyfileError::Name);
        }
        Ok(Keyfile {
            name: name.to_owned(),
            created_text: created.to_string(),
            created,
            public: secret.public().clone(),
            secret: KeyfileSecret::Plain(secret.to_bytes()),
        })
    }

    /// Returns a keyfile with the same key, name and date, encrypted under another passphrase.
    /// `secret` is the result of [`open`](Self::open).
    ///
    /// # Errors
    /// The same as for [`seal`](Self::seal), and [`KeyfileError::PublicMismatch`] for the secret of
    /// another key.
    pub fn sealed_again<R: rand::TryCryptoRng>(
        &self,
        secret: &SecretKey,
        passphrase: &[u8],
        cost: KdfCost,
        random: &mut R,
    ) -> Result<Self, KeyfileError>
    where
        R::Error: Send + Sync + 'static,
    {
        let mut file = self.plain_again(secret)?;
        seal::seal(&mut file, secret, passphrase, cost, random)?;
        Ok(file)
    }

    /// Returns a keyfile with the same key, name and date, and an unencrypted private key.
    ///
    /// # Errors
    /// [`KeyfileError::PublicMismatch`] for the secret of another key.
    pub fn plain_again(&self, secret: &SecretKey) -> Result<Self, KeyfileError> {
        if secret.public() != &self.public {
            return Err(KeyfileError::PublicMismatch);
        }
        Ok(Keyfile {
            name: self.name.clone(),
            created_text: self.created_text.clone(),
            created: self.created,
            public: self.public.clone(),
            secret: KeyfileSecret::Plain(secret.to_bytes()),
        })
    }

    /// Reads a keyfile. The private key stays encrypted. The stated cost of the passphrase hash
    /// must be within the bounds.
    ///
    /// # Errors
    /// [`KeyfileError`] for any content that the format does not allow: unknown and repeated
    /// members, base64url with padding or stray bits, numbers that are not integers, a `kid` that
    /// is not the thumbprint, a weak public key, or a plain private key that does not belong to the
    /// public key.
    pub fn from_json(bytes: &[u8]) -> Result<Self, KeyfileError> {
        read::keyfile(bytes)
    }

    /// Decrypts and returns the private key. For a keyfile without encryption, the passphrase is
    /// ignored.
    ///
    /// # Errors
    /// [`KeyfileError::PassphraseNeeded`], [`KeyfileError::WrongPassphrase`],
    /// [`KeyfileError::OutOfMemory`], [`KeyfileError::PublicMismatch`].
    pub fn open(&self, passphrase: Option<&[u8]>) -> Result<SecretKey, KeyfileError> {
        let seed = match &self.secret {
            KeyfileSecret::Plain(seed) => seed.clone(),
            KeyfileSecret::Sealed { kdf, nonce, sealed, additional } => {
                let passphrase = passphrase.ok_or(KeyfileError::PassphraseNeeded)?;
                seal::open(kdf, nonce, sealed, additional, passphrase)?
            }
        };
        let secret = SecretKey::of_kind(self.public.kind(), &seed)
            .map_err(|_| KeyfileError::PublicMismatch)?;
        // The decryption proves that the file was not changed. It does not prove that its author
        // wrote the right public key.
        if secret.public() != &self.public {
            return Err(KeyfileError::PublicMismatch);
        }
        Ok(secret)
    }

    /// Returns the public key that the file names. For an encrypted file, only [`open`](Self::open)
    /// proves that it is the right one.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the name that the key's owner chose; in a file that another program wrote, it can be
    /// any text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the time at which the key was made.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Returns true if the secret is unencrypted in the file.
    pub fn is_plain(&self) -> bool {
        matches!(self.secret, KeyfileSecret::Plain(_))
    }

    /// Returns the cost of the passphrase hash; `None` for a keyfile without encryption.
    pub fn cost(&self) -> Option<KdfCost> {
        match &self.secret {
            KeyfileSecret::Plain(_) => None,
            KeyfileSecret::Sealed { kdf, .. } => Some(kdf.cost),
        }
    }

    /// Returns the file's content: members in the order of the format, without a final newline, so
    /// that a truncation by even one byte is detected. The text is wiped when it is dropped.
    pub fn to_json(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(2048 + 2 * self.name.len()));
        out.push_str("{\"mcpid\":\"keyfile/1\",\"name\":");
        out.push_str(&quote(&self.name));
        out.push_str(",\"created\":");
        out.push_str(&quote(&self.created_text));
        let (members, kid) = (self.public.jwk_members(), self.public.id());
        out.push_str(&format!(",\n \"public\":{{{members},\"kid\":\"{kid}\"}},\n "));
        match &self.secret {
            KeyfileSecret::Plain(seed) => {
                out.push_str("\"cipher\":{\"name\":\"none\"},\n \"secret\":\"");
                out.push_str(&seal::base64url(seed.as_ref()));
            }
            KeyfileSecret::Sealed { kdf, nonce, sealed, .. } => {
                out.push_str(&format!(
                    "\"kdf\":{},\n \"cipher\":{},\n \"secret\":\"",
                    kdf.to_json(),
                    seal::cipher_json(nonce)
                ));
                out.push_str(&seal::base64url(sealed));
            }
        }
        out.push_str("\"}");
        out
    }
}

/// Returns true if `name` is valid for a new key. Files that other programs wrote can contain any
/// text.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)
}

impl fmt::Debug for Keyfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id: &KeyId = self.public.id();
        let plain = self.is_plain();
        f.debug_struct("Keyfile")
            .field("name", &self.name)
            .field("id", id)
            .field("plain", &plain)
            .finish_non_exhaustive()
    }
}
