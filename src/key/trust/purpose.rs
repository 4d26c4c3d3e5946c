//! The purpose that the JWK of a key states, such as signing requests, for profiles that demand
//! one.

use crate::key::json::{StrictJson, StrictObject};

/// The statements of a JWK about the use of its key: `use` and `key_ops` (RFC 7517 sections 4.2 and
/// 4.3), and `adcp_use` (AdCP, "Agent key publication").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StatedPurpose {
    for_signatures: bool,
    for_verifying: bool,
    adcp_use: Option<String>,
}

impl StatedPurpose {
    pub(super) fn of(jwk: &StrictObject) -> Self {
        let text = |name| jwk.get(name).and_then(StrictJson::as_str);
        let operations = jwk.get("key_ops").and_then(StrictJson::as_array);
        let is_verify = |operation: &StrictJson| operation.as_str() == Some("verify");
        StatedPurpose {
            for_signatures: text("use") == Some("sig"),
            for_verifying: operations.is_some_and(|list| list.iter().any(is_verify)),
            adcp_use: text("adcp_use").map(str::to_owned),
        }
    }

    /// Combines the statements of two entries of the same key. A statement counts only if both
    /// entries have it.
    pub(super) fn tighten(&mut self, other: &StatedPurpose) {
        self.for_signatures &= other.for_signatures;
        self.for_verifying &= other.for_verifying;
        if self.adcp_use != other.adcp_use {
            self.adcp_use = None;
        }
    }

    /// Returns which statements are missing if the key is to be used for `purpose` (a value of
    /// `adcp_use`), as a fragment of a sentence.
    pub(super) fn lacks(&self, purpose: &str) -> Option<String> {
        if !self.for_signatures {
            Some("its \"use\" is not \"sig\"".to_owned())
        } else if !self.for_verifying {
            Some("its \"key_ops\" does not hold \"verify\"".to_owned())
        } else if self.adcp_use.as_deref() != Some(purpose) {
            Some(format!("its \"adcp_use\" is not {purpose:?}"))
        } else {
            None
        }
    }
}
