//! One JSON object, read so that no two parsers can disagree about it (RFC 8259).
//!
//! serde_json does the grammar: white space, numbers, escapes, lone surrogates. What it lets
//! through is found here, while it walks: a key that stands twice in one object, nesting that
//! some parsers give up on, and keys that a parser without regard to case takes for another.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::body::Ambiguity;

/// How deeply objects and arrays may nest, the outermost one included.
pub(super) const MAX_DEPTH: usize = 64;

/// Members that decide what a message does. A key that differs from one of them in letter case
/// only is refused: Go's `encoding/json`, among others, would take it for the real one.
const STEERING: [&str; 11] = [
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "name",
    "uri",
    "taskId",
    "arguments",
    "_meta",
];

/// The member of `params._meta` that names the protocol version.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// What serde_json puts in place of a number if any crate in the build turns on its feature
/// `arbitrary_precision`: an object with this one key. It must stay a number for us, or `params`
/// could be one. (Numbers that overflow a double then pass; nothing here gives them a meaning.)
const NUMBER_IN_DISGUISE: &str = "$serde_json::private::Number";

/// Up to this many keys an object's keys are compared one by one, which is faster than hashing.
const FEW_KEYS: usize = 16;

/// A value, as far as the envelope's rules need it.
#[derive(Debug, PartialEq)]
pub(super) enum Kind<'de> {
    Text(Cow<'de, str>),
    Object,
    Other,
}

/// What an object holds in the places where a message keeps its meaning.
#[derive(Debug, Default)]
pub(super) struct Found<'de> {
    pub(super) jsonrpc: bool,
    pub(super) result: bool,
    pub(super) error: bool,
    /// The value of `id` as it was written.
    pub(super) id: Option<&'de str>,
    pub(super) method: Option<Kind<'de>>,
    pub(super) params: Option<Kind<'de>>,
    pub(super) name: Option<Kind<'de>>,
    pub(super) uri: Option<Kind<'de>>,
    pub(super) task_id: Option<Kind<'de>>,
    pub(super) version: Option<Kind<'de>>,
}

/// Reads exactly one object with nothing but white space around it.
pub(super) fn read(text: &str) -> Result<Found<'_>, (Ambiguity, usize)> {
    let mut walk =
        Walk { keys: Vec::with_capacity(16), depth: 0, fault: None, found: Found::default() };
    let mut input = serde_json::Deserializer::from_str(text);
    let outcome = Seed { walk: &mut walk, place: Place::Envelope }
        .deserialize(&mut input)
        .and_then(|kind| input.end().map(|()| kind));
    match outcome {
        Ok(Kind::Object) => Ok(walk.found),
        Ok(_) => Err((Ambiguity::NotAnObject, 0)),
        Err(error) => {
            let at = offset(text, error.line(), error.column());
            Err((walk.fault.unwrap_or(Ambiguity::Json(error.into())), at))
        }
    }
}

/// The byte offset of a line and column, both counted from 1 (a column may be 0).
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    start.saturating_add(column.saturating_sub(1)).min(text.len())
}

/// What is carried through the walk.
struct Walk<'de> {
    /// The keys of all objects that are open and have few; each object looks at its own end.
    keys: Vec<Cow<'de, str>>,
    depth: usize,
    /// Why the walk was ended: serde's errors can only carry text.
    fault: Option<Ambiguity>,
    found: Found<'de>,
}

impl Walk<'_> {
    fn end<E: serde::de::Error>(&mut self, fault: Ambiguity) -> E {
        self.fault = Some(fault);
        E::custom("refused")
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Envelope,
    Params,
    Meta,
    /// A string that is wanted.
    Steering,
    Inner,
}

