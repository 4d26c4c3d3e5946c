//! The parser for one trust file. It decides which faults refuse the whole file, which entries are
//! skipped, and which are kept.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::limits::TrustLimits;
use super::purpose::StatedPurpose;
use super::settings::TrustSettings;
use super::{TrustEntry, TrustNote};
use crate::key::format::SIGNING;
use crate::key::format::jwk::{self, Unusable};
use crate::key::json::{self, StrictJson};
use crate::key::{JsonError, KeyId, misplaced};

/// The entries of one trust file.
#[derive(Clone, Debug, Default)]
pub struct TrustFile {
    entries: Vec<TrustEntry>,
    /// The limits in entries that were skipped. They still apply to the keys that these entries
    /// name.
    restrictions: Vec<Restriction>,
    /// The `kid`s and ids of skipped entries, each with the reason why the entry was skipped.
    skipped_kids: Vec<(String, String)>,
    /// The index of each entry in the file's `keys`.
    positions: Vec<usize>,
    notes: Vec<TrustNote>,
    path: Option<PathBuf>,
    pub(super) sha256: Option<[u8; 32]>,
}

/// The restrictions in a skipped entry, which still apply to the key that it names.
#[derive(Clone, Debug)]
pub(super) struct Restriction {
    pub(super) key: KeyId,
    pub(super) limits: TrustLimits,
}

/// The parts of a trust file.
pub(super) struct TrustFileParts {
    pub(super) entries: Vec<TrustEntry>,
    pub(super) restrictions: Vec<Restriction>,
    pub(super) skipped_kids: Vec<(String, String)>,
    pub(super) notes: Vec<TrustNote>,
}

/// The reason why a file is not a trust file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file is not JSON, or a member is duplicate.
    #[error("not strict JSON: {0}")]
    Json(JsonError),
    /// The file is JSON, but not a JWK set or a JWK; the text names its kind.
    #[error("{0}, not a JWK set or a JWK")]
    NotKeys(&'static str),
    /// The file contains a private key, which is now known to all readers of the registry.
    #[error("key {position} is a private key; only public keys belong here")]
    PrivateKey {
        /// The position of the key in the file, from 1.
        position: usize,
    },
    /// A key's entry is wrong.
    #[error("key {position}: {why}")]
    Entry {
        /// The position of the key in the file, from 1.
        position: usize,
        /// What is wrong with the key.
        why: String,
    },
    /// A restriction, such as `mcpid`, stands beside `keys`, where it restricts no key. It belongs
    /// into a key.
    #[error("{0}")]
    Misplaced(String),
    /// The file contains one key twice.
    #[error("keys {first} and {second} are the same key, {id}")]
    Repeated {
        /// The id of the key.
        id: KeyId,
        /// The position of the first entry, from 1.
        first: usize,
        /// The position of the second entry, from 1.
        second: usize,
    },
}

impl From<JsonError> for TrustError {
    fn from(error: JsonError) -> Self {
        TrustError::Json(error)
    }
}

