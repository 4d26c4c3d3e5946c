//! The audit log: the flags of those who write one, and the commands that read it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mcpid::audit::redact::Rule;
use mcpid::clock::Timestamp;

use super::PassphraseArgs;
use super::values::moment;

/// What follows if a request cannot be written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditPolicy {
    /// It is not passed on
    #[default]
    Required,
    /// It is passed on, and counted as a gap
    BestEffort,
}

/// When an entry counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditSync {
    /// When it is on the disk; entries that wait together share one fdatasync
    #[default]
    Batch,
    /// When the system has it; a power cut can take what came since the last checkpoint
    Checkpoint,
}

/// The flags of whoever writes an audit log.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AuditArgs {
    /// Write every request down in the audit log in this folder (see mcpid audit init)
    #[arg(long, value_name = "DIR", help_heading = "Audit log")]
    pub(crate) audit: Option<PathBuf>,
    /// What becomes of a request that cannot be written down [default: required]
    #[arg(long, value_name = "POLICY", requires = "audit", help_heading = "Audit log")]
    pub(crate) audit_policy: Option<AuditPolicy>,
    /// Keep bodies, and not only their digests
    #[arg(long, requires = "audit", help_heading = "Audit log")]
    pub(crate) audit_bodies: bool,
    /// Keep a salted hash in place of what METHOD:NAME:PATH names in a body, such as
    /// tools/call:*:arguments.password; may be repeated
    #[arg(long, value_name = "P", requires = "audit_bodies", help_heading = "Audit log")]
    pub(crate) audit_redact: Vec<Rule>,
    /// When an entry counts as written [default: batch]
    #[arg(long, value_name = "WHEN", requires = "audit", help_heading = "Audit log")]
    pub(crate) audit_sync: Option<AuditSync>,
}

/// Keep and check evidence of what was authorised
///
/// A log holds, for every request, what is needed to judge it again months later: the signature, the
/// bytes that it is over, the key. Its entries are one hash tree, whose checkpoints are signed. Who
/// keeps a checkpoint elsewhere can find everything that was removed, changed, moved or cut off up
/// to it, whoever did it.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit init --audit log
  mcpid gateway --audit log --upstream http://127.0.0.1:8000/mcp --origin http://127.0.0.1:8080
  mcpid audit verify --audit log --log-key log-key.pub --checkpoint kept
  mcpid audit prove --audit log 17 > evidence.json")]
pub(crate) struct AuditCommand {
    #[command(subcommand)]
    pub(crate) act: AuditAct,
}

/// What can be done with an audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditAct {
    Init(AuditInitArgs),
    Verify(AuditVerifyArgs),
    Show(AuditShowArgs),
    Prove(AuditProveArgs),
    Check(AuditCheckArgs),
    Consistency(AuditConsistencyArgs),
    Cosign(Box<AuditCosignArgs>),
}

/// Make a log and its key
///
/// Prints the public key of the log, NAME+HASH+KEY. Keep that line elsewhere: it is what an auditor
/// pins. The private key stays in the folder without a passphrase, since a server has to start by
/// itself; whoever can read it can sign checkpoints.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit init
  mcpid audit init --audit /var/lib/mcpid/audit --name mcp.example.com/audit > log-key.pub")]
pub(crate) struct AuditInitArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    /// What to call the log, in each of its checkpoints; without white space and plus signs
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// Which log.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AuditFolder {
    /// The folder of the log [default: a folder of this user's]
    #[arg(long, value_name = "DIR")]
    pub(crate) audit: Option<PathBuf>,
}

/// What an auditor brings along.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AuditPins {
    /// The log's public key, NAME+HASH+KEY, or a file that holds it; never taken from the log
    #[arg(long, value_name = "KEY|FILE", help_heading = "Kept elsewhere")]
    pub(crate) log_key: Option<String>,
    /// A checkpoint that was kept elsewhere; may be repeated
    #[arg(long, value_name = "FILE", help_heading = "Kept elsewhere")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// The public key of a witness, or a file that holds it: what it cosigned counts as kept
    /// elsewhere; may be repeated
    #[arg(long, value_name = "KEY|FILE", help_heading = "Kept elsewhere")]
    pub(crate) witness: Vec<String>,
    /// Trust files: a key that is not in them, or was not valid then, is found; may be repeated
    #[arg(short = 'r', long, value_name = "TRUST", help_heading = "Kept elsewhere")]
    pub(crate) trust: Vec<PathBuf>,
}

