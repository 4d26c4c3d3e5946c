//! Structured field values (RFC 9651): a parser that keeps repeated keys and their order.
//!
//! The algorithm of the RFC keeps only the last of two equal keys, and leaves it to a parser
//! whether to accept base64 without padding. So two parsers can see different values in the same
//! bytes, which must not happen with signed data. This parser accepts everything that the RFC calls
//! well formed, keeps all members in the order received, and *records* each of these two cases as a
//! [`ParseFault`]: for the dictionary if a key is repeated, and for one member if the fault is
//! inside it. The caller decides what a fault affects. [`Dictionary::strict`] and the other
//! `strict` functions return it as an error.

use std::borrow::Cow;
use std::ops::Range;

mod bare;
mod parse;
mod write;

pub use write::{Unwritable, write_key};

/// Joins the lines of a field with `", "` (RFC 9110 section 5.3). Returns `None` if there is no
/// line. A single line is not copied.
pub fn combine<'v>(lines: impl IntoIterator<Item = &'v [u8]>) -> Option<Cow<'v, [u8]>> {
    let mut lines = lines.into_iter();
    let mut value = Cow::Borrowed(lines.next()?);
    for line in lines {
        let value = value.to_mut();
        value.extend_from_slice(b", ");
        value.extend_from_slice(line);
    }
    Some(value)
}

/// A fault of a structured field value, and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct ParseFault {
    /// The position in bytes, from the start of the value. If the field has several lines, the
    /// value is these lines joined with `", "`.
    pub offset: usize,
    /// The reason at that position.
    pub reason: ParseReason,
}

/// The kind of a fault in a structured field value. The last three are not errors in RFC 9651, but
/// lead to different readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseReason {
    /// A byte above 0x7f.
    #[error("a byte outside ASCII")]
    NotAscii,
    /// The value ends too early.
    #[error("an early end")]
    End,
    /// A key is missing (RFC 9651 section 4.2.3.3).
    #[error("no key")]
    Key,
    /// No item starts with this character (section 4.2.3.1).
    #[error("no item")]
    Item,
    /// A number has no digits, or more than 15, or more than 12 before or 3 after a point (4.2.4).
    #[error("a number that is not one or is too long")]
    Number,
    /// A string has a bad escape, a control character or no end (4.2.5).
    #[error("a broken string")]
    String,
    /// The bytes between colons are not base64 (4.2.7).
    #[error("a broken byte sequence")]
    Bytes,
    /// A `?` is followed by neither 0 nor 1 (4.2.8).
    #[error("a broken boolean")]
    Boolean,
    /// A `@` is not followed by an integer (4.2.9).
    #[error("a date that is not a whole number")]
    Date,
    /// A display string is not percent-encoded UTF-8 with lower-case digits (4.2.10).
    #[error("a broken display string")]
    DisplayString,
    /// Two items of an inner list have no space between them (4.2.1.2).
    #[error("an inner list without a space between items")]
    InnerList,
    /// A member is followed by a character other than a comma (4.2.1, 4.2.2).
    #[error("no comma between members")]
    Comma,
    /// A comma is not followed by a member.
    #[error("a trailing comma")]
    TrailingComma,
    /// The value is followed by further characters.
    #[error("characters behind the value")]
    Trailing,
    /// A key occurs a second time. Other parsers silently keep the last one (4.2.2).
    #[error("a repeated key")]
    DuplicateKey,
    /// A parameter occurs a second time. Other parsers silently keep the last one (4.2.3.2).
    #[error("a repeated parameter")]
    DuplicateParameter,
    /// Base64 lacks its padding, or has unused bits that are not zero (4.2.7): a second spelling of
    /// the same bytes.
    #[error("base64 that is not canonical")]
    NonCanonicalBase64,
}

/// A decimal: at most twelve digits before the point and three after it (section 3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(i64);

