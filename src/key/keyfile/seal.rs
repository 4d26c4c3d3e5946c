//! The encryption of keyfiles: Argon2id and XChaCha20-Poly1305 over one private key.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Keyfile, KeyfileError, KeyfileSecret};
use crate::key::{SecretKey, json};

/// Memory, passes and lanes of the passphrase hashing (RFC 9106 section 3.1), within the bounds
/// of the keyfile: 8 KiB a lane to 1 GiB, 1 to 16 passes, 1 to 16 lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

const MAX_MEMORY_KIB: u64 = 1024 * 1024;
const MAX_PASSES: u64 = 16;
const MAX_LANES: u64 = 16;

impl KdfCost {
    /// The cost of new keyfiles: 64 MiB, 3 passes, 1 lane; about an eighth of a second.
    pub const DEFAULT: KdfCost = KdfCost { memory_kib: 65_536, passes: 3, lanes: 1 };

    /// Creates a cost of `memory_kib` KiB, `passes` passes and `lanes` lanes.
    ///
    /// # Errors
    /// [`KeyfileError::TooCostly`] or [`KeyfileError::TooCheap`] outside the bounds.
    pub fn new(memory_kib: u64, passes: u64, lanes: u64) -> Result<Self, KeyfileError> {
        Ok(KdfCost {
            lanes: within("lanes", lanes, 1, MAX_LANES)?,
            passes: within("passes", passes, 1, MAX_PASSES)?,
            memory_kib: within(
                "KiB of memory",
                memory_kib,
                lanes.saturating_mul(8),
                MAX_MEMORY_KIB,
            )?,
        })
    }

    /// Returns the memory in KiB.
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Returns the number of passes over the memory.
    pub fn passes(self) -> u32 {
        self.passes
    }

    /// Returns the number of lanes. This program computes the lanes one after the other.
    pub fn lanes(self) -> u32 {
        self.lanes
    }
}

fn within(what: &'static str, asked: u64, least: u64, limit: u64) -> Result<u32, KeyfileError> {
    if asked < least {
        return Err(KeyfileError::TooCheap { what, asked, least });
    }
    let too_costly = KeyfileError::TooCostly { what, asked, limit };
    if asked > limit { Err(too_costly) } else { u32::try_from(asked).map_err(|_| too_costly) }
}

/// The `kdf` member of a keyfile.
pub(super) struct Kdf {
    pub(super) cost: KdfCost,
    pub(super) salt: Vec<u8>,
}

impl Kdf {
    pub(super) fn to_json(&self) -> String {
        let KdfCost { memory_kib, passes, lanes } = self.cost;
        format!(
            r#"{{"name":"argon2id","memory_kib":{memory_kib},"passes":{passes},"lanes":{lanes},"salt":"{}"}}"#,
            *base64url(&self.salt)
        )
    }

    /// Derives 32 bytes from `passphrase`. The memory for the hash is allocated here, so that it
    /// can be wiped; the crate does not wipe memory that it allocates.
    fn derive(&self, passphrase: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyfileError> {
        let KdfCost { memory_kib, passes, lanes } = self.cost;
        let damaged = |e: argon2::Error| KeyfileError::Damaged(e.to_string());
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(damaged)?;
        let mut memory = WorkMemory(Vec::new());
        let blocks = params.block_count();
        memory.0.try_reserve_exact(blocks).map_err(|_| KeyfileError::OutOfMemory(memory_kib))?;
        memory.0.resize(blocks, Block::new());
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                passphrase,
                &self.salt,
                key.as_mut(),
                memory.0.as_mut_slice(),
            )
            .map_err(damaged)?;
        Ok(key)
    }
}

/// The memory in which Argon2 computes. It is wiped, because the result could be computed from its
/// last state.
struct WorkMemory(Vec<Block>);

impl Drop for WorkMemory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Block::zeroize);
    }
}

pub(super) fn cipher_json(nonce: &[u8; 24]) -> String {
    format!(r#"{{"name":"xchacha20-poly1305","nonce":"{}"}}"#, *base64url(nonce))
}

/// Encrypts `secret` and puts it into `file`, which was unencrypted until then.
pub(super) fn seal<R: rand::TryCryptoRng>(
    file: &mut Keyfile,
    secret: &SecretKey,
    passphrase: &[u8],
    cost: KdfCost,
    random: &mut R,
) -> Result<(), KeyfileError>
where
    R::Error: Send + Sync + 'static,
{
    if passphrase.is_empty() {
        return Err(KeyfileError::PassphraseEmpty);
    }
    let (mut salt, mut nonce) = ([0; 16], [0; 24]);
    let failed = |e: R::Error| KeyfileError::Random(Box::new(e));
    random.try_fill_bytes(&mut salt).map_err(failed)?;
    random.try_fill_bytes(&mut nonce).map_err(failed)?;
    let kdf = Kdf { cost, salt: salt.to_vec() };
    let key = kdf.derive(passphrase)?;
    file.secret = KeyfileSecret::Sealed { kdf, nonce, sealed: [0; 48], additional: String::new() };
    // The additional data is computed from the parsed text of the file, by the function that
    // readers use. So the authenticated data is exactly what each reader computes.
    let additional = json::read(file.to_json().as_bytes())
        .ok()
        .as_ref()
        .and_then(|object| object.as_object()?.canonical_without("secret"))
        .ok_or_else(|| KeyfileError::Damaged("has no canonical form".into()))?;
    let ciphertext = XChaCha20Poly1305::new((&*key).into())
        .encrypt(
            &XNonce::from(nonce),
            Payload { msg: secret.to_bytes().as_ref(), aad: additional.as_bytes() },
        )
        .ok()
        .and_then(|sealed| <[u8; 48]>::try_from(sealed).ok())
        .ok_or_else(|| KeyfileError::Damaged("cannot be sealed".into()))?;
    if let KeyfileSecret::Sealed { sealed, additional: stored, .. } = &mut file.secret {
        *sealed = ciphertext;
        *stored = additional;
    }
    Ok(())
}

/// Decrypts the private key of a keyfile.
pub(super) fn open(
    kdf: &Kdf,
    nonce: &[u8; 24],
    sealed: &[u8; 48],
    additional: &str,
    passphrase: &[u8],
) -> Result<Zeroizing<[u8; 32]>, KeyfileError> {
    let key = kdf.derive(passphrase)?;
    let opened = XChaCha20Poly1305::new((&*key).into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: additional.as_bytes() })
        .map(Zeroizing::new)
        .map_err(|_| KeyfileError::WrongPassphrase)?;
    let mut seed = Zeroizing::new([0; 32]);
    if opened.len() != seed.len() {
        return Err(KeyfileError::WrongPassphrase);
    }
    seed.copy_from_slice(&opened);
    Ok(seed)
}

/// Encodes bytes in base64url without padding (RFC 4648 section 5). The result is wiped, since it
/// can be a secret.
pub(super) fn base64url(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes))
}
