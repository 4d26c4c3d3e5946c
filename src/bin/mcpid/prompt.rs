//! Asks a person for a passphrase or for consent, on the terminal or by an askpass program.

pub(crate) mod askpass;
pub(crate) mod consent;
pub(crate) mod consent_terminal;
pub(crate) mod passphrase;
pub(crate) mod secret_service;
pub(crate) mod terminal;
mod touch;
mod wait;
