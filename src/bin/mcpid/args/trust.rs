//! The flags of `mcpid trust`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mcpid::clock::Timestamp;

use super::values::{name, time};

/// Say whose signatures count
///
/// The trust file is a JSON Web Key Set, so that any JOSE tool can read it. Each key may have a
/// name, client ids, a time of validity and a list of what it may do.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid trust add --name alice alice.jwk
  mcpid trust list
  mcpid trust revoke alice")]
pub(crate) struct TrustArgs {
    #[command(subcommand)]
    pub(crate) act: TrustAct,
}

/// What can be done with a trust file.
#[derive(Debug, Subcommand)]
pub(crate) enum TrustAct {
    Add(TrustAddArgs),
    List(TrustListArgs),
    Revoke(TrustRevokeArgs),
    Remove(TrustRemoveArgs),
}

/// Trust a key
///
/// Without KEY, the public part of the default key is added.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid trust add
  mcpid trust add --name alice --client-id alice-laptop alice.jwk
  mcpid trust add -r server.json --allow 'tools/call:get_*' --not-after 2027-01-01T00:00:00Z agent.pem
  ssh-keygen -y -f id_ed25519 | mcpid trust add --name bob -
  mcpid trust add --for alice id_ed25519_sk.pub")]
pub(crate) struct TrustAddArgs {
    /// The key: a keyfile, JWK, PEM or OpenSSH public key file, - for stdin, a did:key,
    /// ssh-agent:ID, exec:PROGRAM, or a pkcs11: URI
    #[arg(value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    /// The public key of a KEY that is in an agent or behind a program; needed for exec:
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
    /// The key with this kid, of a set of several
    #[arg(long, value_name = "KID", allow_hyphen_values = true)]
    pub(crate) kid: Option<String>,
    /// The trust file [env: MCPID_TRUST]
    #[arg(short = 'r', long, value_name = "TRUST")]
    pub(crate) trust: Option<PathBuf>,
    /// The name of the key [default: the name in the keyfile]
    #[arg(long, value_name = "T", value_parser = name)]
    pub(crate) name: Option<String>,
    /// A client id that this key may send as tag, besides its key id; may be repeated
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Vec<String>,
    /// Not valid before this time: RFC 3339 or @UNIX
    #[arg(long, value_name = "T", value_parser = time, allow_hyphen_values = true)]
    pub(crate) not_before: Option<Timestamp>,
    /// Not valid after this time: RFC 3339 or @UNIX
    #[arg(long, value_name = "T", value_parser = time, allow_hyphen_values = true)]
    pub(crate) not_after: Option<Timestamp>,
    /// What the key may do, METHOD[:NAME], where * stands for any text; may be repeated [default:
    /// everything]
    #[arg(long, value_name = "P")]
    pub(crate) allow: Vec<String>,
    /// Whose signatures the touch may join; may be repeated [default: those of the keys with the
    /// name of this entry]
    #[arg(
        long = "for",
        value_name = "NAME|KEYID",
        value_parser = name,
        allow_hyphen_values = true,
        help_heading = "For a security key"
    )]
    pub(crate) joins: Vec<String>,
    /// Let the security key sign requests alone, without a signature of another key
    #[arg(long, help_heading = "For a security key")]
    pub(crate) alone: bool,
    /// Count only touches for which the security key verified the person, by a PIN or a fingerprint
    #[arg(long, help_heading = "For a security key")]
    pub(crate) require_verified: bool,
}

/// Show the keys of a trust file
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid trust list
  mcpid trust list -r server.json --json")]
pub(crate) struct TrustListArgs {
    /// The trust file [env: MCPID_TRUST]
    #[arg(short = 'r', long, value_name = "TRUST")]
    pub(crate) trust: Option<PathBuf>,
}

/// Revoke a key, so that its signatures count no more
///
/// The entry stays, so that verdicts can say that the key was revoked, and when.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid trust revoke alice
  mcpid trust revoke --at 2026-11-23T10:00:00Z alice")]
pub(crate) struct TrustRevokeArgs {
    /// The name, the id or a kid of the key
    #[arg(value_name = "NAME|KEYID")]
    pub(crate) key: String,
    /// The trust file [env: MCPID_TRUST]
    #[arg(short = 'r', long, value_name = "TRUST")]
    pub(crate) trust: Option<PathBuf>,
    /// The time of the revocation: RFC 3339 or @UNIX [default: now]
    #[arg(long, value_name = "T", value_parser = time, allow_hyphen_values = true)]
    pub(crate) at: Option<Timestamp>,
}

/// Remove a key, so that it is unknown
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid trust remove alice
  mcpid trust remove -r server.json alice")]
pub(crate) struct TrustRemoveArgs {
    /// The name, the id or a kid of the key
    #[arg(value_name = "NAME|KEYID")]
    pub(crate) key: String,
    /// The trust file [env: MCPID_TRUST]
    #[arg(short = 'r', long, value_name = "TRUST")]
    pub(crate) trust: Option<PathBuf>,
}
