//! The shared state of a Redis store, and the writing of epochs: records that show lost nonces.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use redis::{Pipeline, Value};
use tokio::task::JoinSet;

use super::Retention;
use super::fault::{FaultRemedy, RedisFault};
use super::link::{ServerLink, counters};
use super::nodes::{Node, NodeFinder};
use super::settings::RedisSettings;
use super::watch::{ServerReading, evicted};
use super::wire::{COMPARE_AND_SET, Epoch, Tag};
use crate::clock::Timestamp;
use crate::nonce::RetentionTooShort;

/// Maximum number of attempts of a command whose connection fails or whose primary has changed.
pub(super) const MAX_TRIES: u32 = 4;

/// Maximum number of attempts to write an epoch while other users of the store write it too.
const MAX_ROUNDS: u32 = 8;

/// Maximum time, in seconds, for which a user who may not raise the retention may make all users
/// refuse requests, by setting the retention of a store that is new or was emptied.
const LONGEST_UNASKED: i64 = 600;

/// The state that all tasks of a Redis store share.
pub(super) struct RedisEngine {
    pub(super) settings: Arc<RedisSettings>,
    pub(super) nodes: Arc<NodeFinder>,
    retention: Mutex<KnownRetention>,
    registering: tokio::sync::Mutex<()>,
    /// Wakes the task that renews the epochs, once a user has said how long it needs nonces kept.
    pub(super) registered: tokio::sync::Notify,
    /// The latest time that any user of this handle passed, and our timer's reading then.
    latest_time: Mutex<(Timestamp, Instant)>,
}

/// The retentions (how long nonces must be kept) that this handle has registered or read.
#[derive(Clone, Copy)]
struct KnownRetention {
    /// The longest retention granted to users of this handle.
    own: Option<Retention>,
    /// How long nonces must be kept: the longest of `own` and what the server records.
    known: Retention,
}

/// Which epochs (records that show losses) [`RedisEngine::replace_invalid`] has to replace.
#[derive(Clone, Copy)]
struct EpochRequest {
    retention: Option<Retention>,
    /// Whether the retention may be raised although other users then refuse requests for a time.
    raising: bool,
    /// Whether to write a new epoch for every group (tag) of nonces, even if its epoch is valid,
    /// because it is unknown which nonces were lost.
    all: bool,
}

/// Whether an epoch proves that no nonce is missing in its group (tag) of nonces.
pub(super) enum EpochStanding {
    /// The epoch is valid.
    Good(Epoch),
    /// The epoch was written before the primary started or changed (under another term), or for a
    /// shorter retention. It must be replaced before claims are accepted.
    Other,
    /// The server has lost or evicted keys. Nonces of all groups on it may be missing, so all their
    /// epochs must be replaced before claims are accepted.
    Lost,
}

/// Epochs (records that show losses), with the number of keys that the server had evicted by then.
pub(super) struct Epochs {
    pub(super) answers: Vec<Value>,
    pub(super) evicted: u64,
}

impl RedisEngine {
    pub(super) fn new(settings: RedisSettings) -> Self {
        let settings = Arc::new(settings);
        let nodes = Arc::new(NodeFinder::new(Arc::clone(&settings)));
        let retention = Mutex::new(KnownRetention { own: None, known: Retention::new(0, 0) });
        let latest_time = Mutex::new((Timestamp::from_unix(i64::MIN), Instant::now()));
        let (registering, registered) = Default::default();
        RedisEngine { settings, nodes, retention, registering, registered, latest_time }
    }

    fn known_retention(&self) -> MutexGuard<'_, KnownRetention> {
        self.retention.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the retention granted to users of this handle, as a copy: no lock stays held.
    pub(super) fn own_retention(&self) -> Option<Retention> {
        self.known_retention().own
    }

    /// Returns for how many seconds nonces are kept, or an error if no user has registered yet.
    pub(super) fn keep(&self) -> Result<i64, RedisFault> {
        let kept = *self.known_retention();
        let unregistered = || {
            RedisFault::new(FaultRemedy::GiveUp, "no verifier has set how long claims must be kept")
        };
        kept.own.map(|_| kept.known.keep()).ok_or_else(unregistered)
    }

