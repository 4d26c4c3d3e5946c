//! Checks an evidence file against the keys that the reader pinned: its checkpoint, its proof, its
//! keys, and the entry itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::auditor_inputs::AuditorInputs;
use super::checkpoint::Checkpoint;
use super::context::CLOCK_LEEWAY;
use super::entry::{self, Entry, Event, Version};
use super::entry_judge::{AuditorTrust, EntryJudge, JudgedEntry, UnjudgedReason};
use super::note::{Note, NoteKey};
use super::proof::{self, ClockEntry, EvidenceJson, ProofError, VERSION};
use super::tree::{self, Hash};
use crate::clock::Timestamp;
use crate::key::format;
use crate::message::error_chain::chain;
use crate::secret::{json_fault, quoted};

/// The result of checking an evidence file.
#[derive(Debug)]
#[non_exhaustive]
pub struct CheckedEvidence {
    /// The line of the entry.
    pub line: Vec<u8>,
    /// The checkpoint that the proof was verified against.
    pub checkpoint: Checkpoint,
    /// The key that signed the checkpoint.
    pub log_key: NoteKey,
    /// Whether the reader pinned `log_key`.
    pub pinned: bool,
    /// Whether the reader kept the checkpoint, or a witness whose key the reader pinned signed it.
    pub anchored: bool,
    /// The time at which a pinned witness signed the checkpoint.
    pub witnessed: Option<Timestamp>,
    /// Which parts of the request could be verified again, and why other parts could not.
    pub judged: JudgedEntry,
    /// The time at which the request was judged; `None` if it could not be verified again.
    pub asked: Option<Timestamp>,
    /// Seconds by which the times in the log's entries are ahead of the clock of the machine,
    /// because that clock was set back.
    pub offset: i64,
    /// True if the log's clock had not stepped (`offset` is 0) and the time of the entry is close
    /// to the time of its request. Otherwise both times are uncertain;
    /// [`AuditorInputs::allow_clock`] accepts such evidence, but does not change this value.
    pub times_fit: bool,
    /// The first contradiction that was found.
    pub fault: Option<String>,
}

impl CheckedEvidence {
    /// Returns the entry, if it can be parsed.
    pub fn entry(&self) -> Option<Entry<'_>> {
        entry::parse(&self.line).ok()
    }

    /// Returns true if the file contradicts nothing and lacks nothing that a full check needs.
    pub fn is_good(&self) -> bool {
        self.fault.is_none() && self.judged.reasons.is_empty()
    }
}

/// The members of an evidence file that hold base64 or a key, decoded.
struct DecodedEvidence {
    note: Vec<u8>,
    proof: Vec<Hash>,
    named: NoteKey,
}

/// Checks an evidence file against `inputs`, and judges its request again, with the clock at the
/// time of the request. `body` is the body of the request, if the reader has it and the log does
/// not.
///
/// # Errors
/// [`ProofError::Form`] if the file cannot be parsed. A contradiction in a readable file is a
/// [`CheckedEvidence::fault`].
pub fn check(
    bytes: &[u8],
    inputs: &AuditorInputs,
    trust: AuditorTrust,
    body: Option<&[u8]>,
) -> Result<CheckedEvidence, ProofError> {
    let form = |why: String| ProofError::Form(format!("not an evidence file: {why}"));
    let json: EvidenceJson = serde_json::from_slice(bytes).map_err(|error| match version(bytes) {
        Some(other) if other != VERSION => form(format!(
            "it is of the format {}, and this is {VERSION:?}: make it anew with mcpid audit prove",
            quoted(&other)
        )),
        _ => form(json_fault(&error)),
    })?;
    if json.mcpid != VERSION {
        return Err(form(format!("an unknown version {}", quoted(&json.mcpid))));
    }
    let named: NoteKey = json.log_key.parse().map_err(|e| form(format!("its log_key is {e}")))?;
    let decoded =
        DecodedEvidence { note: decode(&json.checkpoint)?, proof: hashes(&json.proof)?, named };
    let log_key = inputs.log_key.clone().unwrap_or(decoded.named.clone());
    let parsed = Note::parse(&decoded.note).map_err(|e| form(e.to_string()))?;
    let mut checked = CheckedEvidence {
        line: decode(&json.entry)?,
        pinned: inputs.log_key.is_some(),
        anchored: false,
        witnessed: None,
        judged: JudgedEntry::default(),
        asked: None,
        offset: 0,
        times_fit: false,
        fault: None,
        checkpoint: Checkpoint::of(&parsed).map_err(|e| form(e.to_string()))?,
        log_key,
    };
    let fault = check_proof(&json, &decoded, inputs, &mut checked)
        .and_then(|()| judge(&json, trust, (inputs, body), &mut checked))
        .err();
    checked.fault = fault;
    Ok(checked)
}

/// Returns the version of the file format that the file names. Its other members are not parsed.
fn version(bytes: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct AnyVersion {
        mcpid: String,
    }
    serde_json::from_slice::<AnyVersion>(bytes).ok().map(|any| any.mcpid)
}

fn decode(text: &str) -> Result<Vec<u8>, ProofError> {
    let wrong = |_| ProofError::Form("not an evidence file: a member is not base64".to_owned());
    STANDARD.decode(text).map_err(wrong)
}

