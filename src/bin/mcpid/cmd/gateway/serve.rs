//! Runs the gateway: worker threads answer requests, a runtime thread accepts connections, and the
//! main thread prints messages and watches files.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mcpid::audit::witness::{WitnessNews, WitnessService};
use mcpid::clock::{Clock, SystemClock};
use mcpid::gateway::log::LogLine;
use mcpid::gateway::report::RolloutTally;
use mcpid::gateway::{Admin, Gateway, GatewayServer, Metrics, Readiness, Upstream};
use mcpid::key::file_watch::FileWatch;
use mcpid::net::tls::ReloadableCertificates;
use mcpid::net::{ListenAddress, Listener, Workers};
use mcpid::verify::ReplayCheck;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::audit_watch::AuditWatch;
use super::event::GatewayEvent;
use super::known_tools::KnownTools;
use super::limits::fitted;
use super::log_writer::GatewayLogWriter;
use super::settings::{GatewaySettings, certificates, to_upstream};
use super::supervisor::Supervisor;
use crate::args::FrontFlags;
use crate::cmd::audit::{open, witnessing};
use crate::cmd::verify::verifier::VerifierSettings;
use crate::input::nonce_store::{self, OpenedStore};
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain, reason};
use crate::output::ui::Ui;
use crate::prompt::terminal;

/// How often watched files are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum time to write the last log lines.
const LOG_GRACE: Duration = Duration::from_secs(2);

/// Serves until a signal stops the gateway.
pub(crate) fn run(
    settings: GatewaySettings,
    args: &FrontFlags,
    ui: &mut Ui,
) -> Result<Exit, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let supervisor = Supervisor::of_this_process()?;
    let metrics = Arc::new(Metrics::new());
    let retention =
        settings.verifier_settings.verifier(Arc::clone(&clock), ReplayCheck::Unchecked).retention();
    let opened = nonce_store::open_to_serve(args.nonces.as_deref(), retention, args.claiming, ui)
        .map_err(|failure| match failure.code {
        nonce_store::TOO_SHORT => {
            failure.hint("all its users can wait for so long? --raise-retention")
        }
        _ => failure,
    })?;
    // The channel is unbounded, so that no event is lost. Events are rare: only operators and
    // faults cause them.
    let (events, received) = channel();
    let store = {
        let events = events.clone();
        let warn = move |words| drop(events.send(GatewayEvent::Warning(words)));
        metrics.watch(Arc::clone(&opened.store), warn)
    };
    let replay = ReplayCheck::Claim(store);
    let verifier = settings.verifier_settings.verifier(Arc::clone(&clock), replay.clone());
    metrics.keys(settings.verifier_settings.keys());
    let limits = fitted(&settings.limits, args.max_connections, ui);

    let (log_writer, log) = {
        let events = events.clone();
        let warn = move |words| drop(events.send(GatewayEvent::Warning(words)));
        GatewayLogWriter::start(args.log.as_deref(), Arc::clone(&metrics), warn)?
    };
    // The tally for the report is kept only if there is a service for operators, which shows it.
    let tally = settings.admin.is_some().then(|| Arc::new(Mutex::new(RolloutTally::new())));
    let lines = {
        let tally = tally.clone();
        move |line: &LogLine| {
            if let Some(tally) = &tally {
                tally.lock().unwrap_or_else(PoisonError::into_inner).add(line);
            }
            log.take(line.to_line());
        }
    };
    let recorder = open::recorder(&args.audit, Arc::clone(&clock), ui)?;
    let witnesses = {
        let events = events.clone();
        let say = move |news| drop(events.send(event_of(news)));
        witnessing::start(&args.audit, recorder.as_ref(), say)?
    };
    let probed = Arc::clone(&opened.store);
    let mut readiness = Readiness::new(Arc::clone(&clock), probed).with_audit(recorder.clone());
    if let Some(witnesses) = &witnesses {
        readiness = readiness.with_witnesses(Arc::clone(witnesses.status()));
        metrics.witnessed(Arc::clone(witnesses.status()), Arc::clone(&clock));
    }
    let readiness = Arc::new(readiness);
    let place = settings.described();
    let roots = settings.roots();
    let GatewaySettings { mut config, listen, admin, to_upstream, tls, watch, tools, .. } =
        settings;
    let mut known_tools = tools
        .map(|tools| KnownTools::open(tools, &config.modes, Arc::clone(&clock), ui))
        .transpose()?;
    // At most as many requests may wait for the upstream as there are client connections, because
    // each may need one to the upstream.
    config.exchanges = limits.connections;
    config.audit = recorder.clone();
    let gateway = Gateway::new(
        config,
        verifier,
        to_upstream,
        Arc::clone(&clock),
        Arc::clone(&metrics),
        Arc::new(lines),
    )
    .map_err(|error| Failure::usage(chain(&error)))?;
    let tls = tls.map(|served| {
        metrics.certificate_expires(served.expiry);
        ReloadableCertificates::new(served.config)
    });
    let no_threads = |e| no_listener("start threads", &e);
    // This runtime accepts connections, receives signals and answers operators, not requests.
    let front = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = front.map_err(no_threads)?;
    let workers = Workers::of_this_machine().map_err(no_threads)?;
    // Signal handlers are installed before listening, because a supervisor may stop the gateway as
    // soon as a port answers.
    let (stop, mut stopped) = watch::channel(false);
    let stopping = stopped.clone();
    signals(&runtime, &events, stop)?;

    let mut server = GatewayServer::new(gateway.clone(), bind(&runtime, &listen)?, limits);
    let mut to = server.address().to_string();
    if let Some(tls) = &tls {
        server = server.with_tls(tls.clone());
        to.push_str(" with TLS");
    }
    if let Some(address) = &admin {
        let listener = bind(&runtime, address)?;
        ui.note(&format!("operators are answered at {}", listener.address()));
        let mut admin = Admin::new(Arc::clone(&readiness), Arc::clone(&metrics))
            .with_hosts(args.admin_host.iter().cloned());
        if args.allow_remote_admin {
            admin = admin.with_private_names();
        }
        if let Some(tally) = tally {
            let clock = Arc::clone(&clock);
            admin = admin.with_page(move || {
                let report = tally.lock().unwrap_or_else(PoisonError::into_inner).report();
                report.to_html(clock.now())
            });
        }
        server = server.with_admin(listener, admin);
    }
    ui.note(&format!("listening at {to}, {place}"));
    if let (Some(known), Some(query)) = (&mut known_tools, gateway.tools_query()) {
        known.ask(query, &runtime, &events);
    }

    {
        let events = events.clone();
        runtime.spawn(async move {
            let stop = async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            let _ = events.send(GatewayEvent::Over(server.run(workers, stop).await));
        });
    }
    if let Some(supervisor) = supervisor {
        let (readiness, events) = (Arc::clone(&readiness), events.clone());
        runtime.spawn(async move {
            if let Err(error) = supervisor.report(&readiness, stopping).await {
                let words = format!("the supervisor is not told the state: {}", reason(&error).1);
                let _ = events.send(GatewayEvent::Warning(words));
            }
        });
    }
    let mut console = GatewayConsole {
        args,
        log_writer,
        metrics,
        readiness,
        gateway,
        replay,
        clock,
        tls,
        roots,
        opened,
        watch,
        witnesses,
        known_tools,
        audit: AuditWatch::new(recorder.clone()),
    };
    let ended = console.work(&received, ui);
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(recorder) = recorder {
        // Closing writes the last checkpoint, even if other tasks still hold the log.
        recorder.log().close();
    }
    // Dropping this value sends the last checkpoint to the witnesses.
    drop(console.witnesses);
    // A signing program that has not signed the last checkpoint by now must not keep running after
    // this process.
    terminal::close();
    ended
}

