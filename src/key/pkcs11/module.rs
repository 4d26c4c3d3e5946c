//! Loaded PKCS #11 modules. A process calls `C_Initialize` once for each module, and `C_Finalize`
//! after the last session with it, before the module is unloaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use super::Pkcs11Error;

/// The number of [`LoadedModule`]s for each module that this crate has initialized. A module that
/// hangs during `C_Initialize` or `C_Finalize` holds this lock forever. Threads that wait for the
/// lock then run into their timeout too.
static USERS: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// A PKCS #11 module after `C_Initialize`. All sessions with it must be dropped before this value.
pub(super) struct LoadedModule {
    pkcs11: Pkcs11,
    /// The path of the module without symbolic links. It is the key in [`USERS`].
    path: PathBuf,
}

impl LoadedModule {
    /// Loads the module at `path`.
    pub(super) fn load(path: &Path) -> Result<Self, Pkcs11Error> {
        let unloaded = |why: String| Pkcs11Error::Load { module: path.to_owned(), why };
        let real = std::fs::canonicalize(path).map_err(|error| {
            let why = error.to_string();
            unloaded(why.split(" (os error").next().unwrap_or_default().to_lowercase())
        })?;
        let pkcs11 = Pkcs11::new(path).map_err(|error| match error {
            Error::LibraryLoading(_) => {
                unloaded("it is no shared library of this system".to_owned())
            }
            other => unloaded(other.to_string()),
        })?;
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) => _ = users.insert(real.clone(), 1),
            // If this crate has not initialized the module, other code in this process has, and
            // will finalize it.
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {
                if let Some(count) = users.get_mut(&real) {
                    *count += 1;
                }
            }
            Err(error) => return Err(failed(&error)),
        }
        Ok(LoadedModule { pkcs11, path: real })
    }

    pub(super) fn pkcs11(&self) -> &Pkcs11 {
        &self.pkcs11
    }
}

impl Drop for LoadedModule {
    fn drop(&mut self) {
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = users.get_mut(&self.path) else { return };
        *count -= 1;
        if *count == 0 {
            users.remove(&self.path);
            // An error of `C_Finalize` is ignored, because nothing depends on it.
            let _ = self.pkcs11.clone().finalize();
        }
    }
}

/// Returns the error for a failed call of a module.
pub(super) fn failed(error: &Error) -> Pkcs11Error {
    match error {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
            Pkcs11Error::WrongPin
        }
        Error::Pkcs11(RvError::PinLocked, _) => Pkcs11Error::PinLocked,
        Error::Pkcs11(code, function) => Pkcs11Error::Module(format!("{function}: {code:?}")),
        other => Pkcs11Error::Module(other.to_string()),
    }
}
