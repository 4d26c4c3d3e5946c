//! The store file: how it is created, opened without following links, told apart from other files,
//! and checked while it is open.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::fault::SqliteFault;
use super::last_claim::{Claimed, FileVersion, LastClaim, sibling_path};
use super::state::{self, OpeningState};
use super::{Retention, SqliteOptions};

/// The application id in the header of our files: "mcpi" in ASCII.
const APPLICATION: i64 = 0x6d63_7069;

/// The version of the tables. A file of a newer version is refused, because this program does not
/// know its rules.
const VERSION: i64 = 1;

/// Number of pages in the write-ahead log (16 MiB) after which SQLite copies it into the database
/// file. Only this copying waits for the disk. A page that changed several times is copied once.
const WAL_CHECKPOINT_PAGES: u32 = 4_096;

/// The size of a page of SQLite. The size limit of a file is set as a number of pages.
const PAGE_BYTES: u64 = 4_096;

/// Locked while a thread of this process creates the file and closes it again. Without this lock,
/// closing the file would release the locks of another thread that has opened it meanwhile (POSIX).
static FILE_CREATION: Mutex<()> = Mutex::new(());

/// How many times the content of `NAME-last` is read, with a pause before each further time. A
/// process that has just committed a claim may be about to write it to that file.
const NOTE_READS: u32 = 5;
const NOTE_READ_PAUSE: Duration = Duration::from_millis(5);

/// Opens the store file, and opens it again after a fault.
pub(super) struct FileOpener {
    options: SqliteOptions,
    pub(super) read_only: bool,
    /// The longest retention granted to users of this handle.
    pub(super) granted: Option<Retention>,
    /// Whether the file was open before. The file that is at the path now may be another one.
    opened: bool,
}

/// An open store file, with its connection and its identity on the disk.
pub(super) struct OpenFile {
    pub(super) connection: Connection,
    path: PathBuf,
    identity: FileIdentity,
    /// The file `NAME-last`, and the version of the store file that this process last recorded in
    /// it; `None` if the store was opened for reading only.
    noted: Option<(LastClaim, Cell<FileVersion>)>,
}

impl FileOpener {
    pub(super) fn new(options: SqliteOptions, read_only: bool) -> Self {
        FileOpener { options, read_only, granted: None, opened: false }
    }

    /// Records that `retention` was granted to a user of this handle.
    pub(super) fn grant(&mut self, retention: Retention) {
        self.granted = Some(self.granted.map_or(retention, |known| known.united(retention)));
    }

    /// Opens the file at `now`, for the retention `requested` and those of earlier users.
    ///
    /// # Errors
    /// See [`SqliteOptions::open_for_claims`].
    pub(super) fn open(
        &mut self,
        now: i64,
        requested: Option<Retention>,
    ) -> Result<OpenFile, SqliteFault> {
        let path = self.find()?;
        if !self.read_only {
            create_file(&path)?;
        }
        let identity = FileIdentity::of_file(&path)?;
        let last = if self.read_only { None } else { Some(LastClaim::open(&path)?) };
        // `NAME-last` is read before SQLite writes anything to the store file.
        let note = last.as_ref().and_then(|last| read_last_claim(last, &path));
        let mode = match self.read_only {
            true => OpenFlags::SQLITE_OPEN_READ_ONLY,
            false => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        // SQLite must not create the file, because it would use the umask for its mode. No mutex is
        // needed, because one thread owns the connection.
        let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(&path, flags)?;
        // This timeout is shorter than that of the caller, so that a claim gets SQLite's error
        // about the lock and not only a timeout.
        connection.busy_timeout(self.options.budget * 3 / 4)?;
        // The schema in a file is untrusted, so it must not call functions.
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
            connection.pragma_update(None, "wal_autocheckpoint", WAL_CHECKPOINT_PAGES)?;
            let pages = (self.options.max_bytes / PAGE_BYTES).clamp(16, u64::from(u32::MAX) - 1);
            connection.pragma_update(
                None,
                "max_page_count",
                i64::try_from(pages).unwrap_or(i64::MAX),
            )?;
            state::bring_up_to_date(
                &connection,
                &OpeningState {
                    now,
                    boot: self.options.boot.as_deref(),
                    trusted: !self.opened && note.is_some(),
                    last: note.flatten(),
                    requested,
                    granted: self.granted,
                    application: APPLICATION,
                    version: VERSION,
                },
            )?;
        }
        // The identity is read again, because SQLite has created its other files by now.
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

    /// Returns the path with all links in its folder resolved. Only the file itself can still be a
    /// link, and SQLite refuses to follow that one.
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

    /// Checks that only processes that share the store have changed the file since the last check.
    /// Another program could have written an older copy into the open file.
    ///
    /// # Errors
    /// [`SqliteFault`] if another program changed the file.
    pub(super) fn check_version(&self) -> Result<(), SqliteFault> {
        let Some((last, noted)) = &self.noted else { return Ok(()) };
        let now = version(&self.path)?;
        if now == noted.get() || read_last_claim(last, &self.path).is_some() {
            noted.set(now);
            return Ok(());
        }
        Err(SqliteFault::new("the file was changed by another program while it was open"))
    }

    /// Records the present version of the file in `NAME-last` after a commit, with the last claim
    /// of the commit, if it had one.
    ///
    /// # Errors
    /// [`SqliteFault`] if `NAME-last` cannot be written.
    pub(super) fn note(&self, claimed: Option<Claimed>) -> Result<(), SqliteFault> {
        let Some((last, noted)) = &self.noted else { return Ok(()) };
        if claimed.is_some() || version(&self.path)? != noted.get() {
            noted.set(last.write(|| version(&self.path), claimed, false)?);
        }
        Ok(())
    }

    /// Closes the file. SQLite then writes to it once more. That change is recorded in `NAME-last`
    /// too, if the path still names our file.
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
            // Without `NAME-last`, the next process that opens the store refuses earlier requests.
            let _noted = last.write(|| version(&path), None, false);
        }
    }

    /// Checks that the path still names the open file. If the file was deleted or replaced, later
    /// processes would not know the nonces in it.
    ///
    /// # Errors
    /// [`SqliteFault`] if the file is gone, or if another file is at the path.
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

