//! The flags of `mcpid authz`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mcpid::gateway::AuthzDialect;
use mcpid::net::ListenAddress;

use super::FrontFlags;

/// How a proxy describes requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectName {
    /// Envoy's ext_authz over HTTP, and products that are built on Envoy
    #[default]
    Envoy,
    /// Traefik's ForwardAuth with forwardBody
    Traefik,
}

impl DialectName {
    /// Returns the dialect of this name.
    pub(crate) fn dialect(self) -> AuthzDialect {
        match self {
            DialectName::Envoy => AuthzDialect::Envoy,
            DialectName::Traefik => AuthzDialect::Traefik,
        }
    }
}

/// Tell a proxy whether to pass a request on
///
/// Serves an existing proxy that asks about each request (external authorization): Envoy with
/// ext_authz over HTTP, Traefik with ForwardAuth. A request that gets through is answered with 200
/// and all Mcpid-* fields, which the proxy has to put in place of those of the client. Every other
/// request is answered with the refusal that `mcpid gateway` would give.
///
/// The proxy must show all fields and the whole body, and must not pass a request on if it got no
/// answer: contrib/envoy/envoy.yaml is such a configuration. Sessions are not bound to keys,
/// because answers of the server are not seen.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid authz --listen 127.0.0.1:9001 --origin https://mcp.example.com
  mcpid authz --listen 127.0.0.1:9001 --origin https://mcp.example.com --dialect traefik
  mcpid authz --config authz.toml --check-config

Configuration file:
  The names are those of the flags, without the dashes in front; a flag that may be repeated takes a
  list. Flags on the command line win.

    listen = \"127.0.0.1:9001\"
    origin = [\"https://mcp.example.com\"]
    mode = \"permissive\"")]
pub(crate) struct AuthzArgs {
    /// The address to listen on: a loopback address, or a Unix socket
    #[arg(long, value_name = "ADDR|unix:PATH")]
    pub(crate) listen: Option<ListenAddress>,
    /// Allow a --listen address that other machines can reach, although an attacker between the
    /// proxy and this address can let any request through
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// How the proxy describes requests
    #[arg(long, value_name = "DIALECT", default_value = "envoy")]
    pub(crate) dialect: DialectName,
    /// The text that Envoy puts before the path of each request (path_prefix of its http_service)
    #[arg(long, value_name = "TEXT")]
    pub(crate) path_prefix: Option<String>,
    #[command(flatten)]
    pub(crate) front: FrontFlags,

    /// The server's answer to tools/list, as JSON, for --strict destructive and
    /// --touch destructive; read at the start
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    pub(crate) tools: Option<PathBuf>,

    /// The path of the endpoint [default: /mcp]
    #[arg(long, value_name = "PATH", help_heading = "Paths and pages")]
    pub(crate) path: Option<String>,
    /// A web origin beside --origin whose pages may send requests; answers to browsers (CORS) are
    /// those of the proxy; may be repeated
    #[arg(long, value_name = "ORIGIN", help_heading = "Paths and pages")]
    pub(crate) allow_origin: Vec<String>,
}
