//! The commands on what is kept: keyfiles (`keygen`, `export`, `passwd`) and the trust file.

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
/// The passphrase is asked for twice. An empty answer generates one of seven words and shows it
/// once. One of under 8 characters needs --weak.
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
    /// What to call the key; readable without the passphrase
    #[arg(long, value_name = "TEXT", value_parser = name)]
    pub(crate) name: Option<String>,
    /// Take the private key from this file, or - for stdin: JWK, PKCS#8 PEM, OpenSSH, or the seed in
    /// hex or base64
    #[arg(long, value_name = "FILE")]
    pub(crate) import: Option<PathBuf>,
    /// Do not encrypt: whoever can read the file can sign
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

/// What a JWK can say in `alg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JwkAlgName {
    /// RFC 8037: what most programs know
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
    /// In which form
    #[arg(long, value_name = "FORMAT", default_value = "jwk")]
    pub(crate) format: KeyFormat,
    /// Give the JWK an alg member, for programs that insist on one
    #[arg(long, value_name = "ALG")]
    pub(crate) jwk_alg: Option<JwkAlgName>,
}

/// Change the passphrase of a keyfile
///
/// Asks for the present passphrase, then twice for the new one, which has 8 characters or more
/// unless --weak says otherwise. The file is replaced in one step:
/// whatever happens, either the old or the new one is there.
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
    /// Do not encrypt any more: whoever can read the file can sign
    #[arg(long, conflicts_with_all = ["new_passphrase_file", "new_passphrase_fd"])]
    pub(crate) no_passphrase: bool,
    /// Accept a new passphrase of under 8 characters
    #[arg(long, conflicts_with = "no_passphrase", help_heading = "Passphrase")]
    pub(crate) weak: bool,
}

/// Say whose signatures count
///
/// The trust file is a JSON Web Key Set, so that any JOSE tool can read it; each key may have a name,
/// client ids, a time of validity and a list of what it is allowed to do.
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
/// Without a KEY, the public part of the default key is added.
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
    /// What to call the key; the keyfile's own name where it has one
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
    /// What the key may do, METHOD[:NAME] with * for anything; may be repeated; everything, where
    /// none is given
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

/// Revoke a key, so that nothing it signs counts any more
///
/// The entry stays, so that verdicts can say that the key was revoked, and when.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid trust revoke alice
  mcpid trust revoke --at 2026-11-23T10:00:00Z alice")]
pub(crate) struct TrustRevokeArgs {
    /// Which key
    #[arg(value_name = "NAME|KEYID")]
    pub(crate) key: String,
    /// The trust file [env: MCPID_TRUST]
    #[arg(short = 'r', long, value_name = "TRUST")]
    pub(crate) trust: Option<PathBuf>,
    /// Since when: RFC 3339 or @UNIX; now, where it is not given
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
    /// Which key
    #[arg(value_name = "NAME|KEYID")]
    pub(crate) key: String,
    /// The trust file [env: MCPID_TRUST]
    #[arg(short = 'r', long, value_name = "TRUST")]
    pub(crate) trust: Option<PathBuf>,
}

/// Look after the nonces that were used
///
/// A store keeps every nonce for as long as a request that bears it could be accepted anywhere. It
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
    /// Show what is kept, and until when
    ///
    /// A file is listed in the order of ends, Redis servers in none: the primaries are asked one
    /// after the other, a page at a time, and nothing on them changes.
    #[command(after_long_help = "\
Examples:
  mcpid nonce list
  mcpid nonce list --json --nonces sqlite:nonces.db
  mcpid nonce list --nonces redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster")]
    List(NonceStoreArgs),
    /// Remove what is needed no longer
    ///
    /// Stores do so by themselves, a little with every request; this is for a file that nobody uses
    /// any more, or to get it done at once. Redis servers need no requests for that: there, what is
    /// still kept is counted and nothing is removed.
    #[command(after_long_help = "\
Examples:
  mcpid nonce prune
  mcpid nonce prune --nonces sqlite:nonces.db")]
    Prune(NonceStoreArgs),
}

/// Which store.
#[derive(Args, Debug)]
pub(crate) struct NonceStoreArgs {
    /// The store, such as sqlite:PATH [env: MCPID_NONCES]
    #[arg(long, value_name = "STORE")]
    pub(crate) nonces: Option<String>,
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
}

/// What whoever opens a nonce store may allow.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct OpeningArgs {
    /// Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed
    #[arg(long)]
    pub(crate) allow_evicting_store: bool,
}

/// What whoever claims in a nonce store may allow: the flags that `verify` and `gateway` share.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ClaimingArgs {
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
    /// Make the store keep nonces for longer, where this window needs it; that closes it for all
    /// its users for about that window
    #[arg(long)]
    pub(crate) raise_retention: bool,
}
