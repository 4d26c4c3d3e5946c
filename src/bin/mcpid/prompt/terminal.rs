//! Asks on the terminal (`/dev/tty`), even if stdin and stdout are redirected.
//!
//! Only this module changes the terminal's mode. `rpassword` is used only to edit the line: its own
//! prompt is printed while echo is still on, and Ctrl-C ends it before it restores the terminal.

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

/// The controlling terminal of this process.
pub(crate) struct Terminal {
    tty: File,
}

/// What has to be restored after a question on the terminal.
struct OpenQuestion {
    tty: File,
    before: Termios,
}

/// The question that is on the terminal now, if there is one.
static OPEN_QUESTION: Mutex<Option<OpenQuestion>> = Mutex::new(None);

impl Terminal {
    /// Opens the terminal of this process. Returns None if it has none, for example under `cron`,
    /// `setsid` and in most services.
    pub(crate) fn open() -> Option<Terminal> {
        let tty = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        rustix::termios::tcgetattr(&tty).ok()?;
        Some(Terminal { tty })
    }

    /// Shows `question` and reads one line without echo.
    ///
    /// # Errors
    /// Ctrl-C ([`Exit::Interrupted`]), Ctrl-D, or bytes that are not UTF-8. The line editor
    /// replaces such bytes, so two different passphrases could become equal.
    pub(crate) fn ask(&self, question: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let quiet = NoEcho::begin(&self.tty, KeyWait::Waiting).map_err(|e| failed(&e))?;
        self.show(question)?;
        let keys = KeyReader(self.tty.try_clone().map_err(|e| failed(&e))?);
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

    /// Returns true if a question can be asked now: this process is in the foreground, and the
    /// terminal is in line mode. A program that draws on the terminal turns line mode off.
    pub(crate) fn is_free(&self) -> bool {
        let foreground = rustix::termios::tcgetpgrp(&self.tty);
        let mode = rustix::termios::tcgetattr(&self.tty);
        foreground.is_ok_and(|group| group == rustix::process::getpgrp())
            && mode.is_ok_and(|mode| mode.local_modes.contains(LocalModes::ICANON))
    }

    /// Takes a lock, so that only one process of this program at a time asks on this terminal.
    /// Returns None if another process has the lock. If the system does not say which terminal this
    /// is, there is no lock, and every process may ask.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn turn(&self) -> io::Result<Option<TerminalLock>> {
        let Some(device) = device() else { return Ok(Some(TerminalLock(None))) };
        let file = File::open(device)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(TerminalLock(Some(file)))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the columns and rows of the terminal, or 80 and 24 if they are unknown.
    pub(crate) fn size(&self) -> (usize, usize) {
        match rustix::termios::tcgetwinsize(&self.tty) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => (80, 24),
        }
    }

    /// Begins to read single keys without echo. Keys that were pressed before are discarded,
    /// because they do not answer the coming question.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn typing(&self) -> io::Result<KeyInput> {
        let quiet = NoEcho::begin(&self.tty, KeyWait::Polling)?;
        Ok(KeyInput { tty: self.tty.try_clone()?, _quiet: quiet })
    }

    /// Prints `text`, which must not contain text from outside.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn show(&self, text: &str) -> Result<(), Failure> {
        self.show_secret(text.as_bytes())
    }

    /// Prints a secret, on the terminal only.
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

/// The lock of a terminal. It is released when this value is dropped.
pub(crate) struct TerminalLock(#[expect(dead_code, reason = "a lock is only held")] Option<File>);

/// Returns the device of this process's terminal. `/dev/tty` cannot be locked instead, because it
/// is the same file for all terminals.
fn device() -> Option<PathBuf> {
    let about = std::fs::read_to_string("/proc/self/stat").ok()?;
    // In proc_pid_stat(5), the terminal is the fifth field after the name of the program, and that
    // name may contain any character.
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

/// Reads single keys until this value is dropped.
pub(crate) struct KeyInput {
    tty: File,
    _quiet: NoEcho,
}

impl KeyInput {
    /// Returns the keys that were pressed within a tenth of a second, possibly none. Returns None
    /// if the question was withdrawn meanwhile.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        if OPEN_QUESTION.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Ok(None);
        }
        match self.tty.read(buffer) {
            Ok(n) => Ok(Some(&buffer[..n])),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Some(&[])),
            Err(e) => Err(e),
        }
    }

    /// Discards keys that were pressed but not read.
    pub(crate) fn forget(&self) {
        let _ = rustix::termios::tcflush(&self.tty, QueueSelector::IFlush);
    }
}

/// Declares that another part of the program handles the signals that end it (SIGINT and SIGTERM).
/// From then on, this module only restores the terminal when such a signal arrives.
pub(crate) fn leave_signals() {
    SIGNALS_HANDLED_ELSEWHERE.store(true, Ordering::SeqCst);
}

/// Does the same as [`leave_signals`], and also for SIGHUP, on which a server reads its files
/// again.
pub(crate) fn leave_signals_and_hangup() {
    HANGUP_HANDLED_ELSEWHERE.store(true, Ordering::SeqCst);
    leave_signals();
}

/// Ends this process as SIGHUP would, if its terminal was closed during a question. Call this after
/// the orderly shutdown, if [`leave_signals`] was called.
pub(crate) fn end_by_hangup() {
    if IS_HUNG_UP.load(Ordering::SeqCst) {
        let _ = signal_hook::low_level::emulate_default_handler(SIGHUP);
    }
}