struct Seed<'w, 'de> {
    walk: &'w mut Walk<'de>,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Seed<'_, 'de> {
    type Value = Kind<'de>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Kind<'de>, D::Error> {
        // Never `IgnoredAny`, which skips over strings without looking at their escapes.
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, 'de> {
    type Value = Kind<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Kind<'de>, E> {
        Ok(Kind::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kind<'de>, E> {
        Ok(Kind::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Kind<'de>, E> {
        Ok(Kind::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Kind<'de>, E> {
        Ok(Kind::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kind<'de>, E> {
        Ok(Kind::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Kind<'de>, E> {
        Ok(Kind::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind<'de>, E> {
        // A string with escapes is only copied where somebody will look at it.
        Ok(match self.place {
            Place::Steering => Kind::Text(Cow::Owned(text.to_owned())),
            _ => Kind::Text(Cow::Borrowed("")),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind<'de>, A::Error> {
        let walk = self.walk;
        descend::<A::Error>(walk)?;
        while items.next_element_seed(Seed { walk, place: Place::Inner })?.is_some() {}
        walk.depth -= 1;
        Ok(Kind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Kind<'de>, A::Error> {
        let Seed { walk, place } = self;
        descend::<A::Error>(walk)?;
        let mut keys = Keys { first: walk.keys.len(), many: None };
        let mut kind = Kind::Object;
        while let Some(key) = members.next_key_seed(Key)? {
            if key == NUMBER_IN_DISGUISE {
                kind = Kind::Other;
            }
            let member = Member::at(place, &key);
            if member == Member::Plain
                && place != Place::Inner
                && let Some(real) = case_variant(&key)
            {
                return Err(walk.end(Ambiguity::case_variant(&key, real)));
            }
            if let Err(key) = keys.add(&mut walk.keys, key) {
                return Err(walk.end(Ambiguity::duplicate(&key)));
            }
            member.read(walk, &mut members)?;
        }
        walk.keys.truncate(keys.first);
        walk.depth -= 1;
        Ok(kind)
    }
}

fn descend<E: serde::de::Error>(walk: &mut Walk<'_>) -> Result<(), E> {
    walk.depth += 1;
    if walk.depth > MAX_DEPTH { Err(walk.end(Ambiguity::TooDeep)) } else { Ok(()) }
}

/// A member, by what its value means.
#[derive(Clone, Copy, PartialEq)]
enum Member {
    JsonRpc,
    Id,
    Method,
    Params,
    Result,
    Error,
    Name,
    Uri,
    TaskId,
    Meta,
    Version,
    Plain,
}

impl Member {
    fn at(place: Place, key: &str) -> Member {
        match (place, key) {
            (Place::Envelope, "jsonrpc") => Member::JsonRpc,
            (Place::Envelope, "id") => Member::Id,
            (Place::Envelope, "method") => Member::Method,
            (Place::Envelope, "params") => Member::Params,
            (Place::Envelope, "result") => Member::Result,
            (Place::Envelope, "error") => Member::Error,
            (Place::Params, "name") => Member::Name,
            (Place::Params, "uri") => Member::Uri,
            (Place::Params, "taskId") => Member::TaskId,
            (Place::Params, "_meta") => Member::Meta,
            (Place::Meta, VERSION) => Member::Version,
            _ => Member::Plain,
        }
    }

    fn read<'de, A: MapAccess<'de>>(
        self,
        walk: &mut Walk<'de>,
        members: &mut A,
    ) -> Result<(), A::Error> {
        if self == Member::Id {
            let raw: &'de RawValue = members.next_value()?;
            // serde_json skips a raw value without looking into its strings: look now.
            let mut again = serde_json::Deserializer::from_str(raw.get());
            let seed = Seed { walk: &mut *walk, place: Place::Inner };
            seed.deserialize(&mut again).map_err(A::Error::custom)?;
            walk.found.id = Some(raw.get());
            return Ok(());
        }
        let place = match self {
            Member::Params => Place::Params,
            Member::Meta => Place::Meta,
            Member::Method | Member::Name | Member::Uri | Member::TaskId | Member::Version => {
                Place::Steering
            }
            _ => Place::Inner,
        };
        let kind = members.next_value_seed(Seed { walk: &mut *walk, place })?;
        let found = &mut walk.found;
        match self {
            Member::JsonRpc => found.jsonrpc = true,
            Member::Result => found.result = true,
            Member::Error => found.error = true,
            Member::Method => found.method = Some(kind),
            Member::Params => found.params = Some(kind),
            Member::Name => found.name = Some(kind),
            Member::Uri => found.uri = Some(kind),
            Member::TaskId => found.task_id = Some(kind),
            Member::Version => found.version = Some(kind),
            Member::Id | Member::Meta | Member::Plain => {}
        }
        Ok(())
    }
}

/// The keys of one object: on the shared stack while they are few, hashed when they are many, so
/// that the cost never grows with the square of their number.
struct Keys<'de> {
    first: usize,
    many: Option<HashSet<Cow<'de, str>>>,
}

impl<'de> Keys<'de> {
    /// Adds `key`, or gives it back if it is there already.
    fn add(
        &mut self,
        stack: &mut Vec<Cow<'de, str>>,
        key: Cow<'de, str>,
    ) -> Result<(), Cow<'de, str>> {
        if let Some(many) = &mut self.many {
            return match many.replace(key) {
                None => Ok(()),
                Some(twice) => Err(twice),
            };
        }
        let own = stack.get(self.first..).unwrap_or_default();
        if own.contains(&key) {
            return Err(key);
        }
        if own.len() < FEW_KEYS {
            stack.push(key);
        } else {
            let mut many: HashSet<_> = stack.drain(self.first..).collect();
            many.insert(key);
            self.many = Some(many);
        }
        Ok(())
    }
}

/// The steering member that `key` equals but for letter case.
fn case_variant(key: &str) -> Option<&'static str> {
    // The longest has nine letters, of at most three bytes each.
    if key.len() > 27 || STEERING.contains(&key) {
        return None;
    }
    STEERING.into_iter().find(|real| key.chars().map(fold).eq(real.chars().map(fold)))
}

/// Simple case folding as far as it touches ASCII: the long s and the Kelvin sign fold into it
/// (Unicode, and Go with it), the two Turkish i in some languages' comparisons.
fn fold(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        c => c.to_ascii_lowercase(),
    }
}

/// A key, borrowed from the body wherever it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}
