//! Nonce stores on the command line, and waiting for what they answer.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::nonce::memory::Memory;
use mcpid::nonce::url::StoreUrl;
use mcpid::nonce::{NonceStore, Retention};
use rand::rngs::SysRng;

use crate::exit::Exit;
use crate::failure::{Failure, chain};

/// Opens the store that `--nonces` names, for a user who needs `retention`.
///
/// # Errors
/// It names none, or the store cannot be used.
pub(crate) fn open(text: &str, retention: Retention) -> Result<Arc<dyn NonceStore>, Failure> {
    let url = StoreUrl::parse(text)
        .map_err(|e| Failure::usage(format!("--nonces: {e}")).hint("such as --nonces memory:"))?;
    let now = SystemClock.now();
    let unavailable = |e: &dyn std::error::Error| {
        Failure::new(Exit::Unavailable, "unavailable", format!("the nonce store: {}", chain(e)))
    };
    let store = match url {
        StoreUrl::Memory { max } => {
            let store = Memory::new(now, retention, &mut SysRng).map_err(|e| unavailable(&e))?;
            match max {
                Some(max) => store.bounded(max),
                None => store,
            }
        }
        _ => return Err(Failure::usage("--nonces: this build does not know that store")),
    };
    wait(store.register(now, retention)).map_err(|e| unavailable(&e))?;
    Ok(Arc::new(store))
}

/// Runs a future to its end on this thread. The stores that need a runtime bring their own.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
