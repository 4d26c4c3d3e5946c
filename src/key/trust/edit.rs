//! Edits of one trust file. All parts that are not changed keep their exact bytes.

use std::fs::{self, File};
use std::path::Path;

use serde_json::value::RawValue;

use super::splice::{RawObject, revoked};
use super::{LoadError, MAX_BYTES, SecurityKeyRules, TrustEntry, TrustError, TrustFile};
use crate::clock::Timestamp;
use crate::key::file_io::{self, FileError};
use crate::key::format::jwk_with_kid;
use crate::key::json::{self, quote};
use crate::key::keyfile::{MAX_NAME_BYTES, is_name};
use crate::key::{KeyId, PublicKey};
use crate::mcp::pattern::Pattern;

/// A key to add to a trust file.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// The key to add.
    pub key: PublicKey,
    /// The `kid` to write. `None`: the key's id.
    pub kid: Option<String>,
    /// A name, 1 to 256 bytes without control characters.
    pub name: Option<String>,
    /// Client ids that the key may state in the signature parameter `tag`, besides its own id.
    pub client_ids: Vec<String>,
    /// The start of validity (inclusive).
    pub not_before: Option<Timestamp>,
    /// The end of validity (exclusive).
    pub not_after: Option<Timestamp>,
    /// The operations that the key may do. `None`: all operations.
    pub allow: Option<Vec<Pattern>>,
    /// The rules for the touch of a security key. `None`: the key is no security key.
    pub security_key: Option<SecurityKeyRules>,
}

/// A client id that cannot be the value of a `tag`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: an id has 1 to {MAX_NAME_BYTES} ASCII characters")]
#[non_exhaustive]
pub struct ClientIdError(pub String);

/// Checks that `id` can be a signature's `tag`: visible ASCII and spaces (RFC 9651 section 3.3.3).
///
/// # Errors
/// [`ClientIdError`] for every other text, for an empty text, and for a text that is too long.
pub fn check_client_id(id: &str) -> Result<(), ClientIdError> {
    let fits = (1..=MAX_NAME_BYTES).contains(&id.len());
    match fits && id.bytes().all(|b| matches!(b, b' '..=b'~')) {
        true => Ok(()),
        false => Err(ClientIdError(id.to_owned())),
    }
}

impl NewEntry {
    /// Returns a new entry that trusts `key` without a name or a limit.
    pub fn new(key: PublicKey) -> Self {
        NewEntry {
            key,
            kid: None,
            name: None,
            client_ids: Vec::new(),
            not_before: None,
            not_after: None,
            allow: None,
            security_key: None,
        }
    }
}

/// The reason why a trust file was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file cannot be used as it is.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The file cannot be written.
    #[error(transparent)]
    Store(#[from] FileError),
    /// The edited file would not be a valid trust file.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The file has the key already.
    #[error("the key {id} is in the file already{}", .name.as_ref().map(|n| format!(", as {n:?}")).unwrap_or_default())]
    AlreadyThere {
        /// The id of the key.
        id: KeyId,
        /// The name of the key in the file.
        name: Option<String>,
    },
    /// The key is weak: it has a component of small order, so that signatures can be forged.
    #[error("the key is weak: nothing signed by it counts")]
    Weak,
    /// The private half of the key is published.
    #[error("the private half of this key is published: anyone can sign with it")]
    Published,
    /// The name cannot be used.
    #[error("a name has 1 to {MAX_NAME_BYTES} bytes and no control characters")]
    Name,
    /// The client id cannot be a `tag`, which is visible ASCII and spaces (RFC 9651 section 3.3.3).
    #[error("the client id {0:?} cannot stand in a tag: 1 to {MAX_NAME_BYTES} ASCII characters")]
    ClientId(String),
    /// The end is not later than the start.
    #[error("the end {end} is not later than the start {start}")]
    NeverValid {
        /// The start of validity.
        start: Timestamp,
        /// The end of validity.
        end: Timestamp,
    },
    /// No key in the file has this name, id or `kid`.
    #[error("no key in the file has the name, id or kid {0:?}")]
    NotFound(String),
    /// Several keys have this name or `kid`.
    #[error("{} keys have the name or kid {who:?}: {}", .ids.len(), list(.ids))]
    Ambiguous {
        /// The ambiguous name or `kid`.
        who: String,
        /// The ids of all keys with that name or `kid`.
        ids: Vec<KeyId>,
    },
    /// The key is revoked already, as of the requested time or earlier.
    #[error("revoked already, since {since}")]
    AlreadyRevoked {
        /// The time of the revocation.
        since: Timestamp,
    },
}

fn list(ids: &[KeyId]) -> String {
    ids.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", ")
}

/// A trust file in memory, as text that can be changed entry by entry.
#[derive(Debug)]
pub struct Document {
    /// The members of the JWK set other than `keys`, in their order.
    others: Vec<(String, Box<RawValue>)>,
    keys: Vec<String>,
    /// True if the file is a single JWK and not a JWK set.
    single: bool,
    file: TrustFile,
}

