//! The settings that `mcpid gateway` and `mcpid authz` share, as flags or as a file with the same
//! names.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mcpid::gateway::{AdminHost, TrustedProxy};
use mcpid::net::ListenAddress;
use mcpid::tower::OpenPath;

use super::values::{count, duration, size};
use super::{AuditArgs, ClaimingArgs, VerifierArgs};

/// What happens to a request that is not verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeName {
    /// It is refused
    #[default]
    Strict,
    /// It is passed on, with a label
    Permissive,
}

/// The HTTP status of a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RefusalStatus {
    /// Forbidden, which MCP clients report as a refusal
    #[default]
    #[value(name = "403")]
    Forbidden,
    /// Unauthorized, with WWW-Authenticate: HTTPSig; some clients then start an OAuth login
    #[value(name = "401")]
    Unauthorized,
    /// OK with a JSON-RPC error, for clients that hide the text of an error status
    #[value(name = "200")]
    Ok,
}

/// The flags of a server that judges requests.
#[derive(Args, Debug)]
pub(crate) struct FrontFlags {
    /// A TOML file with settings that are not given by flags
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Check flags, configuration, trust files and certificates, and exit
    #[arg(long)]
    pub(crate) check_config: bool,
    #[command(flatten)]
    pub(crate) verifier: VerifierArgs,
    /// The store of used nonces: memory:, sqlite:PATH, redis://HOST… [env: MCPID_NONCES] [default:
    /// a file of this user]
    #[arg(long, value_name = "STORE")]
    pub(crate) nonces: Option<String>,
    #[command(flatten)]
    pub(crate) claiming: ClaimingArgs,

    /// What to do with requests that are not verified
    #[arg(long, value_name = "MODE", default_value = "strict", help_heading = "Policy")]
    pub(crate) mode: ModeName,
    /// Refuse unverified requests for METHOD[:NAME], where * stands for any text, or for all tools
    /// that the server's own list does not call harmless (destructive); may be repeated
    #[arg(long, value_name = "P|destructive", help_heading = "Policy")]
    pub(crate) strict: Vec<String>,
    /// Let unverified requests for METHOD[:NAME] through, except where --strict applies; may be
    /// repeated
    #[arg(long, value_name = "P", help_heading = "Policy")]
    pub(crate) permissive: Vec<String>,
    /// Refuse requests for METHOD[:NAME], or for all tools that the server's own list does not call
    /// harmless (destructive), unless a person touched a security key for them; strict in every
    /// mode; may be repeated
    #[arg(long, value_name = "P|destructive", help_heading = "Policy")]
    pub(crate) touch: Vec<String>,
    /// The HTTP status of refusals
    #[arg(long, value_name = "STATUS", default_value = "403", help_heading = "Policy")]
    pub(crate) refuse_with: RefusalStatus,
    /// The realm that a 401 names [default: mcp]
    #[arg(long, value_name = "TEXT", help_heading = "Policy")]
    pub(crate) realm: Option<String>,

    /// Pass [METHOD ]PATH through without a signature; /* at its end includes all paths below; may
    /// be repeated
    #[arg(long, value_name = "PATH", help_heading = "Paths and pages")]
    pub(crate) open: Vec<OpenPath>,
    /// Log the client address that X-Forwarded-For names, if the request comes from a proxy at this
    /// address or in this network, or through the Unix socket (unix); may be repeated
    #[arg(long, value_name = "CIDR|unix", help_heading = "Paths and pages", value_parser = proxy)]
    pub(crate) trusted_proxy: Vec<TrustedProxy>,

    /// A PEM file of certificates to present, the server's own first; turns on TLS
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// A PEM file of the private key that belongs to --tls-cert
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Append one JSON line for each request to this file, not to stdout; opened anew on SIGHUP
    #[arg(long, value_name = "FILE", help_heading = "Operation")]
    pub(crate) log: Option<PathBuf>,
    /// The address at which to serve /healthz, /readyz and /metrics
    #[arg(long, value_name = "ADDR|unix:PATH", help_heading = "Operation")]
    pub(crate) admin: Option<ListenAddress>,
    /// Allow an --admin address that other machines can reach, also by names that exist only in
    /// private networks, such as gateway and gateway.monitoring.svc
    #[arg(long, help_heading = "Operation")]
    pub(crate) allow_remote_admin: bool,
    /// A further host name by which --admin may be asked; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "Operation")]
    pub(crate) admin_host: Vec<AdminHost>,
    /// The most connections at the same time, and the most requests that wait for the server
    /// [default: 10000, or what the limit on open files allows]
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Operation")]
    pub(crate) max_connections: Option<usize>,
    /// The memory for bodies that wait for their verdict, for all requests together; a quarter of
    /// it is reserved for valid signatures [default: 256MiB]
    #[arg(long, value_name = "N", value_parser = size, help_heading = "Operation")]
    pub(crate) budget: Option<u64>,
    /// How long a client may take to send a request's head [default: 10s]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Operation")]
    pub(crate) head_timeout: Option<u32>,
    /// How long a client may take to send a request's body [default: 30s]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Operation")]
    pub(crate) body_timeout: Option<u32>,
    /// How long a connection may be idle, and how long its client may read nothing of a response
    /// [default: 75s]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Operation")]
    pub(crate) idle_timeout: Option<u32>,
    /// How long requests in flight may take after the process was told to stop [default: 30s]
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Operation")]
    pub(crate) drain_timeout: Option<u32>,
    #[command(flatten)]
    pub(crate) audit: AuditArgs,
}

fn proxy(text: &str) -> Result<TrustedProxy, String> {
    text.parse().map_err(|error: mcpid::gateway::TrustedProxyError| error.to_string())
}