impl Decimal {
    /// Makes a decimal from thousandths. Returns `None` if the value is too large for RFC 9651.
    pub fn from_thousandths(thousandths: i64) -> Option<Self> {
        (-MAX_INTEGER..=MAX_INTEGER).contains(&thousandths).then_some(Decimal(thousandths))
    }

    /// Returns the value in thousandths.
    pub fn thousandths(self) -> i64 {
        self.0
    }
}

/// The largest integer, fifteen nines (section 3.3.1). The smallest is its negative.
pub const MAX_INTEGER: i64 = 999_999_999_999_999;

/// A value without parameters (section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BareItem<'a> {
    /// A whole number of at most fifteen digits.
    Integer(i64),
    /// A number with a decimal point.
    Decimal(Decimal),
    /// Printable ASCII in quotes, with escapes removed.
    String(Cow<'a, str>),
    /// A word without quotes.
    Token(Cow<'a, str>),
    /// Bytes, decoded.
    Bytes(Vec<u8>),
    /// `?0` or `?1`, or a key without a value.
    Boolean(bool),
    /// Whole seconds since 1970.
    Date(i64),
    /// Unicode text, decoded.
    DisplayString(Cow<'a, str>),
}

impl<'a> BareItem<'a> {
    /// Returns the text of a string, or `None` for every other type, also for a token.
    pub fn as_string(&self) -> Option<&str> {
        match self {
            BareItem::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number of an integer, or `None` for every other type, also decimals and dates.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            BareItem::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Copies borrowed text, so that the value borrows nothing.
    pub fn into_owned(self) -> BareItem<'static> {
        match self {
            BareItem::Integer(n) => BareItem::Integer(n),
            BareItem::Decimal(n) => BareItem::Decimal(n),
            BareItem::String(s) => BareItem::String(owned(s)),
            BareItem::Token(s) => BareItem::Token(owned(s)),
            BareItem::Bytes(b) => BareItem::Bytes(b),
            BareItem::Boolean(b) => BareItem::Boolean(b),
            BareItem::Date(n) => BareItem::Date(n),
            BareItem::DisplayString(s) => BareItem::DisplayString(owned(s)),
        }
    }
}

/// Parameters in the order received, including repeated ones (section 3.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Parameters<'a>(Vec<(Cow<'a, str>, BareItem<'a>)>);

impl<'a> Parameters<'a> {
    /// Returns the first parameter with this name. If a name is repeated, the member has a fault,
    /// which the caller has to check.
    pub fn get(&self, name: &str) -> Option<&BareItem<'a>> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Returns names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &BareItem<'a>)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// Returns the number of parameters.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if the list of parameters is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets one parameter. An existing parameter keeps its position; a new one is added at the end.
    /// The name is checked when the parameters are written.
    pub fn set(&mut self, name: impl Into<Cow<'a, str>>, value: BareItem<'a>) {
        let name = name.into();
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Copies borrowed text, so that the parameters borrow nothing.
    pub fn into_owned(self) -> Parameters<'static> {
        Parameters(self.0.into_iter().map(|(k, v)| (owned(k), v.into_owned())).collect())
    }
}

/// A value with parameters (section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The value.
    pub value: BareItem<'a>,
    /// The parameters of the item.
    pub params: Parameters<'a>,
}

/// Items in parentheses, with parameters of their own (section 3.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerList<'a> {
    /// The items, in order.
    pub items: Vec<Item<'a>>,
    /// The parameters of the list.
    pub params: Parameters<'a>,
}

/// A member of a list or dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member<'a> {
    /// An item.
    Item(Item<'a>),
    /// An inner list.
    InnerList(InnerList<'a>),
}

impl Member<'_> {
    /// Copies borrowed text, so that the member borrows nothing.
    pub fn into_owned(self) -> Member<'static> {
        let own = |i: Item<'_>| Item { value: i.value.into_owned(), params: i.params.into_owned() };
        match self {
            Member::Item(item) => Member::Item(own(item)),
            Member::InnerList(list) => Member::InnerList(InnerList {
                items: list.items.into_iter().map(own).collect(),
                params: list.params.into_owned(),
            }),
        }
    }
}

