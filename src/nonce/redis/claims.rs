//! Sending claims: requests to store a nonce if it is new. Claims that arrive while others are in
//! flight share one pipeline (several commands sent together), and a claim is repeated if it is
//! unknown whether the server received it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::engine::{EpochStanding, MAX_TRIES, RedisEngine};
use super::fault::{FaultRemedy, RedisFault};
use super::keep_alive;
use super::link::{ServerLink, counters, info};
use super::nodes::{Node, TagMap};
use super::watch::ServerReading;
use super::wire::{Tag, first, milliseconds};
use super::{Claim, StoreError};
use crate::clock::Timestamp;

/// Maximum number of nonces that one pipeline (several commands sent together) claims.
const MAX_BATCH: usize = 128;

/// Number of pipelines that are in flight at a time, if they are answered quickly. Claims that
/// arrive meanwhile share the next pipeline.
const UNDER_WAY: usize = 2;

/// Maximum time that a batch of claims waits for the answer to an earlier pipeline. A primary that
/// does not answer must not delay claims for other primaries.
const GATHERING: Duration = Duration::from_millis(1);

/// The pause before each repetition of a claim (a request to store a nonce if it is new). The first
/// repetition comes at once, because most lost connections can be opened again.
const PAUSES: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(200)];

/// A request to store a nonce if it is new, which has no answer yet.
pub(super) struct PendingClaim {
    pub(super) now: Timestamp,
    pub(super) until: Timestamp,
    pub(super) id: [u8; 32],
    /// The random value that the store writes for this nonce. By it the store recognizes that an
    /// earlier attempt of the same claim has set the key.
    pub(super) token: String,
    pub(super) due: Instant,
    pub(super) reply: oneshot::Sender<Result<Claim, StoreError>>,
    pub(super) tries: u32,
    /// Whether to extend the expiry of the key: an earlier attempt may have set it with a shorter
    /// retention than is known now.
    pub(super) extend: bool,
}

/// The result of one attempt to store a nonce if it is new.
enum ClaimOutcome {
    Done(Claim),
    /// The server records a longer retention than the one for which this claim was kept.
    KeptTooShort,
    /// Nonces in the group (tag) of the claimed nonce may be missing, so the group's record of
    /// losses (its epoch) has to be written anew first.
    Unsettled,
    Failed(RedisFault),
}

/// Answers claims (requests to store a nonce if it is new) until the store is dropped.
pub(super) async fn serve(
    engine: Arc<RedisEngine>,
    mut jobs: mpsc::UnboundedReceiver<PendingClaim>,
) {
    tokio::spawn(keep_alive::run(Arc::clone(&engine)));
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while jobs.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let permit = match Arc::clone(&under_way).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let waiting = timeout(GATHERING, Arc::clone(&under_way).acquire_owned());
                waiting.await.ok().and_then(Result::ok)
            }
        };
        while batch.len() < MAX_BATCH
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        // A claim whose caller has dropped its future needs no answer.
        batch.retain(|job| !job.reply.is_closed());
        let batch = std::mem::replace(&mut batch, Vec::with_capacity(MAX_BATCH));
        let routed = route(Arc::clone(&engine), batch);
        tokio::spawn(async move {
            routed.await;
            drop(permit);
        });
    }
}

/// Sends a claim at once in the caller's task if no other claim is in flight. With nothing to
/// batch, the queue would only cost time. This needs an open connection to a known primary, and an
/// identity of the server that was read recently. Otherwise returns `None`, and the caller sends
/// the same claim, with the same token, through the queue.
pub(super) async fn alone(
    engine: &RedisEngine,
    job: &mut PendingClaim,
) -> Option<Result<Claim, RedisFault>> {
    let map = engine.nodes.known_for_sure()?;
    let node = map.node(job.id[0]).ok()?;
    let link = node.current().filter(|link| link.is_identity_fresh())?;
    let keep = engine.keep().ok()?;
    let keys = &engine.settings.keys;
    let ms = milliseconds(job.now, job.until, keep)?;
    let mut pipeline = Pipeline::with_capacity(3);
    let set = pipeline.cmd("SET").arg(keys.claim(&job.id)).arg(&job.token);
    set.arg("NX").arg("GET").arg("PX").arg(ms);
    pipeline.cmd("GET").arg(keys.epoch(job.id[0])).cmd("TIME").add_command(counters());
    job.extend = true;
    let asked = std::time::Instant::now();
    let Ok(answers) = timeout_at(job.due, link.ask(&pipeline)).await else {
        node.drop_link();
        engine.nodes.forget(&map);
        return Some(Err(over_budget(engine)));
    };
    let answers = answers.ok()?;
    let [set, epoch, time, counters] = answers.as_slice() else { return None };
    let look = ServerReading::read(&link.place, asked, time, counters).ok()?;
    node.notice(&link, &look).ok()?;
    match judge(engine, &link, job, keep, set, epoch, look.evicted) {
        Ok(ClaimOutcome::Done(claim)) => Some(Ok(claim)),
        _ => None,
    }
}

