//! Parts that the page of one entry and the page of a whole log share.

use mcpid::audit::auditor::AuditorInputs;
use mcpid::audit::entry_judge::AuditorTrust;
use sha2::{Digest as _, Sha256};

use super::open;
use crate::args::AuditPins;
use crate::input::captures::hex;
use crate::output::page::parts::PageInput;

/// Returns what the auditor supplied: keys, checkpoints that were kept outside the log, and trust
/// files.
pub(super) fn pins(
    args: &AuditPins,
    auditor_inputs: &AuditorInputs,
    trust: &AuditorTrust,
) -> Vec<PageInput> {
    let log_key = auditor_inputs.log_key.iter();
    let mut inputs: Vec<_> = log_key
        .map(|key| PageInput::written("Key of the log, as given", &key.to_string()))
        .collect();
    for (path, bytes) in args.checkpoint.iter().zip(&auditor_inputs.kept) {
        let (name, hash) = (path.display().to_string(), hex(&Sha256::digest(bytes)));
        inputs.push(PageInput::file("Checkpoint, as kept", &name, Some(hash)));
    }
    if let Some(path) = &args.witness_policy {
        // The file is read again to hash it, because the parsed policy does not have its bytes.
        let hash = open::note(path).ok().map(|bytes| hex(&Sha256::digest(&bytes)));
        inputs.push(PageInput::file("Witness policy", &path.display().to_string(), hash));
    }
    let witnesses = auditor_inputs.witnesses.iter();
    inputs.extend(witnesses.map(|key| PageInput::written("Key of a witness", &key.to_string())));
    let sources = trust.registry().map(|registry| registry.sources()).unwrap_or_default();
    inputs.extend(sources.iter().map(PageInput::trust));
    inputs
}

/// The sentence about what no log can show.
pub(super) const NEVER_WRITTEN: &str =
    "that nothing else was asked: no log shows what was never written; the signer's own log does";

/// Facts that are not protected by a client's signature.
pub(super) const KEEPERS_WORD: &str = "the verdict, the times of judging and appending, and that the nonce was new: they are the word \
     of the keeper of the log, and so is every refusal";

/// The sentence about what `--allow-clock` accepts.
pub(super) const CLOCK_ALLOWED: &str = "the log's clock stepped, or its time does not fit that of the request: allowed by --allow-clock";