impl Document {
    /// Creates a document without keys.
    ///
    /// # Errors
    /// In practice none, because the text of an empty document is valid.
    pub fn empty() -> Result<Self, TrustError> {
        Self::parse(br#"{"keys":[]}"#)
    }

    /// Reads a trust file.
    ///
    /// # Errors
    /// As [`TrustFile::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let file = TrustFile::of(&json::read(bytes)?)?;
        let bytes = json::without_bom(bytes);
        let raw = |e| TrustError::from(json::JsonError(e));
        let RawObject(mut others) = serde_json::from_slice(bytes).map_err(raw)?;
        let (mut keys, mut single) = (Vec::new(), true);
        if let Some(at) = others.iter().position(|(name, _)| name == "keys") {
            let list: Vec<Box<RawValue>> =
                serde_json::from_str(others.remove(at).1.get()).map_err(raw)?;
            keys.extend(list.into_iter().map(|key| key.get().to_owned()));
            single = false;
        } else {
            keys.push(String::from_utf8_lossy(bytes).trim().to_owned());
            others.clear();
        }
        Ok(Document { others, keys, single, file })
    }

    /// Returns the parsed entries of the document, and remarks about them.
    pub fn file(&self) -> &TrustFile {
        &self.file
    }

    /// Returns the file's content; this program writes one key on each line.
    pub fn to_json(&self) -> String {
        if let ([key], true) = (self.keys.as_slice(), self.single) {
            return format!("{key}\n");
        }
        let mut out = String::from("{");
        for (name, value) in &self.others {
            out.push_str(&format!("{}:{},\n", quote(name), value.get()));
        }
        out.push_str("\"keys\":[");
        for (at, key) in self.keys.iter().enumerate() {
            out.push_str(if at == 0 { "\n  " } else { ",\n  " });
            out.push_str(key);
        }
        out.push_str("\n]}\n");
        out
    }

    /// Adds a key. Returns its entry.
    ///
    /// # Errors
    /// [`EditError`]: the file has the key already, the key is weak or published, or a name, client
    /// id or validity is invalid.
    pub fn add(&mut self, new: &NewEntry) -> Result<TrustEntry, EditError> {
        if new.key.is_weak() {
            return Err(EditError::Weak);
        }
        if new.key.is_published() {
            return Err(EditError::Published);
        }
        let id = *new.key.id();
        if let Some(known) = self.file.entries().iter().find(|e| *e.key().id() == id) {
            let name = known.name().map(str::to_owned);
            return Err(EditError::AlreadyThere { id, name });
        }
        let kid = new.kid.as_deref().unwrap_or(id.as_str());
        let settings = settings(new)?;
        let mut jwk = jwk_with_kid(&new.key, kid, None);
        if !settings.is_empty() {
            jwk.truncate(jwk.len() - 1);
            jwk.push_str(&format!(",\"mcpid\":{{{}}}}}", settings.join(",")));
        }
        let mut keys = self.keys.clone();
        keys.push(jwk);
        self.set(keys)?;
        self.entry(id.as_str()).cloned()
    }

    /// Revokes the key with this name, id or `kid` as of `at`. Returns its entry.
    ///
    /// # Errors
    /// [`EditError::NotFound`], [`EditError::Ambiguous`], and [`EditError::AlreadyRevoked`] unless
    /// `at` is earlier than the existing revocation.
    pub fn revoke(&mut self, who: &str, at: Timestamp) -> Result<TrustEntry, EditError> {
        let (position, entry) = self.find(who)?;
        let id = *entry.key().id();
        if let Some(since) = entry.revoked_at().filter(|since| *since <= at) {
            return Err(EditError::AlreadyRevoked { since });
        }
        let mut keys = self.keys.clone();
        if let Some(key) = keys.get_mut(position) {
            *key = revoked(key, at).map_err(|e| TrustError::from(json::JsonError(e)))?;
        }
        self.set(keys)?;
        self.entry(id.as_str()).cloned()
    }

    /// Removes the key with this name, id or `kid`. Returns its former entry.
    ///
    /// # Errors
    /// [`EditError::NotFound`], [`EditError::Ambiguous`].
    pub fn remove(&mut self, who: &str) -> Result<TrustEntry, EditError> {
        let (position, entry) = self.find(who)?;
        let (entry, mut keys) = (entry.clone(), self.keys.clone());
        keys.remove(position);
        self.set(keys)?;
        Ok(entry)
    }

    /// Returns the one entry with this name, id or `kid`.
    ///
    /// # Errors
    /// [`EditError::NotFound`], [`EditError::Ambiguous`].
    pub fn entry(&self, who: &str) -> Result<&TrustEntry, EditError> {
        self.find(who).map(|(_, entry)| entry)
    }

