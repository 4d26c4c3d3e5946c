//! The identity that an application finds in `scope["mcp_identity"]`.

use mcpid::key::format::did_key;
use mcpid::tower::Status;
use mcpid::verify::Verified;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// The verdict on one request. Only the status `verified` proves a key; otherwise `did`, `key_id`,
/// `name`, `tag` and `created` are `None`, because a claim that was not verified proves nothing.
#[pyclass(frozen, module = "mcpid_attest")]
pub(crate) struct MCPIdentity {
    status: Status,
}

impl MCPIdentity {
    pub(crate) fn new(status: Status) -> Self {
        MCPIdentity { status }
    }

    fn verified(&self) -> Option<&Verified> {
        self.status.verified()
    }
}

#[pymethods]
impl MCPIdentity {
    /// `verified`, `unsigned`, `unknown_key`, `invalid` or `unavailable`.
    #[getter]
    fn status(&self) -> &'static str {
        self.status.as_str()
    }

    /// The key as `did:key:z6Mk…`.
    #[getter]
    fn did(&self) -> Option<String> {
        self.verified().map(|verified| did_key(verified.entry().key()))
    }

    /// The RFC 7638 thumbprint of the key.
    #[getter]
    fn key_id(&self) -> Option<&str> {
        self.verified().map(|verified| verified.key().as_str())
    }

    /// The name of the key in the trust file.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.verified().and_then(Verified::name)
    }

    /// The stable client id: the parameter `tag` of the signature.
    #[getter]
    fn tag(&self) -> Option<&str> {
        self.verified().and_then(Verified::tag)
    }

    /// The time of the signature, in Unix seconds.
    #[getter]
    fn created(&self) -> Option<i64> {
        self.verified().and_then(Verified::created).map(|created| created.unix())
    }

    /// `present` if a person touched a security key for this request, `verified` if that key also
    /// verified its user, for example by a PIN; `None` without a touch.
    #[getter]
    fn touch(&self) -> Option<&'static str> {
        self.verified().and_then(Verified::touch).map(|touch| touch.as_str())
    }

    /// Why the request is not verified, such as `expired`; `None` if it is.
    #[getter]
    fn reason(&self) -> Option<&'static str> {
        match &self.status {
            Status::Verified(_) => None,
            Status::Unavailable(_) => Some("unavailable"),
            other => other.code().map(|code| code.as_str()),
        }
    }

    /// Whether strict mode would have refused the request.
    #[getter]
    fn would_refuse(&self) -> bool {
        self.verified().is_none()
    }

    fn __repr__(&self) -> String {
        let mut text = format!("<MCPIdentity {}", self.status());
        if let Some(reason) = self.reason() {
            text.push_str(" reason=");
            text.push_str(reason);
        }
        if let Some(verified) = self.verified() {
            text.push_str(&format!(" key_id={}", verified.key()));
            if let Some(name) = verified.name() {
                text.push_str(&format!(" name={name:?}"));
            }
            if let Some(touch) = verified.touch() {
                text.push_str(&format!(" touch={}", touch.as_str()));
            }
        }
        text + ">"
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(PyTypeError::new_err("an identity belongs to its request and cannot be pickled"))
    }
}
