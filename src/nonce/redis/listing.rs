//! Lists and looks up the nonces on the servers, without changing them.

use std::sync::Arc;

use redis::{Pipeline, Value};

use super::engine::{EpochStanding, Epochs, MAX_TRIES, RedisEngine, read_epoch};
use super::fault::{FaultRemedy, RedisFault};
use super::link::ServerLink;
use super::nodes::Node;
use super::wire::{Tag, parse_listed};
use super::{BoxFuture, KnownNonce, Redis, Retention, StoreError};
use crate::clock::Timestamp;
use crate::nonce::{KeptNonce, ListCursor, NoncePage, StoreAdmin, StoreState};

/// The position at which the next page starts: the index of the primary, and its `SCAN` cursor.
struct ScanPosition {
    nodes: Arc<[Arc<Node>]>,
    at: usize,
    scan: String,
}

impl StoreAdmin for Redis {
    /// Lists the nonces of all primaries. While a server's table grows or shrinks, a nonce can be
    /// listed twice; a nonce in a slot that moves to another node can be left out.
    fn list(
        &self,
        now: Timestamp,
        from: Option<ListCursor>,
        limit: u32,
    ) -> BoxFuture<'_, Result<NoncePage, StoreError>> {
        let engine = Arc::clone(&self.engine);
        Box::pin(async move {
            let from = from.map(ListCursor::position::<ScanPosition>).transpose()?;
            self.run(async move { engine.page(now, from, limit).await }).await
        })
    }

    /// Returns `None`, because a Redis server removes ended nonces itself.
    fn prune(&self, _now: Timestamp) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Returns the highest floor (the moment up to which nonces may be lost) and the longest
    /// retention of all primaries.
    fn state(&self, now: Timestamp) -> BoxFuture<'_, Result<StoreState, StoreError>> {
        let engine = Arc::clone(&self.engine);
        Box::pin(self.run(async move { engine.state(now).await }))
    }
}

impl RedisEngine {
    /// Returns the latest time up to which nonces of any group may be lost, as in
    /// [`RedisEngine::floor`], and the longest retention that any epoch records, whether or not the
    /// epoch is valid.
    pub(super) async fn state(self: &Arc<Self>, now: Timestamp) -> Result<StoreState, RedisFault> {
        let engine = Arc::clone(self);
        let parts = self
            .everywhere(move |link, tags| {
                let engine = Arc::clone(&engine);
                async move { engine.about_tags(&link, &tags, now).await }
            })
            .await?;
        let floor = parts.iter().map(|part| part.floor).max();
        let floor = floor.unwrap_or(Timestamp::from_unix(i64::MAX));
        let retention = parts.into_iter().filter_map(|part| part.retention);
        Ok(StoreState { floor, retention: retention.reduce(Retention::united) })
    }

    async fn about_tags(
        &self,
        link: &ServerLink,
        tags: &[Tag],
        now: Timestamp,
    ) -> Result<StoreState, RedisFault> {
        let (mut floor, mut retention) = (Timestamp::from_unix(i64::MIN), None);
        let Epochs { answers, evicted } = self.epochs(link, tags).await?;
        for answer in answers {
            floor = floor.max(match self.judge_epoch(link, &answer, evicted)? {
                EpochStanding::Good(epoch) => epoch.floor,
                _ => self.replacement(link, &answer, evicted, now, self.own_retention()).floor,
            });
            if let Some(epoch) = read_epoch(link, &answer)? {
                let known = retention.unwrap_or(epoch.retention);
                retention = Some(epoch.retention.united(known));
            }
        }
        Ok(StoreState { floor, retention })
    }

