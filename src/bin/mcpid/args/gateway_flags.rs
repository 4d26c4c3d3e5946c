//! The settings of `mcpid gateway`, as flags or as a file with the same names.

use std::path::PathBuf;

use clap::Args;
use mcpid::gateway::Upstream;
use mcpid::net::ListenAddress;

use super::values::duration;
use super::{FrontFlags, PassphraseArgs};

/// The flags of `gateway`.
#[derive(Args, Debug)]
pub(crate) struct GatewayFlags {
    /// The MCP server: http://HOST[:PORT]/PATH, https://…, or unix:SOCKET
    #[arg(long, value_name = "URL", value_parser = upstream)]
    pub(crate) upstream: Option<Upstream>,
    /// The address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR|unix:PATH")]
    pub(crate) listen: Option<ListenAddress>,
    #[command(flatten)]
    pub(crate) front: FrontFlags,

    /// Where the tools are stored that the server has listed, for --strict destructive after a
    /// restart [default: a file of this user]
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    pub(crate) learned_tools: Option<PathBuf>,
    /// The key with which the gateway signs its own question for the list of tools, if the server
    /// verifies signatures too: a keyfile, ssh-agent:ID, 'exec:PROGRAM ARG...' or a pkcs11: URI
    #[arg(long, value_name = "KEY", help_heading = "Policy")]
    pub(crate) tools_key: Option<PathBuf>,
    /// The public key of --tools-key, which each signature must fit; needed for exec:
    #[arg(long, value_name = "FILE", requires = "tools_key", help_heading = "Policy")]
    pub(crate) tools_public_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,

    /// The path of the endpoint [default: that of the upstream]
    #[arg(long, value_name = "PATH", help_heading = "Paths and pages")]
    pub(crate) path: Option<String>,
    /// A web origin beside --origin whose pages may send requests; turns on answers to browsers
    /// (CORS); may be repeated
    #[arg(long, value_name = "ORIGIN", help_heading = "Paths and pages")]
    pub(crate) allow_origin: Vec<String>,
    /// Pass on Host and Origin as the client sent them
    #[arg(long, help_heading = "Paths and pages")]
    pub(crate) preserve_host: bool,

    /// A PEM file of the authorities to trust for an https upstream, in place of those of this
    /// machine
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(crate) upstream_ca: Option<PathBuf>,
    /// Allow a plain http upstream on another machine, although an attacker on the network can
    /// forge Mcpid-Status
    #[arg(long, help_heading = "TLS")]
    pub(crate) allow_remote_upstream: bool,

    /// How long connecting to the server may take [default: 5s]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Operation")]
    pub(crate) connect_timeout: Option<u32>,
    /// How long the server may take to begin its answer [default: 5m]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Operation")]
    pub(crate) answer_timeout: Option<u32>,
}

fn upstream(text: &str) -> Result<Upstream, String> {
    Upstream::parse(text).map_err(|error| mcpid::message::error_chain::chain(&error))
}
