//! The flags of `mcpid connect`, the bridge between a client and a server.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::{Ttl, duration, size, ttl};
use super::{AuditArgs, PassphraseArgs, ProfileName, SigningKeyArgs};

/// Clients whose configuration can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientName {
    /// Claude Desktop and Claude Code
    Claude,
    /// Cursor
    Cursor,
    /// Visual Studio Code
    Vscode,
    /// Any other: command and arguments
    Generic,
}

/// By which way a person is asked for consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfirmVia {
    /// The terminal
    Terminal,
    /// The program that `MCPID_ASKPASS` or `SSH_ASKPASS` names
    Askpass,
    /// The client, by an elicitation; the client could answer in place of its user
    Client,
}

/// Let an unmodified MCP client sign
///
/// Speaks MCP to the client and signed Streamable HTTP to the server at URL. A client that starts
/// this command as its server speaks on stdin and stdout, where only MCP messages are ever written.
/// With --listen, the command is a signing proxy for clients that speak HTTP, at the URL that it
/// prints. Every attempt gets its own signature. Access tokens are passed on (-H), not obtained.
///
/// In a header's value, ${NAME} stands for an environment variable. Connections go through the HTTP
/// proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names, except to the hosts in NO_PROXY and to
/// this machine.
///
/// --check sends a signed server/discover or initialize, which changes nothing. If the server
/// accepts it, --check sends server/discover or ping without a signature, to see whether the server
/// insists on signatures. It exits with 0 if the server accepts, 1 if it refuses, 5 if it cannot be
/// reached.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid connect https://mcp.example.com/mcp
  mcpid connect --check https://mcp.example.com/mcp
  mcpid connect --print-config claude https://mcp.example.com/mcp
  mcpid connect --confirm 'tools/call:delete_*' https://mcp.example.com/mcp
  mcpid connect --touch 'tools/call:delete_*' --touch-key ssh-agent:me https://mcp.example.com/mcp
  mcpid connect -H 'Authorization: Bearer ${TOKEN}' https://mcp.example.com/mcp
  mcpid connect --listen 127.0.0.1:4000 https://mcp.example.com/mcp")]
pub(crate) struct ConnectArgs {
    /// The server's MCP endpoint
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) signing_key: SigningKeyArgs,
    /// The rules to sign by
    #[arg(long, value_name = "P", default_value = mcpid::profile::Profile::DEFAULT)]
    pub(crate) profile: ProfileName,
    /// The stable client id to send as tag, in place of the key id
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// After how long a signature expires, or none; 30s under the profile mcp
    #[arg(long, value_name = "30s|none", value_parser = ttl, allow_hyphen_values = true)]
    pub(crate) ttl: Option<Ttl>,
    /// A header to send with every request: 'Name: value', or @FILE with one header on each line
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE|@FILE")]
    pub(crate) header: Vec<String>,
    /// The largest message that is signed, in bytes or as 4MiB [default: 4MiB]
    #[arg(long, value_name = "N", value_parser = size)]
    pub(crate) max_body: Option<u64>,
    /// How long the server may be silent before a request is given up [default: 15m]
    #[arg(long, value_name = "15m", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) timeout: Option<u32>,
    /// A PEM file of the authorities to trust for TLS, in place of those of this machine
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Write the log into this file instead of to stderr
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
    /// Print the configuration that makes a client start this command, and exit
    #[arg(long, value_name = "CLIENT", conflicts_with = "listen")]
    pub(crate) print_config: Option<ClientName>,
    /// Try the server once, report what a client would meet there, and exit
    #[arg(long, conflicts_with_all = ["listen", "print_config"])]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,

    /// Serve HTTP to the client: 127.0.0.1:PORT, port 0 for a free one, or unix:PATH
    #[arg(long, value_name = "ADDR|unix:PATH", help_heading = "As an HTTP server")]
    pub(crate) listen: Option<String>,
    /// Accept requests from web pages of this origin, if they know the URL
    #[arg(long, value_name = "ORIGIN", requires = "listen", help_heading = "As an HTTP server")]
    pub(crate) allow_origin: Vec<String>,
    /// Allow an address to listen on that other machines can reach
    #[arg(long, requires = "listen", help_heading = "As an HTTP server")]
    pub(crate) allow_remote: bool,

    /// Ask a person before signing a request that this pattern matches, or a call of a destructive
    /// tool
    #[arg(long, value_name = "P|destructive", help_heading = "Consent")]
    pub(crate) confirm: Vec<String>,
    /// How a person is asked [default: MCPID_ASKPASS, else the terminal if no other program uses
    /// it, else SSH_ASKPASS]
    #[arg(long, value_name = "WAY", requires = "confirm", help_heading = "Consent")]
    pub(crate) confirm_via: Option<ConfirmVia>,
    /// How long the person has to answer; no answer counts as no [default: 60s]
    #[arg(
        long,
        value_name = "60s",
        value_parser = duration,
        allow_hyphen_values = true,
        requires = "confirm",
        help_heading = "Consent"
    )]
    pub(crate) confirm_timeout: Option<u32>,
    /// Ask a person to touch a security key for a request that this pattern matches, or for a call of
    /// a destructive tool; what is to be touched is shown, after consent, and each attempt to send
    /// needs a touch of its own
    #[arg(
        long,
        value_name = "P|destructive",
        requires = "touch_key",
        help_heading = "Touch of a security key"
    )]
    pub(crate) touch: Vec<String>,
    /// The security key that is touched: ssh-agent:ID of a key that ssh-keygen -t ed25519-sk made
    #[arg(long, value_name = "KEY", requires = "touch", help_heading = "Touch of a security key")]
    pub(crate) touch_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) audit: AuditArgs,
}
