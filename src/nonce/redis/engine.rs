//! The state that all tasks of a store share; registering, floors, and epochs.

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

/// Maximum number of tries of a command whose connection fails or whose primary has changed.
pub(super) const TRIES: u32 = 4;

/// Maximum number of tries to write an epoch while other users write it too.
const ROUNDS: u32 = 8;

/// Maximum time, in seconds, for which the first user may close a store that records no retention,
/// because the store is new or was emptied. A user with the permission to raise it has no limit.
const LONGEST_UNASKED: i64 = 600;

/// The state that all tasks of a store share.
pub(super) struct RedisEngine {
    pub(super) settings: Arc<RedisSettings>,
    pub(super) nodes: Arc<NodeFinder>,
    kept: Mutex<KnownRetention>,
    registering: tokio::sync::Mutex<()>,
    /// Wakes the task that keeps the epochs alive, once a user has registered.
    pub(super) registered: tokio::sync::Notify,
    /// The latest time that a user has passed, and when that was.
    latest_time: Mutex<(Timestamp, Instant)>,
}

/// The retentions that this handle knows.
#[derive(Clone, Copy)]
struct KnownRetention {
    /// The longest retention granted to users of this handle.
    own: Option<Retention>,
    /// The longest of `own` and the retentions that were read in epochs.
    known: Retention,
}

/// The requirements for new epochs: their retention, and the tags that get one.
#[derive(Clone, Copy)]
struct EpochRequest {
    retention: Option<Retention>,
    /// Raise the retention, even if other users are refused meanwhile.
    raising: bool,
    /// Write new epochs for all tags, also for tags whose epoch is valid, because it is unknown
    /// which nonces were lost.
    all: bool,
}

/// The validity of an epoch for the claims of its tag.
pub(super) enum EpochStanding {
    /// The claims can be relied on.
    Good(Epoch),
    /// The epoch has to be written first: it has another term, or a shorter retention.
    Other,
    /// The epoch has to be written first, and the server has lost or evicted keys: nonces of all
    /// its tags may be lost.
    Lost,
}

/// The epochs of some tags, and how many keys the server had evicted when they were read.
pub(super) struct Epochs {
    pub(super) answers: Vec<Value>,
    pub(super) evicted: u64,
}

impl RedisEngine {
    pub(super) fn new(settings: RedisSettings) -> Self {
        let settings = Arc::new(settings);
        let nodes = Arc::new(NodeFinder::new(Arc::clone(&settings)));
        let kept = Mutex::new(KnownRetention { own: None, known: Retention::new(0, 0) });
        let latest_time = Mutex::new((Timestamp::from_unix(i64::MIN), Instant::now()));
        let (registering, registered) = Default::default();
        RedisEngine { settings, nodes, kept, registering, registered, latest_time }
    }

    fn kept(&self) -> MutexGuard<'_, KnownRetention> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the retention granted to users of this handle. The lock is released on return, so it
    /// is never taken twice.
    pub(super) fn own(&self) -> Option<Retention> {
        self.kept().own
    }

    /// Returns for how many seconds claims are kept; an error if no user has said so.
    pub(super) fn keep(&self) -> Result<i64, RedisFault> {
        let kept = *self.kept();
        let unsaid = || {
            RedisFault::new(FaultRemedy::GiveUp, "no verifier has set how long claims must be kept")
        };
        kept.own.map(|_| kept.known.keep()).ok_or_else(unsaid)
    }

    /// Notes that it is `now` for a user who claims. Returns the latest time that it can be for any
    /// user, from the latest time that was passed and the time since: it never moves back.
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

    /// The floor for a user whose clock says `now`. What the server has let end was created a
    /// length or more before the latest time; where the user's clock has stepped back since, that
    /// could be accepted once more.
    pub(super) fn horizon(&self, now: Timestamp) -> Timestamp {
        let latest = self.note_time(now);
        latest.plus(self.kept().known.length().saturating_neg())
    }

    /// Judges the epoch that was read on `link`, with so many keys `evicted` by then.
    pub(super) fn standing(
        &self,
        link: &ServerLink,
        answer: &Value,
        evicted: u64,
    ) -> Result<EpochStanding, RedisFault> {
        let own = self.own();
        self.standing_for(link, answer, evicted, own)
    }

