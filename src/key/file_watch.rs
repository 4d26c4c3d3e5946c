//! Detects changes of files while a server runs, such as trust files and certificates.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::file_io::read_regular;
use super::trust::{MAX_BYTES, has_trust_file_name};

/// How long metadata have to stay the same before they show each further change. A file system
/// counts time in steps: FAT in steps of 2 s, others in steps of up to 10 ms. A second write within
/// the same step can leave all metadata as they are. One second is added for slow calls.
const SETTLING_TIME: Duration = Duration::from_secs(3);

/// The last seen state of files, and of folders with the files in them.
///
/// Most calls look at metadata only. For 3 s after a change was seen, and once after that, the
/// content of the files that are named, and of trust files in folders, is read and compared too, up
/// to 64 MiB of each: a file can be written in place without a visible change of its metadata (Git
/// calls such an index entry "racily clean"). This needs no clock that agrees with that of the file
/// system. Later, on systems that are not Unix, a write of the same length is not seen if the writer
/// sets the file's old modification time again.
///
/// ```
/// use mcpid::key::file_watch::FileWatch;
///
/// let mut watch = FileWatch::new(vec!["trust.json".into()]);
/// assert!(!watch.changed());
/// ```
#[derive(Debug)]
pub struct FileWatch {
    paths: Vec<PathBuf>,
    /// The hash of the metadata.
    metadata: u64,
    /// `None` if each further change will change the metadata.
    unsettled: Option<Unsettled>,
}

/// The state of files whose content may change while their metadata stay as they are.
#[derive(Debug)]
struct Unsettled {
    /// When the metadata were seen for the first time.
    since: Instant,
    content: [u8; 32],
}

impl FileWatch {
    /// Begins to watch `paths`. A path that does not exist is watched too.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let metadata = metadata_hash(&paths);
        let unsettled = Some(Unsettled::now(&paths, Instant::now()));
        FileWatch { paths, metadata, unsettled }
    }

    /// Returns true if the files differ from those at the last call.
    pub fn changed(&mut self) -> bool {
        let metadata = metadata_hash(&self.paths);
        // The time is taken between metadata and content: what is written after the content was
        // read then has other metadata, if these have been the same for the settling time.
        self.differs(metadata, Instant::now())
    }

    fn differs(&mut self, metadata: u64, now: Instant) -> bool {
        if self.metadata != metadata {
            self.metadata = metadata;
            self.unsettled = Some(Unsettled::now(&self.paths, now));
            return true;
        }
        let Some(last) = &mut self.unsettled else { return false };
        let content = content_hash(&self.paths);
        let is_changed = last.content != content;
        last.content = content;
        if now.saturating_duration_since(last.since) >= SETTLING_TIME {
            self.unsettled = None;
        }
        is_changed
    }
}

impl Unsettled {
    fn now(paths: &[PathBuf], since: Instant) -> Self {
        Unsettled { since, content: content_hash(paths) }
    }
}

/// Returns the paths, each followed by those paths in it, if it is a folder, that `wanted` accepts.
fn all_paths(
    paths: &[PathBuf],
    wanted: impl Fn(&Path) -> bool + Copy,
) -> impl Iterator<Item = PathBuf> {
    paths.iter().flat_map(move |path| {
        let folder = fs::read_dir(path).into_iter().flatten().flatten();
        let inside = folder.map(|entry| entry.path());
        let mut inside: Vec<PathBuf> = inside.filter(|path| wanted(path)).collect();
        inside.sort();
        std::iter::once(path.clone()).chain(inside)
    })
}

fn metadata_hash(paths: &[PathBuf]) -> u64 {
    let mut hash = DefaultHasher::new();
    for path in all_paths(paths, |_| true) {
        mark(&path, &mut hash);
    }
    hash.finish()
}

fn mark(path: &Path, hash: &mut DefaultHasher) {
    path.hash(hash);
    let Ok(about) = fs::metadata(path) else { return };
    (about.len(), about.modified().ok()).hash(hash);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        // The inode number reveals that a file was replaced by another one with the same times.
        (about.ino(), about.ctime(), about.ctime_nsec(), about.mode()).hash(hash);
    }
}

