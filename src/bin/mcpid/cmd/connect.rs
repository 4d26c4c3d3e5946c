//! `mcpid connect`: the bridge that signs the requests of an unmodified client.

mod bridge_log;
mod check;
mod config;
mod headers;
pub(crate) mod network;
mod streams;
mod touch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mcpid::audit::witness::WitnessNews;
use mcpid::clock::SystemClock;
use mcpid::connect::consent::ConfirmPolicy;
use mcpid::connect::{Bridge, ConsentVia, LoopbackAccess, StdioEnd};
use mcpid::key::source::EXEC;
use mcpid::key::{PublicKey, format, trust};
use mcpid::mcp::setting::Restricting;
use mcpid::message::target::Origin;
use mcpid::net::{DialRoute, Dialer, ListenAddress, Listener, Server, ServerLimits};
use mcpid::sign::{Nonce, Signer};
use rand::rngs::SysRng;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::pattern_flag;
use crate::args::{ConfirmVia, ConnectArgs, OutputArgs, Ttl, values};
use crate::cmd::audit::{open, witnessing};
use crate::input::files;
use crate::keys::request_key::{self, OpenedKey, RequestKey};
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain, reason};
use crate::output::ui::{Ui, shell_word};
use crate::prompt::consent::{self, ConsentAsker, ConsentWay};
use crate::prompt::terminal;
use bridge_log::BridgeLog;
use touch::TouchFlags;

