//! Claims nonces in memory at full speed for some minutes, while earlier nonces expire, and prints
//! the memory of the process: `soak SECONDS`.
//!
//! The store gets the time as an argument, so time can pass faster: 20,000 claims are one second.
//! Then 1.5 million nonces are live at any time. A store that did not remove ended nonces would
//! grow by some gigabytes a minute.
#![allow(clippy::print_stdout, reason = "its figures are its output")]

use std::error::Error;
use std::fs;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mcpid::clock::Timestamp;
use mcpid::key::{SecretKey, Sign as _};
use mcpid::nonce::memory::Memory;
use mcpid::nonce::{Claim, NonceStore, Retention};
use rand::rngs::SysRng;

/// Number of claims in one second of the store's time.
const A_SECOND: u64 = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: u64 = std::env::args().nth(1).ok_or("usage: soak SECONDS")?.parse()?;
    let retention = Retention::new(30, 5);
    let start = Timestamp::from_unix(1_795_392_000);
    let store = Memory::new(start, retention, &mut SysRng)?.without_floor().bounded(4_000_000);
    let keys = (0..16)
        .map(|_| SecretKey::generate(&mut SysRng).map(|key| *key.public().id()))
        .collect::<Result<Vec<_>, _>>()?;
    let (began, mut said) = (Instant::now(), Instant::now());
    let mut claims: u64 = 0;
    let mut nonce = String::new();
    println!("seconds  claims in millions  resident MiB");
    while began.elapsed() < Duration::from_secs(seconds) {
        // The clock is read once for a few thousand claims.
        for _ in 0..4_096 {
            let now = start.plus(i64::try_from(claims / A_SECOND)?);
            nonce.clear();
            std::fmt::Write::write_fmt(&mut nonce, format_args!("{claims:022}"))?;
            let key = &keys[usize::try_from(claims % 16)?];
            let claim = pin!(store.claim(now, key, &nonce, retention.until(now)));
            match claim.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(Claim::Fresh { .. })) => claims += 1,
                other => return Err(format!("claim {claims} at {now}: {other:?}").into()),
            }
        }
        if said.elapsed() >= Duration::from_secs(30) {
            said = Instant::now();
            let statm = fs::read_to_string("/proc/self/statm")?;
            let pages: u64 = statm.split(' ').nth(1).ok_or("statm")?.parse()?;
            println!(
                "{:7}  {:18}  {:12}",
                began.elapsed().as_secs(),
                claims / 1_000_000,
                pages / 256
            );
        }
    }
    Ok(())
}
