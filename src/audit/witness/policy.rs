//! Trust policies (C2SP `tlog-policy`): the known logs and witnesses, and which witnesses make a
//! quorum.
//!
//! ```text
//! log example.com/audit+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
//! witness w1 w1.example.com+… https://w1.example.com/witness
//! witness w2 w2.example.com+… https://w2.example.com
//! witness w3 w3.example.com+… https://w3.example.com
//! group two 2 w1 w2 w3
//! quorum two
//! ```
//!
//! The parser refuses every line that it does not understand: a mistyped policy could demand less
//! than its author meant.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::super::note::{self, NoteKey, NoteKeyKind};
use super::quorum::Quorum;
use crate::secret::quoted;

/// Maximum size of a policy file, in bytes.
pub const MAX_POLICY: usize = 256 * 1024;

/// Maximum number of logs, of witnesses, and of groups.
const MAX_MEMBERS: usize = 256;

/// The signature type by which a witness signs with ML-DSA-44, and the length of such a key in
/// bytes (FIPS 204).
const ML_DSA: (u8, usize) = (0x06, 1312);

/// A parsed witness policy: the keys of logs and witnesses, and how many witnesses must have
/// signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessPolicy {
    logs: Vec<NoteKey>,
    /// Whether there are `log` lines, even if their keys are not supported.
    names_logs: bool,
    witnesses: Vec<PolicyWitness>,
    quorum: Quorum,
    /// The line number of the `quorum` line, from 1.
    line: usize,
}

/// A witness of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyWitness {
    /// The name of the witness in the policy. Bytes that are not UTF-8 are replaced.
    pub name: String,
    /// The key of the witness; `None` for an ML-DSA-44 key, which is not supported.
    pub key: Option<NoteKey>,
    /// The prefix of the witness's submission URL, as written.
    pub url: Option<String>,
    /// The line number in the file, from 1.
    pub line: usize,
}

/// A fault in a policy file, with its line number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The line number, from 1.
    pub line: usize,
    /// The fault in words. Text from the file is escaped or left out.
    pub why: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for PolicyError {}

impl WitnessPolicy {
    /// Parses a policy file.
    ///
    /// # Errors
    /// [`PolicyError`] for: anything that C2SP `tlog-policy` does not define, a key or name that is
    /// used twice, no quorum or several, and a quorum that only unsupported keys could meet.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let whole = |why: &str| Err(PolicyError { line: 1, why: why.to_owned() });
        if bytes.len() > MAX_POLICY {
            return whole("the file is over 256 KiB long");
        }
        if bytes.starts_with(b"\xef\xbb\xbf") {
            return whole("the file begins with a byte order mark");
        }
        let mut reader = PolicyReader::default();
        let mut last = 0;
        for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            last = at + 1;
            reader.line(last, line).map_err(|why| PolicyError { line: last, why })?;
        }
        reader.finish(last.max(1))
    }

    /// Returns the supported keys of the logs that the policy lists.
    pub fn logs(&self) -> &[NoteKey] {
        &self.logs
    }

    /// Returns true if the policy applies to this log: it lists the log's key, or lists no log.
    pub fn is_for(&self, log_key: &NoteKey) -> bool {
        !self.names_logs || self.logs.contains(log_key)
    }

    /// Returns the witnesses, in the order of the file.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Returns the quorum: which witnesses' signatures are enough.
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// Returns the line number of the quorum, from 1.
    pub fn quorum_line(&self) -> usize {
        self.line
    }

    /// Returns the quorum as text, such as `2 of (w1, w2, w3)`.
    pub fn described(&self) -> String {
        self.quorum.describe(&|place| self.witnesses.get(place).map_or("?", |w| &w.name))
    }
}

/// What a name in the policy means: its rule, the line that defines it, and the line with the group
/// that uses it.
struct DefinedName {
    rule: Quorum,
    line: usize,
    member_in: Option<usize>,
}

/// The definitions in the lines that were read so far.
#[derive(Default)]
struct PolicyReader {
    logs: Vec<NoteKey>,
    witnesses: Vec<PolicyWitness>,
    groups: usize,
    names: BTreeMap<Vec<u8>, DefinedName>,
    /// Public keys, and the line number of each.
    keys: BTreeMap<Vec<u8>, usize>,
    names_logs: bool,
    quorum: Option<(Quorum, usize)>,
}