    /// Records `now` as a time passed by a user. Returns the latest time of any user so far: the
    /// latest record plus the time since. The result never decreases.
    pub(super) fn note_time(&self, now: Timestamp) -> Timestamp {
        let mut latest_time = self.latest_time.lock().unwrap_or_else(PoisonError::into_inner);
        let (latest, then) = *latest_time;
        let passed = i64::try_from(then.elapsed().as_secs()).unwrap_or(i64::MAX);
        let horizon = latest.plus(passed);
        if now > horizon {
            *latest_time = (now, Instant::now());
        }
        now.max(horizon)
    }

    /// Returns the time up to which the nonces of requests may have expired, for a user whose clock
    /// shows `now`: one retention length before the latest known time. The user must refuse these
    /// requests. Otherwise, after its clock was set back, it could accept them again.
    pub(super) fn horizon(&self, now: Timestamp) -> Timestamp {
        let latest = self.note_time(now);
        latest.plus(self.known_retention().known.length().saturating_neg())
    }

    /// Decides whether the epoch (a record that shows losses) that was read on `link` proves that
    /// no nonce is missing. `evicted` is the number of keys that the server had evicted by then.
    pub(super) fn judge_epoch(
        &self,
        link: &ServerLink,
        answer: &Value,
        evicted: u64,
    ) -> Result<EpochStanding, RedisFault> {
        let own = self.own_retention();
        self.standing_for(link, answer, evicted, own)
    }

    /// Does the same as [`Self::judge_epoch`], for a user who needs the retention `own`.
    fn standing_for(
        &self,
        link: &ServerLink,
        answer: &Value,
        evicted: u64,
        own: Option<Retention>,
    ) -> Result<EpochStanding, RedisFault> {
        let Some(epoch) = read_epoch(link, answer)? else { return Ok(EpochStanding::Lost) };
        if *epoch.term != *link.term() {
            return Ok(EpochStanding::Other);
        }
        if epoch.evicted != evicted && !self.settings.evicting_allowed {
            return Ok(EpochStanding::Lost);
        }
        let mut kept = self.known_retention();
        kept.known = kept.known.united(epoch.retention);
        let own = own.unwrap_or(epoch.retention);
        let long_enough = epoch.retention.united(own) == epoch.retention;
        Ok(if long_enough { EpochStanding::Good(epoch) } else { EpochStanding::Other })
    }

    /// Makes the servers keep all later claims for `retention`.
    ///
    /// A user that may not raise the retention reads all epochs before it writes one, so that a
    /// refusal changes nothing. A retention that was granted before needs no new permission.
    pub(super) async fn register(
        self: &Arc<Self>,
        now: Timestamp,
        retention: Retention,
    ) -> Result<(), RedisFault> {
        let _one = self.registering.lock().await;
        let own = self.own_retention();
        let wanted = own.map_or(retention, |own| own.united(retention));
        let raising = self.settings.raising_allowed || own == Some(wanted);
        if !raising {
            let engine = Arc::clone(self);
            self.everywhere(move |link, tags| {
                let engine = Arc::clone(&engine);
                async move {
                    let epochs = engine.epochs(&link, &tags).await?.answers;
                    epochs.iter().try_for_each(|epoch| may_write(&link, epoch, wanted))
                }
            })
            .await?;
        }
        let engine = Arc::clone(self);
        let want = EpochRequest { retention: Some(wanted), raising, all: false };
        self.everywhere(move |link, tags| {
            let engine = Arc::clone(&engine);
            async move { engine.replace_invalid(&link, tags, now, want).await }
        })
        .await?;
        self.note_time(now);
        let mut kept = self.known_retention();
        kept.own = Some(wanted);
        kept.known = kept.known.united(wanted);
        self.registered.notify_one();
        Ok(())
    }

    /// Returns the time up to which nonces may be lost (the floor): the latest of all groups of
    /// nonces. If a group's epoch has to be replaced, its new floor is used.
    pub(super) async fn floor(self: &Arc<Self>, now: Timestamp) -> Result<Timestamp, RedisFault> {
        Ok(self.state(now).await?.floor)
    }

