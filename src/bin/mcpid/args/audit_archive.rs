//! The flags of `mcpid audit archive` and `mcpid audit erase`, and those that name a log.

use std::path::PathBuf;

use clap::Args;
use mcpid::clock::Timestamp;

use super::values::{entry_number, moment};

/// The folder of a log.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AuditFolder {
    /// The folder of the log [default: a folder of this user]
    #[arg(long, value_name = "DIR")]
    pub(crate) audit: Option<PathBuf>,
}

/// Where the private key of a log is, if it is not in the log's folder.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AuditKeyArgs {
    /// The log's private key, if it is not in the folder: a keyfile, ssh-agent:ID,
    /// 'exec:PROGRAM ARG...' or a pkcs11: URI
    #[arg(long, value_name = "KEY")]
    pub(crate) audit_key: Option<PathBuf>,
    /// Read the passphrase or PIN of --audit-key from this file; one trailing newline is dropped
    #[arg(long, value_name = "FILE", requires = "audit_key")]
    pub(crate) audit_passphrase_file: Option<PathBuf>,
}

/// The archives of a log.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AuditArchives {
    /// A folder with entries that mcpid audit archive has moved out of the log; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) archive: Vec<PathBuf>,
}

/// Move old entries out of a log, packed
///
/// Moves whole files of entries, packed with gzip, into another folder. The hashes of the entries
/// stay in the log: appending, witnesses and the proofs of all other entries go on as before. A
/// signed note takes the place of each file. Give the folder to audit verify, show, prove and erase
/// with --archive; without it, audit verify says what it did not see (exit 5).
///
/// A file is moved if all its entries are from before the time. The newest file stays. A gateway
/// may write the log meanwhile. If a run was interrupted, a second run continues it.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit archive --before 90d --to /mnt/archive/mcpid
  mcpid audit archive --audit log --before 2026-01-01 --to log-2025
  mcpid audit verify --audit log --archive log-2025 --log-key log-key.pub -r trust.json")]
pub(crate) struct AuditArchiveArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    #[command(flatten)]
    pub(crate) key: AuditKeyArgs,
    /// Move files whose entries are all from before this time: RFC 3339, @UNIX, a date (its begin,
    /// UTC), or an age such as 90d
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    pub(crate) before: Timestamp,
    /// The folder to move the files to; it is made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
}

/// Erase one entry
///
/// Puts a tombstone in the place of the entry, in the log or in its archive, and appends an entry
/// that names the erased entry and the reason. The hash of the erased entry stays, so that the log
/// still verifies; audit verify counts erased entries, and exits 5 unless --allow-erased.
///
/// The log must not be written by another process, and must not be closed. Only requests can be
/// erased. The reason stays in the log for ever: it should name no person. Copies elsewhere, such
/// as backups, are not reached.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit erase 17 --reason 'order of the district court, 12 O 34/26'
  mcpid audit erase 17 --audit log --archive log-2025 --reason 'request for erasure 2026-118'")]
pub(crate) struct AuditEraseArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    #[command(flatten)]
    pub(crate) key: AuditKeyArgs,
    #[command(flatten)]
    pub(crate) archives: AuditArchives,
    /// The number of the entry, from 0
    #[arg(value_name = "N", value_parser = entry_number, allow_negative_numbers = true)]
    pub(crate) n: u64,
    /// The reason, in at most 1000 bytes; it stays in the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}
