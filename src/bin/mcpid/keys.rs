//! Finds and opens the signing keys, keyfiles and trust files that a command needs.

pub(crate) mod agent_failure;
pub(crate) mod keyfile;
pub(crate) mod program_failure;
pub(crate) mod public_key;
pub(crate) mod request_key;
pub(crate) mod signing_key;
pub(crate) mod touch_key;
pub(crate) mod trust_file;
