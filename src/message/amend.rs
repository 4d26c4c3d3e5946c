//! Changes a captured request that a client is about to sign: adds the signature headers to its
//! bytes, and writes its target in absolute form.

use std::borrow::Cow;

use super::capture::{Captured, Edit};
use super::target::Origins;
use super::{Field, Head, HeadError, RequestTarget};

/// Returns the bytes of a captured request with `headers` added. All other bytes stay the same.
///
/// If the request already has a field with the name of one of the `headers`, the first line of that
/// field gets the new value, and further lines of that field are removed. The other `headers` are
/// added at the end of the head. `target` replaces the target on the request line.
///
/// # Errors
/// [`HeadError`] if a name or value is not valid in a header line.
///
/// ```
/// use mcpid::message::amend::with_headers;
/// use mcpid::message::capture::Captured;
///
/// let request = Captured::parse(b"GET / HTTP/1.1\nHost: a\nX: 1\nX: 2\n\n", 1024)?;
/// let amended = with_headers(&request, None, &[("x", "3"), ("Y", "4")])?;
/// assert_eq!(amended, b"GET / HTTP/1.1\nHost: a\nX: 3\nY: 4\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn with_headers(
    request: &Captured<'_>,
    target: Option<&str>,
    headers: &[(&str, &str)],
) -> Result<Vec<u8>, HeadError> {
    let mut done: Vec<String> = Vec::new();
    let edit = |field: &Field<'_>| {
        let Some((_, value)) = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(field.name()))
        else {
            return Edit::Keep;
        };
        if done.iter().any(|name| name == field.name()) {
            return Edit::Drop;
        }
        done.push(field.name().to_owned());
        Edit::Value(Cow::Owned((*value).to_owned()))
    };
    let has = |name: &str| request.head().has(&name.to_ascii_lowercase());
    let added: Vec<_> = headers.iter().copied().filter(|(name, _)| !has(name)).collect();
    request.print(target, edit, &added)
}

/// Makes the target of a request unambiguous: returns `head` with the whole target URI on the
/// request line, and that URI, if a reader of the capture could resolve the present target to
/// another URI. A reader without configured origins assumes `https`, or `http` for a loopback host.
/// Returns None if no change is needed, or if the target cannot be resolved.
///
/// # Errors
/// [`HeadError`]. The parts of a valid head do not cause one.
///
/// ```
/// use mcpid::message::amend::absolute;
/// use mcpid::message::target::Origins;
/// use mcpid::message::{Head, RequestTarget};
///
/// let http = Head::new("GET", RequestTarget::from_url("http://mcp.example.com/")?)?;
/// let (changed, uri) = absolute(&http, &Origins::unknown())?.ok_or("unchanged")?;
/// assert_eq!(uri, "http://mcp.example.com/");
/// assert!(matches!(changed.target(), RequestTarget::Absolute(_)));
///
/// let https = Head::new("GET", RequestTarget::from_url("https://mcp.example.com/")?)?;
/// assert!(absolute(&https, &Origins::unknown())?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn absolute(
    head: &Head<'static>,
    origins: &Origins,
) -> Result<Option<(Head<'static>, String)>, HeadError> {
    let uri = match origins.resolve(head) {
        Err(_) => return Ok(None),
        Ok(target) if target.follows_from_host() => return Ok(None),
        Ok(target) => target.target_uri(),
    };
    let target = RequestTarget::Absolute(Cow::Owned(uri.clone()));
    let mut rebuilt = Head::new(head.method().to_owned(), target)?;
    for field in head.fields() {
        rebuilt.push(field.name().to_owned(), field.value().to_vec())?;
    }
    Ok(Some((rebuilt, uri)))
}
