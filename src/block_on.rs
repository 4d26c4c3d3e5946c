//! Waits for a future on a thread that has no async runtime.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Runs `future` to its end on this thread, and returns its output. The thread sleeps while the
/// future is pending.
///
/// The futures of this crate's stores, verifier and log need no particular runtime: a store that
/// needs a runtime has its own. Do not call this from an async task, because it would block the
/// task; and do not call it with a future that needs the runtime of its caller, such as a tokio
/// timer.
///
/// ```
/// assert_eq!(mcpid::block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            // `park` may return without a wake-up. The future is then only polled once more.
            Poll::Pending => thread::park(),
        }
    }
}
