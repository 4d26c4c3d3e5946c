//! The request that `sign` signs: put together from a URL and a payload, or read from a capture,
//! and how it is printed afterwards.

use std::borrow::Cow;
use std::path::PathBuf;

use mcpid::mcp::body::{self, Reading, Scope};
use mcpid::mcp::headers;
use mcpid::message::capture::{Captured, Edit};
use mcpid::message::target::{Origin, Origins, UriError};
use mcpid::message::{Field, Head, RequestTarget};
use mcpid::sign::Signed;

use crate::args::{SignArgs, SignFormat};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files;
use crate::ui::{Ui, shell_word};

/// Bytes of a body or capture that is signed. Nothing larger passes a verifier's limit, but that
/// limit can be raised; this one only keeps a wrong file from filling the memory.
const MOST: u64 = 64 * 1024 * 1024;

/// A request on its way out.
pub(crate) enum Outgoing {
    /// Made from `--url` and a payload.
    Made {
        head: Head<'static>,
        body: Vec<u8>,
        /// Names and values as they are printed, in order.
        headers: Vec<(String, String)>,
        url: String,
        file: Option<PathBuf>,
    },
    /// Read from a capture.
    Read {
        head: Head<'static>,
        source: Vec<u8>,
        body: Vec<u8>,
        origins: Origins,
        /// What has to stand on the request line instead, if something has to.
        target: Option<String>,
    },
}
