//! The flags of `mcpid audit`, and those with which `gateway` and `connect` write an audit log.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mcpid::audit::redact::Rule;

use super::audit_show::AuditShowArgs;
use super::audit_witness::AuditWitnessArgs;
use super::values::{duration, entry_number};
use super::{AuditArchiveArgs, AuditArchives, AuditEraseArgs, AuditFolder};
use super::{PassphraseArgs, ProfileName, SigningKeyArgs};

/// What happens to a request that cannot be written to the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditPolicy {
    /// The request is not passed on
    #[default]
    Required,
    /// The request is passed on, and counted as a gap
    BestEffort,
}

/// When an entry counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditSync {
    /// When it is on the disk; entries that wait at the same time share one fdatasync
    #[default]
    Batch,
    /// When the system has it; a power cut can lose entries since the last checkpoint
    Checkpoint,
}

/// The flags of a command that writes an audit log.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AuditArgs {
    /// Write every request to the audit log in this folder (see mcpid audit init)
    #[arg(long, value_name = "DIR", help_heading = "Audit log")]
    pub(crate) audit: Option<PathBuf>,
    /// The log's private key, if it is not in DIR (see mcpid audit init --audit-key): a keyfile,
    /// ssh-agent:ID, 'exec:PROGRAM ARG...' or a pkcs11: URI
    #[arg(long, value_name = "KEY", requires = "audit", help_heading = "Audit log")]
    pub(crate) audit_key: Option<PathBuf>,
    /// Read the passphrase or PIN of --audit-key from this file; one trailing newline is dropped
    #[arg(long, value_name = "FILE", requires = "audit_key", help_heading = "Audit log")]
    pub(crate) audit_passphrase_file: Option<PathBuf>,
    /// What happens to a request that cannot be written to the log [default: required]
    #[arg(long, value_name = "POLICY", requires = "audit", help_heading = "Audit log")]
    pub(crate) audit_policy: Option<AuditPolicy>,
    /// Keep bodies as well as their digests
    #[arg(long, requires = "audit", help_heading = "Audit log")]
    pub(crate) audit_bodies: bool,
    /// Keep a salted hash in place of the part of a body that METHOD:NAME:PATH names, such as
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
/// For every request, a log holds what is needed to judge the request again months later: the
/// signature, the bytes that it covers, and the key. The entries form one hash tree, and its
/// checkpoints are signed. An auditor who keeps a checkpoint elsewhere can find every entry under
/// it that was removed, changed, moved or cut off, even by the operator of the log.
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
    Report(Box<AuditReportArgs>),
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
/// Prints the public key of the log, NAME+HASH+KEY. Keep that line elsewhere: an auditor pins it.
/// The private key stays in the folder without a passphrase, since a server has to start without a
/// person. Every program that can read that file can sign checkpoints.
///
/// With --audit-key, the log is signed by a key that is elsewhere: in a token or HSM, in an
/// ssh-agent, behind a program, or in a keyfile with a passphrase. No private key is written into
/// the folder then, and the folder does not say where the key is: give --audit-key to gateway,
/// authz, connect, audit archive and audit erase too. It signs once when a log is opened, and for
/// each checkpoint.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit init
  mcpid audit init --audit log --audit-key 'pkcs11:token=hsm;object=audit'
  mcpid audit init --audit log --audit-key 'exec:sign-by-kms audit' --public-key audit.pem
  mcpid audit init --audit /var/lib/mcpid/audit --name mcp.example.com/audit > log-key.pub
  mcpid audit init --audit log-2 --name example.com/audit-2 --after log
  mcpid audit init --audit log-2 --name example.com/audit-2 --after kept --log-key log-key.pub")]
