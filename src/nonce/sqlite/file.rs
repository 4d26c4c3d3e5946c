//! The file itself: it is made readable for its owner only, opened without following links,
//! distinguished from other files, and checked while it is open.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::fault::SqliteFault;
use super::last_claim::{Claimed, FileVersion, LastClaim, beside};
use super::state::{self, Opening};
use super::{Retention, SqliteOptions};

/// "mcpi": the application id in the header of our files.
const APPLICATION: i64 = 0x6d63_7069;

/// The version of the tables. A file of a newer version is refused, because its rules are unknown
/// here.
const VERSION: i64 = 1;

/// Number of log pages after which SQLite copies them to the database file: 16 MiB. Only this
/// checkpoint waits for the disk. Ids are spread over the whole table, so a longer log saves much:
/// a page that changed often is written once.
const LOG_PAGES: u32 = 4_096;

/// SQLite's page size, which its limit counts in.
const PAGE: u64 = 4_096;

/// Held while a file is made. Closing a file drops every lock that this process has on it (POSIX),
/// also those of other connections. So a new file is closed again before any store of this process
/// can have it open.
static MAKING: Mutex<()> = Mutex::new(());

/// Number of checks whether another process has noted its change, and the pause before each check.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(5);

/// Opens the file, and opens it again after a fault.
pub(super) struct FileOpener {
    options: SqliteOptions,
    pub(super) read_only: bool,
    /// The longest retention granted to users of this handle.
    pub(super) granted: Option<Retention>,
    /// A file was open before, and could not be used any more. The file that is there now may be
    /// another one, or may have lost something.
    opened: bool,
}

/// An open file.
pub(super) struct OpenFile {
    pub(super) connection: Connection,
    path: PathBuf,
    identity: FileIdentity,
    /// The note beside the file, and the version of the file that we noted last; `None` for a store
    /// that is only read.
    noted: Option<(LastClaim, Cell<FileVersion>)>,
}

impl FileOpener {
    pub(super) fn new(options: SqliteOptions, read_only: bool) -> Self {
        FileOpener { options, read_only, granted: None, opened: false }
    }

    /// Notes that `retention` was granted to one of our users.
    pub(super) fn grant(&mut self, retention: Retention) {
        self.granted = Some(self.granted.map_or(retention, |known| known.united(retention)));
    }

    /// Opens it at `now` for users who ask for `asked`, and for those who were there before.
    ///
    /// # Errors
    /// See [`SqliteOptions::open`].
    pub(super) fn open(
        &mut self,
        now: i64,
        asked: Option<Retention>,
    ) -> Result<OpenFile, SqliteFault> {
        let path = self.find()?;
        if !self.read_only {
            make(&path)?;
        }
        let identity = FileIdentity::of_file(&path)?;
        let last = if self.read_only { None } else { Some(LastClaim::open(&path)?) };
        // Before SQLite writes anything.
        let note = last.as_ref().and_then(|last| last_of(last, &path));
        let mode = match self.read_only {
            true => OpenFlags::SQLITE_OPEN_READ_ONLY,
            false => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        // The flag CREATE is left out, since it would follow the umask. One thread has the
        // connection, so no mutex is needed.
        let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(&path, flags)?;
        // The timeout is shorter than the budget, so that a claim still gets the error that another
        // program holds the lock.
        connection.busy_timeout(self.options.budget * 3 / 4)?;
        // The content of a file is data: its schema must not call functions.
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        let new = is_new(&connection)?;
        if self.read_only {
            if new {
                return Err(SqliteFault::new("the file is no nonce store yet"));
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
                    trusted: !self.opened && note.is_some(),
                    last: note.flatten(),
                    asked,
                    granted: self.granted,
                    application: APPLICATION,
                    version: VERSION,
                },
            )?;
        }
        // Taken again, with the files beside it that are there by now.
        let opened = FileIdentity::of_file(&path)?;
        if !opened.is_same_file(&identity) {
            return Err(SqliteFault::new("the file was replaced while it was opened"));
        }
        self.opened = true;
        let noted = match last {
            None => None,
            Some(last) => {
                let noted = last.write(|| version(&path), None, note.is_none())?;
                Some((last, Cell::new(noted)))
            }
        };
        Ok(OpenFile { connection, path, identity: opened, noted })
    }

