//! The native half of the Python package `mcpid_attest`.
//!
//! Every rule is in the crate `mcpid`. These modules translate arguments, results and errors, and
//! release the interpreter while the engine works.
//!
//! - `errors`: the exceptions, and which error becomes which exception.
//! - `keys`: signing keys, public keys, keyfiles and ssh-agents.
//! - `request`: requests as Python programs hold them.
//! - `sign`: makes signatures.
//! - `settings`: the settings that every verifier has.
//! - `store`: nonce stores.
//! - `verify`: judges requests, and shows what signatures claim.

use pyo3::prelude::*;

mod errors;
mod keys;
mod request;
mod settings;
mod sign;
mod store;
mod verify;

/// The module `mcpid_attest._native`. It does not rely on the interpreter's lock.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::add(module)?;
    keys::add(module)?;
    request::add(module)?;
    sign::add(module)?;
    verify::add(module)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
