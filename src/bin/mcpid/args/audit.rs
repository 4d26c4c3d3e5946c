//! The audit log: the flags of those who write one, and the commands that read it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mcpid::audit::redact::Rule;
use mcpid::clock::Timestamp;

use super::audit_witness::AuditWitnessArgs;
use super::values::{duration, moment};
use super::{AuditArchiveArgs, AuditArchives, AuditEraseArgs, PassphraseArgs, ProfileName};

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

/// The flags of the commands that write an audit log.
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
    /// Let the witnesses of this policy (C2SP tlog-policy) cosign each checkpoint of the log
    #[arg(long, value_name = "FILE", requires = "audit", help_heading = "Audit log")]
    pub(crate) witness_policy: Option<PathBuf>,
}

/// Keep and check evidence of what was authorised
///
/// A log holds, for every request, what is needed to judge it again months later: the signature, the
/// bytes that it is over, the key. Its entries are one hash tree, whose checkpoints are signed. Who
/// keeps a checkpoint elsewhere can find everything that was removed, changed, moved or cut off up
/// to it, by the operator too.
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
    Archive(AuditArchiveArgs),
    Erase(AuditEraseArgs),
    Witness(AuditWitnessArgs),
}

/// Make a log and its key
///
/// Prints the public key of the log, NAME+HASH+KEY. Keep that line elsewhere: it is what an auditor
/// pins. The private key stays in the folder without a passphrase, since a server has to start by
/// itself; a process that can read it can sign checkpoints.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit init
  mcpid audit init --audit /var/lib/mcpid/audit --name mcp.example.com/audit > log-key.pub
  mcpid audit init --audit log-2 --name example.com/audit-2 --after log
  mcpid audit init --audit log-2 --name example.com/audit-2 --after kept --log-key log-key.pub")]
pub(crate) struct AuditInitArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    /// What to call the log, in each of its checkpoints; without white space and plus signs
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The log that this one follows: its folder, where it is closed by an entry that names this one;
    /// or a checkpoint of it, if it is lost or damaged, and so abandoned
    #[arg(long, value_name = "DIR|CHECKPOINT")]
    pub(crate) after: Option<PathBuf>,
    /// The public key of an abandoned log [default: log-key.pub beside the checkpoint]
    #[arg(long, value_name = "KEY|FILE", requires = "after")]
    pub(crate) log_key: Option<String>,
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
    /// Demand cosignatures by the quorum of this policy (C2SP tlog-policy)
    #[arg(long, value_name = "FILE", conflicts_with = "witness", help_heading = "Kept elsewhere")]
    pub(crate) witness_policy: Option<PathBuf>,
    /// Your own trust files: without one that has the key nothing is good, since a keeper of a
    /// log can make a key and give it a name; may be repeated
    #[arg(short = 'r', long, value_name = "TRUST", help_heading = "Kept elsewhere")]
    pub(crate) trust: Vec<PathBuf>,
    /// The rules that hold in place of the log's [default: the log's, where they are not laxer]
    #[arg(long, value_name = "P", help_heading = "Rules")]
    pub(crate) profile: Option<ProfileName>,
    /// The longest window that is not lax [default: that of the profile]
    #[arg(long, value_name = "D", value_parser = duration, allow_hyphen_values = true, help_heading = "Rules")]
    pub(crate) window: Option<u32>,
    /// The longest time ahead that is not lax [default: that of the profile]
    #[arg(long, value_name = "D", value_parser = duration, allow_hyphen_values = true, help_heading = "Rules")]
    pub(crate) ahead: Option<u32>,
    /// This component has to be covered too; may be repeated
    #[arg(long, value_name = "C", help_heading = "Rules")]
    pub(crate) require: Vec<String>,
    /// This component may stay uncovered; may be repeated
    #[arg(long, value_name = "C", help_heading = "Rules")]
    pub(crate) allow_uncovered: Vec<String>,
    /// Requests had to be sent to this origin; may be repeated
    #[arg(long, value_name = "ORIGIN", help_heading = "Rules")]
    pub(crate) origin: Vec<String>,
    /// Take the times of entries as they are where the log's clock stepped
    #[arg(long, help_heading = "Rules")]
    pub(crate) allow_clock: bool,
}

/// Check a whole log
///
/// Judges every entry again, on all cores; rebuilds the hash tree; holds it against every checkpoint
/// in the log and those that were kept elsewhere; and looks for nonces that were used twice and
/// times that go back. Names the first entry that does not fit, and what was done to it.
///
/// The log's key has to be given: one that lies beside the entries could have been exchanged with
/// them. Without a checkpoint kept elsewhere it says anchored: no, and what therefore cannot be
/// excluded. It says good (exit 0) only of entries whose key your own trust files have, and whose
/// signature covers the whole request; what contradicts itself is bad (exit 1), and all else is
/// unjudged (exit 5).
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit verify --log-key log-key.pub -r trust.json
  mcpid audit verify --audit log --log-key log-key.pub --checkpoint kept -r trust.json
  mcpid audit verify --audit log-2 --log-key log-2.pub -r trust.json --predecessor log
  mcpid audit verify --audit log --log-key log-key.pub --checkpoint cosigned --witness witness.pub -r trust.json")]
