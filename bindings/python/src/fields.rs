//! Header fields, bodies and responses between ASGI and the `http` crate.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyTuple};

/// Bodies up to this size are copied: that is cheaper than to keep Python's object.
const COPIED: usize = 16 * 1024;

/// Status, header fields and body of a response.
pub(crate) type RefusalParts = (u16, Vec<(Py<PyBytes>, Py<PyBytes>)>, Py<PyBytes>);

/// Returns the parts of `response` as ASGI sends them.
pub(crate) fn refusal_parts(py: Python<'_>, response: &Response<Bytes>) -> RefusalParts {
    let field = |name: &[u8], value: &[u8]| {
        (PyBytes::new(py, name).unbind(), PyBytes::new(py, value).unbind())
    };
    let mut fields: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| field(name.as_str().as_bytes(), value.as_bytes()))
        .collect();
    let length = response.body().len().to_string();
    fields.push(field(b"content-length", length.as_bytes()));
    let body = PyBytes::new(py, response.body()).unbind();
    (response.status().as_u16(), fields, body)
}

/// Returns `body` as bytes of Rust, and as an object of Python if it can be handed on as it is.
///
/// # Errors
/// `TypeError` for a body that is not bytes.
pub(crate) fn bytes_of(body: &Bound<'_, PyAny>) -> PyResult<(Bytes, Option<Py<PyBytes>>)> {
    let bytes = match body.cast::<PyBytes>() {
        Ok(bytes) => bytes.clone(),
        Err(_) => {
            // A server may send a memoryview or a bytearray, which could still change.
            let copied = body.py().get_type::<PyBytes>().call1((body,));
            let wrong = |_| PyTypeError::new_err("the body of a message is not bytes");
            copied.map_err(wrong)?.cast_into::<PyBytes>().map_err(PyErr::from)?
        }
    };
    let object = bytes.clone().unbind();
    let content = if bytes.as_bytes().len() <= COPIED {
        Bytes::copy_from_slice(bytes.as_bytes())
    } else {
        Bytes::from_owner(PyBackedBytes::from(bytes))
    };
    Ok((content, Some(object)))
}

/// Returns the fields of the application's answer.
///
/// # Errors
/// `ValueError` for fields that are not valid HTTP.
pub(crate) fn answer_fields(headers: &Bound<'_, PyAny>) -> PyResult<HeaderMap> {
    let mut fields = HeaderMap::new();
    for line in headers.try_iter()? {
        let (name, value) = header_line(&line?)?;
        let pair = (HeaderName::from_bytes(&name), HeaderValue::from_bytes(&value));
        let (Ok(name), Ok(value)) = pair else {
            let why = "the application answered with a header field that is not valid HTTP";
            return Err(PyValueError::new_err(why));
        };
        fields.append(name, value);
    }
    Ok(fields)
}

/// Returns name and value of a header field of ASGI.
///
/// # Errors
/// `TypeError` for anything but a pair of bytes.
pub(crate) fn header_line(line: &Bound<'_, PyAny>) -> PyResult<(PyBackedBytes, PyBackedBytes)> {
    // Nearly every server gives tuples of bytes.
    if let Ok(pair) = line.cast::<PyTuple>()
        && let (Ok(name), Ok(value)) = (pair.get_item(0), pair.get_item(1))
        && let (Ok(name), Ok(value)) = (name.cast_into::<PyBytes>(), value.cast_into::<PyBytes>())
    {
        return Ok((name.into(), value.into()));
    }
    let read = || -> PyResult<(PyBackedBytes, PyBackedBytes)> {
        Ok((line.get_item(0)?.extract()?, line.get_item(1)?.extract()?))
    };
    read().map_err(|_| PyTypeError::new_err("a header field is not a pair of bytes"))
}

/// Appends name and value of a header field of ASGI to `out`, and returns how long the name is.
///
/// # Errors
/// As [`header_line`].
pub(crate) fn push_header_line(line: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<usize> {
    let mut push = |name: &[u8], value: &[u8]| {
        out.extend_from_slice(name);
        out.extend_from_slice(value);
        name.len()
    };
    // As in `header_line`, without references of our own to name and value.
    if let Ok(pair) = line.cast::<PyTuple>()
        && let (Ok(name), Ok(value)) = (pair.get_borrowed_item(0), pair.get_borrowed_item(1))
        && let (Ok(name), Ok(value)) = (name.cast::<PyBytes>(), value.cast::<PyBytes>())
    {
        return Ok(push(name.as_bytes(), value.as_bytes()));
    }
    let (name, value) = header_line(line)?;
    Ok(push(&name, &value))
}
