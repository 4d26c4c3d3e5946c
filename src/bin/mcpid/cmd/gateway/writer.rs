//! Where log lines go: a file that is appended to, or stdout.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::ui::Ui;

/// Writes whole lines.
pub(crate) enum Writer {
    /// To a file.
    File(PathBuf, BufWriter<File>),
    /// To stdout, by the program's one writer.
    Stdout,
}

impl Writer {
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        match path {
            None => Ok(Writer::Stdout),
            Some(path) => Ok(Writer::File(path.to_owned(), BufWriter::new(append(path)?))),
        }
    }

    /// Opens the file anew, as after it was moved away.
    ///
    /// # Errors
    /// It cannot be opened; then the old one is written on.
    pub(crate) fn reopen(&mut self) -> Result<(), Failure> {
        if let Writer::File(path, file) = self {
            let fresh = BufWriter::new(append(path)?);
            let mut old = std::mem::replace(file, fresh);
            let _ = old.flush();
        }
        Ok(())
    }

    /// Writes one line.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn line(&mut self, line: &str, ui: &mut Ui) -> Result<(), Failure> {
        match self {
            Writer::Stdout => ui.line(line),
            Writer::File(path, file) => file
                .write_all(line.as_bytes())
                .and_then(|()| file.write_all(b"\n"))
                .map_err(|e| Failure::write(path, &e)),
        }
    }

    /// Hands on what is still in memory.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn flush(&mut self, ui: &mut Ui) -> Result<(), Failure> {
        match self {
            Writer::Stdout => ui.finish(),
            Writer::File(path, file) => file.flush().map_err(|e| Failure::write(path, &e)),
        }
    }
}

fn append(path: &Path) -> Result<File, Failure> {
    let mut options = File::options();
    options.append(true).create(true);
    // It tells who calls what.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|e| Failure::write(path, &e))
}
