//! Nonce stores. To be replaced by the classes that the middleware shares.

use std::sync::Arc;

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::nonce::open::StoreOptions;
use mcpid::nonce::url::StoreUrl;
use mcpid::nonce::{NonceStore, Retention};
use mcpid::verify::rejection::chain;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rand::rngs::SysRng;

/// Opens the store that a URL names, to claim nonces in it.
pub(crate) fn open_for(
    py: Python<'_>,
    store: &Bound<'_, PyAny>,
    retention: Retention,
    _dev: bool,
) -> PyResult<Arc<dyn NonceStore>> {
    let text: String = store.extract()?;
    let url = StoreUrl::parse(&text)
        .map_err(|error| PyValueError::new_err(format!("nonce_store: {error}")))?;
    let shown = url.to_string();
    py.detach(|| {
        let now = SystemClock.now();
        let store = StoreOptions::new(url).open(now, retention, &mut SysRng)?;
        mcpid::block_on(store.register(now, retention))?;
        Ok::<_, mcpid::nonce::StoreError>(store)
    })
    .map_err(|error| PyValueError::new_err(format!("the nonce store {shown}: {}", chain(&error))))
}
