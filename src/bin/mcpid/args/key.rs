//! The flags of the commands on keyfiles: `keygen`, `export` and `passwd`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mcpid::key::KeyKind;

use super::PassphraseArgs;
use super::values::{descriptor, name};

/// The flags that name a key to sign with, wherever it is.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SigningKeyArgs {
    /// The keyfile, ssh-agent:ID for a key in the ssh-agent, 'exec:PROGRAM ARG...' for a program
    /// that signs, or a pkcs11: URI for a key in a token [env: MCPID_KEY]
    #[arg(short, long, value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    /// The public key of KEY, which each signature must fit; needed for exec:
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
}

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
  mcpid keygen -o old.json --import id_ed25519.pem
  mcpid keygen -o shop.json --algorithm p256")]
pub(crate) struct KeygenArgs {
    /// The path of the new keyfile
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The name of the key; it can be read without the passphrase
    #[arg(long, value_name = "TEXT", value_parser = name)]
    pub(crate) name: Option<String>,
    /// The kind of key to make; profiles say which kinds may sign [default: ed25519]
    ///
    /// With --import: refuse a key of another kind. The 32 bytes of a private key in hex or base64
    /// are taken as one of this kind.
    #[arg(long, value_name = "ALG")]
    pub(crate) algorithm: Option<KeyAlgorithm>,
    /// Take the private key from this file, or - for stdin: JWK, PEM, OpenSSH, or its 32 bytes in
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

/// The kinds of keys, as flags name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyAlgorithm {
    /// Ed25519 (RFC 8032), for every profile
    Ed25519,
    /// ECDSA on P-256 with SHA-256, for profiles that allow it
    P256,
}

impl From<KeyAlgorithm> for KeyKind {
    fn from(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::Ed25519 => KeyKind::Ed25519,
            KeyAlgorithm::P256 => KeyKind::P256,
        }
    }
}

/// The forms in which a public key can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyFormat {
    /// A JSON Web Key (RFC 7517)
    Jwk,
    /// A JSON Web Key Set with this one key
    Jwks,
    /// SubjectPublicKeyInfo in PEM
    Pem,
    /// A line for OpenSSH
    Openssh,
    /// A did:key identifier
    Did,
    /// The key's bytes in hex: 32 of Ed25519, 65 of P-256
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
    /// RFC 7518, for keys of P-256
    #[value(name = "ES256")]
    Es256,
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
    #[command(flatten)]
    pub(crate) signing_key: SigningKeyArgs,
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
///
/// --remember changes nothing in the keyfile. It gives the passphrase to the Secret Service of your
/// session, such as GNOME's keyring, by the program secret-tool. Commands then find it there, and ask
/// no more. Every program of your session can read it while the keyring is unlocked.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid passwd
  mcpid passwd -k agent.json
  mcpid passwd -k ci.json --passphrase-file old.pass --new-passphrase-file new.pass
  mcpid passwd -k agent.json --no-passphrase
  mcpid passwd --remember
  mcpid passwd --forget")]
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
    /// Have the Secret Service of this session remember the present passphrase
    #[arg(
        long,
        conflicts_with_all = ["new_passphrase_file", "new_passphrase_fd", "no_passphrase", "weak", "forget"],
        help_heading = "Secret Service"
    )]
    pub(crate) remember: bool,
    /// Have the Secret Service forget the passphrase
    #[arg(
        long,
        conflicts_with_all = [
            "new_passphrase_file", "new_passphrase_fd", "no_passphrase", "weak", "passphrase_file",
            "passphrase_fd"
        ],
        help_heading = "Secret Service"
    )]
    pub(crate) forget: bool,
}
