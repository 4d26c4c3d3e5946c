//! The thread that calls a PKCS #11 module. A call that hangs cannot be interrupted. Its thread is
//! then left behind, and the module is not called again.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{process, thread};

use super::Pkcs11Error;
use super::calls::{self, END_TIMEOUT};
use super::session::{FoundToken, TokenSession};

type Call = Box<dyn FnOnce(&TokenSession) + Send>;

/// The thread of one session with a token.
pub(super) struct TokenThread {
    /// The channel to the thread. `None` after a call that did not return in time, or after the end
    /// of the thread.
    calls: Mutex<Option<SyncSender<Call>>>,
    timeout: Duration,
    /// The process that has the thread: a forked child does not.
    process: u32,
    /// This channel disconnects when the thread has closed its session and unloaded the module.
    ended: Mutex<Receiver<()>>,
}

impl TokenThread {
    /// Starts the thread, which opens its session by calling `open`. This must succeed within
    /// `timeout`.
    pub(super) fn start(
        timeout: Duration,
        open: impl FnOnce() -> Result<(TokenSession, FoundToken), Pkcs11Error> + Send + 'static,
    ) -> Result<(Self, FoundToken), Pkcs11Error> {
        let (calls, queue) = mpsc::sync_channel::<Call>(0);
        let (opened, found) = mpsc::sync_channel(1);
        let (running, ended) = mpsc::sync_channel::<()>(0);
        let run = move || {
            let session = match calls::run(open) {
                Ok((session, found)) => {
                    let _ = opened.send(Ok(found));
                    session
                }
                Err(error) => return drop(opened.send(Err(error))),
            };
            for call in queue {
                calls::run(|| call(&session));
            }
            calls::run(|| drop(session));
            drop(running);
        };
        let thread = thread::Builder::new().name("pkcs11".to_owned());
        thread.spawn(run).map_err(|error| Pkcs11Error::Module(error.to_string()))?;
        let found = received(found.recv_timeout(timeout), timeout)??;
        let (calls, ended) = (Mutex::new(Some(calls)), Mutex::new(ended));
        Ok((TokenThread { calls, timeout, process: process::id(), ended }, found))
    }

    /// Runs `call` on the thread, and returns its result. Calls run one after another.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&TokenSession) -> Result<T, Pkcs11Error> + Send + 'static,
    ) -> Result<T, Pkcs11Error> {
        if self.is_foreign() {
            return Err(Pkcs11Error::Forked);
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = calls.as_ref().ok_or(Pkcs11Error::GivenUp)?;
        let (returned, answer) = mpsc::sync_channel(1);
        let call: Call = Box::new(move |session| drop(returned.send(call(session))));
        // The thread is idle, because the lock is held during each call.
        let answer = match sender.send(call) {
            Ok(()) => received(answer.recv_timeout(self.timeout), self.timeout),
            Err(_) => Err(Pkcs11Error::GivenUp),
        };
        if answer.is_err() {
            *calls = None;
        }
        answer?
    }

    /// Returns true in a forked child of the process that started the thread.
    fn is_foreign(&self) -> bool {
        self.process != process::id()
    }
}

/// Waits until the session is closed and the module unloaded, unless this is a forked child.
impl Drop for TokenThread {
    fn drop(&mut self) {
        if self.is_foreign() {
            return;
        }
        let calls = self.calls.get_mut().unwrap_or_else(PoisonError::into_inner);
        if calls.take().is_some() {
            let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv_timeout(END_TIMEOUT);
        }
    }
}

fn received<T>(answer: Result<T, RecvTimeoutError>, timeout: Duration) -> Result<T, Pkcs11Error> {
    answer.map_err(|error| match error {
        RecvTimeoutError::Timeout => Pkcs11Error::TimedOut(timeout),
        RecvTimeoutError::Disconnected => Pkcs11Error::Module("its thread has ended".to_owned()),
    })
}
