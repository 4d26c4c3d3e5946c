//! Renews the epochs while there are no claims.
//!
//! An epoch is a record on the server: from it the store detects that the server lost nonces (see
//! `redis.rs`). Each nonce belongs to one of 256 tags, and each tag has an epoch. An epoch expires
//! by the server's clock, sooner than any nonce of its tag that is still needed. So a server clock
//! that runs ahead and removes nonces too early removes the epoch too, and the missing epoch
//! reveals the loss. Every connected process renews the epochs, so that they expire for no other
//! reason. After a long time without a connected process the epochs are gone, and the next process
//! writes new ones as on a new server: requests from before that time are then refused.

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

/// The longest pause between two renewals.
const MAX_RENEWAL_INTERVAL: Duration = Duration::from_secs(10);

/// How often an epoch (a record that shows losses) is renewed within its lifetime. Several times,
/// because a renewal may fail.
const BEATS: u64 = 4;

/// Renews the epochs (records that show losses) of all servers, as soon as a user has said how long
/// it needs nonces kept. Never returns.
pub(super) async fn run(engine: Arc<RedisEngine>) {
    engine.registered.notified().await;
    loop {
        let budget = engine.settings.budget;
        if let Ok(Ok(map)) = timeout(budget, engine.nodes.map()).await {
            let beats = map.nodes().iter().map(|node| {
                let (engine, map, node) = (Arc::clone(&engine), Arc::clone(&map), Arc::clone(node));
                tokio::spawn(async move {
                    let failed = match timeout(budget, renew(&engine, &map, &node)).await {
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
        let lifetime = engine.own_retention().map_or(0, Epoch::lifetime);
        let pause = Duration::from_millis(u64::try_from(lifetime).unwrap_or(0) / BEATS);
        sleep(pause.clamp(Duration::from_secs(1), MAX_RENEWAL_INTERVAL)).await;
    }
}

/// Reads the epochs (records that show losses) on `node` and its clock as a claim does, replaces
/// epochs that are not valid, and renews the others. If one epoch is lost, none is renewed.
async fn renew(
    engine: &Arc<RedisEngine>,
    map: &TagMap,
    node: &Arc<Node>,
) -> Result<(), RedisFault> {
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
    link.apply_info(info, &engine.settings)?;
    let look = ServerReading::read(&link.place, asked, time, info)?;
    let now = engine.note_time(Timestamp::from_unix(i64::MIN));
    engine.notice(&link, node, &look, now).await?;
    let mut pipeline = Pipeline::with_capacity(tags.len());
    for (tag, epoch) in tags.iter().zip(epochs) {
        if let EpochStanding::Lost = engine.judge_epoch(&link, epoch, look.evicted)? {
            return engine.settle_node(&link, node, now, false).await;
        }
        // A cluster moved this epoch to the server together with its nonces, so it names another
        // primary's state (term). No nonce is lost, but the epoch is not renewed: the next claim
        // replaces it.
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
