//! Asking for a secret on the terminal: `/dev/tty`, whatever stdin and stdout are.
//!
//! The terminal's mode is changed here and nowhere else. `rpassword` only edits the line: left to
//! itself it prints the question while echo is still on, and dies of Ctrl-C before it puts the
//! terminal back.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use zeroize::Zeroizing;

use crate::exit::Exit;
use crate::failure::{Failure, reason};

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
        let quiet = Quiet::begin(&self.tty).map_err(|e| failed(&e))?;
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

/// No echo, no line editing by the system, no signals from keys, as long as this lives.
struct Quiet;

impl Quiet {
    fn begin(tty: &File) -> io::Result<Quiet> {
        watch_signals()?;
        let before = rustix::termios::tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        let asked = Asked { tty: tty.try_clone()?, before };
        *ASKED.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        // From here on there is something to put back, whatever happens.
        let guard = Quiet;
        rustix::termios::tcsetattr(tty, OptionalActions::Now, &quiet)?;
        Ok(guard)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back, if a question stands on it, and says whether one did.
fn restore() -> bool {
    let asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Asked { mut tty, before }) = asked else { return false };
    let _ = rustix::termios::tcsetattr(&tty, OptionalActions::Now, &before);
    // The Enter that ended the answer was not echoed either.
    let _ = tty.write_all(b"\n");
    true
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
            if restore() && signal == SIGINT {
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
