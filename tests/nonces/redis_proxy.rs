//! A proxy between a nonce store and its server, which can pass on, drop, delay and change bytes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

type Rewrite = Arc<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>;

#[derive(Clone)]
pub(crate) enum Mode {
    Pass,
    /// The proxy drops the bytes in both directions, and keeps the connections open.
    Swallow,
    /// The proxy passes commands to the server, but ends the connection in place of the answer,
    /// this many times.
    LoseAnswers(u32),
    /// The proxy delays answers.
    Delay(Duration),
    /// The proxy changes answers.
    Rewrite(Rewrite),
}

/// A proxy that runs until it is dropped.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    mode: Arc<Mutex<Mode>>,
    over: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, over) = (Arc::new(Mutex::new(Mode::Pass)), Arc::new(AtomicBool::new(false)));
        let (shared, end) = (Arc::clone(&mode), Arc::clone(&over));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                // If the server is down, the proxy closes the connection, as a server that ends
                // would do.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                carry(client, server, &shared);
            }
        });
        Proxy { port, mode, over }
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    pub(crate) fn rewrite(&self, change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) {
        self.set(Mode::Rewrite(Arc::new(change)));
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // This connection wakes the proxy's listener, which then sees that it must end.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn carry(client: TcpStream, server: TcpStream, mode: &Arc<Mutex<Mode>>) {
    let lose = Arc::new(AtomicBool::new(false));
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (shared, losing) = (Arc::clone(mode), Arc::clone(&lose));
    thread::spawn(move || {
        pump(from, to, |bytes| {
            let mut mode = shared.lock().unwrap();
            match &mut *mode {
                Mode::Swallow => return Some(Vec::new()),
                Mode::LoseAnswers(left)
                    if *left > 0 && bytes.windows(5).any(|w| w == b"\r\nSET") =>
                {
                    *left -= 1;
                    losing.store(true, Ordering::SeqCst);
                }
                _ => {}
            }
            Some(bytes)
        });
    });
    let shared = Arc::clone(mode);
    thread::spawn(move || {
        pump(server, client, |bytes| {
            if lose.load(Ordering::SeqCst) {
                return None;
            }
            let mode = shared.lock().unwrap().clone();
            match mode {
                Mode::Swallow => Some(Vec::new()),
                Mode::Delay(delay) => {
                    thread::sleep(delay);
                    Some(bytes)
                }
                Mode::Rewrite(change) => Some(change(bytes)),
                Mode::Pass | Mode::LoseAnswers(_) => Some(bytes),
            }
        });
    });
}

fn pump(mut from: TcpStream, mut to: TcpStream, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        match change(buffer[..count].to_vec()) {
            Some(bytes) if to.write_all(&bytes).is_ok() => {}
            _ => break,
        }
    }
    let _ended = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
