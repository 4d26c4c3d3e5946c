//! Finds the server that holds each tag (each of the 256 groups of nonces): a single server, the
//! primary that the Sentinels name, or one of the primaries of a cluster.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fault::{FaultRemedy, RedisFault};
use super::link::{ServerLink, ask_once};
use super::settings::RedisSettings;
use super::watch::{NonceLoss, ServerReading, ServerWatch};
use super::wire::{Tag, slot};
use crate::nonce::url::{ServerAddress, Topology};

/// The time to wait for the other Sentinels once one has answered.
const OTHER_SENTINELS_WAIT: Duration = Duration::from_millis(200);

/// How long an answer of the Sentinels is used before they are asked again. A primary that was
/// replaced while it was unreachable does not know of its replacement, and still answers.
const TRUSTED: Duration = Duration::from_secs(1);

/// A primary server, with or without an open connection.
pub(super) struct Node {
    address: ServerAddress,
    /// Locked by the task that connects, while other tasks wait for its connection.
    connecting: tokio::sync::Mutex<()>,
    /// Locked by the task that replaces the epochs (records that show losses) on this server.
    pub(super) settling: tokio::sync::Mutex<()>,
    current: Mutex<Option<Arc<ServerLink>>>,
    /// The clock and counter readings of this server so far, also from earlier connections.
    watch: Mutex<Option<ServerWatch>>,
}

impl Node {
    fn new(address: ServerAddress) -> Arc<Self> {
        let (connecting, settling) = Default::default();
        let (current, watch) = Default::default();
        Arc::new(Node { address, connecting, settling, current, watch })
    }

    /// Returns the connection, if one is open.
    pub(super) fn current(&self) -> Option<Arc<ServerLink>> {
        lock(&self.current).clone().filter(|link| !link.is_dead())
    }

    /// Returns the connection, and opens a new one if needed.
    pub(super) async fn link(
        &self,
        settings: &RedisSettings,
    ) -> Result<Arc<ServerLink>, RedisFault> {
        if let Some(link) = self.current() {
            return Ok(link);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(link) = self.current() {
            return Ok(link);
        }
        let link = Arc::new(ServerLink::connect(&self.address, settings).await?);
        *lock(&self.current) = Some(Arc::clone(&link));
        Ok(link)
    }

    /// Compares a reading of the server's clock and counters with the earlier readings.
    ///
    /// # Errors
    /// [`NonceLoss`] if this reading or an earlier one shows that nonces may be lost, until
    /// [`Node::floors_raised`] is called.
    pub(super) fn notice(&self, link: &ServerLink, look: &ServerReading) -> Result<(), NonceLoss> {
        let mut watch = lock(&self.watch);
        match watch.as_mut().filter(|watch| watch.is_of(&link.term())) {
            Some(watch) => watch.take(look).map_or(Ok(()), Err),
            None => {
                *watch = Some(ServerWatch::new(link.term(), look));
                Ok(())
            }
        }
    }

    /// Records that requests whose nonces were lost when `look` was read are refused from now on.
    pub(super) fn floors_raised(&self, link: &ServerLink, look: &ServerReading) {
        *lock(&self.watch) = Some(ServerWatch::new(link.term(), look));
    }

    /// Drops the connection.
    pub(super) fn drop_link(&self) {
        if let Some(link) = lock(&self.current).take() {
            link.mark_dead();
        }
    }
}

/// A server and the groups (tags) of nonces that it holds.
pub(super) type NodeTags = (Arc<Node>, Vec<Tag>);

/// Which server holds each group (tag) of nonces.
pub(super) struct TagMap {
    nodes: Vec<Arc<Node>>,
    /// For each group (tag) of nonces, the index of its server in `nodes`.
    of: Vec<Option<usize>>,
    found: Instant,
}

impl TagMap {
    fn single(node: Arc<Node>) -> Self {
        TagMap { nodes: vec![node], of: vec![Some(0); 256], found: Instant::now() }
    }

    pub(super) fn node(&self, tag: Tag) -> Result<&Arc<Node>, RedisFault> {
        let node = self.of.get(usize::from(tag)).copied().flatten();
        node.and_then(|node| self.nodes.get(node)).ok_or_else(|| {
            RedisFault::new(
                FaultRemedy::Reconnect,
                "a part of the cluster has no primary at present",
            )
        })
    }

    /// Returns the servers that hold groups of nonces.
    pub(super) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// Returns the groups (tags) of nonces that `node` holds.
    pub(super) fn tags(&self, node: &Arc<Node>) -> Vec<Tag> {
        let at = self.nodes.iter().position(|known| Arc::ptr_eq(known, node));
        let holds = |(_, of): &(Tag, &Option<usize>)| of.is_some() && **of == at;
        (0..=Tag::MAX).zip(&self.of).filter(holds).map(|(tag, _)| tag).collect()
    }

