//! The parsing algorithm of RFC 9651 section 4.2, without recursion: inner lists do not nest.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::{
    BareItem, Decimal, Dictionary, Fault, InnerList, Item, List, Member, Parameters, Reason,
    Received,
};
use crate::message::is_tchar;

/// What RFC 9651 lets a parser read; only used to tell a second spelling from what is not base64.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Up to here names are compared one by one, which is quicker; beyond, a set keeps it linear.
const FEW: usize = 16;

pub(super) fn dictionary(value: &[u8]) -> Result<Dictionary<'_>, Fault> {
    let mut parser = Parser::new(value)?;
    let mut dictionary = Dictionary::default();
    let mut seen = Seen::default();
    while parser.another(dictionary.members.is_empty())? {
        let at = parser.at;
        let key = parser.key()?;
        if seen.repeats(key, &dictionary.members) {
            let fault = Fault { offset: at, reason: Reason::DuplicateKey };
            dictionary.duplicate.get_or_insert(fault);
        }
        let value = if parser.eat(b'=') {
            parser.member()?
        } else {
            // Section 4.2.2: a key alone is true, and may have parameters.
            let params = parser.parameters()?;
            Member::Item(Item { value: BareItem::Boolean(true), params })
        };
        let fault = parser.fault.take();
        let span = at..parser.at;
        dictionary.members.push((Cow::Borrowed(key), Received { value, fault, span }));
    }
    Ok(dictionary)
}

pub(super) fn list(value: &[u8]) -> Result<List<'_>, Fault> {
    let mut parser = Parser::new(value)?;
    let mut list = List::default();
    while parser.another(list.members.is_empty())? {
        let at = parser.at;
        let value = parser.member()?;
        let (fault, span) = (parser.fault.take(), at..parser.at);
        list.members.push(Received { value, fault, span });
    }
    Ok(list)
}

pub(super) fn item(value: &[u8]) -> Result<Received<Item<'_>>, Fault> {
    let mut parser = Parser::new(value)?;
    let at = parser.at;
    let value = parser.item()?;
    let span = at..parser.at;
    parser.skip(b" ");
    match parser.peek() {
        None => Ok(Received { value, fault: parser.fault, span }),
        Some(_) => parser.fail(Reason::Trailing),
    }
}

/// Notices repeated names without comparing every pair once there are many.
#[derive(Default)]
struct Seen<'a>(HashSet<&'a str>);

impl<'a> Seen<'a> {
    /// Whether `name` is among `before`, which are the names so far.
    fn repeats<'b, T: 'b>(&mut self, name: &'a str, before: &'b [(Cow<'a, str>, T)]) -> bool {
        if before.len() < FEW {
            return before.iter().any(|(other, _)| other == name);
        }
        if self.0.is_empty() {
            self.0.extend(before.iter().filter_map(|(other, _)| match other {
                Cow::Borrowed(other) => Some(*other),
                Cow::Owned(_) => None,
            }));
        }
        !self.0.insert(name)
    }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// The first fault since it was last taken.
    fault: Option<Fault>,
}

impl<'a> Parser<'a> {
    /// Section 4.2, steps 1 to 3: ASCII only, leading spaces dropped.
    fn new(value: &'a [u8]) -> Result<Self, Fault> {
        let text = match std::str::from_utf8(value) {
            Ok(text) if text.is_ascii() => text,
            _ => {
                let offset = value.iter().take_while(|b| b.is_ascii()).count();
                return Err(Fault { offset, reason: Reason::NotAscii });
            }
        };
        let mut parser = Parser { text, bytes: value, at: 0, fault: None };
        parser.skip(b" ");
        Ok(parser)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.at += 1;
        }
        there
    }

    fn skip(&mut self, these: &[u8]) {
        self.skip_while(|byte| these.contains(&byte));
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
    }

    /// The text from `start` up to here. Everything is ASCII, so that no edge is inside a
    /// character.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn fail<T>(&self, reason: Reason) -> Result<T, Fault> {
        Err(Fault { offset: self.at, reason })
    }

    fn record(&mut self, offset: usize, reason: Reason) {
        self.fault.get_or_insert(Fault { offset, reason });
    }

    /// Between the members of a list or dictionary: whether one more follows (sections 4.2.1 and
    /// 4.2.2). Spaces and tabs may stand around commas, only spaces at the two ends.
    fn another(&mut self, first: bool) -> Result<bool, Fault> {
        if first {
            return Ok(self.peek().is_some());
        }
        let start = self.at;
        self.skip(b" \t");
        if self.peek().is_none() {
            // A tab at the very end is neither part of a separator nor one of the trailing
            // spaces of section 4.2 step 6; the algorithm drops it together with them.
            return Ok(false);
        }
        if !self.eat(b',') {
            self.at = start;
            return self.fail(Reason::Comma);
        }
        self.skip(b" \t");
        if self.peek().is_none() { self.fail(Reason::TrailingComma) } else { Ok(true) }
    }

