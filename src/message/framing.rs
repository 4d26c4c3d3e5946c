//! Finds where the body of a captured request begins and ends (RFC 9112 section 6).
//!
//! Request smuggling exploits two readers that see different ends of one request. So each framing
//! field may occur only once, and only in its simplest spelling.

use std::borrow::Cow;

use super::Field;
use super::capture_lines::{CaptureLines, MAX_HEAD, split_field};
use super::fault::{CaptureError, CaptureFault};
use super::uri::{Authority, UriError, shown};

/// The most hexadecimal digits of a chunk size, which make 64 bits.
const MAX_SIZE_DIGITS: usize = 16;

/// The `Host` field and the framing fields (those that say where the body ends) of a head,
/// collected line by line.
#[derive(Default)]
pub(super) struct Framing {
    host_line: Option<usize>,
    /// Line number and value of `Content-Length`.
    length: Option<(usize, u64)>,
    coding_line: Option<usize>,
}

impl Framing {
    /// Records one field. The white space around `value` is not removed yet.
    pub(super) fn field(
        &mut self,
        name: &str,
        value: &[u8],
        line: usize,
    ) -> Result<(), CaptureFault> {
        match name {
            "host" => self.host(value, line),
            "content-length" => self.length(value, line),
            "transfer-encoding" => self.coding(value, line),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8], line: usize) -> Result<(), CaptureFault> {
        if let Some(first) = self.host_line.replace(line) {
            return Err(CaptureFault::HostRepeated { first });
        }
        match std::str::from_utf8(value) {
            Ok(host) => Authority::read(host.trim_matches([' ', '\t']))
                .map_err(CaptureFault::Host)
                .map(drop),
            Err(_) => {
                Err(CaptureFault::Host(UriError::Host(shown(&String::from_utf8_lossy(value)))))
            }
        }
    }

    fn length(&mut self, value: &[u8], line: usize) -> Result<(), CaptureFault> {
        if let Some((first, _)) = self.length {
            return Err(CaptureFault::LengthRepeated { first });
        }
        if let Some(first) = self.coding_line {
            return Err(CaptureFault::LengthAndCoding { first });
        }
        let text = String::from_utf8_lossy(value);
        let digits = text.strip_prefix(' ').unwrap_or(&text);
        // `parse()` alone would accept "+5", which other servers refuse.
        let plain = digits.bytes().all(|b| b.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        match digits.parse() {
            Ok(length) if plain => self.length = Some((line, length)),
            _ => return Err(CaptureFault::Length(shown(&text))),
        }
        Ok(())
    }

    fn coding(&mut self, value: &[u8], line: usize) -> Result<(), CaptureFault> {
        if let Some(first) = self.coding_line.or(self.length.map(|(line, _)| line)) {
            return Err(CaptureFault::LengthAndCoding { first });
        }
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(CaptureFault::Coding(shown(&String::from_utf8_lossy(value))));
        }
        self.coding_line = Some(line);
        Ok(())
    }

    /// Checks that there was a `Host` field, which RFC 9112 section 3.2 demands of every request.
    pub(super) fn check_host(&self) -> Result<(), CaptureFault> {
        self.host_line.map(drop).ok_or(CaptureFault::HostMissing)
    }

    pub(super) fn is_chunked(&self) -> bool {
        self.coding_line.is_some()
    }

    /// Returns the body, which is the rest of the input, and the number of trailer fields.
    pub(super) fn body<'a>(
        &self,
        lines: CaptureLines<'a>,
        limit: u64,
    ) -> Result<(Cow<'a, [u8]>, usize), CaptureError> {
        if self.is_chunked() {
            return chunks(lines, limit);
        }
        let rest = lines.source.get(lines.at..).unwrap_or_default();
        let follow = count(rest.len());
        let (line, fault) = match self.length {
            None if follow == 0 => return Ok((Cow::Borrowed(rest), 0)),
            None => (lines.number + 1, CaptureFault::BodyUnannounced { follow }),
            Some((line, size)) if size > limit => {
                (line, CaptureFault::BodyTooLarge { size, limit })
            }
            Some((line, says)) if follow < says => (line, CaptureFault::BodyCut { says, follow }),
            Some((line, says)) if follow > says => (line, CaptureFault::BodyLong { says, follow }),
            Some(_) => return Ok((Cow::Borrowed(rest), 0)),
        };
        Err(CaptureError::new(line, fault))
    }
}

