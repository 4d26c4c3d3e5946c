//! Finds a key by its reference, with the variables of the environment that the command line reads.

use mcpid::key::PublicKey;
use mcpid::key::source::{FindKeyError, FindOptions, FoundKey, KeyRef};

/// Finds a key, wherever it is. `public_key` pins the public half, which a program is not asked for.
pub(crate) fn find(
    reference: &KeyRef,
    public_key: Option<&PublicKey>,
) -> Result<FoundKey, FindKeyError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let mut options = FindOptions::default();
    if let Some(socket) = set("SSH_AUTH_SOCK") {
        options = options.with_agent(socket);
    }
    if let Some(module) = set("MCPID_PKCS11_MODULE") {
        options = options.with_pkcs11_module(module);
    }
    if let Some(key) = public_key {
        options = options.with_public_key(key.clone());
    }
    reference.find(&options)
}
