//! The flags of `mcpid gateway` and of `mcpid gateway report`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mcpid::clock::Timestamp;

use super::gateway_flags::GatewayFlags;
use super::values::moment;

/// Verify requests before they reach an MCP server
///
/// Stands before a server that knows nothing of signatures, and verifies each request. A request
/// without a valid signature is refused (strict) or only labelled (permissive). The others are
/// passed on with Mcpid-Status, Mcpid-Key-Id and Mcpid-Name. The server can rely on these headers
/// as long as it can be reached only through the gateway.
///
/// Trust files, certificates and the witness policy are read again when they change, and on SIGHUP.
/// SIGTERM lets the requests in flight end. One JSON line for each request goes to stdout, or to
/// --log.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = "\
Examples:
  mcpid gateway --upstream http://127.0.0.1:8000/mcp --origin http://127.0.0.1:8080
  mcpid gateway --upstream unix:server.sock --origin https://mcp.example.com --mode permissive
  mcpid gateway --config gateway.toml --check-config

Configuration file:
  The names are those of the flags, without the dashes in front; a flag that may be repeated takes a
  list. Flags on the command line win.

    upstream = \"http://127.0.0.1:8000/mcp\"
    origin = [\"https://mcp.example.com\"]
    mode = \"permissive\"
    strict = [\"tools/call:delete_*\", \"destructive\"]"
)]
pub(crate) struct GatewayArgs {
    #[command(subcommand)]
    pub(crate) act: Option<GatewayAct>,
    #[command(flatten)]
    pub(crate) flags: GatewayFlags,
}

/// Subcommands on what a gateway leaves behind.
#[derive(Debug, Subcommand)]
pub(crate) enum GatewayAct {
    Report(GatewayReportArgs),
}

/// Report from a gateway's log what strict would refuse, and why
///
/// Read this report before you turn strict on. It says which clients sign and which do not, what
/// strict would have refused of each tool and for which reason, how that changed over time, and
/// what can be made strict now. Lines that no gateway wrote are skipped and counted.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid gateway report gateway.log
  mcpid gateway report --html report.html gateway.log*
  mcpid gateway report --since 2026-11-23 --json gateway.log
  journalctl -u mcpid-gateway -o cat | mcpid gateway report --html report.html")]
pub(crate) struct GatewayReportArgs {
    /// Log files, plain or compressed with gzip, in any order: they are read in the order of their
    /// times; - is stdin [default: stdin]
    #[arg(value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    /// Write one self-contained page to this file, or to stdout for -; only an older report is
    /// replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Only lines from this time on: RFC 3339, @UNIX, a date (its begin, UTC), or an age such as
    /// 24h
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    pub(crate) since: Option<Timestamp>,
    /// Only lines before this time, in the same forms
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    pub(crate) until: Option<Timestamp>,
}
