//! Threads that serve, each with a runtime of its own.
//!
//! A request is read, judged, passed on and answered by the thread that its connection was given to,
//! with connections of that thread's own to the server behind. Threads that share one runtime wake
//! each other several times a request, which costs more than everything that is done for it.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// How long whatever blocks in the background may take at the end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Some threads, for [`Server::run`](super::Server::run). They end when this is dropped, and
/// whatever still runs on them ends with them.
#[derive(Debug)]
pub struct Workers {
    runtimes: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    over: watch::Sender<bool>,
}

impl Workers {
    /// `size` threads, one at the least.
    ///
    /// # Errors
    /// The operating system's, where it gives no more threads or descriptors.
    pub fn new(size: usize) -> io::Result<Self> {
        let (over, stopped) = watch::channel(false);
        let mut workers = Workers { runtimes: Vec::new(), threads: Vec::new(), over };
        for number in 0..size.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, mut stopped) = (runtime.handle().clone(), stopped.clone());
            let work = move || {
                let _ = runtime.block_on(stopped.wait_for(|over| *over));
                runtime.shutdown_timeout(SHUTDOWN_GRACE);
            };
            let thread = thread::Builder::new().name(format!("serve-{number}")).spawn(work)?;
            workers.runtimes.push(handle);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// A thread for each processor that this process may use.
    ///
    /// # Errors
    /// As [`Workers::new`].
    pub fn of_this_machine() -> io::Result<Self> {
        Workers::new(thread::available_parallelism().map_or(1, usize::from))
    }

    /// The runtime of each, with what it is to answer with. `service` is asked once for every one;
    /// what these share must not be bound to a runtime.
    pub fn each<S>(&self, mut service: impl FnMut() -> S) -> Vec<(Handle, S)> {
        self.runtimes.iter().map(|runtime| (runtime.clone(), service())).collect()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let _ = self.over.send(true);
        for thread in self.threads.drain(..) {
            // The panic hook already reported it.
            let _ = thread.join();
        }
    }
}
