//! Detects changes of files while the gateway runs.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// The last known metadata of files and of folders, including the files in them.
pub(crate) struct FileWatch {
    paths: Vec<PathBuf>,
    seen: u64,
}

impl FileWatch {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let seen = metadata_hash(&paths);
        FileWatch { paths, seen }
    }

    /// Returns true if the metadata differ from those at the last call.
    pub(crate) fn changed(&mut self) -> bool {
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
        // The inode number shows that a file was replaced by one with the same times.
        (about.ino(), about.ctime(), about.ctime_nsec(), about.mode()).hash(hash);
    }
}
