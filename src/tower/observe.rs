//! Events for the application's logs and counters: one for each request.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::mcp::pattern::Operation;
use crate::verify::Code;

use super::modes::Mode;
use super::refusal::Refusal;
use super::status::Status;

/// The result of one request. `Display` writes one line for a log, which contains no secrets; text
/// from the client is escaped and short.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestEvent<'a> {
    /// The extensions of the request, in which an application can find its own data.
    pub extensions: &'a http::Extensions,
    /// The HTTP method.
    pub method: &'a str,
    /// The path as received, without the query, which may hold secrets.
    pub path: &'a str,
    /// The operation of the request, if its body was read and is unambiguous.
    pub operation: Option<Operation<'a>>,
    /// The id of the JSON-RPC request as JSON, in its own spelling, if an answer may repeat it: at
    /// most 256 bytes.
    pub id: Option<&'a str>,
    /// The text of `params._meta.traceparent`, whose form is not checked.
    pub traceparent: Option<&'a str>,
    /// The verification status; `None` if the request was refused before it was judged.
    pub status: Option<&'a Status>,
    /// The mode (strict or permissive) that was applied to a request that is not verified.
    pub mode: Option<Mode>,
    /// The refusal; `None` if the layer passed the request on.
    pub refused: Option<&'a Refusal>,
}

/// A callback for every request, called before the request is passed on or answered. It runs on the
/// task of the request, so it must not block.
pub trait Observer: Send + Sync {
    /// Called after a request was judged.
    fn judged(&self, event: &RequestEvent<'_>);
}

impl<F: Fn(&RequestEvent<'_>) + Send + Sync> Observer for F {
    fn judged(&self, event: &RequestEvent<'_>) {
        self(event);
    }
}

impl fmt::Display for RequestEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.refused.is_some() { "refused" } else { "passed" };
        let status = self.status.map_or("unjudged", Status::as_str);
        write!(f, "{verdict} {status} {:?} {:?}", ShortText(self.method), ShortText(self.path))?;
        if let Some(Operation { method, name }) = self.operation {
            write!(f, " does {:?}", ShortText(method))?;
            if let Some(name) = name {
                write!(f, " {:?}", ShortText(name))?;
            }
        }
        if let Some(verified) = self.status.and_then(Status::verified) {
            write!(f, " key {}", verified.key())?;
            if let Some(name) = verified.name() {
                write!(f, " name {:?}", ShortText(name))?;
            }
        }
        match (self.refused, self.status) {
            (Some(refused), _) => write!(f, " with {refused}"),
            (None, Some(status)) => match status.rejection() {
                Some(rejection) => write!(f, " although {} at {rejection}", rejection.code()),
                None => Ok(()),
            },
            (None, None) => Ok(()),
        }
    }
}

/// A text that is displayed with at most 128 characters.
struct ShortText<'a>(&'a str);

impl fmt::Debug for ShortText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(128) {
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// Counts requests by their result, without locks. Put it into an [`Arc`](std::sync::Arc) and give
/// a clone to the layer.
///
/// ```
/// use mcpid::tower::Counters;
/// use mcpid::verify::Code;
///
/// let counters = Counters::new();
/// assert_eq!(counters.verified() + counters.passed_despite(Code::Expired), 0);
/// ```
#[derive(Debug)]
pub struct Counters {
    verified: AtomicU64,
    passed: [AtomicU64; Code::ALL.len()],
    refused: [AtomicU64; Code::ALL.len()],
    passed_unavailable: AtomicU64,
    refused_otherwise: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        Counters {
            verified: AtomicU64::new(0),
            passed: zeros(),
            refused: zeros(),
            passed_unavailable: AtomicU64::new(0),
            refused_otherwise: AtomicU64::new(0),
        }
    }
}

impl Counters {
    /// Makes counters that are all zero.
    pub fn new() -> Self {
        Counters::default()
    }

    /// Returns the number of verified requests.
    pub fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }

    /// Returns the number of requests that were passed on in permissive mode, and that strict mode
    /// would have refused with `code`.
    pub fn passed_despite(&self, code: Code) -> u64 {
        self.passed.get(place(code)).map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// Returns the number of requests that were refused with `code`.
    pub fn refused_with(&self, code: Code) -> u64 {
        self.refused.get(place(code)).map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// Returns the number of requests that were passed on in permissive mode although they could
    /// not be judged.
    pub fn passed_unjudged(&self) -> u64 {
        self.passed_unavailable.load(Ordering::Relaxed)
    }

    /// Returns the number of requests that were refused without a [`Code`]: they could not be
    /// judged, or their head, body or size was not acceptable.
    pub fn refused_otherwise(&self) -> u64 {
        self.refused_otherwise.load(Ordering::Relaxed)
    }
}

impl Observer for Counters {
    fn judged(&self, event: &RequestEvent<'_>) {
        let code = event.status.and_then(Status::code);
        let counter = match (event.refused, event.status, code) {
            (None, Some(Status::Verified(_)), _) => &self.verified,
            (None, _, Some(code)) => {
                self.passed.get(place(code)).unwrap_or(&self.passed_unavailable)
            }
            (None, _, None) => &self.passed_unavailable,
            (Some(refused), _, _) => match refused.reason() {
                super::RefusalReason::Rejected(rejection) => {
                    self.refused.get(place(rejection.code())).unwrap_or(&self.refused_otherwise)
                }
                _ => &self.refused_otherwise,
            },
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl<O: Observer + ?Sized> Observer for std::sync::Arc<O> {
    fn judged(&self, event: &RequestEvent<'_>) {
        (**self).judged(event);
    }
}

fn place(code: Code) -> usize {
    Code::ALL.iter().position(|c| *c == code).unwrap_or(usize::MAX)
}
