//! Parses the answer of a server to `INFO`, and checks whether the store can use the server.

use std::fmt;

use super::fault::{FaultRemedy, RedisFault};
use crate::nonce::url::ServerAddress;

/// A weakness of a server that its operator should know. Claims still work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrimaryWarning {
    /// The server evicts keys that the store needs when its memory is full, and the options allow
    /// that.
    Evicts {
        /// The address of the server.
        server: String,
        /// The `maxmemory-policy` of the server.
        policy: String,
    },
    /// The server keeps no append-only file, so a restart loses its keys. No nonce is accepted
    /// twice because of that, because the epochs (records that show such losses) are lost too. But
    /// with them, the store forgets how long other users need nonces to be kept.
    NotPersistent {
        /// The address of the server.
        server: String,
    },
    /// The server accepts writes that no replica has (`min-replicas-to-write` is 0). If Sentinel
    /// promotes another server, both accept claims for a while.
    Unguarded {
        /// The address of the server.
        server: String,
    },
}

impl fmt::Display for PrimaryWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrimaryWarning::Evicts { server, policy } => write!(
                f,
                "{server} evicts what it holds when its memory is full (maxmemory-policy is \
                 {policy}): a nonce can be used twice"
            ),
            PrimaryWarning::NotPersistent { server } => {
                write!(f, "{server} forgets everything when it restarts (appendonly is no)")
            }
            PrimaryWarning::Unguarded { server } => write!(
                f,
                "{server} takes claims even when cut off from its replicas \
                 (min-replicas-to-write is 0)"
            ),
        }
    }
}

/// A primary, as its answer to `INFO` describes it.
#[derive(Debug)]
pub(super) struct Primary {
    /// The term of the primary, which epochs record. It changes whenever the server may have lost
    /// keys, so it contains: the `run_id`, which changes with every start; the offset at which the
    /// replication history changed, because a server that was demoted and promoted again has lost
    /// writes but keeps its `run_id`; the number of keys that the last loading found, because
    /// `DEBUG RELOAD` loads without a restart; and the number of the database, because `SWAPDB`
    /// exchanges databases.
    pub(super) term: String,
    pub(super) policy: String,
    pub(super) persistent: bool,
    /// True if the server refuses writes that no replica has.
    pub(super) guarded: bool,
}

impl Primary {
    /// Reads the answer to `INFO server replication memory persistence stats` of the server at
    /// `place`, whose database number is `database`.
    ///
    /// # Errors
    /// [`RedisFault`] if the server is a replica, too old or still loading, or if its answer is
    /// incomplete.
    pub(super) fn read(
        place: &ServerAddress,
        info: &str,
        database: u32,
    ) -> Result<Self, RedisFault> {
        let get = |name: &str| field(info, name).map(str::to_owned);
        let need = |name: &'static str| {
            get(name).ok_or_else(|| RedisFault::malformed(place, &format!("INFO without {name}")))
        };
        // Valkey reports under this name the Redis version that it is compatible with.
        let version = need("redis_version")?;
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < 7) {
            let plain: String = version.chars().filter(|c| !c.is_control()).take(20).collect();
            let reason = format!("{place} runs version {plain}, and 7 is needed");
            return Err(RedisFault::new(FaultRemedy::GiveUp, reason));
        }
        if need("role")? != "master" {
            return Err(RedisFault::new(FaultRemedy::Reconnect, format!("{place} is a replica")));
        }
        if get("loading").is_some_and(|loading| loading != "0") {
            return Err(RedisFault::new(
                FaultRemedy::Reconnect,
                format!("{place} is still loading its data"),
            ));
        }
        let run_id = need("run_id")?;
        let promoted = need("second_repl_offset")?;
        // Some versions do not report these fields.
        let loaded = ["rdb_last_load_keys_loaded", "rdb_last_load_keys_expired"]
            .map(|name| get(name).unwrap_or_default())
            .join("-");
        let plain = |text: &str| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic());
        if run_id.is_empty() || !plain(&run_id) || !plain(&promoted) || !plain(&loaded) {
            return Err(RedisFault::malformed(place, "a run_id that is none"));
        }
        Ok(Primary {
            term: format!("{run_id}/{promoted}/{loaded}/{database}"),
            policy: need("maxmemory_policy")?,
            persistent: get("aof_enabled").is_some_and(|enabled| enabled == "1"),
            guarded: get("min_slaves_good_slaves").is_some(),
        })
    }

    /// Checks that the server does not evict keys, or that the options allow it.
    ///
    /// # Errors
    /// [`RedisFault`] if the server evicts keys and the options do not allow it.
    pub(super) fn check_eviction(
        &self,
        place: &ServerAddress,
        evicting_allowed: bool,
    ) -> Result<(), RedisFault> {
        if self.policy == "noeviction" || evicting_allowed {
            return Ok(());
        }
        let policy: String = self.policy.chars().filter(|c| !c.is_control()).take(40).collect();
        let reason = format!("{place} evicts: maxmemory-policy is {policy}, not noeviction");
        Err(RedisFault::new(FaultRemedy::GiveUp, reason))
    }

    pub(super) fn warnings(&self, place: &ServerAddress, sentinel: bool) -> Vec<PrimaryWarning> {
        let mut warnings = Vec::new();
        let server = place.to_string();
        if self.policy != "noeviction" {
            let policy = self.policy.clone();
            warnings.push(PrimaryWarning::Evicts { server: server.clone(), policy });
        }
        if !self.persistent {
            warnings.push(PrimaryWarning::NotPersistent { server: server.clone() });
        }
        // A primary behind Sentinel must refuse writes that no replica has. A primary in a cluster
        // refuses writes by itself when it is cut off from the other servers.
        if sentinel && !self.guarded {
            warnings.push(PrimaryWarning::Unguarded { server });
        }
        warnings
    }
}

/// Returns the value of a line `NAME:VALUE` in an answer to `INFO`.
pub(super) fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    let value = |line: &'i str| line.strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(value).map(str::trim_end)
}
