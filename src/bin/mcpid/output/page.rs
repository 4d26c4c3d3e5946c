//! HTML pages that commands write: the file to write to, and parts that all pages share.

pub(crate) mod parts;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// The value of `--html`: the file to write, or `-` for stdout.
pub(crate) struct PageOutput<'a> {
    path: Option<&'a Path>,
}

/// A kind of page, such as the report on a log.
pub(crate) struct PageKind {
    /// The first bytes of every page of this kind.
    pub(crate) mark: &'static str,
    /// The name of the kind for messages, with its article.
    pub(crate) name: &'static str,
    /// The mode of a new file, before the umask is applied.
    pub(crate) mode: u32,
}

impl<'a> PageOutput<'a> {
    /// Checks, before any work is done, that a page can be written. An older page of the same kind
    /// is replaced; any other file is an error. `again` returns the user's command with another
    /// file name for the page, for a hint.
    ///
    /// # Errors
    /// Both JSON and a page would be written to stdout, or the file cannot be written.
    pub(crate) fn check(
        path: Option<&'a Path>,
        kind: &PageKind,
        again: impl FnOnce() -> String,
        ui: &Ui,
    ) -> Result<Self, Failure> {
        let output = PageOutput { path };
        if output.is_stdout() && ui.json() {
            let message = "--html - and --json cannot be used together";
            return Err(Failure::usage(message).hint(again()));
        }
        if let Some(file) = output.file() {
            check_file(file, kind, again)?;
        }
        Ok(output)
    }

    /// Returns true if a page was requested.
    pub(crate) fn is_wanted(&self) -> bool {
        self.path.is_some()
    }

    /// Returns true if the page replaces the text on stdout.
    pub(crate) fn is_stdout(&self) -> bool {
        self.path == Some(Path::new("-"))
    }

    /// Returns the file to which the page is written.
    pub(crate) fn file(&self) -> Option<&'a Path> {
        self.path.filter(|_| !self.is_stdout())
    }

    /// Writes the page to where the user wants it.
    ///
    /// # Errors
    /// The page cannot be written.
    pub(crate) fn write(&self, page: &str, kind: &PageKind, ui: &mut Ui) -> Result<(), Failure> {
        match self.file() {
            Some(file) => write_file(file, page, kind.mode),
            None if self.is_stdout() => ui.data(page.as_bytes()),
            None => Ok(()),
        }
    }
}

fn check_file(path: &Path, kind: &PageKind, again: impl FnOnce() -> String) -> Result<(), Failure> {
    // A FIFO or a device is refused, because writing to it could block forever, or the page would
    // be lost.
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return files::check_free(path),
        Err(e) => return Err(Failure::write(path, &e)),
        Ok(about) if about.is_dir() => {
            return Err(Failure::write(path, &io::ErrorKind::IsADirectory.into()));
        }
        Ok(about) if about.is_file() => {
            let mut start = Vec::new();
            let file = File::open(path).map_err(|e| Failure::write(path, &e))?;
            let read = file.take(kind.mark.len() as u64).read_to_end(&mut start);
            read.map_err(|e| Failure::read(path, &e))?;
            if start == kind.mark.as_bytes() {
                return files::check_folder(path);
            }
        }
        Ok(_) => {}
    }
    let message = format!("output exists, and is not {}: {}", kind.name, path.display());
    Err(Failure::new(Exit::Input, "exists", message).hint(again()))
}

/// Writes the page to a temporary file and renames it, so that a reader sees either the old page or
/// the new one.
fn write_file(path: &Path, page: &str, mode: u32) -> Result<(), Failure> {
    // A symbolic link is followed, as other programs do, and stays in place.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = || -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".mcpid-").suffix(".tmp");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(page.as_bytes())?;
        // A page that replaces an older one keeps its mode.
        if let Ok(old) = fs::metadata(&target) {
            file.as_file().set_permissions(old.permissions())?;
        }
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|e| e.error)?;
        Ok(())
    };
    written().map_err(|e| Failure::write(path, &e))
}
