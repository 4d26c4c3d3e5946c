//! Tests of log entries of requests that P-256 keys signed.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::note::{NoteKey, NoteKeyError, NoteKeyKind};
use mcpid::audit::{Folder, Recorder, proof};
use mcpid::key::{SecretKey, Sign as _, format};
use mcpid::profile::{Profile, Window};
use mcpid::sign::Signer;
use serde_json::{Value, json};

use crate::fixtures::{Call, LogFixture, START, body, registry, sign};
use crate::forged::check_line;

fn secret() -> SecretKey {
    SecretKey::from_p256_scalar(b"6 scalar that no publication has").unwrap()
}

fn profile() -> Profile {
    Profile { window: Window { max_age: Some(30), max_skew: 5 }, ..Profile::rfc9421() }
}

/// Returns a log with the entry of one verified request, and the entry's line.
fn one() -> (LogFixture, Value) {
    let mut fixture = LogFixture::new();
    let mut jwk: Value = serde_json::from_str(&format::jwk(secret().public(), None)).unwrap();
    jwk["mcpid"] = json!({"name": "shop"});
    fixture.registry = registry(vec![jwk]);
    let signer = Signer::new(Arc::new(secret()), &Profile::rfc9421()).unwrap();
    let fields = [("host", "mcp.example.com"), ("content-type", "application/json")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut call = Call { method: "POST".to_owned(), fields, body: body(7).into_bytes() };
    sign(&mut call, &signer, START);
    let recorder = Recorder::new(fixture.open()).with_bodies(Vec::new());
    fixture.record_by(&recorder, &call, &fixture.verifier_by(profile())).unwrap();
    drop(recorder);
    let line: Value = serde_json::from_str(&fixture.lines()[0]).unwrap();
    (fixture, line)
}

#[test]
fn an_entry_holds_the_whole_key_and_is_judged_again() {
    let (fixture, line) = one();
    assert_eq!(line["verdict"], "verified");
    let key = &line["signatures"][0]["key"];
    let own: Value = serde_json::from_str(&format::jwk(secret().public(), None)).unwrap();
    for member in ["kty", "crv", "x", "y", "kid"] {
        assert_eq!(key[member], own[member], "{member}");
    }
    assert!(check_line(&fixture, &line).unwrap().is_good());
    assert!(fixture.audit(&[fixture.checkpoint()]).finding().is_none());
    let evidence = proof::prove(&fixture.files(), 0, None).unwrap();
    let pem = format::spki_pem(secret().public()).replace('\n', "\\n");
    assert!(evidence.contains(&pem), "{evidence}");
}

#[test]
fn one_change_of_an_entry_is_found() {
    let (fixture, line) = one();
    let fault = |change: &dyn Fn(&mut Value)| {
        let mut line = line.clone();
        change(&mut line);
        check_line(&fixture, &line).map_or_else(|e| e.to_string(), |c| c.fault.unwrap_or_default())
    };
    let signed = STANDARD.decode(line["signatures"][0]["signature"].as_str().unwrap()).unwrap();
    let spoiled = |bit: usize| {
        let mut bytes = signed.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        STANDARD.encode(bytes)
    };
    let in_request = |line: &mut Value, signature: &str| {
        for header in line["request"]["headers"].as_array_mut().unwrap() {
            if header[0] == "signature" {
                header[1] = json!(format!("mcp=:{signature}:"));
            }
        }
    };
    for bit in [0, 7, 255, 256, 300, 511] {
        let words = fault(&|line| line["signatures"][0]["signature"] = json!(spoiled(bit)));
        assert!(words.contains("not that of its request"), "{words}");
        let words = fault(&|line| {
            line["signatures"][0]["signature"] = json!(spoiled(bit));
            in_request(line, &spoiled(bit));
        });
        assert!(words.contains("signature_invalid"), "{words}");
    }
    let other = SecretKey::from_p256_scalar(b"5 scalar that no publication has").unwrap();
    let other: Value = serde_json::from_str(&format::jwk(other.public(), None)).unwrap();
    let ed25519: Value =
        serde_json::from_str(&format::jwk(crate::fixtures::key(1).public(), None)).unwrap();
    for (change, why) in [
        (Box::new(|key: &mut Value| key["x"] = other["x"].clone()) as Box<dyn Fn(&mut Value)>, "x"),
        (Box::new(|key| key["y"] = other["y"].clone()), "y"),
        (Box::new(|key| drop(key.as_object_mut().unwrap().remove("y"))), "no y"),
        (Box::new(|key| key["kid"] = other["kid"].clone()), "kid"),
        (Box::new(|key| key["crv"] = json!("P-384")), "crv"),
        (Box::new(|key| key["kty"] = json!("OKP")), "kty"),
        (Box::new(|key| key["alg"] = json!("EdDSA")), "alg"),
        (Box::new(|key| *key = other.clone()), "another key"),
        (Box::new(|key| *key = ed25519.clone()), "a key of another kind"),
    ] {
        let words = fault(&|line| change(&mut line["signatures"][0]["key"]));
        assert!(!words.is_empty(), "{why} was changed");
    }
    // A profile that does not allow P-256 keys would not have accepted the request.
    for name in ["mcp", "sep2752"] {
        assert!(!fault(&|line| line["rules"]["profile"] = json!(name)).is_empty(), "{name}");
    }
}

/// A P-256 key cannot be the key of a log: the format of signed notes has no type for it, and the
/// salts of redacted values need a signature that is the same every time.
#[test]
fn a_log_and_a_witness_have_no_key_of_p256() {
    for kind in [NoteKeyKind::Log, NoteKeyKind::Witness] {
        let key = NoteKey::new("example.com/audit", kind, secret().public().clone());
        assert_eq!(key, Err(NoteKeyError::Key));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let now = mcpid::clock::Timestamp::from_unix(START);
    assert!(Folder::init(&path, "example.com/audit", &secret(), now).is_err());
    assert!(secret().sign(b"x").unwrap() != secret().sign(b"x").unwrap());
}
