//! The judgement of one request, which the event loop drives without a runtime.
//!
//! ```text
//! Layer.judge(scope) ─► state ─► BODY    await receive(), feed(message)
//!                          ▲     OFFLOAD poll() on another thread: a long body is hashed and parsed
//!                          │     CLAIM   await the application's own store, answer_claim(…)
//!                          │     WAIT    await a future that the waker resolves, poll()
//!                          └──── PLAIN, PASSED, REFUSED: done
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use mcpid::tower::{
    AnswerCheck, AnswerDecision, Decision, PassedRequest, Refusal, RequestBody, SessionEvent,
    Status, ToolsListener,
};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::body_pipe::{BodyPipe, PipedBody};
use crate::fields::{RefusalParts, answer_fields, bytes_of, refusal_parts};
use crate::fork_gate;
use crate::future::{LoopFuture, LoopWaker, lock};
use crate::mcp_identity::MCPIdentity;
use crate::protocol_store::ClaimExchange;

// The states, as Python sees them.

/// Passed, and neither the header fields nor the answer of the application need anything.
const PLAIN: u8 = 0;
const PASSED: u8 = 1;
const REFUSED: u8 = 2;
const BODY: u8 = 3;
const WAIT: u8 = 4;
const CLAIM: u8 = 5;
const OFFLOAD: u8 = 6;
const GONE: u8 = 7;

/// A body over this size is hashed and parsed on another thread than the event loop's, in bytes.
const ON_THE_LOOP: u64 = 256 * 1024;
/// The largest piece of a body that one message hands on, in bytes, so that no copy holds the event
/// loop for long.
const PIECE: usize = 256 * 1024;
pub(crate) type JudgingFuture = Pin<Box<dyn Future<Output = Decision<PipedBody>> + Send>>;

/// What is known about a request.
enum Progress {
    Judging(JudgingFuture),
    Passed(Box<PassedProgress>),
    Refused(Response<Bytes>),
    /// The engine panicked, or the judgement was closed.
    Closed,
}

/// What is left to do for a request that got through.
struct PassedProgress {
    status: Option<Status>,
    /// The body, until it was handed on.
    body: Option<RequestBody<PipedBody>>,
    /// The part of it that is handed on next.
    rest: Bytes,
    answer: Option<AnswerCheck>,
    listener: Option<ToolsListener>,
}

/// The judgement of one request.
#[pyclass(frozen, module = "mcpid_attest._native")]
pub(crate) struct Judgement {
    progress: Mutex<Progress>,
    pipe: Arc<BodyPipe>,
    /// `None` if the application has no store of its own.
    exchange: Option<Arc<ClaimExchange>>,
    waker: Arc<LoopWaker>,
    /// The body, if it came in one message.
    whole: Mutex<Option<Py<PyBytes>>>,
    /// The fields for the application, if some of the request's must not reach it.
    headers: Option<Py<PyList>>,
}

impl Judgement {
    pub(crate) fn new(
        future: JudgingFuture,
        pipe: Arc<BodyPipe>,
        headers: Option<Py<PyList>>,
        asks: bool,
    ) -> Self {
        let exchange = asks.then(Arc::default);
        Judgement { exchange, ..Judgement::with(Progress::Judging(future), pipe, headers) }
    }

    /// A request that is refused without a judgement.
    pub(crate) fn refused(response: Response<Bytes>) -> Self {
        Judgement::with(Progress::Refused(response), Arc::default(), None)
    }

    fn with(progress: Progress, pipe: Arc<BodyPipe>, headers: Option<Py<PyList>>) -> Self {
        Judgement {
            progress: Mutex::new(progress),
            pipe,
            exchange: None,
            waker: Arc::default(),
            whole: Mutex::new(None),
            headers,
        }
    }

    /// The identity of a request that got through.
    pub(crate) fn identity(&self) -> Option<MCPIdentity> {
        match &*lock(&self.progress) {
            Progress::Passed(passed) => passed.status.clone().map(MCPIdentity::new),
            _ => None,
        }
    }

