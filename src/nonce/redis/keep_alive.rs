//! Keeps the epochs alive while no claims come.
//!
//! An epoch ends by the server's clock, sooner than any nonce below it that could still be shown
//! again. So a clock that ends nonces early ends epochs too; and a user that claims keeps them from
//! ending otherwise. Where no user is connected for that long, the epochs are gone, and the next
//! one that comes has to write floors, as if the server were new.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Pipeline, Value};
use tokio::time::{sleep, timeout};

use super::engine::{EpochStanding, RedisEngine};
use super::fault::{FaultRemedy, RedisFault};
use super::link::info;
use super::nodes::{Node, TagMap};
use super::watch::ServerReading;
use super::wire::Epoch;
use crate::clock::Timestamp;

/// The longest pause between two beats.
const LONGEST: Duration = Duration::from_secs(10);

/// Beats within the life of an epoch, so that some may fail.
const BEATS: u64 = 4;

/// Keeps the epochs of all nodes alive from the first registration on, for ever.
pub(super) async fn run(engine: Arc<RedisEngine>) {
    engine.registered.notified().await;
    loop {
        let budget = engine.settings.budget;
        if let Ok(Ok(map)) = timeout(budget, engine.nodes.map()).await {
            let beats = map.nodes().iter().map(|node| {
                let (engine, map, node) = (Arc::clone(&engine), Arc::clone(&map), Arc::clone(node));
                tokio::spawn(async move {
                    let failed = match timeout(budget, beat(&engine, &map, &node)).await {
                        Ok(outcome) => {
                            outcome.is_err_and(|fault| fault.then == FaultRemedy::Reconnect)
                        }
                        Err(_) => {
                            node.drop_link();
                            true
                        }
                    };
                    if failed {
                        engine.nodes.forget(&map);
                    }
                })
            });
            for beat in beats.collect::<Vec<_>>() {
                let _ended = beat.await;
            }
        }
        let lifetime = engine.own().map_or(0, Epoch::lifetime);
        let pause = Duration::from_millis(u64::try_from(lifetime).unwrap_or(0) / BEATS);
        sleep(pause.clamp(Duration::from_secs(1), LONGEST)).await;
    }
}

/// Reads the same state as a claim would, settles the tags that need it, and renews the epochs of
/// `node`: all of them, or none if one is lost.
async fn beat(engine: &Arc<RedisEngine>, map: &TagMap, node: &Arc<Node>) -> Result<(), RedisFault> {
    let link = node.link(&engine.settings).await?;
    let tags = map.tags(node);
    let mut pipeline = Pipeline::with_capacity(tags.len() + 2);
    for tag in &tags {
        pipeline.cmd("GET").arg(engine.settings.keys.epoch(*tag));
    }
    pipeline.cmd("TIME").add_command(info());
    let asked = Instant::now();
    let answers = link.ask(&pipeline).await?;
    let [epochs @ .., time, info] = answers.as_slice() else { return Ok(()) };
    link.learn(info, &engine.settings)?;
    let look = ServerReading::read(&link.place, asked, time, info)?;
    let now = engine.note_time(Timestamp::from_unix(i64::MIN));
    engine.notice(&link, node, &look, now).await?;
    let mut pipeline = Pipeline::with_capacity(tags.len());
    for (tag, epoch) in tags.iter().zip(epochs) {
        if let EpochStanding::Lost = engine.standing(&link, epoch, look.evicted)? {
            return engine.settle_node(&link, node, now, false).await;
        }
        // An epoch of another term is not used, but not lost either: its slot has moved to this
        // server.
        if let Value::BulkString(text) = epoch
            && let Some(epoch) = Epoch::read(text)
        {
            let key = engine.settings.keys.epoch(*tag);
            pipeline.cmd("PEXPIRE").arg(key).arg(Epoch::lifetime(epoch.retention));
        }
    }
    let answers = if pipeline.is_empty() { Vec::new() } else { link.ask(&pipeline).await? };
    match answers.iter().find(|answer| matches!(answer, Value::ServerError(_))) {
        Some(Value::ServerError(error)) => Err(RedisFault::refused(&link.place, error)),
        _ => Ok(()),
    }
}
