//! The registry of trusted keys: which keys may sign, for which operations, and when.
//!
//! A trust file is a JWK set (RFC 7517), so that any JOSE tool can read it. Each key may have one
//! member of our own:
//!
//! ```json
//! {"keys":[{"kty":"OKP","crv":"Ed25519","x":"…","kid":"…","use":"sig",
//!   "mcpid":{"name":"alice","client_ids":["alice-laptop"],"not_before":"…","not_after":"…",
//!            "revoked_at":"…","allow":["tools/call:get_*"]}}]}
//! ```
//!
//! The `mcpid` member of a security key also has
//! `"security_key":{"application":"ssh:mcpid","for":["alice"]}`: see [`SecurityKeyRules`].
//!
//! ```text
//! path ─ load ─► TrustFile ─┐
//! path ─ load ─► TrustFile ─┴─ Registry::merge ─► by_id, by_kid      (one key: the strictest)
//! path ─ edit ─► Document ── add, revoke, remove ─► the same file, rewritten whole
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{KeyId, PublicKey};
use crate::clock::Timestamp;
use crate::mcp::pattern::{Operation, Pattern};

mod edit;
mod file;
mod limits;
mod load;
mod purpose;
mod settings;
mod splice;
mod touch_rules;

use limits::TrustLimits;
use purpose::StatedPurpose;

pub use edit::{
    ClientIdError, Document, EditError, NewEntry, check_client_id, create_or_edit, edit,
};
use file::{Restriction, TrustFileParts};
pub use file::{TrustError, TrustFile};
pub(super) use load::has_trust_file_name;
pub use load::{LoadError, LoadErrorKind, MAX_BYTES};
pub(crate) use touch_rules::PresenceFault;
pub use touch_rules::SecurityKeyRules;

/// Maximum number of keys with one `kid` that are tried for a request. Without a limit, a client
/// without any key could make the server verify a signature with every key of that `kid`.
pub const MAX_KEYS_PER_KID: usize = 4;

/// A remark about a trust file for its operator, which is not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustNote {
    /// The file that the remark is about. `None` if the text was not read from a file.
    pub path: Option<PathBuf>,
    /// The remark: a lower-case fragment of a sentence. It may contain text from the file, which
    /// must be escaped on a terminal.
    pub text: String,
}

/// A trusted key, and the limits of the trust in it.
#[derive(Clone, Debug)]
pub struct TrustEntry {
    key: PublicKey,
    name: Option<String>,
    kids: Vec<String>,
    client_ids: Vec<String>,
    purpose: StatedPurpose,
    limits: TrustLimits,
}

impl TrustEntry {
    /// Returns the key. It may be weak or published: the registry keeps such keys, so that a
    /// verifier can refuse their requests with that reason.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Returns the name that the registry's operator chose. It can be any text.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns every `kid` that the files give the key.
    pub fn kids(&self) -> &[String] {
        &self.kids
    }

    /// Returns the client ids that the key may state in the signature parameter `tag`, besides its
    /// own id.
    pub fn client_ids(&self) -> &[String] {
        &self.client_ids
    }

    /// Returns which statements about the use of the key are missing in its JWK, if the key is to
    /// verify signatures for `purpose` (a value of `adcp_use`). The result is a fragment of a
    /// sentence; `None` if every trust file that lists the key has all statements.
    pub fn lacks_of_purpose(&self, purpose: &str) -> Option<String> {
        self.purpose.lacks(purpose)
    }

    /// Returns the start of validity (inclusive).
    pub fn not_before(&self) -> Option<Timestamp> {
        self.limits.not_before
    }

    /// Returns the end of validity (exclusive).
    pub fn not_after(&self) -> Option<Timestamp> {
        self.limits.not_after
    }

    /// Returns the time from which the key is revoked. It may lie in the future.
    pub fn revoked_at(&self) -> Option<Timestamp> {
        self.limits.revoked_at
    }

    /// Returns the lists of allowed patterns, one for each file that has such a list.
    pub fn allow(&self) -> &[Vec<Pattern>] {
        &self.limits.allow
    }

    /// Returns true if `moment` is within the period in which the key is valid. Revocation is a
    /// separate check ([`is_revoked_at`](Self::is_revoked_at)).
    pub fn is_valid_at(&self, moment: Timestamp) -> bool {
        self.limits.not_before.is_none_or(|start| start <= moment)
            && self.limits.not_after.is_none_or(|end| moment < end)
    }

    /// Returns true if the key is revoked at `moment`.
    pub fn is_revoked_at(&self, moment: Timestamp) -> bool {
        self.limits.revoked_at.is_some_and(|revoked| revoked <= moment)
    }

