//! `mcpid gateway`: the proxy itself, and what looks at its log.

use clap::Args;

use super::gating::GatingArgs;

/// Verify requests before they reach an MCP server
///
/// Stands before a server that knows nothing of signatures: verifies each request, refuses what
/// nobody authorised (strict) or only labels it (permissive), and passes the rest on with Mcpid-
/// Status, Mcpid-Key-Id and Mcpid-Name, which the server can rely on as long as nobody else reaches
/// it.
///
/// Trust files and certificates are read again when they change, and on SIGHUP. SIGTERM lets the
/// requests in flight end. One JSON line a request goes to stdout, or to --log.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid gateway --upstream http://127.0.0.1:8000/mcp --origin http://127.0.0.1:8080
  mcpid gateway --upstream http://127.0.0.1:8000/mcp --origin https://mcp.example.com \\
      --mode permissive --strict 'tools/call:delete_*' --log gateway.log
  mcpid gateway --config gateway.toml --check-config

Configuration file:
  The names are those of the flags, without the dashes in front; a flag that may be repeated takes a
  list. Flags on the command line win.

    upstream = \"http://127.0.0.1:8000/mcp\"
    origin = [\"https://mcp.example.com\"]
    mode = \"permissive\"
    strict = [\"tools/call:delete_*\", \"destructive\"]")]
pub(crate) struct GatewayArgs {
    #[command(flatten)]
    pub(crate) gating: GatingArgs,
}
