//! The id of a JSON-RPC request, kept for an answer that the layer sends in place of the server.

use std::fmt;

use crate::mcp::body::{MessageKind, Reading};

/// Maximum length of an id that an answer repeats, in bytes.
const MAX_ECHOED_BYTES: usize = 256;

/// The maximum length of an id that is stored without an allocation, in bytes.
const INLINE: usize = 46;

/// The id of a JSON-RPC request as JSON, in the spelling of the request. An id of up to 46 bytes,
/// such as a number or a UUID, needs no allocation.
///
/// ```
/// use mcpid::tower::EchoedId;
///
/// assert_eq!(EchoedId::new("7").as_str(), "7");
/// ```
#[derive(Clone)]
pub struct EchoedId(EchoedText);

#[derive(Clone)]
enum EchoedText {
    Inline { bytes: [u8; INLINE], length: u8 },
    Heap(Box<str>),
}

impl EchoedId {
    /// Copies `json`.
    pub fn new(json: &str) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..json.len()), u8::try_from(json.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(json.as_bytes());
                EchoedId(EchoedText::Inline { bytes, length })
            }
            _ => EchoedId(EchoedText::Heap(json.into())),
        }
    }

    /// Returns the id as JSON.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // This cannot fail: the bytes were copied from a string, so they are UTF-8.
            EchoedText::Inline { bytes, length } => {
                let bytes = bytes.get(..usize::from(*length)).unwrap_or_default();
                std::str::from_utf8(bytes).unwrap_or_default()
            }
            EchoedText::Heap(json) => json,
        }
    }
}

impl fmt::Debug for EchoedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EchoedId({})", self.as_str())
    }
}

/// Returns the id of a JSON-RPC request, in its own spelling. The id of a JSON-RPC response is not
/// returned, because it belongs to a request of the server.
pub(super) fn id_to_echo<'r>(reading: &'r Reading<'_>) -> Option<&'r str> {
    let message = reading.message().filter(|message| message.kind() == MessageKind::Request)?;
    let id = message.id()?;
    let length = match id.starts_with('"') {
        true => serde_json::from_str::<String>(id).ok()?.len(),
        false => id.len(),
    };
    (length <= MAX_ECHOED_BYTES).then_some(id)
}
