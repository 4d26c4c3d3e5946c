//! Finds and opens files (from flags, environment variables, default paths or stdin), and turns
//! errors into messages with hints. Only this module knows default paths.

use std::env;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::args::misplaced_secret::check_path;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};
use crate::output::ui::{Ui, path_word};

/// How the user named a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The file was named by a flag or argument.
    Flag,
    /// The file was named by an environment variable.
    Variable,
    /// The file was not named: it has the default path.
    Default,
}

/// The path of a keyfile, trust file or log, which need not exist.
#[derive(Clone, Debug)]
pub(crate) struct NamedPath {
    pub(crate) path: PathBuf,
    pub(crate) named: NamedBy,
}

impl NamedPath {
    /// Returns the path as it is shown in messages.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Returns ` --key PATH` for a hint. Returns an empty text if the path is the default or is in
    /// a variable, because no flag is needed then.
    pub(crate) fn as_flag(&self, flag: &str) -> String {
        match self.named {
            NamedBy::Flag => format!(" {flag} {}", path_word(&self.path)),
            NamedBy::Variable | NamedBy::Default => String::new(),
        }
    }

    /// Adds `hint`, which names the flag for another path, to a failure about the default path.
    pub(crate) fn suggest(&self, failure: Failure, hint: &str) -> Failure {
        match self.named {
            NamedBy::Default => failure.hint(hint),
            NamedBy::Flag | NamedBy::Variable => failure,
        }
    }

    /// Creates the default folder, accessible only by its owner, if the path is the default. `hint`
    /// names the flag that makes the folder unnecessary.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(crate) fn make_default_folder(&self, hint: &str) -> Result<(), Failure> {
        let (NamedBy::Default, Some(folder)) = (self.named, self.path.parent()) else {
            return Ok(());
        };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|e| Failure::write(folder, &e).hint(hint))
    }
}

/// Returns the path of the keyfile: from the flag, or else from `MCPID_KEY`, or else `key.json` in
/// the configuration folder.
///
/// # Errors
/// The variable is set but empty, or there is no configuration folder.
pub(crate) fn key(flag: Option<&Path>) -> Result<NamedPath, Failure> {
    place(flag, "MCPID_KEY", "key.json", "--key")
}

/// Returns the path of a file in the configuration folder.
///
/// # Errors
/// There is no configuration folder.
pub(crate) fn configuration(name: &str) -> Result<PathBuf, Failure> {
    let folder = dirs::config_dir().ok_or_else(|| {
        Failure::new(Exit::Input, "no_home", "there is no home folder to look for files in")
    })?;
    Ok(folder.join("mcpid").join(name))
}

/// Returns the path of the trust file to show or change: from the flag, or else from `MCPID_TRUST`,
/// or else `trust.json` in the configuration folder.
///
/// # Errors
/// As for [`key`].
pub(crate) fn trust(flag: Option<&Path>) -> Result<NamedPath, Failure> {
    place(flag, "MCPID_TRUST", "trust.json", "--trust")
}

/// Returns the trust files and folders to verify with: from the flags, or else as [`trust`] does.
///
/// # Errors
/// As for [`key`].
pub(crate) fn trusts(flags: &[PathBuf]) -> Result<Vec<NamedPath>, Failure> {
    if flags.is_empty() {
        return Ok(vec![trust(None)?]);
    }
    flags.iter().map(|flag| trust(Some(flag))).collect()
}

/// The nonce store of a command that has a default store.
pub(crate) enum NonceStoreName {
    /// The store that a flag or variable names.
    Named(String, NamedBy),
    /// The default file.
    Default(NamedPath),
}

/// Returns the nonce store: from the flag, or else from `MCPID_NONCES`, or else `nonces.db` in the
/// state folder.
///
/// # Errors
/// The variable is set but empty or not UTF-8, or there is no folder.
pub(crate) fn nonces(flag: Option<&str>) -> Result<NonceStoreName, Failure> {
    if let Some(text) = flag {
        return Ok(NonceStoreName::Named(text.to_owned(), NamedBy::Flag));
    }
    if let Some(text) = env::var_os("MCPID_NONCES") {
        let text = text.into_string().unwrap_or_default();
        if text.is_empty() {
            let message = "MCPID_NONCES is set but empty, or not UTF-8";
            return Err(Failure::usage(message).hint("unset MCPID_NONCES"));
        }
        return Ok(NonceStoreName::Named(text, NamedBy::Variable));
    }
    let path = state_folder(NAME_THE_STORE)?.join("nonces.db");
    Ok(NonceStoreName::Default(NamedPath { path, named: NamedBy::Default }))
}