    /// Judges an epoch for a user who needs the retention `own`.
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
        let mut kept = self.kept();
        kept.known = kept.known.united(epoch.retention);
        let own = own.unwrap_or(epoch.retention);
        let long_enough = epoch.retention.united(own) == epoch.retention;
        Ok(if long_enough { EpochStanding::Good(epoch) } else { EpochStanding::Other })
    }

    /// Makes the servers keep all nonces for `retention` from now on.
    ///
    /// A user that may not raise the retention reads every epoch before it writes one, so that a
    /// refusal changes nothing. A retention that was granted once needs no permission again, even
    /// after the servers have lost it.
    pub(super) async fn register(
        self: &Arc<Self>,
        now: Timestamp,
        retention: Retention,
    ) -> Result<(), RedisFault> {
        let _one = self.registering.lock().await;
        let own = self.own();
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
            async move { engine.settle(&link, tags, now, want).await }
        })
        .await?;
        self.note_time(now);
        let mut kept = self.kept();
        kept.own = Some(wanted);
        kept.known = kept.known.united(wanted);
        self.registered.notify_one();
        Ok(())
    }

    /// Returns the highest floor of all tags. An epoch that has to be written before the next claim
    /// counts with the floor that it would get now.
    pub(super) async fn floor(self: &Arc<Self>, now: Timestamp) -> Result<Timestamp, RedisFault> {
        Ok(self.about(now).await?.floor)
    }

    /// For how many seconds a claim is kept that has no end of its own, as far as we know.
    pub(super) fn longest(&self) -> i64 {
        self.kept().known.keep()
    }

    /// Asks all primaries at once, each for the tags that it holds.
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
                Err(fault) if fault.then != FaultRemedy::GiveUp && tries < TRIES => {
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

    /// Writes the epochs of `tags` that need it.
    async fn settle(
        &self,
        link: &ServerLink,
        tags: Vec<Tag>,
        now: Timestamp,
        want: EpochRequest,
    ) -> Result<(), RedisFault> {
        let mut left = tags;
        for _ in 0..ROUNDS {
            if left.is_empty() {
                return Ok(());
            }
            let Epochs { answers, evicted } = self.epochs(link, &left).await?;
            let standings = answers
                .iter()
                .map(|answer| self.standing_for(link, answer, evicted, want.retention))
                .collect::<Result<Vec<_>, _>>()?;
            // Keys that are missing under one tag may be missing under the others too.
            let all = want.all || standings.iter().any(|s| matches!(s, EpochStanding::Lost));
            let mut pipeline = Pipeline::new();
            let mut written = Vec::new();
            for ((tag, answer), standing) in left.iter().zip(answers).zip(standings) {
                if matches!(standing, EpochStanding::Good(_)) && !all {
                    continue;
                }
                // Another user may have written it since it was read.
                if !want.raising
                    && let Some(wanted) = want.retention
                {
                    may_write(link, &answer, wanted)?;
                }
                let epoch = self.anew(link, &answer, evicted, now, want.retention);
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
                    // Another user has written the epoch; it may be good enough.
                    Value::BulkString(_) => missed.push(tag),
                    Value::ServerError(error) => {
                        return Err(RedisFault::refused(&link.place, &error));
                    }
                    _ => return Err(RedisFault::odd(&link.place, "to a script")),
                }
            }
            left = missed;
        }
        Err(RedisFault::new(
            FaultRemedy::Retry,
            format!("others write to {} without an end", link.place),
        ))
    }

    /// Writes a new epoch for each tag of `node` whose epoch is not valid, and for every tag if one
    /// epoch is lost or `all` is set. Floors that rise tag by tag, each at the next claim, would
    /// refuse requests for much longer in total.
    pub(super) async fn settle_node(
        &self,
        link: &ServerLink,
        node: &Arc<Node>,
        now: Timestamp,
        all: bool,
    ) -> Result<(), RedisFault> {
        // Many claims can find the lost epochs at the same time. The first claim writes new epochs
        // under this lock, and the others then find them valid.
        let _settling = node.settling.lock().await;
        let tags = self.nodes.map().await?.tags(node);
        let want = EpochRequest { retention: self.own(), raising: true, all };
        self.settle(link, tags, now, want).await
    }

    /// Returns the epoch that replaces the one in `answer`, for a user that needs the retention
    /// `own`. Its floor excludes all requests whose nonces may be lost.
    pub(super) fn anew(
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
        // A floor never sinks, even if the writer's clock is late.
        let floor = old.map_or(floor, |old| old.floor.max(floor));
        Epoch { term: link.term().to_string(), floor, retention, evicted }
    }

    /// Judges a reading of `node`. If it shows that nonces may be lost, all floors rise before
    /// anything else is believed.
    pub(super) async fn notice(
        &self,
        link: &ServerLink,
        node: &Arc<Node>,
        look: &ServerReading,
        now: Timestamp,
    ) -> Result<(), RedisFault> {
        let Err(loss) = node.notice(link, look) else { return Ok(()) };
        self.settle_node(link, node, now, true).await?;
        node.settled(link, look);
        let reason = format!("{} may have forgotten nonces: {loss}", link.place);
        Err(RedisFault::new(FaultRemedy::GiveUp, reason))
    }
}

pub(super) fn read_epoch(link: &ServerLink, answer: &Value) -> Result<Option<Epoch>, RedisFault> {
    match answer {
        Value::BulkString(text) => Ok(Epoch::read(text)),
        Value::Nil => Ok(None),
        Value::ServerError(error) => Err(RedisFault::refused(&link.place, error)),
        _ => Err(RedisFault::odd(&link.place, "an epoch that is no text")),
    }
}

/// Checks that a user that needs the retention `wanted`, and may not raise the recorded one, may
/// replace the epoch in `answer`. It may replace an epoch of any term that records at least
/// `wanted`, and a missing epoch if the new one closes the store for at most `LONGEST_UNASKED`
/// seconds.
fn may_write(link: &ServerLink, answer: &Value, wanted: Retention) -> Result<(), RedisFault> {
    let recorded = read_epoch(link, answer)?.map(|epoch| epoch.retention);
    let retention_too_short = RetentionTooShort { recorded, wanted };
    match recorded {
        Some(recorded) if recorded.united(wanted) == recorded => Ok(()),
        None if retention_too_short.seconds() <= LONGEST_UNASKED => Ok(()),
        _ => Err(RedisFault::retention_too_short(retention_too_short)),
    }
}
