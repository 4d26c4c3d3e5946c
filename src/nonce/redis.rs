//! A store on Redis (7 or later) or Valkey, which several hosts can share.
//!
//! ```text
//!                                 ┌ SET mcpid:1:{T}:ID token NX GET PX ms ┐
//! claims ─▶ one thread ─▶ batch ──┤ GET mcpid:1:{T}:epoch                 ├─▶ primary of {T}
//!                                 └ TIME, INFO stats (all once a second)  ┘
//! ```
//!
//! `ID` is [`super::id`] in base64url. The *tag* `T` is the first two hex digits of the id: it
//! divides all nonces into 256 groups, and a cluster keeps all keys of one tag on one server. The
//! answer to `SET … GET` is the old value. Nil means that the nonce is fresh. Our own random token
//! also means fresh: an earlier try set it, and its answer was lost. Any other token means a
//! replay.
//!
//! **How the store detects lost nonces.** A server loses all keys when it restarts, when another
//! server takes over, and at `FLUSHALL`. So each of the 256 tags has an *epoch*, a record in the
//! server's own memory that is lost together with the nonces. It records: the *term* of the primary
//! (its `run_id`, whether it was promoted since, what it loaded last, and the database), the
//! *floor* F (the moment up to which nonces may be lost), the longest retention of any user, and
//! how many keys the server had evicted. The epoch is read after every claim, on the same
//! connection. If the epoch is missing or has another term, or if keys were evicted since, the
//! claim is an error, and the store writes a new epoch. Its floor is later than every request that
//! can have been accepted before: `now + ahead + margin`. So after such a fault a strict verifier
//! refuses requests for 35 seconds, with a window of 30 seconds.
//!
//! **An epoch ends before the nonces of its tag.** An epoch expires `ahead + margin` after a user
//! last renewed it. A claim is kept for `ahead + margin` longer than its request can be accepted.
//! So a server whose clock runs ahead and that ends a nonce too early has ended the epoch too, even
//! if its clock steps back unseen. Every open store renews the epochs, also while there are no
//! claims. The first claim after a pause of a second reads all 256 epochs; if one of them is
//! missing, all are written again.
//!
//! **Which user sets the retention.** A longer retention raises the floor, and then all users
//! refuse requests for a time. So a user that needs a longer retention than an epoch records is
//! refused, unless its options allow raising. A user is also refused if its window would block an
//! unused store for more than 10 minutes. If the servers lose a retention that was granted before,
//! the store writes it again.
//!
//! **Time.** Claims expire by the server's clock, a number of milliseconds after they are made. If
//! within two minutes that clock and our timer drift apart by more than 5 seconds, in either
//! direction, claims are errors and all floors rise.
//!
//! **Split brain.** Replicas lag behind, so a fail-over loses the last claims. The new floor is
//! later than the requests of these claims. A cluster's primary that is cut off stops to accept
//! writes within `cluster-node-timeout`, which must be shorter than the margin. A primary behind
//! Sentinel stops to accept writes only if `min-replicas-to-write` is 1 or more; without that
//! setting the store gives a [`PrimaryWarning`]. The store asks the Sentinels again every second.
//!
//! **Memory.** A claim takes about 150 bytes. If a server is full, claims are errors for all users,
//! and no nonce is evicted. Each process limits the live nonces that it claims for one key. Limit
//! the request rates of trusted keys too. While a cluster moves a slot to another node, claims in
//! that slot are errors.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::key_limit::{DEFAULT_PER_KEY, KeyLimit};
use super::url::RedisUrl;
use super::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError};
use crate::clock::Timestamp;
use crate::key::KeyId;

mod claims;
mod engine;
mod fault;
mod keep_alive;
mod link;
mod listing;
mod nodes;
mod primary;
mod settings;
mod waiting_slot;
mod watch;
mod wire;

use claims::PendingClaim;
use engine::RedisEngine;
use fault::RedisFault;
pub use primary::PrimaryWarning;
use settings::{RedisSettings, WarningHandler};
use waiting_slot::WaitingSlot;
use wire::KeyNames;

/// The default time for which a request to store a new nonce waits for an answer.
const DEFAULT_BUDGET: Duration = Duration::from_secs(2);

/// The longest time that options may set. A claim that is repeated late must still be kept long
/// enough, so the budget has to be much shorter than the margin, which is at least 30 seconds.
const MAX_BUDGET: Duration = Duration::from_secs(10);

/// The addresses of the servers, and the options for using them.
pub struct RedisOptions {
    url: RedisUrl,
    budget: Duration,
    max_per_key: usize,
    evicting_allowed: bool,
    raising_allowed: bool,
    warn: WarningHandler,
}

