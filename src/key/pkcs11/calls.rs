//! Counts the calls of modules, so that the process does not exit during one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Maximum time to wait for the end of a call or of a thread that the process no longer needs.
pub(super) const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The calls of all modules in this process.
static CALLS: ModuleCalls = ModuleCalls {
    state: Mutex::new(CallState { running: 0, ended: false }),
    changed: Condvar::new(),
};

struct ModuleCalls {
    state: Mutex<CallState>,
    changed: Condvar,
}

struct CallState {
    /// Number of threads that are inside of a module.
    running: usize,
    /// Whether no further call may begin.
    ended: bool,
}

/// Waits until no PKCS #11 module is being called, up to 2 s. No call begins after that: its thread
/// waits until the process ends.
///
/// Call this right before the process exits. Otherwise a thread that still signs would use the data
/// of the module's libraries while the exiting thread destroys them, and the process could crash.
pub fn end_calls() {
    let mut state = lock();
    state.ended = true;
    // A call that takes longer may hang.
    let _ = CALLS.changed.wait_timeout_while(state, END_TIMEOUT, |state| state.running > 0);
}

/// Runs `call`, which calls a module. After [`end_calls`], never returns.
pub(super) fn run<T>(call: impl FnOnce() -> T) -> T {
    struct Running;
    impl Drop for Running {
        fn drop(&mut self) {
            lock().running -= 1;
            CALLS.changed.notify_all();
        }
    }
    let state = CALLS.changed.wait_while(lock(), |state| state.ended);
    state.unwrap_or_else(PoisonError::into_inner).running += 1;
    let _running = Running;
    call()
}

fn lock() -> MutexGuard<'static, CallState> {
    CALLS.state.lock().unwrap_or_else(PoisonError::into_inner)
}