    /// Returns all servers that hold groups (tags) of nonces, each with its groups.
    ///
    /// # Errors
    /// [`RedisFault`] if no server holds one of the groups.
    pub(super) fn parts(&self) -> Result<Vec<NodeTags>, RedisFault> {
        (0..=Tag::MAX).try_for_each(|tag| self.node(tag).map(drop))?;
        Ok(self.nodes.iter().map(|node| (Arc::clone(node), self.tags(node))).collect())
    }
}

/// Finds which server holds each group (tag) of nonces, and keeps the result until it proves wrong.
pub(super) struct NodeFinder {
    settings: Arc<RedisSettings>,
    map: Mutex<Option<Arc<TagMap>>>,
    /// The servers in the latest map of the cluster. When the map is read again, servers that are
    /// still in it keep their connections.
    nodes: Mutex<Vec<Arc<Node>>>,
    finding: tokio::sync::Mutex<()>,
    checking: AtomicBool,
}

impl NodeFinder {
    pub(super) fn new(settings: Arc<RedisSettings>) -> Self {
        let (map, nodes) = (Mutex::default(), Mutex::default());
        let finding = tokio::sync::Mutex::default();
        NodeFinder { settings, map, nodes, finding, checking: AtomicBool::new(false) }
    }

    /// Returns which server holds each group (tag) of nonces, and finds it out again if needed.
    pub(super) async fn map(self: &Arc<Self>) -> Result<Arc<TagMap>, RedisFault> {
        if let Some(map) = self.current_map() {
            self.check(&map);
            return Ok(map);
        }
        let _finding = self.finding.lock().await;
        if let Some(map) = self.current_map() {
            return Ok(map);
        }
        Ok(self.store_map(self.find().await?))
    }

    /// Returns which server holds each group (tag) of nonces, if that is known. With Sentinel, it
    /// must also have been found out recently: otherwise the Sentinels must be asked first.
    pub(super) fn known_for_sure(&self) -> Option<Arc<TagMap>> {
        let asked = matches!(self.settings.url.topology, Topology::Sentinel { .. });
        self.current_map().filter(|map| !asked || map.found.elapsed() < TRUSTED)
    }

    /// Drops `wrong`, a map that may be outdated, if it is still in use.
    pub(super) fn forget(&self, wrong: &Arc<TagMap>) {
        // The map of a single server never changes.
        if self.settings.url.topology != Topology::Single {
            lock(&self.map).take_if(|map| Arc::ptr_eq(map, wrong));
        }
    }

    /// Ends all connections, after a server did not answer in time.
    pub(super) fn drop_links(&self) {
        lock(&self.nodes).iter().for_each(|node| node.drop_link());
        if self.settings.url.topology != Topology::Single {
            lock(&self.map).take();
        }
    }

    fn current_map(&self) -> Option<Arc<TagMap>> {
        lock(&self.map).clone()
    }

    fn node(&self, address: &ServerAddress) -> Arc<Node> {
        let nodes = lock(&self.nodes);
        let known = nodes.iter().find(|node| node.address == *address);
        known.map_or_else(|| Node::new(address.clone()), Arc::clone)
    }

    /// Stores `map` as the current map. The connections to servers that are not in it are dropped.
    fn store_map(&self, map: TagMap) -> Arc<TagMap> {
        let mut nodes = lock(&self.nodes);
        for gone in nodes.iter().filter(|old| !map.nodes.iter().any(|new| Arc::ptr_eq(old, new))) {
            gone.drop_link();
        }
        nodes.clone_from(&map.nodes);
        let map = Arc::new(map);
        *lock(&self.map) = Some(Arc::clone(&map));
        map
    }

    async fn find(&self) -> Result<TagMap, RedisFault> {
        match &self.settings.url.topology {
            Topology::Single => match self.settings.url.addresses.as_slice() {
                [address, ..] => Ok(TagMap::single(self.node(address))),
                [] => Err(RedisFault::new(FaultRemedy::GiveUp, "no server is named")),
            },
            Topology::Sentinel { master } => {
                let address = ask_sentinels(&self.settings, master).await?;
                Ok(TagMap::single(self.node(&address)))
            }
            Topology::Cluster => self.ask_cluster().await,
        }
    }

    /// Asks the Sentinels again in the background, if their last answer is old.
    fn check(self: &Arc<Self>, map: &Arc<TagMap>) {
        let Topology::Sentinel { master } = &self.settings.url.topology else { return };
        if map.found.elapsed() < TRUSTED || self.checking.swap(true, Ordering::SeqCst) {
            return;
        }
        let (nodes, map, master) = (Arc::clone(self), Arc::clone(map), master.clone());
        tokio::spawn(async move {
            let asking = ask_sentinels(&nodes.settings, &master);
            // If no Sentinel answers, the known primary is still used.
            let found = timeout(nodes.settings.budget, asking).await.ok().and_then(Result::ok);
            // The answer is used only if no other task has replaced the map in the meantime.
            if let Some(address) = found
                && nodes.current_map().is_some_and(|known| Arc::ptr_eq(&known, &map))
            {
                nodes.store_map(TagMap::single(nodes.node(&address)));
            }
            nodes.checking.store(false, Ordering::SeqCst);
        });
    }

