//! Serving: some threads answer, another accepts, this one talks and watches files.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mcpid::audit::witness::WitnessNews;
use mcpid::clock::{Clock, SystemClock};
use mcpid::gateway::log::LogLine;
use mcpid::gateway::report::RolloutTally;
use mcpid::gateway::{Admin, Gateway, GatewayServer, Metrics, Readiness};
use mcpid::net::tls::ReloadableCertificates;
use mcpid::net::{ListenAddress, Listener, ServerLimits, Workers};
use mcpid::verify::Replay;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::file_watch::FileWatch;
use super::log_writer::LogWriter;
use super::settings::{GatewaySettings, certificates, to_upstream};
use crate::args::GatewayFlags;
use crate::cmd::audit::{open, witnessing};
use crate::cmd::verify::verifier::VerifierSettings;
use crate::input::nonce_store::{self, OpenedStore};
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain, reason};
use crate::output::ui::Ui;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Descriptors that are not for clients: listeners, stores, logs, operators.
const OTHER_FILES: u64 = 96;
/// How long the log may take to its end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the threads that serve tell the one that talks.
enum Said {
    Note(String),
    Warning(String),
    Reload,
    /// All is over; so many connections were cut.
    Over(usize),
    Interrupted,
}

/// Serves until it is told to stop.
pub(crate) fn run(
    gating: GatewaySettings,
    args: &GatewayFlags,
    ui: &mut Ui,
) -> Result<Exit, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Arc::new(Metrics::new());
    let retention = gating.judging.verifier(Arc::clone(&clock), Replay::Unchecked).retention();
    let opened = nonce_store::open_to_serve(args.nonces.as_deref(), retention, args.claiming, ui)
        .map_err(|failure| match failure.code {
        nonce_store::TOO_SHORT => {
            failure.hint("all its users can wait for so long? --raise-retention")
        }
        _ => failure,
    })?;
    // Few words, all of them from operators or about what they have to know: none is lost.
    let (said, heard) = channel();
    let store = {
        let said = said.clone();
        let warn = move |words| drop(said.send(Said::Warning(words)));
        metrics.watch(Arc::clone(&opened.store), warn)
    };
    let replay = Replay::Claim(store);
    let verifier = gating.judging.verifier(Arc::clone(&clock), replay.clone());
    metrics.keys(gating.judging.keys());
    let limits = fitted(&gating.limits, args.max_connections, ui);

    let (scribe, log) = {
        let said = said.clone();
        let warn = move |words| drop(said.send(Said::Warning(words)));
        LogWriter::start(args.log.as_deref(), Arc::clone(&metrics), warn)?
    };
    // What operators are shown of it is only reckoned up where they can ask.
    let tally = gating.admin.is_some().then(|| Arc::new(Mutex::new(RolloutTally::new())));
    let lines = {
        let tally = tally.clone();
        move |line: &LogLine| {
            if let Some(tally) = &tally {
                tally.lock().unwrap_or_else(PoisonError::into_inner).add(line);
            }
            log.take(line.to_line());
        }
    };
    let recorder = open::recorder(&args.audit, Arc::clone(&clock))?;
    let witnesses = {
        let said = said.clone();
        let say = move |news| drop(said.send(said_of(news)));
        witnessing::start(&args.audit, recorder.as_ref(), say)?
    };
    let probed = Arc::clone(&opened.store);
    let mut readiness = Readiness::new(Arc::clone(&clock), probed).with_audit(recorder.clone());
    if let Some(witnesses) = &witnesses {
        readiness = readiness.with_witnesses(Arc::clone(witnesses.status()));
        metrics.witnessed(Arc::clone(witnesses.status()), Arc::clone(&clock));
    }
    let readiness = Arc::new(readiness);
    let GatewaySettings { mut config, listen, admin, to_upstream, shown, watch, .. } = gating;
    // Half of the descriptors are for connections behind.
    config.exchanges = limits.connections;
    config.audit = recorder.clone();
    let upstream = config.upstream.to_string();
    let gateway = Gateway::new(
        config,
        verifier,
        to_upstream,
        Arc::clone(&clock),
        Arc::clone(&metrics),
        Arc::new(lines),
    )
    .map_err(|error| Failure::usage(chain(&error)))?;
    let shown = shown.map(ReloadableCertificates::new);
    let no_threads = |e| no_listener("start threads", &e);
    // It accepts connections, hears signals and answers operators.
    let front = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = front.map_err(no_threads)?;
    let workers = Workers::of_this_machine().map_err(no_threads)?;

    let mut server = GatewayServer::new(gateway.clone(), bind(&runtime, &listen)?, limits);
    let mut to = server.address().to_string();
    if let Some(shown) = &shown {
        server = server.with_tls(shown.clone());
        to.push_str(" with TLS");
    }
    if let Some(address) = &admin {
        let listener = bind(&runtime, address)?;
        ui.note(&format!("operators are answered at {}", listener.address()));
        let mut admin = Admin::new(Arc::clone(&readiness), Arc::clone(&metrics));
        if let Some(tally) = tally {
            let clock = Arc::clone(&clock);
            admin = admin.with_page(move || {
                let report = tally.lock().unwrap_or_else(PoisonError::into_inner).report();
                report.to_html(clock.now())
            });
        }
        server = server.with_admin(listener, admin);
    }
    ui.note(&format!("listening at {to}, before {upstream}"));

    let (stop, mut stopped) = watch::channel(false);
    signals(&runtime, &said, stop)?;
    {
        let said = said.clone();
        runtime.spawn(async move {
            let stop = async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            let _ = said.send(Said::Over(server.run(workers, stop).await));
        });
    }
    let mut desk =
        Desk { args, scribe, metrics, readiness, gateway, replay, clock, shown, opened, watch };
    let ended = desk.work(&heard, ui);
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(recorder) = recorder {
        // The last checkpoint, whoever still holds on to the log.
        recorder.log().close();
    }
    // Witnesses see that checkpoint too.
    drop(witnesses);
    ended
}

