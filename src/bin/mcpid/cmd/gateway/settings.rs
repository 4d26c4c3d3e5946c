//! Reads the flags of `gateway` and `authz`, and checks everything that can be checked before
//! listening.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mcpid::clock::Timestamp;
use mcpid::gateway::{AuthzDialect, GatewayConfig, GatewayRole, Upstream};
use mcpid::key::file_watch::FileWatch;
use mcpid::message::target::{Origin, TargetForm, normal_path_and_query};
use mcpid::net::{ListenAddress, ServerLimits, tls};
use mcpid::profile::Profile;
use mcpid::tower::Paths;
use rustls::{ClientConfig, ServerConfig};

use crate::args::{FrontFlags, GatewayFlags, ModeName};
use crate::cmd::verify::verifier::VerifierSettings;
use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::{Ui, path_word, shell_word};

use super::known_tools::KnownToolsSettings;
use super::policy::{self, without_effect};

/// The maximum size of a file with certificates, in bytes.
const MAX_PEM_BYTES: u32 = 4 << 20;

/// The settings of a gateway, read and checked.
pub(crate) struct GatewaySettings {
    pub(crate) config: GatewayConfig,
    pub(crate) verifier_settings: VerifierSettings,
    pub(crate) listen: ListenAddress,
    pub(crate) admin: Option<ListenAddress>,
    pub(crate) limits: ServerLimits,
    pub(crate) to_upstream: ClientConfig,
    pub(crate) tls: Option<ServedCertificates>,
    pub(crate) watch: FileWatch,
    pub(crate) mode: ModeName,
    /// How the gateway finds out the upstream's tools, if a mode depends on them.
    pub(crate) tools: Option<KnownToolsSettings>,
    /// The file with the certificate authorities for connections to the upstream.
    upstream_ca: Option<PathBuf>,
}

impl GatewaySettings {
    /// Reads the flags of `gateway`, the trust files and the certificates.
    ///
    /// # Errors
    /// A flag or file cannot be used, or is not safe to use.
    pub(crate) fn read(args: &GatewayFlags, ui: &mut Ui) -> Result<Self, Failure> {
        let upstream = args.upstream.clone().ok_or_else(|| {
            let line = "upstream = \"http://127.0.0.1:8000/mcp\"";
            let command =
                "gateway --upstream http://127.0.0.1:8000/mcp --origin http://127.0.0.1:8080";
            Failure::usage("which server is behind? --upstream is missing").hint(setting_hint(
                &args.front,
                line,
                command,
            ))
        })?;
        origin_given(&args.front, &format!("gateway --upstream {upstream}"))?;
        if upstream.is_open_to_forgery() && !args.allow_remote_upstream {
            return Err(Failure::usage(format!(
                "--upstream {upstream} is another machine by plain http: whoever is on the way can \
                 forge Mcpid-Status"
            ))
            .hint("use https, or --allow-remote-upstream if the network between is yours alone"));
        }
        let listen =
            args.listen.clone().unwrap_or(ListenAddress::Tcp(([127, 0, 0, 1], 8080).into()));
        let mut config = GatewayConfig::new(upstream.clone());
        if let Some(path) = &args.path {
            config.paths = endpoint(path)?;
        }
        config.paths = config.paths.with_upstream(upstream.path());
        config.preserve_host = args.preserve_host;
        let seconds = |given: Option<u32>| given.map(|seconds| Duration::from_secs(seconds.into()));
        config.connect_time = seconds(args.connect_timeout).unwrap_or(config.connect_time);
        config.answer_time = seconds(args.answer_timeout).unwrap_or(config.answer_time);
        allow_origins(&mut config, &args.allow_origin)?;
        if args.upstream_ca.is_some() && !upstream.is_tls() {
            let why = "the upstream is reached without TLS";
            let hint = "an upstream with TLS begins with https://".to_owned();
            return Err(without_effect("--upstream-ca", why).hint(hint));
        }
        let roots = args.upstream_ca.as_deref();
        let mut settings =
            GatewaySettings::front(&args.front, "gateway", (config, listen), roots, ui)?;
        settings.to_upstream = to_upstream(roots, &upstream)?;
        settings.tools = KnownToolsSettings::read(args, &upstream, ui)?;
        Ok(settings)
    }

