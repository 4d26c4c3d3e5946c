//! The flags of `audit witness`.

use std::path::PathBuf;

use clap::Args;

/// Let witnesses cosign the latest checkpoint of a log
///
/// Sends the checkpoint, and the proof that the log has only grown, to each witness of the policy
/// (C2SP add-checkpoint), verifies the answers, and writes the checkpoint with its cosignatures to
/// checkpoint.cosigned in the log's folder once they make a quorum. A gateway or connect with
/// --witness-policy does so for each checkpoint by itself.
///
/// Exits with 0 if the quorum has cosigned, and 1 if the log was rolled back or forked: a witness
/// has signed another history before, or answers as if it had (409 or 422, not signed) and the
/// other witnesses make no quorum. Otherwise the exit code is 5.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid audit witness log --witness-policy policy
  mcpid audit verify --audit log --witness-policy policy --log-key log-key.pub -r trust.json

A policy with three witnesses, of which two are enough:
  log example.com/audit+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
  witness w1 VKEY https://w1.example.com
  witness w2 VKEY https://w2.example.com
  witness w3 VKEY https://w3.example.com
  group two 2 w1 w2 w3
  quorum two")]
pub(crate) struct AuditWitnessArgs {
    /// The folder of the log [default: a folder of this user's]
    #[arg(value_name = "DIR")]
    pub(crate) audit: Option<PathBuf>,
    /// The witnesses and their quorum (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    pub(crate) witness_policy: PathBuf,
}
