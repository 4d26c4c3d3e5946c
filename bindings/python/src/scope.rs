//! Reads scopes of ASGI: header fields, text and bytes.

use mcpid::message::{Head, HeadError, RequestTarget};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::fields::header_line;

/// A head as the server parsed it.
pub(crate) struct ReadHead {
    pub(crate) head: Head<'static>,
    /// `Content-Length`, or why it cannot be relied on.
    pub(crate) announced: Result<Option<u64>, &'static str>,
    /// Whether the client sent a field that only a gateway of ours sets.
    pub(crate) poses: bool,
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

pub(crate) fn read_head(
    scope: &Bound<'_, PyDict>,
    method: &str,
    target: RequestTarget<'_>,
) -> PyResult<Result<ReadHead, HeadError>> {
    let version = text_of_scope(scope, intern!(scope.py(), "http_version"))?;
    // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
    let is_old = version.as_deref() == Some("1.0");
    let mut head = match Head::new(method, target) {
        Ok(head) => head,
        Err(error) => return Ok(Err(error)),
    };
    let (mut announced, mut poses) = (Ok(None), false);
    for line in header_lines(scope)?.try_iter()? {
        let (name, value) = header_line(&line?)?;
        if is_old && name.eq_ignore_ascii_case(b"expect") {
            continue;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            announced = announced_length(&value);
        }
        poses |= poses_as_ours(&name);
        let Ok(name) = std::str::from_utf8(&name) else {
            return Ok(Err(HeadError::FieldName(String::from_utf8_lossy(&name).into_owned())));
        };
        if let Err(error) = head.push(name.to_owned(), value.to_vec()) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(ReadHead { head: head.into_owned(), announced, poses }))
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