    /// The path with all links in its folder resolved, so that the file itself is all that could
    /// be one; SQLite then refuses to follow it.
    fn find(&self) -> Result<PathBuf, SqliteFault> {
        let path = &self.options.path;
        let Some(name) = path.file_name() else {
            return Err(SqliteFault::new("the path names no file"));
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(|e| match e.kind() {
            ErrorKind::NotFound => SqliteFault::new("the folder of the file does not exist"),
            _ => SqliteFault::io("the folder of the file cannot be used", &e),
        })?;
        Ok(folder.join(name))
    }
}

impl OpenFile {
    pub(super) fn is_read_only(&self) -> bool {
        self.noted.is_none()
    }

    /// Checks that only processes that share the store have changed the file since the last time: an
    /// older copy can be written into the very file that is open.
    ///
    /// # Errors
    /// Another program changed the file.
    pub(super) fn check_version(&self) -> Result<(), SqliteFault> {
        let Some((last, noted)) = &self.noted else { return Ok(()) };
        let now = version(&self.path)?;
        if now == noted.get() || last_of(last, &self.path).is_some() {
            noted.set(now);
            return Ok(());
        }
        Err(SqliteFault::new("the file was changed by another program while it was open"))
    }

    /// Notes the present version of the file after a commit, with `claimed` as its last claim if it
    /// had any.
    ///
    /// # Errors
    /// The note cannot be written.
    pub(super) fn note(&self, claimed: Option<Claimed>) -> Result<(), SqliteFault> {
        let Some((last, noted)) = &self.noted else { return Ok(()) };
        if claimed.is_some() || version(&self.path)? != noted.get() {
            noted.set(last.write(|| version(&self.path), claimed, false)?);
        }
        Ok(())
    }

    /// Closes it. What SQLite then writes is noted too, if it is still our file.
    pub(super) fn close(self) {
        let OpenFile { connection, path, identity, noted } = self;
        let unchanged =
            |noted: &Cell<FileVersion>| version(&path).is_ok_and(|now| now == noted.get());
        let noted = noted.filter(|(_, noted)| unchanged(noted));
        let closed = connection.close().is_ok();
        if let Some((last, _)) = noted
            && closed
            && FileIdentity::of_file(&path).is_ok_and(|now| now.is_same_file(&identity))
        {
            // If the note cannot be written, the next process that opens the file sets a floor.
            let _noted = last.write(|| version(&path), None, false);
        }
    }

    /// Checks that the path still names the open file. A nonce that was written to a file which
    /// is deleted by then is unknown to every later process.
    ///
    /// # Errors
    /// It is gone, or another one.
    pub(super) fn check(&self) -> Result<(), SqliteFault> {
        let now = FileIdentity::of_file(&self.path)
            .map_err(|_| SqliteFault::new("the file was deleted while it was open"))?;
        let same = match self.is_read_only() {
            true => now.is_same_file(&self.identity),
            false => now == self.identity,
        };
        if same { Ok(()) } else { Err(SqliteFault::new("the file was replaced while it was open")) }
    }
}

/// Returns the noted last claim, if the note describes exactly the present version of the file at
/// `path`. A process that shares the file may be about to note a change.
#[allow(clippy::option_option, reason = "a note without a claim is a note")]
fn last_of(last: &LastClaim, path: &Path) -> Option<Option<Claimed>> {
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(PAUSE);
        }
        if let (Some(note), Ok(version)) = (last.read(), version(path))
            && note.version == version
        {
            return Some(note.claimed);
        }
    }
    None
}

