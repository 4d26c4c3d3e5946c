//! Rewrites URIs as other programs do: by the WHATWG URL parser, and by RFC 3986 section 6.2.2.
//!
//! `pydantic` (in Python's MCP SDK 1.x, through the Rust crate `url`) and `new URL` (in the
//! TypeScript SDK) rewrite `params.uri` before a server sees it. The crate `url` would add 29
//! crates to the core, so its rules are implemented here, and a test compares the results. Rules
//! that would need Unicode tables (international host names), and rare ones (an IPv4 address in
//! hexadecimal), are not implemented: such a URL gives [`UrlSpelling::Unknown`].
//!
//! The caller has already refused control characters, backslashes, and blanks around the text. A
//! NUL is the wildcard of a pattern, and is copied unchanged.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

/// The parts of RFC 3986 section 3, in the spelling of the text, without their delimiters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SplitUri<'a> {
    /// The scheme; `None` if the text is not a URI. All of the text is then in `path`.
    pub(super) scheme: Option<&'a str>,
    pub(super) authority: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) fragment: Option<&'a str>,
}

/// What a URL parser makes of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UrlSpelling {
    /// The parser writes the URL in this spelling.
    As(String),
    /// The parser refuses the text because it is not a URL, and so do servers that use such a
    /// parser.
    NoUrl,
    /// The result is unknown: a rule applies that is not implemented here, or there is an error in
    /// a scheme that has rules for its host.
    Unknown,
}

/// The two variants of the WHATWG rules that are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The present standard, as Node.js and browsers implement it.
    Current,
    /// The crate `url` 2.5, which `pydantic` uses: `^` in a path stays, `..` does not remove a
    /// drive letter, and a `file:` URL loses leading empty segments, and loses its host before a
    /// drive letter.
    CrateUrl,
}

impl<'a> SplitUri<'a> {
    /// Splits a text into parts. A text without a scheme is all path.
    pub(super) fn of(text: &'a str) -> Self {
        let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme))
        else {
            return SplitUri { path: text, ..SplitUri::default() };
        };
        let (rest, fragment) = cut(rest, '#');
        let (rest, query) = cut(rest, '?');
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                (Some(&rest[..end]), &rest[end..])
            }
            None => (None, rest),
        };
        SplitUri { scheme: Some(scheme), authority, path, query, fragment }
    }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Returns the default port of a scheme for which the URL standard has special rules; `None` for
/// every other scheme. A default port is not written in a URL.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "ftp" => Some(21),
        _ => None,
    }
}

/// Returns true if the host of this scheme is known to be case-insensitive.
pub(super) fn is_special(scheme: &str) -> bool {
    scheme == "file" || default_port(scheme).is_some()
}

/// The ASCII characters that are percent-encoded in each part of a URL. Characters outside ASCII
/// always are.
mod escaped {
    pub(super) const FRAGMENT: &str = " \"<>`";
    pub(super) const QUERY: &str = " \"#<>";
    pub(super) const SPECIAL_QUERY: &str = " \"#<>'";
    pub(super) const PATH: &str = " \"<>`#?{}";
    pub(super) const CURRENT_PATH: &str = " \"<>`#?{}^";
    pub(super) const USER: &str = " \"<>`#?{}/:;=@[\\]^|";
    pub(super) const NOTHING: &str = "";
}

