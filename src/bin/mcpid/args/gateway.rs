//! `mcpid gateway`: the proxy itself, and what looks at its log.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mcpid::clock::Timestamp;

use super::gating::GatingArgs;
use super::values::moment;

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
    pub(crate) gating: GatingArgs,
}

/// What can be done with what a gateway leaves behind.
#[derive(Debug, Subcommand)]
pub(crate) enum GatewayAct {
    Report(GatewayReportArgs),
}

/// Say from a gateway's log whom strict would refuse, and why
///
/// To be read before strict is turned on: who signs and who does not, what strict would have refused
/// of each tool and for which reason, how that went over time, and what can be made strict now. Lines
/// that are no log lines of a gateway are passed over and counted.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid gateway report gateway.log
  mcpid gateway report --html report.html gateway.log.1 gateway.log
  mcpid gateway report --since 2026-11-23 --json gateway.log
  journalctl -u mcpid -o cat | mcpid gateway report --html report.html")]
pub(crate) struct GatewayReportArgs {
    /// Log files, in any order; stdin where none is given, or for -
    #[arg(value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    /// Write one self-contained page here, or to stdout for -; an older report is replaced, any
    /// other file is not
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Leave out what came before this time: RFC 3339, @UNIX, a date (its begin, UTC), or an age
    /// such as 24h
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    pub(crate) since: Option<Timestamp>,
    /// Leave out what came at this time or later, likewise
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    pub(crate) until: Option<Timestamp>,
}
