//! Requests as Python programs hold them: method, URL or target, headers, body.

use std::borrow::Cow;

use mcpid::message::capture::Captured;
use mcpid::message::error_chain::chain;
use mcpid::message::{Head, RequestTarget, json_line};
use mcpid::verify::DEFAULT_MAX_BODY;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyMapping;

use crate::errors::value_error;

/// Adds the class of this file to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Request>()
}

/// A request as a server received it: method, target, headers, body.
#[pyclass(frozen, module = "mcpid_attest")]
pub(crate) struct Request {
    head: Head<'static>,
    body: Vec<u8>,
}

#[pymethods]
impl Request {
    /// Makes a request. `target` is what stood on the request line, such as `/mcp`, or a URL.
    #[new]
    #[pyo3(signature = (method, target, headers=None, body=None))]
    fn new(
        method: String,
        target: String,
        headers: Option<&Bound<'_, PyAny>>,
        body: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let target = match target.contains("://") {
            true => RequestTarget::from_url(target).map_err(|error| value_error(&error))?,
            false => {
                owned(RequestTarget::from_bytes(target.as_bytes()).map_err(|e| value_error(&e))?)
            }
        };
        let head = head(method, target, headers)?;
        Ok(Request { head, body: body_of(body)?.unwrap_or_default().to_vec() })
    }

    /// The method, as received.
    #[getter]
    fn method(&self) -> &str {
        self.head.method()
    }

    /// Names in lower case and values, in the order received.
    #[getter]
    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let fields = self.head.fields().iter();
        fields.map(|field| (field.name().to_owned(), field.value().to_vec())).collect()
    }

    /// The body.
    #[getter]
    fn body(&self) -> &[u8] {
        &self.body
    }

    fn __repr__(&self) -> String {
        let path = self.head.target().path();
        format!("Request({} {path}, {} bytes)", self.head.method(), self.body.len())
    }
}

/// Copies the target.
fn owned(target: RequestTarget<'_>) -> RequestTarget<'static> {
    match target {
        RequestTarget::Origin(text) => RequestTarget::Origin(text.into_owned().into()),
        RequestTarget::Absolute(text) => RequestTarget::Absolute(text.into_owned().into()),
        RequestTarget::Uri(text) => RequestTarget::Uri(text.into_owned().into()),
        RequestTarget::Asterisk => RequestTarget::Asterisk,
    }
}

/// Returns the head of a request. `headers` is a mapping, or pairs of a name and a value; both may
/// be text or bytes.
pub(crate) fn head(
    method: String,
    target: RequestTarget<'static>,
    headers: Option<&Bound<'_, PyAny>>,
) -> PyResult<Head<'static>> {
    let mut head = Head::new(method, target).map_err(|error| value_error(&error))?;
    let Some(headers) = headers.filter(|headers| !headers.is_none()) else { return Ok(head) };
    // The headers of httpx: a repeated field stays several lines.
    let raw = headers.getattr_opt("raw")?;
    let pairs = match raw {
        Some(raw) => raw,
        None if headers.cast::<PyMapping>().is_ok() => headers.call_method0("items")?,
        None => headers.clone(),
    };
    for pair in pairs.try_iter().map_err(|_| no_headers())? {
        let pair = pair?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>();
        let (name, value) = pair.map_err(|_| no_headers())?;
        let name = String::from_utf8(field_bytes("the name", &name)?)
            .map_err(|_| PyValueError::new_err("a field name is not a token"))?;
        head.push(name, field_bytes("the value", &value)?).map_err(|error| value_error(&error))?;
    }
    Ok(head)
}

/// Returns the bytes of a header's name or value. Text must be ASCII, because servers read other
/// characters differently.
fn field_bytes(what: &str, given: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(text) = given.extract::<&str>() {
        return match text.is_ascii() {
            true => Ok(text.as_bytes().to_vec()),
            false => Err(PyValueError::new_err(format!(
                "{what} of a header is text that is not ASCII: give the bytes that are sent"
            ))),
        };
    }
    given.extract::<&[u8]>().map(<[u8]>::to_vec).map_err(|_| no_headers())
}