    /// Reads the flags that both commands share, the trust files and the certificates. `command` is
    /// the name of the command, for hints.
    ///
    /// # Errors
    /// A flag or file cannot be used, or would not be safe.
    pub(crate) fn front(
        args: &FrontFlags,
        command: &str,
        (mut config, listen): (GatewayConfig, ListenAddress),
        upstream_ca: Option<&Path>,
        ui: &mut Ui,
    ) -> Result<Self, Failure> {
        let profile = args.verifier.profile.profile();
        if let Some(why) = profile.server_fault() {
            return Err(Failure::usage(format!(
                "the profile {} is not for servers: {why}",
                profile.name
            ))
            .hint(format!("mcpid {command} --profile mcp")));
        }
        if let Some(admin) = &args.admin
            && !admin.is_local()
            && !args.allow_remote_admin
        {
            return Err(Failure::usage(format!(
                "--admin {admin} can be reached by other machines, and shows which client calls which tool"
            ))
            .hint("--admin 127.0.0.1:9090, or --allow-remote-admin"));
        }
        let by_socket = matches!(listen, ListenAddress::Unix(_));
        if args.trusted_proxy.iter().any(|proxy| proxy.is_unix()) != by_socket
            && !args.trusted_proxy.is_empty()
        {
            let proxy = if by_socket { "unix" } else { "127.0.0.1" };
            return Err(Failure::usage(format!(
                "--trusted-proxy names no proxy that can connect to --listen {listen}"
            ))
            .hint(format!("--trusted-proxy {proxy}")));
        }
        endpoint_is_normal(&profile, config.paths.endpoint())?;
        policy::apply(args, &profile, &mut config, ui)?;
        let needs_admin = [
            ("--allow-remote-admin", args.allow_remote_admin),
            ("--admin-host", !args.admin_host.is_empty()),
        ];
        if let (None, Some((flag, _))) = (&args.admin, needs_admin.iter().find(|(_, given)| *given))
        {
            return Err(without_effect(flag, "there is no --admin").hint("--admin 127.0.0.1:9090"));
        }
        // The files are watched from before they are read, so that no change in between is missed.
        let watch = FileWatch::new(watched(args, upstream_ca)?);
        let tls = match (&args.tls_cert, &args.tls_key) {
            (Some(chain), Some(key)) => Some(certificates(chain, key)?),
            _ => None,
        };
        let verifier_settings = VerifierSettings::read(&args.verifier, ui)?;
        if !config.touch.is_empty()
            && !verifier_settings.trusted().any(|key| key.security_key().is_some())
        {
            ui.warning(
                "--touch: no trusted key is a security key, so every such request is refused",
            );
        }
        let mut limits = ServerLimits::default();
        let seconds = |given: Option<u32>, into: &mut Duration| {
            if let Some(seconds) = given {
                *into = Duration::from_secs(u64::from(seconds));
            }
        };
        seconds(args.head_timeout, &mut limits.head_time);
        seconds(args.idle_timeout, &mut limits.idle);
        seconds(args.drain_timeout, &mut limits.drain);
        if let Some(count) = args.max_connections {
            limits.connections = count;
        }
        let to_upstream = tls::client_without_roots()
            .map_err(|error| Failure::new(Exit::Key, "certificate", chain(&error)))?;
        let (admin, mode) = (args.admin.clone(), args.mode);
        let upstream_ca = upstream_ca.map(Path::to_owned);
        Ok(GatewaySettings {
            config,
            verifier_settings,
            listen,
            admin,
            limits,
            to_upstream,
            tls,
            watch,
            mode,
            tools: None,
            upstream_ca,
        })
    }

    /// Returns the upstream of a gateway.
    pub(crate) fn upstream(&self) -> Option<&Upstream> {
        match &self.config.role {
            GatewayRole::Proxy(upstream) => Some(upstream),
            _ => None,
        }
    }

    /// Returns the name of the dialect in which another proxy asks; `None` for `gateway`.
    pub(crate) fn dialect(&self) -> Option<&'static str> {
        match &self.config.role {
            GatewayRole::Authorizer(protocol) if protocol.dialect == AuthzDialect::Envoy => {
                Some("envoy")
            }
            GatewayRole::Authorizer(_) => Some("traefik"),
            _ => None,
        }
    }

    /// Returns a text that names the upstream or the dialect, for messages.
    pub(crate) fn described(&self) -> String {
        match self.upstream() {
            Some(upstream) => format!("before {upstream}"),
            None => format!("for {}", self.dialect().unwrap_or_default()),
        }
    }

    /// Returns the file with the certificate authorities for connections to the upstream.
    pub(crate) fn roots(&self) -> Option<(PathBuf, Upstream)> {
        Some((self.upstream_ca.clone()?, self.upstream()?.clone()))
    }
}