/// Returns the last claim in `NAME-last`, if `NAME-last` matches the current version of the store
/// file at `path`. Waits a little, because another process may be about to write it.
#[allow(clippy::option_option, reason = "a note without a claim is a note")]
fn read_last_claim(last: &LastClaim, path: &Path) -> Option<Option<Claimed>> {
    for look in 0..NOTE_READS {
        if look > 0 {
            std::thread::sleep(NOTE_READ_PAUSE);
        }
        if let (Some(note), Ok(version)) = (last.read(), version(path))
            && note.version == version
        {
            return Some(note.claimed);
        }
    }
    None
}

/// Returns the identity of the file at `path` and the time of its last change.
#[cfg(unix)]
fn version(path: &Path) -> Result<FileVersion, SqliteFault> {
    use std::os::unix::fs::MetadataExt as _;
    let about = fs::symlink_metadata(path).map_err(|e| SqliteFault::io("the file is gone", &e))?;
    let (device, inode) = device_inode(&about);
    Ok([device.cast_signed(), inode.cast_signed(), about.ctime(), about.ctime_nsec()])
}

#[cfg(not(unix))]
fn version(_path: &Path) -> Result<FileVersion, SqliteFault> {
    Ok([0; 4])
}

/// Creates an empty file with access for its owner only, unless a file exists.
fn create_file(path: &Path) -> Result<(), SqliteFault> {
    let _guard = FILE_CREATION.lock().unwrap_or_else(PoisonError::into_inner);
    let mut options = OpenOptions::new();
    // `create_new` follows no link, not even a dangling one.
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
/// [`SqliteFault`] if the file has content but is not a store, or is a store of a newer version.
fn is_new(connection: &Connection) -> Result<bool, SqliteFault> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    // This first query reads the file, and fails if the file is not an SQLite database.
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

/// Turns on write-ahead logging, which the file records. SQLite does not wait for locks here, so
/// this step is repeated until `budget` has passed.
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

/// Properties of a file that differ after a rename or a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileIdentity {
    file: (u64, u64),
    log: Option<(u64, u64)>,
    index: Option<(u64, u64)>,
}

impl FileIdentity {
    /// # Errors
    /// [`SqliteFault`] if there is no such file, if it is not a regular file, or if every user may
    /// write to it.
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
        // SQLite treats a file of one byte as empty, and would overwrite it. A real database is
        // never shorter than its header of 100 bytes.
        if (1..100).contains(&about.len()) {
            return Err(SqliteFault::new("the file is not a nonce store"));
        }
        // SQLite derives the name of its write-ahead log from that of the file. If the file has two
        // names, there would be two logs, and a process would not see the claims in the other log.
        if has_other_names(&about) {
            return Err(SqliteFault::new("the file has another name too (a hard link)"));
        }
        if is_open_to_all(&about) {
            return Err(SqliteFault::new("everybody may write to the file"));
        }
        // SQLite's other files have these suffixes. If one is removed, nonces in it are lost.
        let known = |suffix: &str| {
            fs::symlink_metadata(sibling_path(path, suffix)).ok().map(|about| device_inode(&about))
        };
        Ok(FileIdentity { file: device_inode(&about), log: known("-wal"), index: known("-shm") })
    }

    fn is_same_file(&self, other: &FileIdentity) -> bool {
        self.file == other.file
    }
}

#[cfg(unix)]
fn device_inode(about: &fs::Metadata) -> (u64, u64) {
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
fn device_inode(_about: &fs::Metadata) -> (u64, u64) {
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