/// Restores the terminal, and ends the programs that are signing. Called when this program ends:
/// from then on, no thread can ask a question any more.
pub(crate) fn close() {
    IS_CLOSED.store(true, Ordering::SeqCst);
    restore();
    mcpid::key::exec::stop_all();
}

/// Makes a signal that ends this process also end the programs that are signing. Each is in its own
/// process group, so that Ctrl-C does not reach it.
pub(crate) fn stop_programs_on_signals() {
    // If the thread cannot be started, a signing program only runs until its time limit.
    let _ = watch_signals();
}

/// Whether the program is ending, so that no question may be asked any more.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether another part of the program handles SIGINT and SIGTERM.
static SIGNALS_HANDLED_ELSEWHERE: AtomicBool = AtomicBool::new(false);

/// Whether another part of the program handles SIGHUP.
static HANGUP_HANDLED_ELSEWHERE: AtomicBool = AtomicBool::new(false);

/// Whether a SIGHUP was turned into a SIGTERM, for an orderly shutdown.
static IS_HUNG_UP: AtomicBool = AtomicBool::new(false);

/// How long a read from the terminal waits until a person presses a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyWait {
    /// The read waits until a key is pressed.
    Waiting,
    /// The read waits for at most a tenth of a second.
    Polling,
}

/// While this value exists, the terminal has no echo, no line editing and no signals from keys.
struct NoEcho;

impl NoEcho {
    fn begin(tty: &File, pace: KeyWait) -> io::Result<NoEcho> {
        watch_signals()?;
        let before = rustix::termios::tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        let (least, tenths) = match pace {
            KeyWait::Waiting => (1, 0),
            KeyWait::Polling => (0, 1),
        };
        quiet.special_codes[SpecialCodeIndex::VMIN] = least;
        quiet.special_codes[SpecialCodeIndex::VTIME] = tenths;
        // A passphrase may be typed before the prompt appears. Keys pressed before a question for
        // consent are discarded.
        let when = match pace {
            KeyWait::Waiting => OptionalActions::Now,
            KeyWait::Polling => OptionalActions::Flush,
        };
        // The lock is held meanwhile, so that the question cannot be withdrawn in the middle.
        let mut standing = OPEN_QUESTION.lock().unwrap_or_else(PoisonError::into_inner);
        if IS_CLOSED.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        *standing = Some(OpenQuestion { tty: tty.try_clone()?, before });
        let changed = rustix::termios::tcsetattr(tty, when, &quiet);
        drop(standing);
        // From here on, the terminal is restored when `guard` is dropped.
        let guard = NoEcho;
        changed?;
        Ok(guard)
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal if it shows a question. Returns true if it did.
pub(crate) fn restore() -> bool {
    let mut standing = OPEN_QUESTION.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(OpenQuestion { mut tty, before }) = standing.take() else { return false };
    let _ = rustix::termios::tcsetattr(&tty, OptionalActions::Now, &before);
    // The lock is released before writing, because the write blocks if the terminal is stopped
    // (Ctrl-S).
    drop(standing);
    // Writes the line break for the Enter key, which was not echoed.
    let _ = tty.write_all(b"\n");
    true
}

/// The process group of the askpass program, if one is running.
static ASKPASS_GROUP: Mutex<Option<Pid>> = Mutex::new(None);

/// Starts an askpass program in its own process group. A signal that ends this process also stops
/// that group.
pub(crate) fn start_asker(command: &mut Command) -> io::Result<(Child, Option<Pid>)> {
    // If the thread cannot be started, an askpass program only stays open longer.
    let _ = watch_signals();
    // The lock makes the signal thread wait until the process group is known.
    let mut asker = ASKPASS_GROUP.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command.process_group(0).spawn()?;
    *asker = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let group = *asker;
    Ok((child, group))
}

/// Records that the askpass program has ended.
pub(crate) fn asker_ended() {
    *ASKPASS_GROUP.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Starts a thread, once, that restores the terminal when a signal ends the process.
fn watch_signals() -> io::Result<()> {
    static WATCH: OnceLock<()> = OnceLock::new();
    if WATCH.get().is_some() {
        return Ok(());
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let was_open = restore();
            if let Some(group) = ASKPASS_GROUP.lock().unwrap_or_else(PoisonError::into_inner).take()
            {
                let _ = kill_process_group(group, Signal::KILL);
            }
            if SIGNALS_HANDLED_ELSEWHERE.load(Ordering::SeqCst)
                && matches!(signal, SIGINT | SIGTERM)
            {
                continue;
            }
            if HANGUP_HANDLED_ELSEWHERE.load(Ordering::SeqCst) && signal == SIGHUP {
                continue;
            }
            if SIGNALS_HANDLED_ELSEWHERE.load(Ordering::SeqCst) && signal == SIGHUP {
                // The terminal is gone, but an MCP client may still wait for answers, so an orderly
                // shutdown is started.
                IS_HUNG_UP.store(true, Ordering::SeqCst);
                if signal_hook::low_level::raise(SIGTERM).is_ok() {
                    continue;
                }
            }
            mcpid::key::exec::stop_all();
            if was_open && signal == SIGINT {
                mcpid::key::pkcs11::end_calls();
                std::process::exit(Exit::Interrupted.code().into());
            }
            // The default action of the signal was replaced by a handler, so it is emulated here.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    })?;
    let _ = WATCH.set(());
    Ok(())
}

/// Reads keys as they are pressed. The terminal makes no signals in this mode, so Ctrl-C arrives as
/// a byte, which ends the question here. `rpassword` would raise a signal instead, whose handler
/// would run at the same time as the code after the question.
struct KeyReader(File);

impl Read for KeyReader {
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