/// Converts news about witnesses to the event that reports it to the operator.
fn event_of(news: WitnessNews) -> GatewayEvent {
    match news {
        WitnessNews::Note(words) => GatewayEvent::Note(words),
        WitnessNews::Warning(words) | WitnessNews::Contradicted(words) => {
            GatewayEvent::Warning(words)
        }
        _ => GatewayEvent::Note("there is news of witnesses".to_owned()),
    }
}

fn bind(runtime: &Runtime, address: &ListenAddress) -> Result<Listener, Failure> {
    runtime
        .block_on(Listener::bind(address))
        .map_err(|e| no_listener(&format!("listen at {address}"), &e))
}

fn no_listener(act: &str, error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "the address is in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no address of this machine".to_owned(),
        io::ErrorKind::AlreadyExists => "the file is there and no socket".to_owned(),
        _ => reason(error).1,
    };
    Failure::new(Exit::Unavailable, "listener", format!("cannot {act}: {why}"))
}

fn signals(
    runtime: &Runtime,
    events: &Sender<GatewayEvent>,
    stop: watch::Sender<bool>,
) -> Result<(), Failure> {
    let _inside = runtime.enter();
    let listen = |kind| signal(kind).map_err(|e| no_listener("watch for signals", &e));
    let (mut hangup, mut terminate, mut interrupt) = (
        listen(SignalKind::hangup())?,
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    // If a passphrase for --tools-key was asked for, a thread waits for signals and would end the
    // process. From here on, the gateway handles signals itself.
    terminal::leave_signals_and_hangup();
    let events = events.clone();
    runtime.spawn(async move {
        let mut ending = false;
        loop {
            let event = tokio::select! {
                _ = hangup.recv() => GatewayEvent::Reload,
                _ = terminate.recv() => GatewayEvent::Interrupted,
                _ = interrupt.recv() => GatewayEvent::Interrupted,
            };
            match event {
                GatewayEvent::Interrupted if !ending => {
                    ending = true;
                    let _ = stop.send(true);
                    let words = "ending: requests in flight are let through, new ones are not";
                    let _ = events.send(GatewayEvent::Note(words.to_owned()));
                }
                event => {
                    let _ = events.send(event);
                }
            }
        }
    });
    Ok(())
}

/// What the main thread needs to print messages and to watch files for changes.
struct GatewayConsole<'a> {
    args: &'a FrontFlags,
    log_writer: GatewayLogWriter,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    gateway: Gateway,
    replay: ReplayCheck,
    clock: Arc<dyn Clock>,
    tls: Option<ReloadableCertificates>,
    /// The file with the certificate authorities for connections to the upstream.
    roots: Option<(PathBuf, Upstream)>,
    opened: OpenedStore,
    watch: FileWatch,
    witnesses: Option<WitnessService>,
    known_tools: Option<KnownTools>,
    audit: AuditWatch,
}