fn encode(out: &mut String, text: &str, set: &str) {
    for c in text.chars() {
        if c == '\0' || (c.is_ascii() && c != '\u{7f}' && !set.contains(c)) {
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// Returns `text` as a URL parser serialises it (<https://url.spec.whatwg.org/#url-parsing>).
pub(super) fn write_url(text: &str, dialect: Dialect) -> UrlSpelling {
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return UrlSpelling::NoUrl;
    };
    let scheme = scheme.to_ascii_lowercase();
    let (rest, fragment) = cut(rest, '#');
    let (rest, query) = cut(rest, '?');
    let mut out = format!("{scheme}:");
    if scheme == "file" {
        if write_file(&mut out, rest, dialect).is_none() {
            return UrlSpelling::Unknown;
        }
    } else if is_special(&scheme) {
        let rest = rest.trim_start_matches('/');
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        out.push_str("//");
        if write_authority(&mut out, authority, &scheme) != Some(true) {
            return UrlSpelling::Unknown;
        }
        let path = path.strip_prefix('/').unwrap_or_default();
        write_path(&mut out, path, dialect, false);
    } else if let Some(rest) = rest.strip_prefix("//") {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        out.push_str("//");
        match write_authority(&mut out, authority, &scheme) {
            Some(true) => {}
            Some(false) => return UrlSpelling::NoUrl,
            None => return UrlSpelling::Unknown,
        }
        if let Some(path) = path.strip_prefix('/') {
            write_path(&mut out, path, dialect, false);
        }
    } else if let Some(path) = rest.strip_prefix('/') {
        let start = out.len();
        write_path(&mut out, path, dialect, false);
        // Without the prefix `/.`, a path that begins with two slashes would look like an
        // authority.
        if out[start..].starts_with("//") {
            out.insert_str(start, "/.");
        }
    } else {
        let ends = query.is_some() || fragment.is_some();
        match rest.strip_suffix(' ').filter(|_| ends && dialect == Dialect::Current) {
            Some(rest) => {
                encode(&mut out, rest, escaped::NOTHING);
                out.push_str("%20");
            }
            None => encode(&mut out, rest, escaped::NOTHING),
        }
    }
    if let Some(query) = query {
        let set = if is_special(&scheme) { escaped::SPECIAL_QUERY } else { escaped::QUERY };
        out.push('?');
        encode(&mut out, query, set);
    }
    if let Some(fragment) = fragment {
        out.push('#');
        encode(&mut out, fragment, escaped::FRAGMENT);
    }
    UrlSpelling::As(out)
}

/// Writes the part of a `file:` URL after the colon: three slashes, or a host other than
/// `localhost`. Returns `None` for a host that is not supported, and for a path on which URL
/// parsers differ.
fn write_file(out: &mut String, rest: &str, dialect: Dialect) -> Option<()> {
    let (mut host, mut path) = (String::new(), rest.strip_prefix('/').unwrap_or(rest));
    if let Some(rest) = rest.strip_prefix("//") {
        let end = rest.find('/').unwrap_or(rest.len());
        if is_drive(&rest[..end]) {
            path = rest;
        } else {
            path = rest[end..].strip_prefix('/').unwrap_or_default();
            if end > 0 {
                host = domain(&rest[..end])?;
            }
        }
    }
    // The crate `url` does not write every `C|` with a colon, as the specification says it should
    // (not before a dot segment or a query, for example), so such a path is not supported.
    if path.split('/').any(|segment| segment.ends_with('|') && is_drive(segment)) {
        return None;
    }
    let mut written = String::with_capacity(path.len() + 1);
    let drive = write_path(&mut written, path, dialect, true);
    let crate_url = dialect == Dialect::CrateUrl;
    out.push_str("//");
    if host != "localhost" && !(crate_url && drive) {
        out.push_str(&host);
    }
    if crate_url {
        out.push('/');
        out.push_str(written.trim_start_matches('/'));
    } else {
        out.push_str(&written);
    }
    Some(())
}

/// Returns true for a Windows drive letter with its colon, or with the bar that replaces the colon
/// in old URLs.
fn is_drive(segment: &str) -> bool {
    matches!(segment.as_bytes(), [letter, b':' | b'|'] if letter.is_ascii_alphabetic())
}

/// Writes the segments of a path, each after a slash, with dot segments removed. In a `file:` URL,
/// `..` does not remove a drive letter at the beginning; the result is then true.
fn write_path(out: &mut String, path: &str, dialect: Dialect, file: bool) -> bool {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        // The crate `url` keeps a drive letter in any URL and at any position.
        let drive = match dialect {
            Dialect::Current => file && kept.len() == 1 && is_drive(kept[0]),
            Dialect::CrateUrl => kept.last().is_some_and(|last| is_drive(last)),
        };
        match dots(segment) {
            Some(count) => {
                if count == 2 && !drive {
                    kept.pop();
                }
                kept.extend(last.then_some(""));
            }
            None => kept.push(segment),
        }
    }
    let drive = file && kept.first().is_some_and(|first| is_drive(first));
    let set = if dialect == Dialect::Current { escaped::CURRENT_PATH } else { escaped::PATH };
    for segment in &kept {
        out.push('/');
        encode(out, segment, set);
    }
    drive
}

/// Returns 1 for the segment `.` and 2 for `..`, whose dots may be written as `%2e`; `None` for
/// every other segment.
fn dots(segment: &str) -> Option<usize> {
    let (mut rest, mut count) = (segment, 0);
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').or_else(|| {
            rest.get(..3).filter(|dot| dot.eq_ignore_ascii_case("%2e")).map(|_| &rest[3..])
        })?;
        count += 1;
    }
    (1..=2).contains(&count).then_some(count)
}

