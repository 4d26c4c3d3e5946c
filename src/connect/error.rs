//! The errors for messages to which there is no proper answer, with texts for the client's user.
//!
//! Each [`BridgeError`] becomes a JSON-RPC error with the id of the request, so that a waiting
//! client gets an answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::message::error_chain::chain;
use crate::message::shown::visible;
use crate::net::TunnelFailed;
use crate::sign::SigningError;
use crate::tower::{HEADER_MISMATCH, REFUSED};

use super::json_rpc::JsonRpcError;

/// The JSON-RPC error code if the bridge tried to send a request and got no answer.
///
/// The code lies outside the ranges that JSON-RPC 2.0 and MCP reserve, like
/// [`crate::tower::REFUSED`].
pub const UNANSWERED: i64 = -31402;
/// The JSON-RPC error code if the bridge did not send a request: it could not be read or signed, a
/// person declined it, or the bridge ended first.
pub const NOT_SENT: i64 = -31403;

/// The JSON-RPC error code for an unknown method.
const METHOD_NOT_FOUND: i64 = -32601;

/// A part of each message about an answer that the bridge cannot pass on, for example because it is
/// too long.
const CARRIED_OUT: &str = "the server may have carried out the request";

/// Maximum length of the server's text that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 500;

/// Why a request has no answer, or only an error as its answer.
#[derive(Clone, Debug)]
pub(super) enum BridgeError {
    /// The strict parser does not accept the message as JSON-RPC. It was not sent.
    Unreadable(String),
    /// The message is longer than the limit. It was not sent.
    TooLong { bytes: usize, limit: usize },
    /// Too many requests (the number is the limit) already wait for an answer. The message was not
    /// sent.
    TooManyOpen(usize),
    /// The message could not be signed. It was not sent.
    NotSigned(String),
    /// A person did not consent. The message was not sent.
    Declined(String),
    /// The bridge ended before the message was signed. It was not sent.
    Withdrawn(String),
    /// A header field contradicts the body. The message was not sent.
    Contradicted(String),
    /// There is no connection; `code` is a stable name for the reason.
    Unreachable { code: &'static str, words: String },
    /// The connection broke before the answer.
    Broken(String),
    /// The server sent nothing for this duration.
    Silent(Duration),
    /// The server redirects to another URL, and the bridge does not follow.
    Redirected { status: StatusCode, to: Option<String> },
    /// The server answered with an error.
    Refused(Box<ServerRefusal>),
    /// The answer is not valid MCP.
    Garbage(String),
    /// The answer is longer than the limit.
    AnswerTooLong { limit: usize },
    /// Answers that the client has not read yet use up the memory of `total` bytes for answers.
    NoRoom { total: usize },
    /// The answer is compressed, although the request did not accept compression.
    Encoded { coding: String },
    /// The answer was incomplete when the connection ended.
    Ended,
}

/// The error that a server answered with.
#[derive(Clone, Debug)]
pub(super) struct ServerRefusal {
    pub(super) status: StatusCode,
    /// The JSON-RPC error in the body, if there is one.
    pub(super) fault: Option<JsonRpcError>,
    /// The beginning of the body, if it is plain text.
    pub(super) text: Option<String>,
    /// Advice for the user.
    pub(super) hint: Option<String>,
}

impl BridgeError {
    /// Returns the error for a request that needs a person's consent, but cannot be shown to a
    /// person.
    pub(super) fn cannot_be_shown() -> Self {
        BridgeError::Declined("it cannot be shown to a person".to_owned())
    }

    /// Returns a stable name for the kind of error, which is `data.reason` of the JSON-RPC error.
    pub(super) fn code(&self) -> &'static str {
        match self {
            BridgeError::Unreadable(_) => "unreadable",
            BridgeError::TooLong { .. } => "too_long",
            BridgeError::TooManyOpen(_) => "too_many_open",
            BridgeError::NotSigned(_) => "not_signed",
            BridgeError::Declined(_) => "declined",
            BridgeError::Withdrawn(_) => "withdrawn",
            BridgeError::Contradicted(_) => "header_body_mismatch",
            BridgeError::Unreachable { code, .. } => code,
            BridgeError::Broken(_) => "broken",
            BridgeError::Silent(_) => "silent",
            BridgeError::Redirected { .. } => "redirected",
            BridgeError::Refused(_) => "refused",
            BridgeError::Garbage(_) => "garbage",
            BridgeError::AnswerTooLong { .. } => "answer_too_long",
            BridgeError::NoRoom { .. } => "no_room",
            BridgeError::Encoded { .. } => "encoded",
            BridgeError::Ended => "ended",
        }
    }

