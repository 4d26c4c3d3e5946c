//! Finds and opens the signing keys, keyfiles and trust files that a command needs.

pub(crate) mod agent_failure;
pub(crate) mod keyfile;
pub(crate) mod program_failure;
pub(crate) mod public_key;
pub(crate) mod request_key;
pub(crate) mod signing_key;
pub(crate) mod touch_key;
pub(crate) mod trust_file;

/// Returns the arguments that name a key: `option`, which is empty if the command has none for this
/// key, and `reference`.
fn naming(option: &str, reference: &str) -> String {
    format!("{option} {reference}").trim_start().to_owned()
}
