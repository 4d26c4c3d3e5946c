//! Wakes a Python event loop when a Rust future can go on.
//!
//! A future is polled in place, on the thread of the event loop, so that a future that is ready
//! costs nothing. Only if it has to wait does the event loop await a future of its own, which the
//! waker resolves by `loop.call_soon_threadsafe`.
//!
//! A waker is called by the threads of nonce stores and of the audit log. These threads must not
//! wait for the interpreter's lock, so one thread of this module calls into Python for them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;

use crate::fork_gate;

/// Locks `mutex`, also after a thread panicked while it held the lock: only for data that is whole at
/// any time.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A future of an event loop that waits to be resolved.
pub(crate) struct LoopFuture {
    /// `call_soon_threadsafe` of the loop.
    pub(crate) call_soon: Py<PyAny>,
    /// The Python function that resolves `future`, unless that was cancelled.
    pub(crate) resolve: Py<PyAny>,
    pub(crate) future: Py<PyAny>,
}

/// The waker of one Rust future.
#[derive(Default)]
pub(crate) struct LoopWaker {
    state: Mutex<WakeState>,
}

#[derive(Default)]
enum WakeState {
    /// The future is being polled, or is pending without an event loop that waits for it.
    #[default]
    Asleep,
    /// The future was woken since it was polled last.
    Woken,
    /// An event loop waits.
    Waiting(LoopFuture),
}

impl LoopWaker {
    /// Forgets earlier calls; to be called before each poll.
    pub(crate) fn reset(&self) {
        self.replace(WakeState::Asleep);
    }

    /// Resolves `waiting` as soon as the waker is called. Returns `false` if it was called already
    /// since the last poll; then `waiting` is not resolved.
    pub(crate) fn wait(&self, waiting: LoopFuture) -> bool {
        let mut state = lock(&self.state);
        if matches!(*state, WakeState::Woken) {
            return false;
        }
        *state = WakeState::Waiting(waiting);
        true
    }

    fn replace(&self, new: WakeState) -> WakeState {
        std::mem::replace(&mut *lock(&self.state), new)
    }
}

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let WakeState::Waiting(waiting) = self.replace(WakeState::Woken) {
            resolve_soon(waiting);
        }
    }
}

/// The queue of the waking thread, and the process that it runs in: a forked child has no such
/// thread.
static WAKING: Mutex<Option<(u32, Sender<LoopFuture>)>> = Mutex::new(None);

fn resolve_soon(waiting: LoopFuture) {
    let Some(unsent) = fork_gate::hold(|| send_to_thread(waiting)) else { return };
    // Without a thread, the caller's thread has to do it.
    call_all(vec![unsent]);
}

/// Hands `waiting` to the waking thread, and starts that first if need be. Returns `waiting` if no
/// thread can be started.
fn send_to_thread(waiting: LoopFuture) -> Option<LoopFuture> {
    let mut waking = lock(&WAKING);
    let process = std::process::id();
    let mut left = Some(waiting);
    if let Some((owner, queue)) = &*waking
        && *owner == process
        && let Some(waiting) = left.take()
    {
        left = queue.send(waiting).err().map(|unsent| unsent.0);
    }
    let waiting = left?;
    let (queue, queued) = channel();
    let started = thread::Builder::new().name("mcpid-wake".to_owned()).spawn(|| wake_all(queued));
    match started {
        Ok(_) => {
            // The thread was just started, so it receives.
            let _ = queue.send(waiting);
            if let Some((owner, old)) = waking.replace((process, queue))
                && owner != process
            {
                // The thread of the parent may have held a lock of the queue during the fork.
                std::mem::forget(old);
            }
            None
        }
        Err(_) => Some(waiting),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the thread owns its end of the queue")]
fn wake_all(queued: Receiver<LoopFuture>) {
    while let Ok(first) = queued.recv() {
        let mut batch = vec![first];
        batch.extend(queued.try_iter());
        call_all(batch);
    }
}

/// Whether the interpreter ends. Before Python 3.14, a thread that waits for the interpreter's lock
/// at that time is ended by force, which aborts a process with Rust code on the thread's stack.
static ENDING: AtomicBool = AtomicBool::new(false);

/// The process whose waking thread calls into Python just now, or 0.
static CALLING: AtomicU32 = AtomicU32::new(0);

/// Stops calls into Python when the interpreter ends, and waits for the one that is under way, for
/// at most five seconds.
#[pyfunction]
fn stop_waking(py: Python<'_>) {
    ENDING.store(true, Ordering::SeqCst);
    py.detach(|| {
        for _ in 0..5_000 {
            // In a forked child, the call of the parent's thread never ends.
            if CALLING.load(Ordering::SeqCst) != std::process::id() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Has [`stop_waking`] run when the interpreter ends.
///
/// # Errors
/// The interpreter refuses it.
pub(crate) fn stop_at_exit(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let stop = wrap_pyfunction!(stop_waking, module)?;
    module.py().import("atexit")?.call_method1("register", (stop,))?;
    Ok(())
}

/// Resolves futures of event loops. If the interpreter is shutting down, no loop waits any more.
fn call_all(batch: Vec<LoopFuture>) {
    CALLING.store(std::process::id(), Ordering::SeqCst);
    if !ENDING.load(Ordering::SeqCst) {
        resolve_all(batch);
    }
    CALLING.store(0, Ordering::SeqCst);
}

fn resolve_all(batch: Vec<LoopFuture>) {
    let _ = Python::try_attach(|py| {
        for LoopFuture { call_soon, resolve, future } in batch {
            // The call fails if the loop is closed; then nothing waits for the future.
            let _ = call_soon.call1(py, (resolve, future));
        }
    });
}
