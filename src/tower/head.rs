//! Converts requests of the `http` crate to a [`Head`].

use http::request::Parts;
use http::{Uri, Version};

use crate::message::{Head, HeadError, RequestTarget};

/// Returns the target that `uri` represents, in a request with the HTTP version of `parts`.
///
/// In HTTP/2 a request names its scheme (RFC 9113 section 8.3.1), but a proxy may have changed it.
/// So the scheme is ignored, and only the authority is used. The scheme is taken from the
/// configured origin, and the signature must cover that scheme.
///
/// `Uri` silently drops a fragment. A server that has the bytes of the request line should use
/// [`RequestTarget::from_bytes`] instead, which refuses a fragment.
pub fn wire_target<'a>(parts: &Parts, uri: &'a Uri) -> RequestTarget<'a> {
    let multiplexed = parts.version >= Version::HTTP_2;
    match uri.authority() {
        Some(_) if !multiplexed && uri.scheme().is_some() => {
            RequestTarget::Absolute(uri.to_string().into())
        }
        _ => origin_form(uri),
    }
}

/// Returns the head of a request as a server received it. `target` must be the target as the client
/// sent it, because a router may have shortened the URI of `parts`; see [`wire_target`].
///
/// ```
/// use mcpid::tower::{received_head, wire_target};
///
/// let request = http::Request::post("/mcp").header("host", "mcp.example.com").body(())?;
/// let (parts, ()) = request.into_parts();
/// let head = received_head(&parts, wire_target(&parts, &parts.uri))?;
/// assert_eq!((head.method(), head.target().path()), ("POST", "/mcp"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`HeadError`] if the method or a field is not valid HTTP.
pub fn received_head<'a>(
    parts: &'a Parts,
    target: RequestTarget<'a>,
) -> Result<Head<'a>, HeadError> {
    let multiplexed = parts.version >= Version::HTTP_2;
    let mut head = Head::new(parts.method.as_str(), target)?;
    if let (true, Some(authority)) = (multiplexed, parts.uri.authority()) {
        // `Host` must not differ from the authority (RFC 9113 section 8.3.1). If it differs, both
        // values are put into the head as `Host` lines, so that verification refuses the request
        // for a repeated field.
        let mut hosts = parts.headers.get_all(http::header::HOST).iter();
        let repeated =
            hosts.next().is_some_and(|host| host.as_bytes() == authority.as_str().as_bytes())
                && hosts.next().is_none();
        if !repeated {
            head.push("host", authority.as_str().as_bytes())?;
        }
    }
    fields(&mut head, parts)?;
    Ok(head)
}

/// Returns the head of a request that a client is about to send.
pub(super) fn to_send(parts: &Parts) -> Result<Head<'_>, HeadError> {
    let target = match (parts.uri.scheme(), parts.uri.authority()) {
        (Some(_), Some(_)) => RequestTarget::Uri(parts.uri.to_string().into()),
        _ => origin_form(&parts.uri),
    };
    let mut head = Head::new(parts.method.as_str(), target)?;
    fields(&mut head, parts)?;
    Ok(head)
}

fn origin_form(uri: &Uri) -> RequestTarget<'_> {
    match uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
        Some("*") => RequestTarget::Asterisk,
        Some(text) => RequestTarget::Origin(text.into()),
        // A URI without a path is the authority form of CONNECT. It becomes an empty target, which
        // the signer refuses.
        None => RequestTarget::Origin("".into()),
    }
}

fn fields<'a>(head: &mut Head<'a>, parts: &'a Parts) -> Result<(), HeadError> {
    // `HeaderMap` keeps the order of lines with the same name. The order of lines with different
    // names has no meaning.
    for (name, value) in &parts.headers {
        head.push(name.as_str(), value.as_bytes())?;
    }
    Ok(())
}
