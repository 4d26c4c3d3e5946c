//! Detects changes of files while a server runs, such as trust files and certificates.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// The last seen metadata of files, and of folders with the files in them. The content of files is
/// not read.
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
    seen: u64,
}

impl FileWatch {
    /// Begins to watch `paths`. A path that does not exist is watched too.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let seen = metadata_hash(&paths);
        FileWatch { paths, seen }
    }

    /// Returns true if the metadata differ from those at the last call.
    pub fn changed(&mut self) -> bool {
        let now = metadata_hash(&self.paths);
        std::mem::replace(&mut self.seen, now) != now
    }
}

fn metadata_hash(paths: &[PathBuf]) -> u64 {
    let mut hash = DefaultHasher::new();
    for path in paths {
        mark(path, &mut hash);
        let Ok(folder) = fs::read_dir(path) else { continue };
        let mut inside: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
        inside.sort();
        for path in inside {
            mark(&path, &mut hash);
        }
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