    /// Returns true if a signer with this key may use `tag`: the key's own id, or one of the client
    /// ids, compared byte for byte.
    pub fn may_use_tag(&self, tag: &str) -> bool {
        tag.as_bytes() == self.key.id().as_bytes() || self.client_ids.iter().any(|id| id == tag)
    }

    /// Returns true if the key may do `operation`. Without `allow`, all operations are allowed.
    /// With `allow`, an operation is allowed if a pattern of the list matches it, or if it begins
    /// or ends a session. An entry that several trust files contain has a list from each; a pattern of
    /// every list must then match.
    ///
    /// A body that cannot be read has no operation; a verifier must refuse such a body if the key
    /// [is limited](Self::is_limited).
    pub fn allows(&self, operation: Operation<'_>) -> bool {
        if self.limits.allow.is_empty() || operation.is_always_allowed() {
            return true;
        }
        let forms = operation.forms();
        let granted = |list: &Vec<Pattern>| list.iter().any(|p| p.grants_forms(&forms));
        self.limits.allow.iter().all(granted)
    }

    /// Returns the rules for touches, if at least one trust file says that the key is a security
    /// key.
    pub fn security_key(&self) -> Option<&SecurityKeyRules> {
        self.limits.security_key.as_ref()
    }

    /// Returns true if this is the entry of a security key whose touch may confirm a signature by
    /// the key `signer`: every `for` list of the security key names the signer, or, without `for`,
    /// both entries have the same name.
    pub fn may_touch_for(&self, signer: &TrustEntry) -> bool {
        let names = |text: &str| match KeyId::from_text(text) {
            Some(id) => id == *signer.key.id(),
            None => signer.name() == Some(text),
        };
        self.security_key().is_some_and(|rules| rules.name_all(names))
    }

    /// Returns true if an `allow` list limits what the key may do.
    pub fn is_limited(&self) -> bool {
        !self.limits.allow.is_empty()
    }

    /// Returns true if `text` is the id, the name or a `kid` of this key.
    pub fn is_called(&self, text: &str) -> bool {
        self.key.id().as_str() == text
            || self.name() == Some(text)
            || self.kids.iter().any(|kid| kid == text)
    }

    /// Combines this entry with another file's entry of the same key; the stricter limits of both
    /// apply. Returns the name in the other file if it differs from the name of this entry.
    fn tighten(&mut self, other: TrustEntry) -> Option<String> {
        self.limits.tighten(other.limits);
        self.purpose.tighten(&other.purpose);
        unite(&mut self.kids, other.kids);
        unite(&mut self.client_ids, other.client_ids);
        match (&self.name, other.name) {
            (None, name) => {
                self.name = name;
                None
            }
            (Some(first), Some(second)) if *first != second => Some(second),
            _ => None,
        }
    }
}

fn unite(all: &mut Vec<String>, more: Vec<String>) {
    all.extend(more);
    all.sort();
    all.dedup();
}

/// All trusted keys. Finding a key by its id costs the same for any number of keys.
///
/// ```
/// use mcpid::key::trust::{Registry, TrustFile};
/// use mcpid::key::{SecretKey, Sign, format};
///
/// let key = SecretKey::from_seed(&std::array::from_fn(|n| (n * n + 7) as u8));
/// let file = TrustFile::parse(format::jwks(key.public(), None).as_bytes())?;
/// let registry = Registry::merge([file]);
/// assert_eq!(registry.len(), 1);
/// # Ok::<(), mcpid::key::trust::TrustError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// The entries are reference-counted, so that a verification result can keep its entry without
    /// a copy.
    entries: Vec<Arc<TrustEntry>>,
    by_id: HashMap<KeyId, usize>,
    by_kid: HashMap<String, Vec<usize>>,
    /// For each `kid` that only skipped entries have, why its entry was skipped.
    skipped_kids: HashMap<String, String>,
    notes: Vec<TrustNote>,
    sources: Vec<TrustSource>,
}

/// A file that a registry was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustSource {
    /// The path of the file.
    pub path: PathBuf,
    /// The SHA-256 of the bytes that were read.
    pub sha256: [u8; 32],
}

impl Registry {
    /// Reads trust files and folders of trust files, and combines them. In a folder, the regular
    /// files `*.json` and `*.jwk` are read, in the order of their names, without subfolders and
    /// without names that begin with a dot. Symbolic links are followed.
    ///
    /// # Errors
    /// [`LoadError`], with the path. One file that cannot be read fails the whole load, because it
    /// may hold a revocation. A folder without trust files is an error too, and so is a file or
    /// folder that users other than its owner and group can write.
    pub fn load<P: AsRef<Path>>(paths: &[P]) -> Result<Self, LoadError> {
        load::registry(paths)
    }

