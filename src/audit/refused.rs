//! The file of refused requests without a valid signature. It is not part of the tree, and is
//! limited in size and rate.
//!
//! Any client can send requests that are refused. If each of them got an entry, an attacker could
//! fill the disk, and a full disk stops a server with the policy `required`. So these requests are
//! written to a separate file, with a limit per second and a limit of its size. From time to time
//! the log gets an entry with the number of these requests and the number of those that were not
//! even written to the file.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::time::Instant;

use serde::Serialize;

use super::files;
use super::folder::Folder;
use super::record::{RecordedRefusal, RefusalCounts, Verdict};
use crate::clock::Timestamp;
use crate::message::Head;
use crate::verify::Statement;

/// Maximum number of lines per second, on average.
const REFUSALS_PER_SECOND: f64 = 50.0;
/// Maximum number of lines in a burst.
const REFUSAL_BURST: f64 = 500.0;
/// Maximum number of refusal codes that are counted separately.
const MAX_CODES: usize = 64;

/// A token bucket: permits that refill at a steady rate, up to a limit.
#[derive(Debug)]
pub(super) struct TokenBucket {
    permits: f64,
    rate: f64,
    burst: f64,
    filled: Instant,
}

impl TokenBucket {
    pub(super) fn new(rate: f64, burst: f64) -> Self {
        TokenBucket { permits: burst, rate, burst, filled: Instant::now() }
    }

    /// Takes one permit; returns false if none is left.
    pub(super) fn take(&mut self) -> bool {
        let now = Instant::now();
        let grown = now.saturating_duration_since(self.filled).as_secs_f64() * self.rate;
        (self.permits, self.filled) = ((self.permits + grown).min(self.burst), now);
        let free = self.permits >= 1.0;
        if free {
            self.permits -= 1.0;
        }
        free
    }
}

/// Writes refused requests, and counts them.
pub(super) struct RefusalFile {
    folder: Folder,
    limit: u64,
    bucket: TokenBucket,
    file: Option<(File, u64)>,
    pub(super) counts: RefusalCounts,
}

#[derive(Serialize)]
struct RefusedLine<'a> {
    mcpid: &'static str,
    time: String,
    verdict: Verdict,
    step: Option<u8>,
    code: &'a str,
    method: String,
    target: String,
    keyid: Option<String>,
    tag: Option<String>,
    nonce: Option<String>,
    created: Option<i64>,
}

impl RefusalFile {
    pub(super) fn new(folder: Folder, limit: u64) -> Self {
        let bucket = TokenBucket::new(REFUSALS_PER_SECOND, REFUSAL_BURST);
        RefusalFile { folder, limit, bucket, file: None, counts: RefusalCounts::default() }
    }

    /// Counts a request, and writes a short line about it if the limits on rate and size allow.
    /// Nothing in the line is verified. Returns true if the line was written.
    pub(super) fn note(
        &mut self,
        time: Timestamp,
        verdict: Verdict,
        because: RecordedRefusal<'_>,
        head: Option<&Head<'_>>,
        statement: Option<&Statement>,
    ) -> bool {
        let counts = &mut self.counts;
        counts.seen = counts.seen.saturating_add(1);
        // The codes come from a fixed list in this program, so the limit is never reached.
        if counts.codes.contains_key(because.code) || counts.codes.len() < MAX_CODES {
            let count = counts.codes.entry(because.code.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
        let text = |text: Option<&String>| text.map(|text| short(text, 256));
        let line = RefusedLine {
            mcpid: "refused/1",
            time: time.to_string(),
            verdict,
            step: because.step,
            code: because.code,
            method: head.map(|head| short(head.method(), 32)).unwrap_or_default(),
            target: head.map(target).unwrap_or_default(),
            keyid: text(statement.and_then(|s| s.key.as_ref())),
            tag: text(statement.and_then(|s| s.tag.as_ref())),
            nonce: text(statement.and_then(|s| s.nonce.as_ref())),
            created: statement.and_then(|s| s.created).map(Timestamp::unix),
        };
        let written = self.bucket.take() && self.write(&line).is_some();
        if !written {
            self.counts.dropped = self.counts.dropped.saturating_add(1);
        }
        written
    }

    fn write(&mut self, line: &RefusedLine<'_>) -> Option<()> {
        let mut text = serde_json::to_vec(line).ok()?;
        text.push(b'\n');
        let size = u64::try_from(text.len()).ok()?;
        let path = self.folder.refused(false);
        if self.file.as_ref().is_some_and(|(_, length)| length + size > self.limit / 2) {
            self.file = None;
            std::fs::rename(&path, self.folder.refused(true)).ok()?;
        }
        let (file, length) = match &mut self.file {
            Some(open) => open,
            none => {
                let file = files::open(&path, OpenOptions::new().append(true).create(true)).ok()?;
                let length = file.metadata().ok()?.len();
                none.insert((file, length))
            }
        };
        // Written without `fsync`: no request waits for this file.
        file.write_all(&text).ok()?;
        *length += size;
        Some(())
    }
}

fn target(head: &Head<'_>) -> String {
    use crate::message::RequestTarget as Target;
    match head.target() {
        Target::Origin(text) | Target::Absolute(text) | Target::Uri(text) => short(text, 1024),
        Target::Asterisk => "*".to_owned(),
    }
}

/// Returns at most `length` characters of the text.
fn short(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