/// Writes user information, host and port. Returns `Some(false)` if a parser refuses them, and
/// `None` if they are not supported.
fn write_authority(out: &mut String, authority: &str, scheme: &str) -> Option<bool> {
    let (user, server) = match authority.rsplit_once('@') {
        Some((user, server)) => (Some(user), server),
        None => (None, authority),
    };
    if user.is_some() && server.is_empty() {
        return None;
    }
    if let Some(user) = user {
        let (name, password) = cut(user, ':');
        let password = password.filter(|password| !password.is_empty());
        encode(out, name, escaped::USER);
        if let Some(password) = password {
            out.push(':');
            encode(out, password, escaped::USER);
        }
        if !name.is_empty() || password.is_some() {
            out.push('@');
        }
    }
    // A colon inside the brackets of an IPv6 address does not begin a port.
    let (host, port) = match server.rfind(']') {
        Some(end) => match server[end..].split_once(':') {
            Some((bracket, port)) => (&server[..end + bracket.len()], Some(port)),
            None => (server, None),
        },
        None => cut(server, ':'),
    };
    let special = is_special(scheme);
    if special {
        out.push_str(&domain(host)?);
    } else if let Some(address) = host.strip_prefix('[') {
        match address.strip_suffix(']').and_then(|inner| inner.parse().ok()) {
            Some(address) => out.push_str(&ipv6(address)?),
            None => return Some(false),
        }
    } else if host.contains([' ', '<', '>', '[', ']', '^', '|']) {
        return Some(false);
    } else {
        encode(out, host, escaped::NOTHING);
    }
    let Some(port) = port else { return Some(true) };
    if host.is_empty() {
        return Some(false);
    }
    if port.contains('\0') {
        let _ = write!(out, ":{port}");
        return Some(true);
    }
    if port.is_empty() {
        return Some(true);
    }
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    match port.trim_start_matches('0') {
        _ if !digits => return Some(false),
        "" => out.push_str(":0"),
        number => match number.parse::<u16>() {
            Ok(number) if default_port(scheme) == Some(number) => {}
            Ok(number) => {
                let _ = write!(out, ":{number}");
            }
            Err(_) => return Some(false),
        },
    }
    Some(true)
}

/// Returns the host of a special scheme as a parser writes it: a name in lower case, or an address.
/// Returns `None` if the host is international, percent-encoded or malformed, or an IPv4 address in
/// another form than four decimal numbers.
fn domain(host: &str) -> Option<String> {
    if let Some(address) = host.strip_prefix('[') {
        return ipv6(address.strip_suffix(']')?.parse().ok()?);
    }
    let good = |b: u8| b == 0 || (b.is_ascii_graphic() && !b"#/:<>?@[\\]^|%".contains(&b));
    if host.is_empty() || !host.bytes().all(good) {
        return None;
    }
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_number =
        number(last) || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_number && host.parse::<std::net::Ipv4Addr>().is_err() {
        return None;
    }
    Some(host.to_ascii_lowercase())
}

/// Returns an IPv6 address in the spelling of URL parsers, or `None` for an IPv4-mapped one:
/// parsers write it in hexadecimal, and the standard library with dots.
fn ipv6(address: Ipv6Addr) -> Option<String> {
    Some(format!("[{address}]")).filter(|text| !text.contains('.'))
}