/// Returns the folder for files that a command keeps between its runs: the first one of
/// `STATE_DIRECTORY`, which systemd sets for a service with `StateDirectory=`; or else the folder
/// `mcpid` in the state folder of the user, or in the local data folder on systems that have no
/// state folders. `hint` says how to name the file instead.
///
/// # Errors
/// The variable does not begin with an absolute path, or there is no folder.
pub(crate) fn state_folder(hint: &str) -> Result<PathBuf, Failure> {
    const VARIABLE: &str = "STATE_DIRECTORY";
    if let Some(folders) = env::var_os(VARIABLE) {
        // As in PATH, systemd separates folders by colons.
        let first = env::split_paths(&folders).next().filter(|folder| folder.is_absolute());
        return first.ok_or_else(|| {
            Failure::usage(format!("{VARIABLE} does not begin with an absolute path"))
                .hint(format!("unset {VARIABLE}"))
        });
    }
    let folder = dirs::state_dir().or_else(dirs::data_local_dir).ok_or_else(|| {
        Failure::new(Exit::Input, "no_home", "there is no home folder to look for files in")
            .hint(hint)
    })?;
    Ok(folder.join("mcpid"))
}

/// Returns the folder of the audit log: from the flag, or else `audit` in the state folder.
///
/// # Errors
/// There is no state folder.
pub(crate) fn audit(flag: Option<&Path>) -> Result<NamedPath, Failure> {
    if let Some(path) = flag {
        if path.as_os_str().is_empty() {
            return Err(Failure::usage("--audit is empty"));
        }
        return Ok(NamedPath { path: path.to_owned(), named: NamedBy::Flag });
    }
    let path = state_folder(NAME_THE_LOG)?.join("audit");
    Ok(NamedPath { path, named: NamedBy::Default })
}

/// The hint for a log that cannot be made in the default folder.
pub(crate) const NAME_THE_LOG: &str = "name the folder: --audit DIR";
/// The hint for a store that cannot be made in the default folder.
pub(crate) const NAME_THE_STORE: &str = "name the store: --nonces sqlite:FILE";
/// The hint for a file of tools that cannot be made in the default folder.
pub(crate) const NAME_THE_TOOLS: &str = "name the file: --learned-tools FILE";

/// Returns the path of the file with the tools of the server `upstream`: from the flag, or else a
/// file in the state folder whose name depends on the server.
///
/// # Errors
/// The flag is empty, or there is no state folder.
pub(crate) fn learned_tools(flag: Option<&Path>, upstream: &str) -> Result<NamedPath, Failure> {
    if let Some(path) = flag {
        if path.as_os_str().is_empty() {
            return Err(Failure::usage("--learned-tools is empty"));
        }
        return Ok(NamedPath { path: path.to_owned(), named: NamedBy::Flag });
    }
    let digest = Sha256::digest(upstream);
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let path = state_folder(NAME_THE_TOOLS)?.join(format!("tools-{name}.json"));
    Ok(NamedPath { path, named: NamedBy::Default })
}

fn place(
    flag: Option<&Path>,
    variable: &str,
    file: &str,
    name: &str,
) -> Result<NamedPath, Failure> {
    if let Some(path) = flag {
        if path.as_os_str().is_empty() {
            return Err(Failure::usage(format!("{name} is empty")));
        }
        return Ok(NamedPath { path: path.to_owned(), named: NamedBy::Flag });
    }
    if let Some(path) = env::var_os(variable) {
        if path.is_empty() {
            return Err(Failure::usage(format!("{variable} is set but empty"))
                .hint(format!("unset {variable}")));
        }
        if path.to_string_lossy().starts_with(['"', '\'']) {
            return Err(Failure::usage(format!("the quotes are a part of {variable}: drop them")));
        }
        check_path(variable, Path::new(&path))?;
        return Ok(NamedPath { path: path.into(), named: NamedBy::Variable });
    }
    let folder = dirs::config_dir().ok_or_else(|| {
        Failure::new(Exit::Input, "no_home", "there is no home folder to look for files in")
            .hint(format!("name the file: {name} FILE"))
    })?;
    Ok(NamedPath { path: folder.join("mcpid").join(file), named: NamedBy::Default })
}

/// Adds a hint to look at the file, because it is not of the expected kind.
fn look_there(failure: Failure, path: &Path) -> Failure {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match failure.code {
        "not_found" => failure.hint(format!("ls {}", path_word(folder))),
        "is_folder" => failure.hint(format!("ls {}", path_word(path))),
        "permission" => failure.hint(format!("ls -l {}", path_word(path))),
        _ => failure,
    }
}

/// An opened input.
pub(crate) struct OpenedInput {
    /// The input's name in messages: the path as given, or `stdin`.
    pub(crate) name: String,
    /// A reader of the input's bytes.
    pub(crate) reader: Box<dyn Read + Send>,
}

