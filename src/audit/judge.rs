//! One entry, judged again by what it holds: on any core, and without the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::entry::{self, Entry, Event, Request, Rules};
use super::record::Verdict;
use super::segment::Line;
use super::tree::{self, Hash};
use crate::clock::{Clock, Timestamp};
use crate::key::trust::{Registry, TrustFile};
use crate::mcp::body::Scope;
use crate::message::target::Origins;
use crate::message::{Body, line};
use crate::nonce::Retention;
use crate::profile::{Profile, Window};
use crate::verify::coverage::Changes;
use crate::verify::rejection::chain;
use crate::verify::{HeadHeld, Rejection, Replay, Verifier};

/// Bytes of SHA-256 that stand for a key and a nonce.
pub(super) type NonceId = [u8; 24];

/// What was found out about one entry.
#[derive(Debug)]
#[non_exhaustive]
pub struct Looked {
    /// Its place by counting.
    pub n: u64,
    /// The hash of its leaf.
    pub leaf: Hash,
    /// Whether a line feed ends it.
    pub whole: bool,
    /// The number and time that it bears, if they can be read.
    pub stamp: Option<(u64, Timestamp)>,
    /// What is wrong with it by itself.
    pub fault: Option<String>,
    /// How far it could be judged.
    pub judged: Judged,
    /// Nonces that it uses up, and until when nobody may use them again.
    pub(super) nonces: Vec<(NonceId, i64)>,
    /// Bytes of its line.
    pub bytes: u64,
}

/// How far an entry could be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judged {
    /// Signatures that were verified.
    pub signatures: u64,
    /// The body was not kept, or not whole: steps 9 to 11 rest on the log's word.
    pub without_body: bool,
    /// A signature covers what is not kept, and cannot be verified again.
    pub opaque: bool,
}

/// Whose word counts on who was trusted.
#[derive(Clone, Default)]
pub struct Trust(Option<Arc<Registry>>);

impl Trust {
    /// What each entry says of its key.
    pub fn of_the_log() -> Self {
        Trust(None)
    }

    /// The auditor's own trust files. A key that is not in them is a fault.
    pub fn pinned(registry: Arc<Registry>) -> Self {
        Trust(Some(registry))
    }
}

/// A clock that is set to the time of each entry.
struct Then(AtomicI64);

impl Clock for Then {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::Relaxed))
    }
}

/// Judges entries, one after the other; each core has its own.
pub struct Judge {
    trust: Trust,
    clock: Arc<Then>,
    /// Verifiers by the keys and rules that entries name: few in any log.
    verifiers: HashMap<Place, Arc<Verifier>>,
    /// That of the last entry: the next one often names the same.
    last: Option<(Place, Arc<Verifier>)>,
}

/// The keys that an entry names, as JSON, and its rules.
type Place = (Vec<Box<str>>, Option<Rules>);

/// Verifiers that are kept; with more, all are made anew.
const VERIFIERS: usize = 256;

impl Judge {
    /// A judge who goes by `trust`.
    pub fn new(trust: Trust) -> Self {
        let clock = Arc::new(Then(AtomicI64::new(0)));
        Judge { trust, clock, verifiers: HashMap::new(), last: None }
    }

    /// Judges the entry in `line`.
    pub fn look(&mut self, line: &Line) -> Looked {
        let bytes = u64::try_from(line.bytes.len()).unwrap_or(u64::MAX);
        let mut looked = Looked {
            n: line.n,
            leaf: tree::leaf(&line.bytes),
            whole: line.whole,
            stamp: None,
            fault: None,
            judged: Judged::default(),
            nonces: Vec::new(),
            bytes,
        };
        match entry::parse(&line.bytes) {
            Ok(entry) => {
                looked.stamp = Some((entry.n, entry.time));
                if let Err(fault) = self.entry(&entry, &mut looked) {
                    looked.fault = Some(fault);
                }
            }
            Err(error) => {
                looked.stamp = entry::stamp(&line.bytes);
                looked.fault = Some(chain(&error));
            }
        }
        looked
    }

