//! A security key simulated in software: it signs in the format of FIDO, with flags that a test
//! chooses.

use mcpid::key::{
    KeyApplication, PRESENCE_SIGNATURE_BYTES, SecretKey, SecurityKey, Sign as _, SignByTouch,
    SignError, format,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A security key whose private half is in memory.
pub(crate) struct SoftwareKey {
    pub(crate) secret: SecretKey,
    pub(crate) application: &'static str,
    pub(crate) flags: u8,
    pub(crate) counter: u32,
    pub(crate) public: SecurityKey,
}

impl SoftwareKey {
    /// Creates a security key for the application `ssh:mcpid` that sets the presence flag in each
    /// signature.
    pub(crate) fn new(secret: SecretKey) -> Self {
        let application = "ssh:mcpid";
        let public =
            SecurityKey::new(secret.public().clone(), KeyApplication::parse(application).unwrap());
        SoftwareKey { secret, application, flags: 0x01, counter: 7, public }
    }

    /// Returns the signature over a message: 64 bytes, the flags, the counter.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; PRESENCE_SIGNATURE_BYTES] {
        let application = Sha256::digest(self.application);
        let counter = self.counter.to_be_bytes();
        let rest = [&[self.flags][..], &counter].concat();
        let signed = [&application[..], &rest, &Sha256::digest(message)].concat();
        let signature = self.secret.sign(&signed).unwrap();
        [&signature[..], &rest].concat().try_into().unwrap()
    }

    /// Returns a trust entry with this name. The members of `more` are added to `security_key`.
    pub(crate) fn entry(&self, name: &str, more: &Value) -> Value {
        let mut jwk: Value =
            serde_json::from_str(&format::jwk(self.secret.public(), None)).unwrap();
        jwk["mcpid"] = json!({"name": name, "security_key": {"application": "ssh:mcpid"}});
        for (member, value) in more.as_object().unwrap() {
            jwk["mcpid"]["security_key"][member] = value.clone();
        }
        jwk
    }
}

impl SignByTouch for SoftwareKey {
    fn security_key(&self) -> &SecurityKey {
        &self.public
    }

    fn sign_by_touch(&self, message: &[u8]) -> Result<[u8; PRESENCE_SIGNATURE_BYTES], SignError> {
        Ok(self.sign(message))
    }
}