pub(crate) struct AuditInitArgs {
    #[command(flatten)]
    pub(crate) log: AuditFolder,
    /// The name of the log, which stands in each of its checkpoints; no white space, no plus signs
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The private key of the log, if it is not to be made in the folder: a keyfile, ssh-agent:ID,
    /// 'exec:PROGRAM ARG...' or a pkcs11: URI, of Ed25519
    #[arg(long, value_name = "KEY")]
    pub(crate) audit_key: Option<PathBuf>,
    /// Read the passphrase or PIN of --audit-key from this file; one trailing newline is dropped
    #[arg(long, value_name = "FILE", requires = "audit_key")]
    pub(crate) audit_passphrase_file: Option<PathBuf>,
    /// The public key of --audit-key, which each signature must fit; needed for exec:
    #[arg(long, value_name = "FILE", requires = "audit_key")]
    pub(crate) public_key: Option<PathBuf>,
    /// The log that this one follows: the folder of a log whose last entry names this one, or a
    /// checkpoint of a log that is lost or damaged and therefore abandoned
    #[arg(long, value_name = "DIR|CHECKPOINT")]
    pub(crate) after: Option<PathBuf>,
    /// The private key of the log that this one follows, if it is not in that folder
    #[arg(long, value_name = "KEY", requires = "after", conflicts_with = "log_key")]
    pub(crate) after_key: Option<PathBuf>,
    /// Read the passphrase or PIN of --after-key from this file; one trailing newline is dropped
    #[arg(long, value_name = "FILE", requires = "after_key")]
    pub(crate) after_passphrase_file: Option<PathBuf>,
    /// The public key of an abandoned log [default: log-key.pub beside the checkpoint]
    #[arg(long, value_name = "KEY|FILE", requires = "after")]
    pub(crate) log_key: Option<String>,
}

/// What an auditor keeps outside of the log: keys, checkpoints, trust files and rules.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AuditPins {
    /// The log's public key, NAME+HASH+KEY, or a file that holds it; never taken from the log
    #[arg(long, value_name = "KEY|FILE", help_heading = "Kept elsewhere")]
    pub(crate) log_key: Option<String>,
    /// A checkpoint that was kept elsewhere; may be repeated
    #[arg(long, value_name = "FILE", help_heading = "Kept elsewhere")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// The public key of a witness, or a file that holds it; a checkpoint that it cosigned counts
    /// as kept elsewhere; may be repeated
    #[arg(long, value_name = "KEY|FILE", help_heading = "Kept elsewhere")]
    pub(crate) witness: Vec<String>,
    /// Demand cosignatures by the quorum of this policy (C2SP tlog-policy)
    #[arg(long, value_name = "FILE", conflicts_with = "witness", help_heading = "Kept elsewhere")]
    pub(crate) witness_policy: Option<PathBuf>,
    /// Your own trust files. An entry is good only if one of them has its key, since a log can name
    /// any key as it likes; may be repeated
    #[arg(short = 'r', long, value_name = "TRUST", help_heading = "Kept elsewhere")]
    pub(crate) trust: Vec<PathBuf>,
    /// The rules to judge by [default: the log's own, unless they are laxer than the default
    /// profile]
    #[arg(long, value_name = "P", help_heading = "Rules")]
    pub(crate) profile: Option<ProfileName>,
    /// The longest window that the log may use [default: that of the profile]
    #[arg(long, value_name = "D", value_parser = duration, allow_hyphen_values = true, help_heading = "Rules")]
    pub(crate) window: Option<u32>,
    /// The largest tolerance for clocks that the log may use [default: that of the profile]
    #[arg(long, value_name = "D", value_parser = duration, allow_hyphen_values = true, help_heading = "Rules")]
    pub(crate) ahead: Option<u32>,
    /// Require this component to be covered too; may be repeated
    #[arg(long, value_name = "C", help_heading = "Rules")]
    pub(crate) require: Vec<String>,
    /// Do not require this component to be covered; may be repeated
    #[arg(long, value_name = "C", help_heading = "Rules")]
    pub(crate) allow_uncovered: Vec<String>,
    /// Accept only requests to this origin; may be repeated
    #[arg(long, value_name = "ORIGIN", help_heading = "Rules")]
    pub(crate) origin: Vec<String>,
    /// Demand that your trust files confirm a touch of a security key for METHOD[:NAME]; may be
    /// repeated
    #[arg(long = "touch", value_name = "P", help_heading = "Rules")]
    pub(crate) touch_rule: Vec<String>,
    /// Accept entries whose time is uncertain because the log's clock stepped
    #[arg(long, help_heading = "Rules")]
    pub(crate) allow_clock: bool,
}

