//! Writes the gateway's log to stdout or to a file. A separate thread writes, so that a log whose
//! reader has stopped does not block requests.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use mcpid::gateway::Metrics;

use crate::output::failure::Failure;
use crate::output::line_queue::ask_within;

/// Maximum number of lines that wait to be written. Further lines are dropped and counted.
const MAX_WAITING_LINES: usize = 16 * 1024;
/// How long the thread waits for further lines before it writes. Waking it for each request would
/// cost more than the write itself.
const GATHER_TIME: Duration = Duration::from_millis(20);
/// After this many waits without a new line, the thread sleeps until the next line.
const MAX_EMPTY_GATHERS: u32 = 50;
/// Maximum time of a single wait for a line.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

enum LogWork {
    Line(String),
    /// Wakes the thread, which then sees that it has to open the file again.
    Reopen,
    End,
}

/// The thread that writes the log.
pub(crate) struct GatewayLogWriter {
    work: SyncSender<LogWork>,
    /// Whether the file has to be opened again.
    rotated: Arc<AtomicBool>,
    ended: Receiver<()>,
}

/// A handle that sends lines to a [`GatewayLogWriter`].
#[derive(Clone)]
pub(crate) struct LogSender {
    work: SyncSender<LogWork>,
    metrics: Arc<Metrics>,
}

impl LogSender {
    /// Queues a line, or drops it if the queue is full. Never blocks.
    pub(crate) fn take(&self, line: String) {
        if self.work.try_send(LogWork::Line(line)).is_err() {
            self.metrics.lines_lost(1);
        }
    }
}

impl GatewayLogWriter {
    /// Starts a thread that writes to the file at `path`, or to stdout. The thread passes the first
    /// write error to `warn`, and a later one only after all lines were written or the file was
    /// reopened.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn start(
        path: Option<&Path>,
        metrics: Arc<Metrics>,
        warn: impl Fn(String) + Send + 'static,
    ) -> Result<(Self, LogSender), Failure> {
        Ok(Self::start_with(LogOutput::open(path)?, metrics, warn))
    }

    fn start_with(
        writer: LogOutput,
        metrics: Arc<Metrics>,
        warn: impl Fn(String) + Send + 'static,
    ) -> (Self, LogSender) {
        let (work, queue) = sync_channel(MAX_WAITING_LINES);
        let (over, ended) = sync_channel(1);
        let lines = LogSender { work: work.clone(), metrics: Arc::clone(&metrics) };
        let rotated = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&rotated);
        thread::spawn(move || {
            writer.work((&queue, &flag), &metrics, &warn);
            let _ = over.try_send(());
        });
        (GatewayLogWriter { work, rotated, ended }, lines)
    }

    /// Opens the file again after log rotation has renamed it.
    pub(crate) fn reopen(&self) {
        self.rotated.store(true, Ordering::Release);
        // If the queue is full, the thread is awake, and sees the flag before its next line.
        let _ = self.work.try_send(LogWork::Reopen);
    }

    /// Writes the waiting lines within `timeout`, and returns true if all were written.
    pub(crate) fn end(&self, timeout: Duration) -> bool {
        ask_within(&self.work, LogWork::End, &self.ended, timeout)
    }
}

/// Returns the next command for the thread, or `Timeout` if there is none.
fn next(queue: &Receiver<LogWork>, quiet: &mut u32) -> Result<LogWork, RecvTimeoutError> {
    let found = match queue.try_recv() {
        Ok(work) => Ok(work),
        Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
        Err(TryRecvError::Empty) if *quiet < MAX_EMPTY_GATHERS => {
            *quiet += 1;
            thread::sleep(GATHER_TIME);
            return Err(RecvTimeoutError::Timeout);
        }
        Err(TryRecvError::Empty) => queue.recv_timeout(LONGEST_WAIT),
    };
    if found.is_ok() {
        *quiet = 0;
    }
    found
}

