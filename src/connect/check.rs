//! The test behind the command `connect --check`. It finds out whether the server answers, which
//! MCP revision it speaks, and whether it knows the key. No MCP client is needed.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::answer::{self, KEY_UNKNOWN};
use super::bridge::{Bridge, with_accept};
use super::error::{BridgeError, ServerRefusal};
use super::json_rpc::{InboundKind, JsonRpcError};
use super::send::{OutboundRequest, RedirectPolicy};
use super::session::{McpSession, SESSION, VERSION};
use super::stdio::reading;
use crate::tower::REFUSED;

/// The revisions that are tried, in this order.
const REVISIONS: [&str; 2] = ["2026-07-28", "2025-11-25"];
/// The refusal code of a verifier for a request without a signature.
const SIGNATURE_MISSING: &str = "signature_missing";

/// The result of a harmless request to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerCheck {
    /// The outcome for the signed request.
    pub outcome: CheckOutcome,
    /// The MCP revision that the server speaks, if it answered.
    pub revision: Option<String>,
    /// Name and version that the server reports about itself. The text is not checked.
    pub server: Option<String>,
    /// Whether the server knows the key: it accepts a signed request and refuses an unsigned one.
    /// `None` if that is unknown, for example because the server accepts both.
    pub is_key_known: Option<bool>,
    /// A stable name of the failure, for example `key_unknown` or `dns`.
    pub code: Option<String>,
    /// The result as one line of text, without prefix and final period.
    pub message: String,
    /// Advice for the user.
    pub hint: Option<String>,
}

/// The outcome of a [`ServerCheck`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckOutcome {
    /// The signed request was answered.
    Accepted,
    /// The server refused the signed request.
    Refused,
    /// The request could not be signed.
    NotSigned,
    /// The server could not be reached, or did not answer.
    Unavailable,
}

/// The name, version and protocol revision in a successful answer of the server.
struct ServerGreeting {
    revision: String,
    server: Option<String>,
    session: Option<HeaderValue>,
}

impl Bridge {
    /// Checks whether the server answers, and whether it knows the key. Needs a tokio runtime.
    ///
    /// Sends a signed `server/discover`; or, to a server of an older revision, a signed
    /// `initialize`, whose session it closes again. If the server accepts the request, a second
    /// request is sent without a signature: a server that refuses it checks signatures.
    pub async fn check(&self) -> ServerCheck {
        match self.greet().await {
            Ok(ServerGreeting { revision, server, session }) => {
                let is_key_known = self.refuses_unsigned(&revision).await.then_some(true);
                if let Some(session) = session {
                    let version = HeaderValue::from_str(&revision).map(|value| (VERSION, value));
                    let fields = [Some((SESSION, session)), version.ok()];
                    let fields = fields.into_iter().flatten().collect();
                    // If the session cannot be closed, it expires at the server.
                    let _ = self
                        .send(Method::DELETE, fields, Bytes::new(), RedirectPolicy::FollowOnce)
                        .await;
                }
                ServerCheck {
                    outcome: CheckOutcome::Accepted,
                    revision: Some(revision),
                    server,
                    is_key_known,
                    code: None,
                    message: "the server answers what this key signs".to_owned(),
                    hint: None,
                }
            }
            Err(error) => failed(error),
        }
    }

    async fn greet(&self) -> Result<ServerGreeting, BridgeError> {
        match self.exchange(&probe("server/discover", REVISIONS[0])).await {
            // Servers of an older revision refuse an unknown revision with various errors, so the
            // older revision is tried next.
            Err(BridgeError::Refused(refusal)) if refusal.may_be_of_an_older_server() => {}
            answered => {
                let (result, _) = answered?;
                let (revision, server) = (REVISIONS[0].to_owned(), named(&result));
                return Ok(ServerGreeting { revision, server, session: None });
            }
        }
        let (result, session) = self.exchange(&probe("initialize", REVISIONS[1])).await?;
        let revision = result["protocolVersion"].as_str().unwrap_or(REVISIONS[1]).to_owned();
        Ok(ServerGreeting { revision, server: named(&result), session })
    }

