//! What is asked, and what the answers mean.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Pipeline, Value};
use tokio::task::JoinSet;

use super::fault::{Fault, Then};
use super::link::{Link, Step};
use super::places::{Node, Places};
use super::settings::Settings;
use super::wire::{COMPARE_AND_SET, Epoch, Tag, seen};
use super::{Retention, Seen};
use crate::clock::Timestamp;

/// How often a question is asked where the connection fails or another one is the primary by now.
pub(super) const TRIES: u32 = 4;

/// How often an epoch is written while others write it, too.
const ROUNDS: u32 = 8;

/// What all tasks share.
pub(super) struct Engine {
    pub(super) settings: Arc<Settings>,
    pub(super) places: Arc<Places>,
    kept: Mutex<Kept>,
}

/// How long claims are kept.
#[derive(Clone, Copy)]
struct Kept {
    /// What users of this handle asked for.
    own: Option<Retention>,
    /// That and what was read in epochs.
    known: Retention,
}

/// What an epoch says about the claims of its tag.
pub(super) enum Standing {
    /// They can be relied on.
    Good(Epoch),
    /// It has to be written first, as it is missing, of another term, or for a shorter retention.
    Bad,
}

impl Engine {
    pub(super) fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let places = Arc::new(Places::new(Arc::clone(&settings)));
        let kept = Mutex::new(Kept { own: None, known: Retention::new(0, 0) });
        Engine { settings, places, kept }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how many seconds claims are kept, if anybody said so.
    pub(super) fn keep(&self) -> Result<i64, Fault> {
        let kept = *self.kept();
        let unsaid = || Fault::new(Then::GiveUp, "nobody said how long claims must be kept");
        kept.own.map(|_| kept.known.keep()).ok_or_else(unsaid)
    }

    /// What the epoch that was read on `link` is worth.
    pub(super) fn standing(&self, link: &Link, answer: &Value) -> Result<Standing, Fault> {
        let epoch = match answer {
            Value::BulkString(text) => Epoch::read(text),
            Value::Nil => None,
            Value::ServerError(error) => return Err(Fault::refused(&link.place, error)),
            _ => return Err(Fault::odd(&link.place, "an epoch that is no text")),
        };
        let Some(epoch) = epoch.filter(|epoch| *epoch.term == *link.term()) else {
            return Ok(Standing::Bad);
        };
        let mut kept = self.kept();
        kept.known = kept.known.united(epoch.retention);
        let own = kept.own.unwrap_or(epoch.retention);
        let long_enough = epoch.retention.united(own) == epoch.retention;
        Ok(if long_enough { Standing::Good(epoch) } else { Standing::Bad })
    }

    /// Sees to it that everything is kept for `retention` from now on.
    pub(super) async fn register(
        self: &Arc<Self>,
        now: Timestamp,
        retention: Retention,
    ) -> Result<(), Fault> {
        {
            let mut kept = self.kept();
            kept.own = Some(kept.own.map_or(retention, |own| own.united(retention)));
            kept.known = kept.known.united(retention);
        }
        let engine = Arc::clone(self);
        self.everywhere(move |link, tags| {
            let engine = Arc::clone(&engine);
            async move { engine.settle(&link, tags, now, false).await }
        })
        .await
        .map(|_| ())
    }

    /// The highest floor of all tags. Where an epoch has to be written before the next claim, its
    /// floor is the one that it would be given now.
    pub(super) async fn floor(self: &Arc<Self>, now: Timestamp) -> Result<Timestamp, Fault> {
        let engine = Arc::clone(self);
        let floors = self
            .everywhere(move |link, tags| {
                let engine = Arc::clone(&engine);
                async move { engine.floor_of(&link, &tags, now).await }
            })
            .await?;
        Ok(floors.into_iter().max().unwrap_or(Timestamp::from_unix(i64::MAX)))
    }

    async fn floor_of(
        &self,
        link: &Link,
        tags: &[Tag],
        now: Timestamp,
    ) -> Result<Timestamp, Fault> {
        let mut floor = Timestamp::from_unix(i64::MIN);
        for answer in self.epochs(link, tags).await? {
            floor = floor.max(match self.standing(link, &answer)? {
                Standing::Good(epoch) => epoch.floor,
                Standing::Bad => self.anew(link, &answer, now).floor,
            });
        }
        Ok(floor)
    }

    /// Looks for a claim, and changes nothing.
    pub(super) async fn peek(
        self: &Arc<Self>,
        now: Timestamp,
        id: [u8; 32],
    ) -> Result<Option<Seen>, Fault> {
        let key = self.settings.keys.claim(&id);
        let keep = self.kept().known.keep();
        let mut tries = 0;
        loop {
            tries += 1;
            let map = self.places.map().await?;
            let once = async {
                let link = map.node(id[0])?.link(&self.settings).await?;
                let mut pipeline = Pipeline::new();
                pipeline.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
                let answers = link.ask(&pipeline).await?;
                if let Some(Value::ServerError(error)) =
                    answers.iter().find(|answer| matches!(answer, Value::ServerError(_)))
                {
                    return Err(Fault::refused(&link.place, error));
                }
                let read = match answers.as_slice() {
                    [value, ttl] => seen(now, value, ttl, keep),
                    _ => None,
                };
                read.ok_or_else(|| Fault::odd(&link.place, "a claim"))
            };
            match once.await {
                Err(fault) if fault.then != Then::GiveUp && tries < TRIES => {
                    self.places.forget(&map);
                }
                answer => return answer,
            }
        }
    }

