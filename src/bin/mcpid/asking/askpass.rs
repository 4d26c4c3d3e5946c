//! The question by an askpass program, as OpenSSH asks whether a key may be used: the text is its
//! one argument, `SSH_ASKPASS_PROMPT=confirm` says that yes or no is wanted, and yes is an exit
//! code of 0 with nothing, or `yes`, on its stdout.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use mcpid::connect::consent::{Answer, Asked, Limits, Refused};
use mcpid::secret::description;
use rustix::process::{Pid, Signal, kill_process_group};

use super::Wait;
use crate::failure::reason;

/// What is read of the answer; more than this is no yes.
const LONGEST: u64 = 64;

/// Variables that hold secrets of ours, which are no business of the program.
const SECRETS: [&str; 3] = ["MCPID_PASSPHRASE", "MCPID_NONCES", "MCPID_NONCES_PASSWORD"];

/// The program that is set for us.
pub(super) fn own() -> Option<PathBuf> {
    set("MCPID_ASKPASS")
}

/// The program that is set for OpenSSH.
pub(super) fn of_ssh() -> Option<PathBuf> {
    set("SSH_ASKPASS")
}

fn set(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|program: &OsString| !program.is_empty()).map(PathBuf::from)
}

/// Runs `program`, and ends it when `wait` is over.
pub(super) fn ask(program: &std::path::Path, asked: &Asked, wait: &Wait) -> Answer {
    let failed = |why: String| {
        // A client sees this, and what stands in the variable may be no program.
        let name = program.to_string_lossy();
        let name = description(&name).unwrap_or_else(|| name.into_owned());
        let message = format!("the askpass program {name}: {why}");
        Answer::No(Refused::Failed(message))
    };
    let mut limits = Limits::default().with_width(72);
    (limits.lines, limits.text) = (30, 300);
    let text =
        format!("mcpid: may this request be signed and sent?\n\n{}", asked.shown(&limits).text);
    let mut command = Command::new(program);
    command.arg(text).env("SSH_ASKPASS_PROMPT", "confirm");
    for name in SECRETS {
        command.env_remove(name);
    }
    // In a group of its own: what it has started ends with it.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(reason(&error).1),
    };
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let mut running = Running { child, group };
    let status = loop {
        match running.child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => {}
            Err(error) => return failed(reason(&error).1),
        }
        if let Some(refused) = wait.ended() {
            return Answer::No(refused);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    judge(status, running.said()).unwrap_or_else(failed)
}

fn judge(status: ExitStatus, said: io::Result<Vec<u8>>) -> Result<Answer, String> {
    if let Some(signal) = status.signal() {
        return Err(format!("signal {signal} ended it"));
    }
    if !status.success() {
        return Ok(Answer::No(Refused::Declined));
    }
    let said = said.map_err(|error| reason(&error).1)?;
    let line = said.split(|&b| b == b'\n' || b == b'\r').next().unwrap_or_default();
    Ok(match line {
        b"" => Answer::Yes,
        word if word.eq_ignore_ascii_case(b"yes") => Answer::Yes,
        _ => Answer::No(Refused::Declined),
    })
}

/// A program that ends when this does, and all that it has started.
struct Running {
    child: Child,
    /// Its process group, as long as that is to be ended.
    group: Option<Pid>,
}

impl Running {
    /// The beginning of what it wrote. It has ended; whoever holds its stdout on is not waited for.
    fn said(&mut self) -> io::Result<Vec<u8>> {
        let mut said = Vec::new();
        self.end();
        if let Some(stdout) = self.child.stdout.take() {
            stdout.take(LONGEST).read_to_end(&mut said)?;
        }
        Ok(said)
    }

    fn end(&mut self) {
        // Once only: the number may be another group's later.
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        let _ = self.child.wait();
    }
}
