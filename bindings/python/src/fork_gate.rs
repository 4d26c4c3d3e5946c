//! Makes a fork wait for work that holds locks of the engine.
//!
//! A forked child has only the thread that forked. A lock that another thread holds at that moment
//! stays locked in the child, where the first request would wait for ever. Work under the
//! interpreter's lock is no danger, because a fork needs that lock, too (there is no wheel for
//! Python without that lock). Other work that takes locks for moments goes through [`detach`] or
//! [`hold`]. Work that waits for another thread or process must not: that thread may come to the
//! gate as well.
//!
//! The gate is a number and not a lock, so that a child can reset it. All waiting is bounded by
//! [`LONGEST_WAIT`]: at worst, a fork is as if there were no gate.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The number of threads inside of [`hold`], and [`CLOSED`].
static GATE: AtomicUsize = AtomicUsize::new(0);

/// The bit that says that a fork waits, or is under way.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// The longest time that a fork waits for work, and that work waits for a fork.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The time between two looks at the gate.
const PAUSE: Duration = Duration::from_micros(50);

thread_local! {
    /// Whether this thread is inside of [`hold`].
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    /// How often this thread has closed the gate. A module that was imported twice closes it twice.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `work` without the interpreter's lock. A fork on another thread waits for its end.
pub(crate) fn detach<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| hold(work))
}

/// Runs `work`. A fork on another thread waits for its end. The caller must not hold the
/// interpreter's lock, which the forking thread needs before it opens the gate.
pub(crate) fn hold<T>(work: impl FnOnce() -> T) -> T {
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            IS_INSIDE.set(false);
            GATE.fetch_sub(1, Ordering::SeqCst);
        }
    }
    if IS_INSIDE.get() || DEPTH.get() > 0 {
        return work();
    }
    let free = wait_until(|| {
        let enter = |gate| (gate & CLOSED == 0).then_some(gate + 1);
        GATE.fetch_update(Ordering::SeqCst, Ordering::SeqCst, enter).is_ok()
    });
    if !free {
        GATE.fetch_add(1, Ordering::SeqCst);
    }
    IS_INSIDE.set(true);
    let _inside = Inside;
    work()
}

/// Waits until `is_done` returns true, for at most [`LONGEST_WAIT`], and returns whether it did.
fn wait_until(is_done: impl Fn() -> bool) -> bool {
    if is_done() {
        return true;
    }
    let begun = Instant::now();
    while begun.elapsed() < LONGEST_WAIT {
        thread::sleep(PAUSE);
        if is_done() {
            return true;
        }
    }
    false
}

#[pyfunction]
fn close_for_fork(py: Python<'_>) {
    DEPTH.set(DEPTH.get() + 1);
    if DEPTH.get() > 1 {
        return;
    }
    py.detach(|| {
        // Of two threads that fork, one waits here for the other.
        wait_until(|| GATE.fetch_or(CLOSED, Ordering::SeqCst) & CLOSED == 0);
        wait_until(|| GATE.load(Ordering::SeqCst) == CLOSED);
    });
}

#[pyfunction]
fn open_in_parent() {
    DEPTH.set(DEPTH.get().saturating_sub(1));
    if DEPTH.get() == 0 {
        GATE.fetch_and(!CLOSED, Ordering::SeqCst);
    }
}

#[pyfunction]
fn open_in_child() {
    DEPTH.set(0);
    // The threads that may be counted do not exist here.
    GATE.store(0, Ordering::SeqCst);
}

/// Has each fork by the interpreter wait.
///
/// # Errors
/// The interpreter refuses it.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let steps = PyDict::new(module.py());
    steps.set_item("before", wrap_pyfunction!(close_for_fork, module)?)?;
    steps.set_item("after_in_parent", wrap_pyfunction!(open_in_parent, module)?)?;
    steps.set_item("after_in_child", wrap_pyfunction!(open_in_child, module)?)?;
    module.py().import("os")?.getattr("register_at_fork")?.call((), Some(&steps))?;
    Ok(())
}
