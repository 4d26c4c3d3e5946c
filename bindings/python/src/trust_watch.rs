//! Reads trust files again when they change, as the gateway does.
//!
//! The files are looked at when a request comes, at most once a second. Files that have changed are
//! read before that request is judged: a request that comes after a quiet time would otherwise be
//! accepted with a key that was removed long before. A thread that looked at the files would not
//! exist in a forked worker, and a revocation would go unnoticed there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mcpid::clock::SystemClock;
use mcpid::key::file_watch::FileWatch;
use mcpid::key::trust::Registry;
use mcpid::message::error_chain::chain;
use mcpid::tower::VerifierHandle;
use mcpid::verify::ReplayCheck;
use pyo3::prelude::*;

use crate::errors::shown_path;
use crate::fork_gate;
use crate::future::lock;
use crate::settings::{Trust, VerifierSettings};

/// The shortest time between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest time that a request waits for another thread that looks at the files or reads them.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The time between two checks whether the other thread is done.
const PAUSE: Duration = Duration::from_millis(1);

/// The watch over the trust files of one layer.
pub(crate) struct TrustWatch {
    /// Locked only for moments and while this thread holds the interpreter's lock. A fork needs the
    /// interpreter's lock too, so it never leaves this mutex locked in the child.
    last: Mutex<LastLook>,
    settings: VerifierSettings,
    replay: ReplayCheck,
    handle: VerifierHandle,
    news: Arc<Mutex<Vec<String>>>,
}

struct LastLook {
    /// When the last look began.
    at: Instant,
    /// The process in which a thread is looking, or was when the process was forked.
    looking: Option<u32>,
    /// `None` during a look, and after a look that did not finish.
    watch: Option<FileWatch>,
}

/// What a request has to do before it is judged.
enum Turn {
    /// Nothing: the files were looked at within the last second.
    Recent,
    /// Wait: another thread is looking.
    Wait,
    /// Look at the files. `None`: the last look did not finish, so read them.
    Look(Option<FileWatch>),
}

/// Ends a look when it is dropped, also if the look panics.
struct Looking<'a> {
    last: &'a Mutex<LastLook>,
    watch: Option<FileWatch>,
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        let mut last = lock(self.last);
        last.looking = None;
        last.watch = self.watch.take();
    }
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
        handle: VerifierHandle,
        news: Arc<Mutex<Vec<String>>>,
    ) -> Self {
        let last = LastLook { at: Instant::now(), looking: None, watch: Some(watch) };
        TrustWatch { last: Mutex::new(last), settings, replay, handle, news }
    }

    /// Looks at the files, unless that was done within the last second, and reads them if they have
    /// changed. Waits for another thread that does so. Returns `false` if that thread takes too
    /// long: the request must not be judged by the old keys.
    pub(crate) fn look(&self, py: Python<'_>) -> bool {
        if self.settings.trust_paths().is_empty() {
            return true;
        }
        let begun = Instant::now();
        let watch = loop {
            match self.turn() {
                Turn::Recent => return true,
                Turn::Look(watch) => break watch,
                Turn::Wait if begun.elapsed() >= LONGEST_WAIT => return false,
                Turn::Wait => py.detach(|| thread::sleep(PAUSE)),
            }
        };
        let mut looking = Looking { last: &self.last, watch: None };
        let read = || catch_unwind(AssertUnwindSafe(|| self.read_changed(watch)));
        let news = match py.detach(read) {
            Ok((watch, news)) => {
                looking.watch = Some(watch);
                news
            }
            Err(_) => Some(
                "the trust files could not be read again: a fault of mcpid; what was read before \
                 stays in use"
                    .to_owned(),
            ),
        };
        drop(looking);
        lock(&self.news).extend(news);
        true
    }

    fn turn(&self) -> Turn {
        let mut last = lock(&self.last);
        let ours = std::process::id();
        match last.looking {
            Some(process) if process == ours => return Turn::Wait,
            // The thread that was looking does not exist in this forked child.
            Some(_) => {}
            None if last.at.elapsed() < INTERVAL => return Turn::Recent,
            None => {}
        }
        last.looking = Some(ours);
        last.at = Instant::now();
        Turn::Look(last.watch.take())
    }

    /// Reads the files if they have changed since `watch` looked at them. Returns the watch, and a
    /// line for the log.
    fn read_changed(&self, watch: Option<FileWatch>) -> (FileWatch, Option<String>) {
        let (watch, is_changed) = match watch {
            Some(mut watch) => {
                let is_changed = watch.changed();
                (watch, is_changed)
            }
            None => (FileWatch::new(self.settings.trust_paths().to_vec()), true),
        };
        (watch, is_changed.then(|| self.read()))
    }

    fn read(&self) -> String {
        match Registry::load(self.settings.trust_paths()) {
            Ok(registry) => {
                let keys = registry.len();
                let settings = self.settings.with_registry(Arc::new(registry));
                let verifier = settings.verifier(Arc::new(SystemClock), self.replay.clone());
                match fork_gate::hold(|| self.handle.replace(verifier)) {
                    Ok(()) => format!("read again: {keys} trusted"),
                    Err(error) => chain(&error),
                }
            }
            Err(error) => format!(
                "{}: {}; what was read before stays in use",
                shown_path(&error.path).display(),
                chain(&error)
            ),
        }
    }
}
