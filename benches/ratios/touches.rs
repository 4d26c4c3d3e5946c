//! Measures how much the touch of a security key adds to the time of a verification.

use std::hint::black_box;
use std::time::Duration;

use mcpid::key::{
    KeyApplication, KeyKind, PRESENCE_SIGNATURE_BYTES, PublicKey, SecretKey, SecurityKey,
    Sign as _, SignByTouch, SignError, format,
};
use mcpid::message::Head;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::requests::{BaselineKey, BenchSetup, Kind, with_fields};
use super::{REQUESTS, Table, time};

/// The application that the security key is made for.
const APPLICATION: &str = "ssh:mcpid";

/// A security key whose private half is in memory.
struct SoftwareKey {
    secret: SecretKey,
    public: SecurityKey,
}

impl SoftwareKey {
    fn new(secret: SecretKey) -> Self {
        let application = KeyApplication::parse(APPLICATION).unwrap();
        let public = SecurityKey::new(secret.public().clone(), application);
        SoftwareKey { secret, public }
    }
}

/// Returns the bytes that a security key signs for a message, and the flag and counter that they
/// contain.
fn signed_by_key(message: &[u8]) -> (Vec<u8>, [u8; 5]) {
    let present = [0x01, 0, 0, 0, 7];
    let digest = Sha256::digest(message);
    ([&Sha256::digest(APPLICATION)[..], &present, &digest].concat(), present)
}

impl SignByTouch for SoftwareKey {
    fn security_key(&self) -> &SecurityKey {
        &self.public
    }

    fn sign_by_touch(&self, message: &[u8]) -> Result<[u8; PRESENCE_SIGNATURE_BYTES], SignError> {
        let (signed, present) = signed_by_key(message);
        let signature = self.secret.sign(&signed)?;
        Ok([&signature[..], &present].concat().try_into().unwrap())
    }
}

/// Compares the verification of a touched `tools/call` with that of the same call without a touch.
pub(crate) fn verifying_touched(rounds: usize) {
    let ed25519 = SecretKey::generate(&mut SysRng).unwrap();
    let p256 = SecretKey::generate_p256(&mut SysRng).unwrap();
    println!();
    for secret in [ed25519, p256] {
        let baseline = BaselineKey::of(secret.public());
        let (message, _) = signed_by_key(b"the signature base of a touch");
        let signature: [u8; 64] = secret.sign(&message).unwrap()[..].try_into().unwrap();
        let key = SoftwareKey::new(secret);
        let signer = SecretKey::generate(&mut SysRng).unwrap();
        let rules = json!({ "application": APPLICATION });
        let trust = json!({"keys": [
            entry(signer.public(), json!({"name": "alice"})),
            entry(key.secret.public(), json!({"name": "alice", "security_key": rules})),
        ]});
        let setup = BenchSetup::trusting(signer, &trust.to_string());
        let mut table = Table::default();
        for _ in 0..rounds {
            let requests: Vec<_> = (0..REQUESTS).map(|_| request(&setup, &key)).collect();
            let (mut untouched, mut touched, mut library) = [Duration::ZERO; 3].into();
            for [without, with] in &requests {
                untouched += time(|| {
                    black_box(setup.verify(black_box(without)));
                });
                touched += time(|| {
                    assert!(setup.verify(black_box(with)).touch().is_some());
                });
                library += time(|| baseline.verify(black_box(&message), &signature));
            }
            table.add("touched", touched, untouched);
            table.add("added", touched.saturating_sub(untouched), library);
        }
        match key.secret.public().kind() {
            KeyKind::Ed25519 => {
                let ratio = table.median("touched");
                let met = if ratio <= 2.0 { "met" } else { "MISSED" };
                println!(
                    "touched by an Ed25519 security key: {ratio:.3} × the same call without a touch \
                     (target 2.00: {met})"
                );
            }
            _ => {
                let ratio = table.median("added");
                let met = if ratio <= 1.3 { "met" } else { "MISSED" };
                println!(
                    "touched by a P-256 security key: the same call without a touch, and {ratio:.3} × \
                     ring's bare verify of P-256 (target 1.30: {met})"
                );
            }
        }
    }
}

/// Returns an entry of a trust file with the member `mcpid`.
fn entry(public: &PublicKey, mcpid: Value) -> Value {
    let mut jwk: Value = serde_json::from_str(&format::jwk(public, None)).unwrap();
    jwk["mcpid"] = mcpid;
    jwk
}

/// Returns the heads of a signed request without a touch, and of another one with a touch.
fn request(setup: &BenchSetup, key: &SoftwareKey) -> [Head<'static>; 2] {
    let head = setup.unsigned(Kind::ToolsCall);
    let first = setup.sign(&head);
    let touched = setup.signer.sign_touch(key, &head, &setup.origins, &first).unwrap();
    [setup.signed(Kind::ToolsCall).head, with_fields(head, &touched)]
}
