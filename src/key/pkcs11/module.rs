//! Loaded PKCS #11 modules. A process initializes each one once (`C_Initialize`), for all its
//! sessions, and finalizes it after the last of them (`C_Finalize`), before it is unloaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use super::Pkcs11Error;

/// The number of users of each module that this crate has initialized. A module that hangs while it
/// is initialized or finalized keeps this lock: the threads that wait for it are given up too.
static USERS: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// A module that is initialized. Its sessions must be dropped first.
pub(super) struct LoadedModule {
    pkcs11: Pkcs11,
    /// The path without symbolic links, by which the users are counted.
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
            // If this crate has not initialized it, other code of this process has, and that code
            // finalizes it.
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
            // There is no way to go on if the module does not finalize, and nothing depends on it.
            let _ = self.pkcs11.clone().finalize();
        }
    }
}

/// Returns the error for a call of a module that failed.
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
