//! The settings of a store on Redis, as the engine uses them.

use std::sync::Arc;
use std::time::Duration;

use super::PrimaryWarning;
use super::wire::KeyNames;
use crate::nonce::url::RedisUrl;

pub(super) type WarningHandler = Arc<dyn Fn(PrimaryWarning) + Send + Sync>;

pub(super) struct RedisSettings {
    /// The URL, with the password from the URL or the options.
    pub(super) url: RedisUrl,
    /// The certificates that TLS trusts, as PEM; `None` for the certificates of the system.
    pub(super) ca: Option<Vec<u8>>,
    pub(super) keys: KeyNames,
    pub(super) budget: Duration,
    pub(super) evicting_allowed: bool,
    pub(super) raising_allowed: bool,
    pub(super) warn: WarningHandler,
}
