//! One run of a program that signs: with limits on its time and output, and an end of all its
//! processes.

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
/// Maximum time to wait for the end of a killed program. If the kernel does not end it within this
/// time, this process goes on without waiting.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// The process groups of the programs that are running.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kills the programs of all [`super::ExecKey`]s that are signing now, with their process groups.
/// Their signatures fail. A process that is about to exit because of a signal calls this first,
/// because the programs would otherwise keep running.
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

/// Runs the program with `input` on its stdin, and returns what it printed. The program has
/// `within` from its start to its exit. The end of the output is not awaited: a background process
/// that the program started may keep the pipe open.
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
        // Whether the program has exited is asked before the output is read, so that all output of
        // an exited program is read.
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
    /// The process group of the program; `None` after the group was killed.
    group: Option<i32>,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    /// The rest of the input that the program has not read yet.
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
            // The lock is held while the program starts, so that `stop_all` misses no program.
            let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            let child = start.spawn()?;
            running.extend(i32::try_from(child.id()));
            child
        };
        let group = i32::try_from(child.id()).ok();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        // The whole capacity is allocated at once: a vector that grows would leave copies of a
        // secret in memory.
        let output = Zeroizing::new(Vec::with_capacity(MAX_OUTPUT + READ_BYTES));
        let program = RunningProgram { child, group, stdin, stdout, input, output };
        if let (Some(stdin), Some(stdout)) = (&program.stdin, &program.stdout) {
            rustix::io::ioctl_fionbio(stdin, true)?;
            rustix::io::ioctl_fionbio(stdout, true)?;
        }
        Ok(program)
    }

    /// Returns true if the program has exited. Its exit status is not collected yet, so that the
    /// operating system cannot give its process group number to another process before
    /// [`Self::end`].
    fn has_exited(&self) -> io::Result<bool> {
        let Some(pid) = self.group.and_then(Pid::from_raw) else { return Ok(true) };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(pid), options)?.is_some())
    }

    /// Writes as much input as the pipe takes without waiting, and closes the pipe after the last
    /// byte. That a program does not read its input is no error; only its output counts.
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

    /// Reads the output that is available, without waiting for more.
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

    /// Kills the remaining processes of the process group, and returns the program's exit status.
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
