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
const FAREWELL: Duration = Duration::from_secs(1);

/// Some threads, for [`Server::run_by`](super::Server::run_by). They end when this is dropped, and
/// whatever still runs on them ends with them.
#[derive(Debug)]
pub struct Crew {
    hands: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    over: watch::Sender<bool>,
}

impl Crew {
    /// `size` threads, one at the least.
    ///
    /// # Errors
    /// The operating system's, where it gives no more threads or descriptors.
    pub fn new(size: usize) -> io::Result<Self> {
        let (over, told) = watch::channel(false);
        let mut crew = Crew { hands: Vec::new(), threads: Vec::new(), over };
        for number in 0..size.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (hand, mut told) = (runtime.handle().clone(), told.clone());
            let work = move || {
                let _ = runtime.block_on(told.wait_for(|over| *over));
                runtime.shutdown_timeout(FAREWELL);
            };
            let thread = thread::Builder::new().name(format!("serve-{number}")).spawn(work)?;
            crew.hands.push(hand);
            crew.threads.push(thread);
        }
        Ok(crew)
    }

    /// A thread for each processor that this process may use.
    ///
    /// # Errors
    /// As [`Crew::new`].
    pub fn of_this_machine() -> io::Result<Self> {
        Crew::new(thread::available_parallelism().map_or(1, usize::from))
    }

    pub(super) fn hands(&self) -> &[Handle] {
        &self.hands
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let _ = self.over.send(true);
        for thread in self.threads.drain(..) {
            // A panic in it was told by its own hook.
            let _ = thread.join();
        }
    }
}