/// Maximum time to establish a connection: name lookup, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the bridge until the client is done.
pub(crate) fn run(args: &ConnectArgs, mode: OutputArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    // Flags, keyfile, log file and TLS roots are checked before a person is asked for a passphrase.
    // The audit log and the witnesses are opened after that.
    let plan = ConnectPlan::of(args)?;
    let confirm = restricting("confirm", &args.confirm, ui)?;
    let touch = TouchFlags::read(args, ui)?;
    let signing_key = RequestKey::find(&args.signing_key)?;
    signing_key.check_kind(&args.profile.profile())?;
    if let Some(client) = args.print_config {
        config::print(client, args, &plan.host, ui)?;
        if signing_key.needs_passphrase() && args.passphrase.passphrase_file.is_none() {
            let hint = "the key needs a passphrase or PIN: let the client set MCPID_ASKPASS, add \
                        --passphrase-file FILE, or keep the key in the ssh-agent (mcpid agent add) \
                        and use -k ssh-agent:";
            ui.hint(hint);
        }
        return Ok(Exit::Ok);
    }
    let fields = headers::from_flags(&args.header)?;
    let log_writer = BridgeLog::open(args.log_file.as_deref(), mode, ui.secret_filter().clone())?;
    let source = signing_key.source(&args.passphrase, ui)?;
    let roots = network::roots(args, plan.is_https)?;
    if plan.is_open_to_all {
        ui.warning(&format!(
            "http without TLS: everyone on the way to {} can read along",
            plan.host
        ));
    }
    let (name, is_slow) = (signing_key.name().to_owned(), signing_key.signs_elsewhere());
    let is_touched = signing_key.security_key().is_some();
    if is_touched && touch.is_some() {
        let message = "--touch joins the signatures of a key that is no security key";
        return Err(Failure::usage(message).hint("leave --touch out, or name another -k KEY"));
    }
    let unknown = unknown_key_hint(args, (signing_key.public(), is_touched), &name)?;
    let id = signing_key.public().id().to_string();
    ui.detail(&format!("{id} ({name}) signs for {}", plan.host));
    let within = if is_touched { touch::seconds(args)? } else { 0 };
    let key = signing_key.open(source, Duration::from_secs(within))?;
    if is_touched {
        request_key::note_alone(within, ", for each request", ui);
    }

    if let DialRoute::Proxy(proxy) = &plan.via {
        ui.detail(&format!("connections go through the proxy {}", proxy.host()));
    }
    let dialer = Dialer::new(roots, plan.via.clone(), CONNECT_TIMEOUT);
    let signer = Arc::new(signer(args, key)?);
    let (consent, asker) = asking(args);
    let mut bridge = Bridge::new(&args.url, dialer, signer, Arc::new(SystemClock), SysRng)
        .map_err(|e| bad_url(&args.url, &chain(&e)))?
        .with_log(log_writer.log())
        .with_fields(fields)
        .with_key_name(name)
        .with_unknown_key_hint(unknown)
        .with_consent(confirm, consent);
    if let Some(touch) = touch {
        bridge = touch.apply(bridge, asker);
    }
    if is_slow {
        bridge = bridge.with_slow_key();
    }
    open::remark(&args.audit, ui);
    let recorder = open::recorder(&args.audit, Arc::new(SystemClock), ui)?;
    if let Some(recorder) = &recorder {
        bridge = bridge.with_audit(Arc::clone(recorder));
    }
    let witnesses = {
        let log = log_writer.log();
        let say = move |news| match news {
            WitnessNews::Note(words) => log.note(&words),
            WitnessNews::Warning(words) | WitnessNews::Contradicted(words) => {
                log.warn(&words);
            }
            _ => {}
        };
        witnessing::start(&args.audit, recorder.as_ref(), say)?
    };
    if let Some(bytes) = args.max_body {
        bridge = bridge.with_max_body(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    if let Some(seconds) = args.timeout {
        bridge = bridge.with_silence(Some(Duration::from_secs(seconds.into())));
    }
    let mut runtime = match &plan.listen {
        // With one client on stdio, a single thread is fastest, because no message has to be passed
        // between threads.
        None => tokio::runtime::Builder::new_current_thread(),
        Some(_) => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Unavailable, "runtime", reason(&e).1))?;
    let ended = match &plan.listen {
        None if args.check => runtime.block_on(async {
            let (interrupted, stop) = signals()?;
            tokio::select! {
                checked = bridge.check() => check::report(&checked, args, &id, ui),
                () = stop => Ok(stopped(&interrupted)),
            }
        }),
        None => runtime.block_on(async {
            let (interrupted, stop) = signals()?;
            let (input, output) = streams::open();
            Ok(match bridge.stdio(input, output, stop).await {
                StdioEnd::OutputClosed => Exit::Closed,
                StdioEnd::Stopped => stopped(&interrupted),
                _ => Exit::Ok,
            })
        }),
        Some(address) => runtime.block_on(listen(bridge, address, &plan.origins, ui)),
    };
    // A pending read of stdin cannot be cancelled, so the runtime does not wait for it.
    runtime.shutdown_background();
    // If a question to the person is still on the terminal, it is withdrawn.
    terminal::close();
    if let Some(recorder) = recorder {
        // Closing writes the last checkpoint, even if other tasks still hold the log.
        recorder.log().close();
    }
    // Dropping this value sends the last checkpoint to the witnesses.
    drop(witnesses);
    // A signing program that has not signed the last checkpoint by now must not keep running after
    // this process.
    mcpid::key::exec::stop_all();
    log_writer.finish();
    terminal::end_by_hangup();
    ended
}

/// What the flags state, before any file is read.
struct ConnectPlan {
    host: String,
    is_https: bool,
    is_open_to_all: bool,
    via: DialRoute,
    listen: Option<ListenAddress>,
    origins: Vec<Origin>,
}

impl ConnectPlan {
    fn of(args: &ConnectArgs) -> Result<Self, Failure> {
        let url = mcpid::connect::EndpointUrl::parse(&args.url)
            .map_err(|e| bad_url(&args.url, &chain(&e)))?;
        let origins = args.allow_origin.iter().map(|text| {
            Origin::parse(text)
                .map_err(|e| Failure::usage(format!("--allow-origin {text}: {}", chain(&e))))
        });
        let origins = origins.collect::<Result<_, _>>()?;
        let listen = args.listen.as_deref().map(|text| address(args, text)).transpose()?;
        if listen.is_some() && args.confirm_via == Some(ConfirmVia::Client) {
            let message = "--confirm-via client cannot be used with --listen: \
                           a client that speaks HTTP has to be asked apart";
            return Err(Failure::usage(message).hint(
                "--confirm-via askpass with MCPID_ASKPASS=PROGRAM, or --confirm-via terminal",
            ));
        }
        if args.ca.is_some() && !url.is_https() {
            let message = "--ca would change nothing: the server is reached without TLS";
            return Err(Failure::usage(message).hint("a URL with TLS begins with https://"));
        }
        if args.allow_remote && listen.as_ref().is_some_and(ListenAddress::is_local) {
            let message =
                "--allow-remote would change nothing: only this machine can connect there";
            return Err(Failure::usage(message).hint("leave --allow-remote out"));
        }
        let (host, is_https) = (url.host().to_owned(), url.is_https());
        let (is_open_to_all, via) = (url.is_open_to_all(), network::via(&url)?);
        Ok(ConnectPlan { host, is_https, is_open_to_all, via, listen, origins })
    }
}

fn address(args: &ConnectArgs, text: &str) -> Result<ListenAddress, Failure> {
    let address: ListenAddress = text.parse().map_err(|e: mcpid::net::ListenAddressError| {
        Failure::usage(format!("--listen {}: {}", shell_word(text), chain(&e)))
    })?;
    if !address.is_local() && !args.allow_remote {
        let message = format!(
            "--listen {address}: other machines can connect there, and whoever knows the URL can \
             use the key"
        );
        return Err(Failure::usage(message)
            .hint("mcpid connect --listen 127.0.0.1:0 URL")
            .hint("if that is what you want: --allow-remote"));
    }
    Ok(address)
}

/// Returns the failure for an unusable URL. The URL itself is not repeated, because it may contain
/// a password.
fn bad_url(url: &str, why: &str) -> Failure {
    let failure = Failure::usage(format!("URL: {why}"));
    let better = match url.split_once('#') {
        Some((sent, _)) => sent.to_owned(),
        None if !url.contains("://") && !url.is_empty() => format!("https://{url}"),
        None => return failure,
    };
    match mcpid::connect::EndpointUrl::parse(&better) {
        Ok(_) => failure.hint(format!("mcpid connect {}", shell_word(&better))),
        Err(_) => failure,
    }
}

/// Reads the patterns of the flag `name`: `confirm` or `touch`.
fn restricting(name: &str, texts: &[String], ui: &mut Ui) -> Result<ConfirmPolicy, Failure> {
    let mut rules = ConfirmPolicy::default();
    for text in texts {
        match pattern_flag::restricting(name, text, ui)? {
            Restricting::Destructive => rules.add_destructive(),
            Restricting::Pattern(pattern) => rules.add_pattern(pattern),
        }
    }
    Ok(rules)
}

/// Returns the commands with which the server's operator can add the key.
fn unknown_key_hint(
    args: &ConnectArgs,
    (key, is_touched): (&PublicKey, bool),
    name: &str,
) -> Result<String, Failure> {
    let did = format::did_key(key);
    let name =
        if values::name(name).is_ok() { shell_word(name).into_owned() } else { "NAME".into() };
    let place = files::key(args.signing_key.key.as_deref())?;
    let path = config::key_path(&place.path)?;
    if is_touched {
        // A hint with a did:key would lose the information that the key is a security key, so
        // another one is returned.
        let path = shell_word(&path);
        return Ok(format!(
            "send the server's operator what mcpid export -k {path} --format openssh prints, for \
             mcpid trust add --name {name} --alone FILE"
        ));
    }
    let line =
        format!("send this line to the server's operator: mcpid trust add --name {name} {did}");
    // The command of a signing program is left out, because its arguments may contain a secret.
    if path.starts_with(EXEC) {
        return Ok(line);
    }
    let path = shell_word(&path);
    Ok(format!("{line} (or the key itself: mcpid export -k {path} --format jwk)"))
}

/// Returns how a person is asked for consent, and the object that asks for touches. Both use the
/// same object, so that only one question is on the screen at a time.
fn asking(args: &ConnectArgs) -> (ConsentVia, Arc<ConsentAsker>) {
    let timeout = args.confirm_timeout.unwrap_or(consent::DEFAULT_ANSWER_SECONDS);
    let timeout = Duration::from_secs(timeout.into());
    let way = match args.confirm_via {
        Some(ConfirmVia::Terminal) => ConsentWay::Terminal,
        Some(ConfirmVia::Askpass) => ConsentWay::Askpass,
        Some(ConfirmVia::Client) | None => ConsentWay::Any,
    };
    let asker = Arc::new(ConsentAsker::new(way, timeout));
    let via = match args.confirm_via {
        Some(ConfirmVia::Client) => ConsentVia::Client(timeout),
        _ => ConsentVia::Person(asker.clone()),
    };
    (via, asker)
}

fn signer(args: &ConnectArgs, key: OpenedKey) -> Result<Signer, Failure> {
    let profile = args.profile.profile();
    let mut signer = key.signer(&profile).map_err(|e| Failure::new(Exit::Bug, "bug", chain(&e)))?;
    if let Some(id) = &args.client_id {
        trust::check_client_id(id).map_err(|e| Failure::usage(format!("--client-id {e}")))?;
        signer = signer.with_client_id(id);
    }
    if let Some(ttl) = args.ttl {
        signer = signer.with_ttl(match ttl {
            Ttl::Seconds(seconds) => Some(i64::from(seconds)),
            Ttl::None => None,
        });
    }
    Ok(signer)
}

async fn listen(
    bridge: Bridge,
    address: &ListenAddress,
    origins: &[Origin],
    ui: &mut Ui,
) -> Result<Exit, Failure> {
    let (interrupted, stop) = signals()?;
    let listener = Listener::bind(address).await.map_err(|e| {
        let message = format!("cannot listen at {address}: {}", reason(&e).1);
        Failure::new(Exit::Unavailable, "listener", message)
    })?;
    let secret = Nonce::generate(&mut SysRng)
        .map_err(|e| Failure::new(Exit::Key, "no_random", format!("no random numbers: {e}")))?;
    let mut access = LoopbackAccess::new(listener.address(), secret.as_str());
    for origin in origins {
        access = access.with_origin(origin.clone());
    }
    let url = match listener.address() {
        ListenAddress::Tcp(address) => format!("http://{address}{}", access.path()),
        unix @ ListenAddress::Unix(_) => format!("{unix} (POST http://localhost{})", access.path()),
    };
    if ui.json() {
        ui.json_line(&serde_json::json!({ "version": 1, "url": url }))?;
    } else {
        ui.line(&url)?;
    }
    ui.finish()?;
    bridge.http(Server::new(listener, ServerLimits::default()), access, stop).await;
    Ok(stopped(&interrupted))
}

/// Returns a future that completes when a signal stops the bridge, and a flag that is true if the
/// signal was Ctrl-C. Must run on a tokio runtime.
fn signals() -> Result<(Arc<AtomicBool>, impl Future<Output = ()>), Failure> {
    let open =
        |kind| signal(kind).map_err(|e| Failure::new(Exit::Unavailable, "signals", reason(&e).1));
    let mut interrupt = open(SignalKind::interrupt())?;
    let mut terminate = open(SignalKind::terminate())?;
    terminal::leave_signals();
    let interrupted = Arc::new(AtomicBool::new(false));
    let by_interrupt = Arc::clone(&interrupted);
    let done = async move {
        tokio::select! {
            _ = interrupt.recv() => by_interrupt.store(true, Ordering::SeqCst),
            _ = terminate.recv() => {}
        }
    };
    Ok((interrupted, done))
}

/// Returns the exit code after a signal. SIGTERM gives 0, because MCP clients end their servers
/// with it.
fn stopped(interrupted: &AtomicBool) -> Exit {
    if interrupted.load(Ordering::SeqCst) { Exit::Interrupted } else { Exit::Ok }
}
