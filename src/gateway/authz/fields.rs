//! Refuses requests with fields that an authorizer would have to remove, or that servers could read
//! in two ways.

use http::{HeaderMap, StatusCode};

use crate::gateway::framing::GatewayError;
use crate::message::is_override;
use crate::verify::is_singleton;

use super::AuthzDialect;

const BAD: StatusCode = StatusCode::BAD_REQUEST;

const MCPID: GatewayError =
    GatewayError::new(BAD, "mcpid_field", "a client must not send fields that begin with mcpid-");
const NAME: GatewayError = GatewayError::new(
    BAD,
    "field_name",
    "the name of a field holds other characters than letters, digits and hyphens",
);
const OVERRIDE: GatewayError = GatewayError::new(
    BAD,
    "override_field",
    "a field names another method or target than the request",
);
const REPEATED: GatewayError =
    GatewayError::new(BAD, "repeated_field", "a field that must stand once holds a comma");
const UPGRADE: GatewayError =
    GatewayError::new(BAD, "upgrade", "a change of the protocol cannot be authorized");

/// Returns true if Envoy must remove the field `name` from a client's request. Servers read the
/// client's address or port from some of these fields; others make Envoy repeat or redirect the
/// request. Envoy by itself removes the latter only for clients outside of its own network.
pub(super) fn is_for_envoy_to_drop(name: &str) -> bool {
    if matches!(name, "x-real-ip" | "x-forwarded-port") {
        return true;
    }
    let steers = ["retr", "max-retries", "hedge-", "upstream-"];
    name.strip_prefix("x-envoy-")
        .is_some_and(|rest| steers.iter().any(|prefix| rest.starts_with(prefix)))
}

/// Checks the fields of a request that a proxy of this dialect described.
///
/// # Errors
/// The server could read a field differently from the verifier.
pub(super) fn check(headers: &HeaderMap, dialect: AuthzDialect) -> Result<(), GatewayError> {
    for name in headers.keys().map(|name| name.as_str()) {
        // Servers that follow CGI (RFC 3875 section 4.1.18) treat underscores and hyphens in field
        // names alike.
        if name.replace('_', "-").starts_with("mcpid-") {
            return Err(MCPID);
        }
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(NAME);
        }
        if is_override(name) && !dialect.sets(name) {
            return Err(OVERRIDE);
        }
        if name == "upgrade" {
            return Err(UPGRADE);
        }
    }
    // If the proxy joins repeated field lines into one, the verifier cannot see that a field was
    // repeated.
    let joined = headers
        .iter()
        .any(|(name, value)| is_singleton(name.as_str()) && value.as_bytes().contains(&b','));
    if joined { Err(REPEATED) } else { Ok(()) }
}
