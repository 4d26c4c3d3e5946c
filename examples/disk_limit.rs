//! A gateway for measuring what the disk allows an audit log: each request waits until bytes of the
//! size of its entry are on the disk, or until a real log has its entry.
//!
//! ```text
//! disk_limit UPSTREAM TRUST LISTEN OPERATORS log FOLDER
//! disk_limit UPSTREAM TRUST LISTEN OPERATORS bytes FILE BYTES TASKS
//! ```
//!
//! In the mode `bytes`, a batch begins when TASKS requests wait, or 4 ms after the last one. It is
//! one `write` and one `fdatasync`, while the next requests are verified. No entry is made, encoded
//! or hashed. So the difference to the mode `log` is what entries cost, beside the disk and the
//! handing over of requests to a thread. `tests/load` runs both modes in turns.
#![allow(clippy::print_stderr, clippy::exit, reason = "it says why it ends")]

use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mcpid::audit::{Folder, Log, LogSettings, Recorder};
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::gateway::log::LogLine;
use mcpid::gateway::{Admin, Gateway, GatewayConfig, GatewayServer, Metrics, Readiness, Upstream};
use mcpid::key::KeyId;
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::message::target::{Origin, Origins};
use mcpid::net::{Listener, ServerLimits, Workers, tls};
use mcpid::nonce::memory::Memory;
use mcpid::nonce::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError};
use mcpid::profile::Profile;
use mcpid::tower::BoxError;
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use tokio::sync::oneshot::{self, Sender};

/// The allocator of the program, so that both spend the same time on memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The maximum time from the beginning of a batch to that of the next, as in the log.
const GATHER: Duration = Duration::from_millis(4);

#[tokio::main(worker_threads = 1)]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [upstream, trust, listen, operators, mode @ ..] = &words[..] else {
        return Err("which upstream, trust file, addresses, and mode?".into());
    };
    let clock = Arc::new(SystemClock);
    // One key signs all requests, and may use an eighth of the store. Nothing is protected here, so
    // requests need not be refused at first.
    let nonces = Memory::new(clock.now(), Retention::new(30, 5), &mut SysRng)?;
    let nonces = nonces.bounded(8_000_000).without_floor();
    let mut config = GatewayConfig::new(Upstream::parse(upstream)?);
    let disk = match mode {
        ["log", folder] => {
            let log = Log::open(Folder::at(*folder)?, LogSettings::default(), clock.clone())?;
            config.audit = Some(Arc::new(Recorder::new(log)));
            None
        }
        ["bytes", file, bytes, tasks] => {
            Some(BareLog::start(File::create_new(file)?, bytes.parse()?, tasks.parse()?)?)
        }
        _ => return Err("the mode is log FOLDER, or bytes FILE BYTES TASKS".into()),
    };
    let store = Arc::new(StoreThenDisk { nonces, disk });
    let registry = Arc::new(Registry::merge([TrustFile::parse(&std::fs::read(trust)?)?]));
    let listener = Listener::bind(&listen.parse()?).await?;
    let origin = Origin::parse(&format!("http://{}", listener.address()))?;
    let (origins, replay) = (Origins::new([origin]), ReplayCheck::Claim(store.clone()));
    let verifier = Verifier::new(Profile::mcp(), registry, origins, clock.clone(), replay);
    store.register(clock.now(), verifier.retention()).await?;
    // No line is written in either mode.
    let lines = Arc::new(|_: &LogLine| {});
    let (plain, metrics) = (tls::client_without_roots()?, Arc::new(Metrics::new()));
    let gateway = Gateway::new(config, verifier, plain, clock.clone(), metrics.clone(), lines)?;
    let admin = Admin::new(Arc::new(Readiness::new(clock, store)), metrics);
    let server = GatewayServer::new(gateway, listener, ServerLimits::default())
        .with_admin(Listener::bind(&operators.parse()?).await?, admin);
    server.run(Workers::of_this_machine()?, std::future::pending()).await;
    Ok(())
}

/// Bytes that are written in batches.
struct BareLog {
    waiting: Mutex<Vec<Sender<()>>>,
    enough: Condvar,
    /// The number of waiting requests at which a batch begins.
    tasks: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BareLog {
    fn start(file: File, bytes: usize, tasks: usize) -> std::io::Result<Arc<Self>> {
        let log = Arc::new(BareLog { waiting: Mutex::default(), enough: Condvar::new(), tasks });
        let writer = Arc::clone(&log);
        std::thread::Builder::new().name("bytes".to_owned()).spawn(move || {
            let failed = writer.write(file, bytes);
            eprintln!("disk_limit: {failed:?}");
            std::process::exit(1);
        })?;
        Ok(log)
    }

    fn write(&self, mut file: File, bytes: usize) -> std::io::Result<()> {
        let mut lines = Vec::new();
        let mut begun = Instant::now();
        loop {
            let batch = self.batch(begun);
            begun = Instant::now();
            lines.resize(batch.len() * bytes, b'x');
            file.write_all(&lines)?;
            file.sync_data()?;
            for request in batch {
                // The request may be gone.
                let _ = request.send(());
            }
        }
    }

    /// Waits for enough requests, and for one at least.
    fn batch(&self, begun: Instant) -> Vec<Sender<()>> {
        let mut waiting = lock(&self.waiting);
        loop {
            let left = GATHER.saturating_sub(begun.elapsed());
            if waiting.len() >= self.tasks || (left.is_zero() && !waiting.is_empty()) {
                return std::mem::take(&mut waiting);
            }
            let left = if left.is_zero() { GATHER } else { left };
            let waited = self.enough.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    async fn wait(&self) -> Result<(), StoreError> {
        let (request, written) = oneshot::channel();
        if self.add(request) == self.tasks {
            self.enough.notify_one();
        }
        written.await.map_err(|_| StoreError::new("the disk failed"))
    }

    /// Returns how many requests wait.
    fn add(&self, request: Sender<()>) -> usize {
        let mut waiting = lock(&self.waiting);
        waiting.push(request);
        waiting.len()
    }
}

/// The nonces in memory. A request that has claimed its nonce then waits for the disk.
struct StoreThenDisk {
    nonces: Memory,
    disk: Option<Arc<BareLog>>,
}

impl NonceStore for StoreThenDisk {
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.nonces.register(now, retention)
    }

    fn claim_live<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        let claim = self.nonces.claim_live(now, key, nonce, until);
        let Some(disk) = &self.disk else { return claim };
        Box::pin(async move {
            let claim = claim.await?;
            disk.wait().await?;
            Ok(claim)
        })
    }

    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        self.nonces.peek(now, key, nonce)
    }

    fn is_over_quota(&self, now: Timestamp, key: &KeyId) -> bool {
        self.nonces.is_over_quota(now, key)
    }

    fn floor<'a>(&'a self, now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        self.nonces.floor(now)
    }
}