    fn entry(&mut self, entry: &Entry<'_>, looked: &mut Looked) -> Result<(), String> {
        let Event::Request(request) = &entry.event else { return Ok(()) };
        let judged = self.request(request, &mut looked.nonces)?;
        looked.judged = judged;
        Ok(())
    }

    /// Judges a request again, at its own time.
    pub(super) fn request(
        &mut self,
        request: &Request<'_>,
        nonces: &mut Vec<(NonceId, i64)>,
    ) -> Result<Judged, String> {
        if request.signatures.is_empty() {
            return Err("it holds no signature".to_owned());
        }
        let line = line::read(request.request.get().as_bytes());
        let line = line.map_err(|e| format!("its request cannot be read: {}", chain(&e)))?;
        let time = line.time.ok_or("its request bears no time")?;
        let mut judged = Judged::default();
        let verifier = self.verifier(request)?;
        self.clock.0.store(time.unix(), Ordering::Relaxed);
        // What a signature covers and the log does not keep cannot be judged again.
        if request.signatures.iter().any(|one| one.base.is_none()) {
            judged.opaque = true;
            judged.without_body = !matches!(line.body, Body::Kept(_));
            return Ok(judged);
        }
        let held = verifier.judge_head(&line.head).map_err(|no| refused(&no))?;
        same_signatures(request, &held)?;
        judged.signatures = u64::try_from(request.signatures.len()).unwrap_or(u64::MAX);
        if matches!(request.verdict, Verdict::Verified | Verdict::Signed) {
            let retention = verifier.retention();
            nonces.extend(held.signatures().filter_map(|one| {
                let id = nonce_id(one.entry.key().id().as_str(), one.nonce?);
                Some((id, until(retention, one.created?)))
            }));
        }
        match line.body {
            Body::Kept(body) => {
                let done = verifier.judge_body(held, &body).map(drop);
                // Of one that was refused behind its signature, the refusal is what the log tells.
                match request.verdict {
                    Verdict::Verified | Verdict::Signed => done.map_err(|no| refused(&no))?,
                    _ => {}
                }
            }
            _ => judged.without_body = true,
        }
        Ok(judged)
    }

    /// The verifier for the keys and rules that an entry names.
    fn verifier(&mut self, request: &Request<'_>) -> Result<Arc<Verifier>, String> {
        let keys = || request.signatures.iter().map(|signature| signature.key.get());
        if let Some(((of, rules), verifier)) = &self.last
            && of.iter().map(|key| &**key).eq(keys())
            && *rules == request.rules
        {
            return Ok(Arc::clone(verifier));
        }
        let place: Place = (keys().map(Box::from).collect(), request.rules.clone());
        let verifier = match self.verifiers.get(&place) {
            Some(verifier) => Arc::clone(verifier),
            None => self.make(request, &place)?,
        };
        self.last = Some((place, Arc::clone(&verifier)));
        Ok(verifier)
    }

    fn make(&mut self, request: &Request<'_>, place: &Place) -> Result<Arc<Verifier>, String> {
        // Two signatures may be of one key, and a trust file has each once.
        let mut keys: Vec<&str> = Vec::new();
        for key in &place.0 {
            if !keys.contains(&&**key) {
                keys.push(key);
            }
        }
        let keys = format!("{{\"keys\":[{}]}}", keys.join(","));
        let file = TrustFile::parse(keys.as_bytes());
        let file = file.map_err(|e| format!("its keys cannot be read: {}", chain(&e)))?;
        let said = Arc::new(Registry::merge([file]));
        for signature in &request.signatures {
            self.known(&said, signature.key.get())?;
        }
        let registry = self.trust.0.clone().unwrap_or(said);
        let (profile, changes) = rules(place.1.as_ref())?;
        let clock: Arc<dyn Clock> = self.clock.clone();
        let scope = if place.1.is_some() { Scope::Endpoint } else { Scope::Anywhere };
        let verifier =
            Verifier::new(profile, registry, Origins::unknown(), clock, Replay::Unchecked)
                .with_changes(changes)
                .with_max_body(usize::MAX)
                .at(scope);
        if self.verifiers.len() >= VERIFIERS {
            self.verifiers.clear();
        }
        let verifier = Arc::new(verifier);
        self.verifiers.insert(place.clone(), Arc::clone(&verifier));
        Ok(verifier)
    }

