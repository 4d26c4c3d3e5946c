//! Parses values without parameters, by the algorithm of RFC 9651 section 4.2.3.1.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::parse::Parser;
use super::{BareItem, Decimal, ParseFault, ParseReason};
use crate::message::is_tchar;

/// A decoder that accepts every base64 that RFC 9651 lets a parser accept. With it, non-canonical
/// base64 is distinguished from text that is not base64.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl<'a> Parser<'a> {
    pub(super) fn bare_item(&mut self) -> Result<BareItem<'a>, ParseFault> {
        match self.peek() {
            Some(b'"') => self.string().map(BareItem::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b':') => self.byte_sequence().map(BareItem::Bytes),
            Some(b'?') => self.boolean(),
            Some(b'@') => self.date(),
            Some(b'%') => self.display_string().map(BareItem::DisplayString),
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'*' => {
                let start = self.at;
                self.skip_while(|b| is_tchar(b) || matches!(b, b':' | b'/'));
                Ok(BareItem::Token(Cow::Borrowed(self.since(start))))
            }
            Some(_) => self.fail(ParseReason::Item),
            None => self.fail(ParseReason::End),
        }
    }

    /// Parses a number (section 4.2.4) as whole thousandths, so that signed data is never rounded
    /// to a float.
    fn number(&mut self) -> Result<BareItem<'a>, ParseFault> {
        let start = self.at;
        let negative = self.eat(b'-');
        let (whole, digits) = self.digits();
        let sign = if negative { -1 } else { 1 };
        if digits == 0 || digits > 15 {
            self.at = start;
            return self.fail(ParseReason::Number);
        }
        if !self.eat(b'.') {
            return Ok(BareItem::Integer(sign * whole));
        }
        let (fraction, places) = self.digits();
        let scale = match places {
            1 => 100,
            2 => 10,
            3 => 1,
            _ => 0,
        };
        if digits > 12 || scale == 0 {
            self.at = start;
            return self.fail(ParseReason::Number);
        }
        Ok(BareItem::Decimal(Decimal(sign * (whole * 1000 + fraction * scale))))
    }

    /// Returns the value of the digits that follow, and their number. The value is correct for up
    /// to fifteen digits; callers refuse more.
    fn digits(&mut self) -> (i64, usize) {
        let start = self.at;
        let mut value: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        (value, self.at - start)
    }

    /// Parses a string (section 4.2.5). A string without escapes, the usual case, is borrowed.
    fn string(&mut self) -> Result<Cow<'a, str>, ParseFault> {
        self.at += 1;
        let start = self.at;
        let plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
        self.at += plain_run(self.bytes.get(start..).unwrap_or_default());
        if self.peek() == Some(b'"') {
            let text = self.since(start);
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        let mut text = self.since(start).to_owned();
        loop {
            let run = self.at;
            self.skip_while(plain);
            text.push_str(self.since(run));
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(escaped @ (b'"' | b'\\')) => text.push(char::from(escaped)),
                        Some(_) => return self.fail(ParseReason::String),
                        None => return self.fail(ParseReason::End),
                    }
                    self.at += 1;
                }
                Some(_) => return self.fail(ParseReason::String),
                None => return self.fail(ParseReason::End),
            }
        }
    }

    /// Parses a byte sequence (section 4.2.7). The section allows a parser to accept missing
    /// padding, and unused bits that are not zero. Both give a second spelling of the same bytes,
    /// so they are recorded as faults.
    fn byte_sequence(&mut self) -> Result<Vec<u8>, ParseFault> {
        let start = self.at;
        self.at += 1;
        // `find` on a `str` is used because it is fast.
        let Some(length) = self.text.get(self.at..).and_then(|rest| rest.find(':')) else {
            return self.fail(ParseReason::End);
        };
        let encoded = self.bytes.get(self.at..self.at + length).unwrap_or_default();
        let bytes = match STANDARD.decode(encoded) {
            Ok(bytes) => bytes,
            Err(_) => match LENIENT.decode(encoded) {
                Ok(bytes) => {
                    self.record(start, ParseReason::NonCanonicalBase64);
                    bytes
                }
                Err(_) => return self.fail(ParseReason::Bytes),
            },
        };
        self.at += length + 1;
        Ok(bytes)
    }

    fn boolean(&mut self) -> Result<BareItem<'a>, ParseFault> {
        self.at += 1;
        let value = match self.peek() {
            Some(b'0') => false,
            Some(b'1') => true,
            Some(_) => return self.fail(ParseReason::Boolean),
            None => return self.fail(ParseReason::End),
        };
        self.at += 1;
        Ok(BareItem::Boolean(value))
    }

    fn date(&mut self) -> Result<BareItem<'a>, ParseFault> {
        let start = self.at;
        self.at += 1;
        match self.number() {
            Ok(BareItem::Integer(seconds)) => Ok(BareItem::Date(seconds)),
            _ => Err(ParseFault { offset: start, reason: ParseReason::Date }),
        }
    }

    /// Parses a display string (section 4.2.10): percent-encoded UTF-8 with digits in lower case.
    fn display_string(&mut self) -> Result<Cow<'a, str>, ParseFault> {
        let broken = ParseFault { offset: self.at, reason: ParseReason::DisplayString };
        self.at += 1;
        if !self.eat(b'"') {
            return Err(broken);
        }
        let mut bytes = Vec::new();
        loop {
            let Some(byte) = self.peek() else {
                return self.fail(ParseReason::End);
            };
            self.at += 1;
            match byte {
                b'"' => break,
                b'%' => {
                    let digit = |b: Option<u8>| match b {
                        Some(b @ b'0'..=b'9') => Some(b - b'0'),
                        Some(b @ b'a'..=b'f') => Some(b - b'a' + 10),
                        _ => None,
                    };
                    let (high, low) = (self.bytes.get(self.at), self.bytes.get(self.at + 1));
                    match (digit(high.copied()), digit(low.copied())) {
                        (Some(high), Some(low)) => bytes.push(high << 4 | low),
                        _ => return self.fail(ParseReason::DisplayString),
                    }
                    self.at += 2;
                }
                b' '..=b'~' => bytes.push(byte),
                _ => return Err(broken),
            }
        }
        String::from_utf8(bytes).map(Cow::Owned).map_err(|_| broken)
    }
}

/// Returns the number of bytes at the start of `ascii` that need no escape in a string: all except
/// quotes, backslashes and control characters. Eight bytes are compared at once, because almost all
/// parameters of a signature are strings.
fn plain_run(ascii: &[u8]) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let (words, rest) = ascii.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        // All bytes are below 0x80, so that adding to each byte never carries into the next one.
        // The high bit of each sum then says whether the byte was at or above a bound.
        let word = u64::from_le_bytes(*word) & !HIGH;
        let graphic = word + 0x60 * EACH;
        let delete = word + EACH;
        let no_quote = (word ^ (0x22 * EACH)) + 0x7f * EACH;
        let no_backslash = (word ^ (0x5c * EACH)) + 0x7f * EACH;
        let stop = !(graphic & !delete & no_quote & no_backslash) & HIGH;
        if stop != 0 {
            let within = stop.trailing_zeros() / 8;
            return at * 8 + usize::try_from(within).unwrap_or_default();
        }
    }
    let plain = |b: &u8| matches!(b, b' '..=b'~') && *b != b'"' && *b != b'\\';
    words.len() * 8 + rest.iter().position(|b| !plain(b)).unwrap_or(rest.len())
}