    /// Returns the error as one line, without prefix and final period. Control characters in the
    /// server's text are escaped.
    pub(super) fn words(&self) -> String {
        match self {
            BridgeError::Unreadable(why)
            | BridgeError::NotSigned(why)
            | BridgeError::Declined(why)
            | BridgeError::Withdrawn(why)
            | BridgeError::Contradicted(why) => format!("not sent: {why}"),
            BridgeError::TooLong { bytes, limit } => {
                format!("not sent: the message has {bytes} bytes, and the limit is {limit}")
            }
            BridgeError::TooManyOpen(most) => {
                format!("not sent: {most} requests wait for an answer already")
            }
            BridgeError::Unreachable { words, .. } => words.clone(),
            BridgeError::Broken(why) => format!("the connection broke before the answer: {why}"),
            BridgeError::Silent(time) => format!("no answer for {} s, given up", time.as_secs()),
            BridgeError::Redirected { status, to: Some(to) } => {
                let to = beginning(to);
                format!(
                    "the server answers {status} and sends to {to}: use that URL if it is right"
                )
            }
            BridgeError::Redirected { status, to: None } => {
                format!("the server answers {status} and does not say where to")
            }
            BridgeError::Refused(refusal) => refusal.words(),
            BridgeError::Garbage(why) => format!("what the server sent is no answer: {why}"),
            BridgeError::AnswerTooLong { limit } => {
                format!("the answer is over {limit} bytes long and is lost; {CARRIED_OUT}")
            }
            BridgeError::NoRoom { total } => format!(
                "the answer is lost: the {total} bytes for answers that the client has not read \
                 are full; {CARRIED_OUT}"
            ),
            BridgeError::Encoded { coding } => format!(
                "the answer is compressed ({}), which was not asked for, and is lost; {CARRIED_OUT}",
                beginning(coding)
            ),
            BridgeError::Ended => "the answer broke off before it was whole".to_owned(),
        }
    }

    /// Returns the JSON-RPC error for the client. If the server sent a JSON-RPC error, it is passed
    /// on, with the hint added.
    pub(super) fn fault(&self) -> JsonRpcError {
        if let BridgeError::Refused(refusal) = self
            && let Some(fault) = &refusal.fault
        {
            let mut fault = fault.clone();
            if let Some(hint) = &refusal.hint {
                fault.message = format!("{} ({hint})", fault.message);
            }
            return fault;
        }
        let code = match self {
            BridgeError::Contradicted(_) => HEADER_MISMATCH.into(),
            BridgeError::Unreadable(_)
            | BridgeError::TooLong { .. }
            | BridgeError::TooManyOpen(_)
            | BridgeError::NotSigned(_)
            | BridgeError::Declined(_)
            | BridgeError::Withdrawn(_) => NOT_SENT,
            _ => UNANSWERED,
        };
        let status = match self {
            BridgeError::Refused(refusal) => Some(refusal.status.as_u16()),
            BridgeError::Redirected { status, .. } => Some(status.as_u16()),
            _ => None,
        };
        let data = match status {
            Some(status) => json!({ "reason": self.code(), "status": status }),
            None => json!({ "reason": self.code() }),
        };
        JsonRpcError { code, message: self.words(), data: Some(data.to_string()) }
    }

    /// Returns true if the server refused the request with this status and this JSON-RPC code.
    pub(super) fn is_fault(&self, status: StatusCode, code: i64) -> bool {
        matches!(self, BridgeError::Refused(refusal) if refusal.status == status
            && refusal.fault.as_ref().is_some_and(|fault| fault.code == code))
    }

    /// Returns `data.reason` of the JSON-RPC error that the server sent, if it has one.
    pub(super) fn reason(&self) -> Option<String> {
        match self {
            BridgeError::Refused(refusal) => refusal.fault.as_ref()?.reason(),
            _ => None,
        }
    }

