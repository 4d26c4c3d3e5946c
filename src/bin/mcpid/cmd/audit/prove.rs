//! `mcpid audit prove`: writes the evidence of one entry.

use std::io::Write as _;

use mcpid::audit::proof::{self, ProofError};

use super::archive;
use crate::args::{AuditProveArgs, ProofFormat};
use crate::cmd::audit::open::{self, log_failure};
use crate::input::files::{self, NamedPath};
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::{Ui, path_word};

/// Writes the evidence of one entry.
pub(crate) fn prove(args: &AuditProveArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (folder, place) = open::folder(&args.log)?;
    let folder = archive::with_archives(folder, &place, &args.archives.archive)?;
    if let Some(output) = &args.output {
        files::check_free(output)?;
    }
    let checkpoint = args.checkpoint.as_deref().map(open::checkpoint).transpose()?;
    let format = args.format.unwrap_or_default();
    let text = match format {
        ProofFormat::Evidence => proof::prove(&folder, args.n, checkpoint.as_deref()),
        ProofFormat::TlogProof => proof::tlog_proof(&folder, args.n, checkpoint.as_deref()),
    };
    let text = text.map_err(|e| proof_failure(&e, &place))?;
    match &args.output {
        Some(path) => {
            let written = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(path)
                .and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|e| Failure::write(path, &e))?;
            let file = path_word(path);
            if format == ProofFormat::TlogProof {
                return Ok(Exit::Ok);
            }
            ui.hint(&format!("mcpid audit check --log-key log-key.pub -r trust.json {file}"));
        }
        None if ui.json() && format == ProofFormat::TlogProof => {
            ui.json_line(&serde_json::json!({ "version": 1, "tlog_proof": text }))?;
        }
        None if ui.json() => {
            // In its compact form, the evidence is on one line.
            let value: Box<serde_json::value::RawValue> = serde_json::from_str(&text)
                .map_err(|e| Failure::new(Exit::Bug, "bug", format!("the evidence: {e}")))?;
            let value: serde_json::Value = serde_json::from_str(value.get())
                .map_err(|e| Failure::new(Exit::Bug, "bug", format!("the evidence: {e}")))?;
            ui.json_line(&value)?;
        }
        None => ui.data(text.as_bytes())?,
    }
    Ok(Exit::Ok)
}

/// Returns the failure if no evidence can be made.
pub(crate) fn proof_failure(error: &ProofError, place: &NamedPath) -> Failure {
    let line = chain(error);
    match error {
        ProofError::Log(error) => log_failure(error, place),
        ProofError::NoEntry(_) => Failure::new(Exit::Input, "no_entry", line)
            .hint(format!("mcpid audit show{}", place.as_flag("--audit"))),
        ProofError::NoCheckpoint { .. } => Failure::new(Exit::Input, "no_checkpoint", line)
            .hint("a running log makes one within a minute; one that ends makes its last one"),
        ProofError::NoRequest(_) => Failure::new(Exit::Input, "no_request", line),
        ProofError::Erased { .. } => Failure::new(Exit::Input, "erased", line),
        ProofError::Removed(_) => Failure::new(Exit::Rejected, "removed", line)
            .hint(format!("mcpid audit verify{} --log-key log-key.pub", place.as_flag("--audit"))),
        ProofError::Damaged(_) => Failure::new(Exit::Rejected, "damaged", line)
            .hint(format!("mcpid audit verify{} --log-key log-key.pub", place.as_flag("--audit"))),
        ProofError::Checkpoint(_) => Failure::new(Exit::Rejected, "checkpoint", line),
        _ => Failure::new(Exit::Input, "not_evidence", line),
    }
}