/// Check a whole log
///
/// Judges every entry again, on all cores. Rebuilds the hash tree, and compares it with every
/// checkpoint in the log and with those that were kept elsewhere. Looks for nonces that were used
/// twice and for times that go back. Names the first entry that does not fit, and what was done to
/// it.
///
/// The log's key has to be given: a key in the log's folder could have been exchanged together with
/// the entries. Without a checkpoint that was kept elsewhere, the answer is anchored: no, with what
/// can therefore not be excluded. An entry is good (exit 0) only if your own trust files have its
/// key and its signature covers the whole request. An entry that contradicts itself is bad (exit
/// 1). All others are unjudged (exit 5).
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
    /// A predecessor of this log, to be checked too, against its checkpoints among those that are
    /// given; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) predecessor: Vec<PathBuf>,
    /// Count an erased entry as good if the log records its erasure
    #[arg(long)]
    pub(crate) allow_erased: bool,
    /// List every finding, not only the first
    #[arg(long)]
    pub(crate) all: bool,
}

/// Sum up a log, and what checking it has found
///
/// Checks the whole log as mcpid audit verify does, with the same flags and the same exit code, and
/// says besides what is in it: entries by verdict, by key and by tool. --html writes it as one page
/// that a person can read and print. The page is no evidence: the log and the files named on it
/// are.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit report --log-key log-key.pub -r trust.json
  mcpid audit report --log-key log-key.pub --checkpoint kept -r trust.json --html log.html")]
pub(crate) struct AuditReportArgs {
    #[command(flatten)]
    pub(crate) whole: AuditVerifyArgs,
    /// Write the result as one self-contained page to this file too, or only that page to stdout
    /// for -; no file but an older page is replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Write one entry's evidence into a file of its own
///
/// The file holds the entry, the checkpoint, the proof that the checkpoint includes the entry, and
/// the public keys. It can be checked with mcpid audit check, or by hand with openssl and
/// sha256sum.
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
    #[arg(value_name = "N", value_parser = entry_number, allow_negative_numbers = true)]
    pub(crate) n: u64,
    /// The checkpoint that the proof leads to [default: the
    /// log's cosigned one, else the latest]
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// The format of the proof [default: evidence]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<ProofFormat>,
    /// The file to write [default: stdout]
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
/// Judges the request again, with the clock at the time of the request, and follows the proof up to
/// the checkpoint. The checkpoint has to be signed by the log key that you give, which can differ
/// from the key in the file. An entry proves that a request was authorised, not that it was carried
/// out.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit check --log-key log-key.pub -r trust.json evidence.json
  mcpid audit check --log-key log-key.pub -r trust.json --body call.json evidence.json
  mcpid audit check --log-key log-key.pub -r trust.json --html evidence.html evidence.json
  mcpid audit check --log-key log-key.pub --witness witness.pub -r trust.json evidence.json")]
pub(crate) struct AuditCheckArgs {
    /// The evidence, or - for stdin [default: stdin]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pins: AuditPins,
    /// The request's body, if the log does not have all of it
    #[arg(long, value_name = "FILE", help_heading = "Kept elsewhere")]
    pub(crate) body: Option<PathBuf>,
    /// Write the result as one self-contained page to this file too, or only that page to stdout
    /// for -; no file but an older page is replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
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
    /// Print the proof and the newer checkpoint, in the form that a witness takes (C2SP
    /// add-checkpoint)
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
/// Checks that the log has only grown since the last checkpoint of this log that the witness
/// signed, and prints the new checkpoint with a signature added (C2SP cosignature/v1). The log's
/// folder is not needed: the input is a checkpoint, or the output of mcpid audit consistency
/// --print. The state file records what was signed, before the signature is printed. If a witness
/// signs, the operator of the log alone cannot rewrite history.
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
    /// The file that records, for each log, what this witness has signed; made if it is missing
    #[arg(long, value_name = "FILE")]
    pub(crate) state: PathBuf,
    /// Allow a log of which this witness has signed nothing yet, and only such a log
    #[arg(long)]
    pub(crate) first: bool,
    #[command(flatten)]
    pub(crate) signing_key: SigningKeyArgs,
    /// The witness's name [default: the name of its key]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// The checkpoint, or a proof with a checkpoint, or - for stdin [default: stdin]
    #[arg(value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
}
