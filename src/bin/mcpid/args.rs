//! The command-line grammar: every command and flag. Man pages and completions are made from it.
//!
//! Commands on a request or a key are verbs (`sign`, `export`). Commands on stored things are a
//! noun and a verb (`trust add`). A flag has the same meaning in all commands, and only common
//! flags have a short form.

mod agent;
mod audit;
mod audit_archive;
mod audit_show;
mod audit_witness;
mod authz;
mod connect;
pub(crate) mod coverage_flags;
mod environment;
pub(crate) mod flag_syntax;
mod front_flags;
mod gateway;
mod gateway_flags;
mod key;
pub(crate) mod misplaced_secret;
mod nonce;
pub(crate) mod pattern_flag;
mod pattern_help;
mod request;
pub(crate) mod rerun_hint;
mod trust;
pub(crate) mod usage_error;
pub(crate) mod values;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

pub(crate) use agent::{AgentAct, AgentAddArgs, AgentArgs};
pub(crate) use audit::{
    AuditAct, AuditArgs, AuditCheckArgs, AuditCommand, AuditConsistencyArgs, AuditCosignArgs,
    AuditInitArgs, AuditPins, AuditPolicy, AuditProveArgs, AuditReportArgs, AuditSync,
    AuditVerifyArgs, ProofFormat,
};
pub(crate) use audit_archive::{
    AuditArchiveArgs, AuditArchives, AuditEraseArgs, AuditFolder, AuditKeyArgs,
};
pub(crate) use audit_show::{AuditFormat, AuditShowArgs};
pub(crate) use audit_witness::AuditWitnessArgs;
pub(crate) use authz::AuthzArgs;
pub(crate) use connect::{ClientName, ConfirmVia, ConnectArgs};
pub(crate) use front_flags::{FrontFlags, ModeName, RefusalStatus};
pub(crate) use gateway::{GatewayAct, GatewayArgs, GatewayReportArgs};
pub(crate) use gateway_flags::GatewayFlags;
pub(crate) use key::{
    ExportArgs, JwkAlgName, KeyAlgorithm, KeyFormat, KeygenArgs, PasswdArgs, SigningKeyArgs,
};
pub(crate) use nonce::{ClaimingArgs, NonceAct, NonceArgs, NonceStoreArgs, OpeningArgs};
pub(crate) use request::{
    InspectArgs, ProfileName, SignArgs, SignFormat, VerifierArgs, VerifyArgs,
};
pub(crate) use trust::{
    TrustAct, TrustAddArgs, TrustArgs, TrustListArgs, TrustRemoveArgs, TrustRevokeArgs,
};
use values::descriptor;
pub(crate) use values::{JudgeTime, Ttl};

/// Proves who authorised exactly this MCP request.
///
/// OAuth tells a server that a session is valid. mcpid adds, beside it and never instead of it, an
/// Ed25519 signature (RFC 9421) over each request: its target, its exact body and its MCP headers,
/// with a time window and a nonce that can be used once.
#[derive(Debug, Parser)]
#[command(
    name = "mcpid",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_long_help = AFTER
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) mode: OutputArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Examples:
  mcpid demo
  mcpid keygen && mcpid trust add
  mcpid sign --url https://mcp.example.com/mcp --format curl body.json
  mcpid verify --at capture session.har

Files:
  ~/.config/mcpid/key.json    the default keyfile (on Linux; elsewhere in the user's own
                              configuration folder)
  ~/.config/mcpid/trust.json  the default trust file
  ~/.local/state/mcpid/nonces.db  the default nonce store (elsewhere in the user's own local data
                              folder)
  ~/.local/state/mcpid/audit  the default audit log of the audit commands, likewise";

/// The exit codes, as `mcpid --help` and every man page list them.
pub(crate) const EXIT_STATUS: &str = "  0    done; for verify: accepted
  1    judged, and the answer is no
  2    flags or arguments are wrong
  3    cannot read or write, output exists, or not an HTTP/1.1 request
  4    keyfile or trust file: wrong passphrase, none to be had, damaged, too open
  5    could not judge: nonce store, upstream or listener
  101  a fault of mcpid
  130  interrupted";

