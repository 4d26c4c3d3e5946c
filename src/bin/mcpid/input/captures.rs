//! Reads captured requests from the inputs on the command line, and turns errors into messages with
//! hints.

use std::cell::RefCell;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcpid::message::InputRequest;
use mcpid::message::capture::{CaptureError, CaptureFault, Captured};
use mcpid::message::captures::{Capture, Captures, CapturesError, MAX_WHOLE};
use mcpid::message::har::TimeFault;
use mcpid::message::json_line::LineError;
use sha2::{Digest as _, Sha256};

use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain, reason};
use crate::output::ui::{Ui, path_word};

/// The name of the input if it comes from stdin.
const STDIN: &str = "stdin";

/// The hint if the input is only a body and not a request.
const PAYLOAD: &str =
    "a payload is signed, and sent, with its target: mcpid sign --url URL body.json";

/// The hint if the input is not a request.
const FIRST_LINE: &str = "a capture begins with a line such as: POST /mcp HTTP/1.1";

/// One request of an input, with its position.
pub(crate) struct InputUnit {
    /// The name of the input.
    pub(crate) input: Arc<str>,
    /// The position in the input, counted from 0.
    pub(crate) index: u64,
    /// The SHA-256 of the whole input in hex, if inputs are hashed and the hash is known before the
    /// input was read.
    pub(crate) sha256: Option<Arc<str>>,
    /// What is wrong with the time that the input gives for the request, if anything.
    pub(crate) time_fault: Option<TimeFault>,
    /// The request.
    pub(crate) content: UnitContent,
}