/// Groups claims by the primary server that holds their nonces, and sends them.
async fn route(engine: Arc<RedisEngine>, jobs: Vec<PendingClaim>) {
    let Some(due) = jobs.iter().map(|job| job.due).min() else { return };
    let map = match timeout_at(due, engine.nodes.map()).await {
        Ok(Ok(map)) => map,
        Ok(Err(fault)) => return repeat(&engine, jobs, &fault),
        Err(_) => return repeat(&engine, jobs, &over_budget(&engine)),
    };
    let mut parts: Vec<(Arc<Node>, Vec<PendingClaim>)> = Vec::new();
    for job in jobs {
        let node = match map.node(job.id[0]) {
            Ok(node) => node,
            Err(fault) => {
                engine.nodes.forget(&map);
                repeat(&engine, vec![job], &fault);
                continue;
            }
        };
        match parts.iter_mut().find(|(known, _)| Arc::ptr_eq(known, node)) {
            Some((_, jobs)) => jobs.push(job),
            None => parts.push((Arc::clone(node), vec![job])),
        }
    }
    let last = parts.pop();
    for (node, jobs) in parts {
        tokio::spawn(attempt(Arc::clone(&engine), Arc::clone(&map), node, jobs));
    }
    if let Some((node, jobs)) = last {
        attempt(engine, map, node, jobs).await;
    }
}

async fn attempt(
    engine: Arc<RedisEngine>,
    map: Arc<TagMap>,
    node: Arc<Node>,
    jobs: Vec<PendingClaim>,
) {
    let Some(due) = jobs.iter().map(|job| job.due).min() else { return };
    let outcomes = match timeout_at(due, try_once(&engine, &map, &node, &jobs)).await {
        Ok(Ok(outcomes)) => outcomes,
        Ok(Err(fault)) => {
            if fault.then == FaultRemedy::Reconnect {
                engine.nodes.forget(&map);
            }
            return repeat(&engine, jobs, &fault);
        }
        Err(_) => {
            // A server that did not answer in time may be gone. Its connection is dropped, so that
            // the next claim looks for the current primary.
            node.drop_link();
            engine.nodes.forget(&map);
            return repeat(&engine, jobs, &over_budget(&engine));
        }
    };
    for (job, outcome) in jobs.into_iter().zip(outcomes) {
        match outcome {
            ClaimOutcome::Done(claim) => {
                let _gone = job.reply.send(Ok(claim));
            }
            ClaimOutcome::KeptTooShort => {
                let longer = RedisFault::new(
                    FaultRemedy::Retry,
                    "the store is to keep for longer than it did",
                );
                repeat(&engine, vec![job], &longer);
            }
            ClaimOutcome::Unsettled => {
                tokio::spawn(finish_claim(Arc::clone(&engine), Arc::clone(&node), job));
            }
            ClaimOutcome::Failed(fault) => {
                if fault.then == FaultRemedy::Reconnect {
                    node.drop_link();
                    engine.nodes.forget(&map);
                }
                repeat(&engine, vec![job], &fault);
            }
        }
    }
}

/// Sends one pipeline: the claims, then `GET` of the epochs of their tags, then `TIME` and the
/// counters. Because the epochs are read last, they reveal every loss of keys that happened before
/// a claim. Once a second, the epochs of all tags of the server are read, because a server clock
/// that ran ahead for a while may have removed only some of them.
async fn try_once(
    engine: &Arc<RedisEngine>,
    map: &TagMap,
    node: &Arc<Node>,
    jobs: &[PendingClaim],
) -> Result<Vec<ClaimOutcome>, RedisFault> {
    let link = node.link(&engine.settings).await?;
    let keep = engine.keep()?;
    let keys = &engine.settings.keys;
    let mut pipeline = Pipeline::new();
    let mut at = Vec::with_capacity(jobs.len());
    let mut count = 0;
    for job in jobs {
        let Some(ms) = milliseconds(job.now, job.until, keep) else {
            at.push(None);
            continue;
        };
        let key = keys.claim(&job.id);
        let set = pipeline.cmd("SET").arg(&key).arg(&job.token);
        set.arg("NX").arg("GET").arg("PX").arg(ms);
        at.push(Some(count));
        count += 1;
        if job.extend {
            // The expiry is extended even if the key has the token of another caller: keeping a
            // claim for longer does no harm.
            pipeline.cmd("PEXPIRE").arg(&key).arg(ms).arg("GT");
            count += 1;
        }
    }
    let whole = link.begin_identity_check();
    let mut tags: BTreeSet<Tag> = jobs.iter().map(|job| job.id[0]).collect();
    if whole {
        tags.extend(map.tags(node));
    }
    let first = count;
    for tag in &tags {
        pipeline.cmd("GET").arg(keys.epoch(*tag));
    }
    pipeline.cmd("TIME").add_command(if whole { info() } else { counters() });
    let asked = std::time::Instant::now();
    let answers = link.ask(&pipeline).await?;
    let [.., time, counters] = answers.as_slice() else {
        return Err(RedisFault::malformed(&link.place, "to claims"));
    };
    if whole {
        link.apply_info(counters, &engine.settings)?;
    }
    let latest = jobs.iter().map(|job| job.now).max().unwrap_or_default();
    let look = ServerReading::read(&link.place, asked, time, counters)?;
    engine.notice(&link, node, &look, latest).await?;
    let epochs: BTreeMap<Tag, &Value> = tags.into_iter().zip(&answers[first..]).collect();
    let lost = epochs.values().any(|epoch| {
        let standing = engine.judge_epoch(&link, epoch, look.evicted);
        standing.is_ok_and(|standing| matches!(standing, EpochStanding::Lost))
    });
    let judge = |(job, at): (&PendingClaim, Option<usize>)| {
        let set = at.and_then(|at| answers.get(at));
        let (Some(set), Some(epoch)) = (set, epochs.get(&job.id[0])) else {
            return ClaimOutcome::Failed(RedisFault::new(
                FaultRemedy::GiveUp,
                "the times are out of reach",
            ));
        };
        match judge(engine, &link, job, keep, set, epoch, look.evicted) {
            Ok(ClaimOutcome::Done(Claim::Fresh { .. })) if lost => ClaimOutcome::Unsettled,
            judged => judged.unwrap_or_else(ClaimOutcome::Failed),
        }
    };
    Ok(jobs.iter().zip(at).map(judge).collect())
}

