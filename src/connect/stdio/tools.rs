//! Lets the bridge itself ask for the server's list of tools, if a tool call lacked header fields.

use bytes::Bytes;
use http::Method;
use serde_json::value::RawValue;

use crate::connect::answer;
use crate::connect::error::BridgeError;

use super::call::PendingCall;
use super::{StdioSession, read};

/// Maximum number of pages that are read of a list of tools.
const MAX_PAGES: usize = 100;

impl StdioSession {
    /// Asks for the list of tools again, to learn which arguments of the call `pending` have to be
    /// repeated in header fields.
    pub(super) async fn refresh(&self, pending: &PendingCall) -> Result<(), BridgeError> {
        self.bridge.log.note("the server wants other headers; asking for its tools again");
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let Some(body) = list_request(&pending.body, cursor.as_deref()) else { return Ok(()) };
            let body = Bytes::from(body);
            let Ok(message) = read(&body) else { return Ok(()) };
            let (fields, _) = self.mcp_session.fields(&message);
            let response = self.send(Method::POST, fields, body.clone()).await?;
            if !response.status().is_success() {
                return Err(answer::refusal(response, &self.bridge).await);
            }
            cursor = None;
            for text in self.bridge.texts(response).await? {
                for message in answer::messages(answer::as_text(&text)).flatten() {
                    if let Some(result) = message.result {
                        cursor = self.params.learn(result).cursor;
                    }
                }
            }
            if cursor.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// Returns a `tools/list` request with the same `_meta` member as the call `body`.
fn list_request(body: &[u8], cursor: Option<&str>) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct ListedCall<'c> {
        #[serde(borrow)]
        params: ListedMeta<'c>,
    }
    #[derive(serde::Deserialize)]
    struct ListedMeta<'c> {
        #[serde(borrow, rename = "_meta")]
        meta: &'c RawValue,
    }
    let meta = serde_json::from_slice::<ListedCall<'_>>(body).ok()?.params.meta.get();
    let cursor = match cursor {
        Some(cursor) => format!(r#","cursor":{}"#, serde_json::to_string(cursor).ok()?),
        None => String::new(),
    };
    Some(format!(
        r#"{{"jsonrpc":"2.0","id":"mcpid-tools","method":"tools/list","params":{{"_meta":{meta}{cursor}}}}}"#
    ))
}