/// Checks that at least one public origin is given. `command` is the command line so far, for the
/// hint.
pub(crate) fn origin_given(args: &FrontFlags, command: &str) -> Result<(), Failure> {
    if !args.verifier.origin.is_empty() {
        return Ok(());
    }
    let command = format!("{command} --origin https://mcp.example.com");
    let line = "origin = [\"https://mcp.example.com\"]";
    Err(Failure::usage("by which URL do clients know this server? --origin is missing")
        .hint(setting_hint(args, line, &command)))
}

/// Returns a hint that shows how to add a setting: as `line` in the configuration file, or else
/// with the command-line arguments `command`.
pub(crate) fn setting_hint(args: &FrontFlags, line: &str, command: &str) -> String {
    match &args.config {
        Some(path) => format!("in {}: {line}", path_word(path)),
        None => format!("mcpid {command}"),
    }
}

/// Parses the path of the endpoint (`--path`).
pub(crate) fn endpoint(path: &str) -> Result<Paths, Failure> {
    Paths::at(path).map_err(|e| Failure::usage(format!("--path: {}", chain(&e))))
}

/// Adds web origins. They must be spelt as browsers send them, because they are compared as text.
pub(crate) fn allow_origins(config: &mut GatewayConfig, origins: &[String]) -> Result<(), Failure> {
    for origin in origins {
        let web = origin.starts_with("http://") || origin.starts_with("https://");
        let as_browsers = Origin::parse(origin).is_ok_and(|o| o.to_string() == *origin);
        if origin.eq_ignore_ascii_case("null") || origin.contains('*') || (web && !as_browsers) {
            return Err(Failure::usage(format!(
                "--allow-origin {origin}: not an origin as browsers write it, such as \
                 https://app.example.com"
            )));
        }
        config.allow_origins.push(origin.clone());
    }
    Ok(())
}

/// Checks that `--path` is in the normal form of RFC 3986 section 6.2.2 if the profile signs paths
/// in that form. No signed request could ever match another spelling.
fn endpoint_is_normal(profile: &Profile, endpoint: &str) -> Result<(), Failure> {
    let normal = normal_path_and_query(endpoint);
    if profile.target != TargetForm::Rfc3986 || normal.as_deref() == Ok(endpoint) {
        return Ok(());
    }
    let failure = Failure::usage(format!(
        "--path {endpoint}: the profile {} signs paths in normal form, so no request gets there",
        profile.name
    ));
    Err(match normal {
        Ok(normal) => failure.hint(format!("--path {}", shell_word(&normal))),
        Err(_) => failure,
    })
}

/// Reads certificates and their private key.
///
/// # Errors
/// The files cannot be read, or do not belong together.
pub(crate) fn certificates(chain_file: &Path, key: &Path) -> Result<ServedCertificates, Failure> {
    let (certificates, secret) = (pem(chain_file)?, pem(key)?);
    let served = tls::server(&certificates, &secret)
        .and_then(|config| Ok(ServedCertificates { config, expiry: tls::expiry(&certificates)? }));
    served.map_err(|error| {
        let about = match error {
            tls::TlsError::Key(_) => key,
            _ => chain_file,
        };
        Failure::new(Exit::Key, "certificate", format!("{}: {}", about.display(), chain(&error)))
    })
}

/// Certificates that the gateway presents, and when the first of them expires.
pub(crate) struct ServedCertificates {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) expiry: Timestamp,
}

/// Returns the TLS settings for connections to the upstream.
///
/// # Errors
/// The file of authorities cannot be read, or holds no certificates.
pub(crate) fn to_upstream(
    roots: Option<&Path>,
    upstream: &Upstream,
) -> Result<ClientConfig, Failure> {
    let pem = roots.map(pem).transpose()?;
    let config = match &pem {
        Some(pem) => tls::client(Some(pem)),
        None if upstream.is_tls() => tls::client(None),
        // Reading all certificate authorities of the machine takes longer than the rest of the
        // start. So it is done only if the upstream uses https.
        None => tls::client_without_roots(),
    };
    config.map_err(|error| {
        let about = roots.map(|p| format!("{}: ", p.display())).unwrap_or_default();
        Failure::new(Exit::Key, "certificate", format!("{about}{}", chain(&error)))
    })
}

fn pem(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, Failure> {
    files::open_quietly(Some(path))?.read_secret(MAX_PEM_BYTES)
}

/// Returns the files that are watched for changes.
fn watched(args: &FrontFlags, upstream_ca: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    let trusts = files::trusts(&args.verifier.trust)?.into_iter().map(|place| place.path);
    let others = args.tls_cert.iter().chain(&args.tls_key).chain(&args.audit.witness_policy);
    let others = others.cloned().chain(upstream_ca.map(Path::to_owned));
    Ok(trusts.chain(others).collect())
}
