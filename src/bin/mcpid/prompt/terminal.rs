//! Asking on the terminal: `/dev/tty`, whatever stdin and stdout are.
//!
//! The terminal's mode is changed here and nowhere else. `rpassword` only edits the line: left to
//! itself it prints the question while echo is still on, and dies of Ctrl-C before it puts the
//! terminal back.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use zeroize::Zeroizing;

use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};

/// The terminal that this process belongs to.
pub(crate) struct Terminal {
    tty: File,
}

/// What has to be put back while a question stands on the terminal.
struct Asked {
    tty: File,
    before: Termios,
}

/// The question that stands now; at most one.
static ASKED: Mutex<Option<Asked>> = Mutex::new(None);

impl Terminal {
    /// The terminal, or nothing where there is none (`cron`, `setsid`, most services).
    pub(crate) fn open() -> Option<Terminal> {
        let tty = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        rustix::termios::tcgetattr(&tty).ok()?;
        Some(Terminal { tty })
    }

    /// Shows `question` and reads one line that is not echoed.
    ///
    /// # Errors
    /// Ctrl-C ([`Exit::Interrupted`]), Ctrl-D, or bytes that are not UTF-8: the line editor cannot
    /// keep those apart, and two passphrases must never count as one.
    pub(crate) fn ask(&self, question: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let quiet = Quiet::begin(&self.tty, Pace::Waiting).map_err(|e| failed(&e))?;
        self.show(question)?;
        let keys = Keys(self.tty.try_clone().map_err(|e| failed(&e))?);
        let config = rpassword::ConfigBuilder::new().input_reader(keys).output_discard().build();
        let answer = rpassword::read_password_with_config(config).map(Zeroizing::new);
        drop(quiet);
        let answer = answer.map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => {
                Failure::new(Exit::Interrupted, "interrupted", "interrupted")
            }
            io::ErrorKind::UnexpectedEof => {
                Failure::new(Exit::Key, "no_passphrase", "no passphrase was given")
            }
            _ => failed(&e),
        })?;
        if answer.contains(char::REPLACEMENT_CHARACTER) {
            let message = "the terminal sent a passphrase that is not UTF-8";
            return Err(Failure::new(Exit::Key, "no_passphrase", message)
                .hint("a file can hold any bytes: --passphrase-file FILE"));
        }
        Ok(Zeroizing::new(answer.as_bytes().to_vec()))
    }

    /// Whether a question can be put here now: this process is in the foreground, and the terminal
    /// reads lines, which it does not while another program draws on it.
    pub(crate) fn is_free(&self) -> bool {
        let foreground = rustix::termios::tcgetpgrp(&self.tty);
        let mode = rustix::termios::tcgetattr(&self.tty);
        foreground.is_ok_and(|group| group == rustix::process::getpgrp())
            && mode.is_ok_and(|mode| mode.local_modes.contains(LocalModes::ICANON))
    }

    /// The right to ask here, among all programs of this kind on this terminal, until it is dropped;
    /// nothing, if one of the others has it. Where the system does not say which terminal it is,
    /// each has it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn turn(&self) -> io::Result<Option<Turn>> {
        let Some(device) = device() else { return Ok(Some(Turn(None))) };
        let file = File::open(device)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Turn(Some(file)))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Columns and rows; 80 and 24 where it does not say.
    pub(crate) fn size(&self) -> (usize, usize) {
        match rustix::termios::tcgetwinsize(&self.tty) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => (80, 24),
        }
    }

    /// Begins to read keys one by one, without echo. What was typed before is thrown away: it was
    /// no answer to what is about to be asked.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn typing(&self) -> io::Result<Typing> {
        let quiet = Quiet::begin(&self.tty, Pace::Polling)?;
        Ok(Typing { tty: self.tty.try_clone()?, _quiet: quiet })
    }

    /// Shows `text`, which must hold nothing that others chose.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn show(&self, text: &str) -> Result<(), Failure> {
        self.show_secret(text.as_bytes())
    }

    /// Shows a secret; nothing else ever sees it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn show_secret(&self, secret: &[u8]) -> Result<(), Failure> {
        (&self.tty).write_all(secret).map_err(|e| failed(&e))
    }
}

fn failed(error: &io::Error) -> Failure {
    let (code, why) = reason(error);
    Failure::new(Exit::Key, code, format!("cannot ask on the terminal: {why}"))
}

/// The right to ask on a terminal, which ends when it is dropped.
pub(crate) struct Turn(#[expect(dead_code, reason = "a lock is only held")] Option<File>);

/// The device of this process's terminal. `/dev/tty` is one file for all of them, so that a lock on
/// it would be one on everybody's.
fn device() -> Option<PathBuf> {
    let about = std::fs::read_to_string("/proc/self/stat").ok()?;
    // proc_pid_stat(5): behind the name, which may hold anything, the fifth is the terminal.
    let (_, about) = about.rsplit_once(')')?;
    let number: rustix::fs::Dev = about.split_ascii_whitespace().nth(4)?.parse().ok()?;
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let path = match major {
        136..=143 => format!("/dev/pts/{}", (major - 136) * 256 + minor),
        4 => format!("/dev/tty{minor}"),
        _ => return None,
    };
    let found = rustix::fs::stat(&path).ok()?;
    (found.st_rdev == number).then(|| PathBuf::from(path))
}

/// Keys as they are typed, until this is dropped.
pub(crate) struct Typing {
    tty: File,
    _quiet: Quiet,
}

impl Typing {
    /// What was typed within a tenth of a second, perhaps nothing; or nothing at all, if the
    /// question was taken back meanwhile.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        if ASKED.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Ok(None);
        }
        match self.tty.read(buffer) {
            Ok(n) => Ok(Some(&buffer[..n])),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Some(&[])),
            Err(e) => Err(e),
        }
    }

    /// Throws away what was typed and not read.
    pub(crate) fn forget(&self) {
        let _ = rustix::termios::tcflush(&self.tty, QueueSelector::IFlush);
    }
}

