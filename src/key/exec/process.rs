//! One run of a program that signs: its time, its output and its processes have limits.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use zeroize::Zeroizing;

use super::{ExecCommand, ExecError, MAX_OUTPUT, SECRET_VARIABLES};

/// Maximum number of bytes that one read returns.
const READ_BYTES: usize = 4096;
/// Maximum time to wait for the end of a killed program. A program that the kernel keeps for longer
/// is left to the operating system.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// The process groups of the programs that are running.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kills the programs of all [`super::ExecKey`]s that are signing now, with their process groups.
/// The signatures fail. A process that is ended by a signal calls this first: otherwise the
/// programs would run on without it.
pub fn stop_all() {
    for group in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        kill(*group);
    }
}

fn kill(group: i32) {
    if let Some(group) = Pid::from_raw(group) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Runs the program with `input` on its stdin, and returns what it printed. The program has `within`
/// from its start to its exit. The output does not have to end: a process that the program left
/// behind may keep the pipe open.
pub(super) fn run(
    command: &ExecCommand,
    input: &[u8],
    within: Duration,
) -> Result<Zeroizing<Vec<u8>>, ExecError> {
    let program = command.name();
    let started = Instant::now();
    let mut running = RunningProgram::start(command, input)
        .map_err(|source| ExecError::Start { program: program.clone(), source })?;
    let broken = |source| ExecError::Broken { program: program.clone(), source };
    let mut pause = Duration::from_millis(1);
    loop {
        // The exit is asked for before the output is read: so all output of an exited program is
        // read.
        let has_exited = running.has_exited().map_err(broken)?;
        running.write().map_err(broken)?;
        running.read().map_err(broken)?;
        if running.output.len() > MAX_OUTPUT {
            return Err(ExecError::TooMuch { program });
        }
        if has_exited {
            break;
        }
        if started.elapsed() >= within {
            return Err(ExecError::TimedOut { program, within });
        }
        thread::sleep(pause);
        pause = (pause * 5 / 4).min(Duration::from_millis(20));
    }
    let output = std::mem::take(&mut running.output);
    let status = running.end().map_err(broken)?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(output),
        (Some(code), _) => Err(ExecError::Failed { program, code }),
        (None, signal) => Err(ExecError::Killed { program, signal: signal.unwrap_or_default() }),
    }
}

/// A running program. Dropping this value kills the program and its process group.
struct RunningProgram<'a> {
    child: Child,
    /// The process group; `None` after it was killed.
    group: Option<i32>,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    /// The rest of the input, which the program has not taken yet.
    input: &'a [u8],
    /// The output so far, at most a little more than [`MAX_OUTPUT`].
    output: Zeroizing<Vec<u8>>,
}

impl<'a> RunningProgram<'a> {
    fn start(command: &ExecCommand, input: &'a [u8]) -> io::Result<Self> {
        let mut start = Command::new(command.program());
        start.args(command.arguments()).stderr(Stdio::null());
        start.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        for name in SECRET_VARIABLES {
            start.env_remove(name);
        }
        let mut child = {
            // The lock is held over the start, so that `stop_all` misses no program.
            let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            let child = start.spawn()?;
            running.extend(i32::try_from(child.id()));
            child
        };
        let group = i32::try_from(child.id()).ok();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        // The whole capacity is allocated at once: a growing vector leaves copies of a secret in
        // memory.
        let output = Zeroizing::new(Vec::with_capacity(MAX_OUTPUT + READ_BYTES));
        let program = RunningProgram { child, group, stdin, stdout, input, output };
        if let (Some(stdin), Some(stdout)) = (&program.stdin, &program.stdout) {
            rustix::io::ioctl_fionbio(stdin, true)?;
            rustix::io::ioctl_fionbio(stdout, true)?;
        }
        Ok(program)
    }

    /// Returns true if the program has exited. An exited program stays a zombie, so that the number
    /// of its process group is not used again before [`Self::end`].
    fn has_exited(&self) -> io::Result<bool> {
        let Some(pid) = self.group.and_then(Pid::from_raw) else { return Ok(true) };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(pid), options)?.is_some())
    }

    /// Writes what the pipe takes without waiting, and closes it behind the last byte. A program
    /// that does not read its input is judged by its output alone.
    fn write(&mut self) -> io::Result<()> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        while !self.input.is_empty() {
            match stdin.write(self.input) {
                Ok(n) => self.input = self.input.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::BrokenPipe => break,
                Err(e) => return Err(e),
            }
        }
        self.stdin = None;
        Ok(())
    }

    /// Reads what has been printed, without waiting for more.
    fn read(&mut self) -> io::Result<()> {
        let mut some = Zeroizing::new([0; READ_BYTES]);
        while let Some(stdout) = &mut self.stdout {
            match stdout.read(&mut *some) {
                Ok(0) => self.stdout = None,
                Ok(n) => self.output.extend_from_slice(&some[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            if self.output.len() > MAX_OUTPUT {
                self.stdout = None;
            }
        }
        Ok(())
    }

    /// Kills what is left of the process group, and returns how the program ended.
    fn end(mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.child.wait()
    }

    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            running.remove(&group);
            kill(group);
        }
    }
}

impl Drop for RunningProgram<'_> {
    fn drop(&mut self) {
        self.kill();
        let killed = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && killed.elapsed() < KILL_TIMEOUT {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
