//! Tests of the evidence for a request that a P-256 key signed.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use mcpid::audit::{Recorder, proof};
use mcpid::key::{SecretKey, Sign as _, format};
use mcpid::profile::{Profile, Window};
use mcpid::sign::Signer;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::files::commands;
use super::fixtures::{self, Call, LogFixture, START};
use super::{AuditFolder, stdout};

fn audit_folder() -> AuditFolder {
    let folder = TempDir::new().unwrap();
    let mut fixture = LogFixture::at(folder.path().join("log"), fixtures::NAME);
    let secret = SecretKey::from_p256_scalar(b"4 scalar that no publication has").unwrap();
    let mut jwk: Value = serde_json::from_str(&format::jwk(secret.public(), None)).unwrap();
    jwk["mcpid"] = json!({"name": "shop"});
    fs::write(folder.path().join("trust.json"), json!({"keys": [jwk.clone()]}).to_string())
        .unwrap();
    fixture.registry = fixtures::registry(vec![jwk]);
    let profile =
        Profile { window: Window { max_age: Some(30), max_skew: 5 }, ..Profile::rfc9421() };
    let signer = Signer::new(Arc::new(secret), &profile).unwrap();
    let fields = [("host", "mcp.example.com"), ("content-type", "application/json")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut call = Call { method: "POST".to_owned(), fields, body: fixtures::body(7).into_bytes() };
    fixtures::sign(&mut call, &signer, START);
    let recorder = Recorder::new(fixture.open());
    fixture.record_by(&recorder, &call, &fixture.verifier_by(profile)).unwrap();
    drop(recorder);
    let evidence = proof::prove(&fixture.files(), 0, None).unwrap();
    fs::write(folder.path().join("evidence-0.json"), evidence).unwrap();
    AuditFolder { folder, log_key: fixture.log_key.to_string() }
}

#[test]
fn the_script_of_a_page_verifies_by_openssl_what_p256_signed() {
    let audit = audit_folder();
    let page = stdout(&audit.check(0, &["-r", "trust.json", "--html", "-"]), 0);
    assert!(page.contains("(RFC 9421, ECDSA on P-256)"), "{page}");
    let script = commands(&page).pop().unwrap();
    let run = || {
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).current_dir(audit.folder.path()).output().unwrap()
    };
    let verified = "the entry is under the checkpoint\nthe key is the log's\n\
                    Signature Verified Successfully\nSignature Verified Successfully\n";
    assert_eq!(stdout(&run(), 0), verified);
    // With the key of another request, the last command fails, and none before it.
    let file = audit.path("evidence-0.json");
    let evidence = fs::read_to_string(&file).unwrap();
    let other = SecretKey::from_p256_scalar(b"3 scalar that no publication has").unwrap();
    let pem = |key: &SecretKey| format::spki_pem(key.public()).replace('\n', "\\n");
    let own = SecretKey::from_p256_scalar(b"4 scalar that no publication has").unwrap();
    assert!(evidence.contains(&pem(&own)));
    fs::write(&file, evidence.replace(&pem(&own), &pem(&other))).unwrap();
    let ended = run();
    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(said.matches("Signature Verified Successfully").count(), 1, "{said}");
}
