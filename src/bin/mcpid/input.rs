//! Opens the inputs that the arguments name: files, captures, header flags, nonce stores.

pub(crate) mod captures;
pub(crate) mod files;
pub(crate) mod header_flag;
pub(crate) mod nonce_store;
