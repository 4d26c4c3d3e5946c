//! Opens the nonce store that a URL names.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::memory::Memory;
use super::url::StoreUrl;
use super::{NonceStore, Retention, StoreAdmin, StoreError};
use crate::clock::Timestamp;

/// Options for opening the store that a URL names.
///
/// ```
/// use mcpid::clock::Timestamp;
/// use mcpid::nonce::Retention;
/// use mcpid::nonce::open::StoreOptions;
/// use mcpid::nonce::url::StoreUrl;
/// use rand::rngs::SysRng;
///
/// let url = StoreUrl::parse("memory:?max=1000")?;
/// let now = Timestamp::from_unix(1_795_773_600);
/// let store = StoreOptions::new(url).open_for_claims(now, Retention::new(30, 5), &mut SysRng)?;
/// // A user of the store now registers its retention: store.register(now, retention).await
/// # drop(store);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "settings of Redis stores"))]
pub struct StoreOptions {
    url: StoreUrl,
    evicting_allowed: bool,
    raising_allowed: bool,
    password: Option<Zeroizing<String>>,
    warn: Arc<dyn Fn(String) + Send + Sync>,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `StoreOptions` contains a password, and its URL may contain one. The output shows
        // neither.
        f.debug_struct("StoreOptions").field("url", &self.url).finish_non_exhaustive()
    }
}

impl StoreOptions {
    /// Creates options for the store that `url` names.
    pub fn new(url: StoreUrl) -> Self {
        StoreOptions {
            url,
            evicting_allowed: false,
            raising_allowed: false,
            password: None,
            warn: Arc::new(|_| {}),
        }
    }

    /// Allows Redis servers that evict keys when their memory is full. Such a server can lose a
    /// live nonce without notice, and the nonce can then be used twice.
    #[must_use]
    pub fn allow_evicting(mut self, allow: bool) -> Self {
        self.evicting_allowed = allow;
        self
    }

    /// Allows the store to raise its retention (how long it keeps nonces). All its users then
    /// refuse requests for a time (see [`RetentionTooShort`](super::RetentionTooShort)).
    #[must_use]
    pub fn allow_raising(mut self, allow: bool) -> Self {
        self.raising_allowed = allow;
        self
    }

    /// Returns the permission that changes nothing for this kind of store, and why; `None` if every
    /// permission that was given has an effect. Its name is `raise_retention` or
    /// `allow_evicting_store`.
    pub fn without_effect(&self) -> Option<(&'static str, &'static str)> {
        match &self.url {
            StoreUrl::Redis(_) => None,
            StoreUrl::Memory { .. } if self.raising_allowed => {
                Some(("raise_retention", "a store in memory begins with what is needed"))
            }
            _ if self.evicting_allowed => {
                Some(("allow_evicting_store", "only Redis servers evict"))
            }
            _ => None,
        }
    }

    /// Sets the password of Redis servers. It replaces a password in the URL.
    #[must_use]
    pub fn password(mut self, password: Zeroizing<String>) -> Self {
        self.password = Some(password);
        self
    }

    /// Sets the function that gets each warning about a Redis server, whenever the store connects
    /// to that server. The same warning may come several times.
    #[must_use]
    pub fn on_warning(mut self, warn: impl Fn(String) + Send + Sync + 'static) -> Self {
        self.warn = Arc::new(warn);
        self
    }

    /// Opens the store to claim nonces. A store that does not exist yet is made. Blocks until the
    /// file is open or the servers are connected. Call [`NonceStore::register`] before the first
    /// claim.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be used, if it would have to raise its retention without
    /// permission, or if this build has no stores of this kind.
    pub fn open_for_claims<R: rand::TryCryptoRng>(
        self,
        now: Timestamp,
        retention: Retention,
        rng: &mut R,
    ) -> Result<Arc<dyn NonceStore>, StoreError> {
        match self.url {
            StoreUrl::Memory { max } => memory(max, now, retention, rng),
            #[cfg(feature = "sqlite")]
            StoreUrl::Sqlite { path } => {
                use super::sqlite::{SqliteOptions, boot_id};
                let options =
                    SqliteOptions::new(path, boot_id()).allow_raising(self.raising_allowed);
                Ok(Arc::new(options.open_for_claims(now, retention)?))
            }
            #[cfg(feature = "redis")]
            StoreUrl::Redis(_) => Ok(Arc::new(self.redis()?.open_for_claims(now, retention)?)),
            #[cfg(not(all(feature = "sqlite", feature = "redis")))]
            _ => Err(StoreError::new("this build has no stores of this kind")),
        }
    }