    /// Combines trust files. All entries of one key become one entry with the strictest limits: the
    /// latest start, the earliest end, the earliest revocation, and every `allow`. `kid`s and
    /// client ids are united. The name is that of the first file that has one. A skipped entry
    /// grants no rights, but its restrictions still apply to the key that it names.
    pub fn merge(files: impl IntoIterator<Item = TrustFile>) -> Self {
        let mut registry = Registry::default();
        let mut restrictions = Vec::new();
        for file in files {
            let path = file.path().map(Path::to_owned);
            if let (Some(path), Some(sha256)) = (&path, file.sha256) {
                registry.sources.push(TrustSource { path: path.clone(), sha256 });
            }
            let TrustFileParts { entries, restrictions: of_skipped, skipped_kids, notes } =
                file.into_parts();
            registry.notes.extend(notes);
            restrictions.extend(of_skipped);
            registry.skipped_kids.extend(skipped_kids);
            for entry in entries {
                registry.take(entry, path.as_deref());
            }
        }
        for Restriction { key, limits } in restrictions {
            let known = registry.by_id.get(&key).and_then(|at| registry.entries.get_mut(*at));
            if let Some(known) = known {
                Arc::make_mut(known).limits.tighten(limits);
            }
        }
        for (at, entry) in registry.entries.iter().enumerate() {
            for kid in &entry.kids {
                registry.by_kid.entry(kid.clone()).or_default().push(at);
            }
            if entry.security_key().is_some_and(|rules| rules.application().is_none()) {
                let id = entry.key.id();
                let text = format!(
                    "{id} has another application in each of two entries, so that nothing signed by it counts"
                );
                registry.notes.push(TrustNote { path: None, text });
            }
            if entry.limits.never_valid().is_some() {
                let text = format!("{} is never valid, by what its entries say", entry.key.id());
                registry.notes.push(TrustNote { path: None, text });
            }
        }
        let mut crowded: Vec<_> =
            registry.by_kid.iter().filter(|(_, keys)| keys.len() > MAX_KEYS_PER_KID).collect();
        crowded.sort();
        for (kid, keys) in crowded {
            let count = keys.len();
            let text = format!("{count} keys share the kid {kid:?}; {MAX_KEYS_PER_KID} are tried");
            registry.notes.push(TrustNote { path: None, text });
        }
        registry
    }

    fn take(&mut self, entry: TrustEntry, path: Option<&Path>) {
        match self.by_id.entry(*entry.key.id()) {
            Slot::Vacant(slot) => {
                slot.insert(self.entries.len());
                self.entries.push(Arc::new(entry));
            }
            Slot::Occupied(slot) => {
                let id = slot.key();
                if let Some(known) = self.entries.get_mut(*slot.get())
                    && let Some(other) = Arc::make_mut(known).tighten(entry)
                {
                    let text =
                        format!("{id} has another name, {other:?}, here; the first one holds");
                    self.notes.push(TrustNote { path: path.map(Path::to_owned), text });
                }
            }
        }
    }

    /// Returns the entry of the key with this id, a thumbprint of 43 characters.
    pub fn by_id(&self, id: &str) -> Option<&Arc<TrustEntry>> {
        // The argument can be any 43 bytes. Only ids of keys are in the table.
        let id: &[u8; 43] = id.as_bytes().try_into().ok()?;
        self.by_id.get(id).and_then(|at| self.entries.get(*at))
    }

    /// Returns the entries that have the `kid` (any text), at most the first [`MAX_KEYS_PER_KID`]
    /// of the registry.
    pub fn by_kid(&self, kid: &str) -> impl Iterator<Item = &Arc<TrustEntry>> {
        self.by_kid
            .get(kid)
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .take(MAX_KEYS_PER_KID)
            .filter_map(|at| self.entries.get(*at))
    }

    /// Returns why an entry with this `kid` or id is not used: its `use`, `key_ops`, `adcp_use` or
    /// `alg`, or a fault of the entry. `None` if there is no such entry.
    pub fn why_skipped(&self, kid: &str) -> Option<&str> {
        self.skipped_kids.get(kid).map(String::as_str)
    }

    /// Returns all entries, in the order in which the files first name their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TrustEntry>> {
        self.entries.iter()
    }

    /// Returns the entries of the security keys whose touch may confirm a signature by the key
    /// `signer`.
    pub fn touch_keys_of(&self, signer: &TrustEntry) -> impl Iterator<Item = &Arc<TrustEntry>> {
        self.entries.iter().filter(move |entry| entry.may_touch_for(signer))
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if no key is trusted.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the remarks for the operator about the files.
    pub fn notes(&self) -> &[TrustNote] {
        &self.notes
    }

    /// Returns the files that the registry was read from, in reading order.
    pub fn sources(&self) -> &[TrustSource] {
        &self.sources
    }
}