impl GatewayConsole<'_> {
    fn work(&mut self, received: &Receiver<GatewayEvent>, ui: &mut Ui) -> Result<Exit, Failure> {
        let mut checked = Instant::now();
        loop {
            match received.recv_timeout(CHECK_INTERVAL) {
                Ok(GatewayEvent::Note(words)) => ui.note(&words),
                Ok(GatewayEvent::Warning(words)) => ui.warning(&words),
                Ok(GatewayEvent::Reload) => {
                    self.log_writer.reopen();
                    self.reload(ui);
                }
                Ok(GatewayEvent::Over(cut)) => {
                    self.end_log(ui);
                    if cut > 0 {
                        ui.warning(&format!("{cut} connections were cut"));
                    }
                    return Ok(Exit::Ok);
                }
                Ok(GatewayEvent::Interrupted) => {
                    self.end_log(ui);
                    return Ok(Exit::Interrupted);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Ok),
            }
            if checked.elapsed() >= CHECK_INTERVAL {
                checked = Instant::now();
                self.opened.print_warnings(ui);
                self.audit.check(ui);
                self.save_tools(ui);
                if self.watch.changed() {
                    self.reload(ui);
                }
            }
        }
    }

    fn save_tools(&mut self, ui: &mut Ui) {
        if let Some(tools) = &mut self.known_tools {
            tools.save(ui);
        }
    }

    fn end_log(&mut self, ui: &mut Ui) {
        self.save_tools(ui);
        if !self.log_writer.end(LOG_GRACE) {
            ui.warning("log lines are lost: they could not be written in time");
        }
    }

    /// Reads trust files, certificates and the witness policy again. If one of them cannot be used,
    /// the old content stays in use.
    fn reload(&mut self, ui: &mut Ui) {
        let mut broken = None;
        match VerifierSettings::read(&self.args.verifier, ui) {
            Ok(verifier_settings) => {
                let verifier =
                    verifier_settings.verifier(Arc::clone(&self.clock), self.replay.clone());
                match self.gateway.handle().replace(verifier) {
                    Ok(()) => {
                        self.metrics.keys(verifier_settings.keys());
                        let trusted = verifier_settings.keys_in_words(self.clock.now());
                        ui.note(&format!("read again: {trusted}"));
                    }
                    Err(error) => broken = Some(chain(&error)),
                }
            }
            Err(failure) => broken = Some(failure.message),
        }
        if let (Some(tls), Some(chain), Some(key)) =
            (&self.tls, &self.args.tls_cert, &self.args.tls_key)
        {
            match certificates(chain, key) {
                Ok(served) => {
                    self.metrics.certificate_expires(served.expiry);
                    tls.replace(served.config);
                }
                Err(failure) => broken = Some(failure.message),
            }
        }
        if let Some((roots, upstream)) = &self.roots {
            match to_upstream(Some(roots), upstream) {
                Ok(config) => self.gateway.replace_tls(config),
                Err(failure) => broken = Some(failure.message),
            }
        }
        if let Some(service) = &mut self.witnesses {
            match witnessing::renew(&self.args.audit, service) {
                Ok(Some(quorum)) => ui.note(&format!("the witness policy has changed: {quorum}")),
                Ok(None) => {}
                Err(failure) => broken = Some(failure.message),
            }
        }
        if let Some(why) = &broken {
            self.metrics.reload_failed();
            ui.warning(&format!("{why}; what was read before stays in use"));
        }
        self.readiness.broken(broken);
    }
}