    /// Returns the map that the first answering node gives. If that map is outdated, the servers in
    /// it will redirect commands.
    async fn ask_cluster(&self) -> Result<TagMap, RedisFault> {
        let mut asked = JoinSet::new();
        for address in self.settings.url.addresses.clone() {
            let settings = Arc::clone(&self.settings);
            asked.spawn(async move {
                let mut command = redis::cmd("CLUSTER");
                command.arg("SLOTS");
                let answer = ask_once(&address, &settings, true, &command).await;
                answer.and_then(|slots| {
                    slots_of(&address, &slots)
                        .ok_or_else(|| RedisFault::malformed(&address, "CLUSTER SLOTS"))
                })
            });
        }
        let mut last = RedisFault::new(FaultRemedy::GiveUp, "no server is named");
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(ranges)) => return Ok(self.map_of(ranges)),
                Ok(Err(fault)) => last = fault,
                Err(_) => {}
            }
        }
        Err(last)
    }

    fn map_of(&self, ranges: Vec<(u16, u16, ServerAddress)>) -> TagMap {
        let mut map = TagMap { nodes: Vec::new(), of: vec![None; 256], found: Instant::now() };
        for (tag, of) in (0..=Tag::MAX).zip(&mut map.of) {
            let holds =
                |(from, to, _): &&(u16, u16, ServerAddress)| (*from..=*to).contains(&slot(tag));
            let Some((_, _, address)) = ranges.iter().find(holds) else { continue };
            let known = map.nodes.iter().position(|node| node.address == *address);
            *of = Some(known.unwrap_or_else(|| {
                map.nodes.push(self.node(address));
                map.nodes.len() - 1
            }));
        }
        map
    }
}

/// Asks all Sentinels at once which server is the primary. Sentinels can disagree for a while; the
/// answer with the highest number (its configuration epoch) is the latest decision.
async fn ask_sentinels(
    settings: &Arc<RedisSettings>,
    master: &str,
) -> Result<ServerAddress, RedisFault> {
    let mut asked = JoinSet::new();
    for sentinel in settings.url.addresses.clone() {
        let (settings, master) = (Arc::clone(settings), master.to_owned());
        asked.spawn(async move {
            let mut command = redis::cmd("SENTINEL");
            command.arg("MASTER").arg(master);
            // Sentinels have separate users, and usually no password, so the password is not sent
            // at first.
            let answer = match ask_once(&sentinel, &settings, false, &command).await {
                Err(fault) if fault.wants_user() => {
                    ask_once(&sentinel, &settings, true, &command).await
                }
                answer => answer,
            };
            answer.and_then(|of| {
                primary_of(&of).ok_or_else(|| RedisFault::malformed(&sentinel, "SENTINEL MASTER"))
            })
        });
    }
    let mut best: Option<(u64, ServerAddress)> = None;
    let mut last = RedisFault::new(FaultRemedy::GiveUp, "no Sentinel is named");
    loop {
        let next = match best {
            None => asked.join_next().await,
            Some(_) => timeout(OTHER_SENTINELS_WAIT, asked.join_next()).await.ok().flatten(),
        };
        match next {
            Some(Ok(Ok(found))) => {
                best = Some(best.filter(|best| best.0 >= found.0).unwrap_or(found));
            }
            Some(Ok(Err(fault))) => last = fault,
            Some(Err(_)) => {}
            None => break,
        }
    }
    best.map(|(_, address)| address).ok_or(last)
}

/// Returns the number of the Sentinel's decision (its configuration epoch) and the address of the
/// primary, from an array of names and values.
fn primary_of(answer: &Value) -> Option<(u64, ServerAddress)> {
    let Value::Array(words) = answer else { return None };
    let get = |name: &str| {
        let pair = words.chunks_exact(2).find(|pair| text(&pair[0]) == Some(name))?;
        text(&pair[1])
    };
    let address = ServerAddress { host: get("ip")?.to_owned(), port: get("port")?.parse().ok()? };
    Some((get("config-epoch")?.parse().ok()?, address))
}

/// Returns the ranges of slots with their primaries, as the node at `asked` knows them.
fn slots_of(asked: &ServerAddress, answer: &Value) -> Option<Vec<(u16, u16, ServerAddress)>> {
    let Value::Array(ranges) = answer else { return None };
    let number = |value: &Value| match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    };
    ranges
        .iter()
        .map(|range| {
            let Value::Array(range) = range else { return None };
            let [from, to, Value::Array(primary), ..] = range.as_slice() else { return None };
            let [host, port, ..] = primary.as_slice() else { return None };
            // A node that does not know its own name sends an empty name or a question mark.
            let host = text(host).filter(|host| !host.is_empty() && *host != "?");
            let host = host.unwrap_or(&asked.host).to_owned();
            Some((number(from)?, number(to)?, ServerAddress { host, port: number(port)? }))
        })
        .collect()
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// Locks a mutex, even if another thread panicked while it held the lock: the values are consistent
/// at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