/// Opens a file, or stdin for `-` or without a file. If stdin is a terminal, prints a note.
///
/// # Errors
/// The file does not exist, is a folder, or cannot be read.
pub(crate) fn open(path: Option<&Path>, ui: &mut Ui) -> Result<OpenedInput, Failure> {
    let path = path.filter(|p| *p != Path::new("-"));
    if path.is_none() {
        note_if_terminal(ui);
    }
    open_quietly(path)
}

/// Prints a note if stdin is a terminal. Without a note, the program would look as if it hangs,
/// because it waits for input.
pub(crate) fn note_if_terminal(ui: &mut Ui) {
    if io::stdin().is_terminal() {
        ui.note("reading from the terminal; end with Ctrl-D");
    }
}

/// Opens a file, or stdin without a file.
///
/// # Errors
/// As for [`open`].
pub(crate) fn open_quietly(path: Option<&Path>) -> Result<OpenedInput, Failure> {
    let Some(path) = path else {
        return Ok(OpenedInput { name: "stdin".to_owned(), reader: Box::new(io::stdin()) });
    };
    let (name, file) = open_file(path)?;
    Ok(OpenedInput { name, reader: Box::new(file) })
}

/// Opens a file. Returns its name in messages too.
///
/// # Errors
/// As for [`open`].
pub(crate) fn open_file(path: &Path) -> Result<(String, File), Failure> {
    let opened = File::open(path).and_then(|file| {
        // On Unix a folder can be opened, and only reading it fails.
        let is_folder = file.metadata()?.is_dir();
        if is_folder { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
    });
    let file = opened.map_err(|e| look_there(Failure::read(path, &e), path))?;
    Ok((path.display().to_string(), file))
}

impl OpenedInput {
    /// Reads the whole input, up to `limit` bytes.
    ///
    /// # Errors
    /// The input cannot be read, or is longer than `limit`.
    pub(crate) fn read(self, limit: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        self.read_into(&mut bytes, limit)?;
        Ok(bytes)
    }

    /// Reads as [`OpenedInput::read`] does, into memory that is wiped when dropped.
    ///
    /// # Errors
    /// As for [`OpenedInput::read`].
    pub(crate) fn read_secret(self, limit: u32) -> Result<Zeroizing<Vec<u8>>, Failure> {
        // The whole capacity is allocated at once, because a growing vector leaves copies of itself
        // in memory. The extra 64 bytes are room that `read_to_end` needs to detect the end.
        let room = usize::try_from(limit).unwrap_or_default().saturating_add(64);
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        self.read_into(&mut bytes, limit.into())?;
        Ok(bytes)
    }

    fn read_into(self, bytes: &mut Vec<u8>, limit: u64) -> Result<(), Failure> {
        let OpenedInput { name, reader, .. } = self;
        let read = reader.take(limit.saturating_add(1)).read_to_end(bytes);
        let read = read.map_err(|e| {
            let (code, why) = reason(&e);
            Failure::new(Exit::Input, code, format!("cannot read {name}: {why}"))
        })?;
        if u64::try_from(read).unwrap_or(u64::MAX) > limit {
            let message = format!("{name} is larger than {limit} bytes");
            return Err(Failure::new(Exit::Input, "too_large", message));
        }
        Ok(())
    }
}

/// Checks that a file can be created at `path`. Call this before asking a person or doing long
/// work.
///
/// # Errors
/// The path exists already (as a dangling link too), or its folder is missing or not writable.
pub(crate) fn check_free(path: &Path) -> Result<(), Failure> {
    if path.file_name().is_none() {
        return Err(Failure::write(path, &io::ErrorKind::IsADirectory.into()));
    }
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => {
            return Err(Failure::write(path, &io::ErrorKind::IsADirectory.into()));
        }
        Ok(_) => {
            let message = format!("output exists: {}", path.display());
            return Err(Failure::new(Exit::Input, "exists", message));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(Failure::write(path, &e)),
    }
    check_folder(path)
}

/// Checks that the folder of `path` exists and is writable.
///
/// # Errors
/// The folder does not exist, or is not writable.
pub(crate) fn check_folder(path: &Path) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match fs::metadata(folder) {
        Ok(about) if !about.is_dir() => {
            let message = format!("{} is not a folder", folder.display());
            Err(Failure::new(Exit::Input, "not_a_folder", message))
        }
        Ok(_) => {
            #[cfg(unix)]
            rustix::fs::accessat(
                rustix::fs::CWD,
                folder,
                rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
                rustix::fs::AtFlags::EACCESS,
            )
            .map_err(|e| Failure::write(folder, &e.into()))?;
            Ok(())
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let message = format!("no such folder: {}", folder.display());
            let made = format!("mkdir -p {}", path_word(folder));
            Err(Failure::new(Exit::Input, "no_folder", message).hint(made))
        }
        Err(e) => Err(Failure::read(folder, &e)),
    }
}
