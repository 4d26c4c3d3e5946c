//! The file itself: made so that nobody else can read it, opened without following links, told
//! from other files, and looked after while it is open.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::fault::Fault;
use super::state::{self, Opening};
use super::{Options, Retention};

/// "mcpi": what the header of our files says that they are.
const APPLICATION: i64 = 0x6d63_7069;

/// The layout of the tables. A store of a newer one is refused: what it promises is unknown here.
const VERSION: i64 = 1;

/// Pages in the log after which they are written to where they belong, the one time that a disk
/// is waited for: 16 MiB. Ids are spread over the whole table, so a longer log saves much: a page
/// that changed often is written once.
const LOG_PAGES: u32 = 4_096;

/// SQLite's page size, which its limit counts in.
const PAGE: u64 = 4_096;

/// Closing a file drops every lock that this process has on it (POSIX), those of another
/// connection too. So a file is made, and let go of, before anybody here can have it open.
static MAKING: Mutex<()> = Mutex::new(());

/// Where the file is, and all that opening it again needs.
pub(super) struct Place {
    options: Options,
    pub(super) read_only: bool,
    /// What was granted to our users so far.
    pub(super) granted: Option<Retention>,
    /// A file was open before, and could not be used any more. Whatever is there now may be
    /// another one, or may have lost something.
    opened: bool,
}

/// An open file.
pub(super) struct OpenFile {
    pub(super) connection: Connection,
    path: PathBuf,
    identity: Identity,
    read_only: bool,
}

impl Place {
    pub(super) fn new(options: Options, read_only: bool) -> Self {
        Place { options, read_only, granted: None, opened: false }
    }

    /// That `retention` was granted to one of our users.
    pub(super) fn grant(&mut self, retention: Retention) {
        self.granted = Some(self.granted.map_or(retention, |known| known.united(retention)));
    }

    /// Opens it at `now` for users who ask for `asked`, and for those who were there before.
    ///
    /// # Errors
    /// See [`Options::open`].
    pub(super) fn open(&mut self, now: i64, asked: Option<Retention>) -> Result<OpenFile, Fault> {
        let path = self.find()?;
        if !self.read_only {
            make(&path)?;
        }
        let identity = Identity::of_file(&path)?;
        let mode = match self.read_only {
            true => OpenFlags::SQLITE_OPEN_READ_ONLY,
            false => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        // Without CREATE: it would follow the umask. Without a mutex: one thread has it.
        let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(self.options.budget)?;
        // What a file holds is data: it must not call functions.
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        let new = is_new(&connection)?;
        if self.read_only {
            if new {
                return Err(Fault::new("the file is no nonce store yet"));
            }
        } else {
            write_ahead(&connection, self.options.budget)?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
            let pages = (self.options.max_bytes / PAGE).clamp(16, u64::from(u32::MAX) - 1);
            connection.pragma_update(
                None,
                "max_page_count",
                i64::try_from(pages).unwrap_or(i64::MAX),
            )?;
            state::settle(
                &connection,
                &Opening {
                    now,
                    boot: self.options.boot.as_deref(),
                    trusted: !self.opened,
                    asked,
                    granted: self.granted,
                    application: APPLICATION,
                    version: VERSION,
                },
            )?;
        }
        // Taken again, with the files beside it that are there by now.
        let opened = Identity::of_file(&path)?;
        if !opened.is_same_file(&identity) {
            return Err(Fault::new("the file was replaced while it was opened"));
        }
        self.opened = true;
        Ok(OpenFile { connection, path, identity: opened, read_only: self.read_only })
    }

    /// The path with all links in its folder resolved, so that the file itself is all that could
    /// be one; SQLite then refuses to follow it.
    fn find(&self) -> Result<PathBuf, Fault> {
        let path = &self.options.path;
        let Some(name) = path.file_name() else {
            return Err(Fault::new("the path names no file"));
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(|e| match e.kind() {
            ErrorKind::NotFound => Fault::new("the folder of the file does not exist"),
            _ => Fault::io("the folder of the file cannot be used", &e),
        })?;
        Ok(folder.join(name))
    }
}

impl OpenFile {
    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// That what the path names is still what is open. A nonce that was written to a file which
    /// is deleted by then is known to nobody who comes later.
    ///
    /// # Errors
    /// It is gone, or another one.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let now = Identity::of_file(&self.path)
            .map_err(|_| Fault::new("the file was deleted while it was open"))?;
        let same = match self.read_only {
            true => now.is_same_file(&self.identity),
            false => now == self.identity,
        };
        if same { Ok(()) } else { Err(Fault::new("the file was replaced while it was open")) }
    }
}

/// Makes an empty file for its owner only, unless one is there.
fn make(path: &Path) -> Result<(), Fault> {
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut options = OpenOptions::new();
    // `create_new` follows no link, also none that points nowhere.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Fault::io("the file cannot be made", &e)),
    }
}