    /// Finds the one entry with this id, name or `kid`. Returns its index in `keys`, and the entry.
    fn find(&self, who: &str) -> Result<(usize, &TrustEntry), EditError> {
        let entries = self.file.entries().iter().zip(self.file.positions());
        let mut found = entries.filter(|(entry, _)| entry.is_called(who));
        let Some((entry, position)) = found.next() else {
            return Err(EditError::NotFound(who.to_owned()));
        };
        let others: Vec<KeyId> = found.map(|(e, _)| *e.key().id()).collect();
        if others.is_empty() {
            return Ok((*position, entry));
        }
        let ids = std::iter::once(*entry.key().id()).chain(others).collect();
        Err(EditError::Ambiguous { who: who.to_owned(), ids })
    }

    /// Replaces the keys by `keys`, after checking that the new text can be read.
    fn set(&mut self, keys: Vec<String>) -> Result<(), EditError> {
        let single = self.single && keys.len() == 1;
        let old = std::mem::replace(&mut self.keys, keys);
        let was_single = std::mem::replace(&mut self.single, single);
        match TrustFile::parse(self.to_json().as_bytes()) {
            Ok(file) => {
                self.file = file;
                Ok(())
            }
            Err(e) => {
                self.keys = old;
                self.single = was_single;
                Err(e.into())
            }
        }
    }
}

/// Returns the members of `mcpid` for a new entry, in the order of the format.
fn settings(new: &NewEntry) -> Result<Vec<String>, EditError> {
    if let (Some(start), Some(end)) = (new.not_before, new.not_after)
        && end <= start
    {
        return Err(EditError::NeverValid { start, end });
    }
    let mut members = Vec::new();
    if let Some(name) = &new.name {
        if !is_name(name) {
            return Err(EditError::Name);
        }
        members.push(format!("\"name\":{}", quote(name)));
    }
    if let Some(bad) = new.client_ids.iter().find(|id| check_client_id(id).is_err()) {
        return Err(EditError::ClientId(bad.clone()));
    }
    if !new.client_ids.is_empty() {
        let ids: Vec<String> = new.client_ids.iter().map(|id| quote(id)).collect();
        members.push(format!("\"client_ids\":[{}]", ids.join(",")));
    }
    for (name, time) in [("not_before", new.not_before), ("not_after", new.not_after)] {
        if let Some(time) = time {
            members.push(format!("\"{name}\":\"{time}\""));
        }
    }
    if let Some(allow) = &new.allow {
        let patterns: Vec<_> = allow.iter().map(|pattern| quote(&pattern.to_string())).collect();
        members.push(format!("\"allow\":[{}]", patterns.join(",")));
    }
    if let Some(rules) = &new.security_key {
        // This cannot fail: the rules are strings, lists of strings and booleans.
        let rules = serde_json::to_string(rules).unwrap_or_default();
        members.push(format!("\"security_key\":{rules}"));
    }
    Ok(members)
}

/// Changes the trust file at `path`.
///
/// The folder is locked during the edit, so that concurrent edits do not undo each other. The file
/// keeps its mode and, if the system permits it, its owner. If `path` is a symbolic link, the
/// target file is rewritten and the link stays.
///
/// # Errors
/// [`EditError`]; the file is then unchanged.
pub fn edit<T>(
    path: &Path,
    change: impl FnOnce(&mut Document) -> Result<T, EditError>,
) -> Result<T, EditError> {
    change_file(path, false, change)
}

/// Works as [`edit`], but creates the file if it does not exist. The mode is 0644 less the umask:
/// the file holds no secret, and the server that reads it often runs as another user.
///
/// # Errors
/// [`EditError`].
pub fn create_or_edit<T>(
    path: &Path,
    change: impl FnOnce(&mut Document) -> Result<T, EditError>,
) -> Result<T, EditError> {
    change_file(path, true, change)
}

fn change_file<T>(
    path: &Path,
    create: bool,
    change: impl FnOnce(&mut Document) -> Result<T, EditError>,
) -> Result<T, EditError> {
    let is_new = create
        && matches!(fs::symlink_metadata(path), Err(e) if e.kind() == std::io::ErrorKind::NotFound);
    let path =
        if is_new { path.to_owned() } else { fs::canonicalize(path).map_err(FileError::Io)? };
    let folder = file_io::folder_of(&path);
    // The lock is held until this function ends. On a file system without locks, there is none.
    let lock = File::open(folder).map_err(FileError::Io)?;
    let _ = lock.lock();
    if is_new && fs::symlink_metadata(&path).is_err() {
        let mut document = Document::empty()?;
        let result = change(&mut document)?;
        file_io::write_new(&path, document.to_json().as_bytes(), 0o644)?;
        return Ok(result);
    }
    let (bytes, metadata) = file_io::read_regular(&path, MAX_BYTES)?;
    super::load::check_writers(&path, &metadata)?;
    let mut document = Document::parse(&bytes)?;
    let result = change(&mut document)?;
    let json = document.to_json();
    if u64::try_from(json.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(FileError::TooLarge { limit: MAX_BYTES }.into());
    }
    let mode = file_io::mode_of(&metadata).unwrap_or(0o644) & 0o777;
    file_io::replace(&path, json.as_bytes(), mode, Some(&metadata))?;
    Ok(result)
}
