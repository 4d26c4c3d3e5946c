//! Writes a log of signed requests for other measurements, such as the memory of an audit.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mcpid::audit::{Durability, Folder, Log, LogSettings, Recorder};
use mcpid::block_on;
use mcpid::key::{SecretKey, Sign as _, format};
use rand::rngs::SysRng;

use crate::setup::{BenchSetup, NAME};

/// Requests in a second of the log's clock.
const RATE: u64 = 100;

/// Writes a log of `entries` requests to `FOLDER/log`, its last checkpoint to `FOLDER/kept`, and the
/// key of the requests to `FOLDER/trust.json`. Nothing waits for the disk.
pub(crate) fn write(folder: &Path, entries: u64) {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join("log");
    let setup = BenchSetup::new();
    let key = SecretKey::generate(&mut SysRng).unwrap();
    let log_key = Folder::init(&path, NAME, &key, setup.now()).unwrap();
    let trusted = format::jwk(setup.key.public(), None);
    fs::write(folder.join("trust.json"), format!("{{\"keys\":[{trusted}]}}")).unwrap();
    let mut settings = LogSettings::default();
    (settings.durability, settings.pause) = (Durability::Checkpoint, Duration::ZERO);
    let log = Log::open(Folder::at(&path).unwrap(), settings, setup.clock.clone()).unwrap();
    let recorder = Recorder::new(log);
    for n in 0..entries {
        if n % RATE == 0 {
            setup.clock.forward(1);
        }
        block_on(setup.record(&recorder, &setup.signed()));
    }
    drop(recorder);
    fs::copy(path.join("checkpoint"), folder.join("kept")).unwrap();
    println!("{log_key}");
}