/// Whether nothing is in the file yet.
///
/// # Errors
/// Something is, and it is no store, or one of a newer version.
fn is_new(connection: &Connection) -> Result<bool, Fault> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    // The first look at the file's bytes: whether it is SQLite's at all.
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let application = number("PRAGMA application_id")?;
    match application {
        APPLICATION => {}
        0 if tables == 0 => return Ok(true),
        _ => return Err(Fault::new("the file is an SQLite file of another program")),
    }
    match number("PRAGMA user_version")? {
        VERSION => Ok(false),
        newer if newer > VERSION => {
            Err(Fault::new("the file was made by a newer version of this program"))
        }
        _ => Err(Fault::new("the file is damaged")),
    }
}

/// Turns to write-ahead logging, which the file then remembers. SQLite does not wait for locks
/// here, so two that open a new file at once get in each other's way for a moment.
fn write_ahead(connection: &Connection, budget: Duration) -> Result<(), Fault> {
    let until = Instant::now() + budget / 2;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |r| r.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(Fault::new("the file system of the file has no shared memory")),
            Err(error) => {
                let busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
                if !busy || Instant::now() >= until {
                    return Err(error.into());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Which file it is, by what a rename or a copy does not carry along.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    file: (u64, u64),
    log: Option<(u64, u64)>,
    index: Option<(u64, u64)>,
}

impl Identity {
    /// # Errors
    /// There is none, or it is no regular file of this kind, or everybody may write to it.
    fn of_file(path: &Path) -> Result<Self, Fault> {
        let about = fs::symlink_metadata(path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => Fault::new("there is no such file"),
            _ => Fault::io("the file cannot be opened", &e),
        })?;
        if about.is_symlink() {
            return Err(Fault::new("the file is a link"));
        }
        if !about.is_file() {
            return Err(Fault::new("it is not a regular file"));
        }
        // SQLite takes a file of one byte for an empty one, and would write over it. No file of
        // its own is shorter than its header.
        if (1..100).contains(&about.len()) {
            return Err(Fault::new("the file is not a nonce store"));
        }
        if is_open_to_all(&about) {
            return Err(Fault::new("everybody may write to the file"));
        }
        // SQLite names them like that, and whoever removes one takes nonces along.
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            fs::symlink_metadata(Path::new(&name)).ok().map(|about| number(&about))
        };
        Ok(Identity { file: number(&about), log: beside("-wal"), index: beside("-shm") })
    }

    fn is_same_file(&self, other: &Identity) -> bool {
        self.file == other.file
    }
}

#[cfg(unix)]
fn number(about: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (about.dev(), about.ino())
}

#[cfg(unix)]
fn is_open_to_all(about: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o002 != 0
}

#[cfg(not(unix))]
fn number(_about: &fs::Metadata) -> (u64, u64) {
    (0, 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_about: &fs::Metadata) -> bool {
    false
}