    /// Returns the longest retention known to this handle, in seconds.
    pub(super) fn longest(&self) -> i64 {
        self.known_retention().known.keep()
    }

    /// Runs `ask` on all primaries at once, each with the groups (tags) of nonces that it holds.
    pub(super) async fn everywhere<T, F, A>(self: &Arc<Self>, ask: F) -> Result<Vec<T>, RedisFault>
    where
        T: Send + 'static,
        F: Fn(Arc<ServerLink>, Vec<Tag>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<T, RedisFault>> + Send,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let map = self.nodes.map().await?;
            let all = async {
                let mut asked = JoinSet::new();
                for (node, tags) in map.parts()? {
                    let (ask, settings) = (ask.clone(), Arc::clone(&self.settings));
                    asked.spawn(async move { ask(node.link(&settings).await?, tags).await });
                }
                let mut answers = Vec::new();
                while let Some(answer) = asked.join_next().await {
                    let broken =
                        |_| RedisFault::new(FaultRemedy::GiveUp, "a task of the store broke");
                    answers.push(answer.map_err(broken)??);
                }
                Ok::<_, RedisFault>(answers)
            };
            match all.await {
                Err(fault) if fault.then != FaultRemedy::GiveUp && tries < MAX_TRIES => {
                    self.nodes.forget(&map);
                }
                answers => return answers,
            }
        }
    }

    pub(super) async fn epochs(
        &self,
        link: &ServerLink,
        tags: &[Tag],
    ) -> Result<Epochs, RedisFault> {
        let mut pipeline = Pipeline::with_capacity(tags.len() + 1);
        for tag in tags {
            pipeline.cmd("GET").arg(self.settings.keys.epoch(*tag));
        }
        pipeline.add_command(counters());
        let mut answers = link.ask(&pipeline).await?;
        let evicted = evicted(&link.place, &answers.pop().unwrap_or_default())?;
        Ok(Epochs { answers, evicted })
    }

    /// Replaces the epochs (records that show losses) of the groups `tags` if they are not valid.
    async fn replace_invalid(
        &self,
        link: &ServerLink,
        tags: Vec<Tag>,
        now: Timestamp,
        want: EpochRequest,
    ) -> Result<(), RedisFault> {
        let mut left = tags;
        for _ in 0..MAX_ROUNDS {
            if left.is_empty() {
                return Ok(());
            }
            let Epochs { answers, evicted } = self.epochs(link, &left).await?;
            let standings = answers
                .iter()
                .map(|answer| self.standing_for(link, answer, evicted, want.retention))
                .collect::<Result<Vec<_>, _>>()?;
            // If one group's nonces were lost, those of other groups on the server may be too.
            let all = want.all || standings.iter().any(|s| matches!(s, EpochStanding::Lost));
            let mut pipeline = Pipeline::new();
            let mut written = Vec::new();
            for ((tag, answer), standing) in left.iter().zip(answers).zip(standings) {
                if matches!(standing, EpochStanding::Good(_)) && !all {
                    continue;
                }
                // Another user may have written the epoch since it was read.
                if !want.raising
                    && let Some(wanted) = want.retention
                {
                    may_write(link, &answer, wanted)?;
                }
                let epoch = self.replacement(link, &answer, evicted, now, want.retention);
                let text = epoch.text();
                let held = if let Value::BulkString(held) = answer { held } else { Vec::new() };
                let eval = pipeline.cmd("EVAL").arg(COMPARE_AND_SET).arg(1);
                eval.arg(self.settings.keys.epoch(*tag)).arg(held).arg(&text);
                eval.arg(Epoch::lifetime(epoch.retention));
                written.push((*tag, text));
            }
            if written.is_empty() {
                return Ok(());
            }
            let answers = link.ask(&pipeline).await?;
            let mut missed = Vec::new();
            for ((tag, text), answer) in written.into_iter().zip(answers) {
                match answer {
                    Value::BulkString(held) if held == text.as_bytes() => {}
                    // Another user has written the epoch. The next round checks whether that epoch
                    // is valid.
                    Value::BulkString(_) => missed.push(tag),
                    Value::ServerError(error) => {
                        return Err(RedisFault::refused(&link.place, &error));
                    }
                    _ => return Err(RedisFault::malformed(&link.place, "to a script")),
                }
            }
            left = missed;
        }
        Err(RedisFault::new(
            FaultRemedy::Retry,
            format!("others write to {} without an end", link.place),
        ))
    }

    /// Writes a new epoch for each group of nonces on `node` whose epoch is not valid; or for all
    /// groups, if one epoch is lost or `all` is set. All are replaced together: if their floors rose
    /// one after the other, requests would be refused for longer.
    pub(super) async fn settle_node(
        &self,
        link: &ServerLink,
        node: &Arc<Node>,
        now: Timestamp,
        all: bool,
    ) -> Result<(), RedisFault> {
        // Many claims can find at the same time that an epoch is lost. The first one writes new
        // epochs under this lock, and the others then find them valid.
        let _settling = node.settling.lock().await;
        let tags = self.nodes.map().await?.tags(node);
        let want = EpochRequest { retention: self.own_retention(), raising: true, all };
        self.replace_invalid(link, tags, now, want).await
    }

    /// Returns the epoch (a record that shows losses) that replaces the one in `answer`, for a user
    /// that needs the retention `own`. Its floor excludes all requests whose nonces may be lost.
    pub(super) fn replacement(
        &self,
        link: &ServerLink,
        answer: &Value,
        evicted: u64,
        now: Timestamp,
        own: Option<Retention>,
    ) -> Epoch {
        let old = if let Value::BulkString(text) = answer { Epoch::read(text) } else { None };
        let own = own.unwrap_or(Retention::new(0, 0));
        let retention = old.as_ref().map_or(own, |old| old.retention.united(own));
        let floor = retention.floor_when_raised(now);
        // The new floor is never earlier than the old one, even if our clock is late.
        let floor = old.map_or(floor, |old| old.floor.max(floor));
        Epoch { term: link.term().to_string(), floor, retention, evicted }
    }

    /// Checks the clock and the counters of `node` for signs of lost nonces. If there are any, all
    /// floors (times up to which nonces may be lost) rise before an answer of the server is used.
    pub(super) async fn notice(
        &self,
        link: &ServerLink,
        node: &Arc<Node>,
        look: &ServerReading,
        now: Timestamp,
    ) -> Result<(), RedisFault> {
        let Err(loss) = node.notice(link, look) else { return Ok(()) };
        self.settle_node(link, node, now, true).await?;
        node.floors_raised(link, look);
        let reason = format!("{} may have forgotten nonces: {loss}", link.place);
        Err(RedisFault::new(FaultRemedy::GiveUp, reason))
    }
}

pub(super) fn read_epoch(link: &ServerLink, answer: &Value) -> Result<Option<Epoch>, RedisFault> {
    match answer {
        Value::BulkString(text) => Ok(Epoch::read(text)),
        Value::Nil => Ok(None),
        Value::ServerError(error) => Err(RedisFault::refused(&link.place, error)),
        _ => Err(RedisFault::malformed(&link.place, "an epoch that is no text")),
    }
}

/// Checks that a user without permission to raise the retention may replace the epoch in `answer`.
/// The user may replace an epoch that records at least the retention `wanted`. It may also replace
/// a missing epoch, if the new one blocks the store for at most `LONGEST_UNASKED` seconds.
fn may_write(link: &ServerLink, answer: &Value, wanted: Retention) -> Result<(), RedisFault> {
    let recorded = read_epoch(link, answer)?.map(|epoch| epoch.retention);
    let retention_too_short = RetentionTooShort { recorded, wanted };
    match recorded {
        Some(recorded) if recorded.united(wanted) == recorded => Ok(()),
        None if retention_too_short.seconds() <= LONGEST_UNASKED => Ok(()),
        _ => Err(RedisFault::retention_too_short(retention_too_short)),
    }
}