/// Leaves the signals that end a program to whoever has handlers of their own for them: from now
/// on they only put the terminal back here.
pub(crate) fn leave_signals() {
    LEFT.store(true, Ordering::SeqCst);
}

/// Ends this process by SIGHUP, if its terminal was closed while a question stood on it. To be called
/// after the orderly end that [`leave_signals`] asks for.
pub(crate) fn end_by_hangup() {
    if HUNG_UP.load(Ordering::SeqCst) {
        let _ = signal_hook::low_level::emulate_default_handler(SIGHUP);
    }
}

/// Puts the terminal back for good: the program ends, and whatever still runs asks nothing more.
pub(crate) fn close() {
    CLOSED.store(true, Ordering::SeqCst);
    restore();
}

/// Whether no question may stand any more.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether SIGINT and SIGTERM are somebody else's.
static LEFT: AtomicBool = AtomicBool::new(false);

/// Whether a SIGHUP was turned into the SIGTERM of an orderly end.
static HUNG_UP: AtomicBool = AtomicBool::new(false);

/// How keys are waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Until there is one.
    Waiting,
    /// A tenth of a second.
    Polling,
}

/// No echo, no line editing by the system, no signals from keys, as long as this lives.
struct Quiet;

impl Quiet {
    fn begin(tty: &File, pace: Pace) -> io::Result<Quiet> {
        watch_signals()?;
        let before = rustix::termios::tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        let (least, tenths) = match pace {
            Pace::Waiting => (1, 0),
            Pace::Polling => (0, 1),
        };
        quiet.special_codes[SpecialCodeIndex::VMIN] = least;
        quiet.special_codes[SpecialCodeIndex::VTIME] = tenths;
        // A key for a secret may be typed ahead; an answer to a question not yet asked may not.
        let when = match pace {
            Pace::Waiting => OptionalActions::Now,
            Pace::Polling => OptionalActions::Flush,
        };
        // Under the lock, so that whoever takes the question back comes before or after all of it.
        let mut standing = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        if CLOSED.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        *standing = Some(Asked { tty: tty.try_clone()?, before });
        let changed = rustix::termios::tcsetattr(tty, when, &quiet);
        drop(standing);
        // From here on there is something to put back, whatever happens.
        let guard = Quiet;
        changed?;
        Ok(guard)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back, if a question stands on it, and says whether one did.
pub(crate) fn restore() -> bool {
    let mut standing = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Asked { mut tty, before }) = standing.take() else { return false };
    let _ = rustix::termios::tcsetattr(&tty, OptionalActions::Now, &before);
    // A terminal that is stopped would let nobody else take their question back.
    drop(standing);
    // The Enter that ended the answer was not echoed either.
    let _ = tty.write_all(b"\n");
    true
}

/// The process group of a program that asks for us, if there is one.
static ASKER: Mutex<Option<Pid>> = Mutex::new(None);

/// Starts a program that asks for us, in a process group of its own, which ends, too, when a signal
/// ends this process.
pub(crate) fn start_asker(command: &mut Command) -> io::Result<(Child, Option<Pid>)> {
    // Without the thread the program only stays open for longer.
    let _ = watch_signals();
    // A signal that comes while the program starts waits for its number.
    let mut asker = ASKER.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command.process_group(0).spawn()?;
    *asker = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let group = *asker;
    Ok((child, group))
}

/// The program that asked has ended.
pub(crate) fn asker_ended() {
    *ASKER.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Starts, once, a thread that puts the terminal back when a signal ends the process.
fn watch_signals() -> io::Result<()> {
    static WATCH: OnceLock<()> = OnceLock::new();
    if WATCH.get().is_some() {
        return Ok(());
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let stood = restore();
            if let Some(group) = ASKER.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let _ = kill_process_group(group, Signal::KILL);
            }
            if LEFT.load(Ordering::SeqCst) && matches!(signal, SIGINT | SIGTERM) {
                continue;
            }
            if LEFT.load(Ordering::SeqCst) && signal == SIGHUP {
                // The terminal is gone, but a client may still wait for its answers.
                HUNG_UP.store(true, Ordering::SeqCst);
                if signal_hook::low_level::raise(SIGTERM).is_ok() {
                    continue;
                }
            }
            if stood && signal == SIGINT {
                std::process::exit(Exit::Interrupted.code().into());
            }
            // Installing a handler has switched the default off for good; this is it.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    })?;
    let _ = WATCH.set(());
    Ok(())
}

/// The keys as they are typed. Ctrl-C comes as a byte, since the terminal makes no signals now, and
/// ends the question here: `rpassword` would raise a signal, and the process would race itself.
struct Keys(File);

impl Read for Keys {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(n) if buffer[..n].contains(&0x03) => {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                other => return other,
            }
        }
    }
}
