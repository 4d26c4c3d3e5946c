//! Worker threads, each with its own runtime.
//!
//! Each connection belongs to one thread. That thread reads, judges, forwards and answers all
//! requests of the connection, and has its own connections to the upstream. Threads of one shared
//! runtime would wake each other several times per request, which costs more than the work itself.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// How long dropping a worker waits for its blocking tasks.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// A pool of threads for [`Server::run`](super::Server::run). Dropping the pool ends the threads
/// and all tasks on them.
///
/// ```
/// use mcpid::net::Workers;
///
/// let workers = Workers::new(2)?;
/// let services = workers.each(|| "a service");
/// assert_eq!(services.len(), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Workers {
    runtimes: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Workers {
    /// Starts `size` threads, at least one.
    ///
    /// # Errors
    /// Errors of the operating system, for example if there are no more threads or descriptors.
    pub fn new(size: usize) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut workers = Workers { runtimes: Vec::new(), threads: Vec::new(), stop };
        for number in 0..size.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, mut stopped) = (runtime.handle().clone(), stopped.clone());
            let work = move || {
                let _ = runtime.block_on(stopped.wait_for(|stop| *stop));
                runtime.shutdown_timeout(SHUTDOWN_GRACE);
            };
            let thread = thread::Builder::new().name(format!("serve-{number}")).spawn(work)?;
            workers.runtimes.push(handle);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Starts one thread for each processor that this process may use.
    ///
    /// # Errors
    /// As [`Workers::new`].
    pub fn of_this_machine() -> io::Result<Self> {
        Workers::new(thread::available_parallelism().map_or(1, usize::from))
    }

    /// Returns the runtime of each thread, each with its own service: `service` is called once for
    /// each thread. Data that the services share must not be bound to one runtime.
    pub fn each<S>(&self, mut service: impl FnMut() -> S) -> Vec<(Handle, S)> {
        self.runtimes.iter().map(|runtime| (runtime.clone(), service())).collect()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            // An error means that the thread panicked, which the panic hook has already reported.
            let _ = thread.join();
        }
    }
}
