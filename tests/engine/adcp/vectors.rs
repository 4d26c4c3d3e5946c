//! Tests with AdCP's test vectors, from its Python package. `ADCP_VECTORS` names the folder
//! `test-vectors/request-signing` of that package. The stage `adcp` of `tests/all` installs the
//! package.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcpid::clock::{FixedClock, Timestamp};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::message::target::{Origins, normal_url};
use mcpid::message::{Head, RequestTarget};
use mcpid::nonce::memory::Memory;
use mcpid::nonce::{NonceStore as _, Retention};
use mcpid::profile::Profile;
use mcpid::verify::{ReplayCheck, Verifier, VerifyError};
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::fixtures::ready;

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("ADCP_VECTORS").expect("ADCP_VECTORS names the vectors"))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Returns the trusted keys of a vector. They are revoked if the vector says so.
fn registry(vector: &Value, keys: &Value) -> Registry {
    let own = vector["jwks_override"]["keys"].as_array();
    let named = |key: &&Value| {
        let wanted = vector["jwks_ref"].as_array().unwrap();
        wanted.contains(&key["kid"])
    };
    let mut keys: Vec<Value> = match own {
        Some(own) => own.clone(),
        None => keys["keys"].as_array().unwrap().iter().filter(named).cloned().collect(),
    };
    let revoked = &vector["test_harness_state"]["revocation_list"]["revoked_kids"];
    for key in &mut keys {
        if revoked.as_array().is_some_and(|kids| kids.contains(&key["kid"])) {
            key["mcpid"] = json!({"revoked_at": "2026-04-18T14:00:00Z"});
        }
    }
    let file = TrustFile::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    Registry::merge([file])
}

/// Judges a vector at the time that it states, and returns the code of its refusal.
fn judge(vector: &Value, keys: &Value) -> Option<String> {
    let now = Timestamp::from_unix(vector["reference_now"].as_i64().unwrap());
    let state = &vector["test_harness_state"];
    let room = if state["replay_cache_per_keyid_cap_hit"].is_object() { 1 } else { 1_000 };
    let store = Memory::new(now, Retention::new(360, 60), &mut SysRng).unwrap();
    let store = Arc::new(store.bounded(room).without_floor());
    let registry = Arc::new(registry(vector, keys));
    let mut used: Vec<(&str, &str)> = Vec::new();
    for entry in state["replay_cache_entries"].as_array().into_iter().flatten() {
        used.push((entry["keyid"].as_str().unwrap(), entry["nonce"].as_str().unwrap()));
    }
    if let Some(kid) = state["replay_cache_per_keyid_cap_hit"]["keyid"].as_str() {
        used.push((kid, "another nonce"));
    }
    for (kid, nonce) in used {
        let entry = registry.by_kid(kid).next().unwrap();
        ready(store.claim(now, entry.key().id(), nonce, now.plus(360))).unwrap();
    }
    let verifier = Verifier::new(
        Profile::adcp(),
        registry,
        Origins::unknown(),
        Arc::new(FixedClock(now)),
        ReplayCheck::Claim(store),
    );
    let request = &vector["request"];
    let url = request["url"].as_str().unwrap().to_owned();
    let target = RequestTarget::from_url(url.clone()).unwrap_or(RequestTarget::Uri(url.into()));
    let mut head = Head::new(request["method"].as_str().unwrap(), target).unwrap();
    for (name, value) in request["headers"].as_object().unwrap() {
        head.push(name.as_str(), value.as_str().unwrap().as_bytes()).unwrap();
    }
    let body = request["body"].as_str().unwrap_or_default().as_bytes();
    match ready(verifier.verify(&head, body)) {
        Ok(verified) => {
            let label = vector["expected_outcome"]["verified_label"].as_str().unwrap_or("sig1");
            assert_eq!(verified.label(), label);
            None
        }
        Err(VerifyError::Rejected(r)) => {
            Some(r.profile_code().unwrap_or(r.code().as_str()).to_owned())
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "the stage adcp of tests/all installs the vectors and runs this"]
fn every_vector_of_profile_3_2_is_judged_as_it_says() {
    let keys = read(&folder().join("keys.json"));
    let (mut judged, mut wrong) = (0, Vec::new());
    for kind in ["positive", "negative"] {
        for entry in fs::read_dir(folder().join("profile-3.2").join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let vector = read(&path);
            let expected = vector["expected_outcome"]["error_code"].as_str().map(str::to_owned);
            let found = judge(&vector, &keys);
            if found != expected {
                wrong.push(format!("{}: {found:?}, not {expected:?}", path.display()));
            }
            judged += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(judged, 46);
}

/// Three vectors have a host outside ASCII. They are not tested here but with the program, because
/// only the program converts such a host.
#[test]
#[ignore = "the stage adcp of tests/all installs the vectors and runs this"]
fn every_url_of_the_canonicalisation_set_gets_the_form_that_it_says() {
    let set = read(&folder().join("canonicalization.json"));
    let (mut judged, mut left) = (0, 0);
    for case in set["cases"].as_array().unwrap() {
        let (name, url) = (case["name"].as_str().unwrap(), case["input_url"].as_str().unwrap());
        let found = normal_url(url).ok();
        if !url.is_ascii() {
            assert_eq!(found, None, "{name}");
            left += 1;
            continue;
        }
        let expected = case["expected_target_uri"].as_str().map(str::to_owned);
        assert_eq!(found, expected, "{name}");
        judged += 1;
    }
    assert_eq!((judged, left), (38, 3));
}
