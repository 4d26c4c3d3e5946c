//! Asks through an askpass program, as OpenSSH does: its only argument is the question.
//!
//! For consent, `SSH_ASKPASS_PROMPT` is set to `confirm`; exit code 0 with nothing or `yes` on
//! stdout means yes. A passphrase is read from the program's stdout.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use mcpid::connect::consent::{ConsentAnswer, ConsentQuestion, NoConsent, PageLimits};
use mcpid::key::exec::SECRET_VARIABLES;
use mcpid::secret::description;
use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use super::wait::AnswerWait;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};
use crate::prompt::terminal;

/// Maximum length of an answer, in bytes. A longer answer is not yes.
const MAX_ANSWER_BYTES: usize = 64;
/// Maximum time to wait for a passphrase. An MCP client that started this program will give up
/// sooner.
const PASSPHRASE_TIMEOUT: Duration = Duration::from_secs(300);

/// Returns the askpass program that `MCPID_ASKPASS` names.
pub(crate) fn own() -> Option<PathBuf> {
    set("MCPID_ASKPASS")
}

/// Returns the askpass program that `SSH_ASKPASS` names. Returns None if `SSH_ASKPASS_REQUIRE` is
/// `never`.
pub(crate) fn of_ssh() -> Option<PathBuf> {
    set("SSH_ASKPASS").filter(|_| required() != Some("never".into()))
}

/// Returns the askpass program that `SSH_ASKPASS` names, if `SSH_ASKPASS_REQUIRE` prefers it to a
/// terminal (ssh(1)).
pub(crate) fn of_ssh_first() -> Option<PathBuf> {
    of_ssh().filter(|_| required().is_some_and(|word| word == "prefer" || word == "force"))
}

fn required() -> Option<OsString> {
    env::var_os("SSH_ASKPASS_REQUIRE")
}

fn set(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|program: &OsString| !program.is_empty()).map(PathBuf::from)
}

/// Asks for consent through the askpass program `program`, which is stopped when `wait` is over.
pub(super) fn ask(program: &Path, asked: &ConsentQuestion, wait: &AnswerWait) -> ConsentAnswer {
    let text = asked.shown(&limits()).text;
    let text = format!("mcpid: may this request be signed and sent?\n\n{text}");
    let mut command = Command::new(program);
    command.arg(text).env("SSH_ASKPASS_PROMPT", "confirm");
    let ran = run(command, MAX_ANSWER_BYTES, || wait.ended());
    let judged = ran.and_then(|ran| match ran {
        AskpassEnd::Done(status, said) => judge(status, &said),
        AskpassEnd::Stopped(refused) => Ok(ConsentAnswer::No(refused)),
    });
    judged.unwrap_or_else(|why| ConsentAnswer::No(NoConsent::Failed(failed(program, &why))))
}

/// Returns how much of a request an askpass program shows.
pub(super) fn limits() -> PageLimits {
    let mut limits = PageLimits::default().with_width(72);
    (limits.lines, limits.text) = (30, 300);
    limits
}

