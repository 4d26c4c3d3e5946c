//! The native half of the Python package `mcpid_attest`.
//!
//! Every rule is in the crate `mcpid`. These modules translate arguments, results and errors, and
//! release the interpreter while the engine works.
//!
//! - `asgi`: the layer behind the ASGI middleware. `judgement` is one request of it, `body_pipe` its
//!   body, `fields` and `scope` its header fields, `mcp_identity` the verdict, and `future` wakes the event loop.
//!   `policy`, `trust_watch` and `audit_log` are settings.
//! - `errors`: the exceptions, and which error becomes which exception.
//! - `fork_gate`: makes a fork wait for work that holds locks; `fork_guard` keeps a child from its
//!   parent's store.
//! - `keys`: signing keys, public keys, keyfiles and ssh-agents. `key_source` finds a key by its reference.
//! - `request`: requests as Python programs hold them.
//! - `sign`: makes signatures.
//! - `settings`: the settings that every verifier has.
//! - `store`: nonce stores; `protocol_store` is one that an application writes in Python, and
//!   `one_process` keeps stores in memory to one worker of a server.
//! - `verify`: judges requests, and shows what signatures claim.

use pyo3::prelude::*;

mod asgi;
mod audit_log;
mod body_pipe;
mod errors;
mod fields;
mod fork_gate;
mod fork_guard;
mod future;
mod judgement;
mod key_source;
mod keys;
mod mcp_identity;
mod one_process;
mod policy;
mod protocol_store;
mod request;
mod scope;
mod settings;
mod sign;
mod store;
mod store_password;
mod trust_watch;
mod verify;

/// The module `mcpid_attest._native`. It does not rely on the interpreter's lock.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::add(module)?;
    keys::add(module)?;
    request::add(module)?;
    sign::add(module)?;
    verify::add(module)?;
    store::add(module)?;
    asgi::add(module)?;
    future::stop_at_exit(module)?;
    fork_gate::register(module)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
