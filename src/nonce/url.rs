//! The URL of a nonce store:
//!
//! ```text
//! memory:[?max=N]
//! sqlite:PATH
//! redis[s]://[USER[:PASSWORD]@]HOST[:PORT][/DB][?prefix=P&ca=FILE]
//! redis[s]+cluster://H:P[,H:P]…          redis[s]+sentinel://H:P[,H:P]…/MASTER[/DB]
//! ```
//!
//! The parser is our own, because no general URL parser accepts a list of hosts. It refuses every
//! text that it cannot read exactly: a misspelt option must not leave a server without that option.
//! No output shows a user name or password: neither `Display` nor `Debug` nor any error.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

mod parse;

/// A store that a text names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreUrl {
    /// A store in the memory of this process.
    Memory {
        /// Maximum number of live nonces (those still kept), if the URL states it.
        max: Option<usize>,
    },
    /// An SQLite file.
    Sqlite {
        /// The path of the file, as written in the URL.
        path: PathBuf,
    },
    /// A Redis or Valkey store.
    Redis(RedisUrl),
}

/// The URL of one or several Redis servers, or of the Sentinels or cluster nodes that name them.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisUrl {
    /// True for the scheme `rediss`: the connection uses TLS.
    pub tls: bool,
    /// The role of the servers at the addresses.
    pub topology: Topology,
    /// The addresses: exactly one for a single server, otherwise at least one.
    pub addresses: Vec<ServerAddress>,
    /// The user name, decoded.
    pub user: Option<String>,
    /// The password, decoded, if the URL has one. Other users of the machine can see the arguments
    /// of a process, so a password file is better.
    pub password: Option<Zeroizing<String>>,
    /// The number of the database; 0 if the URL does not name one.
    pub database: u32,
    /// The prefix of every key, if the URL states it.
    pub prefix: Option<String>,
    /// The file with the certificates that TLS trusts, if the URL names one.
    pub ca: Option<PathBuf>,
}

/// The relation between the servers at the addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topology {
    /// A single server.
    Single,
    /// The addresses of some nodes of a cluster.
    Cluster,
    /// Sentinels, which know the primary of the service `master`.
    Sentinel {
        /// The name under which the Sentinels watch the primary.
        master: String,
    },
}

/// The host and port of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerAddress {
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// The port; by default 6379, and 26379 for a Sentinel.
    pub port: u16,
}

/// Why a text does not name a store. The text is not part of the error, because it may contain a
/// password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// The text begins with no known scheme.
    #[error("not a nonce store such as memory:, sqlite:PATH or redis://HOST")]
    Scheme,
    /// `memory:` is followed by something other than `?max=N` with N of 8 or more.
    #[error("memory: takes nothing but ?max=N, a whole number of at least 8")]
    Memory,
    /// `sqlite:` is followed by no path; or by a path with `?`, which looks like an option; or by a
    /// path that begins with `//`, which looks like a host.
    #[error("sqlite: takes a path and no options")]
    Sqlite,
    /// The part of a Redis URL that cannot be read.
    #[error("{0}")]
    Redis(&'static str),
}

impl StoreUrl {
    /// Reads a store URL.
    ///
    /// # Errors
    /// [`StoreUrlError`] if the text names no store.
    pub fn parse(text: &str) -> Result<Self, StoreUrlError> {
        match text.split_once(':') {
            Some(("memory", rest)) => memory(rest),
            Some(("sqlite", rest)) => sqlite(rest),
            _ => parse::redis(text).map(StoreUrl::Redis),
        }
    }

    /// Returns true if the URL contained a password.
    pub fn holds_password(&self) -> bool {
        matches!(self, StoreUrl::Redis(RedisUrl { password: Some(_), .. }))
    }
}

fn memory(rest: &str) -> Result<StoreUrl, StoreUrlError> {
    if rest.is_empty() {
        return Ok(StoreUrl::Memory { max: None });
    }
    let digits = rest.strip_prefix("?max=").ok_or(StoreUrlError::Memory)?;
    // Only digits are accepted; the parser of `usize` would also accept a plus sign. The quota of a
    // key is an eighth of `max`, which would be zero below eight.
    let max = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    match max {
        Some(max) if max >= 8 => Ok(StoreUrl::Memory { max: Some(max) }),
        _ => Err(StoreUrlError::Memory),
    }
}

fn sqlite(rest: &str) -> Result<StoreUrl, StoreUrlError> {
    let odd = rest.is_empty() || rest.starts_with("//") || rest.contains(['?', '\0']);
    if odd { Err(StoreUrlError::Sqlite) } else { Ok(StoreUrl::Sqlite { path: rest.into() }) }
}

impl fmt::Display for StoreUrl {
    /// Writes the URL without its user name and password, so that it can be parsed again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Memory { max: None } => f.write_str("memory:"),
            StoreUrl::Memory { max: Some(max) } => write!(f, "memory:?max={max}"),
            StoreUrl::Sqlite { path } => write!(f, "sqlite:{}", path.display()),
            StoreUrl::Redis(url) => url.fmt(f),
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss" } else { "redis" })?;
        match &self.topology {
            Topology::Single => {}
            Topology::Cluster => f.write_str("+cluster")?,
            Topology::Sentinel { .. } => f.write_str("+sentinel")?,
        }
        f.write_str("://")?;
        for (i, address) in self.addresses.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            address.fmt(f)?;
        }
        if let Topology::Sentinel { master } = &self.topology {
            write!(f, "/{}", parse::encoded(master))?;
        }
        if self.database > 0 {
            write!(f, "/{}", self.database)?;
        }
        let ca = self.ca.as_ref().map(|ca| ca.to_string_lossy());
        let options = [("prefix", self.prefix.as_deref()), ("ca", ca.as_deref())];
        let given = options.iter().filter_map(|(name, value)| Some((name, (*value)?)));
        for (i, (name, value)) in given.enumerate() {
            write!(f, "{}{name}={}", if i == 0 { '?' } else { '&' }, parse::encoded(value))?;
        }
        Ok(())
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}
