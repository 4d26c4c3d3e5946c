//! Turns the errors of an ssh-agent, and of choosing one of its keys, into messages with hints.

use mcpid::key::agent::{AgentError, AgentIdentity, ChooseError};
use mcpid::key::source::{KeyRef, SSH_AGENT};
use mcpid::key::{KeyKind, PublicKey};

use super::naming;
use super::program_failure::UNFIT_KEY;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};
use crate::output::ui::shell_word;

/// The variable that names the socket of the agent.
pub(super) const SOCKET: &str = "SSH_AUTH_SOCK";

/// Maximum number of an agent's keys that one message names. Further keys are only counted.
const MAX_KEYS_SHOWN: usize = 5;

pub(super) fn no_agent() -> Failure {
    let message = format!("there is no ssh-agent: {SOCKET} is not set");
    Failure::new(Exit::Key, "no_agent", message)
        .hint("to start one for this shell: eval \"$(ssh-agent)\"")
}

/// Returns the failure if `reference` does not name exactly one fitting key of the agent. Hints
/// write `option` before a key.
pub(super) fn choose_failure(error: ChooseError, reference: &KeyRef, option: &str) -> Failure {
    let called = match reference {
        KeyRef::Agent(wanted) if !wanted.is_empty() => format!(" called {}", shell_word(wanted)),
        _ => String::new(),
    };
    match error {
        ChooseError::Agent(error) => agent_failure(&error),
        ChooseError::Unknown { there } => {
            let there = list(&there, "there is", "there are");
            let message = format!("the ssh-agent has no Ed25519 or P-256 key{called}; {there}");
            Failure::new(Exit::Key, "no_such_key", message)
                .hint("to add one that mcpid keeps: mcpid agent add")
        }
        ChooseError::Several { which } => {
            let count = which.len();
            let there = list(&which, "it is", "they are");
            let first = which.first();
            let kind = match first.and_then(AgentIdentity::key).map(PublicKey::kind) {
                _ if first.is_some_and(|key| key.security_key().is_some()) => "security",
                Some(KeyKind::P256) => "P-256",
                _ => "Ed25519",
            };
            let message = format!("the ssh-agent has {count} {kind} keys{called}; {there}");
            let failure = Failure::new(Exit::Key, "several_keys", message);
            match which.first() {
                Some(first) => {
                    let one = naming(option, &format!("{SSH_AGENT}{}", first.fingerprint()));
                    failure.hint(format!("name one, such as: {one}"))
                }
                None => failure,
            }
        }
        ChooseError::Unfit(found) => {
            let message = format!("the key in the ssh-agent{called} is {}", found.kind());
            let failure = Failure::new(Exit::Key, UNFIT_KEY, message);
            let failure = match found.security_key() {
                Some(_) => failure.hint(format!(
                    "to sign with its touch: mcpid sign -k KEY --touch {SSH_AGENT}{}",
                    found.fingerprint()
                )),
                None => failure,
            };
            failure.hint("an Ed25519 key that mcpid keeps: mcpid agent add")
        }
        ChooseError::NoSecurityKey { there } => {
            let there = list(&there, "there is", "there are");
            let message = format!("the ssh-agent has no security key{called}; {there}");
            Failure::new(Exit::Key, "no_such_key", message)
                .hint("to make one: ssh-keygen -t ed25519-sk -O application=ssh:mcpid")
        }
        other => Failure::new(Exit::Key, "agent", other.to_string()),
    }
}

/// Lists the first few keys of an agent in one line.
fn list(keys: &[AgentIdentity], one: &str, many: &str) -> String {
    let named = keys.iter().take(MAX_KEYS_SHOWN).map(|identity| {
        let comment: String = match identity.comment() {
            "" => "no comment".to_owned(),
            comment => comment.chars().take(40).collect(),
        };
        let kind = match identity.key().map(PublicKey::kind) {
            Some(KeyKind::Ed25519) => "",
            Some(_) => ", P-256",
            None if identity.security_key().is_some() => ", a security key",
            None => ", of another type",
        };
        format!("{} ({comment}{kind})", identity.fingerprint())
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let more = match keys.len().saturating_sub(MAX_KEYS_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} {named}{more}", if keys.len() == 1 { one } else { many })
}

/// Returns the failure for an error of the agent.
pub(crate) fn agent_failure(error: &AgentError) -> Failure {
    let failure = |code, message| Failure::new(Exit::Key, code, message);
    match error {
        AgentError::Gone { source, .. } => {
            let (_, why) = reason(source);
            failure("no_agent", format!("{error}: {why}"))
                .hint("to start one for this shell: eval \"$(ssh-agent)\"")
        }
        AgentError::Broken(source) => {
            failure("agent_broken", format!("{error}: {}", reason(source).1))
        }
        AgentError::Empty => failure("agent_empty", error.to_string())
            .hint("if it is empty: mcpid agent add")
            .hint("if it is locked: ssh-add -X"),
        AgentError::Removed => {
            failure("agent_removed", error.to_string()).hint("to add it again: mcpid agent add")
        }
        AgentError::Declined => failure("agent_declined", error.to_string())
            .hint("a key that is to be confirmed needs an askpass program where the agent runs"),
        AgentError::NotTaken => {
            failure("agent_refused", error.to_string()).hint("if it is locked: ssh-add -X")
        }
        AgentError::TimedOut(_) => failure("agent_timeout", error.to_string()),
        AgentError::WrongSignature => failure("agent_lied", error.to_string()),
        AgentError::NotTouched(why) => failure("agent_lied", format!("{error}: {why}")),
        _ => failure("agent", error.to_string()),
    }
}
