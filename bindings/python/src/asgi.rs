//! The layer behind `MCPIdentityMiddleware`: reads scopes, and begins judgements.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Extensions, Response, StatusCode};
use mcpid::clock::SystemClock;
use mcpid::message::RequestTarget;
use mcpid::message::error_chain::chain;
use mcpid::message::target::{Origins, is_loopback};
use mcpid::tower::{
    Budget, Decision, REFUSED, RefuseWith, SessionBindings, VerifyLayer, error_response,
};
use mcpid::verify::ReplayCheck;
use pyo3::exceptions::{PyFileNotFoundError, PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::audit_log::{self, AuditKey, AuditLog};
use crate::body_pipe::{BodyPipe, PipedBody};
use crate::fields::header_line;
use crate::future::lock;
use crate::judgement::Judgement;
use crate::mcp_identity::MCPIdentity;
use crate::policy::{self, EndpointPath, KeywordSyntax, setting_error};
use crate::protocol_store::ProtocolStore;
use crate::scope::{
    ScopeHead, ScopeHeadError, header_lines, poses_as_ours, required_text, target_of,
    text_of_scope, without_ours,
};
use crate::settings::{RuleChanges, Trust, VerifierSettings, profile as named_profile};
use crate::store;
use crate::trust_watch::{self, TrustWatch};

/// The verifying layer of one middleware.
#[pyclass(frozen, module = "mcpid_attest._native")]
pub(crate) struct Layer {
    layer: VerifyLayer,
    /// `None`: all paths are the endpoint.
    endpoint: Option<EndpointPath>,
    target_prefix: String,
    trust: TrustWatch,
    audit: Option<AuditLog>,
    /// Whether claims are questions for a store that the application wrote in Python.
    asks: bool,
    /// Whether the log was told of MCP requests to another path.
    warned: AtomicBool,
    /// Warnings for the application's log.
    news: Arc<Mutex<Vec<String>>>,
    /// Warnings of the nonce store.
    store_warnings: Arc<Mutex<Vec<String>>>,
}

#[pymethods]
impl Layer {
    #[new]
    #[pyo3(signature = (
        *, trust, origin, nonce_store, mode, strict, permissive, touch, profile, path, max_body,
        refuse_with, realm, audit, audit_key, window, ahead, require, allow_uncovered, target_prefix, dev, budget,
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is a setting of the middleware")]
    fn new(
        py: Python<'_>,
        trust: Option<&Bound<'_, PyAny>>,
        origin: &Bound<'_, PyAny>,
        nonce_store: Option<&Bound<'_, PyAny>>,
        mode: &str,
        strict: Vec<String>,
        permissive: Vec<String>,
        touch: Vec<String>,
        profile: &str,
        path: Option<&str>,
        max_body: Option<usize>,
        refuse_with: u16,
        realm: Option<String>,
        audit: Option<PathBuf>,
        audit_key: Option<&Bound<'_, PyAny>>,
        window: Option<i64>,
        ahead: Option<i64>,
        require: Vec<String>,
        allow_uncovered: Vec<String>,
        target_prefix: String,
        dev: bool,
        budget: Option<usize>,
    ) -> PyResult<Self> {
        let wrong = |why: String| PyValueError::new_err(why);
        let policy =
            policy::front_policy(mode, [&strict, &permissive, &touch], &named_profile(profile)?)?;
        let remarks = policy.remarks.iter().map(|(setting, remark)| format!("{setting}: {remark}"));
        let mut remarks: Vec<String> = remarks.collect();
        let refuse_with = RefuseWith::parse(refuse_with, realm, &KeywordSyntax)
            .map_err(|error| setting_error(&error))?;
        let endpoint = path.map(EndpointPath::new).transpose()?;
        policy::target_prefix(&target_prefix)?;
        let is_default = trust.is_none();
        let trust = Trust::of(trust)?;
        // The watch begins before the files are read, so that a change from here on is noticed.
        let watch = trust_watch::begin(&trust);
        let changes = RuleChanges { window, ahead, max_body, require, allow_uncovered };
        let read = |trust| VerifierSettings::read(trust, origin, profile, &changes);
        let settings = match read(&trust) {
            // Without a trust file of this user, permissive mode can only tell who signs.
            Err(error) if is_default && mode == "permissive" && is_missing(py, &error) => {
                remarks.push(format!("no key is trusted: {error}"));
                read(&Trust::Keys(Vec::new()))?
            }
            read => read?,
        };
        let clock = Arc::new(SystemClock);
        if dev {
            check_dev(settings.origins(), nonce_store)?;
        }
        let mut store_warnings = Arc::default();
        let store: Arc<dyn mcpid::nonce::NonceStore> = match nonce_store {
            Some(named) => {
                let opened = store::open_for(py, named, &settings, dev)?;
                store_warnings = opened.warnings;
                opened.store
            }
            None => Arc::new(ProtocolStore),
        };
        let replay = ReplayCheck::Claim(store);
        let verifier = settings.verifier(clock.clone(), replay.clone());
        let mut layer = VerifyLayer::new(verifier)
            .map_err(|error| wrong(chain(&error)))?
            .with_learning_modes(policy.modes)
            .with_touch(policy.touch)
            .map_err(|error| wrong(format!("touch: {}", chain(&error))))?
            .with_sessions(Arc::new(SessionBindings::default()))
            .with_refusals(refuse_with)
            .map_err(|error| wrong(format!("realm: {}", chain(&error))))?
            .with_budget(Arc::new(Budget::new(budget.unwrap_or(Budget::DEFAULT))));
        let audit_key = audit_key.map(AuditKey::of).transpose()?;
        let audit = match (audit, audit_key) {
            (Some(folder), key) => Some(py.detach(|| audit_log::open(folder, key, clock.clone()))?),
            (None, Some(_)) => {
                return Err(wrong("audit_key would change nothing: there is no audit".to_owned()));
            }
            (None, None) => None,
        };
        if let Some(audit) = &audit {
            layer = layer.with_audit(Arc::clone(audit.recorder()));
        }
        let news = Arc::new(Mutex::new(remarks));
        let trust = TrustWatch::new(watch, settings, replay, layer.handle(), Arc::clone(&news));
        let (asks, warned) = (nonce_store.is_none(), AtomicBool::new(false));
        Ok(Layer {
            layer,
            endpoint,
            target_prefix,
            trust,
            audit,
            asks,
            warned,
            news,
            store_warnings,
        })
    }

    /// Judges a request as far as its head goes, and returns the state and the judgement; `None` for a
    /// request to another path than the endpoint's.
    fn judge(&self, scope: &Bound<'_, PyDict>) -> PyResult<Option<(u8, Judgement)>> {
        let Some(judgement) = self.begin(scope)? else { return Ok(None) };
        Ok(Some((judgement.poll(scope.py())?, judgement)))
    }

    /// Returns the header fields of a request to another path without those that only a gateway of
    /// ours sets, or `None` if there are none of these.
    fn unjudged_headers(&self, scope: &Bound<'_, PyDict>) -> PyResult<Option<Py<PyList>>> {
        let (mut poses, mut is_mcp) = (false, false);
        for line in header_lines(scope)?.try_iter()? {
            let name = header_line(&line?)?.0;
            poses |= poses_as_ours(&name);
            is_mcp |= name.to_ascii_lowercase().starts_with(b"mcp-");
        }
        if is_mcp && !self.warned.swap(true, Ordering::Relaxed) {
            let path = required_text(scope, intern!(scope.py(), "path"))?;
            let path: String = path.chars().take(128).collect();
            lock(&self.news).push(format!(
                "a request to {path:?} looks like MCP, and passed unjudged: path is the whole path of \
                 the endpoint, as clients send it"
            ));
        }
        poses.then(|| without_ours(scope)).transpose()
    }

    /// Whether a websocket at this scope could be for the endpoint.
    fn is_endpoint(&self, scope: &Bound<'_, PyDict>) -> PyResult<bool> {
        let target = target_of(scope, &self.target_prefix)?;
        Ok(!self.is_elsewhere(scope, "GET", &target)?)
    }

    /// Whether there are warnings for the application's log.
    #[getter]
    fn has_news(&self) -> bool {
        !lock(&self.news).is_empty() || !lock(&self.store_warnings).is_empty()
    }

    /// The identity of a request that got through, and `has_news`: in one call, because each costs.
    fn passed(&self, judgement: &Bound<'_, Judgement>) -> (Option<MCPIdentity>, bool) {
        (judgement.get().identity(), self.has_news())
    }

    /// Takes the warnings.
    fn take_news(&self) -> Vec<String> {
        let mut news = std::mem::take(&mut *lock(&self.news));
        news.append(&mut lock(&self.store_warnings));
        news
    }

    /// Writes the last checkpoint of the audit log, and ends it. Later requests are not recorded.
    fn close(&self, py: Python<'_>) {
        if let Some(audit) = &self.audit {
            py.detach(|| audit.close());
        }
    }
}

impl Layer {
    /// Reads a request, and makes its judgement.
    fn begin(&self, scope: &Bound<'_, PyDict>) -> PyResult<Option<Judgement>> {
        if !self.trust.look(scope.py()) {
            let message = "the trust files are being read, which takes too long";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let response = error_response(status, REFUSED, message, "unavailable", None);
            return Ok(Some(Judgement::refused(response)));
        }
        if self.audit.as_ref().is_some_and(AuditLog::is_foreign) {
            return Err(PyRuntimeError::new_err(
                "the audit log was opened before a fork: make the application in each worker process",
            ));
        }
        let mut head = ScopeHead::copy(scope, &self.target_prefix)?;
        if self.is_elsewhere(scope, &head.method(), head.target())? {
            return Ok(None);
        }
        head.copy_fields(scope)?;
        let headers = head.poses.then(|| without_ours(scope)).transpose()?;
        let pipe = Arc::new(BodyPipe::new(head.announced));
        let (layer, body) = (self.layer.clone(), PipedBody(Arc::clone(&pipe)));
        let future = Box::pin(async move {
            match head.read() {
                Ok(read) => layer.judge(&read, &Extensions::new(), body).await,
                Err(error) => Decision::Refuse(refuse_head(&layer, &head, error)),
            }
        });
        Ok(Some(Judgement::new(future, pipe, headers, self.asks)))
    }

    /// Whether no reading of the path leads to the endpoint: as on the wire, as the server decoded
    /// it, and as an application sees it below `root_path`.
    fn is_elsewhere(
        &self,
        scope: &Bound<'_, PyDict>,
        method: &str,
        target: &[u8],
    ) -> PyResult<bool> {
        let Some(endpoint) = &self.endpoint else { return Ok(false) };
        // A target that cannot be read is refused later.
        let Ok(target) = RequestTarget::from_bytes(target) else { return Ok(false) };
        let wire = target.path();
        let unprefixed = wire.strip_prefix(self.target_prefix.as_str()).unwrap_or(wire);
        if !endpoint.is_elsewhere(method, wire) || !endpoint.is_elsewhere(method, unprefixed) {
            return Ok(false);
        }
        let path = required_text(scope, intern!(scope.py(), "path"))?;
        let root = text_of_scope(scope, intern!(scope.py(), "root_path"))?;
        let below = root.as_deref().and_then(|root| path.strip_prefix(root)).unwrap_or(&path);
        Ok([&*path, below].iter().all(|path| endpoint.is_elsewhere_decoded(method, path)))
    }
}

/// Refuses a request whose head is not HTTP.
fn refuse_head(layer: &VerifyLayer, head: &ScopeHead, error: ScopeHeadError) -> Response<Bytes> {
    match error {
        ScopeHeadError::Target => {
            let message = "the target of the request cannot be read, or has a fragment";
            error_response(StatusCode::BAD_REQUEST, REFUSED, message, "target", None)
        }
        ScopeHeadError::Head(error) => {
            let path = String::from_utf8_lossy(head.target());
            layer.refuse_head(error, (&*head.method(), &*path), &Extensions::new())
        }
    }
}

fn is_missing(py: Python<'_>, error: &PyErr) -> bool {
    // Only the value has the subclass of OSError that its number stands for.
    error.value(py).is_instance_of::<PyFileNotFoundError>()
}

/// Checks that a store in memory may begin without a floor: a server that can be reached from this
/// machine only, for development.
fn check_dev(origins: &Origins, nonce_store: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    if let Some(origin) = origins.iter().find(|origin| {
        let host = origin.authority();
        // The port is behind the last colon that no bracket follows.
        let host = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => host,
        };
        !is_loopback(host)
    }) {
        return Err(PyValueError::new_err(format!(
            "dev=True is for servers on loopback, and origin {origin} is not: after a restart, a \
             request could be used twice"
        )));
    }
    if !nonce_store.is_some_and(store::is_memory) {
        return Err(PyValueError::new_err(
            "dev=True would change nothing: only a store in memory waits at each start",
        ));
    }
    Ok(())
}

/// Adds the classes of the middleware to the module.
///
/// # Errors
/// The interpreter refuses them.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Layer>()?;
    module.add_class::<Judgement>()?;
    module.add_class::<MCPIdentity>()
}