/// A notice that an askpass program shows until this value is dropped.
pub(super) struct AskpassNotice(#[expect(dead_code, reason = "it is only held")] AskpassProcess);

/// Shows `text` through `program`, without a question (`SSH_ASKPASS_PROMPT=none`, as OpenSSH does
/// for a touch of a security key).
///
/// # Errors
/// The program cannot be started.
pub(super) fn notice(program: &Path, text: String) -> Result<AskpassNotice, String> {
    let mut command = Command::new(program);
    command.arg(text).env("SSH_ASKPASS_PROMPT", "none");
    command.stdout(Stdio::null());
    AskpassProcess::start(command).map(AskpassNotice).map_err(|error| failed(program, &error))
}

/// Asks for a passphrase through `program`, as ssh-add does. Returns the first line of its output.
///
/// # Errors
/// The program cannot be started, fails, or prints more than the longest passphrase.
pub(crate) fn passphrase(
    program: &Path,
    question: &str,
    longest: usize,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let none = |why: &str| Failure::new(Exit::Key, "no_passphrase", failed(program, why));
    let mut command = Command::new(program);
    command.arg(question).env_remove("SSH_ASKPASS_PROMPT");
    let until = Instant::now() + PASSPHRASE_TIMEOUT;
    let stop = || (Instant::now() >= until).then_some(());
    let (status, mut said) = match run(command, longest + 1, stop) {
        Ok(AskpassEnd::Done(status, said)) => (status, said),
        Ok(AskpassEnd::Stopped(())) => {
            return Err(none(&format!("no answer within {} s", PASSPHRASE_TIMEOUT.as_secs())));
        }
        Err(why) => return Err(none(&why)),
    };
    if let Some(signal) = status.signal() {
        return Err(none(&format!("signal {signal} ended it")));
    }
    if !status.success() {
        return Err(none("no passphrase was given"));
    }
    if said.len() > longest {
        return Err(none(&format!("it says more than the {longest} bytes of a passphrase")));
    }
    let line = said.iter().position(|&b| b == b'\n').unwrap_or(said.len());
    said.truncate(line);
    Ok(said)
}

fn failed(program: &Path, why: &str) -> String {
    // The MCP client sees this message. The variable may contain a secret by mistake, so its value
    // is checked first.
    let name = program.to_string_lossy();
    let name = description(&name).unwrap_or_else(|| name.into_owned());
    format!("the askpass program {name}: {why}")
}

/// How an askpass program ended.
enum AskpassEnd<E> {
    /// The program exited. Holds the beginning of its output.
    Done(ExitStatus, Zeroizing<Vec<u8>>),
    /// The program was stopped, for this reason.
    Stopped(E),
}

/// Runs an askpass program until it exits, or until `stop` returns a reason to stop it.
fn run<E>(
    mut command: Command,
    longest: usize,
    stop: impl Fn() -> Option<E>,
) -> Result<AskpassEnd<E>, String> {
    command.stdout(Stdio::piped());
    let mut running = AskpassProcess::start(command)?;
    // The whole capacity is allocated at once, because a growing vector leaves copies of a secret
    // in memory.
    running.said = Zeroizing::new(Vec::with_capacity(longest));
    running.listen().map_err(|error| reason(&error).1)?;
    let status = loop {
        // The output is read while the program runs. Otherwise a program with much output would
        // block and never exit.
        running.read(longest).map_err(|error| reason(&error).1)?;
        if let Some(status) = running.child.try_wait().map_err(|error| reason(&error).1)? {
            break status;
        }
        if let Some(why) = stop() {
            return Ok(AskpassEnd::Stopped(why));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    running.end();
    running.read(longest).map_err(|error| reason(&error).1)?;
    Ok(AskpassEnd::Done(status, std::mem::take(&mut running.said)))
}

fn judge(status: ExitStatus, said: &[u8]) -> Result<ConsentAnswer, String> {
    if let Some(signal) = status.signal() {
        return Err(format!("signal {signal} ended it"));
    }
    if !status.success() {
        return Ok(ConsentAnswer::No(NoConsent::Declined));
    }
    let line = said.split(|&b| b == b'\n' || b == b'\r').next().unwrap_or_default();
    Ok(match line {
        b"" => ConsentAnswer::Yes,
        word if word.eq_ignore_ascii_case(b"yes") => ConsentAnswer::Yes,
        _ => ConsentAnswer::No(NoConsent::Declined),
    })
}

/// A running askpass program. Dropping this value stops the program and the processes that it
/// started.
struct AskpassProcess {
    child: Child,
    /// The program's process group; `None` after it was stopped.
    group: Option<Pid>,
    stdout: Option<ChildStdout>,
    /// The beginning of the program's output.
    said: Zeroizing<Vec<u8>>,
}

impl AskpassProcess {
    /// Starts the program without stdin, and without the environment variables that contain
    /// secrets.
    fn start(mut command: Command) -> Result<Self, String> {
        for name in SECRET_VARIABLES {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        // Processes that the askpass program starts are stopped together with it.
        let started = terminal::start_asker(&mut command);
        let (child, group) = started.map_err(|error| reason(&error).1)?;
        Ok(AskpassProcess { child, group, stdout: None, said: Zeroizing::default() })
    }

    /// Makes the program's stdout non-blocking, so that [`Self::read`] does not wait.
    fn listen(&mut self) -> io::Result<()> {
        self.stdout = self.child.stdout.take();
        self.stdout.as_ref().map_or(Ok(()), |stdout| Ok(rustix::io::ioctl_fionbio(stdout, true)?))
    }

    /// Reads the output so far. It does not wait for the end of the output, because another process
    /// may keep the pipe open.
    fn read(&mut self, longest: usize) -> io::Result<()> {
        let Some(stdout) = &mut self.stdout else { return Ok(()) };
        let mut some = Zeroizing::new([0; 4096]);
        // A pipe cannot hold more than 64 reads return.
        for _ in 0..64 {
            match stdout.read(&mut *some) {
                Ok(0) => break,
                Ok(n) => {
                    let room = longest.saturating_sub(self.said.len());
                    self.said.extend_from_slice(&some[..n.min(room)]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        // The process group is stopped only once, because the operating system may give its number
        // to another group later.
        if let Some(group) = self.group.take() {
            terminal::asker_ended();
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for AskpassProcess {
    fn drop(&mut self) {
        self.end();
        let _ = self.child.wait();
    }
}
