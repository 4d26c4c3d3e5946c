//! The exit codes of the program.

/// An exit code. The numbers are public and never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    #[default]
    /// The command succeeded. For `verify`: every request was accepted.
    Ok = 0,
    /// A request, log or checkpoint was judged and rejected.
    Rejected = 1,
    /// Flags or arguments are wrong.
    Usage = 2,
    /// An input cannot be read or is not an HTTP/1.1 request; an output exists or cannot be
    /// written.
    Input = 3,
    /// A keyfile or trust file cannot be used: the passphrase is wrong or missing, or the file is
    /// damaged or readable by other users.
    Key = 4,
    /// No verdict was possible: a nonce store, upstream or listener cannot be used.
    Unavailable = 5,
    /// A bug in this program. A panic exits with the same number.
    Bug = 101,
    /// The user pressed Ctrl-C at a prompt.
    Interrupted = 130,
    /// The program that reads the output has closed the pipe. `--help` does not list this code,
    /// because the process ends by `SIGPIPE` (128 + 13), as other programs do on Unix.
    Closed = 141,
}

impl Exit {
    /// Returns the number.
    pub(crate) fn code(self) -> u8 {
        // This cannot overflow: all exit codes are below 256.
        self as u8
    }
}
