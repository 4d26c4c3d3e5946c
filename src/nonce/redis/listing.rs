//! What the servers hold, page by page: for people who look, and not for judging.

use std::sync::Arc;

use redis::{Pipeline, Value};

use super::engine::{Engine, Epochs, Standing, TRIES, read_epoch};
use super::fault::{Fault, Then};
use super::link::Link;
use super::places::Node;
use super::wire::{Tag, seen};
use super::{BoxFuture, Redis, Retention, Seen, StoreError};
use crate::clock::Timestamp;
use crate::nonce::{About, Kept};

/// Where a [`Page`] ended: in which of the primaries, and at what their `SCAN` calls its cursor.
pub struct Cursor {
    nodes: Arc<[Arc<Node>]>,
    at: usize,
    scan: String,
}

/// Some nonces that are kept, in no order, and where the next ones are.
#[non_exhaustive]
pub struct Page {
    /// Perhaps none, though there are more.
    pub kept: Vec<Kept>,
    /// Where to go on; none behind the last one.
    pub next: Option<Cursor>,
}

impl Redis {
    /// Some `limit` nonces that are kept at `now`, from all primaries; from the first, or from
    /// where a page ended. Only reads, and holds up no claim for longer than a page takes.
    ///
    /// What is there from the first page to the last one is listed. While a server's table grows or
    /// shrinks, a nonce can be listed twice; one in a slot that moves to another node can be left
    /// out.
    ///
    /// # Errors
    /// [`StoreError`] where a primary cannot be reached.
    pub fn list(
        &self,
        now: Timestamp,
        from: Option<Cursor>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Page, StoreError>> {
        let engine = Arc::clone(&self.engine);
        Box::pin(self.run(async move { engine.page(now, from, limit).await }))
    }

    /// Floor and retention as they stand, taken over all that the primaries hold.
    ///
    /// # Errors
    /// [`StoreError`] where a primary cannot be reached.
    pub fn about(&self, now: Timestamp) -> BoxFuture<'_, Result<About, StoreError>> {
        let engine = Arc::clone(&self.engine);
        Box::pin(self.run(async move { engine.about(now).await }))
    }
}

impl Engine {
    /// The highest floor of all tags, as in [`Engine::floor`], and the longest retention that any tag has recorded, whatever its term.
    pub(super) async fn about(self: &Arc<Self>, now: Timestamp) -> Result<About, Fault> {
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
        Ok(About { floor, retention: retention.reduce(Retention::united) })
    }

    async fn about_tags(&self, link: &Link, tags: &[Tag], now: Timestamp) -> Result<About, Fault> {
        let (mut floor, mut retention) = (Timestamp::from_unix(i64::MIN), None);
        let Epochs { answers, evicted } = self.epochs(link, tags).await?;
        for answer in answers {
            floor = floor.max(match self.standing(link, &answer, evicted)? {
                Standing::Good(epoch) => epoch.floor,
                _ => self.anew(link, &answer, evicted, now, self.own()).floor,
            });
            if let Some(epoch) = read_epoch(link, &answer)? {
                let known = retention.unwrap_or(epoch.retention);
                retention = Some(epoch.retention.united(known));
            }
        }
        Ok(About { floor, retention })
    }

    /// Looks for a claim, and changes nothing.
    pub(super) async fn peek(
        self: &Arc<Self>,
        now: Timestamp,
        id: [u8; 32],
    ) -> Result<Option<Seen>, Fault> {
        let key = self.settings.keys.claim(&id);
        let keep = self.longest();
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

    async fn page(
        self: &Arc<Self>,
        now: Timestamp,
        from: Option<Cursor>,
        limit: u32,
    ) -> Result<Page, Fault> {
        let Cursor { nodes, at, scan } = match from {
            Some(from) => from,
            None => {
                let parts = self.places.map().await?.parts()?;
                let nodes = parts.into_iter().map(|(node, _)| node).collect();
                Cursor { nodes, at: 0, scan: "0".to_owned() }
            }
        };
        let Some(node) = nodes.get(at) else { return Ok(Page { kept: Vec::new(), next: None }) };
        let link = node.link(&self.settings).await?;
        let odd = || Fault::odd(&link.place, "to SCAN");
        let mut pipeline = Pipeline::new();
        let pattern = self.settings.keys.claims();
        pipeline.cmd("SCAN").arg(&scan).arg("MATCH").arg(pattern).arg("COUNT").arg(limit);
        let (scan, keys) = match link.ask(&pipeline).await?.into_iter().next() {
            Some(Value::Array(parts)) => match <[Value; 2]>::try_from(parts) {
                Ok([Value::BulkString(scan), Value::Array(keys)]) => (scan, keys),
                _ => return Err(odd()),
            },
            Some(Value::ServerError(error)) => return Err(Fault::refused(&link.place, &error)),
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
                    return Err(Fault::refused(&link.place, error));
                }
            }
            let seen = seen(now, value, ttl, self.longest());
            let seen = seen.ok_or_else(|| Fault::odd(&link.place, "a claim"))?;
            // It may have ended since its name was given.
            if let Some(seen) = seen {
                kept.push(Kept { id, first: seen.first, until: seen.until });
            }
        }
        let next = match scan.as_str() {
            "0" if at + 1 < nodes.len() => Some(Cursor { nodes, at: at + 1, scan }),
            "0" => None,
            _ => Some(Cursor { nodes, at, scan }),
        };
        Ok(Page { kept, next })
    }
}