    /// Looks up a nonce, and changes nothing.
    pub(super) async fn peek(
        self: &Arc<Self>,
        now: Timestamp,
        id: [u8; 32],
    ) -> Result<Option<KnownNonce>, RedisFault> {
        let key = self.settings.keys.claim(&id);
        let keep = self.longest();
        let mut tries = 0;
        loop {
            tries += 1;
            let map = self.nodes.map().await?;
            let once = async {
                let link = map.node(id[0])?.link(&self.settings).await?;
                let mut pipeline = Pipeline::new();
                pipeline.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
                let answers = link.ask(&pipeline).await?;
                if let Some(Value::ServerError(error)) =
                    answers.iter().find(|answer| matches!(answer, Value::ServerError(_)))
                {
                    return Err(RedisFault::refused(&link.place, error));
                }
                let read = match answers.as_slice() {
                    [value, ttl] => parse_listed(now, value, ttl, keep),
                    _ => None,
                };
                read.ok_or_else(|| RedisFault::malformed(&link.place, "a claim"))
            };
            match once.await {
                Err(fault) if fault.then != FaultRemedy::GiveUp && tries < MAX_TRIES => {
                    self.nodes.forget(&map);
                }
                answer => return answer,
            }
        }
    }

    async fn page(
        self: &Arc<Self>,
        now: Timestamp,
        from: Option<ScanPosition>,
        limit: u32,
    ) -> Result<NoncePage, RedisFault> {
        let ScanPosition { nodes, at, scan } = match from {
            Some(from) => from,
            None => {
                let parts = self.nodes.map().await?.parts()?;
                let nodes = parts.into_iter().map(|(node, _)| node).collect();
                ScanPosition { nodes, at: 0, scan: "0".to_owned() }
            }
        };
        let Some(node) = nodes.get(at) else {
            return Ok(NoncePage { kept: Vec::new(), next: None });
        };
        let link = node.link(&self.settings).await?;
        let odd = || RedisFault::malformed(&link.place, "to SCAN");
        let mut pipeline = Pipeline::new();
        let pattern = self.settings.keys.claims();
        pipeline.cmd("SCAN").arg(&scan).arg("MATCH").arg(pattern).arg("COUNT").arg(limit);
        let (scan, keys) = match link.ask(&pipeline).await?.into_iter().next() {
            Some(Value::Array(parts)) => match <[Value; 2]>::try_from(parts) {
                Ok([Value::BulkString(scan), Value::Array(keys)]) => (scan, keys),
                _ => return Err(odd()),
            },
            Some(Value::ServerError(error)) => {
                return Err(RedisFault::refused(&link.place, &error));
            }
            _ => return Err(odd()),
        };
        let scan = String::from_utf8(scan).map_err(|_| odd())?;
        let ids = keys.iter().filter_map(|key| match key {
            Value::BulkString(key) => self.settings.keys.id_of(key),
            _ => None,
        });
        let ids: Vec<[u8; 32]> = ids.collect();
        let mut pipeline = Pipeline::with_capacity(2 * ids.len());
        for id in &ids {
            let key = self.settings.keys.claim(id);
            pipeline.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
        }
        let mut kept = Vec::with_capacity(ids.len());
        let answers = if ids.is_empty() { Vec::new() } else { link.ask(&pipeline).await? };
        for (id, pair) in ids.into_iter().zip(answers.chunks_exact(2)) {
            let [value, ttl] = pair else { return Err(odd()) };
            for answer in [value, ttl] {
                if let Value::ServerError(error) = answer {
                    return Err(RedisFault::refused(&link.place, error));
                }
            }
            let seen = parse_listed(now, value, ttl, self.longest());
            let seen = seen.ok_or_else(|| RedisFault::malformed(&link.place, "a claim"))?;
            // The nonce may have expired after `SCAN` returned its key.
            if let Some(seen) = seen {
                kept.push(KeptNonce { id, first: seen.first, until: seen.until });
            }
        }
        let next = match scan.as_str() {
            "0" if at + 1 < nodes.len() => Some(ScanPosition { nodes, at: at + 1, scan }),
            "0" => None,
            _ => Some(ScanPosition { nodes, at, scan }),
        };
        Ok(NoncePage { kept, next: next.map(ListCursor::new) })
    }
}
