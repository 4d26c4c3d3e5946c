//! Reads scopes of ASGI: header fields, text and bytes.

use std::borrow::Cow;

use mcpid::message::{Head, HeadError, RequestTarget};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::fields::{header_line, push_header_line};
use crate::policy;

/// The parts of a head, copied from a scope into one buffer. The engine reads them from there, when
/// the interpreter's lock is released.
pub(crate) struct ScopeHead {
    /// The method, the target, and name and value of each field.
    bytes: Vec<u8>,
    method: usize,
    /// Where the target ends.
    target: usize,
    /// Where each name and each value ends.
    fields: Vec<(usize, usize)>,
    /// RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
    is_old: bool,
    /// `Content-Length`, or why it cannot be relied on.
    pub(crate) announced: Result<Option<u64>, &'static str>,
    /// Whether the client sent a field that only a gateway of ours sets.
    pub(crate) poses: bool,
}

/// Why a head cannot be judged.
pub(crate) enum ScopeHeadError {
    Target,
    Head(HeadError),
}

fn wrong_type(name: &Bound<'_, PyString>) -> PyErr {
    let name = name.to_string_lossy();
    PyTypeError::new_err(format!("{name:?} of the scope has the wrong type"))
}

/// Returns bytes of the scope, or `None` if they are absent or None.
pub(crate) fn bytes_of_scope(
    scope: &Bound<'_, PyDict>,
    name: &Bound<'_, PyString>,
) -> PyResult<Option<PyBackedBytes>> {
    match scope.get_item(name)?.filter(|value| !value.is_none()) {
        Some(value) => value.extract().map(Some).map_err(|_| wrong_type(name)),
        None => Ok(None),
    }
}

/// Returns text of the scope, or `None` if it is absent or None.
pub(crate) fn text_of_scope(
    scope: &Bound<'_, PyDict>,
    name: &Bound<'_, PyString>,
) -> PyResult<Option<PyBackedStr>> {
    match scope.get_item(name)?.filter(|value| !value.is_none()) {
        Some(value) => value.extract().map(Some).map_err(|_| wrong_type(name)),
        None => Ok(None),
    }
}

pub(crate) fn required_text(
    scope: &Bound<'_, PyDict>,
    name: &Bound<'_, PyString>,
) -> PyResult<PyBackedStr> {
    let missing = || {
        let name = name.to_string_lossy();
        PyTypeError::new_err(format!("the scope has no {name:?}"))
    };
    text_of_scope(scope, name)?.ok_or_else(missing)
}

/// Returns the header fields of the scope. A sequence that can be read once only is replaced in the
/// scope, because the application has to read it too.
pub(crate) fn header_lines<'py>(scope: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    // A scope without fields stands for an empty list.
    let Some(lines) = scope.get_item(intern!(scope.py(), "headers"))? else {
        return Ok(PyList::empty(scope.py()).into_any());
    };
    if lines.is_instance_of::<PyList>() || lines.is_instance_of::<PyTuple>() {
        return Ok(lines);
    }
    let list = PyList::empty(scope.py());
    for line in lines.try_iter()? {
        list.append(line?)?;
    }
    scope.set_item(intern!(scope.py(), "headers"), &list)?;
    Ok(list.into_any())
}

impl ScopeHead {
    /// Copies method and target of a request. `target_prefix` is put before the target.
    ///
    /// The target is that on the wire: path, `?` and query are never rebuilt from decoded parts if
    /// the server tells them.
    pub(crate) fn copy(scope: &Bound<'_, PyDict>, target_prefix: &str) -> PyResult<Self> {
        let py = scope.py();
        let mut bytes = Vec::with_capacity(1000);
        bytes.extend_from_slice(required_text(scope, intern!(py, "method"))?.as_bytes());
        let method = bytes.len();
        push_target(scope, target_prefix, &mut bytes)?;
        let (target, fields) = (bytes.len(), Vec::new());
        let (is_old, announced, poses) = (false, Ok(None), false);
        Ok(ScopeHead { bytes, method, target, fields, is_old, announced, poses })
    }