struct LogOutput {
    name: PathBuf,
    file: BufWriter<File>,
    to_stdout: bool,
}

impl LogOutput {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        match path {
            Some(path) => Ok(LogOutput {
                name: path.to_owned(),
                file: BufWriter::new(append(path)?),
                to_stdout: false,
            }),
            None => {
                let name = PathBuf::from("stdout");
                // A separate descriptor is used, because a blocked write must not hold the lock of
                // stdout.
                let stdout = io::stdout().as_fd().try_clone_to_owned();
                let stdout = stdout.map_err(|e| Failure::write(&name, &e))?;
                Ok(LogOutput { name, file: BufWriter::new(File::from(stdout)), to_stdout: true })
            }
        }
    }

    fn work(
        mut self,
        (queue, rotated): (&Receiver<LogWork>, &AtomicBool),
        metrics: &Metrics,
        warn: &dyn Fn(String),
    ) {
        let mut report = WriteReport { metrics, warn, is_broken: false };
        let mut quiet = 0;
        loop {
            let work = next(queue, &mut quiet);
            if rotated.swap(false, Ordering::Acquire) {
                self.reopen(&mut report);
            }
            match work {
                Ok(LogWork::Line(mut line)) => {
                    line.push('\n');
                    if let Err(error) = self.file.write_all(line.as_bytes()) {
                        report.failed(&self.name, &error, 1);
                    }
                }
                Ok(LogWork::Reopen) => {}
                Ok(LogWork::End) | Err(RecvTimeoutError::Disconnected) => {
                    return close(self.file, &self.name, &mut report);
                }
                Err(RecvTimeoutError::Timeout) if self.file.buffer().is_empty() => {}
                // Lines that could not be written stay in the buffer, and are not lost yet.
                Err(RecvTimeoutError::Timeout) => match self.file.flush() {
                    Ok(()) => report.is_broken = false,
                    Err(error) => report.failed(&self.name, &error, 0),
                },
            }
        }
    }

    /// Reopens the file. If that fails, the old file stays in use. Lines that cannot be written to
    /// the old file are lost, because another program may have moved or removed it.
    fn reopen(&mut self, report: &mut WriteReport<'_>) {
        if self.to_stdout {
            return;
        }
        let new = match append(&self.name) {
            Ok(file) => BufWriter::new(file),
            Err(failure) => return (report.warn)(failure.message),
        };
        close(std::mem::replace(&mut self.file, new), &self.name, report);
        report.is_broken = false;
    }
}

/// Writes the buffered lines. Lines that cannot be written are lost.
fn close(mut file: BufWriter<File>, name: &Path, report: &mut WriteReport<'_>) {
    if let Err(error) = file.flush() {
        report.failed(name, &error, buffered_lines(&file));
        // Dropping the writer would try to write the lines that are counted as lost.
        drop(file.into_parts());
    }
}

/// Returns the number of lines that are not completely written. Each line ends with its only line
/// feed.
fn buffered_lines(file: &BufWriter<File>) -> u64 {
    file.buffer().iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Counts lost lines, and reports the first write error. A failure of the log never makes a request
/// fail.
struct WriteReport<'a> {
    metrics: &'a Metrics,
    warn: &'a dyn Fn(String),
    /// Whether an error was reported since all lines were written, or the file was reopened.
    is_broken: bool,
}

impl WriteReport<'_> {
    /// Reports that the file `name` could not be written, and counts `lost` lines.
    fn failed(&mut self, name: &Path, error: &io::Error, lost: u64) {
        self.metrics.lines_lost(lost);
        if !std::mem::replace(&mut self.is_broken, true) {
            let why = Failure::write(name, error).message;
            (self.warn)(format!("log lines are being lost: {why}"));
        }
    }
}

