//! A file that stores the tools of a server, so that a restart does not forget which of them the
//! server described as harmless, and when it last did so.
//!
//! ```text
//! {"mcpid":"tools/2","server":"http://127.0.0.1:8000/mcp","sha256":"…"}
//! {"destructive":["drop"],"harmless":[["get",1790000000],["list",1790000000]]}
//! ```
//!
//! The hash covers the server's name, a line feed, and the second line with its line feed. If the
//! hash does not match, the file is damaged, and none of its tools is used: they count as
//! destructive.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::learned_tools::LearnedTools;
use crate::clock::Timestamp;
use crate::key::file_io::{self, FileError};
use crate::mcp::tools::{MAX_NAME, MAX_TOOLS};

const FORMAT: &str = "tools/2";

/// The maximum size of the file, in bytes: in JSON, a name may take six times its length.
const MAX_BYTES: u64 = 16 << 20;

/// How long [`ToolsFile::save`] waits for another process that saves in the same folder.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// The file in which the tools of one server are stored.
///
/// ```
/// use mcpid::clock::{Clock as _, SystemClock};
/// use mcpid::tower::{LearningModes, Modes, ToolsFile};
///
/// # let folder = tempfile::tempdir()?;
/// let modes = LearningModes::new(Modes::permissive()).with_destructive();
/// let file = ToolsFile::new(folder.path().join("tools.json"), "https://mcp.example.com/mcp");
/// modes.add_tools(&file.load(SystemClock.now())?);
/// // Later, and whenever the known tools have changed:
/// file.save(&modes.read_tools(Clone::clone), SystemClock.now())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ToolsFile {
    path: PathBuf,
    server: String,
}

