//! The member `security_key` of an entry: what a security key was made for, and whose signatures
//! its touch may confirm.

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use crate::key::json::{StrictJson, StrictObject};
use crate::key::{
    KeyApplication, PRESENCE_SIGNATURE_BYTES, PresenceError, PresenceProof, PublicKey,
};

/// The name of the trust entry's member with the rules for a security key.
pub(super) const MEMBER: &str = "security_key";

/// The value of the member `require` that demands a PIN or a fingerprint.
const VERIFIED: &str = "verified";

/// The rules for touches of a security key. If one trust entry says that a key is a security key,
/// it counts as one everywhere. The strictest rules of all its entries apply.
///
/// ```
/// use mcpid::key::KeyApplication;
/// use mcpid::key::trust::SecurityKeyRules;
///
/// let rules = SecurityKeyRules::new(KeyApplication::parse("ssh:mcpid")?).touching_for("alice");
/// assert_eq!(
///     serde_json::to_string(&rules).unwrap(),
///     r#"{"application":"ssh:mcpid","for":["alice"]}"#
/// );
/// # Ok::<(), mcpid::key::KeyApplicationError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityKeyRules {
    /// The application of the security key, such as `ssh:mcpid`. `None` if two entries name
    /// different applications: then no signature of the key is valid.
    application: Option<KeyApplication>,
    /// One list of names and key ids of signers for each trust entry that has such a list. A touch
    /// of a security key may confirm only the signatures of signers that are in every list.
    joins: Vec<Vec<String>>,
    alone: bool,
    verified: bool,
}

