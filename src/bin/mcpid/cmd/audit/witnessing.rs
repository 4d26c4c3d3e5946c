//! Connects to the witnesses that the flags name, and turns their errors into messages with hints.

use std::path::Path;
use std::sync::Arc;

use mcpid::audit::witness::{
    WitnessClient, WitnessError, WitnessNews, WitnessPolicy, WitnessService,
};
use mcpid::audit::{Folder, LogError, Recorder};
use mcpid::clock::{Clock, SystemClock};
use mcpid::net::tls;
use rustls::ClientConfig;

use super::open::log_failure;
use super::policy::{policy_failure, read};
use crate::args::AuditArgs;
use crate::cmd::connect::network;
use crate::input::files::{self, NamedPath};
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain, reason};

/// Reads the witness policy that the flags name, and checks that it applies to the log that the
/// flags name.
///
/// # Errors
/// The file is not a policy, the policy is for another log, or its quorum cannot be reached.
pub(crate) fn check(args: &AuditArgs) -> Result<Option<WitnessPolicy>, Failure> {
    let (Some(path), Some(log)) = (&args.witness_policy, &args.audit) else { return Ok(None) };
    let policy = read(path)?;
    let place = files::audit(Some(log))?;
    let key = Folder::at(&place.path).and_then(|folder| folder.public());
    let key = key.map_err(|e| log_failure(&e, &place))?;
    policy.check(&key).map_err(|e| policy_failure(path, &e))?;
    Ok(Some(policy))
}

/// Opens the file with what witnesses have signed, and prepares the requests to them.
///
/// # Errors
/// The log, the policy or the connection to a witness cannot be used.
pub(crate) fn client(
    folder: Folder,
    place: &NamedPath,
    path: &Path,
    clock: Arc<dyn Clock>,
) -> Result<WitnessClient, Failure> {
    let policy = Arc::new(read(path)?);
    let roots = roots(&policy)?;
    WitnessClient::open(folder, policy, clock, &roots, network::route)
        .map_err(|error| witness_failure(&error, place, path))
}

/// Returns the TLS settings for the witnesses of a policy.
fn roots(policy: &WitnessPolicy) -> Result<ClientConfig, Failure> {
    let roots = match policy.needs_tls() {
        true => tls::client(None),
        false => tls::client_without_roots(),
    };
    roots.map_err(|e| Failure::new(Exit::Input, "tls", chain(&e)))
}

/// Reads the policy again, and continues with it. Returns its quorum as text if the policy has
/// changed, else `None`.
///
/// # Errors
/// The file is not a policy that can be used for this log. The old policy then stays in use.
pub(crate) fn renew(
    args: &AuditArgs,
    service: &mut WitnessService,
) -> Result<Option<String>, Failure> {
    let (Some(path), Some(log)) = (&args.witness_policy, &args.audit) else { return Ok(None) };
    let policy = Arc::new(read(path)?);
    if *policy == *service.client().policy() {
        return Ok(None);
    }
    let (place, roots) = (files::audit(Some(log))?, roots(&policy)?);
    let described = policy.described();
    let client = service.client().with_policy(policy, &roots, network::route);
    let client = client.map_err(|error| witness_failure(&error, &place, path))?;
    let replaced = service.replace(client);
    replaced.map_err(|e| Failure::new(Exit::Unavailable, "thread", reason(&e).1))?;
    Ok(Some(described))
}

/// Returns the failure for witnesses that cannot be asked.
pub(crate) fn witness_failure(error: &WitnessError, place: &NamedPath, path: &Path) -> Failure {
    match error {
        WitnessError::Log(LogError::Locked(_)) => {
            let message = format!("another process asks the witnesses of {}", place.name());
            Failure::new(Exit::Unavailable, "locked", message)
        }
        WitnessError::Log(error) => log_failure(error, place),
        WitnessError::Policy(error) => policy_failure(path, error),
        WitnessError::Proxy(error) => Failure::usage(chain(error)),
        error => Failure::new(Exit::Rejected, "checkpoint", chain(error)),
    }
}

/// Starts the witness service for the log that is being written, if the flags name a policy.
///
/// # Errors
/// As [`client`].
pub(crate) fn start(
    args: &AuditArgs,
    recorder: Option<&Arc<Recorder>>,
    say: impl Fn(WitnessNews) + Send + Sync + 'static,
) -> Result<Option<WitnessService>, Failure> {
    let (Some(path), Some(log), Some(recorder)) = (&args.witness_policy, &args.audit, recorder)
    else {
        return Ok(None);
    };
    let place = files::audit(Some(log))?;
    let folder = Folder::at(&place.path).map_err(|e| log_failure(&e, &place))?;
    let client = client(folder, &place, path, Arc::new(SystemClock))?;
    let service = WitnessService::start(client, Arc::clone(recorder), say);
    service.map(Some).map_err(|e| Failure::new(Exit::Unavailable, "thread", reason(&e).1))
}
