//! Attacks by the log's operator, who has its private key, on the entry of a request that a
//! security key confirmed by a touch. An auditor who demands a touch must never call an untouched
//! request good.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::entry_judge::{AuditorTrust, PinnedRules};
use mcpid::key::Sign as _;
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::fixtures::{LogFixture, START, entry, key, registry};
use crate::forged::check_text_by;
use crate::touches::{RULE, keys, recorded, touch_key, touched_by};

fn fixture() -> LogFixture {
    let mut fixture = LogFixture::new();
    fixture.registry = registry(keys(&json!({"for": ["key 1"]})));
    fixture
}

/// Returns the entry of a request that key 1 signed and the security key confirmed.
fn touched(fixture: &LogFixture) -> Value {
    let signer = Signer::new(Arc::new(key(1)), &Profile::mcp()).unwrap();
    let mut line = recorded(fixture, &touched_by(signer, START, &touch_key()));
    line["n"] = json!(0);
    line
}

/// Returns true if an auditor who demands a touch of a security key calls the entry good.
fn is_good(fixture: &LogFixture, text: &str) -> bool {
    let touch = vec![RULE.parse().unwrap()];
    let trust = fixture.trust().with_rules(PinnedRules { touch, ..PinnedRules::default() });
    check_text_by(fixture, text, trust).is_ok_and(|checked| checked.is_good())
}

fn told<'l>(line: &'l Value, n: usize, member: &str) -> &'l str {
    line["signatures"][n][member].as_str().unwrap()
}

#[test]
fn no_change_of_text_makes_another_entry_good() {
    let fixture = fixture();
    let line = touched(&fixture);
    let whole = line.to_string();
    assert!(is_good(&fixture, &whole));
    let (first, touch) = (told(&line, 0, "signature"), told(&line, 1, "signature"));
    let (id, touch_id) = (key(1).public().id().to_string(), key(21).public().id().to_string());
    let both = |a: &str, b: &str| whole.replace(a, "\u{0}").replace(b, a).replace('\u{0}', b);
    let once = |a: &str, b: &str| {
        assert!(whole.contains(a), "{a}");
        whole.replacen(a, b, 1)
    };
    for (case, text) in [
        // These changes are to labels.
        (
            "the label of the signature, everywhere",
            whole.replace("mcp=", "sig=").replace("\"label\":\"mcp\"", "\"label\":\"sig\""),
        ),
        (
            "the label of the touch, in the entry",
            once("\"label\":\"touch\"", "\"label\":\"other\""),
        ),
        ("the label of the touch, in the request", whole.replace("touch=", "other=")),
        ("one label for two", once("\"label\":\"touch\"", "\"label\":\"mcp\"")),
        // These changes exchange parts of the two signatures.
        ("signatures", both(first, touch)),
        ("key ids", both(&id, &touch_id)),
        ("labels", both("\"label\":\"mcp\"", "\"label\":\"touch\"")),
        // These changes are to what the entry says about the security key.
        ("an ordinary key", once("\"security_key\":", "\"security_keys\":")),
        ("another application", once("ssh:mcpid", "ssh:other")),
        ("no signer", once(&format!("\"for\":[\"{id}\"]"), "\"for\":[]")),
        (
            "another signer",
            once(&format!("\"for\":[\"{id}\"]"), &format!("\"for\":[\"{touch_id}\"]")),
        ),
        ("no list", once(&format!(",\"for\":[\"{id}\"]"), "")),
        // These changes add a member a second time.
        ("two lists", once("\"for\":[", "\"for\":[\"key 2\"],\"for\":[")),
        (
            "two rules",
            once(
                "\"security_key\":",
                "\"security_key\":{\"application\":\"ssh:mcpid\",\"for\":[]},\"security_key\":",
            ),
        ),
        ("two labels", once("\"label\":\"touch\"", "\"label\":\"touch\",\"label\":\"touch\"")),
        ("two signatures", once("\"signatures\":", "\"signatures\":[],\"signatures\":")),
        ("two rules of the log", once("\"rules\":", "\"rules\":null,\"rules\":")),
    ] {
        assert_ne!(text, whole, "{case}");
        assert!(!is_good(&fixture, &text), "{case}");
    }
}

/// The name of a case, and how the case changes the signatures.
type ListCase<'c> = (&'c str, &'c dyn Fn(&mut Vec<Value>));

#[test]
fn no_other_list_of_signatures_is_good() {
    let fixture = fixture();
    let line = touched(&fixture);
    let changed = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut line = line.clone();
        change(line["signatures"].as_array_mut().unwrap());
        line.to_string()
    };
    let key_of = |n: usize| line["signatures"][n]["key"].clone();
    let cases: &[ListCase<'_>] = &[
        ("none", &|all| all.clear()),
        ("without the touch", &|all| all.truncate(1)),
        ("without the signature", &|all| drop(all.remove(0))),
        ("reversed", &|all| all.reverse()),
        ("the touch twice", &|all| all.push(all[1].clone())),
        ("the signature twice", &|all| all.push(all[0].clone())),
        ("two keys of one id", &|all| {
            let mut other = all[1].clone();
            other["label"] = json!("mcp");
            other["key"]["mcpid"]["security_key"]["for"] = json!(["key 1"]);
            all.push(other);
        }),
        ("the key of the other one", &|all| all[1]["key"] = key_of(0)),
        ("both keys exchanged", &|all| {
            all[0]["key"] = key_of(1);
            all[1]["key"] = key_of(0);
        }),
        ("the touch is not kept", &|all| {
            all[1].as_object_mut().unwrap().remove("base");
            all[1]["base_sha256"] = json!(STANDARD.encode([7; 32]));
        }),
        ("a signature that never was", &|all| {
            let mut other = all[0].clone();
            other["label"] = json!("other");
            other["key"] = key_of(1);
            all.push(other);
        }),
    ];
    for (case, change) in cases {
        assert!(!is_good(&fixture, &changed(*change)), "{case}");
    }
}

/// The log's operator registers a security key of the operator's own, and touches it.
#[test]
fn a_security_key_of_the_keeper_confirms_no_touch() {
    let mut fixture = fixture();
    let trust = fixture.trust();
    let own = crate::software_key::SoftwareKey::new(key(22));
    let entries = vec![entry(1, json!({})), own.entry("x", &json!({"for": ["key 1"]}))];
    fixture.registry = registry(entries);
    let signer = Signer::new(Arc::new(key(1)), &Profile::mcp()).unwrap();
    let mut line = recorded(&fixture, &touched_by(signer, START, &own));
    line["n"] = json!(0);
    for trust in [trust.clone(), AuditorTrust::of_the_log()] {
        let checked = check_text_by(&fixture, &line.to_string(), trust).unwrap();
        assert_eq!(checked.fault, None);
        assert!(!checked.is_good() && !checked.judged.touch.unwrap().is_confirmed());
    }
    // The verdict stays the same if the entry gives it the name of alice's security key.
    line["signatures"][1]["key"]["mcpid"]["name"] = json!("security key of alice");
    let checked = check_text_by(&fixture, &line.to_string(), trust).unwrap();
    assert!(!checked.is_good());
}
