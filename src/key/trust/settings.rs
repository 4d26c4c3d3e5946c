//! The member `mcpid` of a key in a trust file.

use std::collections::HashSet;

use super::TrustEntry;
use super::limits::TrustLimits;
use super::purpose::StatedPurpose;
use super::touch_rules::{self, SecurityKeyRules};
use crate::clock::Timestamp;
use crate::key::json::StrictObject;
use crate::key::misplaced::SETTINGS;
use crate::key::{PublicKey, format::jwk};
use crate::mcp::pattern::Pattern;

/// The settings of one key, as its member `mcpid` states them.
#[derive(Default)]
pub(super) struct TrustSettings {
    name: Option<String>,
    client_ids: Vec<String>,
    pub(super) limits: TrustLimits,
}

impl TrustSettings {
    const NAMES: [&'static str; 7] = [
        "name",
        "client_ids",
        "not_before",
        "not_after",
        "revoked_at",
        "allow",
        touch_rules::MEMBER,
    ];

    /// Reads the member `mcpid` of a JWK. Returns empty settings if it is absent.
    ///
    /// # Errors
    /// An unknown member (with a typo in `revoked_at`, the key would stay trusted), a wrong type, a
    /// time that is not RFC 3339, an invalid pattern, an end that is not after the start, or an
    /// invalid `security_key`.
    pub(super) fn of(jwk: &StrictObject) -> Result<Self, String> {
        let Some(json) = jwk.get(SETTINGS) else { return Ok(TrustSettings::default()) };
        let Some(ours) = json.as_object() else {
            return Err(format!("\"mcpid\" is {}, not an object", json.kind()));
        };
        if let Some((name, _)) = ours.iter().find(|(name, _)| !Self::NAMES.contains(name)) {
            return Err(format!("the member {name:?} of \"mcpid\" is not known"));
        }
        let allow = ours.strings("allow")?.map(|list| {
            let parse = |text: &String| {
                Pattern::read(text).map_err(|e| format!("\"allow\" holds {text:?}: {e}"))
            };
            list.iter().map(parse).collect::<Result<_, _>>()
        });
        let name = ours.string("name")?;
        let limits = TrustLimits {
            not_before: time(ours, "not_before")?,
            not_after: time(ours, "not_after")?,
            revoked_at: time(ours, "revoked_at")?,
            allow: allow.transpose()?.into_iter().collect(),
            security_key: SecurityKeyRules::of(ours, name)?,
        };
        if let Some((start, end)) = limits.never_valid() {
            return Err(format!("\"not_after\" {end} is not later than \"not_before\" {start}"));
        }
        Ok(TrustSettings {
            name: name.map(str::to_owned),
            client_ids: ours.strings("client_ids")?.unwrap_or_default(),
            limits,
        })
    }

    /// Adds the validity that the JWK members `exp`, `nbf` and `revoked` state. If one of them is
    /// unreadable, the key counts as expired, and the first such member is returned.
    pub(super) fn narrow(&mut self, jwk: &StrictObject) -> Option<String> {
        let jwk::Validity { not_before, not_after, revoked_at, unreadable } =
            jwk::Validity::of(jwk);
        self.limits.tighten(TrustLimits {
            not_before,
            not_after,
            revoked_at,
            ..TrustLimits::default()
        });
        unreadable
    }

    pub(super) fn into_entry(
        mut self,
        key: PublicKey,
        kid: Option<String>,
        purpose: StatedPurpose,
    ) -> TrustEntry {
        let mut seen = HashSet::new();
        self.client_ids.retain(|id| seen.insert(id.clone()));
        TrustEntry {
            key,
            name: self.name,
            kids: kid.into_iter().collect(),
            client_ids: self.client_ids,
            purpose,
            limits: self.limits,
        }
    }
}

fn time(object: &StrictObject, name: &str) -> Result<Option<Timestamp>, String> {
    let parse = |text| Timestamp::parse_rfc3339(text).map_err(|e| format!("{name:?} is {e}"));
    object.string(name)?.map(parse).transpose()
}