    /// Copies the header fields, too.
    pub(crate) fn copy_fields(&mut self, scope: &Bound<'_, PyDict>) -> PyResult<()> {
        let version = text_of_scope(scope, intern!(scope.py(), "http_version"))?;
        self.is_old = version.as_deref() == Some("1.0");
        self.fields.reserve(16);
        for line in header_lines(scope)?.try_iter()? {
            let line = line?;
            let start = self.bytes.len();
            let name = push_header_line(&line, &mut self.bytes)?;
            let (name, value) = self.bytes[start..].split_at(name);
            if name.eq_ignore_ascii_case(b"content-length") {
                self.announced = announced_length(value);
            }
            self.poses |= poses_as_ours(name);
            self.fields.push((start + name.len(), self.bytes.len()));
        }
        Ok(())
    }

    /// The method as the server tells it.
    pub(crate) fn method(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes[..self.method])
    }

    /// The target as on the wire.
    pub(crate) fn target(&self) -> &[u8] {
        &self.bytes[self.method..self.target]
    }

    /// Reads the head.
    ///
    /// # Errors
    /// [`ScopeHeadError`] for anything that is no HTTP.
    pub(crate) fn read(&self) -> Result<Head<'_>, ScopeHeadError> {
        let target =
            RequestTarget::from_bytes(self.target()).map_err(|_| ScopeHeadError::Target)?;
        let mut head = Head::new(self.method(), target).map_err(ScopeHeadError::Head)?;
        // Nearly always, all of it is text, which is checked faster at once than name by name.
        let text = std::str::from_utf8(&self.bytes).ok();
        let mut start = self.target;
        for (middle, end) in &self.fields {
            let (name, value) = (&self.bytes[start..*middle], &self.bytes[*middle..*end]);
            let text = text.and_then(|text| text.get(start..*middle));
            start = *end;
            if self.is_old && name.eq_ignore_ascii_case(b"expect") {
                continue;
            }
            let pushed = match text.map_or_else(|| std::str::from_utf8(name), Ok) {
                Ok(name) => head.push(name, value),
                Err(_) => Err(HeadError::FieldName(String::from_utf8_lossy(name).into_owned())),
            };
            pushed.map_err(ScopeHeadError::Head)?;
        }
        Ok(head)
    }
}

/// Appends the target to `out`.
fn push_target(scope: &Bound<'_, PyDict>, target_prefix: &str, out: &mut Vec<u8>) -> PyResult<()> {
    let py = scope.py();
    let raw = bytes_of_scope(scope, intern!(py, "raw_path"))?.filter(|raw| !raw.is_empty());
    let encoded;
    let path = match &raw {
        Some(raw) => &raw[..],
        // What the signature has to cover is then what the application sees.
        None => {
            encoded = policy::encoded(&required_text(scope, intern!(py, "path"))?);
            encoded.as_bytes()
        }
    };
    if path.starts_with(b"/") {
        out.extend_from_slice(target_prefix.as_bytes());
    }
    out.extend_from_slice(path);
    let query = bytes_of_scope(scope, intern!(py, "query_string"))?;
    // An empty query cannot be told from none.
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        out.push(b'?');
        out.extend_from_slice(&query);
    }
    Ok(())
}

/// Returns the target of a scope without its header fields, such as that of a websocket.
pub(crate) fn target_of(scope: &Bound<'_, PyDict>, target_prefix: &str) -> PyResult<Vec<u8>> {
    let mut target = Vec::new();
    push_target(scope, target_prefix, &mut target)?;
    Ok(target)
}

/// Reads `Content-Length`. Two lines of it are refused by step 1.
fn announced_length(value: &[u8]) -> Result<Option<u64>, &'static str> {
    let text = std::str::from_utf8(value.trim_ascii()).unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let length = text.parse().ok().filter(|_| digits);
    length.map(Some).ok_or("content-length cannot be read")
}

/// Whether `name` is a field by which a gateway of ours names an identity, also for applications
/// that cannot tell an underscore from a hyphen.
pub(crate) fn poses_as_ours(name: &[u8]) -> bool {
    matches!(name.split_at_checked(5), Some((start, [b'-' | b'_', ..])) if start.eq_ignore_ascii_case(b"mcpid"))
}

pub(crate) fn without_ours(scope: &Bound<'_, PyDict>) -> PyResult<Py<PyList>> {
    let kept = PyList::empty(scope.py());
    for line in header_lines(scope)?.try_iter()? {
        let line = line?;
        if !poses_as_ours(&header_line(&line)?.0) {
            kept.append(line)?;
        }
    }
    Ok(kept.unbind())
}