impl TrustFile {
    /// Reads a JWK set or a single JWK.
    ///
    /// Entries for another use (other types, `use` other than `sig`, `key_ops` without `verify`, an
    /// `alg` of another kind) are skipped with a note. An entry that is not a usable key is skipped
    /// too (RFC 7517 section 5). The restrictions in a skipped entry still apply. Weak and
    /// published keys are kept with a note, so that a verifier can refuse them with that reason.
    /// The JWK members `exp`, `nbf` and `revoked` restrict the key too.
    ///
    /// # Errors
    /// [`TrustError`]: a private key of any type; one key twice; a `kid` that is the thumbprint of
    /// another key. Under `mcpid`: an unknown member, a wrong type, a time that is not RFC 3339, an
    /// invalid pattern, an end that is not after the start. Also a member whose name is almost
    /// `mcpid`, and a restriction outside of `mcpid`. An unreadable key is an error if it is the
    /// only key or if its entry restricts it.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        Self::of(&json::read(bytes)?)
    }

    pub(super) fn of(json: &StrictJson) -> Result<Self, TrustError> {
        let object = json.as_object().ok_or(TrustError::NotKeys(json.kind()))?;
        if object.get("mcpid").and_then(StrictJson::as_str).is_some() && !object.has("kty") {
            return Err(TrustError::NotKeys("a keyfile"));
        }
        let mut file = TrustFile::default();
        match (object.get("keys"), object.has("kty")) {
            (Some(keys), false) => {
                let keys = keys.as_array().ok_or(TrustError::NotKeys("an object"))?;
                misplaced::beside_keys(object).map_err(TrustError::Misplaced)?;
                file.keys(keys, false)?;
            }
            (None, true) => file.keys(std::slice::from_ref(json), true)?,
            (Some(_), true) => {
                return Err(TrustError::NotKeys("an object with \"keys\" and \"kty\""));
            }
            (None, false) => return Err(TrustError::NotKeys("an object")),
        }
        Ok(file)
    }

    fn keys(&mut self, keys: &[StrictJson], alone: bool) -> Result<(), TrustError> {
        let mut seen = HashMap::new();
        for (index, json) in keys.iter().enumerate() {
            let position = index + 1;
            if let Some(id) = self.key(index, json, alone)?
                && let Some(first) = seen.insert(id, position)
            {
                return Err(TrustError::Repeated { id, first, second: position });
            }
        }
        if self.entries.is_empty() {
            self.note(match keys {
                [] => "holds no keys".to_owned(),
                _ => format!("holds no key that may verify: {SIGNING} is needed"),
            });
        }
        Ok(())
    }

    /// Reads one key. Returns the id of an Ed25519 or P-256 key, even if the entry cannot be used.
    fn key(
        &mut self,
        index: usize,
        json: &StrictJson,
        alone: bool,
    ) -> Result<Option<KeyId>, TrustError> {
        let position = index + 1;
        let wrong = |why| TrustError::Entry { position, why };
        let Some(jwk) = json.as_object() else {
            self.skip_key(position, &format!("it is {}, not an object", json.kind()), false);
            return Ok(None);
        };
        if jwk::holds_secret(jwk) {
            return Err(TrustError::PrivateKey { position });
        }
        misplaced::in_key(jwk).map_err(wrong)?;
        let mut settings = TrustSettings::of(jwk).map_err(wrong)?;
        let is_ours = settings.limits.restrict();
        if let Some(why) = settings.narrow(jwk) {
            self.note(format!("key {position}: {why}, so that nothing signed by it counts"));
        }
        // A pattern that can match no operation allows nothing. That is safe, but surely a mistake,
        // so it gets a remark.
        for pattern in settings.limits.allow.iter().flatten() {
            let remark = pattern.check_grant().err().map(|error| error.to_string());
            if let Some(remark) = remark.or_else(|| pattern.remark()) {
                self.note(format!("key {position}: \"allow\" holds \"{pattern}\": {remark}"));
            }
        }
        if settings.limits.security_key.as_ref().is_some_and(|rules| rules.is_for_logins()) {
            self.note(format!(
                "key {position}: the application \"ssh:\" is that of keys for logins; a key of its own: \
                 ssh-keygen -t ed25519-sk -O application=ssh:mcpid"
            ));
        }
        let id = jwk::id(jwk);
        let kid = jwk.string("kid").ok().flatten();
        let named = kid.and_then(KeyId::from_text);
        let usable = jwk::usable(jwk, "verify");
        // If `kid` is the id of another key, the limits in this entry would restrict the wrong key.
        if let (Some(own), Some(named)) = (id, named)
            && own != named
            && (usable.is_ok() || is_ours)
        {
            let why = format!("its \"kid\" is the id of another key: its own id is {own}");
            return Err(wrong(why));
        }
        match usable {
            Ok(key) => {
                for (bad, what) in [(key.is_weak(), "weak"), (key.is_published(), "published")] {
                    if bad {
                        let id = key.id();
                        self.note(format!(
                            "key {position} ({id}) is {what}: nothing signed by it counts"
                        ));
                    }
                }
                self.positions.push(index);
                let purpose = StatedPurpose::of(jwk);
                self.entries.push(settings.into_entry(key, kid.map(str::to_owned), purpose));
            }
            Err(Unusable::Broken(why)) if alone || is_ours => return Err(wrong(why)),
            Err(Unusable::Broken(why) | Unusable::NotForUs(why)) => {
                let limits = settings.limits;
                let restricts = limits.restrict();
                self.skip_key(position, &why, restricts);
                let names = kid.map(str::to_owned).into_iter().chain(id.map(|id| id.to_string()));
                self.skipped_kids.extend(names.map(|name| (name, why.clone())));
                if restricts {
                    // The ids are computed from the bytes of the key for every kind of key, because
                    // the entry may name the wrong kind.
                    let ids = jwk::ids(jwk).chain(named);
                    self.restrictions
                        .extend(ids.map(|key| Restriction { key, limits: limits.clone() }));
                }
            }
        }
        Ok(id)
    }

    fn skip_key(&mut self, position: usize, why: &str, restricts: bool) {
        let all_the_same = if restricts { "; what it restricts holds all the same" } else { "" };
        self.note(format!("key {position} is passed over: {why}{all_the_same}"));
    }

    fn note(&mut self, text: String) {
        self.notes.push(TrustNote { path: None, text });
    }

    /// Returns the entries, in the order of the file.
    pub fn entries(&self) -> &[TrustEntry] {
        &self.entries
    }

    /// Returns the remarks for the operator about the file.
    pub fn notes(&self) -> &[TrustNote] {
        &self.notes
    }

    /// Returns the path of the file, if it was read from one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Sets the path that the file was read from, also in its remarks.
    pub(super) fn at(mut self, path: &Path, more: Option<String>) -> Self {
        self.notes.extend(more.map(|text| TrustNote { path: None, text }));
        for note in &mut self.notes {
            note.path = Some(path.to_owned());
        }
        self.path = Some(path.to_owned());
        self
    }

    pub(super) fn positions(&self) -> &[usize] {
        &self.positions
    }

    pub(super) fn into_parts(self) -> TrustFileParts {
        let TrustFile { entries, restrictions, skipped_kids, notes, .. } = self;
        TrustFileParts { entries, restrictions, skipped_kids, notes }
    }
}
