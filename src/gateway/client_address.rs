//! The address of a client behind trusted proxies.

use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderMap;

use crate::net::Peer;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// A proxy whose `X-Forwarded-For` field is trusted: a network in CIDR notation (RFC 4632), a
/// single address, or the clients of a Unix socket. IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2)
/// counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedProxy(Network);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    Unix,
    /// The first address, and the prefix length in bits.
    Ip(IpAddr, u32),
}

/// Why a text is not a trusted proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustedProxyError {
    /// The text is neither an address with an optional prefix length, nor `unix`.
    #[error("not a network such as 10.0.0.0/8, not an address, and not unix")]
    Form,
    /// The prefix length is 0, so that any client could claim any address.
    #[error("a network of all addresses would let any client name another address")]
    Everyone,
    /// Bits after the prefix are set, so it is unclear whether the author meant one address or a
    /// network.
    #[error(
        "{address} is not the first address of its /{prefix}: {network}/{prefix}, or {address} alone?"
    )]
    HostBits {
        /// The given address.
        address: IpAddr,
        /// The first address of the network.
        network: IpAddr,
        /// The prefix length.
        prefix: u32,
    },
}

impl FromStr for TrustedProxy {
    type Err = TrustedProxyError;

    fn from_str(text: &str) -> Result<Self, TrustedProxyError> {
        if text == "unix" {
            return Ok(TrustedProxy(Network::Unix));
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let given: IpAddr = address.parse().map_err(|_| TrustedProxyError::Form)?;
        let address = given.to_canonical();
        // The prefix length counts the bits of the address as written. In an IPv4-mapped address
        // (`::ffff:192.0.2.1`), the first 96 bits belong to the mapping.
        let (bits, mapped) = (width(address), width(given) - width(address));
        let prefix = match prefix {
            None => bits,
            Some(digits) => {
                let plain = !digits.is_empty()
                    && digits.bytes().all(|b| b.is_ascii_digit())
                    && (digits == "0" || !digits.starts_with('0'));
                let prefix = digits.parse::<u32>().ok().filter(|_| plain);
                let prefix = prefix.filter(|prefix| *prefix <= width(given));
                let prefix = prefix.ok_or(TrustedProxyError::Form)?;
                if prefix == 0 {
                    return Err(TrustedProxyError::Everyone);
                }
                prefix.checked_sub(mapped).ok_or(TrustedProxyError::Form)?
            }
        };
        if prefix == 0 {
            return Err(TrustedProxyError::Everyone);
        }
        let network = first(address, prefix);
        if network != address {
            return Err(TrustedProxyError::HostBits { address, network, prefix });
        }
        Ok(TrustedProxy(Network::Ip(network, prefix)))
    }
}

/// Returns the number of bits of an address.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Returns the first address of the network of `prefix` bits that holds `address`.
fn first(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

impl TrustedProxy {
    /// Returns true if this value means the clients of a Unix socket.
    pub fn is_unix(self) -> bool {
        self.0 == Network::Unix
    }

    fn is_at(self, peer: Peer) -> bool {
        match (self.0, peer) {
            (Network::Unix, Peer::Unix) => true,
            (Network::Ip(..), Peer::Tcp(address)) => self.covers(address.ip().to_canonical()),
            _ => false,
        }
    }

    /// Returns true if the network holds `address`, which must be in canonical form (an IPv4-mapped
    /// address as IPv4).
    fn covers(self, address: IpAddr) -> bool {
        match self.0 {
            Network::Unix => false,
            Network::Ip(network, prefix) => {
                network.is_ipv4() == address.is_ipv4() && first(address, prefix) == network
            }
        }
    }
}

/// The address of a client, which is stored in the extensions of every request.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientAddress {
    /// The address; `None` for a client of a Unix socket.
    pub(super) address: Option<IpAddr>,
    /// Whether trusted proxies reported the address.
    pub(super) is_forwarded: bool,
}

impl ClientAddress {
    pub(super) fn of(proxies: &[TrustedProxy], peer: Option<Peer>, headers: &HeaderMap) -> Self {
        let forwarded = forwarded_for(proxies, peer, headers);
        let own = match peer {
            Some(Peer::Tcp(address)) => Some(address.ip().to_canonical()),
            _ => None,
        };
        ClientAddress { address: forwarded.or(own), is_forwarded: forwarded.is_some() }
    }
}

/// Returns the client's address as the trusted `proxies` report it: the last address in all
/// `X-Forwarded-For` lines that is not a trusted proxy. Returns `None` if `peer` is not a trusted
/// proxy, if all listed addresses are trusted proxies, or if a text after the client's address is
/// not an address.
fn forwarded_for(
    proxies: &[TrustedProxy],
    peer: Option<Peer>,
    headers: &HeaderMap,
) -> Option<IpAddr> {
    peer.filter(|peer| proxies.iter().any(|proxy| proxy.is_at(*peer)))?;
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    for line in lines.into_iter().rev() {
        for entry in line.as_bytes().rsplit(|b| *b == b',') {
            let address = std::str::from_utf8(entry.trim_ascii()).ok().and_then(read)?;
            if !proxies.iter().any(|proxy| proxy.covers(address)) {
                return Some(address);
            }
        }
    }
    None
}

/// Parses an address. Some proxies write a port after the address.
fn read(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok().or_else(|| {
        let bracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        match bracketed {
            Some(inside) => inside.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6),
            None => text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()),
        }
    });
    address.map(|address| address.to_canonical())
}
