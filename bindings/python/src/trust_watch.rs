//! Reads trust files again when they change, as the gateway does.
//!
//! The files are looked at when a request comes, at most once a second. A thread that looked at them
//! would not exist in a forked worker, and a revocation would go unnoticed there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mcpid::clock::SystemClock;
use mcpid::key::file_watch::FileWatch;
use mcpid::key::trust::Registry;
use mcpid::tower::Handle;
use mcpid::verify::ReplayCheck;
use mcpid::verify::rejection::chain;

use crate::future::lock;
use crate::settings::{Trust, VerifierSettings};

/// The shortest time between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);

/// The watch over the trust files of one layer.
pub(crate) struct TrustWatch {
    looked: Mutex<LookedAt>,
    files: Arc<WatchedTrust>,
}

struct LookedAt {
    at: Instant,
    watch: FileWatch,
}

/// What is needed to read the files again.
struct WatchedTrust {
    settings: VerifierSettings,
    replay: ReplayCheck,
    handle: Handle,
    news: Arc<Mutex<Vec<String>>>,
    reading: AtomicBool,
}

/// Begins to watch the files that `trust` names.
pub(crate) fn begin(trust: &Trust) -> FileWatch {
    FileWatch::new(match trust {
        Trust::Paths(paths) => paths.clone(),
        Trust::Keys(_) => Vec::new(),
    })
}

impl TrustWatch {
    /// Watches the files of `settings`; `watch` began before they were read.
    pub(crate) fn new(
        watch: FileWatch,
        settings: VerifierSettings,
        replay: ReplayCheck,
        handle: Handle,
        news: Arc<Mutex<Vec<String>>>,
    ) -> Self {
        let reading = AtomicBool::new(false);
        let files = WatchedTrust { settings, replay, handle, news, reading };
        let looked = LookedAt { at: Instant::now(), watch };
        TrustWatch { looked: Mutex::new(looked), files: Arc::new(files) }
    }

    /// Looks at the files, unless that was done within the last second. Files that have changed are
    /// read by another thread, since they may be long; until then, the old keys are trusted.
    pub(crate) fn look(&self) {
        if self.files.settings.trust_paths().is_empty() {
            return;
        }
        let Ok(mut looked) = self.looked.try_lock() else { return };
        if looked.at.elapsed() < INTERVAL || self.files.reading.load(Ordering::SeqCst) {
            return;
        }
        looked.at = Instant::now();
        if !looked.watch.changed() {
            return;
        }
        drop(looked);
        let files = Arc::clone(&self.files);
        files.reading.store(true, Ordering::SeqCst);
        let started = thread::Builder::new().name("mcpid-trust".to_owned()).spawn({
            let files = Arc::clone(&files);
            move || {
                files.read();
                files.reading.store(false, Ordering::SeqCst);
            }
        });
        if started.is_err() {
            files.read();
            files.reading.store(false, Ordering::SeqCst);
        }
    }
}

impl WatchedTrust {
    fn read(&self) {
        let line = match Registry::load(self.settings.trust_paths()) {
            Ok(registry) => {
                let keys = registry.len();
                let settings = self.settings.with_registry(Arc::new(registry));
                let verifier = settings.verifier(Arc::new(SystemClock), self.replay.clone());
                match self.handle.replace(verifier) {
                    Ok(()) => format!("read again: {keys} trusted"),
                    Err(error) => chain(&error),
                }
            }
            Err(error) => format!(
                "{}: {}; what was read before stays in use",
                error.path.display(),
                chain(&error)
            ),
        };
        lock(&self.news).push(line);
    }
}
