//! Judges requests, and shows what signatures claim.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::base;
use mcpid::base::header::{self, HeaderError};
use mcpid::clock::{Clock, FixedClock, SystemClock, Timestamp};
use mcpid::key::format;
use mcpid::message::target::Origins;
use mcpid::message::{Body, InputRequest};
use mcpid::nonce::within_run::WithinRun;
use mcpid::verify::report::{TimeSource, VerdictReport};
use mcpid::verify::{self, MAX_HEAD, ReplayCheck, Statement};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::{Refused, value_error};
use crate::fork_gate;
use crate::request::Judged;
use crate::settings::{RuleChanges, Trust, VerifierSettings};
use crate::store;

/// Most signatures of one request that are shown, as by `mcpid inspect`.
const MAX_SIGNATURES: usize = 32;

/// Adds the classes and the function of this file to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Verifier>()?;
    module.add_class::<Verified>()?;
    module.add_function(wrap_pyfunction!(inspect, module)?)
}

/// Judges requests in twelve steps.
#[pyclass(frozen, module = "mcpid_attest")]
pub(crate) struct Verifier {
    verifier: verify::Verifier,
}

#[pymethods]
impl Verifier {
    /// Makes a verifier for requests to `origin`, signed by keys that `trust` names.
    #[new]
    #[pyo3(signature = (*, origin, trust=None, nonce_store=None, profile="mcp",
                        timestamp_window_seconds=None, ahead_seconds=None, require=None,
                        allow_uncovered=None, max_body=None, now=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        origin: &Bound<'_, PyAny>,
        trust: Option<&Bound<'_, PyAny>>,
        nonce_store: Option<&Bound<'_, PyAny>>,
        profile: &str,
        timestamp_window_seconds: Option<i64>,
        ahead_seconds: Option<i64>,
        require: Option<Vec<String>>,
        allow_uncovered: Option<Vec<String>>,
        max_body: Option<usize>,
        now: Option<i64>,
    ) -> PyResult<Self> {
        let (window, ahead) = (timestamp_window_seconds, ahead_seconds);
        let trust = Trust::of(trust)?;
        let (require, allow_uncovered) =
            (require.unwrap_or_default(), allow_uncovered.unwrap_or_default());
        let changes = RuleChanges { window, ahead, max_body, require, allow_uncovered };
        let settings = VerifierSettings::read(&trust, origin, profile, &changes)?;
        let clock: Arc<dyn Clock> = match now {
            None => Arc::new(SystemClock),
            Some(now) => Arc::new(FixedClock(Timestamp::from_unix(now))),
        };
        let replay = match nonce_store {
            None => ReplayCheck::WithinRun(Arc::new(WithinRun::default())),
            Some(_) if now.is_some() => {
                return Err(PyValueError::new_err(
                    "nonce_store and now: nonces of a past time cannot be claimed",
                ));
            }
            Some(store) => ReplayCheck::Claim(store::open_for(py, store, &settings, false)?.store),
        };
        Ok(Verifier { verifier: settings.verifier(clock, replay) })
    }

    /// Judges a request, and returns what was proven. Blocks until the nonce store has answered.
    fn verify(&self, py: Python<'_>, request: &Bound<'_, PyAny>) -> PyResult<Verified> {
        let Judged { head, body } = Judged::of(request)?;
        let verify = move || {
            let judged = self.verifier.verify_blocking(&head, &body);
            judged.map_err(|error| Refused::of(&error))
        };
        let judged = match self.verifier.replay() {
            ReplayCheck::WithinRun(_) => fork_gate::detach(py, verify),
            // A fork does not wait for the answer of a store, which refuses forked children.
            _ => py.detach(verify),
        };
        judged.map(|verified| Verified { verified }).map_err(|refused| refused.exception(py))
    }

    /// As `verify`, as a coroutine of asyncio: a thread of its pool waits for the nonce store.
    fn verify_async<'py>(
        slf: &Bound<'py, Self>,
        request: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import("asyncio")?.call_method1("to_thread", (slf.getattr("verify")?, request))
    }

    fn __repr__(&self) -> String {
        let origins: Vec<_> = self.verifier.origins().iter().map(ToString::to_string).collect();
        format!("Verifier({}, {})", origins.join(" "), self.verifier.profile().name)
    }
}