    /// Opens the store only to look up nonces. Nothing in it changes, and a missing store is not
    /// made. A store in memory is empty.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not exist, if it cannot be used, or if this build has no
    /// stores of this kind.
    pub fn open_read_only<R: rand::TryCryptoRng>(
        self,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Arc<dyn NonceStore>, StoreError> {
        match self.url {
            StoreUrl::Memory { max } => memory(max, now, Retention::new(0, 0), rng),
            #[cfg(feature = "sqlite")]
            // A look-up needs no boot id. Only opening for claims uses it, to decide whether nonces
            // may be missing.
            StoreUrl::Sqlite { path } => {
                Ok(Arc::new(super::sqlite::SqliteOptions::new(path, None).open_read_only()?))
            }
            #[cfg(feature = "redis")]
            StoreUrl::Redis(_) => Ok(Arc::new(self.redis()?.open_read_only()?)),
            #[cfg(not(all(feature = "sqlite", feature = "redis")))]
            _ => Err(StoreError::new("this build has no stores of this kind")),
        }
    }

    /// Opens the store for an operator: to list its nonces, or to `prune` it. A missing store is an
    /// error and is not made.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not exist, cannot be used or is in memory, or if this build
    /// has no stores of this kind.
    pub fn open_for_operator(
        self,
        now: Timestamp,
        prune: bool,
    ) -> Result<Box<dyn StoreAdmin>, StoreError> {
        match self.url {
            StoreUrl::Memory { .. } => Err(StoreError::new("it ends with its process")),
            #[cfg(feature = "sqlite")]
            // Removing nonces claims none, so the file is opened without registering a retention.
            StoreUrl::Sqlite { path } if prune => {
                use super::sqlite::{SqliteOptions, boot_id};
                let options = SqliteOptions::new(path, boot_id());
                Ok(Box::new(options.open_for_claims(now, Retention::new(0, 0))?))
            }
            #[cfg(feature = "sqlite")]
            StoreUrl::Sqlite { path } => {
                Ok(Box::new(super::sqlite::SqliteOptions::new(path, None).open_read_only()?))
            }
            #[cfg(feature = "redis")]
            StoreUrl::Redis(_) => Ok(Box::new(self.redis()?.open_read_only()?)),
            #[cfg(not(all(feature = "sqlite", feature = "redis")))]
            _ => {
                let _ = (now, prune);
                Err(StoreError::new("this build has no stores of this kind"))
            }
        }
    }

    #[cfg(feature = "redis")]
    fn redis(self) -> Result<super::redis::RedisOptions, StoreError> {
        let StoreUrl::Redis(url) = self.url else {
            return Err(StoreError::new("it is not on Redis servers"));
        };
        let warn = self.warn;
        let options = super::redis::RedisOptions::new(url)
            .allow_evicting(self.evicting_allowed)
            .allow_raising(self.raising_allowed)
            .on_warning(move |warning| warn(warning.to_string()));
        Ok(match self.password {
            Some(password) => options.password(password),
            None => options,
        })
    }
}

fn memory<R: rand::TryCryptoRng>(
    max: Option<usize>,
    now: Timestamp,
    retention: Retention,
    rng: &mut R,
) -> Result<Arc<dyn NonceStore>, StoreError> {
    let store = Memory::new(now, retention, rng).map_err(|e| StoreError::new(e.to_string()))?;
    Ok(Arc::new(match max {
        Some(max) => store.bounded(max),
        None => store,
    }))
}
