//! Reads the flags of a gateway, and checks all that can be checked without listening.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mcpid::gateway::{Config, Upstream};
use mcpid::key::file_watch::FileWatch;
use mcpid::message::target::Origin;
use mcpid::net::{ListenAddress, ServerLimits, tls};
use mcpid::profile::Presence;
use mcpid::tower::{LearningModes, Modes, Paths, RefuseWith};
use rustls::{ClientConfig, ServerConfig};

use crate::args::pattern_flag::{self, Restricted};
use crate::args::{GatewayFlags, ModeName, RefusalStatus};
use crate::cmd::verify::verifier::VerifierSettings;
use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::{Ui, shell_word};

/// The largest file of certificates, in bytes.
const MAX_PEM_BYTES: u32 = 4 << 20;

/// The settings of a gateway, read and checked.
pub(crate) struct GatewaySettings {
    pub(crate) config: Config,
    pub(crate) judging: VerifierSettings,
    pub(crate) listen: ListenAddress,
    pub(crate) admin: Option<ListenAddress>,
    pub(crate) limits: ServerLimits,
    pub(crate) to_upstream: ClientConfig,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) watch: FileWatch,
    pub(crate) mode: ModeName,
}

impl GatewaySettings {
    /// Reads the flags, the trust files and the certificates.
    ///
    /// # Errors
    /// A flag or file cannot be used, or is not safe to use.
    pub(crate) fn read(args: &GatewayFlags, ui: &mut Ui) -> Result<Self, Failure> {
        let upstream = args.upstream.clone().ok_or_else(|| {
            Failure::usage("which server is behind? --upstream is missing").hint(
                "mcpid gateway --upstream http://127.0.0.1:8000/mcp --origin http://127.0.0.1:8080",
            )
        })?;
        if args.judging.origin.is_empty() {
            return Err(Failure::usage(
                "by which URL do clients know this server? --origin is missing",
            )
            .hint(format!(
                "mcpid gateway --upstream {upstream} --origin https://mcp.example.com"
            )));
        }
        if upstream.is_open_to_forgery() && !args.allow_remote_upstream {
            return Err(Failure::usage(format!(
                "--upstream {upstream} is another machine by plain http: whoever is on the way can \
                 forge Mcpid-Status"
            ))
            .hint("use https, or --allow-remote-upstream if the network between is yours alone"));
        }
        let profile = args.judging.profile.profile();
        if profile.nonce != Presence::Required {
            return Err(Failure::usage(format!(
                "the profile {} is for audits: a request that it accepts can be replayed",
                profile.name
            ))
            .hint("mcpid gateway --profile mcp"));
        }
        let listen =
            args.listen.clone().unwrap_or(ListenAddress::Tcp(([127, 0, 0, 1], 8080).into()));
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
        let config = config(args, upstream, ui)?;
        without_effect(args, &config.upstream)?;
        // Watching begins before the files are read, so that no change is missed in between.
        let watch = FileWatch::new(watched(args)?);
        let tls = match (&args.tls_cert, &args.tls_key) {
            (Some(chain), Some(key)) => Some(certificates(chain, key)?),
            _ => None,
        };
        let to_upstream = to_upstream(args.upstream_ca.as_deref(), &config.upstream)?;
        let judging = VerifierSettings::read(&args.judging, ui)?;
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
        let (admin, mode) = (args.admin.clone(), args.mode);
        Ok(GatewaySettings {
            config,
            judging,
            listen,
            admin,
            limits,
            to_upstream,
            tls,
            watch,
            mode,
        })
    }
}