impl RedisOptions {
    /// Creates options for the servers that `url` names.
    pub fn new(url: RedisUrl) -> Self {
        let warn: WarningHandler = Arc::new(|_| {});
        let (evicting_allowed, raising_allowed) = (false, false);
        let (budget, max_per_key) = (DEFAULT_BUDGET, DEFAULT_PER_KEY);
        RedisOptions { url, budget, max_per_key, evicting_allowed, raising_allowed, warn }
    }

    /// Sets the password. It replaces a password in the URL.
    #[must_use]
    pub fn password(mut self, password: Zeroizing<String>) -> Self {
        self.url.password = Some(password);
        self
    }

    /// Sets the time that a call waits for its answer, including repeated attempts: 2 seconds by
    /// default, 10 at most.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget.min(MAX_BUDGET);
        self
    }

    /// Sets how many live nonces of one key this process claims at most; a million by default.
    /// Further claims for the key are [`Claim::OverQuota`].
    #[must_use]
    pub fn max_per_key(mut self, nonces: usize) -> Self {
        self.max_per_key = nonces;
        self
    }

    /// Also uses servers whose `maxmemory-policy` is not `noeviction`. Such a server can silently
    /// remove a live nonce; each one gives a [`PrimaryWarning::Evicts`].
    #[must_use]
    pub fn allow_evicting(mut self, allow: bool) -> Self {
        self.evicting_allowed = allow;
        self
    }

    /// Lets this user raise the retention that the servers have recorded, and lets it be the first
    /// to ask for a retention that blocks the store for more than 10 minutes. In both cases, all
    /// users refuse requests for `ahead + margin` seconds (see [`Retention`]). Without this option,
    /// such a registration is an error ([`StoreError::retention_too_short`]).
    #[must_use]
    pub fn allow_raising(mut self, allow: bool) -> Self {
        self.raising_allowed = allow;
        self
    }

    /// Sets the function that gets warnings for the operator, each time that the store connects to
    /// a primary. The function runs on the store's own thread and must not block.
    #[must_use]
    pub fn on_warning(mut self, warn: impl Fn(PrimaryWarning) + Send + Sync + 'static) -> Self {
        self.warn = Arc::new(warn);
        self
    }

    /// Connects at the time `start`, for a user who needs `retention`. Blocks, for the budget at
    /// most.
    ///
    /// Each tag without a usable epoch (see the module) gets a new epoch with a floor: in a new
    /// store, on another primary than before, and if the recorded retention is shorter.
    ///
    /// # Errors
    /// [`StoreError`] if no server answers; if a primary is older than version 7, evicts keys, or
    /// refuses our credentials; if the file of certificates cannot be read; or if the store keeps
    /// nonces for less than `retention` and must not be raised.
    pub fn open_for_claims(
        self,
        start: Timestamp,
        retention: Retention,
    ) -> Result<Redis, StoreError> {
        let store = self.connect()?;
        let engine = Arc::clone(&store.engine);
        store.run_blocking(async move { engine.register(start, retention).await })?;
        Ok(store)
    }

    /// Connects only to look up nonces: nothing on the servers is changed. Claims are errors.
    ///
    /// # Errors
    /// As [`RedisOptions::open_for_claims`].
    pub fn open_read_only(self) -> Result<Redis, StoreError> {
        let store = self.connect()?;
        let engine = Arc::clone(&store.engine);
        store.run_blocking(async move { engine.floor(Timestamp::default()).await })?;
        Ok(Redis { read_only: true, ..store })
    }

    fn connect(self) -> Result<Redis, StoreError> {
        let RedisOptions { url, budget, max_per_key, evicting_allowed, raising_allowed, warn } =
            self;
        let ca = url.ca.as_ref().map(std::fs::read).transpose();
        let ca =
            ca.map_err(|e| StoreError::because("the file of certificates cannot be read", e))?;
        if url.tls && rustls::crypto::CryptoProvider::get_default().is_none() {
            // Without an installed crypto provider, rustls panics if its features enable two. An
            // error means that another thread has just installed one.
            let _chosen = rustls::crypto::ring::default_provider().install_default();
        }
        let keys = KeyNames::new(url.prefix.as_deref());
        let name = url.to_string();
        let settings =
            RedisSettings { url, ca, keys, budget, evicting_allowed, raising_allowed, warn };
        let engine = RedisEngine::new(settings);
        Ok(Redis { limit: KeyLimit::new(max_per_key), ..Redis::start(Arc::new(engine), name)? })
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &mut f.debug_struct("RedisOptions");
        options.field("url", &self.url).field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// A store on Redis.
///
/// A separate thread runs everything that needs a runtime, so the futures of the store can be
/// awaited on any executor. The thread ends with the store. If no other claim is waiting, a claim
/// is sent and its answer judged in the caller's task. Otherwise claims gather in a queue and share
/// a pipeline.
pub struct Redis {
    engine: Arc<RedisEngine>,
    jobs: mpsc::UnboundedSender<PendingClaim>,
    runtime: Handle,
    waiting: AtomicUsize,
    read_only: bool,
    /// The address of the server, without user name and password.
    name: String,
    limit: KeyLimit,
}

impl Redis {
    fn start(engine: Arc<RedisEngine>, name: String) -> Result<Self, StoreError> {
        let failed = |e| StoreError::because("no thread could be started for the store", e);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (jobs, queue) = mpsc::unbounded_channel();
        let serving = claims::serve(Arc::clone(&engine), queue);
        let serve = move || {
            // This ends when the store is dropped. Claims in flight then have no caller any more.
            runtime.block_on(serving);
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("mcpid-redis".to_owned()).spawn(serve).map_err(failed)?;
        let waiting = AtomicUsize::new(0);
        let limit = KeyLimit::new(DEFAULT_PER_KEY);
        Ok(Redis { engine, jobs, runtime: handle, waiting, read_only: false, name, limit })
    }

    /// Runs `task` on the store's thread, and waits at most for the budget.
    fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, RedisFault>> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        let (engine, budget) = (Arc::clone(&self.engine), self.engine.settings.budget);
        self.runtime.spawn(async move {
            let answer = match timeout(budget, task).await {
                Ok(answer) => answer.map_err(|fault| fault.error()),
                Err(_) => {
                    engine.nodes.drop_links();
                    Err(StoreError::new(format!("no answer within {} ms", budget.as_millis())))
                }
            };
            let _gone = reply.send(answer);
        });
        async move { answer.await.unwrap_or_else(|_| Err(closed())) }
    }

    fn run_blocking<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, RedisFault>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = std::sync::mpsc::channel();
        let run = self.run(task);
        self.runtime.spawn(async move {
            let _gone = reply.send(run.await);
        });
        answer.recv().unwrap_or_else(|_| Err(closed()))
    }

    async fn claim_now(
        &self,
        now: Timestamp,
        key: &KeyId,
        nonce: &str,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        self.writable()?;
        let mut random = [0; 16];
        let failed = |e| StoreError::because("the system gave no random numbers", e);
        SysRng.try_fill_bytes(&mut random).map_err(failed)?;
        let place = WaitingSlot::take(&self.waiting)?;
        let (reply, answer) = oneshot::channel();
        let mut job = PendingClaim {
            now,
            until,
            id: super::id(key, nonce),
            token: wire::token(now, random),
            due: Instant::now() + self.engine.settings.budget,
            reply,
            tries: 0,
            extend: false,
        };
        if place.alone {
            // The timer of the timeout needs the runtime of the store, because the caller may poll
            // this future on another one.
            let mut asked = pin!(claims::alone(&self.engine, &mut job));
            let asked = poll_fn(|context| {
                let _entered = self.runtime.enter();
                asked.as_mut().poll(context)
            });
            if let Some(answer) = asked.await {
                return answer.map_err(|fault| fault.error());
            }
        }
        self.jobs.send(job).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    fn writable(&self) -> Result<(), StoreError> {
        match self.read_only {
            true => Err(StoreError::new("the store was opened only to look into it")),
            false => Ok(()),
        }
    }
}

fn closed() -> StoreError {
    StoreError::new("the store is closed")
}

impl NonceStore for Redis {
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.writable()?;
            let engine = Arc::clone(&self.engine);
            self.run(async move { engine.register(now, retention).await }).await
        })
    }

    fn claim_live<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(async move {
            if self.limit.is_reached(now, key) {
                return Ok(Claim::OverQuota);
            }
            let claim = self.claim_now(now, key, nonce, until).await;
            self.limit.count((now, until), key, claim)
        })
    }

    fn is_over_quota(&self, now: Timestamp, key: &KeyId) -> bool {
        self.limit.is_reached(now, key)
    }

    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        let (engine, id) = (Arc::clone(&self.engine), super::id(key, nonce));
        Box::pin(self.run(async move { engine.peek(now, id).await }))
    }

    fn floor<'a>(&'a self, now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        let engine = Arc::clone(&self.engine);
        Box::pin(self.run(async move { engine.floor(now).await }))
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("url", &self.name).finish_non_exhaustive()
    }
}
