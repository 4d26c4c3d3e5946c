//! Reads witness policies, and selects the quorum that an auditor demands.

use std::path::Path;

use mcpid::audit::note::NoteKey;
use mcpid::audit::witness::{MAX_POLICY, PolicyError, Quorum, WitnessPolicy};

use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::Failure;

/// Reads a policy from a file.
///
/// # Errors
/// The file cannot be read, or is not a policy. The failure names the file and the line.
pub(crate) fn read(path: &Path) -> Result<WitnessPolicy, Failure> {
    let limit = u64::try_from(MAX_POLICY).unwrap_or(u64::MAX);
    let bytes = files::open_quietly(Some(path))?.read(limit)?;
    WitnessPolicy::parse(&bytes).map_err(|e| policy_failure(path, &e))
}

/// Returns the failure for a policy that cannot be used.
pub(crate) fn policy_failure(path: &Path, error: &PolicyError) -> Failure {
    Failure::new(Exit::Usage, "policy", format!("{}: {error}", path.display()))
}

/// Reads a policy whose quorum an auditor demands. If `log_key` is missing and the policy lists
/// exactly one log, that log's key is pinned.
///
/// # Errors Those of [`read`]; or the policy is for another log, or demands no signature of a witness.
pub(crate) fn demanded(
    path: &Path,
    log_key: &mut Option<NoteKey>,
) -> Result<WitnessPolicy, Failure> {
    let policy = read(path)?;
    let wrong = |line, why: &str| policy_failure(path, &PolicyError { line, why: why.to_owned() });
    if *policy.quorum() == Quorum::None {
        let why = "a quorum of none demands nothing, so that nothing would be anchored by it";
        return Err(wrong(policy.quorum_line(), why));
    }
    match (&*log_key, policy.logs()) {
        (Some(key), _) if !policy.is_for(key) => {
            return Err(wrong(1, "no log line has the key of --log-key"));
        }
        (None, [only]) => *log_key = Some(only.clone()),
        _ => {}
    }
    Ok(policy)
}
