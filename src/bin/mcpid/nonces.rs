//! Nonce stores on the command line, and waiting for what they answer.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::nonce::memory::Memory;
use mcpid::nonce::redis::{self, Warning};
use mcpid::nonce::sqlite::{self, Options, Sqlite};
use mcpid::nonce::url::{RedisUrl, StoreUrl};
use mcpid::nonce::{NonceStore, Retention};
use rand::rngs::SysRng;

use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::Named;
use crate::ui::Ui;

/// Reads the name of a store, which `named` says where it stands.
///
/// # Errors
/// It names none.
pub(crate) fn url(text: &str, named: Named, ui: &mut Ui) -> Result<StoreUrl, Failure> {
    let source = if named == Named::Variable { "MCPID_NONCES" } else { "--nonces" };
    let url = StoreUrl::parse(text).map_err(|e| {
        let failure = Failure::usage(format!("{source}: {e}"));
        failure.hint("such as --nonces sqlite:nonces.db")
    })?;
    if named == Named::Flag && url.holds_password() {
        ui.warning("other users of this machine can see a password that stands in a flag");
    }
    Ok(url)
}

/// Opens the store that `--nonces` names, for a user who claims in it and needs `retention`.
///
/// # Errors
/// It names none, or the store cannot be used.
pub(crate) fn open(
    text: &str,
    retention: Retention,
    ui: &mut Ui,
) -> Result<Arc<dyn NonceStore>, Failure> {
    let now = SystemClock.now();
    let url = url(text, Named::Flag, ui)?;
    let store: Arc<dyn NonceStore> = match &url {
        StoreUrl::Memory { max } => memory(*max, retention)?,
        StoreUrl::Sqlite { path } => {
            let options = Options::new(path, sqlite::boot_id());
            Arc::new(options.open(now, retention).map_err(|e| unavailable(&url, &e))?)
        }
        StoreUrl::Redis(servers) => {
            let warned = Arc::default();
            let opened = servers_at(servers.clone(), &warned).open(now, retention);
            tell(&warned, ui);
            Arc::new(opened.map_err(|e| unavailable(&url, &e))?)
        }
        other => return Err(unknown(other)),
    };
    wait(store.register(now, retention)).map_err(|e| unavailable(&url, &e))?;
    Ok(store)
}

/// Opens the store that `--nonces` names, only to look into it: nothing in it changes, and none
/// is made.
///
/// # Errors
/// As [`open`].
pub(crate) fn look(text: &str, ui: &mut Ui) -> Result<Arc<dyn NonceStore>, Failure> {
    match url(text, Named::Flag, ui)? {
        // There is nothing to be seen in it, whatever its retention.
        StoreUrl::Memory { max } => memory(max, Retention::new(30, 5)),
        StoreUrl::Sqlite { path } => Ok(Arc::new(read(path)?)),
        StoreUrl::Redis(servers) => {
            let warned = Arc::default();
            let opened = servers_at(servers.clone(), &warned).read();
            tell(&warned, ui);
            Ok(Arc::new(opened.map_err(|e| unavailable(&StoreUrl::Redis(servers), &e))?))
        }
        other => Err(unknown(&other)),
    }
}

type Warned = Arc<Mutex<Vec<Warning>>>;

/// The store on the servers that `url` names, with its warnings kept for [`tell`].
fn servers_at(url: RedisUrl, warned: &Warned) -> redis::Options {
    let warned = Arc::clone(warned);
    redis::Options::new(url).on_warning(move |warning| {
        warned.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    })
}

/// Says what the servers are warned about when they are connected to.
fn tell(warned: &Warned, ui: &mut Ui) {
    for warning in warned.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        ui.warning(&warning.to_string());
    }
}

/// Opens a file only to look into it.
///
/// # Errors
/// It cannot be used.
pub(crate) fn read(path: PathBuf) -> Result<Sqlite, Failure> {
    // Who only looks opens no new boot either.
    let opened = Options::new(&path, None).read();
    opened.map_err(|e| unavailable(&StoreUrl::Sqlite { path }, &e))
}

fn memory(max: Option<usize>, retention: Retention) -> Result<Arc<dyn NonceStore>, Failure> {
    let store = Memory::new(SystemClock.now(), retention, &mut SysRng);
    let store = store.map_err(|e| unavailable(&StoreUrl::Memory { max }, &e))?;
    Ok(Arc::new(match max {
        Some(max) => store.bounded(max),
        None => store,
    }))
}

/// For a store that the library can name and this program cannot open.
pub(crate) fn unknown(url: &StoreUrl) -> Failure {
    let message = format!("this build cannot use the nonce store {url}");
    Failure::new(Exit::Unavailable, "unavailable", message)
}

/// What a store's error is to the caller.
pub(crate) fn unavailable(url: &StoreUrl, error: &dyn std::error::Error) -> Failure {
    let message = format!("the nonce store {url}: {}", chain(error));
    Failure::new(Exit::Unavailable, "unavailable", message)
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
