//! Keys whose private half another program uses to sign: `exec:PROGRAM [ARG…]`.
//!
//! The program is started for each signature. It gets one line of JSON on stdin, with the key's id
//! and the signature base in base64 (RFC 4648 section 4, with padding):
//!
//! ```text
//! {"version":1,"key":"<id>","payload":"<base64>"}
//! ```
//!
//! It prints `{"signature":"<base64>"}`, and exits with 0. The value is the 64 bytes of an Ed25519
//! signature (RFC 8032), or `r ‖ s` of ECDSA with SHA-256 for a key of P-256. No shell is involved,
//! and the program's stderr is not shown, because the shell and stderr could reveal a secret. The
//! public key is given beside the command, and each signature is verified with it before it is
//! used.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
#[cfg(unix)]
use std::time::Duration;

#[cfg(unix)]
use base64::Engine as _;
#[cfg(unix)]
use base64::engine::general_purpose::STANDARD;
#[cfg(unix)]
use zeroize::Zeroizing;

#[cfg(unix)]
use super::{PublicKey, Sign, SignError};

#[cfg(unix)]
mod process;

#[cfg(unix)]
pub use process::stop_all;

/// Environment variables that may hold a secret of mcpid. Programs that it starts do not inherit
/// them.
pub const SECRET_VARIABLES: [&str; 3] =
    ["MCPID_PASSPHRASE", "MCPID_NONCES", "MCPID_NONCES_PASSWORD"];

/// Maximum time for one signature.
#[cfg(unix)]
const TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum length of what the program may print, in bytes. The JSON with a signature takes about
/// 110 bytes.
#[cfg(unix)]
const MAX_OUTPUT: usize = 16 * 1024;

/// A program that signs, and its arguments.
///
/// ```
/// use mcpid::key::exec::ExecCommand;
///
/// let command = ExecCommand::split("sign-by-kms  alias/agent")?;
/// assert_eq!(command.program(), "sign-by-kms");
/// assert_eq!(command.arguments(), ["alias/agent"]);
/// // An argument with a blank in it needs a list.
/// let command = ExecCommand::new("/opt/key tools/sign", ["my key"]);
/// assert_eq!(command.arguments(), ["my key"]);
/// # Ok::<(), mcpid::key::exec::ExecCommandError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ExecCommand {
    program: OsString,
    arguments: Vec<OsString>,
}

/// The reason why a text after `exec:` names no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecCommandError {
    /// The text has no word, or the first item of a JSON list is empty.
    #[error("exec: names no program; it is exec:PROGRAM [ARG…]")]
    Empty,
    /// A word begins with a quotation mark. Only a shell would interpret it.
    #[error("exec: is split at blanks only, and knows no quotation marks")]
    Quoted,
    /// The text begins with `[` like a JSON list, but is not a list of strings.
    #[error(r#"exec: with [ is a list of texts in JSON: exec:["PROGRAM","ARG"]"#)]
    NotAList,
    /// An item of a JSON list contains a NUL character, which cannot be in the argument of a
    /// program.
    #[error("exec: has a NUL character, which no argument of a program can have")]
    Nul,
}

impl ExecCommand {
    /// Returns the command of a program and its arguments, which may contain any character. A
    /// program without a slash is searched for in `PATH`.
    pub fn new<A: Into<OsString>>(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        ExecCommand { program: program.into(), arguments }
    }

    /// Reads the text after `exec:`. It is either split at blanks, as by [`ExecCommand::split`], or
    /// is a JSON list of strings, which may contain blanks.
    ///
    /// ```
    /// use mcpid::key::exec::ExecCommand;
    ///
    /// let command = ExecCommand::parse(r#"["/opt/key tools/sign", "my key"]"#)?;
    /// assert_eq!(command.program(), "/opt/key tools/sign");
    /// assert_eq!(command.arguments(), ["my key"]);
    /// assert_eq!(ExecCommand::parse(&command.to_list().unwrap())?, command);
    /// # Ok::<(), mcpid::key::exec::ExecCommandError>(())
    /// ```
    ///
    /// # Errors
    /// [`ExecCommandError`].
    pub fn parse(text: &str) -> Result<Self, ExecCommandError> {
        if !text.trim_start_matches([' ', '\t']).starts_with('[') {
            return ExecCommand::split(text);
        }
        // The error of the JSON parser is dropped, because it may quote an argument.
        let words: Vec<String> =
            serde_json::from_str(text).map_err(|_| ExecCommandError::NotAList)?;
        if words.iter().any(|word| word.contains('\0')) {
            return Err(ExecCommandError::Nul);
        }
        let mut words = words.into_iter();
        match words.next() {
            Some(program) if !program.is_empty() => Ok(ExecCommand::new(program, words)),
            _ => Err(ExecCommandError::Empty),
        }
    }

    /// Returns the program and its arguments as a JSON list, which [`ExecCommand::parse`] reads.
    /// Returns `None` if one of them is not UTF-8.
    pub fn to_list(&self) -> Option<String> {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let words: Option<Vec<&str>> = words.map(|word| word.to_str()).collect();
        serde_json::to_string(&words?).ok()
    }

