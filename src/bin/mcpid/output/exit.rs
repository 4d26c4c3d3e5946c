//! How the program ends: every exit code, in one place.

/// What the caller's shell sees in `$?`. The numbers are public and never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    #[default]
    /// Done; for `verify`: accepted.
    Ok = 0,
    /// Judged, and the answer is no.
    Rejected = 1,
    /// Flags or arguments.
    Usage = 2,
    /// Cannot read, not an HTTP/1.1 request, output exists, cannot write.
    Input = 3,
    /// Keyfile or trust file: wrong passphrase, none to be had, damaged, too open.
    Key = 4,
    /// Nonce store, upstream or listener: could not judge.
    Unavailable = 5,
    /// A fault of this program. A panic ends with the same number by itself.
    Bug = 101,
    /// Ctrl-C at a prompt.
    Interrupted = 130,
    /// Whoever read our output has gone. Not an answer, so it is not in the table of codes: the
    /// process ends as the platform ends such processes (by `SIGPIPE` on Unix, 128 + 13).
    Closed = 141,
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        // A field-less enum with these discriminants always fits.
        self as u8
    }
}