/// What the one that talks is told of witnesses.
fn said_of(news: WitnessNews) -> Said {
    match news {
        WitnessNews::Note(words) => Said::Note(words),
        WitnessNews::Warning(words) | WitnessNews::Contradicted(words) => Said::Warning(words),
        _ => Said::Note("there is news of witnesses".to_owned()),
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

/// The limits that the operating system's own limit on open files allows, after raising it as far
/// as it goes: each connection needs one more to the upstream.
fn fitted(limits: &ServerLimits, asked: Option<usize>, ui: &mut Ui) -> ServerLimits {
    let mut limits = limits.clone();
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut files = getrlimit(Resource::Nofile);
        if files.current != files.maximum {
            let raised = rustix::process::Rlimit { current: files.maximum, ..files };
            if setrlimit(Resource::Nofile, raised).is_ok() {
                files = raised;
            }
        }
        let most = files.current.map_or(u64::MAX, |most| most.saturating_sub(OTHER_FILES) / 2);
        let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
        if limits.connections > most {
            if asked.is_some() {
                ui.warning(&format!(
                    "the limit on open files allows {most} connections, not {}",
                    limits.connections
                ));
            }
            limits.connections = most;
        }
    }
    limits
}

fn signals(
    runtime: &Runtime,
    said: &Sender<Said>,
    stop: watch::Sender<bool>,
) -> Result<(), Failure> {
    let _inside = runtime.enter();
    let listen = |kind| signal(kind).map_err(|e| no_listener("watch for signals", &e));
    let (mut hangup, mut terminate, mut interrupt) = (
        listen(SignalKind::hangup())?,
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    let said = said.clone();
    runtime.spawn(async move {
        let mut ending = false;
        loop {
            let word = tokio::select! {
                _ = hangup.recv() => Said::Reload,
                _ = terminate.recv() => Said::Interrupted,
                _ = interrupt.recv() => Said::Interrupted,
            };
            match word {
                Said::Interrupted if !ending => {
                    ending = true;
                    let _ = stop.send(true);
                    let words = "ending: requests in flight are let through, new ones are not";
                    let _ = said.send(Said::Note(words.to_owned()));
                }
                word => {
                    let _ = said.send(word);
                }
            }
        }
    });
    Ok(())
}

/// The thread that talks.
struct Desk<'a> {
    args: &'a GatewayFlags,
    scribe: LogWriter,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    gateway: Gateway,
    replay: Replay,
    clock: Arc<dyn Clock>,
    shown: Option<ReloadableCertificates>,
    opened: OpenedStore,
    watch: FileWatch,
}

impl Desk<'_> {
    fn work(&mut self, heard: &Receiver<Said>, ui: &mut Ui) -> Result<Exit, Failure> {
        let mut looked = Instant::now();
        loop {
            match heard.recv_timeout(LOOK) {
                Ok(Said::Note(words)) => ui.note(&words),
                Ok(Said::Warning(words)) => ui.warning(&words),
                Ok(Said::Reload) => {
                    self.scribe.reopen();
                    self.reload(ui);
                }
                Ok(Said::Over(cut)) => {
                    self.end_log(ui);
                    if cut > 0 {
                        ui.warning(&format!("{cut} connections were cut"));
                    }
                    return Ok(Exit::Ok);
                }
                Ok(Said::Interrupted) => {
                    self.end_log(ui);
                    return Ok(Exit::Interrupted);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Ok),
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.opened.tell(ui);
                if self.watch.changed() {
                    self.reload(ui);
                }
            }
        }
    }

    fn end_log(&self, ui: &mut Ui) {
        if !self.scribe.end(LAST_WORDS) {
            ui.warning("log lines are lost: nobody took them in time");
        }
    }

    /// Reads trust files and certificates again. Whatever is broken leaves the old ones in use.
    fn reload(&mut self, ui: &mut Ui) {
        let mut broken = None;
        match VerifierSettings::read(&self.args.judging, ui) {
            Ok(judging) => {
                let verifier = judging.verifier(Arc::clone(&self.clock), self.replay.clone());
                match self.gateway.handle().replace(verifier) {
                    Ok(()) => {
                        self.metrics.keys(judging.keys());
                        ui.note(&format!("read again: {} trusted", judging.keys()));
                    }
                    Err(error) => broken = Some(chain(&error)),
                }
            }
            Err(failure) => broken = Some(failure.message),
        }
        if let (Some(shown), Some(chain), Some(key)) =
            (&self.shown, &self.args.tls_cert, &self.args.tls_key)
        {
            match certificates(chain, key) {
                Ok(config) => shown.replace(config),
                Err(failure) => broken = Some(failure.message),
            }
        }
        if let (Some(roots), Some(upstream)) = (&self.args.upstream_ca, &self.args.upstream) {
            match to_upstream(Some(roots), upstream) {
                Ok(config) => self.gateway.trust(config),
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
