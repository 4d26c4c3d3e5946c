//! Finds the security key that a flag names, in the user's ssh-agent.

use std::env;
use std::path::Path;

use mcpid::key::agent::AgentSecurityKey;
use mcpid::key::source::{FindKeyError, SSH_AGENT};

use super::agent_failure::{SOCKET, choose_failure, no_agent};
use super::{naming, signing_key};
use crate::output::exit::Exit;
use crate::output::failure::Failure;

/// Finds the security key that `text` names, such as `ssh-agent:ID`. Hints write `option`, such as
/// `--touch`, before a key.
///
/// # Errors
/// The text names no ssh-agent, or the agent does not have exactly one such security key.
pub(crate) fn find(option: &str, text: &Path) -> Result<AgentSecurityKey, Failure> {
    let reference = signing_key::key_ref(text, option)?;
    let socket = env::var_os(SOCKET).filter(|socket| !socket.is_empty());
    reference.find_security_key(socket.as_deref().map(Path::new)).map_err(|error| match error {
        FindKeyError::NoAgent => no_agent(),
        FindKeyError::Agent(error) => choose_failure(error, &reference, option),
        FindKeyError::NoSecurityKey => Failure::usage(error.to_string())
            .hint(format!("the only security key of the ssh-agent: {}", naming(option, SSH_AGENT))),
        other => Failure::new(Exit::Key, "no_such_key", other.to_string()),
    })
}