/// Why the file with the tools cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolsFileError {
    /// The file cannot be read or written, or is not a regular file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Users other than the owner can write to the file: the text names its mode.
    #[error("its mode {mode:04o} lets others than its owner write to it")]
    TooOpen {
        /// The permission bits.
        mode: u32,
    },
    /// The file belongs to a user who is neither root nor the user of this process.
    #[error("it belongs to the user with the id {owner}, not to the user of this program")]
    OtherOwner {
        /// The user id.
        owner: u32,
    },
    /// The content is not what [`ToolsFile::save`] wrote.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// The file belongs to another server.
    #[error("it holds the tools of {0}")]
    OtherServer(String),
    /// Another process has held the folder's lock for too long.
    #[error("another process is writing there")]
    Busy,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FileHead {
    mcpid: String,
    server: String,
    sha256: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredTools {
    destructive: Vec<String>,
    /// For each harmless tool, its name and the last time at which it was listed so, in seconds
    /// since 1970.
    harmless: Vec<(String, i64)>,
}

impl ToolsFile {
    /// Names the file at `path` for the tools of `server`, for example its URL. The folder must
    /// exist.
    pub fn new(path: impl Into<PathBuf>, server: impl Into<String>) -> Self {
        ToolsFile { path: path.into(), server: server.into() }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the tools. A file that does not exist holds none. Ratings as harmless that have
    /// expired at the time `now` ([`LearnedTools::is_current`]) are left out.
    ///
    /// # Errors
    /// [`ToolsFileError`]. No tool of the file may be used then.
    pub fn load(&self, now: Timestamp) -> Result<LearnedTools, ToolsFileError> {
        let metadata = match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(LearnedTools::new());
            }
            other => other.map_err(FileError::from)?,
        };
        file_io::regular(&metadata)?;
        let (bytes, metadata) = file_io::read_regular(&self.path, MAX_BYTES)?;
        if let Some(mode) = file_io::mode_of(&metadata)
            && mode & 0o022 != 0
        {
            return Err(ToolsFileError::TooOpen { mode });
        }
        // The owner is checked too, because in a folder such as /tmp another user could create the
        // file.
        #[cfg(unix)]
        {
            let owner = std::os::unix::fs::MetadataExt::uid(&metadata);
            if owner != 0 && owner != rustix::process::geteuid().as_raw() {
                return Err(ToolsFileError::OtherOwner { owner });
            }
        }
        self.parse(&bytes, now)
    }

    fn parse(&self, bytes: &[u8], now: Timestamp) -> Result<LearnedTools, ToolsFileError> {
        let damaged = ToolsFileError::Damaged;
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not UTF-8"))?;
        let (head, body) = text.split_once('\n').ok_or(damaged("it is cut off"))?;
        let head: FileHead =
            serde_json::from_str(head).map_err(|_| damaged("its first line cannot be read"))?;
        if head.mcpid != FORMAT {
            return Err(damaged("it has another format"));
        }
        if head.sha256 != hash(&head.server, body) {
            return Err(damaged("its hash does not match its content"));
        }
        if head.server != self.server {
            return Err(ToolsFileError::OtherServer(head.server));
        }
        let stored: StoredTools =
            serde_json::from_str(body).map_err(|_| damaged("its tools cannot be read"))?;
        let (mut tools, mut names) = (LearnedTools::new(), HashSet::new());
        let destructive = stored.destructive.iter().map(|name| (name, None));
        let harmless = stored.harmless.iter().map(|(name, at)| (name, Some(*at)));
        for (name, at) in destructive.chain(harmless) {
            if !names.insert(name) {
                return Err(damaged("a tool is listed twice"));
            }
            if name.len() > MAX_NAME || names.len() > MAX_TOOLS {
                return Err(damaged("it holds too much"));
            }
            let at = at.map(Timestamp::from_unix);
            if at.is_none_or(|at| LearnedTools::is_current(at, now)) {
                tools.note(name, at.is_none(), at);
            }
        }
        Ok(tools)
    }

    /// Adds `tools` to the file, which is replaced as a whole, with mode 0600. A tool that is
    /// destructive in the file stays destructive, even if another process has written it meanwhile.
    /// A rating as harmless without a time gets the time `now`. A damaged file is replaced. This
    /// blocks while the disk writes.
    ///
    /// # Errors
    /// [`ToolsFileError`]. The old file is then unchanged.
    pub fn save(&self, tools: &LearnedTools, now: Timestamp) -> Result<(), ToolsFileError> {
        let _lock = self.lock()?;
        let mut all = match self.load(now) {
            Ok(stored) => stored,
            Err(ToolsFileError::Damaged(_)) => LearnedTools::new(),
            Err(error) => return Err(error),
        };
        all.merge(tools);
        let mut stored = StoredTools { destructive: Vec::new(), harmless: Vec::new() };
        for (name, destructive, at) in all.iter() {
            match destructive {
                true => stored.destructive.push(name.to_owned()),
                false => stored.harmless.push((name.to_owned(), at.unwrap_or(now).unix())),
            }
        }
        stored.destructive.sort_unstable();
        stored.harmless.sort_unstable();
        // This cannot fail: the value is lists of strings and numbers.
        let body = serde_json::to_string(&stored).unwrap_or_default() + "\n";
        let sha256 = hash(&self.server, &body);
        let head = FileHead { mcpid: FORMAT.to_owned(), server: self.server.clone(), sha256 };
        let text = serde_json::to_string(&head).unwrap_or_default() + "\n" + &body;
        Ok(file_io::replace(&self.path, text.as_bytes(), 0o600, None)?)
    }

    /// Locks the folder until the returned file is dropped.
    fn lock(&self) -> Result<File, ToolsFileError> {
        let folder = File::open(file_io::folder_of(&self.path)).map_err(FileError::from)?;
        let begun = Instant::now();
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(folder),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(folder);
                }
                Err(TryLockError::Error(error)) => return Err(FileError::from(error).into()),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => return Err(ToolsFileError::Busy),
            }
        }
    }
}

/// Returns the hash that is stored for `body`, as 64 hexadecimal digits.
fn hash(server: &str, body: &str) -> String {
    let digest = Sha256::new().chain_update(server).chain_update("\n").chain_update(body);
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