    /// Goes on as far as possible. Runs without the interpreter's lock.
    fn advance(&self) -> Result<u8, &'static str> {
        let mut progress = lock(&self.progress);
        let Progress::Judging(future) = &mut *progress else { return Ok(self.state(&progress)) };
        self.waker.reset();
        let waker = Waker::from(Arc::clone(&self.waker));
        let mut context = Context::from_waker(&waker);
        let mut poll = || {
            // A fault of the engine must not end the server.
            catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)))
        };
        let polled = match &self.exchange {
            Some(exchange) => exchange.scope(poll),
            None => poll(),
        };
        let is_asked = || self.exchange.as_ref().is_some_and(|exchange| exchange.is_asked());
        *progress = match polled {
            Ok(Poll::Pending) if is_asked() => return Ok(CLAIM),
            Ok(Poll::Pending) if self.pipe.is_wanted() => return Ok(BODY),
            Ok(Poll::Pending) => return Ok(WAIT),
            Ok(Poll::Ready(Decision::Pass(passed))) => Progress::Passed(Box::new(passed.into())),
            Ok(Poll::Ready(Decision::Refuse(response))) => Progress::Refused(response),
            Err(_) => {
                *progress = Progress::Closed;
                return Err("the request could not be judged: a fault of mcpid");
            }
        };
        Ok(self.state(&progress))
    }

    fn state(&self, progress: &Progress) -> u8 {
        match progress {
            Progress::Judging(_) => WAIT,
            Progress::Passed(passed) if passed.answer.is_none() && self.headers.is_none() => PLAIN,
            Progress::Passed(_) => PASSED,
            Progress::Refused(_) => REFUSED,
            Progress::Closed => GONE,
        }
    }
}

impl From<PassedRequest<PipedBody>> for PassedProgress {
    fn from(passed: PassedRequest<PipedBody>) -> Self {
        let PassedRequest { status, body, answer, .. } = passed;
        let answer = (!answer.is_trivial()).then_some(answer);
        PassedProgress { status, body: Some(body), rest: Bytes::new(), answer, listener: None }
    }
}

#[pymethods]
impl Judgement {
    /// Goes on, and returns the state.
    pub(crate) fn poll(&self, py: Python<'_>) -> PyResult<u8> {
        fork_gate::detach(py, || self.advance()).map_err(PyRuntimeError::new_err)
    }

    /// Takes a message of `receive`, goes on, and returns the state.
    fn feed(&self, py: Python<'_>, message: &Bound<'_, PyDict>) -> PyResult<u8> {
        let kind = message.get_item(intern!(py, "type"))?;
        let kind: Option<PyBackedStr> = kind.map(|kind| kind.extract()).transpose()?;
        match kind.as_deref() {
            Some("http.request") => {}
            Some("http.disconnect") => {
                self.close();
                return Ok(GONE);
            }
            other => {
                let why = format!("the server sent the message {other:?}, not http.request");
                return Err(PyRuntimeError::new_err(why));
            }
        }
        let more = match message.get_item(intern!(py, "more_body"))? {
            Some(more) => more.is_truthy()?,
            None => false,
        };
        let (bytes, object) = match message.get_item(intern!(py, "body"))? {
            Some(body) if !body.is_none() => bytes_of(&body)?,
            _ => (Bytes::new(), None),
        };
        let is_whole = !more && self.pipe.is_empty();
        if let (true, Some(object)) = (is_whole, object) {
            *lock(&self.whole) = Some(object);
        }
        let received = self.pipe.push(bytes, more);
        if !more && received > ON_THE_LOOP {
            return Ok(OFFLOAD);
        }
        self.poll(py)
    }

    /// Waits for the waker: `resolve(future)` is called in the loop of `call_soon` when it is worth
    /// to poll again. Returns `False` if that is so already; then nothing is called.
    fn wait(&self, call_soon: Py<PyAny>, resolve: Py<PyAny>, future: Py<PyAny>) -> bool {
        self.waker.wait(LoopFuture { call_soon, resolve, future })
    }

    /// Takes the question for the application's own store: key id, nonce, and the Unix seconds until
    /// which the nonce has to be kept.
    fn take_claim(&self) -> PyResult<(String, String, i64)> {
        let question = self.exchange.as_ref().and_then(|exchange| exchange.take());
        let question =
            question.ok_or_else(|| PyRuntimeError::new_err("no nonce is to be claimed"))?;
        Ok((question.key, question.nonce, question.until))
    }

    /// Gives the answer of the application's own store: whether the nonce is fresh and the floor, or
    /// why nothing is known. Goes on, and returns the state.
    #[pyo3(signature = (fresh, floor, error=None))]
    fn answer_claim(
        &self,
        py: Python<'_>,
        fresh: bool,
        floor: i64,
        error: Option<String>,
    ) -> PyResult<u8> {
        if let Some(exchange) = &self.exchange {
            exchange.answer(error.map_or(Ok((fresh, floor)), Err));
        }
        self.poll(py)
    }

