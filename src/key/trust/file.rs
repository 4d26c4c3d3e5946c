//! One trust file: what is an error in it, what is passed over, and what is kept.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{Entry, Note};
use crate::clock::Timestamp;
use crate::key::JsonError;
use crate::key::format::jwk;
use crate::key::json::{self, Json, Members};
use crate::mcp::pattern::Pattern;

/// The entries of one trust file.
#[derive(Clone, Debug)]
pub struct TrustFile {
    entries: Vec<Entry>,
    /// Where in the file's `keys` each entry stands.
    positions: Vec<usize>,
    notes: Vec<Note>,
    path: Option<PathBuf>,
}

/// Why something is not a trust file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Not JSON, or a member stands twice.
    #[error("not strict JSON: {0}")]
    Json(JsonError),
    /// JSON, but no JWK set and no JWK; says what it is.
    #[error("{0}, not a JWK set or a JWK")]
    NotKeys(&'static str),
    /// There is a private key in it, which is now known to everyone who can read the registry.
    #[error("key {position} is a private key; only public keys belong here")]
    PrivateKey {
        /// Which key of the file, from 1.
        position: usize,
    },
    /// A key's entry is wrong.
    #[error("key {position}: {why}")]
    Entry {
        /// Which key of the file, from 1.
        position: usize,
        /// What is wrong.
        why: String,
    },
    /// A `kid` or an `x` stands at two keys of one file.
    #[error("keys {first} and {second} have the same {member:?}")]
    Repeated {
        /// `kid` or `x`.
        member: &'static str,
        /// The first of the two, from 1.
        first: usize,
        /// The second of the two, from 1.
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
    /// Keys that are not for us (other types, `use` other than `sig`, `key_ops` without `verify`,
    /// an `alg` that is not Ed25519's) are passed over with a note; weak and published keys are
    /// kept with a note, so that a verifier can name them.
    ///
    /// # Errors
    /// [`TrustError`]: a private key of any type; a repeated `kid` or `x`; under `mcpid` an unknown
    /// member, a wrong type, a time that is not RFC 3339, a pattern that is none, an end that is
    /// not after the start; a public key that is not the canonical encoding of one.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        Self::of(&json::read(bytes)?)
    }

    pub(super) fn of(json: &Json) -> Result<Self, TrustError> {
        let object = json.as_object().ok_or(TrustError::NotKeys(json.kind()))?;
        if object.get("mcpid").and_then(Json::as_str).is_some() && !object.has("kty") {
            return Err(TrustError::NotKeys("a keyfile"));
        }
        let mut file = TrustFile { entries: vec![], positions: vec![], notes: vec![], path: None };
        match (object.get("keys"), object.has("kty")) {
            (Some(keys), false) => {
                let keys = keys.as_array().ok_or(TrustError::NotKeys("an object"))?;
                // Restrictions at the wrong level would silently restrict nothing.
                if let Some((name, _)) = object.iter().find(|(n, _)| ours(n)) {
                    return Err(entry(1)(format!(
                        "{name:?} belongs into a key, not beside \"keys\""
                    )));
                }
                file.keys(keys.iter())?;
            }
            (None, true) => file.keys(std::iter::once(json))?,
            (Some(_), true) => {
                return Err(TrustError::NotKeys("an object with \"keys\" and \"kty\""));
            }
            (None, false) => return Err(TrustError::NotKeys("an object")),
        }
        Ok(file)
    }

    fn keys<'j>(&mut self, keys: impl Iterator<Item = &'j Json>) -> Result<(), TrustError> {
        let mut kids = std::collections::HashMap::new();
        let mut xs = std::collections::HashMap::new();
        let mut count = 0;
        for (index, json) in keys.enumerate() {
            let position = index + 1;
            count = position;
            let wrong = entry(position);
            let jwk = json
                .as_object()
                .ok_or_else(|| wrong(format!("it is {}, not an object", json.kind())))?;
            if jwk::holds_secret(jwk) {
                return Err(TrustError::PrivateKey { position });
            }
            let other = jwk::other_kind(jwk).map_err(&wrong)?;
            let kid = jwk.string("kid").map_err(&wrong)?;
            let x = if other.is_none() { jwk.string("x").map_err(&wrong)? } else { None };
            for (member, value, seen) in [("kid", kid, &mut kids), ("x", x, &mut xs)] {
                if let Some(value) = value
                    && let Some(first) = seen.insert(value.to_owned(), position)
                {
                    return Err(TrustError::Repeated { member, first, second: position });
                }
            }
            let settings = Settings::of(jwk).map_err(&wrong)?;
            let unfit = match other {
                Some(kind) => Some(format!("it is {kind}")),
                None => jwk::unfit(jwk, "verify").map_err(&wrong)?,
            };
            if let Some(why) = unfit {
                self.note(format!("key {position} is passed over: {why}"));
                continue;
            }
            let key = jwk::public_key(jwk).map_err(&wrong)?;
            for (bad, what) in [(key.is_weak(), "weak"), (key.is_published(), "published")] {
                if bad {
                    let id = key.id();
                    self.note(format!(
                        "key {position} ({id}) is {what}: nothing signed by it counts"
                    ));
                }
            }
            for (name, _) in jwk.iter().filter(|(name, _)| Settings::NAMES.contains(name)) {
                self.note(format!("key {position}: {name:?} counts only inside \"mcpid\""));
            }
            self.positions.push(index);
            self.entries.push(settings.into_entry(key, kid.map(str::to_owned)));
        }
        if self.entries.is_empty() {
            self.note(match count {
                0 => "holds no keys".to_owned(),
                _ => "holds no Ed25519 signing key".to_owned(),
            });
        }
        Ok(())
    }

    fn note(&mut self, text: String) {
        self.notes.push(Note { path: None, text });
    }

    /// The entries, in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What the operator should know.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Where the file was read from, if it was.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Says where it was read from, for its notes too.
    pub(super) fn at(mut self, path: &Path, more: Option<String>) -> Self {
        self.notes.extend(more.map(|text| Note { path: None, text }));
        for note in &mut self.notes {
            note.path = Some(path.to_owned());
        }
        self.path = Some(path.to_owned());
        self
    }

    pub(super) fn positions(&self) -> &[usize] {
        &self.positions
    }

    pub(super) fn into_parts(self) -> (Vec<Entry>, Vec<Note>) {
        (self.entries, self.notes)
    }
}

