//! Makes a fork wait until no thread holds a lock of the engine.
//!
//! A forked child has only the thread that forked. A lock that another thread holds at that moment
//! stays locked in the child, where the first request would wait for ever. Work under the
//! interpreter's lock is no danger, because a fork needs that lock, too. Other work that takes locks
//! goes through [`detach`] or [`hold`], unless it waits for something outside of this process, such as
//! a program that signs: a fork would wait as long.

use std::cell::{Cell, RefCell};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Locked for reading during the work, and for writing during a fork.
static GATE: RwLock<()> = RwLock::new(());

thread_local! {
    /// Whether this thread is inside of [`hold`].
    static IS_HELD: Cell<bool> = const { Cell::new(false) };
    /// The gate, while this thread forks.
    static CLOSED: RefCell<Option<RwLockWriteGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// Runs `work` without the interpreter's lock. A fork on another thread waits for its end.
pub(crate) fn detach<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| hold(work))
}

/// Runs `work`. A fork on another thread waits for its end. The caller must not hold the
/// interpreter's lock, which the forking thread may need before it opens the gate.
pub(crate) fn hold<T>(work: impl FnOnce() -> T) -> T {
    struct Held;
    impl Drop for Held {
        fn drop(&mut self) {
            IS_HELD.set(false);
        }
    }
    // To lock again on the same thread would wait for ever if a fork waits.
    if IS_HELD.get() {
        return work();
    }
    let _open = GATE.read().unwrap_or_else(PoisonError::into_inner);
    IS_HELD.set(true);
    let _held = Held;
    work()
}

#[pyfunction]
fn close_for_fork(py: Python<'_>) {
    py.detach(|| {
        let gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
        CLOSED.set(Some(gate));
    });
}

/// Runs in the parent and in the child, on the thread that forked.
#[pyfunction]
fn open_after_fork() {
    CLOSED.set(None);
}

/// Has each fork by the interpreter wait.
///
/// # Errors
/// The interpreter refuses it.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let open = wrap_pyfunction!(open_after_fork, module)?;
    let steps = PyDict::new(module.py());
    steps.set_item("before", wrap_pyfunction!(close_for_fork, module)?)?;
    steps.set_item("after_in_parent", &open)?;
    steps.set_item("after_in_child", open)?;
    module.py().import("os")?.getattr("register_at_fork")?.call((), Some(&steps))?;
    Ok(())
}