    /// Asks all primaries at once, each for the tags that it holds.
    async fn everywhere<T, F, A>(self: &Arc<Self>, ask: F) -> Result<Vec<T>, Fault>
    where
        T: Send + 'static,
        F: Fn(Arc<Link>, Vec<Tag>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<T, Fault>> + Send,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let map = self.places.map().await?;
            let all = async {
                let mut asked = JoinSet::new();
                for (node, tags) in map.parts()? {
                    let (ask, settings) = (ask.clone(), Arc::clone(&self.settings));
                    asked.spawn(async move { ask(node.link(&settings).await?, tags).await });
                }
                let mut answers = Vec::new();
                while let Some(answer) = asked.join_next().await {
                    let broken = |_| Fault::new(Then::GiveUp, "a task of the store broke");
                    answers.push(answer.map_err(broken)??);
                }
                Ok::<_, Fault>(answers)
            };
            match all.await {
                Err(fault) if fault.then != Then::GiveUp && tries < TRIES => {
                    self.places.forget(&map);
                }
                answers => return answers,
            }
        }
    }

    async fn epochs(&self, link: &Link, tags: &[Tag]) -> Result<Vec<Value>, Fault> {
        let mut pipeline = Pipeline::with_capacity(tags.len());
        for tag in tags {
            pipeline.cmd("GET").arg(self.settings.keys.epoch(*tag));
        }
        link.ask(&pipeline).await
    }

    /// Writes the epochs of `tags` that need it, or, where it is not known what was forgotten,
    /// all of them.
    pub(super) async fn settle(
        &self,
        link: &Link,
        tags: Vec<Tag>,
        now: Timestamp,
        all: bool,
    ) -> Result<(), Fault> {
        let mut left = tags;
        for _ in 0..ROUNDS {
            if left.is_empty() {
                return Ok(());
            }
            let mut pipeline = Pipeline::new();
            let mut written = Vec::new();
            for (tag, answer) in left.iter().zip(self.epochs(link, &left).await?) {
                if matches!(self.standing(link, &answer)?, Standing::Good(_)) && !all {
                    continue;
                }
                let text = self.anew(link, &answer, now).text();
                let held = if let Value::BulkString(held) = answer { held } else { Vec::new() };
                let eval = pipeline.cmd("EVAL").arg(COMPARE_AND_SET).arg(1);
                eval.arg(self.settings.keys.epoch(*tag)).arg(held).arg(&text);
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
                    // Somebody else wrote it. It may do.
                    Value::BulkString(_) => missed.push(tag),
                    Value::ServerError(error) => return Err(Fault::refused(&link.place, &error)),
                    _ => return Err(Fault::odd(&link.place, "to a script")),
                }
            }
            left = missed;
        }
        Err(Fault::new(Then::Retry, format!("others write to {} without an end", link.place)))
    }

    /// Settles all tags that `node` holds. What one of them shows holds for the others, and floors
    /// that rise one by one, when a claim comes by, would refuse for much longer in all.
    pub(super) async fn settle_node(
        &self,
        link: &Link,
        node: &Arc<Node>,
        now: Timestamp,
        all: bool,
    ) -> Result<(), Fault> {
        // Many claims find out at once; behind the first one there is nothing left to write.
        let _settling = node.settling.lock().await;
        let map = self.places.map().await?;
        let parts = map.parts()?.into_iter();
        let tags = parts.filter(|(other, _)| Arc::ptr_eq(other, node)).flat_map(|(_, tags)| tags);
        self.settle(link, tags.collect(), now, all).await
    }

    /// The epoch to be written where `answer` is: past everything that can have been forgotten.
    fn anew(&self, link: &Link, answer: &Value, now: Timestamp) -> Epoch {
        let old = if let Value::BulkString(text) = answer { Epoch::read(text) } else { None };
        let own = self.kept().own.unwrap_or(Retention::new(0, 0));
        let retention = old.as_ref().map_or(own, |old| old.retention.united(own));
        let floor = retention.floor_when_raised(now);
        // A floor never sinks, whatever the clock of who writes it.
        let floor = old.map_or(floor, |old| old.floor.max(floor));
        Epoch { term: link.term().to_string(), floor, retention }
    }

    /// Takes in an answer to `TIME`. Where the server's clock stepped forward, claims may have
    /// ended early: all floors rise before anything else is believed.
    pub(super) async fn tick(
        &self,
        link: &Link,
        node: &Arc<Node>,
        answer: &Value,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let reading = match link.tick(answer) {
            Ok(()) => return Ok(()),
            Err(Step::Fault(fault)) => return Err(fault),
            Err(Step::Forward(reading)) => reading,
        };
        self.settle_node(link, node, now, true).await?;
        link.accept_clock(reading);
        Err(Fault::new(Then::GiveUp, format!("the clock of {} stepped forward", link.place)))
    }
}