/// The file at `path`, and when it changed.
#[cfg(unix)]
fn version(path: &Path) -> Result<FileVersion, SqliteFault> {
    use std::os::unix::fs::MetadataExt as _;
    let about = fs::symlink_metadata(path).map_err(|e| SqliteFault::io("the file is gone", &e))?;
    let (device, inode) = number(&about);
    Ok([device.cast_signed(), inode.cast_signed(), about.ctime(), about.ctime_nsec()])
}

#[cfg(not(unix))]
fn version(_path: &Path) -> Result<FileVersion, SqliteFault> {
    Ok([0; 4])
}

/// Makes an empty file for its owner only, unless one is there.
fn make(path: &Path) -> Result<(), SqliteFault> {
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut options = OpenOptions::new();
    // `create_new` follows no link, also none that points nowhere.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(SqliteFault::io("the file cannot be made", &e)),
    }
}

/// Returns true if the file is still empty.
///
/// # Errors
/// Something is, and it is no store, or one of a newer version.
fn is_new(connection: &Connection) -> Result<bool, SqliteFault> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    // The first look at the file's bytes: whether it is SQLite's at all.
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let application = number("PRAGMA application_id")?;
    match application {
        APPLICATION => {}
        0 if tables == 0 => return Ok(true),
        _ => return Err(SqliteFault::new("the file is an SQLite file of another program")),
    }
    match number("PRAGMA user_version")? {
        VERSION => Ok(false),
        newer if newer > VERSION => {
            Err(SqliteFault::new("the file was made by a newer version of this program"))
        }
        _ => Err(SqliteFault::new("the file is damaged")),
    }
}

/// Turns to write-ahead logging, which the file then remembers. SQLite does not wait for locks
/// here, so two that open a new file at once get in each other's way for a moment.
fn write_ahead(connection: &Connection, budget: Duration) -> Result<(), SqliteFault> {
    let until = Instant::now() + budget / 2;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |r| r.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => {
                return Err(SqliteFault::new("the file system of the file has no shared memory"));
            }
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

/// The identity of a file, by properties that a rename or a copy changes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileIdentity {
    file: (u64, u64),
    log: Option<(u64, u64)>,
    index: Option<(u64, u64)>,
}

impl FileIdentity {
    /// # Errors
    /// There is none, or it is no regular file of this kind, or every user may write to it.
    fn of_file(path: &Path) -> Result<Self, SqliteFault> {
        let about = fs::symlink_metadata(path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => SqliteFault::new("there is no such file"),
            _ => SqliteFault::io("the file cannot be opened", &e),
        })?;
        if about.is_symlink() {
            return Err(SqliteFault::new("the file is a link"));
        }
        if !about.is_file() {
            return Err(SqliteFault::new("it is not a regular file"));
        }
        // SQLite takes a file of one byte for an empty one, and would write over it. No file of
        // its own is shorter than its header.
        if (1..100).contains(&about.len()) {
            return Err(SqliteFault::new("the file is not a nonce store"));
        }
        // SQLite's log goes by the name: under two names there would be two, and neither's claims
        // would be known to the other.
        if has_other_names(&about) {
            return Err(SqliteFault::new("the file has another name too (a hard link)"));
        }
        if is_open_to_all(&about) {
            return Err(SqliteFault::new("everybody may write to the file"));
        }
        // SQLite names them like that, and nonces are lost with a file that is removed.
        let known = |suffix: &str| {
            fs::symlink_metadata(beside(path, suffix)).ok().map(|about| number(&about))
        };
        Ok(FileIdentity { file: number(&about), log: known("-wal"), index: known("-shm") })
    }

    fn is_same_file(&self, other: &FileIdentity) -> bool {
        self.file == other.file
    }
}

#[cfg(unix)]
fn number(about: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (about.dev(), about.ino())
}

#[cfg(unix)]
fn has_other_names(about: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(about) > 1
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
fn has_other_names(_about: &fs::Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn is_open_to_all(_about: &fs::Metadata) -> bool {
    false
}
