//! The nonce stores that Python code names: handles of the engine's stores.
//!
//! A store is opened by its first user, because it has to know for how long its users need nonces to
//! be kept.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mcpid::block_on;
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::mcp::setting::SettingError;
use mcpid::message::error_chain::chain;
use mcpid::nonce::memory::Memory;
use mcpid::nonce::open::StoreOptions;
use mcpid::nonce::url::StoreUrl;
use mcpid::nonce::{Retention, StoreError};
use pyo3::exceptions::{PyConnectionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use rand::rngs::SysRng;

use crate::errors::shown_path;
use crate::fork_gate;
use crate::fork_guard::ForkGuard;
use crate::future::lock;
use crate::one_process::{another_worker, several_workers};
use crate::policy::{KeywordSyntax, setting_error};
use crate::settings::VerifierSettings;
use crate::store_password::password;

/// A store of used nonces, by its URL: `memory:`, `sqlite:PATH`, `redis://HOST…`.
///
/// The store is opened when a middleware or verifier is made with it, and may serve several of them.
/// A store that was opened before `fork` refuses every claim in the child process.
#[pyclass(frozen, subclass, module = "mcpid_attest")]
pub(crate) struct NonceStore {
    url: StoreUrl,
    allow_evicting: bool,
    raise_retention: bool,
    opening: Mutex<Opening>,
    warnings: Arc<Mutex<Vec<String>>>,
}

/// How far the store of a handle is opened.
enum Opening {
    Unopened,
    /// A thread of this process opens it.
    Under {
        process: u32,
    },
    Opened(OpenedStore),
}

/// The engine's store of a handle.
#[derive(Clone)]
struct OpenedStore {
    store: Arc<dyn mcpid::nonce::NonceStore>,
    /// Whether its first user opened it with `dev`, so that a store in memory has no floor.
    dev: bool,
}

/// Used nonces in the memory of this process, forgotten when it ends. For servers of one process:
/// refused if `WEB_CONCURRENCY` says that there are more, and in the second worker of a server.
///
/// For some seconds after its start, a strict server with such a store answers 503, because an
/// earlier process may have accepted the same requests.
#[pyclass(frozen, extends = NonceStore, module = "mcpid_attest")]
pub(crate) struct InMemoryNonceStore;

#[pymethods]
impl NonceStore {
    /// Names the store at `url`.
    ///
    /// `allow_evicting_store` also uses Redis servers that remove keys when they are full, which
    /// makes replays possible. `raise_retention` lets this user close the store for all others for a
    /// while if it needs nonces to be kept for longer than before.
    #[classmethod]
    #[pyo3(signature = (url, *, allow_evicting_store=false, raise_retention=false))]
    fn open(
        _class: &Bound<'_, PyType>,
        url: &str,
        allow_evicting_store: bool,
        raise_retention: bool,
    ) -> PyResult<Self> {
        let url = StoreUrl::parse(url).map_err(|error| {
            PyValueError::new_err(format!(
                "nonce_store: {error}; such as nonce_store=\"sqlite:nonces.db\""
            ))
        })?;
        let store = NonceStore::new(url, allow_evicting_store, raise_retention);
        match store.options().without_effect() {
            Some((name, why)) => {
                let error = SettingError::switch_without_effect(&KeywordSyntax, name, why);
                Err(setting_error(&error))
            }
            None => Ok(store),
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        // The URL never shows a password.
        Ok(format!("<{} {}>", slf.get_type().name()?, slf.get().shown()))
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(PyTypeError::new_err("a nonce store belongs to its process and cannot be pickled"))
    }
}

#[pymethods]
impl InMemoryNonceStore {
    /// Makes an empty store for at most `max` live nonces, of which each key may have an eighth.
    #[new]
    #[pyo3(signature = (max=None))]
    fn new(max: Option<usize>) -> PyResult<PyClassInitializer<Self>> {
        if max.is_some_and(|max| max < 8) {
            let why = "max: a store in memory holds at least 8 nonces";
            return Err(PyValueError::new_err(why));
        }
        let store = NonceStore::new(StoreUrl::Memory { max }, false, false);
        Ok(PyClassInitializer::from(store).add_subclass(InMemoryNonceStore))
    }
}

impl NonceStore {
    fn new(url: StoreUrl, allow_evicting: bool, raise_retention: bool) -> Self {
        let warnings = Arc::default();
        NonceStore {
            url,
            allow_evicting,
            raise_retention,
            opening: Mutex::new(Opening::Unopened),
            warnings,
        }
    }

    fn options(&self) -> StoreOptions {
        StoreOptions::new(self.url.clone())
            .allow_evicting(self.allow_evicting)
            .allow_raising(self.raise_retention)
    }

    /// Returns the engine's store, opened and registered for `retention`. With `dev`, a store in
    /// memory begins without a floor. All users of one store have the same `dev`: otherwise a server
    /// that clients can reach would get a store that has lost the nonces of an earlier process.
    fn attach(
        &self,
        retention: Retention,
        dev: bool,
    ) -> Result<Arc<dyn mcpid::nonce::NonceStore>, StoreFailure> {
        if let (StoreUrl::Memory { .. }, Some(why)) = (&self.url, several_workers()) {
            return Err(StoreFailure::Setting(why));
        }
        let register = |store: &Arc<dyn mcpid::nonce::NonceStore>| {
            let registered = block_on(store.register(SystemClock.now(), retention));
            registered.map_err(|error| self.unavailable(&error))
        };
        let mut turn = match self.turn() {
            OpeningTurn::Opened(opened) if opened.dev != dev => {
                let why = "nonce_store: in use with another value of dev; give each its own store";
                return Err(StoreFailure::Setting(why.to_owned()));
            }
            OpeningTurn::Opened(opened) => {
                return register(&opened.store).map(|()| opened.store);
            }
            OpeningTurn::Ours(turn) => turn,
        };
        let store: Arc<dyn mcpid::nonce::NonceStore> =
            Arc::new(ForkGuard::new(self.start(retention, dev)?));
        register(&store)?;
        turn.opened = Some(OpenedStore { store: Arc::clone(&store), dev });
        Ok(store)
    }

    /// Waits while another thread opens the store, and returns the store if it is open.
    fn turn(&self) -> OpeningTurn<'_> {
        let process = std::process::id();
        loop {
            let turn = fork_gate::hold(|| {
                let mut opening = lock(&self.opening);
                match &*opening {
                    Opening::Opened(opened) => return Some(OpeningTurn::Opened(opened.clone())),
                    Opening::Under { process: other } if *other == process => return None,
                    // In a forked child, the thread that opens it does not exist.
                    Opening::Under { .. } | Opening::Unopened => {}
                }
                *opening = Opening::Under { process };
                Some(OpeningTurn::Ours(OurTurn { opening: &self.opening, opened: None }))
            });
            match turn {
                Some(turn) => return turn,
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn start(
        &self,
        retention: Retention,
        dev: bool,
    ) -> Result<Arc<dyn mcpid::nonce::NonceStore>, StoreFailure> {
        let now = SystemClock.now();
        if let (StoreUrl::Memory { max }, true) = (&self.url, dev) {
            let store = Memory::new(now, retention, &mut SysRng)
                .map_err(|error| StoreFailure::Unavailable(error.to_string()))?
                .without_floor();
            return Ok(match max {
                Some(max) => Arc::new(store.bounded(*max)),
                None => Arc::new(store),
            });
        }
        let warnings = Arc::clone(&self.warnings);
        let mut options = self.options().on_warning(move |warning| {
            fork_gate::hold(|| {
                let mut list = lock(&warnings);
                if !list.contains(&warning) {
                    list.push(warning);
                }
            });
        });
        if let StoreUrl::Redis(servers) = &self.url
            && let Some(password) =
                password(servers.password.is_some()).map_err(StoreFailure::Setting)?
        {
            options = options.password(password);
        }
        let opened = options.open_for_claims(now, retention, &mut SysRng);
        opened.map_err(|error| self.unavailable(&error))
    }

    /// Returns the URL as a message may show it: a path that may be a secret is described.
    fn shown(&self) -> String {
        match &self.url {
            StoreUrl::Sqlite { path } => format!("sqlite:{}", shown_path(path).display()),
            url => url.to_string(),
        }
    }

    fn unavailable(&self, error: &StoreError) -> StoreFailure {
        let why = format!("the nonce store {}: {}", self.shown(), chain(error));
        match error.retention_too_short() {
            Some(_) => StoreFailure::Setting(format!(
                "{why}; all its users can wait for so long? NonceStore.open(url, \
                 raise_retention=True)"
            )),
            None => StoreFailure::Unavailable(why),
        }
    }
}

/// What a user of a handle has to do.
enum OpeningTurn<'a> {
    Opened(OpenedStore),
    /// Open the store.
    Ours(OurTurn<'a>),
}

/// Ends the opening of a store when it is dropped, also after an error or a panic.
struct OurTurn<'a> {
    opening: &'a Mutex<Opening>,
    /// `None` if the store could not be opened.
    opened: Option<OpenedStore>,
}

impl Drop for OurTurn<'_> {
    fn drop(&mut self) {
        let opening = self.opened.take().map_or(Opening::Unopened, Opening::Opened);
        fork_gate::hold(|| *lock(self.opening) = opening);
    }
}

/// Why a store cannot be used.
enum StoreFailure {
    /// A setting is wrong.
    Setting(String),
    /// The file or server cannot be used.
    Unavailable(String),
}

impl From<StoreFailure> for PyErr {
    fn from(failure: StoreFailure) -> Self {
        match failure {
            StoreFailure::Setting(why) => PyValueError::new_err(why),
            StoreFailure::Unavailable(why) => PyConnectionError::new_err(why),
        }
    }
}

/// An open store, and the warnings about its servers, each once.
pub(crate) struct OpenStore {
    pub(crate) store: Arc<dyn mcpid::nonce::NonceStore>,
    pub(crate) warnings: Arc<Mutex<Vec<String>>>,
}

/// Returns the engine's store that `store` names: a URL or a handle. It is registered for the
/// retention that a verifier with `settings` needs. With `dev`, a store in memory begins without a
/// floor.
///
/// # Errors
/// `ValueError` for a text that is no URL of a store and for a store in memory where there are
/// several processes, `ConnectionError` for a store that cannot be used, `TypeError`.
pub(crate) fn open_for(
    py: Python<'_>,
    store: &Bound<'_, PyAny>,
    settings: &VerifierSettings,
    dev: bool,
) -> PyResult<OpenStore> {
    let named;
    let handle: &Bound<'_, NonceStore> = match store.cast::<NonceStore>() {
        Ok(handle) => handle,
        Err(_) => {
            let Ok(url) = store.cast::<PyString>() else {
                let kind = store.get_type().name()?.to_string();
                return Err(PyTypeError::new_err(format!(
                    "nonce_store is a URL or a store of this package, not {kind}"
                )));
            };
            let class = py.get_type::<NonceStore>();
            named = Bound::new(py, NonceStore::open(&class, url.to_str()?, false, false)?)?;
            &named
        }
    };
    let handle = handle.get();
    if let StoreUrl::Memory { .. } = handle.url
        && let Some(why) = another_worker(py, settings.origins())?
    {
        return Err(PyValueError::new_err(why));
    }
    let retention = settings.retention();
    // Redis servers answer within two seconds, if they answer.
    let store = py.detach(|| handle.attach(retention, dev))?;
    Ok(OpenStore { store, warnings: Arc::clone(&handle.warnings) })
}

/// Whether `store` names a store in memory.
pub(crate) fn is_memory(store: &Bound<'_, PyAny>) -> bool {
    match (store.cast::<NonceStore>(), store.cast::<PyString>()) {
        (Ok(handle), _) => matches!(handle.get().url, StoreUrl::Memory { .. }),
        (_, Ok(url)) => url.to_str().is_ok_and(|url| url.starts_with("memory:")),
        _ => false,
    }
}

/// Adds the classes of this file to the module.
///
/// # Errors
/// The interpreter refuses them.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<NonceStore>()?;
    module.add_class::<InMemoryNonceStore>()
}
