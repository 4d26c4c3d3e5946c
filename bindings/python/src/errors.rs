//! The exceptions of the package, and which error of the engine becomes which exception.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::path::Path;

#[cfg(unix)]
use mcpid::key::agent::{AgentError, ChooseError};
#[cfg(unix)]
use mcpid::key::exec::ExecError;
use mcpid::key::file_io::FileError;
use mcpid::key::keyfile::KeyfileError;
use mcpid::key::source::FindKeyError;
use mcpid::key::trust::{LoadError, LoadErrorKind};
use mcpid::message::error_chain::chain;
use mcpid::secret::{SecretKind, quoted};
use mcpid::sign::SigningError;
use mcpid::verify::{Step, Unavailable as WhyUnavailable, VerifyError};
use pyo3::create_exception;
use pyo3::exceptions::{
    PyConnectionError, PyException, PyFileExistsError, PyIsADirectoryError, PyOSError,
    PyPermissionError, PyTimeoutError, PyValueError,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

create_exception!(
    mcpid_attest,
    NotVerified,
    PyException,
    "A request is not verified. The subclasses say why: Rejected or Unavailable."
);
create_exception!(
    mcpid_attest,
    Rejected,
    NotVerified,
    "The request was judged and rejected.\n\n\
     Attributes: step (1 to 12), step_name, code (for the operator), public_code (what a client may \
     learn), message (one line with the numbers), numbers (both sides of the mismatch, by name)."
);
create_exception!(
    mcpid_attest,
    Unavailable,
    NotVerified,
    "The request could not be judged, because the nonce store did not answer or may have lost \
     nonces. Refuse it.\n\n\
     Attributes: message (one line), retry_after (seconds until new requests can be judged, or None)."
);

/// Adds the exceptions to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("NotVerified", py.get_type::<NotVerified>())?;
    module.add("Rejected", py.get_type::<Rejected>())?;
    module.add("Unavailable", py.get_type::<Unavailable>())
}

/// Returns a `ValueError` with an error and its causes in one line.
pub(crate) fn value_error(error: &dyn Error) -> PyErr {
    PyValueError::new_err(chain(error))
}

/// What an exception says about a request that is not verified. It is collected without the
/// interpreter's lock, so that other threads run meanwhile.
pub(crate) enum Refused {
    Rejected {
        text: String,
        step: Step,
        code: &'static str,
        public_code: &'static str,
        message: String,
        details: Vec<(&'static str, Result<i64, String>)>,
    },
    Unavailable {
        message: String,
        retry_after: Option<i64>,
    },
    Other(String),
}

impl Refused {
    /// Collects what `error` says.
    pub(crate) fn of(error: &VerifyError) -> Self {
        match error {
            VerifyError::Rejected(rejection) => Refused::Rejected {
                text: rejection.to_string(),
                step: rejection.step(),
                code: rejection.code().as_str(),
                public_code: rejection.public_code().as_str(),
                message: rejection.message().to_owned(),
                details: rejection
                    .details()
                    .iter()
                    .map(|(name, text)| (*name, text.parse().map_err(|_| text.clone())))
                    .collect(),
            },
            VerifyError::Unavailable(why) => Refused::Unavailable {
                message: chain(why),
                retry_after: match why {
                    WhyUnavailable::BelowFloor { retry_after, .. } => Some(*retry_after),
                    _ => None,
                },
            },
            other => Refused::Other(chain(other)),
        }
    }

    /// Returns the exception.
    pub(crate) fn exception(self, py: Python<'_>) -> PyErr {
        self.build(py).unwrap_or_else(|error| error)
    }

    fn build(self, py: Python<'_>) -> PyResult<PyErr> {
        Ok(match self {
            Refused::Rejected { text, step, code, public_code, message, details } => {
                let error = Rejected::new_err(text);
                let value = error.value(py);
                value.setattr(intern!(py, "step"), step.number())?;
                value.setattr(intern!(py, "step_name"), step.name())?;
                value.setattr(intern!(py, "code"), code)?;
                value.setattr(intern!(py, "public_code"), public_code)?;
                value.setattr(intern!(py, "message"), message)?;
                let numbers = PyDict::new(py);
                for (name, value) in details {
                    match value {
                        Ok(number) => numbers.set_item(name, number)?,
                        Err(text) => numbers.set_item(name, text)?,
                    }
                }
                value.setattr(intern!(py, "numbers"), numbers)?;
                error
            }
            Refused::Unavailable { message, retry_after } => {
                let error = Unavailable::new_err(message.clone());
                let value = error.value(py);
                value.setattr(intern!(py, "message"), message)?;
                value.setattr(intern!(py, "retry_after"), retry_after)?;
                error
            }
            Refused::Other(text) => NotVerified::new_err(text),
        })
    }
}

/// Returns `path` as a message may name it: a path that looks like a secret, and is no file, is
/// described. Callers may give a key in place of its path, such as the value of a variable, and
/// exceptions are logged.
pub(crate) fn shown_path(path: &Path) -> Cow<'_, Path> {
    let text = path.to_string_lossy();
    match SecretKind::of(&text) {
        // A folder may have a random name.
        Some(SecretKind::Random) if path.components().count() > 1 => Cow::Borrowed(path),
        Some(_) if path.symlink_metadata().is_err() => Cow::Owned(quoted(&text).into()),
        _ => Cow::Borrowed(path),
    }
}

