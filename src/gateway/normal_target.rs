//! Replaces the target of a request by its normal form, if the profile signs targets in that form.
//! This happens before the request is routed.

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri, header};

use crate::message::target::{Origins, TargetForm};
use crate::tower::{received_head, wire_target};

/// Replaces target and host of a request by their normal form (RFC 3986), so that the upstream gets
/// exactly the signed spelling. A request whose target is not under one of `origins` stays
/// unchanged, and is refused by the verifier.
pub(super) fn normalise_target(parts: &mut Parts, origins: &Origins) {
    if let Some((uri, host)) = normal_parts(parts, origins) {
        parts.uri = uri;
        if parts.headers.contains_key(header::HOST) {
            parts.headers.insert(header::HOST, host);
        }
    }
}

fn normal_parts(parts: &Parts, origins: &Origins) -> Option<(Uri, HeaderValue)> {
    let head = received_head(parts, wire_target(parts, &parts.uri)).ok()?;
    let target = origins.resolve_as(&head, TargetForm::Rfc3986).ok()?;
    let path = target.path()?;
    let path_and_query = match target.query() {
        Some(query) => PathAndQuery::try_from([path, "?", query].concat()),
        None => PathAndQuery::try_from(path),
    };
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(path_and_query.ok()?);
    if uri.authority.is_some() {
        uri.authority = Some(target.authority().parse().ok()?);
    }
    Some((Uri::from_parts(uri).ok()?, HeaderValue::try_from(target.authority()).ok()?))
}
