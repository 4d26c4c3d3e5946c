//! Makes signatures of requests.

use mcpid::base::header::check_label;
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::trust::check_client_id;
use mcpid::message::target::Origins;
use mcpid::secret::description;
use mcpid::sign::{self, Nonce};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rand::rngs::SysRng;

use crate::errors::signing_error;
use crate::keys::SigningKey;
use crate::request::{body_of, head, url_target};
use crate::settings;

/// The longest life of a signature, in seconds: ten years, as for every duration.
const LONGEST_TTL: i64 = 3650 * 86_400;

/// Adds the class and the function of this file to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Signer>()?;
    module.add_function(wrap_pyfunction!(sign_request, module)?)
}

/// Signs requests with one key.
#[pyclass(frozen, module = "mcpid_attest")]
pub(crate) struct Signer {
    signer: sign::Signer,
    signs_elsewhere: bool,
}

#[pymethods]
impl Signer {
    /// Makes a signer by the rules of `profile`.
    #[new]
    #[pyo3(signature = (key, *, profile="mcp", client_id=None, ttl=None, label=None, replace=false))]
    fn new(
        key: &Bound<'_, SigningKey>,
        profile: &str,
        client_id: Option<&str>,
        ttl: Option<&Bound<'_, PyAny>>,
        label: Option<&str>,
        replace: bool,
    ) -> PyResult<Self> {
        let key = key.get();
        let profile = settings::profile(profile)?;
        let mut signer =
            sign::Signer::new(key.signer(), &profile).map_err(|error| signing_error(&error))?;
        if let Some(label) = label {
            check_label(label).map_err(|error| refused("label", label, &error))?;
            signer = signer.with_label(label);
        }
        if let Some(id) = client_id {
            check_client_id(id).map_err(|error| refused("client_id", id, &error))?;
            signer = signer.with_client_id(id);
        }
        if let Some(ttl) = ttl {
            signer = signer.with_ttl(seconds(ttl)?);
        }
        if replace {
            signer = signer.replacing();
        }
        Ok(Signer { signer, signs_elsewhere: key.signs_elsewhere() })
    }

    /// True if another program signs. It may ask a person, so a signature can take minutes.
    #[getter]
    fn signs_elsewhere(&self) -> bool {
        self.signs_elsewhere
    }

    /// Signs a request, and returns the headers to set on it. Each replaces a header of its name.
    #[pyo3(signature = (method, url, headers=None, body=None, *, created=None))]
    fn sign<'py>(
        &self,
        py: Python<'py>,
        method: String,
        url: &Bound<'py, PyAny>,
        headers: Option<&Bound<'py, PyAny>>,
        body: Option<&Bound<'py, PyAny>>,
        created: Option<i64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let head = head(method, url_target(url)?, headers)?;
        let body = body_of(body)?.unwrap_or_default();
        let nonce = Nonce::generate(&mut SysRng).map_err(|error| {
            PyValueError::new_err(format!("the operating system gives no random numbers: {error}"))
        })?;
        let created = created.map_or_else(|| SystemClock.now(), Timestamp::from_unix);
        let signed = py
            .detach(|| self.signer.sign(&head, &Origins::unknown(), body, created, &nonce))
            .map_err(|error| signing_error(&error))?;
        let added = PyDict::new(py);
        for (name, value) in signed.headers() {
            added.set_item(name, value)?;
        }
        Ok(added)
    }

    fn __repr__(&self) -> String {
        let (key, profile) = (self.signer.public().id(), &self.signer.profile().name);
        format!("Signer({key}, {profile})")
    }
}

/// Signs one request, and returns the headers to set on it: `Content-Digest`, unless the request
/// carries it, `Signature-Input` and `Signature`.
#[pyfunction]
#[pyo3(signature = (key, method, url, headers=None, body=None, *, profile="mcp", client_id=None,
                    ttl=None, label=None, replace=false, created=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
fn sign_request<'py>(
    py: Python<'py>,
    key: &Bound<'py, SigningKey>,
    method: String,
    url: &Bound<'py, PyAny>,
    headers: Option<&Bound<'py, PyAny>>,
    body: Option<&Bound<'py, PyAny>>,
    profile: &str,
    client_id: Option<&str>,
    ttl: Option<&Bound<'py, PyAny>>,
    label: Option<&str>,
    replace: bool,
    created: Option<i64>,
) -> PyResult<Bound<'py, PyDict>> {
    Signer::new(key, profile, client_id, ttl, label, replace)?
        .sign(py, method, url, headers, body, created)
}

/// Returns the error for a text that cannot be used. A text that may be a secret is described.
fn refused(name: &str, text: &str, error: &dyn std::error::Error) -> PyErr {
    PyValueError::new_err(match description(text) {
        Some(described) => format!("{name} cannot be {described}"),
        None => format!("{name} {error}"),
    })
}

/// Reads `ttl`: seconds, or the word `none` for a signature without `expires`.
fn seconds(ttl: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if ttl.extract::<&str>().is_ok_and(|word| word == "none") {
        return Ok(None);
    }
    match ttl.extract::<i64>() {
        Ok(0) => {
            Err(PyValueError::new_err("a signature that expires when it is made is of no use"))
        }
        Ok(seconds) if (1..=LONGEST_TTL).contains(&seconds) => Ok(Some(seconds)),
        Ok(seconds) => {
            let message = format!("ttl {seconds}: seconds, 1 to {LONGEST_TTL}, or the word 'none'");
            Err(PyValueError::new_err(message))
        }
        Err(_) => Err(PyValueError::new_err("ttl is a number of seconds, or the word 'none'")),
    }
}