fn hashes(texts: &[String]) -> Result<Vec<Hash>, ProofError> {
    let wrong = |_| {
        ProofError::Form("not an evidence file: a hash of the proof has not 32 bytes".to_owned())
    };
    texts.iter().map(|hash| decode(hash)?.try_into().map_err(wrong)).collect()
}

/// Checks the checkpoint, the proof and the keys that signed them.
fn check_proof(
    json: &EvidenceJson,
    decoded: &DecodedEvidence,
    inputs: &AuditorInputs,
    checked: &mut CheckedEvidence,
) -> Result<(), String> {
    if decoded.named != checked.log_key {
        return Err(format!("it is of the log {}, not of the one that was pinned", decoded.named));
    }
    if json.log_key_pem != format::spki_pem(checked.log_key.public()) {
        return Err("its log_key_pem is another key than its log_key".to_owned());
    }
    let (checkpoint, parsed) = Checkpoint::signed(&decoded.note, &checked.log_key)
        .map_err(|e| format!("its checkpoint is {e}"))?;
    if json.size != checkpoint.size {
        return Err(format!("it says {}, its checkpoint {}", json.size, checkpoint.size));
    }
    if entry::is_about(&checked.line, "tombstone") {
        return Err("its entry was erased: what was in it cannot be shown".to_owned());
    }
    let leaf = tree::leaf(&checked.line);
    let root = tree::root_of_inclusion(&leaf, json.n, checkpoint.size, &decoded.proof);
    if root != Some(checkpoint.root) {
        return Err("the entry is not under the root of its checkpoint".to_owned());
    }
    checked.witnessed = inputs.witnessed(&parsed);
    let mut kept = false;
    for bytes in &inputs.kept {
        let (other, _) = Checkpoint::signed(bytes, &checked.log_key)
            .map_err(|e| format!("the checkpoint that was kept is {e}"))?;
        if other.size == checkpoint.size {
            if other.root != checkpoint.root {
                return Err("the checkpoint that was kept has another root".to_owned());
            }
            kept = true;
        }
    }
    checked.anchored = checked.pinned && (kept || checked.witnessed.is_some());
    if let Some(clock) = &json.clock {
        checked.offset = clock_entry(clock, json.n, &checkpoint)?;
    }
    Ok(())
}

/// Checks the entry about the log's clock that an evidence file contains: it must come before entry
/// `n`, and the same checkpoint must cover both. Returns the offset between entry times and clock
/// that it states, in seconds.
fn clock_entry(clock: &ClockEntry, n: u64, checkpoint: &Checkpoint) -> Result<i64, String> {
    let line = decode(&clock.entry).map_err(|e| e.to_string())?;
    let proof = hashes(&clock.proof).map_err(|e| e.to_string())?;
    let root = tree::root_of_inclusion(&tree::leaf(&line), clock.n, checkpoint.size, &proof);
    let entry = entry::parse(&line).ok().filter(|entry| entry.n == clock.n && clock.n < n);
    match (root == Some(checkpoint.root), entry.map(|entry| entry.event)) {
        (true, Some(Event::Clock(step))) if step.offset != 0 => Ok(step.offset),
        (true, _) => Err("its entry about the clock says nothing of it".to_owned()),
        (false, _) => Err("its entry about the clock is not under its checkpoint".to_owned()),
    }
}

/// Judges the request in the evidence file again.
fn judge(
    json: &EvidenceJson,
    trust: AuditorTrust,
    (inputs, body): (&AuditorInputs, Option<&[u8]>),
    checked: &mut CheckedEvidence,
) -> Result<(), String> {
    let entry = entry::parse(&checked.line).map_err(|e| format!("its entry is {}", chain(&e)))?;
    if entry.n != json.n {
        return Err(format!("it says entry {}, and the entry says {}", json.n, entry.n));
    }
    let Event::Request(request) = &entry.event else {
        return Err("its entry tells of no request".to_owned());
    };
    // The keys are compared as parsed JSON, because a JSON tool may have reformatted the file.
    let value = |key: &serde_json::value::RawValue| {
        serde_json::from_str::<serde_json::Value>(key.get()).ok()
    };
    let own = proof::keys_of(request);
    let same = own.len() == json.keys.keys.len()
        && own.iter().zip(&json.keys.keys).all(|(own, other)| value(own) == value(other));
    if !same {
        return Err("its keys are not those of its entry".to_owned());
    }
    if proof::pems(&own).map_err(|e| chain(&e))? != json.key_pems {
        return Err("its key_pems are other keys than those of its entry".to_owned());
    }
    let mut nonces = Vec::new();
    let (mut judged, asked) =
        EntryJudge::new(trust).request(request, entry.version, body, &mut nonces)?;
    let off = entry.time.since(asked).saturating_sub(checked.offset);
    let fits = (-CLOCK_LEEWAY..=CLOCK_LEEWAY).contains(&off);
    if !fits && entry.version >= Version::Second {
        return Err(format!(
            "its time {} does not fit that of its request, {asked}, of {CLOCK_LEEWAY} s allowed",
            entry.time
        ));
    }
    checked.times_fit = fits && checked.offset == 0;
    if !checked.times_fit && !inputs.allow_clock {
        judged.reasons.add(UnjudgedReason::Clock);
    }
    if inputs.policy.is_some() && checked.witnessed.is_none() {
        judged.reasons.add(UnjudgedReason::Quorum);
    }
    (checked.judged, checked.asked) = (judged, Some(asked));
    Ok(())
}
