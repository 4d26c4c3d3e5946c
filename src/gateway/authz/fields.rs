//! Refuses fields that an authorizer would have to drop or could read in two ways.

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

/// Returns true if Envoy must drop the field `name` of a client before it passes the request on:
/// servers take the field for the client's address or port, or the field makes Envoy itself send
/// the request again, or in another way. Envoy drops the fields of the second kind only for clients
/// outside of its own network.
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
        // Servers that follow CGI (RFC 3875 section 4.1.18) cannot tell an underscore from a
        // hyphen.
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
    // If a proxy joins lines, step 1 cannot notice that a field had two lines.
    let joined = headers
        .iter()
        .any(|(name, value)| is_singleton(name.as_str()) && value.as_bytes().contains(&b','));
    if joined { Err(REPEATED) } else { Ok(()) }
}