    /// What else a request needs that got through: the header fields, if some of its own must not
    /// reach the application; whether the application has to receive `accept-encoding: identity`;
    /// and whether `start` must be asked about its answer.
    fn needs(&self, py: Python<'_>) -> (Option<Py<PyList>>, bool, bool) {
        let headers = self.headers.as_ref().map(|headers| headers.clone_ref(py));
        let progress = lock(&self.progress);
        let answer = match &*progress {
            Progress::Passed(passed) => passed.answer.as_ref(),
            _ => None,
        };
        (headers, answer.is_some_and(AnswerCheck::wants_uncompressed), answer.is_some())
    }

    /// Whether `start` must be asked about the answer of the application.
    #[getter]
    fn checks_answer(&self) -> bool {
        matches!(&*lock(&self.progress), Progress::Passed(passed) if passed.answer.is_some())
    }

    /// The next part of the body for the application, and whether there is more of it; `None` if all
    /// of it was handed on.
    fn body(&self, py: Python<'_>) -> PyResult<Option<(Py<PyBytes>, bool)>> {
        let mut progress = lock(&self.progress);
        let Progress::Passed(passed) = &mut *progress else { return Ok(None) };
        let Some(body) = &mut passed.body else { return Ok(None) };
        let whole = lock(&self.whole).take();
        let (piece, more) = match whole {
            Some(whole) => (whole, false),
            None => {
                if passed.rest.is_empty() {
                    let mut context = Context::from_waker(Waker::noop());
                    match Pin::new(body).poll_frame(&mut context) {
                        Poll::Ready(Some(Ok(frame))) => {
                            passed.rest = frame.into_data().unwrap_or_default();
                        }
                        Poll::Ready(None) => {}
                        // Not reached: the layer has read the body.
                        _ => return Err(PyRuntimeError::new_err("the body was not read")),
                    }
                }
                let length = passed.rest.len().min(PIECE);
                let piece = passed.rest.split_to(length);
                (PyBytes::new(py, &piece).unbind(), !passed.rest.is_empty())
            }
        };
        if !more {
            // The body of an unverified request counts for the budget until it is handed on.
            passed.body = None;
        }
        Ok(Some((piece, more)))
    }

    /// Decides about the answer of the application, which begins with `status` and `headers`.
    /// Returns the refusal that takes its place, or `None` if the answer goes to the client; and
    /// what a log should say about the session of the request.
    fn start(
        &self,
        py: Python<'_>,
        status: u16,
        headers: &Bound<'_, PyAny>,
    ) -> PyResult<(Option<RefusalParts>, Option<&'static str>)> {
        let status = StatusCode::from_u16(status)
            .map_err(|_| PyValueError::new_err(format!("the application's status is {status}")))?;
        let fields = answer_fields(headers)?;
        let mut progress = lock(&self.progress);
        let Progress::Passed(passed) = &mut *progress else { return Ok((None, None)) };
        let Some(answer) = passed.answer.take() else { return Ok((None, None)) };
        Ok(match answer.check(status, &fields) {
            AnswerDecision::Pass { listener, event } => {
                passed.listener = listener;
                (None, event.map(SessionEvent::as_str))
            }
            AnswerDecision::Refuse { response, reason } => {
                (Some(refusal_parts(py, &response)), Some(reason.as_str()))
            }
        })
    }

    /// Whether `listen` wants the body of the answer.
    #[getter]
    fn listens(&self) -> bool {
        matches!(&*lock(&self.progress), Progress::Passed(passed) if passed.listener.is_some())
    }

    /// Reads a part of the answer as it passes. An answer without its end is not learned from.
    fn listen(&self, body: PyBackedBytes, more: bool) {
        let mut progress = lock(&self.progress);
        let Progress::Passed(passed) = &mut *progress else { return };
        if let Some(listener) = &mut passed.listener {
            listener.push_bytes(&body);
        }
        let finished = if more { None } else { passed.listener.take() };
        drop(progress);
        if let Some(listener) = finished {
            listener.finish();
        }
    }

    /// The refusal: status, header fields, body, and the line for the log.
    fn refusal(&self, py: Python<'_>) -> PyResult<(RefusalParts, Option<String>, bool)> {
        let progress = lock(&self.progress);
        let Progress::Refused(response) = &*progress else {
            return Err(PyRuntimeError::new_err("the request is not refused"));
        };
        let refused = response.extensions().get::<Refusal>();
        let unavailable = refused.is_some_and(|refused| refused.code() == "unavailable");
        let line = refused.map(ToString::to_string);
        Ok((refusal_parts(py, response), line, unavailable))
    }

    /// Gives up the request, and frees what it holds.
    fn close(&self) {
        // While another thread is polling a long body, its last reference frees the judgement.
        if let Ok(mut progress) = self.progress.try_lock() {
            *progress = Progress::Closed;
        }
        self.waker.reset();
        lock(&self.whole).take();
    }
}
