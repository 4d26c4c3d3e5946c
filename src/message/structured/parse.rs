//! The parsing algorithm of RFC 9651 section 4.2: dictionaries, lists, items and parameters. Inner
//! lists cannot contain inner lists, so there is no recursion.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{
    BareItem, Dictionary, InnerList, Item, List, Member, Parameters, ParseFault, ParseReason,
    Received,
};

/// Up to this number of names, each is compared with all others, which is faster than a set. For
/// more names, a set keeps the time linear.
const LINEAR_SEARCH_LIMIT: usize = 16;

pub(super) fn dictionary(value: &[u8]) -> Result<Dictionary<'_>, ParseFault> {
    let mut parser = Parser::new(value)?;
    // Room for one member is reserved, because a field rarely has more, such as one signature or
    // one digest.
    let mut dictionary = Dictionary { members: Vec::with_capacity(1), duplicate: None };
    let mut seen = NameSet::default();
    while parser.another(dictionary.members.is_empty())? {
        let at = parser.at;
        let key = parser.key()?;
        if seen.repeats(key, &dictionary.members) {
            let fault = ParseFault { offset: at, reason: ParseReason::DuplicateKey };
            dictionary.duplicate.get_or_insert(fault);
        }
        let value = if parser.eat(b'=') {
            parser.member()?
        } else {
            // Section 4.2.2: a key without a value is true, and may have parameters.
            let params = parser.parameters()?;
            Member::Item(Item { value: BareItem::Boolean(true), params })
        };
        let fault = parser.fault.take();
        let span = at..parser.at;
        dictionary.members.push((Cow::Borrowed(key), Received { value, fault, span }));
    }
    Ok(dictionary)
}

pub(super) fn list(value: &[u8]) -> Result<List<'_>, ParseFault> {
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

pub(super) fn item(value: &[u8]) -> Result<Received<Item<'_>>, ParseFault> {
    let mut parser = Parser::new(value)?;
    let at = parser.at;
    let value = parser.item()?;
    let span = at..parser.at;
    parser.skip(b" ");
    match parser.peek() {
        None => Ok(Received { value, fault: parser.fault, span }),
        Some(_) => parser.fail(ParseReason::Trailing),
    }
}

/// Finds repeated names. If there are many names, a set avoids comparing each pair.
#[derive(Default)]
struct NameSet<'a>(Option<HashSet<&'a str>>);

