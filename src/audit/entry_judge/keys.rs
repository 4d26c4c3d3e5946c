//! The keys of an entry, one for each of its signatures.

use super::facts;
use crate::key::trust::{Registry, TrustFile};
use crate::verify::rejection::chain;

/// Returns the keys that an entry names, with their thumbprints, in the order of the signatures.
pub(super) fn of<'k>(
    jwks: impl Iterator<Item = &'k str> + Clone,
) -> Result<(Registry, Vec<String>), String> {
    let ids = jwks.clone().map(thumbprint).collect::<Result<Vec<_>, _>>()?;
    // Two signatures can have the same key, but a trust file lists each key once.
    let mut keys: Vec<&str> = Vec::new();
    for jwk in jwks {
        if !keys.contains(&jwk) {
            keys.push(jwk);
        }
    }
    Ok((read(&keys)?, ids))
}

/// Returns the RFC 7638 thumbprint of a key.
pub(super) fn thumbprint(jwk: &str) -> Result<String, String> {
    facts::kid(jwk)?;
    let registry = read(&[jwk])?;
    let entry = registry.iter().next().ok_or("a key is not one that a trust file takes")?;
    Ok(entry.key().id().to_string())
}

fn read(jwks: &[&str]) -> Result<Registry, String> {
    let keys = format!("{{\"keys\":[{}]}}", jwks.join(","));
    let file = TrustFile::parse(keys.as_bytes());
    let file = file.map_err(|e| format!("its keys cannot be read: {}", chain(&e)))?;
    Ok(Registry::merge([file]))
}