fn no_headers() -> PyErr {
    PyTypeError::new_err("headers are a mapping, or pairs of a name and a value, in str or bytes")
}

/// Returns the target of a request that is for `url`.
pub(crate) fn url_target(url: &Bound<'_, PyAny>) -> PyResult<RequestTarget<'static>> {
    RequestTarget::from_url(wire_url(url)?)
        .map_err(|error| PyValueError::new_err(format!("url: {}", chain(&error))))
}

/// Returns the bytes of a body: `bytes`, or a `str` as UTF-8.
pub(crate) fn body_of<'a>(body: Option<&'a Bound<'_, PyAny>>) -> PyResult<Option<&'a [u8]>> {
    let Some(body) = body.filter(|body| !body.is_none()) else { return Ok(None) };
    if let Ok(bytes) = body.extract::<&[u8]>() {
        return Ok(Some(bytes));
    }
    match body.extract::<&str>() {
        Ok(text) => Ok(Some(text.as_bytes())),
        Err(_) => {
            let kind = body.get_type().name()?;
            Err(PyTypeError::new_err(format!("a body is bytes or str, not {kind}")))
        }
    }
}

/// A request to judge, with its parts owned or borrowed from a Python object.
pub(crate) struct Judged<'a> {
    pub(crate) head: Cow<'a, Head<'static>>,
    pub(crate) body: Cow<'a, [u8]>,
}

impl<'a> Judged<'a> {
    /// Reads an argument: a [`Request`], the bytes of an HTTP/1.1 request or of a request line, or
    /// an object with `method`, `url`, `headers` and `content`, such as a request of httpx.
    pub(crate) fn of(request: &'a Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(request) = request.cast::<Request>() {
            let Request { head, body } = request.get();
            return Ok(Judged { head: Cow::Borrowed(head), body: Cow::Borrowed(body) });
        }
        if let Some(source) = source_of(request) {
            return request.py().detach(|| captured(source));
        }
        let wrong = || {
            PyTypeError::new_err(
                "a request is a Request, the bytes of an HTTP/1.1 request, or a request of httpx",
            )
        };
        let part = |name| request.getattr_opt(name)?.ok_or_else(wrong);
        let target = url_target(&part("url")?)?;
        let head = head(part("method")?.extract()?, target, Some(&part("headers")?))?;
        let content = part("content")?;
        let body = body_of(Some(&content))?.unwrap_or_default().to_vec();
        Ok(Judged { head: Cow::Owned(head), body: Cow::Owned(body) })
    }
}

/// Returns the bytes of a captured request.
fn source_of<'a>(request: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    let bytes = request.extract::<&[u8]>();
    bytes.ok().or_else(|| request.extract::<&str>().ok().map(str::as_bytes))
}

/// Reads an HTTP/1.1 request, or a request line.
fn captured(source: &[u8]) -> PyResult<Judged<'static>> {
    let parsed = if source.trim_ascii_start().starts_with(b"{") {
        json_line::parse(source).map_err(|error| value_error(&error))?
    } else {
        let limit = DEFAULT_MAX_BODY as u64;
        Captured::parse(source, limit).map_err(|error| value_error(&error))?.into_request()
    };
    let request = parsed.into_owned();
    let body = request.body.bytes();
    let body = body.ok_or_else(|| PyValueError::new_err("the request line holds no body"))?;
    Ok(Judged { body: Cow::Owned(body.to_vec()), head: Cow::Owned(request.head) })
}

/// Returns a URL as it goes on the wire. The URL of httpx may hold a password, which is sent in a
/// header and is no part of the target.
fn wire_url(url: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = url.extract::<String>() {
        return Ok(text);
    }
    let (Some(netloc), Some(path)) = (url.getattr_opt("netloc")?, url.getattr_opt("raw_path")?)
    else {
        return url.str()?.extract();
    };
    let text = |part: Bound<'_, PyAny>| -> PyResult<String> {
        String::from_utf8(part.extract::<Vec<u8>>()?)
            .map_err(|_| PyValueError::new_err("the URL is not ASCII"))
    };
    let scheme: String = url.getattr("scheme")?.extract()?;
    Ok(format!("{scheme}://{}{}", text(netloc)?, text(path)?))
}
