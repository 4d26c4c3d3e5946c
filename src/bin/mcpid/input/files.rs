//! Where files rest, and how they are read: defaults, variables, stdin, and the words for what can
//! go wrong. No other place knows a default path.

use std::env;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::args::misplaced::check_path;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};
use crate::output::ui::{Ui, path_word};

/// How the caller named a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// By a flag or argument.
    Flag,
    /// By an environment variable.
    Variable,
    /// Not at all.
    Default,
}

/// A keyfile's or trust file's path, which may or may not be there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) named: Named,
}

impl Place {
    /// The path as people see it.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// ` --key PATH` for a hint that can be pasted, or nothing where the default or a variable
    /// leads to the same file by itself.
    pub(crate) fn as_flag(&self, flag: &str) -> String {
        match self.named {
            Named::Flag => format!(" {flag} {}", path_word(&self.path)),
            Named::Variable | Named::Default => String::new(),
        }
    }

    /// Makes the default folder, for this user only, where nobody named another one.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn make_default_folder(&self) -> Result<(), Failure> {
        let (Named::Default, Some(folder)) = (self.named, self.path.parent()) else {
            return Ok(());
        };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|e| Failure::write(folder, &e))
    }
}

/// The keyfile: the flag's, else `MCPID_KEY`, else `key.json` in the configuration folder.
///
/// # Errors
/// The variable is set but empty, or there is no configuration folder.
pub(crate) fn key(flag: Option<&Path>) -> Result<Place, Failure> {
    place(flag, "MCPID_KEY", "key.json", "--key")
}

/// A file of this name in the configuration folder.
///
/// # Errors
/// There is no configuration folder.
pub(crate) fn configuration(name: &str) -> Result<PathBuf, Failure> {
    let folder = dirs::config_dir().ok_or_else(|| {
        Failure::new(Exit::Input, "no_home", "there is no home folder to look for files in")
    })?;
    Ok(folder.join("mcpid").join(name))
}

/// The one trust file that is shown or changed, likewise, by `MCPID_TRUST` or `trust.json`.
///
/// # Errors
/// As [`key`].
pub(crate) fn trust(flag: Option<&Path>) -> Result<Place, Failure> {
    place(flag, "MCPID_TRUST", "trust.json", "--trust")
}

/// The trust files and folders that are judged by: the flags', else as [`trust`].
///
/// # Errors
/// As [`key`].
pub(crate) fn trusts(flags: &[PathBuf]) -> Result<Vec<Place>, Failure> {
    if flags.is_empty() {
        return Ok(vec![trust(None)?]);
    }
    flags.iter().map(|flag| trust(Some(flag))).collect()
}

/// Where nonces are kept, for the commands that look after a store.
pub(crate) enum Nonces {
    /// In the store that somebody named.
    Named(String, Named),
    /// In the file that nobody needs to name.
    Default(Place),
}

/// The nonce store: the flag's, else `MCPID_NONCES`, else `nonces.db` in the state folder, or in
/// the local data folder where the system has no such thing.
///
/// # Errors
/// The variable is set but empty or no text, or there is no folder.
pub(crate) fn nonces(flag: Option<&str>) -> Result<Nonces, Failure> {
    if let Some(text) = flag {
        return Ok(Nonces::Named(text.to_owned(), Named::Flag));
    }
    if let Some(text) = env::var_os("MCPID_NONCES") {
        let text = text.into_string().unwrap_or_default();
        if text.is_empty() {
            let message = "MCPID_NONCES is set but empty, or not UTF-8";
            return Err(Failure::usage(message).hint("unset MCPID_NONCES"));
        }
        return Ok(Nonces::Named(text, Named::Variable));
    }
    let folder = dirs::state_dir().or_else(dirs::data_local_dir).ok_or_else(|| {
        Failure::new(Exit::Input, "no_home", "there is no home folder to look for files in")
            .hint("name the store: --nonces sqlite:FILE")
    })?;
    let path = folder.join("mcpid").join("nonces.db");
    Ok(Nonces::Default(Place { path, named: Named::Default }))
}

/// The folder of the audit log: the flag's, else `audit` in the state folder.
///
/// # Errors
/// There is no folder to look in.
pub(crate) fn audit(flag: Option<&Path>) -> Result<Place, Failure> {
    if let Some(path) = flag {
        if path.as_os_str().is_empty() {
            return Err(Failure::usage("--audit is empty"));
        }
        return Ok(Place { path: path.to_owned(), named: Named::Flag });
    }
    let folder = dirs::state_dir().or_else(dirs::data_local_dir).ok_or_else(|| {
        Failure::new(Exit::Input, "no_home", "there is no home folder to look for files in")
            .hint("name the folder: --audit DIR")
    })?;
    Ok(Place { path: folder.join("mcpid").join("audit"), named: Named::Default })
}

