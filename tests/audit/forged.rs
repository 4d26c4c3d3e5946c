//! The holder of the log's private key forges a log or evidence, with matching hashes, numbers and
//! checkpoints. No forgery may be called good.
//!
//! The test changes one member of one entry or evidence file at a time. The order and the values
//! depend on a seed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::auditor::AuditorInputs;
use mcpid::audit::check::{self, CheckedEvidence};
use mcpid::audit::entry_judge::AuditorTrust;
use mcpid::audit::proof::{self, ProofError};
use mcpid::audit::tree;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::fixtures::{LogFixture, entry, registry};
use crate::forger::{forge, sealed, text, various};

/// Returns every path to a member or item of `value`, with the value there.
fn paths(value: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut waiting = vec![(String::new(), value.clone())];
    while let Some((path, value)) = waiting.pop() {
        match &value {
            Value::Object(members) => waiting.extend(members.iter().map(|(name, value)| {
                let name = name.replace('~', "~0").replace('/', "~1");
                (format!("{path}/{name}"), value.clone())
            })),
            Value::Array(items) => waiting.extend(
                items.iter().enumerate().map(|(n, value)| (format!("{path}/{n}"), value.clone())),
            ),
            _ => {}
        }
        found.push((path, value));
    }
    found.retain(|(path, _)| !path.is_empty());
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// Returns values to put in place of the value at a path; `None` means that it is removed.
fn others(value: &Value, random: &mut StdRng) -> Vec<Option<Value>> {
    let mut others = vec![None, Some(Value::Null), Some(json!({"more": 1}))];
    match value {
        Value::String(text) => {
            let mut bent: Vec<char> = text.chars().collect();
            if !bent.is_empty() {
                let at = random.random_range(0..bent.len());
                bent[at] = if bent[at] == 'b' { 'c' } else { 'b' };
            }
            others.push(Some(json!(bent.into_iter().collect::<String>())));
            others.push(Some(json!(format!("{text}x"))));
            others.push(Some(json!("")));
        }
        Value::Number(number) => {
            let n = number.as_i64().unwrap();
            for other in [n + 1, n - 1, n + 1_000_000, -n - 1] {
                others.push(Some(json!(other)));
            }
        }
        Value::Array(items) => {
            others.push(Some(json!([])));
            let mut twice = items.clone();
            twice.extend(items.first().cloned());
            others.push(Some(json!(twice)));
        }
        Value::Object(members) => {
            let mut more = members.clone();
            more.insert("more".to_owned(), json!(1));
            others.push(Some(json!(more)));
            others.push(Some(json!({})));
        }
        _ => others.extend([Some(json!(7)), Some(json!("digest_mismatch"))]),
    }
    others.retain(|other| other.as_ref() != Some(value));
    others
}

fn with(value: &Value, path: &str, other: Option<&Value>) -> Value {
    let mut changed = value.clone();
    let (parent, name) = path.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/").replace("~0", "~");
    match (changed.pointer_mut(parent).unwrap(), other) {
        (Value::Object(members), Some(other)) => drop(members.insert(name, other.clone())),
        (Value::Object(members), None) => drop(members.remove(&name)),
        (Value::Array(items), Some(other)) => items[name.parse::<usize>().unwrap()] = other.clone(),
        (Value::Array(items), None) => drop(items.remove(name.parse().unwrap())),
        _ => unreachable!(),
    }
    changed
}

/// Returns true if an audit cannot check this member, and its output says so. These members are the
/// name and limits of a key, counts of requests without an entry, and the reason of a refusal that
/// an audit cannot repeat.
fn is_keepers_word(path: &str, original: &Value, changed: &Value) -> bool {
    let of_key = path.contains("/key/mcpid");
    let absent = |path: &str| changed.pointer(path).is_none_or(Value::is_null);
    let same_but = |names: &[&str]| names.iter().any(|name| path.starts_with(name));
    let refused = original["verdict"] == "refused" || original["verdict"] == "would_refuse";
    of_key
        || same_but(&["/dropped"])
        || (refused && same_but(&["/code", "/step", "/mcp"]))
        // A member with the value null counts as absent.
        || (original.pointer(path).is_none_or(Value::is_null) && absent(path))
        || is_keepers_rule(path, original, changed)
        // The operator writes the text of an erasure's reason, and no audit can check it.
        || same_but(&["/erased/reason"])
        // `Host` may change because the target also names the host, and `offset` because times
        // under an offset are uncertain anyway.
        || (path == "/request/headers/0" && original.pointer("/request/headers/0/0") == Some(&json!("host")))
        || same_but(&["/clock/offset"])
        // The operator decides which values of a body are cut out. A body with such values is
        // reported as not kept.
        || same_but(&["/redacted"])
        || (path == "/request/body" && changed.pointer(path).is_none())
}

/// Returns true for a member of an entry's `rules` that an audit of this one entry cannot check. An
/// audit of the whole log finds the change.
fn is_keepers_rule(path: &str, original: &Value, changed: &Value) -> bool {
    let name = path.strip_prefix("/rules/").unwrap_or_default();
    let (name, item) = name.split_once('/').map_or((name, false), |(name, _)| (name, true));
    let at = |value: &Value| value.pointer(&format!("/rules/{name}")).cloned();
    let (was, is) = (at(original).unwrap_or_default(), at(changed).unwrap_or_else(|| json!([])));
    let fewer = || {
        let all = was.as_array().cloned().unwrap_or_default();
        is.as_array().is_some_and(|items| items.iter().all(|item| all.contains(item)))
    };
    match name {
        // A shorter validity time is accepted if the signature satisfies it too.
        "window" | "ahead" => {
            let seconds = (was.as_i64(), is.as_i64());
            matches!(seconds, (Some(was), Some(is)) if is < was)
        }
        // If `rules` demands less, one entry does not show it: the auditor's own rules (--origin,
        // --require) decide.
        "origins" | "require" => fewer(),
        // The member allows another component to stay uncovered, and no signature depends on that.
        "allow_uncovered" if item => changed.pointer(path).is_none_or(Value::is_string),
        "allow_uncovered" => fewer(),
        _ => false,
    }
}

fn inputs(fixture: &LogFixture) -> AuditorInputs {
    AuditorInputs { log_key: Some(fixture.log_key.clone()), ..AuditorInputs::default() }
}

#[test]
fn no_changed_member_of_any_entry_is_called_good() {
    let seed = 20_261_129;
    let mut random = StdRng::seed_from_u64(seed);
    let fixture = various();
    let lines = fixture.lines();
    let untouched: Vec<String> =
        lines.iter().map(|l| text(&serde_json::from_str(l).unwrap())).collect();
    forge(&fixture, &untouched, 200);
    let report = fixture.audit(&[]);
    assert!(report.finding().is_none(), "{:?}", report.findings);
    let (mut cases, mut wrong) = (0, Vec::new());
    for (n, line) in untouched.iter().enumerate() {
        let value: Value = serde_json::from_str(line).unwrap();
        let is_request = value["event"] == "request";
        // Only an entry about a request can be judged on its own. The other entries need the whole
        // log.
        let before = is_request.then(|| check_line(&fixture, &value).unwrap());
        for (path, original) in paths(&value) {
            for other in others(&original, &mut random) {
                let changed = with(&value, &path, other.as_ref());
                cases += 1;
                let seen = match &before {
                    Some(before) if path != "/n" => match check_line(&fixture, &changed) {
                        Err(_) => true,
                        Ok(now) => {
                            let claimed = now.judged.operation_claimed && path.starts_with("/mcp");
                            let less = now.judged.reasons != before.judged.reasons;
                            now.fault.is_some() || !now.is_good() || less || claimed
                        }
                    },
                    _ => {
                        let mut lines = untouched.clone();
                        lines[n] = text(&changed);
                        forge(&fixture, &lines, 200);
                        fixture.audit(&[]).finding().is_some()
                    }
                };
                if !seen && !is_keepers_word(&path, &value, &changed) {
                    wrong.push(format!("entry {n} {path} = {other:?}"));
                }
            }
        }
    }
    assert!(cases > 1_500, "{cases}");
    assert!(wrong.is_empty(), "{} of {cases}, seed {seed}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_changed_member_of_any_evidence_is_called_good() {
    let seed = 20_261_130;
    let mut random = StdRng::seed_from_u64(seed);
    let fixture = various();
    let (mut cases, mut wrong) = (0, Vec::new());
    for n in 0..fixture.lines().len() as u64 {
        let evidence = match proof::prove(&fixture.files(), n, None) {
            Ok(evidence) => evidence,
            Err(ProofError::NoRequest(_) | ProofError::Erased { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        let check =
            |text: &str| check::check(text.as_bytes(), &inputs(&fixture), fixture.trust(), None);
        let whole = check(&evidence).unwrap();
        assert_eq!(whole.fault, None, "entry {n}");
        let value: Value = serde_json::from_str(&evidence).unwrap();
        for (path, original) in paths(&value) {
            for other in others(&original, &mut random) {
                let changed = with(&value, &path, other.as_ref());
                cases += 1;
                if check(&changed.to_string()).is_ok_and(|checked| checked.fault.is_none()) {
                    wrong.push(format!("entry {n} {path} = {other:?}"));
                }
            }
        }
    }
    assert!(cases > 500, "{cases}");
    // If the clock entry is missing in the evidence, the entry's times do not match.
    assert!(wrong.is_empty(), "{} of {cases}, seed {seed}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Returns evidence for an entry that was never in a log, made by the holder of the log's key.
fn evidence_of(fixture: &LogFixture, line: &str) -> String {
    let at = json!({"n": 0, "size": 1, "proof": []});
    let value: Value = serde_json::from_str(line).unwrap();
    let signatures = value["signatures"].as_array().cloned().unwrap_or_default();
    let keys: Vec<Value> = signatures.iter().map(|s| s["key"].clone()).collect();
    let mut distinct: Vec<Value> = Vec::new();
    for key in keys {
        if !distinct.contains(&key) {
            distinct.push(key);
        }
    }
    let files = distinct.iter().filter_map(|key| {
        let text = json!({"keys": [key]}).to_string();
        mcpid::key::trust::TrustFile::parse(text.as_bytes()).ok()
    });
    let pem = |entry: &mcpid::key::trust::TrustEntry| mcpid::key::format::spki_pem(entry.key());
    let pems: Vec<String> =
        files.flat_map(|file| file.entries().iter().map(pem).collect::<Vec<_>>()).collect();
    let note = sealed(1, tree::leaf(line.as_bytes()), 200);
    json!({
        "mcpid": "evidence/2", "n": at["n"], "size": at["size"], "proof": at["proof"],
        "entry": STANDARD.encode(line), "checkpoint": STANDARD.encode(note),
        "log_key": fixture.log_key.to_string(),
        "log_key_pem": mcpid::key::format::spki_pem(fixture.log_key.public()),
        "keys": {"keys": distinct}, "key_pems": pems,
    })
    .to_string()
}

/// Checks one forged entry, with all that its forger can make to match it.
pub(crate) fn check_line(
    fixture: &LogFixture,
    line: &Value,
) -> Result<CheckedEvidence, ProofError> {
    check_line_by(fixture, line, fixture.trust())
}

/// Checks one forged entry, with the keys and rules that an auditor trusts.
pub(crate) fn check_line_by(
    fixture: &LogFixture,
    line: &Value,
    trust: AuditorTrust,
) -> Result<CheckedEvidence, ProofError> {
    let mut line = line.clone();
    line["n"] = json!(0);
    check_text_by(fixture, &line.to_string(), trust)
}

/// Checks the line `text` as the first entry of a log.
pub(crate) fn check_text_by(
    fixture: &LogFixture,
    text: &str,
    trust: AuditorTrust,
) -> Result<CheckedEvidence, ProofError> {
    check::check(evidence_of(fixture, text).as_bytes(), &inputs(fixture), trust, None)
}

/// The log's operator made a key, and the log calls it alice. The auditor's trust file does not
/// contain the key.
#[test]
fn a_key_that_the_log_holder_made_does_not_pass_for_alices_key() {
    let fixture = various();
    let line: Value = serde_json::from_str(&fixture.lines()[0]).unwrap();
    let trust = AuditorTrust::pinned(registry(vec![entry(2, json!({}))]));
    let evidence = {
        let mut line = line;
        line["n"] = json!(0);
        evidence_of(&fixture, &line.to_string())
    };
    let by = |trust: AuditorTrust| {
        check::check(evidence.as_bytes(), &inputs(&fixture), trust, None).unwrap()
    };
    for trust in [trust, AuditorTrust::of_the_log()] {
        let checked = by(trust);
        assert!(!checked.is_good() && checked.fault.is_none() && checked.judged.known.is_none());
    }
    assert!(by(fixture.trust()).is_good());
}