/// The request of a unit.
pub(crate) enum UnitContent {
    /// A request.
    Request(Box<InputRequest<'static>>),
    /// A request line that is not parsed yet, so that it can be parsed on any core.
    Line(Vec<u8>),
    /// An input or an entry of an input that is not a request.
    Failed(Box<Failure>),
}

/// Counters of read and skipped requests.
#[derive(Default)]
pub(crate) struct InputCounts {
    /// CORS preflights, which browsers send on their own and never sign.
    pub(crate) preflights: AtomicU64,
    /// Requests to other targets than `--only` names.
    pub(crate) elsewhere: AtomicU64,
    /// Number of bytes read.
    pub(crate) bytes: AtomicU64,
}

impl InputCounts {
    /// Increments `count` by one.
    pub(crate) fn one(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the value of `count`.
    pub(crate) fn of(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// The inputs of one run; stdin if the user names none.
pub(crate) struct InputReader {
    paths: Vec<Option<PathBuf>>,
    max_body: u64,
    only: Option<String>,
    /// Whether the SHA-256 of inputs is computed.
    hashed: bool,
    /// True if a raw request whose target cannot be parsed is to be judged and refused, and not
    /// reported as an input error.
    any_target: bool,
}

type Give<'g> = &'g mut dyn FnMut(InputUnit) -> ControlFlow<()>;

impl InputReader {
    /// Returns the inputs that the command line names. If one of them is a terminal, prints a note.
    pub(crate) fn new(paths: &[PathBuf], max_body: u64, only: Option<String>, ui: &mut Ui) -> Self {
        let mut paths: Vec<Option<PathBuf>> =
            paths.iter().map(|path| Some(path.clone()).filter(|p| p != Path::new("-"))).collect();
        if paths.is_empty() {
            paths.push(None);
        }
        if paths.iter().any(Option::is_none) {
            files::note_if_terminal(ui);
        }
        InputReader { paths, max_body, only, hashed: ui.json(), any_target: false }
    }

    /// Also returns raw requests whose target cannot be read.
    pub(crate) fn with_any_target(mut self, any_target: bool) -> Self {
        self.any_target = any_target;
        self
    }

    /// Sets whether the inputs are hashed.
    pub(crate) fn hashed_if(self, hashed: bool) -> Self {
        InputReader { hashed, ..self }
    }

    /// Returns true if there is more than one input.
    pub(crate) fn many(&self) -> bool {
        self.paths.len() > 1
    }

    /// Returns the size of all inputs in bytes. Returns None if one is not a regular file.
    pub(crate) fn size(&self) -> Option<u64> {
        let size = |path: &Option<PathBuf>| {
            let about = std::fs::metadata(path.as_ref()?).ok()?;
            about.is_file().then_some(about.len())
        };
        self.paths.iter().map(size).sum()
    }

    /// Reads every input and calls `give` with each request, until `give` returns `Break`. If an
    /// input cannot be read, the next ones are still read.
    pub(crate) fn each(&self, counts: &InputCounts, give: Give<'_>) {
        for path in &self.paths {
            let input: Arc<str> = match path {
                Some(path) => path.display().to_string().into(),
                None => STDIN.into(),
            };
            let flow =
                self.input(path.as_deref(), &input, counts, give).unwrap_or_else(|failure| {
                    let content = UnitContent::Failed(Box::new(failure));
                    give(InputUnit { input, index: 0, sha256: None, time_fault: None, content })
                });
            if flow.is_break() {
                return;
            }
        }
    }

    fn input(
        &self,
        path: Option<&Path>,
        input: &Arc<str>,
        counts: &InputCounts,
        give: Give<'_>,
    ) -> Result<ControlFlow<()>, Failure> {
        let hash = self.hashed.then(Rc::<RefCell<Sha256>>::default);
        let hashed = || -> Option<Arc<str>> {
            Some(hex(&hash.as_ref()?.borrow().clone().finalize()).into())
        };
        let reader = files::open_quietly(path)?.reader;
        let reader = CountingReader { reader, bytes: &counts.bytes, hash: hash.clone() };
        let mut captures =
            Captures::open(reader, self.max_body).map_err(|e| input_failure(input, e))?;
        if self.any_target {
            captures = captures.with_any_target();
        }
        let sha256: Option<Arc<str>> = match path {
            _ if captures.is_read() => hashed(),
            Some(path) if self.hashed => hash_of_file(path)?,
            // The hash of a stream is known only at its end, when its lines were already judged.
            _ => None,
        };
        let mut give = |index, time_fault, content| {
            let (input, sha256) = (Arc::clone(input), sha256.clone());
            give(InputUnit { input, index, sha256, time_fault, content })
        };
        let flow = captures.each(&mut |index, capture| match capture {
            Capture::Raw(request) => give(index, None, UnitContent::Request(Box::new(request))),
            Capture::Line(line) => give(index, None, UnitContent::Line(line)),
            Capture::Entry(entry) => {
                if self.only.as_ref().is_some_and(|only| !entry.url.starts_with(only.as_str())) {
                    InputCounts::one(&counts.elsewhere);
                    return ControlFlow::Continue(());
                }
                let content = match entry.request {
                    Ok(request) if request.is_preflight() => {
                        InputCounts::one(&counts.preflights);
                        return ControlFlow::Continue(());
                    }
                    Ok(request) => UnitContent::Request(Box::new(request)),
                    Err(error) => {
                        let name = format!("{input}: entry {index}");
                        UnitContent::Failed(Box::new(not_a_request(&name, &error)))
                    }
                };
                give(index, entry.time_fault, content)
            }
            _ => ControlFlow::Continue(()),
        });
        let flow = flow.map_err(|error| input_failure(input, error))?;
        if flow.is_continue() && sha256.is_some() && sha256 != hashed() {
            let message = format!("{input} was changed while it was read");
            return Err(Failure::new(Exit::Input, "changed", message));
        }
        Ok(flow)
    }
}

/// A reader that counts and hashes the bytes that it passes on.
struct CountingReader<'c, R> {
    reader: R,
    bytes: &'c AtomicU64,
    hash: Option<Rc<RefCell<Sha256>>>,
}

impl<R: Read> Read for CountingReader<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        if let Some(hash) = &self.hash {
            hash.borrow_mut().update(into.get(..read).unwrap_or_default());
        }
        Ok(read)
    }
}

/// Returns the SHA-256 of a regular file in hex. Returns None if the file cannot be read twice.
fn hash_of_file(path: &Path) -> Result<Option<Arc<str>>, Failure> {
    let failure = |e: io::Error| Failure::read(path, &e);
    if !std::fs::metadata(path).map_err(failure)?.is_file() {
        return Ok(None);
    }
    let reader = std::fs::File::open(path).map_err(failure)?;
    let hash = Rc::<RefCell<Sha256>>::default();
    let bytes = &AtomicU64::new(0);
    let mut reader = CountingReader { reader, bytes, hash: Some(Rc::clone(&hash)) };
    io::copy(&mut reader, &mut io::sink()).map_err(failure)?;
    let hash = hash.borrow().clone();
    Ok(Some(hex(&hash.finalize()).into()))
}

/// Returns the failure for an input that cannot be read, or cannot be read to its end.
fn input_failure(name: &str, error: CapturesError) -> Failure {
    let unreadable = |what: String, error: &io::Error| {
        let (code, why) = reason(error);
        Failure::new(Exit::Input, code, format!("cannot read {what}: {why}"))
    };
    let too_large = |why: String| Failure::new(Exit::Input, "too_large", format!("{name}{why}"));
    match error {
        CapturesError::Io(error) => unreadable(name.to_owned(), &error),
        CapturesError::LineIo { line, error } => unreadable(format!("{name}: line {line}"), &error),
        CapturesError::Kind(error) => not_a_request(name, &error).hint(PAYLOAD),
        CapturesError::Raw(error) => bad_capture(name, &error),
        CapturesError::TooLarge => too_large(format!(" is larger than {MAX_WHOLE} bytes")),
        CapturesError::LineTooLong { .. } => too_large(format!(": {error}")),
        _ => not_a_request(name, &error),
    }
}

/// Returns bytes in lower-case hex, as `sha256sum` prints them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Parses a raw request. `most` is the maximum size of its body, in bytes.
///
/// # Errors
/// The input is not a request. The failure names the line and the fault.
pub(crate) fn capture<'a>(name: &str, bytes: &'a [u8], most: u64) -> Result<Captured<'a>, Failure> {
    Captured::parse(bytes, most).map_err(|error| bad_capture(name, &error))
}

