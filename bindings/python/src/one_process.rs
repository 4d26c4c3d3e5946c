//! Keeps a store in memory to one process of a server: each worker of several would accept the same
//! request once.

use std::env;

use mcpid::message::target::Origins;
use pyo3::prelude::*;

/// The variable that tells servers how many workers to start.
const VARIABLE: &str = "WEB_CONCURRENCY";

/// Returns why this process may not have a store in memory, or `None` if it may: the environment
/// says that the server has several workers.
pub(crate) fn several_workers() -> Option<String> {
    let workers = env::var(VARIABLE).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let workers = workers.filter(|workers| *workers > 1)?;
    Some(refused(&format!("{VARIABLE} is {workers}")))
}

/// Returns why this process may not have a store in memory for a server at `origins`, or `None` if it
/// may: another worker of the same supervisor has one. Only processes that a supervisor of workers
/// started are asked, such as those of `uvicorn --workers 2`.
///
/// # Errors
/// The modules of the interpreter cannot be read.
pub(crate) fn another_worker(py: Python<'_>, origins: &Origins) -> PyResult<Option<String>> {
    let parent = py.import("multiprocessing")?.call_method0("parent_process")?;
    // gunicorn forks its workers by itself.
    let is_worker =
        !parent.is_none() || py.import("sys")?.getattr("modules")?.contains("gunicorn")?;
    let free = !is_worker || place::take(origins);
    Ok((!free).then(|| refused("another worker of this server has one")))
}

fn refused(why: &str) -> String {
    format!(
        "nonce_store: a store in memory is for one process, and {why}: each of them would accept a \
         request once; such as nonce_store=\"sqlite:nonces.db\""
    )
}

#[cfg(target_os = "linux")]
mod place {
    //! A name in Linux's abstract namespace of sockets, which one process at a time can hold, and
    //! which is free again when that process ends.

    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener};
    use std::os::unix::process::parent_id;
    use std::sync::Mutex;

    use mcpid::message::target::Origins;

    use crate::future::lock;

    /// The names that this process holds, and the process that took each: a forked child has the
    /// sockets of its parent.
    static HELD: Mutex<Vec<(String, u32, UnixListener)>> = Mutex::new(Vec::new());

    /// Takes the place of the one worker, below this parent, that has a store in memory for
    /// `origins`. Returns `false` if another process has it.
    pub(super) fn take(origins: &Origins) -> bool {
        let mut texts: Vec<String> = origins.iter().map(ToString::to_string).collect();
        texts.sort();
        let mut hasher = DefaultHasher::new();
        texts.hash(&mut hasher);
        let name = format!("mcpid-memory-store-{}-{:016x}", parent_id(), hasher.finish());
        let process = std::process::id();
        let mut held = lock(&HELD);
        if held.iter().any(|(taken, by, _)| *taken == name && *by == process) {
            return true;
        }
        let bound =
            SocketAddr::from_abstract_name(&name).and_then(|name| UnixListener::bind_addr(&name));
        bound.map(|listener| held.push((name, process, listener))).is_ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod place {
    //! Other systems have no names that end with their process.

    use mcpid::message::target::Origins;

    pub(super) fn take(_origins: &Origins) -> bool {
        true
    }
}
