//! Parses the client's lines as messages.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::connect::json_rpc::RequestId;
use crate::mcp::body::{self, Message, Scope};
use crate::message::{Head, RequestTarget};

/// Parses a message as strictly as a verifier does.
///
/// # Errors
/// A text that says why the line is not a message.
pub(in crate::connect) fn read(line: &[u8]) -> Result<Message<'_>, String> {
    let mut head =
        Head::new("POST", RequestTarget::Origin("/".into())).map_err(|e| e.to_string())?;
    head.push("content-type", b"application/json".as_slice()).map_err(|e| e.to_string())?;
    match body::read(&head, line, Scope::Endpoint) {
        Ok(body::Reading::Message(message)) => Ok(message),
        Ok(_) => Err("not a JSON-RPC message".to_owned()),
        Err(ambiguous) => Err(ambiguous.to_string()),
    }
}

/// Returns the id of a message that the strict parser refuses, so that the error for the client can
/// name it. Returns None if there is no id.
pub(super) fn lenient_id(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct LooseMessage<'l> {
        #[serde(borrow)]
        id: &'l RawValue,
    }
    if line.first() != Some(&b'{') {
        return None;
    }
    let loose: LooseMessage<'_> = serde_json::from_slice(line).ok()?;
    RequestId::read(loose.id.get()).map(|_| loose.id.get().to_owned())
}

/// Returns the id of the request that a `notifications/cancelled` cancels.
pub(super) fn cancels(line: &[u8]) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct CancelNotification<'l> {
        #[serde(borrow)]
        params: CancelledRequest<'l>,
    }
    #[derive(Deserialize)]
    struct CancelledRequest<'l> {
        #[serde(borrow, rename = "requestId")]
        request: &'l RawValue,
    }
    RequestId::read(
        serde_json::from_slice::<CancelNotification<'_>>(line).ok()?.params.request.get(),
    )
}