fn append(path: &Path) -> Result<File, Failure> {
    let mut options = File::options();
    options.append(true).create(true);
    // Only the owner may read the log, because it shows which client calls which tool.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|e| Failure::write(path, &e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::OwnedFd;

    use mcpid::clock::Timestamp;

    use super::*;

    /// A log at `name` whose file can only be read, so that each write fails.
    fn broken_log(name: &Path) -> LogOutput {
        std::fs::write(name, "").unwrap();
        let file = BufWriter::new(File::open(name).unwrap());
        LogOutput { name: name.to_owned(), file, to_stdout: false }
    }

    fn assert_lost(metrics: &Metrics, count: u64) {
        let text = metrics.text(Timestamp::from_unix(0));
        assert!(text.contains(&format!("mcpid_log_lines_lost_total {count}\n")), "{text}");
    }

    #[test]
    fn lines_that_a_rotation_gives_up_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("log");
        let (metrics, warned) = (Metrics::new(), std::cell::RefCell::new(Vec::new()));
        let warn = |why| warned.borrow_mut().push(why);
        let mut report = WriteReport { metrics: &metrics, warn: &warn, is_broken: false };
        let mut output = broken_log(&name);
        for rotation in 1..3 {
            output.file = broken_log(&name).file;
            output.file.write_all(b"one\ntwo\nthree\n").unwrap();
            output.reopen(&mut report);
            assert_lost(&metrics, 3 * rotation);
        }
        assert_eq!(warned.borrow().len(), 2, "{warned:?}");
        // Nothing is left of the lines that count as lost, and a rotation without them counts none.
        output.file.write_all(b"four\n").unwrap();
        output.reopen(&mut report);
        assert_lost(&metrics, 6);
        assert_eq!(std::fs::read_to_string(&name).unwrap(), "four\n");
        // If the new file cannot be opened, the old one stays in use.
        output.file = broken_log(&name).file;
        output.file.write_all(b"five\n").unwrap();
        output.name = folder.path().join("absent/log");
        output.reopen(&mut report);
        assert_eq!(output.file.buffer(), b"five\n");
        assert_lost(&metrics, 6);
    }

    #[test]
    fn each_line_that_cannot_be_written_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        for (line, more) in [(10, 1), (200, 1000), (10_000, 3)] {
            let metrics = Arc::new(Metrics::new());
            let output = broken_log(&folder.path().join("log"));
            let (warn, warned) = sync_channel(16);
            let warn = move |why| warn.try_send(why).unwrap();
            let (writer, lines) = GatewayLogWriter::start_with(output, Arc::clone(&metrics), warn);
            lines.take("x".repeat(line));
            // A failed write is reported at once, and the line stays in the buffer.
            let why = warned.recv().unwrap();
            assert!(why.starts_with("log lines are being lost: cannot write "), "{why}");
            for _ in 0..more {
                lines.take("x".repeat(line));
            }
            assert!(writer.end(Duration::from_secs(60)));
            assert_lost(&metrics, more + 1);
            assert!(warned.try_recv().is_err(), "it is reported twice");
        }
    }

    /// The reader of the old file stops for a while, as a disk can.
    #[test]
    fn a_rotation_counts_although_the_queue_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("log");
        let (mut old, file) = io::pipe().unwrap();
        let file = BufWriter::new(File::from(OwnedFd::from(file)));
        let output = LogOutput { name: name.clone(), file, to_stdout: false };
        let metrics = Arc::new(Metrics::new());
        let (writer, lines) =
            GatewayLogWriter::start_with(output, Arc::clone(&metrics), |why| panic!("{why}"));
        // The pipe and the queue take less than these lines.
        for n in 0..2 * MAX_WAITING_LINES {
            lines.take(format!("{n:0>200}"));
        }
        writer.reopen();
        let mut text = String::new();
        old.read_to_string(&mut text).unwrap();
        lines.take("after the rotation".to_owned());
        assert!(writer.end(Duration::from_secs(60)));
        let text = std::fs::read_to_string(name).unwrap();
        assert!(text.ends_with("after the rotation\n"), "{text}");
    }
}