/// A member as received, with a fault that other parsers would hide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<T> {
    /// The member.
    pub value: T,
    /// The first repeated parameter or non-canonical byte sequence in the member.
    pub fault: Option<ParseFault>,
    /// The byte range of the member in the value, from its key (if it has one) to its last
    /// parameter.
    pub span: Range<usize>,
}

/// A list (section 3.1).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct List<'a> {
    /// The members, in order.
    pub members: Vec<Received<Member<'a>>>,
}

/// A dictionary (section 3.2): its members in the order received, including repeated keys.
///
/// ```
/// use mcpid::message::structured::{Dictionary, ParseReason};
///
/// let dictionary = Dictionary::parse(b"a=1, b=?0, a=2")?;
/// assert_eq!(dictionary.members.len(), 3);
/// assert_eq!(dictionary.duplicate.map(|fault| fault.reason), Some(ParseReason::DuplicateKey));
/// assert!(Dictionary::strict(b"a=1, b=?0, a=2").is_err());
/// # Ok::<(), mcpid::message::structured::ParseFault>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Dictionary<'a> {
    /// Keys and members.
    pub members: Vec<(Cow<'a, str>, Received<Member<'a>>)>,
    /// The first repeated key.
    pub duplicate: Option<ParseFault>,
}

impl<'a> Dictionary<'a> {
    /// Parses a dictionary. Repeated keys and faults inside members are recorded, and are not
    /// errors.
    ///
    /// # Errors
    /// The first position that RFC 9651 does not allow.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseFault> {
        parse::dictionary(value)
    }

    /// Parses a dictionary. Repeated keys and faults inside members are errors.
    ///
    /// # Errors
    /// The first position that RFC 9651 does not allow; otherwise a repeated key; otherwise the
    /// fault of the first member that has one.
    pub fn strict(value: &'a [u8]) -> Result<Self, ParseFault> {
        let dictionary = parse::dictionary(value)?;
        let inner = dictionary.members.iter().find_map(|(_, member)| member.fault);
        dictionary.duplicate.or(inner).map_or(Ok(dictionary), Err)
    }

    /// Returns the first member of the key `key`.
    pub fn get(&self, key: &str) -> Option<&Received<Member<'a>>> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, member)| member)
    }

    /// Copies borrowed text, so that the dictionary borrows nothing.
    pub fn into_owned(self) -> Dictionary<'static> {
        let own = |(key, member): (_, Received<Member<'_>>)| {
            let Received { value, fault, span } = member;
            (owned(key), Received { value: value.into_owned(), fault, span })
        };
        Dictionary {
            members: self.members.into_iter().map(own).collect(),
            duplicate: self.duplicate,
        }
    }
}

impl<'a> List<'a> {
    /// Parses a list. Faults inside members are recorded, and are not errors.
    ///
    /// # Errors
    /// The first position that RFC 9651 does not allow.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseFault> {
        parse::list(value)
    }

    /// Parses a list. Faults inside members are errors.
    ///
    /// # Errors
    /// The first position that RFC 9651 does not allow; otherwise the fault of the first member
    /// that has one.
    pub fn strict(value: &'a [u8]) -> Result<Self, ParseFault> {
        let list = parse::list(value)?;
        list.members.iter().find_map(|member| member.fault).map_or(Ok(list), Err)
    }
}

impl<'a> Item<'a> {
    /// Parses one item. A repeated parameter or non-canonical base64 is recorded, and is not an
    /// error.
    pub fn parse(value: &'a [u8]) -> Result<Received<Self>, ParseFault> {
        parse::item(value)
    }

    /// Parses one item. Unlike [`Item::parse`], also refuses a repeated parameter and non-canonical
    /// base64.
    ///
    /// # Errors
    /// The first position that RFC 9651 does not allow; otherwise the recorded fault.
    pub fn strict(value: &'a [u8]) -> Result<Self, ParseFault> {
        let item = parse::item(value)?;
        item.fault.map_or(Ok(item.value), Err)
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