fn judge(
    engine: &RedisEngine,
    link: &ServerLink,
    job: &PendingClaim,
    keep: i64,
    set: &Value,
    epoch: &Value,
    evicted: u64,
) -> Result<ClaimOutcome, RedisFault> {
    match set {
        // Fresh: the key was missing, or has our own token from an earlier attempt whose answer was
        // lost.
        Value::Nil => {}
        Value::BulkString(held) if *held == job.token.as_bytes() => {}
        Value::BulkString(held) => {
            return Ok(ClaimOutcome::Done(Claim::Replayed { first: first(held) }));
        }
        Value::ServerError(error) => return Err(RedisFault::refused(&link.place, error)),
        _ => return Err(RedisFault::malformed(&link.place, "to a claim")),
    }
    Ok(match engine.judge_epoch(link, epoch, evicted)? {
        EpochStanding::Other | EpochStanding::Lost => ClaimOutcome::Unsettled,
        EpochStanding::Good(epoch) if epoch.retention.keep() > keep => ClaimOutcome::KeptTooShort,
        EpochStanding::Good(epoch) => {
            let floor = epoch.floor.max(engine.horizon(job.now));
            ClaimOutcome::Done(Claim::Fresh { floor })
        }
    })
}

/// Answers the claim with an error, because the record that shows losses (the epoch) is missing or
/// not valid. Before that, writes new epochs for all groups (tags) of nonces on `node`. A later
/// request is judged by their floors: the times up to which nonces may be lost.
async fn finish_claim(engine: Arc<RedisEngine>, node: Arc<Node>, job: PendingClaim) {
    let settled = async {
        let link = node.link(&engine.settings).await?;
        engine.settle_node(&link, &node, job.now, false).await
    };
    let fault = match timeout_at(job.due, settled).await {
        Ok(Ok(())) => RedisFault::new(
            FaultRemedy::GiveUp,
            "the store may have forgotten nonces; it has a new floor now",
        ),
        Ok(Err(fault)) => fault,
        Err(_) => over_budget(&engine),
    };
    let _gone = job.reply.send(Err(fault.error()));
}

/// Repeats those claims (requests to store a nonce if it is new) for which `fault` permits it. The
/// others are answered with the error.
fn repeat(engine: &Arc<RedisEngine>, jobs: Vec<PendingClaim>, fault: &RedisFault) {
    let now = Instant::now();
    let mut later: BTreeMap<Duration, Vec<PendingClaim>> = BTreeMap::new();
    for mut job in jobs {
        let pause = usize::try_from(job.tries).ok().and_then(|tries| PAUSES.get(tries)).copied();
        job.tries += 1;
        job.extend = true;
        match pause.filter(|pause| now + *pause < job.due) {
            Some(pause) if fault.then != FaultRemedy::GiveUp && job.tries < MAX_TRIES => {
                later.entry(pause).or_default().push(job);
            }
            _ => {
                let _gone = job.reply.send(Err(fault.error()));
            }
        }
    }
    for (pause, jobs) in later {
        let engine = Arc::clone(engine);
        // Boxed, because `route` calls itself here through this future.
        let retry: super::BoxFuture<'static, ()> = Box::pin(async move {
            sleep(pause).await;
            route(engine, jobs).await;
        });
        tokio::spawn(retry);
    }
}

fn over_budget(engine: &RedisEngine) -> RedisFault {
    let budget = engine.settings.budget.as_millis();
    RedisFault::new(FaultRemedy::GiveUp, format!("no answer within {budget} ms"))
}
