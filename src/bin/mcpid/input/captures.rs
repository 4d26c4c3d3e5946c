//! Captured requests, whatever holds them: raw HTTP/1.1, HTTP archives, request lines.
//!
//! Lines are handed on one by one, so that a file of them may have any length.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcpid::message::capture::{CaptureError, CaptureFault, Captured};
use mcpid::message::har::{Har, HarError, TimeFault};
use mcpid::message::line::LineError;
use mcpid::message::{InputKind, InputRequest, detect};
use sha2::{Digest as _, Sha256};

use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain, reason};
use crate::output::ui::{Ui, path_word};

/// Bytes of a raw request or an archive. A body limit is the verifier's; this one only keeps a
/// wrong file from filling the memory.
const MOST: u64 = 1024 * 1024 * 1024;

/// How many bytes are looked at to tell what an input is.
const START: u64 = 64 * 1024;

/// What the input is called that has no name.
const STDIN: &str = "stdin";

/// What to do with a payload where a request is wanted.
const PAYLOAD: &str =
    "a payload is signed, and sent, with its target: mcpid sign --url URL body.json";

/// What a capture looks like.
const FIRST_LINE: &str = "a capture begins with a line such as: POST /mcp HTTP/1.1";

/// One request on its way to be judged.
pub(crate) struct InputUnit {
    /// The name of the input that holds it.
    pub(crate) input: Arc<str>,
    /// Its place there, counted from 0.
    pub(crate) index: u64,
    /// The SHA-256 of the whole input in hex, where it was asked for and is known before its end.
    pub(crate) sha256: Option<Arc<str>>,
    /// Why the request bears no time, if its input gives one that names no moment.
    pub(crate) time_fault: Option<TimeFault>,
    /// The request, as far as it is read.
    pub(crate) what: UnitContent,
}

/// The input that units come from.
#[derive(Clone)]
struct InputSource {
    name: Arc<str>,
    sha256: Option<Arc<str>>,
}

impl InputSource {
    fn unit(&self, index: u64, what: UnitContent) -> InputUnit {
        let (input, sha256) = (Arc::clone(&self.name), self.sha256.clone());
        InputUnit { input, index, sha256, time_fault: None, what }
    }
}