    /// Whether the key's id is that of the key, and the auditor knows it too.
    fn known(&self, said: &Registry, jwk: &str) -> Result<(), String> {
        #[derive(serde::Deserialize)]
        struct Kid {
            kid: String,
        }
        let Kid { kid } = serde_json::from_str(jwk).map_err(|_| "a key has no id".to_owned())?;
        if said.by_id(&kid).is_none() {
            return Err(format!("the id {kid} is not that of its key"));
        }
        match &self.trust.0 {
            Some(registry) if registry.by_id(&kid).is_none() => {
                Err(format!("its key {kid} is in none of the trust files"))
            }
            _ => Ok(()),
        }
    }
}

/// The rules of an entry; its signer's own copy is held against the signature alone.
fn rules(rules: Option<&Rules>) -> Result<(Profile, Changes), String> {
    let Some(rules) = rules else { return Ok((Profile::rfc9421(), Changes::default())) };
    let profile = Profile::named(&rules.profile);
    let profile = profile.ok_or(format!("there is no profile {:?}", rules.profile))?;
    let window = Window { back: rules.window, ahead: rules.ahead };
    let changes =
        Changes { require: rules.require.clone(), allow_uncovered: rules.allow_uncovered.clone() };
    Ok((Profile { window, ..profile }, changes))
}

/// The signatures that the entry tells of are those that hold, and nothing was left out.
fn same_signatures(request: &Request<'_>, held: &HeadHeld<'_>) -> Result<(), String> {
    let mut told = request.signatures.iter();
    for one in held.signatures() {
        let Some(told) = told.next().filter(|told| told.label == one.label) else {
            return Err(format!("the signature {:?} holds, and it does not tell", one.label));
        };
        let mut signature = [0; 88];
        let length = STANDARD.encode_slice(one.signature, &mut signature).unwrap_or_default();
        if Some(told.signature.as_bytes()) != signature.get(..length) {
            return Err("its signature is not that of its request".to_owned());
        }
        let base = told.base.map(|base| base.get()).unwrap_or_default();
        if !is_json_of(base, one.base) {
            return Err("its signature base is not that of its request".to_owned());
        }
    }
    match told.next() {
        None => Ok(()),
        Some(told) => Err(format!("the signature {:?} does not hold", told.label)),
    }
}

/// Whether `json` is `text` as a JSON string, as we write it. A base is ASCII, and what of it
/// needs an escape is the quotation marks, the backslash, line feeds and tabs.
fn is_json_of(json: &str, text: &str) -> bool {
    let Some(inner) = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')) else {
        return false;
    };
    let (mut json, mut text) = (inner.as_bytes(), text.as_bytes());
    // Whole runs without an escape are compared at once.
    loop {
        let run = json.iter().position(|b| *b == b'\\').unwrap_or(json.len());
        let (Some((plain, escaped)), Some((same, rest))) =
            (json.split_at_checked(run), text.split_at_checked(run))
        else {
            return false;
        };
        if plain != same {
            return false;
        }
        let (Some(escaped), Some((first, rest))) = (escaped.get(1..), rest.split_first()) else {
            return escaped.is_empty() && rest.is_empty();
        };
        let meant = match escaped.first() {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(other @ (b'"' | b'\\')) => *other,
            _ => return false,
        };
        if *first != meant {
            return false;
        }
        (json, text) = (escaped.get(1..).unwrap_or_default(), rest);
    }
}

fn refused(no: &Rejection) -> String {
    format!("judged again it is refused: {} at {no}", no.code())
}

fn nonce_id(key: &str, nonce: &str) -> NonceId {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update([0]);
    hash.update(nonce);
    let digest = hash.finalize();
    std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default())
}

/// Until when a second use is a fault. Stores may keep a nonce longer, and never less long.
fn until(retention: Retention, created: Timestamp) -> i64 {
    retention.until(created).unix()
}
