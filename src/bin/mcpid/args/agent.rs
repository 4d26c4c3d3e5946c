//! The flags of `mcpid agent`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PassphraseArgs;
use super::values::lifetime;

/// Keep a key in a running ssh-agent
///
/// With -k ssh-agent:ID, mcpid never sees the private key: the agent signs, and does not ask for
/// the passphrase again. ID is a fingerprint as ssh-add -l prints it, a key id, or a comment. If
/// nothing follows the colon, the agent's only Ed25519 key is used, or its only P-256 key if it has
/// none of Ed25519.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid agent add
  mcpid agent add --lifetime 8h --ask
  mcpid sign -k ssh-agent: --url https://mcp.example.com/mcp body.json")]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    pub(crate) act: AgentAct,
}

/// What can be done with an agent.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentAct {
    Add(AgentAddArgs),
}

/// Put a keyfile's key into the ssh-agent
///
/// Asks for the passphrase, and prints the key's id. If the agent has the key already, it gets the
/// new constraints. ssh-add -d and ssh-add -D take keys out again.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid agent add
  mcpid agent add -k agent.json --lifetime 8h
  mcpid agent add --ask")]
pub(crate) struct AgentAddArgs {
    /// The keyfile [env: MCPID_KEY]
    #[arg(short, long, value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    /// Have the agent forget the key after this time
    #[arg(long, value_name = "D", value_parser = lifetime, allow_hyphen_values = true)]
    pub(crate) lifetime: Option<u32>,
    /// Have the agent ask a person before each signature, by its askpass program
    #[arg(long)]
    pub(crate) ask: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}