/// Returns the failure if an input is not a request, with a hint that shows the faulty line.
fn bad_capture(name: &str, error: &CaptureError) -> Failure {
    let failure = match error.fault() {
        // The message names no line, because an empty input has none.
        CaptureFault::Empty => {
            Failure::new(Exit::Input, "not_a_request", format!("{name}: {}", error.fault()))
        }
        _ => not_a_request(name, error),
    };
    match error.fault() {
        CaptureFault::Empty
        | CaptureFault::Tls
        | CaptureFault::Version(_)
        | CaptureFault::Response => failure.hint(FIRST_LINE),
        CaptureFault::RequestLine(_) | CaptureFault::ByteOrderMark => failure.hint(FIRST_LINE),
        CaptureFault::Control(_) if error.line() == 1 => failure.hint(FIRST_LINE),
        CaptureFault::Json => failure.hint(PAYLOAD),
        CaptureFault::BodyCut { says, follow } => {
            let missing = says.saturating_sub(*follow);
            failure.hint(format!("capture it again, whole: {missing} bytes are missing at its end"))
        }
        CaptureFault::HeadCut | CaptureFault::ChunkCut => {
            failure.hint("capture it again, whole: its end is missing")
        }
        CaptureFault::BodyLong { .. } | CaptureFault::AfterLastChunk { .. } => {
            failure.hint("a capture holds one request; some editors add a newline to its end")
        }
        CaptureFault::BodyUnannounced { follow } => {
            failure.hint(format!("a body is announced by a header line: Content-Length: {follow}"))
        }
        // The hint is a command that reads the file again, which is not possible for stdin.
        _ if name == STDIN => failure,
        _ => failure.hint(format!(
            "sed -n {}p {} | cat -A",
            error.line(),
            path_word(Path::new(name))
        )),
    }
}

/// Returns the failure for a request line that cannot be parsed.
pub(crate) fn bad_line(unit_name: &str, index: u64, error: &LineError) -> Failure {
    let message = format!("{unit_name}: request {index}: {}", chain(error));
    let failure = Failure::new(Exit::Input, "not_a_request", message);
    if unit_name == STDIN {
        return failure;
    }
    // The command in the hint skips blank lines, because they are not counted as requests.
    let (file, place) = (path_word(Path::new(unit_name)), index.saturating_add(1));
    failure.hint(format!("grep -n '[^[:space:]]' {file} | sed -n {place}p"))
}

fn not_a_request(name: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Input, "not_a_request", format!("{name}: {}", chain(error)))
}
