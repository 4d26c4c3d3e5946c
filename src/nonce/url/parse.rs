//! Parsing of Redis URLs, and of percent-encoding in them (RFC 3986, section 2.1).

use std::net::Ipv6Addr;

use zeroize::Zeroizing;

use super::{RedisUrl, ServerAddress, StoreUrlError, Topology};

/// Maximum number of cluster nodes or Sentinels in one URL.
const MAX_ADDRESSES: usize = 32;

pub(super) fn redis(text: &str) -> Result<RedisUrl, StoreUrlError> {
    let fail = |why| Err(StoreUrlError::Redis(why));
    let (scheme, rest) = text.split_once("://").ok_or(StoreUrlError::Scheme)?;
    let (scheme, kind) = scheme.split_once('+').map_or((scheme, None), |(s, k)| (s, Some(k)));
    let tls = match scheme {
        "redis" => false,
        "rediss" => true,
        _ => return Err(StoreUrlError::Scheme),
    };
    if !rest.bytes().all(|b| b.is_ascii_graphic()) || rest.contains('#') {
        return fail("a Redis URL has neither spaces nor # nor anything beyond ASCII; write %20");
    }
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(r, q)| (r, Some(q)));
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
    let (user, password, hosts) = user_info(authority)?;
    let default_port = if kind == Some("sentinel") { 26_379 } else { 6_379 };
    let addresses = hosts
        .split(',')
        .take(MAX_ADDRESSES + 1)
        .map(|one| address(one, default_port))
        .collect::<Result<Vec<_>, _>>()?;
    if addresses.len() > MAX_ADDRESSES {
        return fail("more hosts than a Redis URL can name");
    }
    let mut path = path.map(|path| path.split('/'));
    let mut next = || path.as_mut().and_then(Iterator::next);
    let (topology, database) = match kind {
        None if addresses.len() > 1 => {
            return fail("several hosts need redis+cluster:// or redis+sentinel://");
        }
        None => (Topology::Single, next()),
        Some("cluster") => match next() {
            None | Some("") => (Topology::Cluster, None),
            Some(_) => return fail("a cluster has no numbered databases"),
        },
        Some("sentinel") => {
            let master = decoded(next().unwrap_or_default())?;
            if master.is_empty() {
                return fail("redis+sentinel:// needs the name of the primary, as in /mymaster");
            }
            (Topology::Sentinel { master }, next())
        }
        Some(_) => return Err(StoreUrlError::Scheme),
    };
    // A slash at the end without a number names no database.
    let database = match database {
        None | Some("") => 0,
        Some(digits) => match number(digits) {
            Some(database) => database,
            None => return fail("the database of a Redis URL is a whole number"),
        },
    };
    if next().is_some() {
        return fail("the path of the Redis URL is too long");
    }
    let (prefix, ca) = options(query)?;
    if ca.is_some() && !tls {
        return fail("?ca= is for rediss://");
    }
    let ca = ca.map(Into::into);
    Ok(RedisUrl { tls, topology, addresses, user, password, database, prefix, ca })
}

type PasswordText = Zeroizing<String>;

/// Splits `USER`, `USER:PASSWORD` or `:PASSWORD` before the last `@` from the hosts after it.
fn user_info(
    authority: &str,
) -> Result<(Option<String>, Option<PasswordText>, &str), StoreUrlError> {
    let Some((info, hosts)) = authority.rsplit_once('@') else {
        return Ok((None, None, authority));
    };
    if info.contains('@') {
        return Err(StoreUrlError::Redis("an @ within user or password is written %40"));
    }
    let (user, password) = info.split_once(':').map_or((info, None), |(u, p)| (u, Some(p)));
    let user = Some(decoded(user)?).filter(|user| !user.is_empty());
    let password = match password {
        // A URL with a user but no password has no colon, so an empty password is a mistake.
        Some("") => return Err(StoreUrlError::Redis("the password of the Redis URL is empty")),
        Some(password) => Some(Zeroizing::new(decoded(password)?)),
        None => None,
    };
    if user.is_none() && password.is_none() {
        return Err(StoreUrlError::Redis("nothing stands before the @ of the Redis URL"));
    }
    Ok((user, password, hosts))
}

fn address(text: &str, default_port: u16) -> Result<ServerAddress, StoreUrlError> {
    let bad = StoreUrlError::Redis("a host of the Redis URL cannot be read");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(bad.clone())?;
            host.parse::<Ipv6Addr>().map_err(|_| bad.clone())?;
            match port {
                "" => (host, None),
                port => (host, Some(port.strip_prefix(':').ok_or(bad.clone())?)),
            }
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
            let named = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            if host.is_empty() || host.len() > 253 || !host.bytes().all(named) {
                return Err(bad);
            }
            (host, port)
        }
    };
    let port = match port {
        None => default_port,
        Some(port) => match number(port).and_then(|port| u16::try_from(port).ok()) {
            Some(port) if port > 0 => port,
            _ => return Err(StoreUrlError::Redis("a port is a number from 1 to 65535")),
        },
    };
    Ok(ServerAddress { host: host.to_owned(), port })
}

/// Parses the options `prefix` and `ca`, each at most once.
fn options(query: Option<&str>) -> Result<(Option<String>, Option<String>), StoreUrlError> {
    let (mut prefix, mut ca) = (None, None);
    for option in query.into_iter().flat_map(|query| query.split('&')) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let place = match name {
            "prefix" => &mut prefix,
            "ca" => &mut ca,
            _ => return Err(StoreUrlError::Redis("a Redis URL takes only ?prefix= and ?ca=")),
        };
        let value = decoded(value)?;
        if value.is_empty() || place.replace(value).is_some() {
            let why = "?prefix= and ?ca= stand once each, with something behind them";
            return Err(StoreUrlError::Redis(why));
        }
    }
    // A brace in the prefix would begin another hash tag. A cluster would then keep nonces in
    // another slot than the epoch of their tag.
    if let Some(prefix) = &prefix
        && (prefix.len() > 64
            || !prefix.bytes().all(|b| b.is_ascii_graphic() && b != b'{' && b != b'}'))
    {
        let why = "a prefix is at most 64 visible ASCII characters without { and }";
        return Err(StoreUrlError::Redis(why));
    }
    Ok((prefix, ca))
}

/// Parses a number that consists of digits only. The standard parser would also accept a plus sign.
fn number(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn decoded(text: &str) -> Result<String, StoreUrlError> {
    let bad = StoreUrlError::Redis(
        "a percent sign of the Redis URL has no two hex digits behind it, or what comes out is no text",
    );
    // The vector gets its full capacity at once, because a vector that grows would leave copies of
    // a password in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        match digit().zip(digit()) {
            Some((high, low)) => bytes.push(u8::try_from(high * 16 + low).unwrap_or_default()),
            None => return Err(bad),
        }
    }
    if bytes.contains(&0) {
        return Err(bad);
    }
    std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| bad)
}

/// Percent-encodes a text so that the parser decodes it to the same text.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
