//! Writes scripts that a test starts at once.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes an executable script.
///
/// Another process writes the file. A file that this process had open for writing could still be open
/// in a child that another thread has just forked, and then it could not be executed (`ETXTBSY`).
pub(crate) fn executable(path: &Path, text: &str) {
    let mut writer = Command::new("sh")
        .args(["-c", "cat >\"$0\" && chmod 700 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
}