impl SecurityKeyRules {
    const NAMES: [&'static str; 4] = ["application", "for", "alone", "require"];

    /// Makes the rules for a key of this application. Without further rules, its touch confirms no
    /// signature.
    pub fn new(application: KeyApplication) -> Self {
        let (joins, alone, verified) = (Vec::new(), false, false);
        SecurityKeyRules { application: Some(application), joins, alone, verified }
    }

    /// Permits the touch to confirm signatures of the key with this name or key id.
    #[must_use]
    pub fn touching_for(mut self, signer: impl Into<String>) -> Self {
        match self.joins.first_mut() {
            Some(list) => list.push(signer.into()),
            None => self.joins.push(vec![signer.into()]),
        }
        self
    }

    /// Lets the key sign requests alone, without a signature of another key.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Demands that the key verifies its user, by a PIN or a fingerprint.
    #[must_use]
    pub fn demanding_verification(mut self) -> Self {
        self.verified = true;
        self
    }

    /// Reads the member of `ours`, the member `mcpid` of a JWK. Without `for`, the touch may
    /// confirm the signatures of the keys that have the same `name`.
    ///
    /// # Errors
    /// An unknown member, a wrong type, no application, or another value of `require`.
    pub(super) fn of(ours: &StrictObject, name: Option<&str>) -> Result<Option<Self>, String> {
        let Some(json) = ours.get(MEMBER) else { return Ok(None) };
        let Some(members) = json.as_object() else {
            return Err(format!("{MEMBER:?} is {}, not an object", json.kind()));
        };
        if let Some((name, _)) = members.iter().find(|(name, _)| !Self::NAMES.contains(name)) {
            return Err(format!("the member {name:?} of {MEMBER:?} is not known"));
        }
        let wrong = |why: String| format!("{MEMBER:?}: {why}");
        let Some(application) = members.string("application").map_err(wrong)? else {
            return Err(wrong("\"application\" is missing, such as \"ssh:mcpid\"".to_owned()));
        };
        let application = KeyApplication::parse(application)
            .map_err(|error| wrong(format!("{application:?}: {error}")))?;
        let listed = members.strings("for").map_err(wrong)?;
        // An entry without `for` and without a name permits no signer. A list in another file
        // cannot change that, because a signer has to be in every list.
        let joins = listed.or_else(|| name.map(|name| vec![name.to_owned()])).unwrap_or_default();
        let verified = match members.get("require") {
            None => false,
            Some(json) if json.as_str() == Some(VERIFIED) => true,
            Some(StrictJson::String(other)) => {
                let other = other.as_str();
                return Err(wrong(format!("\"require\" is {other:?}, not {VERIFIED:?}")));
            }
            Some(other) => {
                return Err(wrong(format!("\"require\" is {}, not {VERIFIED:?}", other.kind())));
            }
        };
        Ok(Some(SecurityKeyRules {
            application: Some(application),
            joins: vec![joins],
            alone: members.flag("alone").map_err(wrong)?,
            verified,
        }))
    }

    /// Returns these rules for an audit log: a touch of a security key may confirm the signatures
    /// of exactly the `signers` whose signatures it confirmed. The trust files may state this by
    /// names or key ids, in several lists.
    #[cfg(feature = "audit")]
    pub(crate) fn recorded(&self, signers: Vec<String>) -> Self {
        SecurityKeyRules { joins: vec![signers], ..self.clone() }
    }

    /// Adds the rules of another entry of the same key.
    pub(super) fn tighten(&mut self, other: SecurityKeyRules) {
        if self.application != other.application {
            self.application = None;
        }
        self.joins.extend(other.joins);
        self.alone &= other.alone;
        self.verified |= other.verified;
    }

    /// Returns the application of the security key, such as `ssh:mcpid`. `None` if two entries name
    /// different applications: then no signature of the key is valid.
    pub fn application(&self) -> Option<&KeyApplication> {
        self.application.as_ref()
    }

    /// Returns true if the key may sign requests without a signature of another key.
    pub fn may_sign_alone(&self) -> bool {
        self.alone
    }

    /// Returns true if a signature counts only if the key verified its user.
    pub fn demands_verification(&self) -> bool {
        self.verified
    }

    /// Returns the names and key ids of the keys whose signatures the touch may confirm: those that
    /// are in the lists of all trust files with this key.
    pub fn signers(&self) -> Vec<&str> {
        let Some((first, others)) = self.joins.split_first() else { return Vec::new() };
        let in_all = |text: &&String| others.iter().all(|list| list.contains(text));
        first.iter().filter(in_all).map(String::as_str).collect()
    }

    /// Returns true if there is at least one list of signers, and each list has an item for which
    /// `is_meant` returns true.
    pub(super) fn name_all(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        let in_list = |list: &Vec<String>| list.iter().any(|text| is_meant(text));
        !self.joins.is_empty() && self.joins.iter().all(in_list)
    }

    pub(super) fn is_for_logins(&self) -> bool {
        self.application.as_ref().is_some_and(KeyApplication::is_for_logins)
    }

    /// Verifies a signature of the security key `key` over `message`, its presence flag, and what
    /// the rules demand.
    ///
    /// # Errors
    /// The reason as a fragment for a message.
    pub(crate) fn verify(
        &self,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8; PRESENCE_SIGNATURE_BYTES],
    ) -> Result<PresenceProof, PresenceFault> {
        let application = self.application.as_ref().ok_or(PresenceFault::Applications)?;
        let proof = application.verify_presence(key, message, signature)?;
        match self.verified && !proof.verified {
            true => Err(PresenceFault::NotVerified),
            false => Ok(proof),
        }
    }
}

/// Why a signature of a trusted security key does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PresenceFault {
    #[error(transparent)]
    Presence(#[from] PresenceError),
    #[error("the trust files name two applications for this security key")]
    Applications,
    #[error(
        "the security key did not verify the person (by PIN or fingerprint), which its trust entry demands"
    )]
    NotVerified,
}

impl Serialize for SecurityKeyRules {
    /// Writes the member `security_key` as a trust file has it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        if let Some(application) = &self.application {
            members.serialize_entry("application", application.as_str())?;
        }
        // An empty list is written too: without any list, signers with the name of this entry would
        // be permitted.
        members.serialize_entry("for", &self.signers())?;
        if self.alone {
            members.serialize_entry("alone", &true)?;
        }
        if self.verified {
            members.serialize_entry("require", VERIFIED)?;
        }
        members.end()
    }
}