fn place(flag: Option<&Path>, variable: &str, file: &str, name: &str) -> Result<Place, Failure> {
    if let Some(path) = flag {
        if path.as_os_str().is_empty() {
            return Err(Failure::usage(format!("{name} is empty")));
        }
        return Ok(Place { path: path.to_owned(), named: Named::Flag });
    }
    if let Some(path) = env::var_os(variable) {
        if path.is_empty() {
            return Err(Failure::usage(format!("{variable} is set but empty"))
                .hint(format!("unset {variable}")));
        }
        check_path(variable, Path::new(&path))?;
        return Ok(Place { path: path.into(), named: Named::Variable });
    }
    let folder = dirs::config_dir().ok_or_else(|| {
        Failure::new(Exit::Input, "no_home", "there is no home folder to look for files in")
            .hint(format!("name the file: {name} FILE"))
    })?;
    Ok(Place { path: folder.join("mcpid").join(file), named: Named::Default })
}

/// Shows where to look for a file that was not what it should be.
fn look_there(failure: Failure, path: &Path) -> Failure {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match failure.code {
        "not_found" => failure.hint(format!("ls {}", path_word(folder))),
        "is_folder" => failure.hint(format!("ls {}", path_word(path))),
        "permission" => failure.hint(format!("ls -l {}", path_word(path))),
        _ => failure,
    }
}

/// Something to read, opened.
pub(crate) struct Input {
    /// What people call it: the path as given, or `stdin`.
    pub(crate) name: String,
    /// Its bytes.
    pub(crate) reader: Box<dyn Read + Send>,
}

/// Opens a file, or stdin for `-` and for nothing, which is told to whoever sits at a terminal.
///
/// # Errors
/// No such file, a folder, no permission.
pub(crate) fn open(path: Option<&Path>, ui: &mut Ui) -> Result<Input, Failure> {
    let path = path.filter(|p| *p != Path::new("-"));
    if path.is_none() {
        mention_terminal(ui);
    }
    open_quietly(path)
}

/// A program that waits for a terminal without a word looks like one that hangs.
pub(crate) fn mention_terminal(ui: &mut Ui) {
    if io::stdin().is_terminal() {
        ui.note("reading from the terminal; end with Ctrl-D");
    }
}

/// Opens a file, or stdin where none is named.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_quietly(path: Option<&Path>) -> Result<Input, Failure> {
    let Some(path) = path else {
        return Ok(Input { name: "stdin".to_owned(), reader: Box::new(io::stdin()) });
    };
    let name = path.display().to_string();
    let opened = File::open(path).and_then(|file| {
        // Opening a folder works on Unix, and only reading it fails.
        let is_folder = file.metadata()?.is_dir();
        if is_folder { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
    });
    let file = opened.map_err(|e| look_there(Failure::read(path, &e), path))?;
    Ok(Input { name, reader: Box::new(file) })
}

impl Input {
    /// Reads all of it, or refuses after `limit` bytes.
    ///
    /// # Errors
    /// It cannot be read, or is larger.
    pub(crate) fn read(self, limit: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        self.read_into(&mut bytes, limit)?;
        Ok(bytes)
    }

    /// As [`Input::read`], into memory that is wiped.
    ///
    /// # Errors
    /// As [`Input::read`].
    pub(crate) fn read_secret(self, limit: u32) -> Result<Zeroizing<Vec<u8>>, Failure> {
        // All of the room at once: a vector that grows leaves copies of itself behind. The last
        // bytes are for `read_to_end`, which wants to see the end before it stops.
        let room = usize::try_from(limit).unwrap_or_default().saturating_add(64);
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        self.read_into(&mut bytes, limit.into())?;
        Ok(bytes)
    }

    fn read_into(self, bytes: &mut Vec<u8>, limit: u64) -> Result<(), Failure> {
        let Input { name, reader, .. } = self;
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

/// Checks that a file can be made at `path`, before anything is asked or computed.
///
/// # Errors
/// Something is there (even a dangling link), the folder is missing or cannot be written.
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

/// Checks that the folder of `path` is there and can be written.
///
/// # Errors
/// It is not.
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