/// Hashes the content of the named files, and of the trust files in named folders. A file that
/// cannot be read counts as empty. Other files in these folders are not opened: closing a file
/// gives up all locks of POSIX that this process has on it, such as those of an SQLite database.
fn content_hash(paths: &[PathBuf]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for path in all_paths(paths, has_trust_file_name) {
        let content = read_regular(&path, MAX_BYTES).map(|(bytes, _)| Sha256::digest(&bytes));
        hash.update(content.unwrap_or_default());
    }
    hash.finalize().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A watch over the file `trust.json` of a folder, which is named directly and with its folder.
    struct WatchedFile {
        folder: tempfile::TempDir,
        watch: FileWatch,
        begun: Instant,
    }

    impl WatchedFile {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("trust.json"), text).unwrap();
            let watch = FileWatch::new(vec![folder.path().to_owned()]);
            let begun = watch.unsettled.as_ref().unwrap().since;
            WatchedFile { folder, watch, begun }
        }

        fn write(&self, text: &str) {
            fs::write(self.folder.path().join("trust.json"), text).unwrap();
        }

        /// Returns whether a change is seen `after` the start, by metadata that are the same as
        /// before: the last write came within the same step of the file system's clock.
        fn changed_within_a_step(&mut self, after: Duration) -> bool {
            self.watch.differs(self.watch.metadata, self.begun + after)
        }

        fn is_settled(&self) -> bool {
            self.watch.unsettled.is_none()
        }
    }

    #[test]
    fn a_write_in_place_within_a_step_of_the_clock_is_seen() {
        let mut file = WatchedFile::new("alice");
        assert!(!file.changed_within_a_step(SECOND));
        file.write("mario");
        assert!(file.changed_within_a_step(SECOND));
        assert!(!file.changed_within_a_step(2 * SECOND));
        // A long time without a look settles nothing, because the content was not read then.
        file.write("alice");
        assert!(file.changed_within_a_step(3600 * SECOND));
        assert!(file.is_settled());
    }

    #[test]
    fn the_content_is_read_until_the_metadata_are_settled() {
        let mut file = WatchedFile::new("alice");
        let almost = SETTLING_TIME.saturating_sub(Duration::from_nanos(1));
        assert!(!file.changed_within_a_step(almost));
        assert!(!file.is_settled());
        assert!(!file.changed_within_a_step(SETTLING_TIME));
        assert!(file.is_settled());
        // From now on, each write has other metadata, so the content is not read.
        file.write("mario");
        assert!(!file.changed_within_a_step(2 * SETTLING_TIME));
        // Other metadata begin the settling time anew, even if the content is the same.
        let other = file.watch.metadata.wrapping_add(1);
        assert!(file.watch.differs(other, file.begun + 10 * SECOND));
        assert!(!file.changed_within_a_step(10 * SECOND + almost));
        file.write("alice");
        assert!(file.changed_within_a_step(10 * SECOND + SETTLING_TIME));
        assert!(file.is_settled());
    }

    #[test]
    fn changes_of_metadata_are_seen_at_once() {
        let mut file = WatchedFile::new("alice");
        let path = file.folder.path().join("trust.json");
        assert!(!file.watch.changed());
        let change: [&dyn Fn(); 5] = [
            &|| fs::write(&path, "alice and bob").unwrap(),
            &|| {
                fs::File::options()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_modified(std::time::UNIX_EPOCH)
                    .unwrap()
            },
            &|| fs::write(path.with_file_name("other.json"), "").unwrap(),
            &|| fs::rename(path.with_file_name("other.json"), &path).unwrap(),
            &|| fs::remove_file(&path).unwrap(),
        ];
        for (number, change) in change.iter().enumerate() {
            // Each change is seen while the content is compared, and after that.
            file.watch.unsettled = file.watch.unsettled.take().filter(|_| number % 2 == 0);
            change();
            assert!(file.watch.changed(), "change {number}");
            assert!(!file.watch.changed(), "change {number} is seen twice");
        }
    }

    /// Reading a named pipe would block until another program writes to it.
    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_read() {
        let file = WatchedFile::new("alice");
        let pipe = file.folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let absent = file.folder.path().join("absent");
        let mut watch = FileWatch::new(vec![pipe, file.folder.path().to_owned(), absent.clone()]);
        assert!(!watch.changed());
        fs::write(absent, "bob").unwrap();
        assert!(watch.changed());
    }

    #[test]
    fn only_trust_files_of_a_folder_are_read() {
        let mut file = WatchedFile::new("alice");
        for other in ["nonces.db", "nonces.db-shm", ".trust.json", "trust.json.old"] {
            fs::write(file.folder.path().join(other), "alice").unwrap();
        }
        file.watch = FileWatch::new(file.watch.paths.clone());
        for other in ["nonces.db", "nonces.db-shm", ".trust.json", "trust.json.old"] {
            fs::write(file.folder.path().join(other), "mario").unwrap();
            assert!(!file.changed_within_a_step(SECOND), "{other}");
        }
        file.write("mario");
        assert!(file.changed_within_a_step(SECOND));
    }
}
