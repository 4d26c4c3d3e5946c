//! Percent-encoding and dot segments, RFC 3986 sections 2.1, 5.2.4 and 6.2.2.

use super::uri::{SplitUri, is_special};

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Returns the byte that a percent-encoded triplet (such as `%41`) at the beginning of `bytes`
/// stands for.
fn triplet(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => Some(hex(*high)? << 4 | hex(*low)?),
        _ => None,
    }
}

/// Decodes repeatedly until nothing changes any more (`%2541` gives `A`), in one pass: a decoded
/// byte can only complete a triplet of which it is the last byte. Returns `None` for an encoded
/// NUL.
pub(super) fn decode_fully(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    for byte in bytes {
        out.push(*byte);
        while let Some(decoded) = out.len().checked_sub(3).and_then(|at| triplet(&out[at..])) {
            if decoded == 0 {
                return None;
            }
            out.truncate(out.len() - 3);
            out.push(decoded);
        }
    }
    Some(out)
}

/// Returns true if `bytes` have a longer sequence than UTF-8 allows for a character (RFC 3629
/// section 3). Careless decoders accept these, for example `C0 AF` as a slash.
pub(super) fn is_overlong(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| {
        matches!(pair, [0xc0 | 0xc1, 0x80..=0xbf] | [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f])
    })
}

/// Returns the text after syntax-based normalisation: scheme in lower case, host in lower case if
/// the scheme ignores its case, triplets in upper case, unreserved characters decoded, no dot
/// segments.
pub(super) fn rfc3986(parts: &SplitUri<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let scheme = parts.scheme.map(str::to_ascii_lowercase);
    if let Some(scheme) = &scheme {
        out.extend_from_slice(scheme.as_bytes());
        out.push(b':');
    }
    if let Some(authority) = parts.authority {
        out.extend_from_slice(b"//");
        let host = authority.rfind('@').map_or(0, |at| at + 1);
        let (user, host) = authority.split_at(host);
        out.extend(without_needless(user.as_bytes()));
        let lower = scheme.as_deref().is_some_and(is_special);
        let host = if lower { host.to_ascii_lowercase() } else { host.to_owned() };
        out.extend(without_needless(host.as_bytes()));
    }
    out.extend(without_dots(&without_needless(parts.path.as_bytes()), false));
    for (mark, part) in [(b'?', parts.query), (b'#', parts.fragment)] {
        if let Some(part) = part {
            out.push(mark);
            out.extend(without_needless(part.as_bytes()));
        }
    }
    out
}

/// Decodes percent-encoded characters that never need encoding, and writes the remaining triplets
/// in upper case.
fn without_needless(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, more @ ..] = rest {
        match triplet(rest) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(byte);
                rest = &rest[3..];
            }
            Some(_) => {
                out.extend(rest[..3].iter().map(u8::to_ascii_uppercase));
                rest = &rest[3..];
            }
            None => {
                out.push(*first);
                rest = more;
            }
        }
    }
    out
}

/// Returns a path without `.` and `..` segments. If `empty` is true, empty segments are also
/// removed, except the last.
pub(super) fn without_dots(path: &[u8], empty: bool) -> Vec<u8> {
    let (root, rest): (&[u8], _) = match path {
        [b'/', rest @ ..] => (b"/", rest),
        rest => (b"", rest),
    };
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = rest.split(|b| *b == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." => kept.extend(last.then_some(&b""[..])),
            b".." => {
                kept.pop();
                kept.extend(last.then_some(&b""[..]));
            }
            b"" if empty && !last => {}
            segment => kept.push(segment),
        }
    }
    [root, &kept.join(&b'/')].concat()
}
