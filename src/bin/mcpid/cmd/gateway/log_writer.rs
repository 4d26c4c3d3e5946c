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
            self.metrics.line_lost();
        }
    }
}

impl GatewayLogWriter {
    /// Starts a thread that writes to the file at `path`, or to stdout. The thread passes the first
    /// write error to `warn`, and a later one only after a line was written successfully.
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
        mut writer: LogOutput,
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
        &mut self,
        (queue, rotated): (&Receiver<LogWork>, &AtomicBool),
        metrics: &Metrics,
        warn: &dyn Fn(String),
    ) {
        let mut broken = false;
        // A failure of the log never makes a request fail. The first lost line is reported, and the
        // others are counted.
        let mut note = |name: &Path, written: io::Result<()>| match written {
            Ok(()) => broken = false,
            Err(error) => {
                metrics.line_lost();
                if !std::mem::replace(&mut broken, true) {
                    let why = Failure::write(name, &error).message;
                    warn(format!("log lines are being lost: {why}"));
                }
            }
        };
        let mut quiet = 0;
        loop {
            let work = next(queue, &mut quiet);
            if rotated.swap(false, Ordering::Acquire)
                && let Err(failure) = self.reopen()
            {
                warn(failure.message);
            }
            match work {
                Ok(LogWork::Line(mut line)) => {
                    line.push('\n');
                    let written = self.file.write_all(line.as_bytes());
                    note(&self.name, written);
                }
                Ok(LogWork::Reopen) => {}
                Ok(LogWork::End) | Err(RecvTimeoutError::Disconnected) => {
                    note(&self.name, self.file.flush());
                    return;
                }
                Err(RecvTimeoutError::Timeout) if self.file.buffer().is_empty() => {}
                Err(RecvTimeoutError::Timeout) => note(&self.name, self.file.flush()),
            }
        }
    }

    /// Reopens the file. If that fails, the old file stays in use.
    fn reopen(&mut self) -> Result<(), Failure> {
        if !self.to_stdout {
            let fresh = BufWriter::new(append(&self.name)?);
            let mut old = std::mem::replace(&mut self.file, fresh);
            let _ = old.flush();
        }
        Ok(())
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

    use super::*;

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