pub(crate) struct AuditVerifyArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    #[command(flatten)]
    pub(crate) archives: AuditArchives,
    #[command(flatten)]
    pub(crate) pins: AuditPins,
    /// A log before this one, to be verified with it, also against its own checkpoints among those
    /// that were given; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) predecessor: Vec<PathBuf>,
    /// Count entries that were erased, as the log says, as good
    #[arg(long)]
    pub(crate) allow_erased: bool,
    /// List every finding, and not the first alone
    #[arg(long)]
    pub(crate) all: bool,
}

/// Show entries, or one of them
///
/// A table; with N all that one entry says; with --json, or as --format jsonl, the entries themselves,
/// byte for byte. Nothing is verified: mcpid audit verify and mcpid audit check do that.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit show
  mcpid audit show 17
  mcpid audit show --tool 'pay*' --since 2026-11-23
  mcpid audit show --status refused --since 24h --json | jq .code
  mcpid audit show --key alice --format csv > alice.csv")]
pub(crate) struct AuditShowArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    #[command(flatten)]
    pub(crate) archives: AuditArchives,
    /// The number of one entry, from 0
    #[arg(value_name = "N", conflicts_with_all = ["key", "tool", "status", "since", "until"])]
    pub(crate) n: Option<u64>,
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
    /// How to write entries [default: a table]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<AuditFormat>,
}

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditFormat {
    /// Comma-separated values (RFC 4180), with a line of names
    Csv,
    /// The entries as they are
    Jsonl,
}

/// Write one entry's evidence into a file of its own
///
/// The file holds the entry, the proof that it lies under a checkpoint, the checkpoint, and the public
/// keys. It can be checked with mcpid audit check, or by hand with
/// openssl and sha256sum.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit prove 17 > evidence.json
  mcpid audit prove --format tlog-proof -o 17.tlog-proof 17
  mcpid audit prove --audit log --checkpoint cosigned -o evidence.json 17")]
pub(crate) struct AuditProveArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    #[command(flatten)]
    pub(crate) archives: AuditArchives,
    /// The number of the entry, from 0
    #[arg(value_name = "N")]
    pub(crate) n: u64,
    /// Prove it under this checkpoint [default: the log's cosigned one, else the latest]
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// How to write it [default: evidence]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<ProofFormat>,
    /// Where to write it; stdout where none is named
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// How the proof of an entry is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProofFormat {
    /// JSON for mcpid audit check: entry, proof, checkpoint and keys
    #[default]
    Evidence,
    /// Text for other tools (C2SP tlog-proof): entry, proof and checkpoint
    TlogProof,
}

/// Check the evidence of one entry, offline
///
/// Judges the request again at its own time, and follows the proof up to the checkpoint, which the
/// log's key has to have signed: the one that was given, not the one in the file. An entry proves
/// that a request was authorised, not that it was carried out.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit check --log-key log-key.pub -r trust.json evidence.json
  mcpid audit check --log-key log-key.pub -r trust.json --body call.json evidence.json
  mcpid audit check --log-key log-key.pub --witness witness.pub -r trust.json evidence.json")]
pub(crate) struct AuditCheckArgs {
    /// The evidence; stdin where none is named, or for -
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pins: AuditPins,
    /// The body of the request, where it was kept and the log has it not, or only in part
    #[arg(long, value_name = "FILE", help_heading = "Kept elsewhere")]
    pub(crate) body: Option<PathBuf>,
}

/// Check that a log has only grown between two checkpoints
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit consistency --audit log --log-key log-key.pub kept log/checkpoint
  mcpid audit consistency --audit log --log-key log-key.pub --print kept log/checkpoint > request")]
pub(crate) struct AuditConsistencyArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    /// The log's public key, NAME+HASH+KEY, or a file that holds it; never taken from the log
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) log_key: String,
    /// Print the proof with the newer checkpoint, as a witness is sent it (C2SP add-checkpoint)
    #[arg(long)]
    pub(crate) print: bool,
    /// The older checkpoint
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// The newer checkpoint
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
}

/// Sign a checkpoint as a witness
///
/// Checks that the log has only grown since the last checkpoint of it that was signed, and prints
/// the new one with a signature behind it (C2SP cosignature/v1). The log's folder is not needed: the
/// input is a checkpoint, or what mcpid audit consistency --print has printed. What was signed is
/// kept in the state file, before the signature is printed. With it the operator alone cannot rewrite
/// history.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit cosign --log-key log-key.pub --state witness.state -k witness.json --first checkpoint
  mcpid audit consistency --audit log --log-key log-key.pub --print kept log/checkpoint |
    mcpid audit cosign --log-key log-key.pub --state witness.state -k witness.json > cosigned")]
pub(crate) struct AuditCosignArgs {
    /// The log's public key, NAME+HASH+KEY, or a file that holds it; never taken from the log
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) log_key: String,
    /// What this witness has signed, by log; made where it is not there
    #[arg(long, value_name = "FILE")]
    pub(crate) state: PathBuf,
    /// Nothing of this log was signed yet: only then
    #[arg(long)]
    pub(crate) first: bool,
    /// The witness's keyfile
    #[arg(short, long, value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    /// The witness's name [default: that of its key]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// The checkpoint, or a proof with it; stdin where none is named, or for -
    #[arg(value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
}