/// Returns the exception for a file that cannot be read or written.
pub(crate) fn file_error(path: &Path, error: &FileError) -> PyErr {
    let path = &*shown_path(path);
    match error {
        FileError::Io(error) => io_error(path, error),
        FileError::Exists => PyFileExistsError::new_err(FileError::Exists.about(path)),
        FileError::TooOpen { .. } => PyPermissionError::new_err(error.about(path)),
        FileError::NotRegular("a folder") => PyIsADirectoryError::new_err(error.about(path)),
        other => PyValueError::new_err(other.about(path)),
    }
}

/// Returns the exception for a keyfile that cannot be opened or made.
pub(crate) fn keyfile_error(path: &Path, error: &KeyfileError) -> PyErr {
    PyValueError::new_err(error.about(&shown_path(path)))
}

/// Returns the exception for trust files that cannot be used.
pub(crate) fn trust_error(error: &LoadError) -> PyErr {
    match &error.kind {
        LoadErrorKind::Store(kind) => file_error(&error.path, kind),
        kind => {
            let line = kind.about(&shown_path(&error.path));
            match kind {
                LoadErrorKind::OthersCanWrite { .. } => PyPermissionError::new_err(line),
                _ => PyValueError::new_err(line),
            }
        }
    }
}

/// Returns the exception for an error of the operating system. Python chooses the subclass by the
/// number, such as `FileNotFoundError`.
fn io_error(path: &Path, error: &io::Error) -> PyErr {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default().to_owned();
    let Some(number) = error.raw_os_error() else {
        return PyOSError::new_err(format!("{}: {words}", path.display()));
    };
    // Made at once: the class of an exception that is made later is `OSError`.
    Python::attach(|py| {
        let made = py.get_type::<PyOSError>().call1((number, words, path.as_os_str()));
        made.map_or_else(|error| error, PyErr::from_value)
    })
}

/// Returns the exception for a key that was not found.
pub(crate) fn find_error(path: &Path, error: &FindKeyError) -> PyErr {
    match error {
        FindKeyError::File(error) => file_error(path, error),
        FindKeyError::NoAgent => {
            PyConnectionError::new_err("there is no ssh-agent: SSH_AUTH_SOCK is not set")
        }
        #[cfg(unix)]
        FindKeyError::Agent(ChooseError::Agent(error)) => agent_error(error),
        other => value_error(other),
    }
}

/// Returns the exception for a request that was not signed.
pub(crate) fn signing_error(error: &SigningError) -> PyErr {
    #[cfg(unix)]
    if let SigningError::Key(why) = error
        && let Some(error) = why.0.downcast_ref::<AgentError>()
    {
        return agent_error(error);
    }
    #[cfg(unix)]
    if let SigningError::Key(why) = error
        && let Some(error) = why.0.downcast_ref::<ExecError>()
    {
        return match error {
            ExecError::Start { .. } | ExecError::Broken { .. } => {
                PyConnectionError::new_err(chain(error))
            }
            ExecError::TimedOut { .. } => PyTimeoutError::new_err(chain(error)),
            other => value_error(other),
        };
    }
    value_error(error)
}

/// Returns the exception for an ssh-agent that did not do what it was asked for.
#[cfg(unix)]
fn agent_error(error: &AgentError) -> PyErr {
    match error {
        AgentError::Gone { .. } | AgentError::Broken(_) => PyConnectionError::new_err(chain(error)),
        AgentError::TimedOut(_) => PyTimeoutError::new_err(chain(error)),
        AgentError::Declined => PyPermissionError::new_err(chain(error)),
        other => value_error(other),
    }
}