impl PolicyReader {
    fn line(&mut self, at: usize, line: &[u8]) -> Result<(), String> {
        let Some(line) = line.strip_suffix(b"\n") else {
            return Err("it has no newline at its end: the file may be cut off here".to_owned());
        };
        if line.ends_with(b"\r") {
            return Err("it ends with CRLF, and only LF is allowed".to_owned());
        }
        if let Some(byte) = line.iter().find(|b| (**b < b' ' && **b != b'\t') || **b == 0x7f) {
            return Err(format!("it holds the control character 0x{byte:02x}"));
        }
        let items = line.split(|byte| matches!(byte, b' ' | b'\t'));
        let items: Vec<&[u8]> = items.filter(|item| !item.is_empty()).collect();
        match items.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key] | [b"log", key, _] => self.log(at, key),
            [b"log", ..] => Err("wanted is: log VKEY [URL]".to_owned()),
            [b"witness", name, key] => self.witness(at, name, key, None),
            [b"witness", name, key, url] => self.witness(at, name, key, Some(url)),
            [b"witness", ..] => Err("wanted is: witness NAME VKEY [URL]".to_owned()),
            [b"group", name, threshold, members @ ..] if !members.is_empty() => {
                self.group(at, name, threshold, members)
            }
            [b"group", ..] => Err("wanted is: group NAME all|any|K MEMBER…".to_owned()),
            [b"quorum", name] => self.quorum(at, name),
            [b"quorum", ..] => Err("wanted is: quorum NAME".to_owned()),
            [other, ..] => {
                let other = shown(other);
                Err(format!("{other} is none of log, witness, group, quorum"))
            }
        }
    }

    fn log(&mut self, at: usize, key: &[u8]) -> Result<(), String> {
        self.names_logs = true;
        let key = self.key(at, key, NoteKeyKind::Log)?;
        if self.logs.len() >= MAX_MEMBERS {
            return Err(format!("over {MAX_MEMBERS} logs"));
        }
        self.logs.extend(key);
        Ok(())
    }

    fn witness(
        &mut self,
        at: usize,
        name: &[u8],
        key: &[u8],
        url: Option<&[u8]>,
    ) -> Result<(), String> {
        if self.witnesses.len() >= MAX_MEMBERS {
            return Err(format!("over {MAX_MEMBERS} witnesses"));
        }
        self.define(at, name, Quorum::Witness(self.witnesses.len()))?;
        let key = self.key(at, key, NoteKeyKind::Witness)?;
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (name, url) = (lossy(name), url.map(lossy));
        self.witnesses.push(PolicyWitness { name, key, url, line: at });
        Ok(())
    }

    fn group(
        &mut self,
        at: usize,
        name: &[u8],
        threshold: &[u8],
        members: &[&[u8]],
    ) -> Result<(), String> {
        if self.groups >= MAX_MEMBERS {
            return Err(format!("over {MAX_MEMBERS} groups"));
        }
        let need = match threshold {
            b"all" => members.len(),
            b"any" => 1,
            digits => {
                let text = std::str::from_utf8(digits).unwrap_or_default();
                let need = text.parse::<usize>().ok().filter(|need| need.to_string() == text);
                let need = need.ok_or_else(|| {
                    format!("the threshold is all, any or a number, not {}", shown(digits))
                })?;
                if need == 0 || need > members.len() {
                    return Err(format!("the threshold {need} of {} members", members.len()));
                }
                need
            }
        };
        let mut rules = Vec::new();
        for member in members {
            if *member == b"none" {
                return Err("none is no member of a group".to_owned());
            }
            if *member == name {
                return Err(format!("the group {} is a member of itself", shown(name)));
            }
            let Some(named) = self.names.get_mut(*member) else {
                return Err(format!("{} is defined on no line above this one", shown(member)));
            };
            if let Some(line) = named.member_in.replace(at) {
                let member = shown(member);
                return Err(format!("{member} is a member of the group of line {line} already"));
            }
            rules.push(named.rule.clone());
        }
        self.groups += 1;
        self.define(at, name, Quorum::Of { need, members: rules })
    }

    fn quorum(&mut self, at: usize, name: &[u8]) -> Result<(), String> {
        if let Some((_, line)) = self.quorum {
            return Err(format!("a second quorum: line {line} has the first one"));
        }
        let rule = match (name, self.names.get(name)) {
            (b"none", _) => Quorum::None,
            (_, Some(named)) => named.rule.clone(),
            (name, None) => {
                return Err(format!("{} is defined on no line above this one", shown(name)));
            }
        };
        self.quorum = Some((rule, at));
        Ok(())
    }

    fn define(&mut self, at: usize, name: &[u8], rule: Quorum) -> Result<(), String> {
        if name == b"none" {
            return Err("the name none is taken: it is that of a quorum without witnesses".into());
        }
        if let Some(named) = self.names.get(name) {
            return Err(format!("the name {} is that of line {} too", shown(name), named.line));
        }
        self.names.insert(name.to_vec(), DefinedName { rule, line: at, member_in: None });
        Ok(())
    }

    /// Parses a vkey (public key in C2SP notation); returns `None` for an ML-DSA-44 key. The same
    /// key under two names counts as used twice.
    fn key(
        &mut self,
        at: usize,
        text: &[u8],
        kind: NoteKeyKind,
    ) -> Result<Option<NoteKey>, String> {
        let text = std::str::from_utf8(text).map_err(|_| "the vkey is not UTF-8".to_owned())?;
        let (key, public) = match ml_dsa(text)? {
            Some(public) => (None, public),
            None => {
                let key = text.parse::<NoteKey>().map_err(|e| format!("the vkey: {e}"))?;
                match (key.kind(), kind) {
                    (NoteKeyKind::Log, NoteKeyKind::Witness) => {
                        return Err(
                            "the vkey is that of a log (type 0x01), not of a witness".into()
                        );
                    }
                    (NoteKeyKind::Witness, NoteKeyKind::Log) => {
                        return Err(
                            "the vkey is that of a witness (type 0x04), not of a log".into()
                        );
                    }
                    _ => {}
                }
                let public = key.public().as_bytes().to_vec();
                (Some(key), public)
            }
        };
        match self.keys.insert(public, at) {
            Some(line) => Err(format!("the key is that of line {line} too")),
            None => Ok(key),
        }
    }

    fn finish(self, last: usize) -> Result<WitnessPolicy, PolicyError> {
        let Some((quorum, line)) = self.quorum else {
            return Err(PolicyError { line: last, why: "the file has no quorum line".to_owned() });
        };
        let supported = |at: usize| self.witnesses.get(at).is_some_and(|w| w.key.is_some());
        if !quorum.is_met(&supported) {
            let without = self.witnesses.iter().filter(|w| w.key.is_none());
            let names: Vec<String> = without.map(|w| quoted(&w.name)).collect();
            let why = format!(
                "the quorum needs a witness with an ML-DSA-44 key (type 0x06), which is not \
                 supported: {}",
                names.join(", ")
            );
            return Err(PolicyError { line, why });
        }
        Ok(WitnessPolicy {
            logs: self.logs,
            names_logs: self.names_logs,
            witnesses: self.witnesses,
            quorum,
            line,
        })
    }
}

/// Returns the public key of an ML-DSA-44 vkey; `None` if the text is a vkey of another kind.
fn ml_dsa(text: &str) -> Result<Option<Vec<u8>>, String> {
    let parts = text.split_once('+').and_then(|(name, rest)| Some((name, rest.split_once('+')?)));
    let Some((name, (hash, key))) = parts else { return Ok(None) };
    let Ok(bytes) = STANDARD.decode(key) else { return Ok(None) };
    let Some(public) = bytes.strip_prefix(&[ML_DSA.0]) else { return Ok(None) };
    if public.len() != ML_DSA.1 {
        return Err(format!("the vkey: an ML-DSA-44 key has {} bytes", ML_DSA.1));
    }
    let digest = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(&bytes);
    let digest = digest.finalize();
    let id: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    match note::is_name(name) && hash == id {
        true => Ok(Some(public.to_vec())),
        false => Err("the vkey: the hash is not that of the name and the key".to_owned()),
    }
}

/// Returns a name from the file, escaped for messages.
fn shown(name: &[u8]) -> String {
    quoted(&String::from_utf8_lossy(name))
}
