//! The flags of `audit show`.

use clap::{Args, ValueEnum};
use mcpid::clock::Timestamp;

use super::values::{entry_number, moment};
use super::{AuditArchives, AuditFolder};

/// Show entries, or one of them
///
/// Prints a table; with N, the whole content of one entry; with --json or --format jsonl, the
/// entries themselves, byte for byte; with --format ocsf, events for a SIEM. Nothing is verified:
/// mcpid audit verify and mcpid audit check do that.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit show
  mcpid audit show 17
  mcpid audit show --tool 'pay*' --since 2026-11-23
  mcpid audit show --status refused --since 24h --json | jq .code
  mcpid audit show --key alice --format csv > alice.csv
  mcpid audit show --since 24h --format ocsf > events.jsonl")]
pub(crate) struct AuditShowArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    #[command(flatten)]
    pub(crate) archives: AuditArchives,
    /// The number of one entry, from 0
    #[arg(
        value_name = "N",
        value_parser = entry_number,
        allow_negative_numbers = true,
        conflicts_with_all = ["key", "tool", "status", "since", "until"]
    )]
    pub(crate) n: Option<u64>,
    /// Only requests that the key of this id or name signed
    #[arg(long, value_name = "NAME|KEYID")]
    pub(crate) key: Option<String>,
    /// Only requests for the tool, prompt, resource or task of this name; * stands for any text
    #[arg(long, value_name = "NAME")]
    pub(crate) tool: Option<String>,
    /// Only requests with this verdict or code: verified, refused, would_refuse, signed, expired, …
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    /// Only entries from this time on: RFC 3339, @UNIX, a date (its begin, UTC), or an age such as
    /// 24h
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    pub(crate) since: Option<Timestamp>,
    /// Only entries before this time, in the same forms
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    pub(crate) until: Option<Timestamp>,
    /// The format of the entries [default: a table]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<AuditFormat>,
}

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditFormat {
    /// Comma-separated values (RFC 4180), with a header line
    Csv,
    /// The entries themselves, byte for byte
    Jsonl,
    /// Events of the Open Cybersecurity Schema Framework 1.8.0, one JSON object a line
    Ocsf,
}