fn config(args: &GatewayFlags, upstream: Upstream, ui: &mut Ui) -> Result<Config, Failure> {
    let mut config = Config::new(upstream);
    if let Some(path) = &args.path {
        config.paths =
            Paths::at(path).map_err(|e| Failure::usage(format!("--path: {}", chain(&e))))?;
    }
    config.paths = config.paths.with_upstream(config.upstream.path());
    for open in &args.open {
        config.paths = config
            .paths
            .with_open(open.clone())
            .map_err(|e| Failure::usage(format!("--open: {}", chain(&e))))?;
    }
    config.modes = modes(args, ui)?;
    let realm = args.realm.clone().unwrap_or_else(|| "mcp".to_owned());
    if args.realm.is_some() && args.refuse_with != RefusalStatus::Unauthorized {
        return Err(Failure::usage("--realm is for --refuse-with 401")
            .hint("mcpid gateway --refuse-with 401 --realm mcp"));
    }
    config.refuse_with = match args.refuse_with {
        RefusalStatus::Forbidden => RefuseWith::Forbidden,
        RefusalStatus::Unauthorized => RefuseWith::Unauthorized { realm },
        RefusalStatus::Ok => RefuseWith::Ok,
    };
    for origin in &args.allow_origin {
        // A web origin must be written as browsers write it, because the two are compared as text.
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
    config.preserve_host = args.preserve_host;
    config.trusted_proxies.clone_from(&args.trusted_proxy);
    let seconds = |given: Option<u32>| given.map(|seconds| Duration::from_secs(seconds.into()));
    config.connect_time = seconds(args.connect_timeout).unwrap_or(config.connect_time);
    config.answer_time = seconds(args.answer_timeout).unwrap_or(config.answer_time);
    config.body_time = seconds(args.body_timeout).unwrap_or(config.body_time);
    if let Some(budget) = args.budget {
        config.budget = usize::try_from(budget).unwrap_or(usize::MAX);
    }
    Ok(config)
}

/// Refuses flags that would have no effect, because a user who sets one expects an effect.
fn without_effect(args: &GatewayFlags, upstream: &Upstream) -> Result<(), Failure> {
    let nothing =
        |flag: &str, why: &str| Err(Failure::usage(format!("{flag} would change nothing: {why}")));
    let hinted = |refused: Result<(), Failure>, hint: String| refused.map_err(|e| e.hint(hint));
    let flag = |flag: &str, text: &str| format!("{flag} {}", shell_word(text));
    match (args.mode, args.strict.first(), args.permissive.first()) {
        (ModeName::Permissive, _, Some(text)) => {
            let permissive = flag("--permissive", text);
            let why = "--mode permissive lets everything through that is not strict";
            hinted(nothing(&permissive, why), format!("--mode strict {permissive}"))?;
        }
        (ModeName::Strict, Some(text), None) => {
            let strict = flag("--strict", text);
            let why = "--mode strict refuses everything that is not verified";
            hinted(nothing(&strict, why), format!("--mode permissive {strict}"))?;
        }
        _ => {}
    }
    if let Some(both) = args.permissive.iter().find(|text| args.strict.contains(text)) {
        nothing(&flag("--permissive", both), "it is --strict too, which wins")?;
    }
    if args.upstream_ca.is_some() && !upstream.is_tls() {
        let hint = "an upstream with TLS begins with https://".to_owned();
        hinted(nothing("--upstream-ca", "the upstream is reached without TLS"), hint)?;
    }
    if args.allow_remote_admin && args.admin.is_none() {
        let hint = "--admin 127.0.0.1:9090".to_owned();
        hinted(nothing("--allow-remote-admin", "there is no --admin"), hint)?;
    }
    Ok(())
}

fn modes(args: &GatewayFlags, ui: &mut Ui) -> Result<LearningModes, Failure> {
    let mut modes = match args.mode {
        ModeName::Strict => Modes::strict(),
        ModeName::Permissive => Modes::permissive(),
    };
    let mut destructive = false;
    for text in &args.strict {
        match pattern_flag::restricting("--strict", text, ui)? {
            Restricted::Destructive => destructive = true,
            Restricted::Pattern(pattern) => modes = modes.with_strict(pattern),
        }
    }
    for text in &args.permissive {
        if text == "destructive" {
            return Err(Failure::usage("--permissive destructive: that is what strict is for")
                .hint("mcpid gateway --mode permissive --strict destructive"));
        }
        modes = modes.with_permissive(pattern_flag::granting("--permissive", text, ui)?);
    }
    let modes = LearningModes::new(modes);
    Ok(if destructive { modes.with_destructive() } else { modes })
}

/// Reads certificates and their private key.
///
/// # Errors
/// The files cannot be read, or do not belong together.
pub(crate) fn certificates(chain_file: &Path, key: &Path) -> Result<Arc<ServerConfig>, Failure> {
    let (certificates, secret) = (pem(chain_file)?, pem(key)?);
    tls::server(&certificates, &secret).map_err(|error| {
        let about = match error {
            tls::TlsError::Key(_) => key,
            _ => chain_file,
        };
        Failure::new(Exit::Key, "certificate", format!("{}: {}", about.display(), chain(&error)))
    })
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
fn watched(args: &GatewayFlags) -> Result<Vec<PathBuf>, Failure> {
    let trusts = files::trusts(&args.judging.trust)?.into_iter().map(|place| place.path);
    let tls = args.tls_cert.iter().chain(&args.tls_key).chain(&args.upstream_ca).cloned();
    Ok(trusts.chain(tls).collect())
}
