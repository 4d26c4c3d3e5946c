//! The keys of an entry, one for each of its signatures.

use super::facts;
use crate::key::trust::{Registry, TrustFile};
use crate::message::error_chain::chain;

/// Returns the keys that an entry names, with their thumbprints, in the order of the signatures.
/// An entry can name the same key twice, with different limits of trust, if one signature names it by
/// its thumbprint and another one by a `kid`. The strictest of these limits then apply.
pub(super) fn of<'k>(
    jwks: impl Iterator<Item = &'k str> + Clone,
) -> Result<(Registry, Vec<String>), String> {
    let ids = jwks.clone().map(thumbprint).collect::<Result<Vec<_>, _>>()?;
    let mut keys: Vec<&str> = Vec::new();
    for jwk in jwks {
        if !keys.contains(&jwk) {
            keys.push(jwk);
        }
    }
    let files = keys.into_iter().map(file).collect::<Result<Vec<_>, _>>()?;
    Ok((Registry::merge(files), ids))
}

/// Returns the RFC 7638 thumbprint of a key.
pub(super) fn thumbprint(jwk: &str) -> Result<String, String> {
    facts::kid(jwk)?;
    let file = file(jwk)?;
    let entry = file.entries().first().ok_or("a key is not one that a trust file takes")?;
    Ok(entry.key().id().to_string())
}

/// Reads a key as a trust file with one entry.
fn file(jwk: &str) -> Result<TrustFile, String> {
    let file = TrustFile::parse(format!("{{\"keys\":[{jwk}]}}").as_bytes());
    file.map_err(|e| format!("its keys cannot be read: {}", chain(&e)))
}