    /// Splits a text at blanks (spaces and tabs). No other character is special, such as quotation
    /// marks, backslashes or `$`.
    ///
    /// # Errors
    /// [`ExecCommandError`].
    pub fn split(text: &str) -> Result<Self, ExecCommandError> {
        let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
        let program = words.next().ok_or(ExecCommandError::Empty)?;
        let arguments: Vec<&str> = words.collect();
        if [program].iter().chain(&arguments).any(|word| word.starts_with(['\'', '"'])) {
            return Err(ExecCommandError::Quoted);
        }
        Ok(ExecCommand::new(program, arguments))
    }

    /// Returns the program.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// Returns the arguments. They may hold a secret by mistake, so no message shows them.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Runs the program once with `input` on its stdin, and returns what it printed. It has
    /// `within` from its start to its exit. Its stderr is discarded, and it does not inherit
    /// [`SECRET_VARIABLES`].
    ///
    /// # Errors
    /// [`ExecError`], except those for a malformed answer and a wrong signature.
    #[cfg(unix)]
    pub fn run(&self, input: &[u8], within: Duration) -> Result<Zeroizing<Vec<u8>>, ExecError> {
        process::run(self, input, within)
    }

    /// Returns the file name of the program, at most 64 characters of it.
    pub fn name(&self) -> String {
        let name = Path::new(&self.program).file_name().unwrap_or(&self.program);
        name.to_string_lossy().chars().take(64).collect()
    }
}

impl fmt::Debug for ExecCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExecCommand({:?}, {} arguments)", self.program, self.arguments.len())
    }
}

/// The reason why a program did not sign. No message quotes what the program printed.
#[cfg(unix)]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The program cannot be started.
    #[error("the program {program} cannot be started")]
    Start {
        /// The name of the program.
        program: String,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The connection to the program broke.
    #[error("the program {program} cannot be asked")]
    Broken {
        /// The name of the program.
        program: String,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The program did not exit in time, and was ended.
    #[error("the program {program} did not sign within {} s", .within.as_secs_f32())]
    TimedOut {
        /// The name of the program.
        program: String,
        /// The time that the program had.
        within: Duration,
    },
    /// The program exited with another code than 0.
    #[error("the program {program} did not sign: exit code {code}")]
    Failed {
        /// The name of the program.
        program: String,
        /// The exit code.
        code: i32,
    },
    /// A signal ended the program.
    #[error("the program {program} did not sign: signal {signal} ended it")]
    Killed {
        /// The name of the program.
        program: String,
        /// The number of the signal.
        signal: i32,
    },
    /// The program printed more than a signature can take, and was ended.
    #[error("the program {program} prints more than {MAX_OUTPUT} bytes, which is no signature")]
    TooMuch {
        /// The name of the program.
        program: String,
    },
    /// The output of the program does not have the form of an answer.
    #[error("the program {program} printed {what}")]
    Malformed {
        /// The name of the program.
        program: String,
        /// A description of what the program printed.
        what: String,
    },
    /// The signature is not valid under the public key.
    #[error(
        "the program {program} returned a signature that does not hold for these bytes and this key"
    )]
    WrongSignature {
        /// The name of the program.
        program: String,
    },
}

/// A key whose private half an external program uses. Signing starts the program and blocks until
/// it has exited, up to 30 s; asynchronous programs must sign on a thread that may block.
#[cfg(unix)]
#[derive(Debug)]
pub struct ExecKey {
    command: ExecCommand,
    public: PublicKey,
    name: String,
    timeout: Duration,
}

#[cfg(unix)]
impl ExecKey {
    /// Returns the key whose public half is `public`, and whose private half the program uses.
    /// Nothing is started yet.
    pub fn new(command: ExecCommand, public: PublicKey) -> Self {
        let name = command.name();
        ExecKey { command, public, name, timeout: TIMEOUT }
    }

    /// Sets the maximum time for one signature, in place of 30 s. When it is over, the program and
    /// all processes of its process group are killed.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the file name of the program.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self, message: &[u8]) -> Result<[u8; 64], ExecError> {
        let id = self.public.id();
        let payload = STANDARD.encode(message);
        let asked = format!("{{\"version\":1,\"key\":\"{id}\",\"payload\":\"{payload}\"}}\n");
        let output = self.command.run(asked.as_bytes(), self.timeout)?;
        let signature = parse(&output)
            .map_err(|what| ExecError::Malformed { program: self.command.name(), what })?;
        self.public
            .verify_strict(message, &signature)
            .map_err(|_| ExecError::WrongSignature { program: self.command.name() })?;
        Ok(signature)
    }
}

#[cfg(unix)]
impl Sign for ExecKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.signature(message).map_err(|error| SignError(error.into()))
    }
}

/// The JSON object that the program prints.
#[cfg(unix)]
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ExecAnswer {
    signature: String,
}

/// Returns the signature in the output of a program, or a description of what the output is
/// instead.
#[cfg(unix)]
fn parse(output: &[u8]) -> Result<[u8; 64], String> {
    if output.iter().all(u8::is_ascii_whitespace) {
        return Err("nothing".to_owned());
    }
    // The error of the JSON parser is dropped, because it may quote the output.
    let answer: ExecAnswer = serde_json::from_slice(output)
        .map_err(|_| r#"something else than {"signature":"BASE64"}"#.to_owned())?;
    let bytes = STANDARD
        .decode(&answer.signature)
        .map_err(|_| "a signature that is not base64 with padding".to_owned())?;
    bytes.as_slice().try_into().map_err(|_| {
        let der = if bytes.first() == Some(&0x30) { " (r and s, not DER)" } else { "" };
        format!("a signature of {} bytes; it has 64{der}", bytes.len())
    })
}