impl<'a> NameSet<'a> {
    /// Returns true if `name` is among `before`, the names so far.
    fn repeats<'b, T: 'b>(&mut self, name: &'a str, before: &'b [(Cow<'a, str>, T)]) -> bool {
        if before.len() < LINEAR_SEARCH_LIMIT {
            return before.iter().any(|(other, _)| other == name);
        }
        // The set is created only when needed, because most items have no parameters.
        let seen = self.0.get_or_insert_with(|| {
            let names = before.iter().filter_map(|(other, _)| match other {
                Cow::Borrowed(other) => Some(*other),
                Cow::Owned(_) => None,
            });
            names.collect()
        });
        !seen.insert(name)
    }
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// The first fault that was found since this value was last taken.
    fault: Option<ParseFault>,
}

impl<'a> Parser<'a> {
    /// Section 4.2, steps 1 to 3: ASCII only, leading spaces dropped.
    fn new(value: &'a [u8]) -> Result<Self, ParseFault> {
        let text = match std::str::from_utf8(value) {
            Ok(text) if text.is_ascii() => text,
            _ => {
                let offset = value.iter().take_while(|b| b.is_ascii()).count();
                return Err(ParseFault { offset, reason: ParseReason::NotAscii });
            }
        };
        let mut parser = Parser { text, bytes: value, at: 0, fault: None };
        parser.skip(b" ");
        Ok(parser)
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.at += 1;
        }
        there
    }

    fn skip(&mut self, these: &[u8]) {
        self.skip_while(|byte| these.contains(&byte));
    }

    pub(super) fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|&byte| !wanted(byte)).unwrap_or(rest.len());
    }

    /// Returns the text from `start` to the present position. All of it is ASCII, so that no
    /// position is inside a character.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn fail<T>(&self, reason: ParseReason) -> Result<T, ParseFault> {
        Err(ParseFault { offset: self.at, reason })
    }

    pub(super) fn record(&mut self, offset: usize, reason: ParseReason) {
        self.fault.get_or_insert(ParseFault { offset, reason });
    }

    /// Skips the separator between two members of a list or dictionary and returns true if another
    /// member follows (sections 4.2.1 and 4.2.2). Spaces and tabs are allowed around commas, only
    /// spaces at both ends of the value.
    fn another(&mut self, first: bool) -> Result<bool, ParseFault> {
        if first {
            return Ok(self.peek().is_some());
        }
        let start = self.at;
        self.skip(b" \t");
        if self.peek().is_none() {
            // A tab at the end of the value is accepted, because the algorithm of section 4.2.1
            // skips it. (By the grammar, such a value would not be valid.)
            return Ok(false);
        }
        if !self.eat(b',') {
            self.at = start;
            return self.fail(ParseReason::Comma);
        }
        self.skip(b" \t");
        if self.peek().is_none() { self.fail(ParseReason::TrailingComma) } else { Ok(true) }
    }

    fn member(&mut self) -> Result<Member<'a>, ParseFault> {
        if self.peek() == Some(b'(') {
            self.inner_list().map(Member::InnerList)
        } else {
            self.item().map(Member::Item)
        }
    }

    fn inner_list(&mut self) -> Result<InnerList<'a>, ParseFault> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip(b" ");
            if self.eat(b')') {
                return Ok(InnerList { items, params: self.parameters()? });
            }
            if items.is_empty() {
                // The usual inner list, the covered components of a signature, has seven to nine
                // items. One reservation is faster than growing four times.
                items.reserve(10);
            }
            items.push(self.item()?);
            match self.peek() {
                Some(b' ' | b')') => {}
                Some(_) => return self.fail(ParseReason::InnerList),
                None => return self.fail(ParseReason::End),
            }
        }
    }

    fn item(&mut self) -> Result<Item<'a>, ParseFault> {
        let value = self.bare_item()?;
        Ok(Item { value, params: self.parameters()? })
    }

    #[inline]
    fn parameters(&mut self) -> Result<Parameters<'a>, ParseFault> {
        // Most members and items have no parameters.
        if self.peek() == Some(b';') { self.some_parameters() } else { Ok(Parameters::default()) }
    }

    fn some_parameters(&mut self) -> Result<Parameters<'a>, ParseFault> {
        let mut params = Vec::new();
        let mut seen = NameSet::default();
        while self.eat(b';') {
            self.skip(b" ");
            let at = self.at;
            let key = self.key()?;
            let value = if self.eat(b'=') { self.bare_item()? } else { BareItem::Boolean(true) };
            if seen.repeats(key, &params) {
                self.record(at, ParseReason::DuplicateParameter);
            }
            if params.is_empty() {
                // A signature has five parameters, so the vector does not have to grow.
                params.reserve(6);
            }
            params.push((Cow::Borrowed(key), value));
        }
        Ok(Parameters(params))
    }

    fn key(&mut self) -> Result<&'a str, ParseFault> {
        let start = self.at;
        match self.peek() {
            Some(b'a'..=b'z' | b'*') => {
                self.skip_while(is_key_char);
                Ok(self.since(start))
            }
            Some(_) => self.fail(ParseReason::Key),
            None => self.fail(ParseReason::End),
        }
    }
}

/// Returns true if `byte` is allowed in a key after its first character (section 3.1.2).
pub(super) fn is_key_char(byte: u8) -> bool {
    KEY_CHAR[usize::from(byte)]
}

/// Which characters are allowed in a key. A table is faster than comparisons.
const KEY_CHAR: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] =
            matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*');
        byte += 1;
    }
    table
};