impl Cli {
    /// Returns the grammar with generated sections: the `--help` of each command names the
    /// variables that it reads, and that of the program lists the exit codes.
    pub(crate) fn grammar() -> clap::Command {
        let root = pattern_help::explain_patterns(Cli::command());
        let root = environment::name_variables(root, "");
        let help = root.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        root.after_long_help(format!("{help}\n\nExit status:\n{EXIT_STATUS}"))
    }
}

/// The flags of every command that choose the form of its output.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct OutputArgs {
    /// Print results, and failures on stderr, as JSON
    #[arg(long, global = true, display_order = 900, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print only failures and warnings on stderr
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        display_order = 901,
        help_heading = "Output"
    )]
    pub(crate) quiet: bool,
    /// Print more on stderr
    #[arg(short, long, global = true, display_order = 900, help_heading = "Output")]
    pub(crate) verbose: bool,
}

/// The commands, in the order of the manual.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoArgs),
    Keygen(KeygenArgs),
    Sign(Box<SignArgs>),
    Verify(Box<VerifyArgs>),
    Inspect(InspectArgs),
    Export(ExportArgs),
    Passwd(PasswdArgs),
    Trust(TrustArgs),
    Nonce(NonceArgs),
    Gateway(Box<GatewayArgs>),
    Connect(Box<ConnectArgs>),
    Agent(AgentArgs),
    Authz(Box<AuthzArgs>),
    Audit(AuditCommand),
    Help(HelpArgs),
    /// Print the version
    #[command(after_long_help = "Examples:\n  mcpid version\n  mcpid version --json")]
    Version,
    #[command(hide = true)]
    Generate(GenerateArgs),
}

/// Show in one run what mcpid accepts and refuses
///
/// Makes a key, starts a real gateway on loopback, and sends it a signed request (accepted), the
/// same bytes again (refused), one changed byte (refused), an old one (refused) and an unsigned one
/// (refused). All files are in a temporary folder that is removed afterwards.
///
/// Exits with 0 only if every step ended as expected.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid demo
  mcpid demo --json
  mcpid demo --quiet && echo it works here")]
pub(crate) struct DemoArgs {}

/// Show how a command is used
///
/// The same as --help after the command.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid help
  mcpid help sign
  mcpid help trust add")]
pub(crate) struct HelpArgs {
    /// The command, of one or two words
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Write man pages or completions into a folder
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = false,
    after_long_help = "\
Examples:
  mcpid generate man man
  mcpid generate completions completions"
)]
pub(crate) struct GenerateArgs {
    #[command(subcommand)]
    pub(crate) what: GenerateWhat,
}

/// What can be generated.
#[derive(Debug, Subcommand)]
pub(crate) enum GenerateWhat {
    /// Write a man page for every command and an overview
    #[command(after_long_help = "Examples:\n  mcpid generate man man\n  man -l man/mcpid-sign.1")]
    Man(GenerateDir),
    /// Write completions for bash, zsh, fish, PowerShell and elvish
    #[command(
        after_long_help = "Examples:\n  mcpid generate completions completions\n  . completions/mcpid.bash"
    )]
    Completions(GenerateDir),
}

/// Where generated files go.
#[derive(Args, Debug)]
pub(crate) struct GenerateDir {
    /// The folder; it must exist, and files in it are replaced
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// The flags that say where the passphrase of a keyfile comes from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PassphraseArgs {
    /// Read the passphrase from this file; one trailing newline is dropped
    #[arg(long, value_name = "FILE", help_heading = "Passphrase")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Read the passphrase from this open file descriptor; one trailing newline is dropped
    #[arg(long, value_name = "N", value_parser = descriptor, help_heading = "Passphrase")]
    pub(crate) passphrase_fd: Option<u32>,
}
