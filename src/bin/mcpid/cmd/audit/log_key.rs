//! Finds and opens the private key of an audit log that is not in the log's folder (`--audit-key`).
//!
//! The key that is found must belong to the public key in the folder's file `log-key.pub`.

use std::path::Path;
use std::sync::Arc;

use mcpid::audit::Folder;
use mcpid::key::{PublicKey, Sign, SignError};

use super::log_failure::log_failure;
use crate::input::files::NamedPath;
use crate::keys::public_key::KeyPin;
use crate::keys::signing_key::SigningKey;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// The flags that name a key of a log and the file with its passphrase.
#[derive(Clone, Copy)]
pub(crate) struct LogKeyFlags<'a> {
    key: &'static str,
    passphrase: &'static str,
    path: Option<&'a Path>,
    passphrase_file: Option<&'a Path>,
}

impl<'a> LogKeyFlags<'a> {
    /// Returns the flags `--audit-key` and `--audit-passphrase-file`.
    pub(crate) fn of(key: Option<&'a Path>, passphrase_file: Option<&'a Path>) -> Self {
        let (flag, passphrase) = ("--audit-key", "--audit-passphrase");
        LogKeyFlags { key: flag, passphrase, path: key, passphrase_file }
    }

    /// Returns the flags `--after-key` and `--after-passphrase-file`, for the key of the previous
    /// log.
    pub(super) fn of_predecessor(key: Option<&'a Path>, file: Option<&'a Path>) -> Self {
        let flags = LogKeyFlags::of(key, file);
        LogKeyFlags { key: "--after-key", passphrase: "--after-passphrase", ..flags }
    }

    /// Returns the log with the key that the flags name, ready to sign. This may ask for its
    /// passphrase or PIN.
    ///
    /// # Errors
    /// The key is not found, is not that of the log, or cannot be opened.
    pub(crate) fn apply(
        self,
        folder: Folder,
        place: &NamedPath,
        ui: &mut Ui,
    ) -> Result<Folder, Failure> {
        let Some(key) = self.find_in(&folder, place)? else { return Ok(folder) };
        if folder.has_private_key() {
            ui.warning(&format!(
                "{} has a private key of the log too: every program that can read it can sign",
                place.path.join("log-key.json").display()
            ));
        }
        Ok(folder.with_key(self.open(key, ui)?))
    }

    /// Returns the log with the key that the flags name. The key is not opened, so it cannot sign.
    ///
    /// # Errors
    /// The key is not found, or is not the log's key.
    pub(super) fn look_up(self, folder: Folder, place: &NamedPath) -> Result<Folder, Failure> {
        Ok(match self.find_in(&folder, place)? {
            Some(key) => folder.with_key(Arc::new(UnopenedKey(key.public().clone()))),
            None => folder,
        })
    }

    fn find_in(self, folder: &Folder, place: &NamedPath) -> Result<Option<SigningKey>, Failure> {
        if self.path.is_none() {
            return Ok(None);
        }
        let public = folder.public().map_err(|e| log_failure(&e, place))?.public().clone();
        self.find(&KeyPin::Log(public, &place.path.join("log-key.pub")))
    }

    /// Finds the key that the flags name, without opening it. `pin` says which key it must be.
    ///
    /// # Errors
    /// As for [`SigningKey::find_by`].
    pub(super) fn find(self, pin: &KeyPin<'_>) -> Result<Option<SigningKey>, Failure> {
        self.path.map(|path| SigningKey::find_by(self.key, path, pin)).transpose()
    }

    /// Opens a key that was found.
    ///
    /// # Errors
    /// There is no passphrase or PIN, or a wrong one.
    pub(super) fn open(self, key: SigningKey, ui: &mut Ui) -> Result<Arc<dyn Sign>, Failure> {
        let source = key.log_source(self.passphrase_file, self.passphrase, ui)?;
        key.open(source).map_err(|failure| Failure {
            message: format!("{}: {}", self.key, failure.message),
            ..failure
        })
    }
}

/// A key that was found but not opened.
struct UnopenedKey(PublicKey);

impl Sign for UnopenedKey {
    fn public(&self) -> &PublicKey {
        &self.0
    }

    fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignError> {
        Err(SignError::new("the key was not opened"))
    }
}