    fn member(&mut self) -> Result<Member<'a>, Fault> {
        if self.peek() == Some(b'(') {
            self.inner_list().map(Member::InnerList)
        } else {
            self.item().map(Member::Item)
        }
    }

    fn inner_list(&mut self) -> Result<InnerList<'a>, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip(b" ");
            if self.eat(b')') {
                return Ok(InnerList { items, params: self.parameters()? });
            }
            if items.is_empty() {
                // What this project reads has seven to nine items; growing four times costs more
                // than a little slack.
                items.reserve(10);
            }
            items.push(self.item()?);
            match self.peek() {
                Some(b' ' | b')') => {}
                Some(_) => return self.fail(Reason::InnerList),
                None => return self.fail(Reason::End),
            }
        }
    }

    fn item(&mut self) -> Result<Item<'a>, Fault> {
        let value = self.bare_item()?;
        Ok(Item { value, params: self.parameters()? })
    }

    fn parameters(&mut self) -> Result<Parameters<'a>, Fault> {
        let mut params = Vec::new();
        let mut seen = Seen::default();
        while self.eat(b';') {
            self.skip(b" ");
            let at = self.at;
            let key = self.key()?;
            let value = if self.eat(b'=') { self.bare_item()? } else { BareItem::Boolean(true) };
            if seen.repeats(key, &params) {
                self.record(at, Reason::DuplicateParameter);
            }
            params.push((Cow::Borrowed(key), value));
        }
        Ok(Parameters(params))
    }

    fn key(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        match self.peek() {
            Some(b'a'..=b'z' | b'*') => {
                self.skip_while(is_key_char);
                Ok(self.since(start))
            }
            Some(_) => self.fail(Reason::Key),
            None => self.fail(Reason::End),
        }
    }

    fn bare_item(&mut self) -> Result<BareItem<'a>, Fault> {
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
            Some(_) => self.fail(Reason::Item),
            None => self.fail(Reason::End),
        }
    }

    /// Section 4.2.4. Kept as whole thousandths: no float ever touches what is signed.
    fn number(&mut self) -> Result<BareItem<'a>, Fault> {
        let start = self.at;
        let negative = self.eat(b'-');
        let (whole, digits) = self.digits();
        let sign = if negative { -1 } else { 1 };
        if digits == 0 || digits > 15 {
            self.at = start;
            return self.fail(Reason::Number);
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
            return self.fail(Reason::Number);
        }
        Ok(BareItem::Decimal(Decimal(sign * (whole * 1000 + fraction * scale))))
    }

    /// The value of the digits that follow, and how many there are; the value is right for up to
    /// fifteen of them, and more are an error wherever this is used.
    fn digits(&mut self) -> (i64, usize) {
        let start = self.at;
        let mut value: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        (value, self.at - start)
    }

    /// Section 4.2.5. A string without escapes, and almost all are, is borrowed.
    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.at += 1;
        let start = self.at;
        let plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
        self.skip_while(plain);
        let head = self.since(start);
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(head));
        }
        let mut text = head.to_owned();
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
                        Some(_) => return self.fail(Reason::String),
                        None => return self.fail(Reason::End),
                    }
                    self.at += 1;
                }
                Some(_) => return self.fail(Reason::String),
                None => return self.fail(Reason::End),
            }
        }
    }

    /// Section 4.2.7. The section allows, but does not ask for, missing padding and unused bits
    /// that are set; both give a second spelling of the same bytes, so they are recorded.
    fn byte_sequence(&mut self) -> Result<Vec<u8>, Fault> {
        let start = self.at;
        self.at += 1;
        let Some(length) =
            self.bytes.get(self.at..).and_then(|b| b.iter().position(|&b| b == b':'))
        else {
            return self.fail(Reason::End);
        };
        let encoded = self.bytes.get(self.at..self.at + length).unwrap_or_default();
        let bytes = match STANDARD.decode(encoded) {
            Ok(bytes) => bytes,
            Err(_) => match LENIENT.decode(encoded) {
                Ok(bytes) => {
                    self.record(start, Reason::NonCanonicalBase64);
                    bytes
                }
                Err(_) => return self.fail(Reason::Bytes),
            },
        };
        self.at += length + 1;
        Ok(bytes)
    }

    fn boolean(&mut self) -> Result<BareItem<'a>, Fault> {
        self.at += 1;
        let value = match self.peek() {
            Some(b'0') => false,
            Some(b'1') => true,
            Some(_) => return self.fail(Reason::Boolean),
            None => return self.fail(Reason::End),
        };
        self.at += 1;
        Ok(BareItem::Boolean(value))
    }

    fn date(&mut self) -> Result<BareItem<'a>, Fault> {
        let start = self.at;
        self.at += 1;
        match self.number() {
            Ok(BareItem::Integer(seconds)) => Ok(BareItem::Date(seconds)),
            _ => Err(Fault { offset: start, reason: Reason::Date }),
        }
    }

    /// Section 4.2.10: percent-encoded UTF-8, the digits in lower case.
    fn display_string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let broken = Fault { offset: self.at, reason: Reason::DisplayString };
        self.at += 1;
        if !self.eat(b'"') {
            return Err(broken);
        }
        let mut bytes = Vec::new();
        loop {
            let Some(byte) = self.peek() else {
                return self.fail(Reason::End);
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
                        _ => return self.fail(Reason::DisplayString),
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

/// Whether `byte` may stand in a key, behind its first character (section 3.1.2).
pub(super) fn is_key_char(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*')
}
