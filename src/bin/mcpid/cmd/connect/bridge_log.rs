//! Writes the bridge's log to stderr, which many clients store or show, or to a file. It is never
//! written to stdout, which is for MCP messages only.
//!
//! A separate thread writes, so that a client that does not read stderr cannot block the bridge.
//! Lines beyond the queue, and lines beyond a thousand in a minute, are dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::connect::{LogLevel, LogSink};

use crate::args::OutputArgs;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};
use crate::output::line_queue::ask_within;
use crate::output::secret_filter::SecretFilter;

/// Maximum number of lines that wait to be written.
const MAX_WAITING_LINES: usize = 1024;
/// Maximum number of lines in a minute. Without this limit, a server that causes a log line with
/// each event could fill the disk.
const MAX_LINES_PER_MINUTE: u32 = 1_000;
const MINUTE: Duration = Duration::from_secs(60);
/// Maximum time to write the last lines to stderr, whose reader may have stopped reading.
const STDERR_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum time to write the last lines to a file, which waits for no reader.
const FILE_TIMEOUT: Duration = Duration::from_secs(10);

/// The bridge's log. Another thread writes the lines.
pub(super) struct BridgeLog {
    queue: mpsc::SyncSender<QueuedLine>,
    log: LogSink,
    /// Maximum time to write the last lines.
    timeout: Duration,
}

enum QueuedLine {
    Line(String),
    /// Asks the thread to answer on the channel when all earlier lines are written.
    Mark(mpsc::SyncSender<()>),
}

enum LogTarget {
    Stderr,
    File(File),
}

impl BridgeLog {
    /// Opens the log. `filter` replaces secrets in its lines.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(
        file: Option<&Path>,
        mode: OutputArgs,
        filter: SecretFilter,
    ) -> Result<Self, Failure> {
        let place = match file {
            None => LogTarget::Stderr,
            Some(path) => {
                let mut options = OpenOptions::new();
                options.append(true).create(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                LogTarget::File(options.open(path).map_err(|e| Failure::write(path, &e))?)
            }
        };
        let to_file = file.is_some();
        let (queue, lines) = mpsc::sync_channel(MAX_WAITING_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(place, &lines, &counted))
            .map_err(|e| Failure::new(Exit::Unavailable, "thread", reason(&e).1))?;
        let sender = queue.clone();
        let log = LogSink::new(move |weight, words| {
            let wanted = to_file || weight == LogLevel::Warning || (mode.verbose && !mode.quiet);
            let words = filter.message(words);
            if wanted && sender.try_send(QueuedLine::Line(line(to_file, weight, &words))).is_err() {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        });
        let timeout = if to_file { FILE_TIMEOUT } else { STDERR_TIMEOUT };
        Ok(BridgeLog { queue, log, timeout })
    }

    pub(super) fn log(&self) -> LogSink {
        self.log.clone()
    }

    /// Waits a short time for all lines to be written, and for the number of the lines that were
    /// dropped.
    pub(super) fn finish(self) {
        let (written, done) = mpsc::sync_channel(1);
        ask_within(&self.queue, QueuedLine::Mark(written), &done, self.timeout);
    }
}

fn line(to_file: bool, weight: LogLevel, words: &str) -> String {
    match (to_file, weight) {
        (true, LogLevel::Note) => format!("{} note: {words}\n", SystemClock.now()),
        (true, _) => format!("{} warning: {words}\n", SystemClock.now()),
        (false, _) => format!("mcpid: {words}\n"),
    }
}

fn write(mut place: LogTarget, entries: &mpsc::Receiver<QueuedLine>, lost: &AtomicU64) {
    let to_file = matches!(place, LogTarget::File(_));
    // Each line is written by a single call, so that lines of several processes in one file do not
    // mix. If stderr is closed, the bridge continues.
    let mut put = |text: &str| {
        let _ = match &mut place {
            LogTarget::Stderr => std::io::stderr().lock().write_all(text.as_bytes()),
            LogTarget::File(file) => file.write_all(text.as_bytes()),
        };
    };
    let put_lost = |put: &mut dyn FnMut(&str)| {
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let words = format!("{lost} lines of the log were too many, and are left out");
            put(&line(to_file, LogLevel::Warning, &words));
        }
    };
    let (mut since, mut written) = (Instant::now(), 0);
    for entry in entries {
        if since.elapsed() >= MINUTE {
            (since, written) = (Instant::now(), 0);
        }
        match entry {
            QueuedLine::Line(_) if written >= MAX_LINES_PER_MINUTE => {
                lost.fetch_add(1, Ordering::Relaxed);
            }
            QueuedLine::Line(text) => {
                put_lost(&mut put);
                put(&text);
                written += 1;
            }
            QueuedLine::Mark(done) => {
                put_lost(&mut put);
                let _ = done.send(());
            }
        }
    }
}
