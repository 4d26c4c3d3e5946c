//! Free ports, for programs that must be told their port before they listen.
//!
//! If a test releases a port that the kernel chose, the kernel can give it to another test at once.
//! The ports here are therefore below those from which the kernel chooses. Each test process hands
//! out the ports of a block of its own, and holds the block by listening at its first port.

use std::net::TcpListener;
use std::sync::Mutex;

/// The ports of all blocks, and the number of ports in a block. Each port plus ten thousand, which
/// the nodes of a Redis Cluster also use, is free too, and below 32768.
const ALL: std::ops::Range<u16> = 12_000..18_000;
const BLOCK: u16 = 100;

/// The blocks of ports that this process uses. For each block: the listener at its first port, which
/// keeps the block from other processes, and the next port to return.
static BLOCKS: Mutex<Vec<(TcpListener, u16)>> = Mutex::new(Vec::new());

fn listener(port: u16) -> Option<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).ok()
}

/// Returns a port of 127.0.0.1 at which no program listens, and which no other test gets.
pub(crate) fn free_port() -> u16 {
    let mut blocks = BLOCKS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    loop {
        match blocks.last_mut() {
            Some((_held, next)) if *next % BLOCK != 0 => {
                *next += 1;
                let port = *next - 1;
                if listener(port).is_some() && listener(port + 10_000).is_some() {
                    return port;
                }
            }
            _ => {
                let count = usize::from(ALL.len() as u16 / BLOCK);
                let first = std::process::id() as usize % count;
                let held = (0..count).find_map(|n| {
                    let port = ALL.start + BLOCK * ((first + n) % count) as u16;
                    listener(port).map(|held| (held, port + 1))
                });
                blocks.push(held.expect("a block of ports that no other test process holds"));
            }
        }
    }
}
