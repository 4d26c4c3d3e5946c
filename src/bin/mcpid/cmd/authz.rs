//! `mcpid authz`: tells another proxy, which asks about each request, whether to pass it on.

use mcpid::gateway::{AuthzDialect, AuthzProtocol, GatewayConfig};
use mcpid::mcp::tools::Tools;
use mcpid::tower::Paths;

use crate::args::{AuthzArgs, Command, RefusalStatus};
use crate::cmd::gateway;
use crate::cmd::gateway::policy::without_effect;
use crate::cmd::gateway::settings::{
    GatewaySettings, allow_origins, endpoint, origin_given, setting_hint,
};
use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::Ui;

/// The maximum size of the file with a list of tools, in bytes.
const MAX_TOOLS_BYTES: u64 = 4 << 20;

/// Serves until a signal stops the program.
pub(crate) fn run(args: &AuthzArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let serve = |args: &AuthzArgs, ui: &mut Ui| gateway::serve(read(args, ui)?, &args.front, ui);
    match &args.front.config {
        None => serve(args, ui),
        Some(path) => gateway::with_file("authz", path, ui, |command, ui| match command {
            Command::Authz(args) => serve(&args, ui),
            _ => Err(gateway::changed_command()),
        }),
    }
}

/// Reads the flags of `authz`, the trust files, the certificates and the list of tools.
///
/// # Errors
/// A flag or file cannot be used, or would not be safe.
fn read(args: &AuthzArgs, ui: &mut Ui) -> Result<GatewaySettings, Failure> {
    let listen = args.listen.clone().ok_or_else(|| {
        let line = "listen = \"127.0.0.1:9001\"";
        let command = "authz --listen 127.0.0.1:9001 --origin https://mcp.example.com";
        Failure::usage("where does the proxy ask? --listen is missing").hint(setting_hint(
            &args.front,
            line,
            command,
        ))
    })?;
    origin_given(&args.front, &format!("authz --listen {listen}"))?;
    match (listen.is_local(), args.allow_remote) {
        (false, false) => {
            return Err(Failure::usage(format!(
                "--listen {listen} can be reached by other machines: an attacker between proxy \
                 and authz can let any request through"
            ))
            .hint("--listen 127.0.0.1:9001 or --listen unix:authz.sock, or --allow-remote"));
        }
        (true, true) => {
            let why = format!("--listen {listen} cannot be reached by other machines");
            return Err(without_effect("--allow-remote", &why));
        }
        _ => {}
    }
    if args.front.refuse_with == RefusalStatus::Ok {
        return Err(Failure::usage(
            "--refuse-with 200: the proxy lets a request through if the answer is 200",
        )
        .hint("--refuse-with 403"));
    }
    let mut protocol = AuthzProtocol::new(args.dialect.dialect());
    if let Some(prefix) = &args.path_prefix {
        if protocol.dialect != AuthzDialect::Envoy {
            let why = "Traefik names the path in X-Forwarded-Uri";
            return Err(without_effect("--path-prefix", why));
        }
        let path = Paths::at(prefix).map_err(|e| format!("--path-prefix: {}", chain(&e)));
        path.map_err(Failure::usage)?;
        protocol.path_prefix.clone_from(prefix);
    }
    let mut config = GatewayConfig::authorizer(protocol);
    if let Some(path) = &args.path {
        config.paths = endpoint(path)?;
    }
    allow_origins(&mut config, &args.allow_origin)?;
    let is_destructive = |texts: &[String]| texts.iter().any(|text| text == "destructive");
    let flags = [("--strict", &args.front.strict), ("--touch", &args.front.touch)];
    let destructive = flags.into_iter().find(|(_, texts)| is_destructive(texts));
    match (&args.tools, destructive) {
        (None, Some((flag, _))) => {
            return Err(Failure::usage(format!(
                "{flag} destructive needs --tools: answers of the server are not seen here"
            ))
            .hint("--tools FILE, which holds the server's answer to tools/list"));
        }
        (Some(_), None) => {
            let why = "no rule depends on the list of tools";
            return Err(without_effect("--tools", why).hint("--strict destructive"));
        }
        _ => {}
    }
    let settings = GatewaySettings::front(&args.front, "authz", (config, listen), None, ui)?;
    if let Some(path) = &args.tools {
        let list = files::open_quietly(Some(path))?.read(MAX_TOOLS_BYTES)?;
        let listed = Tools::new().learn(&list).map_err(|error| {
            let message = format!("--tools {}: {}", path.display(), chain(&error));
            Failure::new(Exit::Input, "tools", message)
        })?;
        if listed.listed == 0 {
            let words = format!("--tools {}: it lists no tool", path.display());
            return Err(Failure::new(Exit::Input, "tools", words));
        }
        settings.config.modes.learn(&list);
    }
    Ok(settings)
}
