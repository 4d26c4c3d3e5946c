//! Where the bridge's log goes: stderr, which clients keep or show, or a file. Never stdout.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::connect::{Log, Weight};

use crate::args::MannerArgs;
use crate::failure::Failure;

/// The log, to be opened before anything is asked.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn open(file: Option<&Path>, manner: MannerArgs) -> Result<Log, Failure> {
    let Some(path) = file else {
        return Ok(Log::new(move |weight, line| {
            if weight == Weight::Warning || (manner.verbose && !manner.quiet) {
                // Nobody who reads it is no reason to end.
                let _ = writeln!(std::io::stderr().lock(), "mcpid: {line}");
            }
        }));
    };
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = Mutex::new(options.open(path).map_err(|e| Failure::write(path, &e))?);
    Ok(Log::new(move |weight, line| {
        let word = match weight {
            Weight::Note => "note",
            _ => "warning",
        };
        let now = SystemClock.now();
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // One write a line, so that several processes can share the file.
        let _ = file.write_all(format!("{now} {word}: {line}\n").as_bytes());
    }))
}
