//! The flags of the commands on keys, trust files and nonce stores.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mcpid::clock::Timestamp;

use super::PassphraseArgs;
use super::values::{descriptor, name, time};

/// Make a key, or import one
///
/// Writes an encrypted keyfile that only you can read, and prints the key's id. A file that exists
/// is never overwritten.
///
/// The passphrase is asked for twice. If the answer is empty, one of seven words is generated and
/// shown once. A passphrase of under 8 characters needs --weak.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid keygen
  mcpid keygen -o agent.json --name agent
  mcpid keygen -o ci.json --passphrase-file ci.pass
  mcpid keygen -o old.json --import id_ed25519.pem")]
pub(crate) struct KeygenArgs {
    /// Where to write the keyfile
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The name of the key; it can be read without the passphrase
    #[arg(long, value_name = "TEXT", value_parser = name)]
    pub(crate) name: Option<String>,
    /// Take the private key from this file, or - for stdin: JWK, PKCS#8 PEM, OpenSSH, or the seed in
    /// hex or base64
    #[arg(long, value_name = "FILE")]
    pub(crate) import: Option<PathBuf>,
    /// Do not encrypt: every program that can read the file can sign
    #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_fd"])]
    pub(crate) no_passphrase: bool,
    /// Accept a passphrase of under 8 characters
    #[arg(long, conflicts_with = "no_passphrase", help_heading = "Passphrase")]
    pub(crate) weak: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

/// The forms in which a public key can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyFormat {
    /// A JSON Web Key (RFC 8037)
    Jwk,
    /// A JSON Web Key Set with this one key
    Jwks,
    /// SubjectPublicKeyInfo in PEM (RFC 8410)
    Pem,
    /// A line for OpenSSH
    Openssh,
    /// A did:key identifier
    Did,
    /// The 32 bytes in hex
    Hex,
    /// The key id: the RFC 7638 thumbprint
    Thumbprint,
}

/// Values of the `alg` member of a JWK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JwkAlgName {
    /// RFC 8037, which most programs know
    #[value(name = "EdDSA")]
    EdDsa,
    /// RFC 9864
    #[value(name = "Ed25519")]
    Ed25519,
}

/// Print the public part of a key
///
/// Never asks for the passphrase: the public part of a keyfile can be read without it.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid export
  mcpid export -k agent.json --format pem > agent.pem
  mcpid export --format jwks --jwk-alg EdDSA
  mcpid export --format thumbprint")]
pub(crate) struct ExportArgs {
    /// The keyfile, or ssh-agent:ID [env: MCPID_KEY]
    #[arg(short, long, value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    /// The form of the key
    #[arg(long, value_name = "FORMAT", default_value = "jwk")]
    pub(crate) format: KeyFormat,
    /// Give the JWK an alg member, for programs that require it
    #[arg(long, value_name = "ALG")]
    pub(crate) jwk_alg: Option<JwkAlgName>,
}

/// Change the passphrase of a keyfile
///
/// Asks for the present passphrase, then twice for the new one. It needs 8 characters or more, or
/// --weak. The file is replaced in one step: after a crash too, either the old or the new file is
/// there.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid passwd
  mcpid passwd -k agent.json
  mcpid passwd -k ci.json --passphrase-file old.pass --new-passphrase-file new.pass
  mcpid passwd -k agent.json --no-passphrase")]
pub(crate) struct PasswdArgs {
    /// The keyfile [env: MCPID_KEY]
    #[arg(short, long, value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// Read the new passphrase from this file; one trailing newline is dropped
    #[arg(long, value_name = "FILE", help_heading = "Passphrase")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Read the new passphrase from this open file descriptor; one trailing newline is dropped
    #[arg(long, value_name = "N", value_parser = descriptor, help_heading = "Passphrase")]
    pub(crate) new_passphrase_fd: Option<u32>,
    /// Do not encrypt any more: every program that can read the file can sign
    #[arg(long, conflicts_with_all = ["new_passphrase_file", "new_passphrase_fd"])]
    pub(crate) no_passphrase: bool,
    /// Accept a new passphrase of under 8 characters
    #[arg(long, conflicts_with = "no_passphrase", help_heading = "Passphrase")]
    pub(crate) weak: bool,
}

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
  ssh-keygen -y -f id_ed25519 | mcpid trust add --name bob -")]
pub(crate) struct TrustAddArgs {
    /// The key: a keyfile, JWK, PEM or OpenSSH public key file, - for stdin, a did:key, or
    /// ssh-agent:ID
    #[arg(value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
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
    /// The name or the id of the key
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
    /// The name or the id of the key
    #[arg(value_name = "NAME|KEYID")]
    pub(crate) key: String,
    /// The trust file [env: MCPID_TRUST]
    #[arg(short = 'r', long, value_name = "TRUST")]
    pub(crate) trust: Option<PathBuf>,
}

/// List and prune used nonces
///
/// A store keeps every used nonce for as long as a request with that nonce could be accepted. It
/// holds no nonce itself, only the SHA-256 of key id, a zero byte and nonce.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid nonce list
  mcpid nonce prune --nonces sqlite:/var/lib/mcpid/nonces.db")]
pub(crate) struct NonceArgs {
    #[command(subcommand)]
    pub(crate) act: NonceAct,
}

/// What can be done with a nonce store.
#[derive(Debug, Subcommand)]
pub(crate) enum NonceAct {
    /// Show which nonces are kept, and until when
    ///
    /// The nonces of a file are listed in the order in which they expire. Those of Redis servers
    /// are in no order: the primaries are asked one after the other, a page at a time, and nothing
    /// on them changes.
    #[command(after_long_help = "\
Examples:
  mcpid nonce list
  mcpid nonce list --json --nonces sqlite:nonces.db
  mcpid nonce list --nonces redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster")]
    List(NonceStoreArgs),
    /// Remove expired nonces
    ///
    /// Stores remove a few expired nonces with every request. This command is for a file that is
    /// not in use any more, or to remove all of them at once. Redis servers expire nonces by
    /// themselves: for them, the nonces that are kept are counted and nothing is removed.
    #[command(after_long_help = "\
Examples:
  mcpid nonce prune
  mcpid nonce prune --nonces sqlite:nonces.db")]
    Prune(NonceStoreArgs),
}

/// A nonce store.
#[derive(Args, Debug)]
pub(crate) struct NonceStoreArgs {
    /// The store, such as sqlite:PATH [env: MCPID_NONCES]
    #[arg(long, value_name = "STORE")]
    pub(crate) nonces: Option<String>,
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
}

/// What a command that opens a nonce store may allow.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct OpeningArgs {
    /// Use Redis servers that evict when full, so that a nonce can be used twice, unnoticed
    #[arg(long)]
    pub(crate) allow_evicting_store: bool,
}

/// What a command that claims nonces may allow: the flags that `verify` and `gateway` share.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ClaimingArgs {
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
    /// Make the store keep nonces for longer, if this window needs it; the store is then closed to
    /// all its users for about that window
    #[arg(long)]
    pub(crate) raise_retention: bool,
}
