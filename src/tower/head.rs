//! From the head that a server or client crate parsed to the one that the checklist reads.

use http::request::Parts;
use http::{Uri, Version};

use crate::message::{Head, HeadError, RequestTarget};

/// The head as a server received it. `uri` is the target as it stood on the wire, which a router
/// between the server and this layer may have cut.
pub(super) fn received<'a>(parts: &'a Parts, uri: &'a Uri) -> Result<Head<'a>, HeadError> {
    let multiplexed = parts.version >= Version::HTTP_2;
    // HTTP/2 names the scheme beside the authority (RFC 9113 section 8.3.1), as the client sees
    // it or as a proxy put it there. Like HTTP/1.1 in origin form, it is judged by its authority
    // alone: the scheme is that of our origin, and only a signature over that one holds.
    let target = match uri.authority() {
        Some(_) if !multiplexed && uri.scheme().is_some() => {
            RequestTarget::Absolute(uri.to_string().into())
        }
        _ => origin_form(uri),
    };
    let mut head = Head::new(parts.method.as_str(), target)?;
    if let (true, Some(authority)) = (multiplexed, uri.authority()) {
        // RFC 9113 section 8.3.1: the two must not differ. Two lines are what a request that says
        // two things gets refused for; a repetition of the same is not counted.
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

/// The head as a client is about to send it.
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
        // The authority form of CONNECT, which is no target of ours.
        None => RequestTarget::Origin("".into()),
    }
}

fn fields<'a>(head: &mut Head<'a>, parts: &'a Parts) -> Result<(), HeadError> {
    // The map keeps the lines of one name in the order received, which is all that counts.
    for (name, value) in &parts.headers {
        head.push(name.as_str(), value.as_bytes())?;
    }
    Ok(())
}