    /// Returns true if the server says that it does not know the session of the request any more.
    pub(super) fn is_lost_session(&self) -> bool {
        matches!(self, BridgeError::Refused(refusal) if refusal.is_lost_session())
    }
}

impl ServerRefusal {
    /// Returns true if the server says that it does not know the session of the request any more.
    ///
    /// MCP prescribes status 404 for an unknown session. Older Python SDKs (python-sdk issue 1004),
    /// servers based on the examples of the TypeScript SDK (typescript-sdk issue 389) and older
    /// mcp-go (pull request 689) answer 400 with "No valid session ID provided" or "Server not
    /// initialized". Older rmcp answers 401. Status 410 means the same as 404. All these servers
    /// refuse the request before they execute it.
    fn is_lost_session(&self) -> bool {
        let code = self.fault.as_ref().map(|fault| fault.code);
        let ours = [REFUSED, HEADER_MISMATCH].map(i64::from);
        match self.status {
            // A server that does not know the method answers 404 too, with this JSON-RPC code.
            StatusCode::NOT_FOUND | StatusCode::GONE => code != Some(METHOD_NOT_FOUND),
            // A 401 with a hint asks for an access token, and says nothing about the session.
            StatusCode::UNAUTHORIZED if self.hint.is_some() => false,
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED
                if code.is_none_or(|code| !ours.contains(&code)) =>
            {
                let said = self.fault.as_ref().map(|fault| &*fault.message);
                let said = said.or(self.text.as_deref()).unwrap_or_default().to_ascii_lowercase();
                said.contains("session") || said.contains("not initialized")
            }
            _ => false,
        }
    }

    fn words(&self) -> String {
        let ServerRefusal { status, fault, text, hint } = self;
        let said = fault.as_ref().map(|fault| match fault.reason() {
            Some(reason) => format!("{} [{}]", beginning(&fault.message), beginning(&reason)),
            None => beginning(&fault.message),
        });
        let said = said.or_else(|| text.as_deref().map(|text| visible(text).into_owned()));
        let mut words = format!("the server answers {status}");
        for more in [said.as_ref(), hint.as_ref()].into_iter().flatten() {
            words += ": ";
            words += more;
        }
        words
    }
}

/// Returns the beginning of a text of the server, short enough for one line of the log.
pub(super) fn beginning(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", visible(&text[..end])),
        None => visible(text).into_owned(),
    }
}

impl From<SigningError> for BridgeError {
    fn from(error: SigningError) -> Self {
        BridgeError::NotSigned(chain(&error))
    }
}

/// Converts an error of hyper's client to a [`BridgeError`]. `host` names the server in the
/// message.
pub(super) fn of_sending(
    error: &(dyn Error + 'static),
    connecting: bool,
    host: &str,
) -> BridgeError {
    let mut last = error.to_string();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return unreachable("tls", format!("no TLS with {host}: {}", of_tls(tls)));
        }
        if let Some(failed) = error.downcast_ref::<TunnelFailed>() {
            return unreachable("proxy", failed.to_string());
        }
        last = error.to_string();
        if connecting && last.contains("dns error") {
            return unreachable("dns", format!("the name of {host} is not known"));
        }
        // `source` does not return the error inside an `io::Error`, so `get_ref` is used.
        let io = error.downcast_ref::<io::Error>();
        if let Some(error) = io.filter(|_| connecting).and_then(|io| of_connecting(io, host)) {
            return error;
        }
        next = match io.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    let last = last.split(" (os error").next().unwrap_or_default();
    match connecting {
        true => unreachable("connect", format!("cannot connect to {host}: {last}")),
        false => BridgeError::Broken(last.to_owned()),
    }
}

fn of_connecting(error: &io::Error, host: &str) -> Option<BridgeError> {
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            unreachable("connect", format!("nothing listens at {host}: connection refused"))
        }
        io::ErrorKind::TimedOut => {
            unreachable("timeout", format!("cannot connect to {host}: it takes too long"))
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            unreachable("connect", format!("cannot connect to {host}: there is no way to it"))
        }
        _ => return None,
    })
}

fn of_tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(why) => format!("its certificate is not good: {why}"),
        rustls::Error::InvalidMessage(_) => "it does not speak TLS there".to_owned(),
        other => other.to_string(),
    }
}

fn unreachable(code: &'static str, words: String) -> BridgeError {
    BridgeError::Unreachable { code, words }
}
