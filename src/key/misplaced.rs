//! Finds misplaced and misspelt members of a trust file that were meant to restrict a key.
//!
//! RFC 7517 (sections 4 and 5) tells readers to ignore unknown members. So a reader would silently
//! ignore a revocation that is misspelt or one level too high, and the key would stay trusted.
//! Therefore the names of restrictions, and names one edit away from them, are detected at every
//! level.

use super::json::{StrictJson, StrictObject};

/// The member of a JWK that holds our settings.
pub(crate) const SETTINGS: &str = "mcpid";

/// The members of `mcpid` that restrict what a key may do.
const RESTRICTIONS: [&str; 5] = ["revoked_at", "not_after", "not_before", "allow", "security_key"];

/// Checks the members of a JWK, at every depth except inside its `mcpid`.
///
/// # Errors
/// The first member that would restrict the key if its name or place were right, as a fragment of a
/// sentence.
pub(crate) fn in_key(jwk: &StrictObject) -> Result<(), String> {
    jwk.iter().filter(|(name, _)| *name != SETTINGS).try_for_each(in_member)
}

/// Checks the members that stand beside the list `keys` in a key set, at every depth.
///
/// # Errors
/// The same as for [`in_key`]. A second list of keys is an error too, because readers of `keys`
/// would not see it.
pub(crate) fn beside_keys(set: &StrictObject) -> Result<(), String> {
    for (name, value) in set.iter().filter(|(name, _)| *name != "keys") {
        if name == SETTINGS {
            return Err(format!("{name:?} belongs into a key, not beside \"keys\""));
        }
        if matches!(value, StrictJson::Array(_) | StrictJson::Object(_)) && is_near(name, "keys") {
            return Err(format!("the member {name:?} beside \"keys\" would be ignored"));
        }
        in_member((name, value))?;
    }
    Ok(())
}

fn in_member((name, value): (&str, &StrictJson)) -> Result<(), String> {
    if name == SETTINGS {
        return Err(format!("{name:?} belongs directly into a key"));
    }
    if is_near(name, SETTINGS) {
        return Err(format!("the member {name:?} must be spelled {SETTINGS:?}"));
    }
    if let Some(meant) = RESTRICTIONS.into_iter().find(|meant| is_near(name, meant)) {
        let meant = if name == meant { String::new() } else { format!(", as {meant:?}") };
        return Err(format!("the member {name:?} belongs into {SETTINGS:?}{meant}"));
    }
    match value {
        // `revoked` is a registered member (OpenID Federation 1.0) that the parser for keys reads,
        // so it is not misplaced.
        StrictJson::Object(_) if name == "revoked" => Ok(()),
        StrictJson::Object(members) => members.iter().try_for_each(in_member),
        StrictJson::Array(items) => items.iter().try_for_each(|item| in_member(("", item))),
        _ => Ok(()),
    }
}

/// Returns true if `name` without letter case and punctuation equals `meant`, or is one edit away:
/// an insertion, a deletion, a substitution, or a swap of neighbours.
fn is_near(name: &str, meant: &str) -> bool {
    let letters = |text: &str| -> Vec<char> {
        text.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect()
    };
    let (name, meant) = (letters(name), letters(meant));
    let same = name.iter().zip(&meant).take_while(|(a, b)| a == b).count();
    let (Some(a), Some(b)) = (name.get(same..), meant.get(same..)) else { return false };
    match (a, b) {
        ([], [] | [_]) | ([_], []) => true,
        ([a0, a_rest @ ..], [b0, b_rest @ ..]) => {
            let swapped = matches!((a_rest, b_rest), ([a1, a2 @ ..], [b1, b2 @ ..])
                if (a0, a1) == (b1, b0) && a2 == b2);
            a_rest == b_rest || a_rest == b || a == b_rest || swapped
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_one_edit_is_near_and_one_with_two_is_not() {
        for near in [
            "mcpid",
            "MCPID",
            "mcp-id",
            "mcp_id",
            "mcpid ",
            " m.c.p.i.d",
            "\u{200b}mcpid",
            "mcipd",
            "cmpid",
            "mcpdi",
            "mcpi",
            "cpid",
            "mcid",
            "mcpids",
            "xmcpid",
            "mccpid",
            "mcqid",
            "ncpid",
            "mcpie",
            "MCP-Identity-".get(..6).unwrap_or_default(),
            "m\u{441}pid",
            "mcpid\u{301}",
        ] {
            assert!(is_near(near, "mcpid"), "{near:?}");
        }
        for far in
            ["mcp", "", "pid", "mcpidentity", "mpcdi", "mcpidxy", "kid", "id", "mid", "dipcm"]
        {
            assert!(!is_near(far, "mcpid"), "{far:?}");
        }
        // Test: no registered member of a JWK has a name that is one edit away from one of our
        // names.
        for member in [
            "kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256", "crv", "x",
            "y", "d", "n", "e", "p", "q", "dp", "dq", "qi", "oth", "k", "ext", "iat", "nbf", "exp",
            "revoked", "pub", "priv", "iss", "adcp_use", "issuer", "purpose", "key", "name",
        ] {
            assert!(!is_near(member, "mcpid"), "{member}");
            assert!(RESTRICTIONS.iter().all(|meant| !is_near(member, meant)), "{member}");
        }
    }
}