/// What a request proves: which key signed it, and when.
#[pyclass(frozen, module = "mcpid_attest")]
pub(crate) struct Verified {
    verified: verify::Verified,
}

#[pymethods]
impl Verified {
    /// Always `verified`, as in the status of the middleware.
    #[getter]
    fn status(&self) -> &'static str {
        "verified"
    }

    /// The id of the key: the RFC 7638 thumbprint.
    #[getter]
    fn key_id(&self) -> &str {
        self.verified.key().as_str()
    }

    /// The key as a `did:key`.
    #[getter]
    fn did(&self) -> String {
        format::did_key(self.verified.entry().key())
    }

    /// The name of the key in the trust file.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.verified.name()
    }

    /// The stable client id.
    #[getter]
    fn tag(&self) -> Option<&str> {
        self.verified.tag()
    }

    /// The label of the signature, which has no meaning.
    #[getter]
    fn label(&self) -> &str {
        self.verified.label()
    }

    /// When the signature was made, in Unix seconds.
    #[getter]
    fn created(&self) -> Option<i64> {
        self.verified.created().map(Timestamp::unix)
    }

    /// As of when the request was judged, in Unix seconds.
    #[getter]
    fn now(&self) -> i64 {
        self.verified.now().unix()
    }

    /// What the nonce store said: `fresh`, `unchecked`, `replayed` or `below_floor`. Only `fresh`
    /// of a verifier with a nonce store proves the first use.
    #[getter]
    fn replay(&self) -> &'static str {
        self.verified.nonce_outcome().as_str()
    }

    fn __repr__(&self) -> String {
        format!("Verified({}, name={:?})", self.verified.key(), self.verified.name())
    }
}

/// Returns what each signature of a request claims, as `mcpid inspect --json` prints it. Nothing of
/// it is proven.
#[pyfunction]
#[pyo3(signature = (request, *, now=None))]
fn inspect<'py>(
    py: Python<'py>,
    request: &Bound<'py, PyAny>,
    now: Option<i64>,
) -> PyResult<Bound<'py, PyAny>> {
    let Judged { head, body } = Judged::of(request)?;
    let size = head.wire_len();
    if size > MAX_HEAD {
        let message = format!("the head is {size} bytes long, {MAX_HEAD} at most");
        return Err(PyValueError::new_err(message));
    }
    let time = match now {
        None => (SystemClock.now(), TimeSource::Clock),
        Some(now) => (Timestamp::from_unix(now), TimeSource::Flag),
    };
    let (head, body) = (head.into_owned(), body.into_owned());
    let request = InputRequest { head, body: Body::Kept(body.into()), time: None };
    let report = || VerdictReport::new(("request", 0), &request, &Origins::unknown(), "", time);
    let claims = match header::read(&request.head) {
        Err(HeaderError::Missing(_)) => vec![json(&report().unsigned())?],
        Err(error) => return Err(value_error(&error)),
        Ok(candidates) if candidates.len() > MAX_SIGNATURES => {
            let message = format!("{} signatures, {MAX_SIGNATURES} at most", candidates.len());
            return Err(PyValueError::new_err(message));
        }
        Ok(candidates) => candidates
            .into_iter()
            .map(|candidate| {
                let params = candidate.params.map_err(|error| value_error(&error))?;
                let statement = Statement::of(&request.head, &candidate.label, Some(&params), None);
                let mut claims = json(&report().claiming(statement))?;
                let origins = Origins::unknown();
                let base = origins
                    .resolve(&request.head)
                    .ok()
                    .and_then(|target| base::signature_base(&params, &request.head, &target).ok());
                let signature = candidate.signature.ok().map(|bytes| STANDARD.encode(bytes));
                claims.insert("base".to_owned(), base.into());
                claims.insert("signature".to_owned(), signature.into());
                Ok(claims)
            })
            .collect::<PyResult<Vec<_>>>()?,
    };
    let text = serde_json::to_string(&claims).map_err(|error| value_error(&error))?;
    py.import("json")?.call_method1("loads", (text,))
}

type JsonObject = serde_json::Map<String, serde_json::Value>;

fn json(report: &VerdictReport) -> PyResult<JsonObject> {
    match serde_json::to_value(report) {
        Ok(serde_json::Value::Object(members)) => Ok(members),
        Ok(_) => Ok(JsonObject::new()),
        Err(error) => Err(value_error(&error)),
    }
}