    /// Sends a message. Returns the JSON-RPC result in the answer, and the session id in its
    /// header.
    async fn exchange(&self, body: &Bytes) -> Result<(Value, Option<HeaderValue>), BridgeError> {
        let message = reading::read(body).map_err(BridgeError::Unreadable)?;
        let fields = McpSession::default().fields(&message).0;
        let redirects = self.agreed(&Method::POST, body, None).await?;
        let response = self.send(Method::POST, fields, body.clone(), redirects).await?;
        if !response.status().is_success() {
            return Err(answer::refusal(response, self).await);
        }
        let (status, session) = (response.status(), McpSession::id_of(&response)?);
        for text in self.texts(response).await? {
            for message in answer::messages(answer::as_text(&text)).flatten() {
                match (message.kind, message.result, message.error) {
                    (InboundKind::Response(_), Some(result), _) => {
                        let result = serde_json::from_str(result.get()).unwrap_or_default();
                        return Ok((result, session));
                    }
                    (_, _, Some(error)) => {
                        let (fault, text, hint) = (JsonRpcError::read(error), None, None);
                        return Err(BridgeError::Refused(Box::new(ServerRefusal {
                            status,
                            fault,
                            text,
                            hint,
                        })));
                    }
                    _ => {}
                }
            }
        }
        Err(BridgeError::Garbage("there is no answer in it".to_owned()))
    }

    /// Returns true if the server refuses an unsigned request because it is not signed.
    async fn refuses_unsigned(&self, revision: &str) -> bool {
        let method = if revision == REVISIONS[0] { "server/discover" } else { "ping" };
        let body = probe(method, revision);
        let Ok(message) = reading::read(&body) else { return false };
        let fields = with_accept(&Method::POST, McpSession::default().fields(&message).0);
        let (touch, again) = (None, None);
        let outbound = OutboundRequest { method: Method::POST, fields, body, touch, again };
        let Ok(response) = self.sender.send_unsigned(&outbound).await else { return false };
        if response.status().is_success() {
            return false;
        }
        let refusal = answer::refusal(response, self).await;
        refusal.reason().as_deref() == Some(SIGNATURE_MISSING)
    }
}

/// Returns the body of a request that changes nothing on the server, in the MCP revision
/// `revision`.
fn probe(method: &str, revision: &str) -> Bytes {
    let client = json!({ "name": "mcpid", "version": env!("CARGO_PKG_VERSION") });
    let params = match method {
        "ping" => json!({}),
        "initialize" => json!({
            "protocolVersion": revision,
            "capabilities": {},
            "clientInfo": client,
        }),
        _ => json!({ "_meta": {
            "io.modelcontextprotocol/protocolVersion": revision,
            "io.modelcontextprotocol/clientInfo": client,
            "io.modelcontextprotocol/clientCapabilities": {},
        } }),
    };
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    Bytes::from(body.to_string())
}

/// Returns the server's name and version from the result of `initialize` or `server/discover`.
fn named(result: &Value) -> Option<String> {
    let beside = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
    let about = [&result["serverInfo"], beside].into_iter().find(|about| about.is_object())?;
    let name = about["name"].as_str()?;
    Some(match about["version"].as_str() {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    })
}

impl ServerRefusal {
    /// Returns true if the refusal may mean that the server does not speak the revision.
    fn may_be_of_an_older_server(&self) -> bool {
        let is_ours = self.fault.as_ref().is_some_and(|fault| fault.code == i64::from(REFUSED));
        let says_no = matches!(
            self.status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::MISDIRECTED_REQUEST
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        !is_ours && !says_no
    }
}

fn failed(mut error: BridgeError) -> ServerCheck {
    let hint = match &mut error {
        BridgeError::Refused(refusal) => refusal.hint.take(),
        _ => None,
    };
    let outcome = match &error {
        BridgeError::Refused(refusal) if refusal.status.is_server_error() => {
            CheckOutcome::Unavailable
        }
        BridgeError::Refused(refusal) if refusal.status == StatusCode::TOO_MANY_REQUESTS => {
            CheckOutcome::Unavailable
        }
        BridgeError::Refused(_) | BridgeError::Declined(_) => CheckOutcome::Refused,
        BridgeError::NotSigned(_) => CheckOutcome::NotSigned,
        _ => CheckOutcome::Unavailable,
    };
    let reason = error.reason();
    let is_key_known = (reason.as_deref() == Some(KEY_UNKNOWN)).then_some(false);
    let code = reason.unwrap_or_else(|| error.code().to_owned());
    let message = error.words();
    let (revision, server, code) = (None, None, Some(code));
    ServerCheck { outcome, revision, server, is_key_known, code, message, hint }
}