fn entry(position: usize) -> impl Fn(String) -> TrustError {
    move |why| TrustError::Entry { position, why }
}

fn ours(name: &str) -> bool {
    name.eq_ignore_ascii_case("mcpid")
}

/// What stands under `mcpid`.
#[derive(Default)]
struct Settings {
    name: Option<String>,
    client_ids: Vec<String>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    allow: Option<Vec<Pattern>>,
}

impl Settings {
    const NAMES: [&'static str; 6] =
        ["name", "client_ids", "not_before", "not_after", "revoked_at", "allow"];

    /// Every member is known or an error: a typo in `revoked_at` must not leave a key trusted.
    fn of(jwk: &Members) -> Result<Self, String> {
        // The same goes for the name of the member itself.
        if let Some((name, _)) = jwk.iter().find(|(name, _)| ours(name) && *name != "mcpid") {
            return Err(format!("the member {name:?} must be spelled \"mcpid\""));
        }
        let Some(json) = jwk.get("mcpid") else { return Ok(Settings::default()) };
        let Some(ours) = json.as_object() else {
            return Err(format!("\"mcpid\" is {}, not an object", json.kind()));
        };
        if let Some((name, _)) = ours.iter().find(|(name, _)| !Self::NAMES.contains(name)) {
            return Err(format!("the member {name:?} of \"mcpid\" is not known"));
        }
        let settings = Settings {
            name: ours.string("name")?.map(str::to_owned),
            client_ids: strings(ours, "client_ids")?.unwrap_or_default(),
            not_before: time(ours, "not_before")?,
            not_after: time(ours, "not_after")?,
            revoked_at: time(ours, "revoked_at")?,
            allow: strings(ours, "allow")?
                .map(|list| {
                    let parse = |text: &String| {
                        Pattern::parse(text).map_err(|e| format!("\"allow\" holds {text:?}: {e}"))
                    };
                    list.iter().map(parse).collect::<Result<_, _>>()
                })
                .transpose()?,
        };
        match (settings.not_before, settings.not_after) {
            (Some(start), Some(end)) if end <= start => {
                Err(format!("\"not_after\" {end} is not later than \"not_before\" {start}"))
            }
            _ => Ok(settings),
        }
    }

    fn into_entry(mut self, key: crate::key::PublicKey, kid: Option<String>) -> Entry {
        let mut seen = HashSet::new();
        self.client_ids.retain(|id| seen.insert(id.clone()));
        Entry {
            key,
            name: self.name,
            kids: kid.into_iter().collect(),
            client_ids: self.client_ids,
            not_before: self.not_before,
            not_after: self.not_after,
            revoked_at: self.revoked_at,
            allow: self.allow.into_iter().collect(),
        }
    }
}

fn time(object: &Members, name: &str) -> Result<Option<Timestamp>, String> {
    let parse = |text| Timestamp::parse_rfc3339(text).map_err(|e| format!("{name:?} is {e}"));
    object.string(name)?.map(parse).transpose()
}

fn strings(object: &Members, name: &str) -> Result<Option<Vec<String>>, String> {
    let Some(json) = object.get(name) else { return Ok(None) };
    let wrong = || format!("{name:?} is not an array of strings");
    let items = json.as_array().ok_or_else(wrong)?;
    let texts = items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong));
    texts.collect::<Result<Vec<_>, _>>().map(Some)
}