/// What a unit holds.
pub(crate) enum UnitContent {
    /// A request that was read.
    Request(Box<InputRequest<'static>>),
    /// A request line, still to be parsed: that is work for many cores.
    Line(Vec<u8>),
    /// Something that is no request.
    Failed(Box<Failure>),
}

/// What was passed over.
#[derive(Default)]
pub(crate) struct InputCounts {
    /// CORS preflights, which browsers make by themselves and never sign.
    pub(crate) preflights: AtomicU64,
    /// Requests to other targets than `--only` names.
    pub(crate) elsewhere: AtomicU64,
    /// Bytes read.
    pub(crate) bytes: AtomicU64,
}

impl InputCounts {
    /// Adds one.
    pub(crate) fn one(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there are.
    pub(crate) fn of(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// The inputs of one run; stdin where none is named.
pub(crate) struct InputReader {
    paths: Vec<Option<PathBuf>>,
    largest_line: u64,
    only: Option<String>,
    /// Whether inputs are hashed.
    hashed: bool,
}

impl InputReader {
    /// The inputs that the command line names. A terminal as stdin is told to whoever sits there.
    pub(crate) fn new(paths: &[PathBuf], max_body: u64, only: Option<String>, ui: &mut Ui) -> Self {
        let mut paths: Vec<Option<PathBuf>> =
            paths.iter().map(|path| Some(path.clone()).filter(|p| p != Path::new("-"))).collect();
        if paths.is_empty() {
            paths.push(None);
        }
        if paths.iter().any(Option::is_none) {
            files::mention_terminal(ui);
        }
        // Base64 takes four bytes for three; the head has its own limit, and the rest of an audit
        // entry repeats parts of it.
        let largest_line = max_body.saturating_mul(2).saturating_add(1024 * 1024);
        InputReader { paths, largest_line, only, hashed: ui.json() }
    }

    /// The SHA-256 of an input in hex, if it is asked for.
    fn hash(&self, bytes: &[u8]) -> Option<Arc<str>> {
        self.hashed.then(|| hex(&Sha256::digest(bytes)).into())
    }

    /// Whether there is more than one input.
    pub(crate) fn many(&self) -> bool {
        self.paths.len() > 1
    }

    /// Bytes in all, where every input is a regular file.
    pub(crate) fn size(&self) -> Option<u64> {
        let size = |path: &Option<PathBuf>| {
            let about = std::fs::metadata(path.as_ref()?).ok()?;
            about.is_file().then_some(about.len())
        };
        self.paths.iter().map(size).sum()
    }

    /// Reads every input and gives each request in it to `give`, until that breaks off. One that
    /// cannot be read does not stop the rest.
    pub(crate) fn each(
        &self,
        counts: &InputCounts,
        give: &mut dyn FnMut(InputUnit) -> ControlFlow<()>,
    ) {
        for path in &self.paths {
            let name: Arc<str> = match path {
                Some(path) => path.display().to_string().into(),
                None => STDIN.into(),
            };
            let source = InputSource { name, sha256: None };
            let give_on = self
                .input(path.as_deref(), &source, counts, give)
                .unwrap_or_else(|e| give(source.unit(0, UnitContent::Failed(Box::new(e)))));
            if give_on.is_break() {
                return;
            }
        }
    }

    fn input(
        &self,
        path: Option<&Path>,
        source: &InputSource,
        counts: &InputCounts,
        give: &mut dyn FnMut(InputUnit) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Failure> {
        let (mut source, name) = (source.clone(), &*source.name);
        let mut reader = BufReader::new(files::open_quietly(path)?.reader);
        let unreadable = |e: io::Error| {
            let (code, why) = reason(&e);
            Failure::new(Exit::Input, code, format!("cannot read {name}: {why}"))
        };
        let mut start = Vec::new();
        reader.by_ref().take(START).read_to_end(&mut start).map_err(unreadable)?;
        // What has ended is not read again: a terminal would ask for more.
        let ended = (start.len() as u64) < START;
        let mut rest: Box<dyn Read> = if ended { Box::new(io::empty()) } else { Box::new(reader) };
        let kind = detect(&start).map_err(|e| not_a_request(name, &e).hint(PAYLOAD))?;
        if kind == InputKind::Lines {
            if !self.hashed {
                return Ok(self.lines(start.chain(rest), &source, counts, give));
            }
            source.sha256 = match path {
                _ if ended => self.hash(&start),
                Some(path) => hash_of_file(path)?,
                // The end of a stream is not known before it is judged.
                None => None,
            };
            let mut lines = Hashed { input: start.chain(rest), hash: Sha256::new() };
            let flow = self.lines(&mut lines, &source, counts, give);
            let read: Arc<str> = hex(&lines.hash.finalize()).into();
            if flow.is_continue() && source.sha256.as_ref().is_some_and(|before| *before != read) {
                let message = format!("{name} was changed while it was read");
                return Err(Failure::new(Exit::Input, "changed", message));
            }
            return Ok(flow);
        }
        rest.by_ref().take(MOST).read_to_end(&mut start).map_err(unreadable)?;
        counts.bytes.fetch_add(start.len() as u64, Ordering::Relaxed);
        if start.len() as u64 > MOST {
            let message = format!("{name} is larger than {MOST} bytes");
            return Err(Failure::new(Exit::Input, "too_large", message));
        }
        source.sha256 = self.hash(&start);
        if kind == InputKind::Har {
            return self.archive(&start, &source, counts, give);
        }
        let request = capture(name, &start, MOST)?.into_request().into_owned();
        Ok(give(source.unit(0, UnitContent::Request(Box::new(request)))))
    }

    fn archive(
        &self,
        bytes: &[u8],
        source: &InputSource,
        counts: &InputCounts,
        give: &mut dyn FnMut(InputUnit) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Failure> {
        let name = &*source.name;
        let har = Har::parse(bytes).map_err(|e: HarError| not_a_request(name, &e))?;
        for (place, entry) in (0..).zip(har.iter()) {
            if self.only.as_ref().is_some_and(|only| !entry.url.starts_with(only.as_str())) {
                InputCounts::one(&counts.elsewhere);
                continue;
            }
            let what = match entry.request {
                Ok(request) if request.is_preflight() => {
                    InputCounts::one(&counts.preflights);
                    continue;
                }
                Ok(request) => UnitContent::Request(Box::new(request)),
                Err(error) => {
                    let message = format!("{name}: entry {place}: {}", chain(&error));
                    UnitContent::Failed(Box::new(Failure::new(
                        Exit::Input,
                        "not_a_request",
                        message,
                    )))
                }
            };
            let unit = InputUnit { time_fault: entry.time_fault, ..source.unit(place, what) };
            if give(unit).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn lines(
        &self,
        input: impl Read,
        source: &InputSource,
        counts: &InputCounts,
        give: &mut dyn FnMut(InputUnit) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let name = &*source.name;
        let mut lines = BufReader::new(input);
        let (mut number, mut index) = (0_u64, 0);
        loop {
            let mut line = Vec::new();
            number += 1;
            let read = lines.by_ref().take(self.largest_line).read_until(b'\n', &mut line);
            let what = match read {
                Ok(0) => return ControlFlow::Continue(()),
                Ok(n) => {
                    counts.bytes.fetch_add(n as u64, Ordering::Relaxed);
                    if line.last() != Some(&b'\n') && n as u64 == self.largest_line {
                        let most = self.largest_line;
                        let message = format!("{name}: line {number} is longer than {most} bytes");
                        let failure = Failure::new(Exit::Input, "too_large", message);
                        let what = UnitContent::Failed(Box::new(failure));
                        // What follows belongs to no line that could be told from the next.
                        return give(source.unit(index, what));
                    }
                    if line.trim_ascii().is_empty() {
                        continue;
                    }
                    UnitContent::Line(line)
                }
                Err(error) => {
                    let (code, why) = reason(&error);
                    let message = format!("cannot read {name}: line {number}: {why}");
                    let what =
                        UnitContent::Failed(Box::new(Failure::new(Exit::Input, code, message)));
                    return give(source.unit(index, what));
                }
            };
            if give(source.unit(index, what)).is_break() {
                return ControlFlow::Break(());
            }
            index += 1;
        }
    }
}

/// A reader that hashes what it hands on.
struct Hashed<R> {
    input: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.hash.update(into.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// The SHA-256 in hex of a regular file, which can be read again; None for what cannot.
fn hash_of_file(path: &Path) -> Result<Option<Arc<str>>, Failure> {
    let failure = |e: io::Error| Failure::read(path, &e);
    if !std::fs::metadata(path).map_err(failure)?.is_file() {
        return Ok(None);
    }
    let input = std::fs::File::open(path).map_err(failure)?;
    let mut hashed = Hashed { input, hash: Sha256::new() };
    io::copy(&mut hashed, &mut io::sink()).map_err(failure)?;
    Ok(Some(hex(&hashed.hash.finalize()).into()))
}

/// Bytes in lower-case hex, as `sha256sum` prints them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a raw request.
///
/// # Errors
/// It is none, and what is wrong with it, with the line.
pub(crate) fn capture<'a>(name: &str, bytes: &'a [u8], most: u64) -> Result<Captured<'a>, Failure> {
    Captured::parse(bytes, most).map_err(|error| bad_capture(name, &error))
}

/// What to say of bytes that are no request, and where to look.
fn bad_capture(name: &str, error: &CaptureError) -> Failure {
    let failure = match error.fault() {
        // An empty input has no line 1.
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
        // Stdin has gone by; a file can be looked at.
        _ if name == STDIN => failure,
        _ => failure.hint(format!(
            "sed -n {}p {} | cat -A",
            error.line(),
            path_word(Path::new(name))
        )),
    }
}

/// What to say of a request line that cannot be read.
pub(crate) fn bad_line(unit_name: &str, index: u64, error: &LineError) -> Failure {
    let message = format!("{unit_name}: request {index}: {}", chain(error));
    let failure = Failure::new(Exit::Input, "not_a_request", message);
    if unit_name == STDIN {
        return failure;
    }
    // Blank lines are passed over, and requests are counted from 0.
    let (file, place) = (path_word(Path::new(unit_name)), index.saturating_add(1));
    failure.hint(format!("grep -n '[^[:space:]]' {file} | sed -n {place}p"))
}

fn not_a_request(name: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Input, "not_a_request", format!("{name}: {}", chain(error)))
}