/// Check a whole log
///
/// Judges every entry again, on all cores; rebuilds the hash tree; holds it against every checkpoint
/// in the log and those that were kept elsewhere; and looks for nonces that were used twice and
/// times that go back. Names the first entry that does not fit, and what was done to it.
///
/// The log's key has to be given: one that lies beside the entries could have been exchanged with
/// them. Without a checkpoint kept elsewhere it says anchored: no, and what therefore cannot be
/// excluded.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit verify --log-key log-key.pub
  mcpid audit verify --audit log --log-key log-key.pub --checkpoint kept -r trust.json
  mcpid audit verify --audit log --log-key log-key.pub --checkpoint cosigned --witness witness.pub")]
pub(crate) struct AuditVerifyArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    #[command(flatten)]
    pub(crate) pins: AuditPins,
}

/// Show entries
///
/// A table, or with --json the entries themselves, byte for byte. Nothing is verified.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit show
  mcpid audit show --tool 'pay*' --since 24h
  mcpid audit show --status refused --json | jq .code
  mcpid audit show --key alice")]
pub(crate) struct AuditShowArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    /// Only requests signed by the key of this id or name
    #[arg(long, value_name = "NAME|KEYID")]
    pub(crate) key: Option<String>,
    /// Only requests for the tool, prompt, resource or task of this name, * being anything
    #[arg(long, value_name = "NAME")]
    pub(crate) tool: Option<String>,
    /// Only requests with this verdict or code: verified, refused, would_refuse, signed, expired, …
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    /// Leave out what came before this time: RFC 3339, @UNIX, a date (its begin, UTC), or an age
    /// such as 24h
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    pub(crate) since: Option<Timestamp>,
    /// Leave out what came at this time or later, likewise
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    pub(crate) until: Option<Timestamp>,
}

/// Write one entry's evidence into a file of its own
///
/// The file holds the entry, the proof that it lies under a checkpoint, the checkpoint, the public
/// keys, and what was known of them. It can be checked with mcpid audit check, or by hand with
/// openssl and sha256sum.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit prove 17 > evidence.json
  mcpid audit prove --audit log --checkpoint cosigned -r trust.json -o evidence.json 17")]
pub(crate) struct AuditProveArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    /// The number of the entry, from 0
    #[arg(value_name = "N")]
    pub(crate) n: u64,
    /// Prove it under this checkpoint, such as one that a witness cosigned [default: the latest]
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Trust files that say what became of the keys since; may be repeated
    #[arg(short = 'r', long, value_name = "TRUST")]
    pub(crate) trust: Vec<PathBuf>,
    /// Where to write it; stdout where none is named
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Check the evidence of one entry, offline
///
/// Judges the request again at its own time, and follows the proof up to the checkpoint, which the
/// log's key has to have signed: the one that was given, not the one in the file. An entry proves
/// that a request was authorised, not that it was carried out.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit check --log-key log-key.pub evidence.json
  mcpid audit check --log-key log-key.pub --witness witness.pub -r trust.json evidence.json")]
pub(crate) struct AuditCheckArgs {
    /// The evidence; stdin where none is named, or for -
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pins: AuditPins,
}

/// Check that a log has only grown between two checkpoints
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit consistency --audit log --log-key log-key.pub kept log/checkpoint")]
pub(crate) struct AuditConsistencyArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    /// The log's public key, NAME+HASH+KEY, or a file that holds it; never taken from the log
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) log_key: String,
    /// The older checkpoint
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// The newer checkpoint
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
}

/// Sign a checkpoint as a witness
///
/// Checks that the log has only grown since the checkpoint that was signed last, and prints the new
/// one with a signature behind it (C2SP cosignature/v1). Keep what is printed: it is the --checkpoint
/// of the next time. With it the operator alone cannot rewrite history.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit cosign --audit log --log-key log-key.pub --first > cosigned
  mcpid audit cosign --audit log --log-key log-key.pub --checkpoint cosigned > cosigned.new")]
pub(crate) struct AuditCosignArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    /// The log's public key, NAME+HASH+KEY, or a file that holds it; never taken from the log
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) log_key: String,
    /// The checkpoint that this witness signed last
    #[arg(long, value_name = "FILE", required_unless_present = "first")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// There is none yet: this is the first
    #[arg(long, conflicts_with = "checkpoint")]
    pub(crate) first: bool,
    /// The witness's keyfile
    #[arg(short, long, value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    /// The witness's name [default: that of its key]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// The checkpoint to sign [default: the latest of the log]
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<PathBuf>,
}