/// Decodes the chunked transfer coding (RFC 9112 section 7.1).
fn chunks(mut lines: CaptureLines<'_>, limit: u64) -> Result<(Cow<'_, [u8]>, usize), CaptureError> {
    let mut body = Vec::new();
    loop {
        let size = chunk_size(&mut lines)?;
        if size == 0 {
            break;
        }
        let total = count(body.len()).saturating_add(size);
        if total > limit {
            return Err(lines.error(CaptureFault::BodyTooLarge { size: total, limit }));
        }
        let rest = lines.source.get(lines.at..).unwrap_or_default();
        let end = usize::try_from(size).ok().filter(|&end| end <= rest.len());
        let (data, rest) = match end {
            Some(end) => rest.split_at(end),
            None => return Err(lines.error(CaptureFault::ChunkCut)),
        };
        let line_end = lines.end.map_or("", |end| end.as_str()).as_bytes();
        if !rest.starts_with(line_end) {
            let cut = line_end.starts_with(rest);
            let fault = if cut { CaptureFault::ChunkCut } else { CaptureFault::ChunkEnd { size } };
            return Err(lines.error(fault));
        }
        body.extend_from_slice(data);
        lines.at += data.len() + line_end.len();
        lines.number += 1 + data.iter().filter(|&&b| b == b'\n').count();
    }
    let trailers = trailers(&mut lines)?;
    match lines.source.len() - lines.at.min(lines.source.len()) {
        0 => Ok((Cow::Owned(body), trailers)),
        follow => {
            lines.number += 1;
            Err(lines.error(CaptureFault::AfterLastChunk { follow: count(follow) }))
        }
    }
}

fn chunk_size(lines: &mut CaptureLines<'_>) -> Result<u64, CaptureError> {
    let start = lines.at;
    let limit = start.saturating_add(MAX_SIZE_DIGITS + 2);
    let Some(line) = lines.next(limit)? else {
        let rest = lines.source.get(start..limit).or_else(|| lines.source.get(start..));
        let rest = rest.unwrap_or_default();
        let fault = if rest.contains(&b';') {
            CaptureFault::ChunkExtension
        } else if rest.len() < MAX_SIZE_DIGITS + 2 {
            CaptureFault::ChunkCut
        } else {
            CaptureFault::ChunkSize(shown(&String::from_utf8_lossy(rest)))
        };
        return Err(lines.error(fault));
    };
    if line.contains(&b';') {
        return Err(lines.error(CaptureFault::ChunkExtension));
    }
    let text = String::from_utf8_lossy(line);
    match u64::from_str_radix(&text, 16) {
        // `from_str_radix()` alone would accept "+5", which other servers refuse.
        Ok(size) if text.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(size),
        _ => Err(lines.error(CaptureFault::ChunkSize(shown(&text)))),
    }
}

/// Reads and drops the trailer section, up to its empty line.
fn trailers(lines: &mut CaptureLines<'_>) -> Result<usize, CaptureError> {
    let limit = lines.at.saturating_add(MAX_HEAD);
    let mut dropped = 0;
    loop {
        let line = match lines.next(limit)? {
            Some([]) => return Ok(dropped),
            Some(line) => line,
            None if lines.source.len() >= limit => {
                return Err(lines.error(CaptureFault::HeadTooLarge { limit: MAX_HEAD }));
            }
            None => return Err(lines.error(CaptureFault::ChunkCut)),
        };
        let checked = split_field(line)
            .and_then(|(name, value)| Field::new(name, value).map_err(CaptureFault::Field))
            .and_then(|field| match is_forbidden_trailer(field.name()) {
                true => Err(CaptureFault::Trailer(shown(field.name()))),
                false => Ok(()),
            });
        checked.map_err(|fault| lines.error(fault))?;
        dropped += 1;
    }
}

/// Returns true if the trailer field `name` would change the request or its signatures in a server
/// that adds trailers to the head. RFC 9110 section 6.5.1 forbids that, but some servers do it.
fn is_forbidden_trailer(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "authorization",
        "connection",
        "content-digest",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "dpop",
        "host",
        "last-event-id",
        "repr-digest",
        "trailer",
        "transfer-encoding",
    ];
    // CGI and WSGI map an underscore and a hyphen to the same variable name.
    let name = name.replace('_', "-");
    NAMES.contains(&name.as_str()) || name.starts_with("signature") || name.starts_with("mcp")
}

/// Converts a length to `u64`, the number type of the errors.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
