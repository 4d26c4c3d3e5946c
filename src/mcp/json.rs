//! Parses one JSON object, and refuses every text about which two parsers could disagree (RFC
//! 8259).
//!
//! serde_json checks the grammar: white space, numbers, escapes, lone surrogates. This module
//! refuses what serde_json accepts and other parsers read differently: the same key twice in one
//! object, deep nesting, and a key that a case-insensitive parser takes for another key.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::ambiguity::{Ambiguity, MAX_DEPTH};

/// Members that decide what a message does. A key that differs from one of these only in letter
/// case is refused, because some parsers, such as Go's `encoding/json`, would treat it as that
/// member.
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
/// The member of `params._meta` that names the trace of the request (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

/// If any crate in the build enables the feature `arbitrary_precision`, serde_json represents a
/// number as an object with this one key. Such an object is treated as a number here; otherwise
/// `"params": 1` would be accepted as an object. (A number that overflows a double is then not
/// noticed. No rule here depends on a number.)
const NUMBER_IN_DISGUISE: &str = "$serde_json::private::Number";

/// Maximum number of keys of an object that are compared one by one. For so few keys, comparing is
/// faster than hashing.
const FEW_KEYS: usize = 16;

/// The type of a JSON value, as far as the rules for messages need it.
#[derive(Debug, PartialEq)]
pub(super) enum ValueKind<'de> {
    Text(Cow<'de, str>),
    Object,
    Other,
}

/// The members of an object that decide what a JSON-RPC message does.
#[derive(Debug, Default)]
pub(super) struct MessageMembers<'de> {
    pub(super) jsonrpc: bool,
    pub(super) result: bool,
    pub(super) error: bool,
    /// The JSON of the member `id`, as it was written.
    pub(super) id: Option<&'de str>,
    pub(super) method: Option<ValueKind<'de>>,
    pub(super) params: Option<ValueKind<'de>>,
    pub(super) name: Option<ValueKind<'de>>,
    pub(super) uri: Option<ValueKind<'de>>,
    pub(super) task_id: Option<ValueKind<'de>>,
    pub(super) version: Option<ValueKind<'de>>,
    pub(super) traceparent: Option<ValueKind<'de>>,
}

/// Parses a text that is exactly one object, with nothing but white space around it.
pub(super) fn read(text: &str) -> Result<MessageMembers<'_>, (Ambiguity, usize)> {
    let mut state = ReadState {
        keys: Vec::with_capacity(16),
        depth: 0,
        fault: None,
        found: MessageMembers::default(),
    };
    let mut input = serde_json::Deserializer::from_str(text);
    let outcome = ValueSeed { state: &mut state, position: JsonPosition::Envelope }
        .deserialize(&mut input)
        .and_then(|kind| input.end().map(|()| kind));
    match outcome {
        Ok(ValueKind::Object) => Ok(state.found),
        Ok(_) => Err((Ambiguity::NotAnObject, 0)),
        Err(error) => {
            let at = offset(text, error.line(), error.column());
            Err((state.fault.unwrap_or(Ambiguity::Json(error.into())), at))
        }
    }
}

/// Returns the byte offset of a line and column, both counted from 1 (a column may be 0).
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    start.saturating_add(column.saturating_sub(1)).min(text.len())
}

/// The state of parsing, shared by all nested values.
struct ReadState<'de> {
    /// The keys of all open objects that have few keys. The keys of the innermost object are the
    /// last ones; only these are compared.
    keys: Vec<Cow<'de, str>>,
    depth: usize,
    /// Why parsing was stopped. This is stored here because serde's errors can only carry text.
    fault: Option<Ambiguity>,
    found: MessageMembers<'de>,
}

impl ReadState<'_> {
    fn end<E: serde::de::Error>(&mut self, fault: Ambiguity) -> E {
        self.fault = Some(fault);
        E::custom("refused")
    }
}

/// The position of a value in the message.
#[derive(Clone, Copy, PartialEq)]
enum JsonPosition {
    Envelope,
    Params,
    Meta,
    /// A string that decides what the message does, so that its value is needed.
    Steering,
    Inner,
}

struct ValueSeed<'w, 'de> {
    state: &'w mut ReadState<'de>,
    position: JsonPosition,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, 'de> {
    type Value = ValueKind<'de>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<ValueKind<'de>, D::Error> {
        // `IgnoredAny` must not be used, because it skips strings without checking their escapes.
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, 'de> {
    type Value = ValueKind<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<ValueKind<'de>, E> {
        Ok(ValueKind::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<ValueKind<'de>, E> {
        Ok(ValueKind::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<ValueKind<'de>, E> {
        Ok(ValueKind::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<ValueKind<'de>, E> {
        Ok(ValueKind::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<ValueKind<'de>, E> {
        Ok(ValueKind::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<ValueKind<'de>, E> {
        Ok(ValueKind::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<ValueKind<'de>, E> {
        // A string with escapes is copied only if its value is needed.
        Ok(match self.position {
            JsonPosition::Steering => ValueKind::Text(Cow::Owned(text.to_owned())),
            _ => ValueKind::Text(Cow::Borrowed("")),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ValueKind<'de>, A::Error> {
        let state = self.state;
        descend::<A::Error>(state)?;
        while items.next_element_seed(ValueSeed { state, position: JsonPosition::Inner })?.is_some()
        {
        }
        state.depth -= 1;
        Ok(ValueKind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ValueKind<'de>, A::Error> {
        let ValueSeed { state, position } = self;
        descend::<A::Error>(state)?;
        let mut keys = ObjectKeys { first: state.keys.len(), many: None };
        let mut kind = ValueKind::Object;
        while let Some(key) = members.next_key_seed(KeySeed)? {
            if key == NUMBER_IN_DISGUISE {
                kind = ValueKind::Other;
            }
            let member = SteeringMember::at(position, &key);
            if member == SteeringMember::Plain
                && position != JsonPosition::Inner
                && let Some(real) = case_variant(&key)
            {
                return Err(state.end(Ambiguity::case_variant(&key, real)));
            }
            if let Err(key) = keys.add(&mut state.keys, key) {
                return Err(state.end(Ambiguity::duplicate(&key)));
            }
            member.read(state, &mut members)?;
        }
        state.keys.truncate(keys.first);
        state.depth -= 1;
        Ok(kind)
    }
}

fn descend<E: serde::de::Error>(state: &mut ReadState<'_>) -> Result<(), E> {
    state.depth += 1;
    if state.depth > MAX_DEPTH { Err(state.end(Ambiguity::TooDeep)) } else { Ok(()) }
}

/// A member of an object, and what its value means.
#[derive(Clone, Copy, PartialEq)]
enum SteeringMember {
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
    TraceParent,
    Plain,
}

impl SteeringMember {
    fn at(position: JsonPosition, key: &str) -> SteeringMember {
        match (position, key) {
            (JsonPosition::Envelope, "jsonrpc") => SteeringMember::JsonRpc,
            (JsonPosition::Envelope, "id") => SteeringMember::Id,
            (JsonPosition::Envelope, "method") => SteeringMember::Method,
            (JsonPosition::Envelope, "params") => SteeringMember::Params,
            (JsonPosition::Envelope, "result") => SteeringMember::Result,
            (JsonPosition::Envelope, "error") => SteeringMember::Error,
            (JsonPosition::Params, "name") => SteeringMember::Name,
            (JsonPosition::Params, "uri") => SteeringMember::Uri,
            (JsonPosition::Params, "taskId") => SteeringMember::TaskId,
            (JsonPosition::Params, "_meta") => SteeringMember::Meta,
            (JsonPosition::Meta, VERSION) => SteeringMember::Version,
            (JsonPosition::Meta, TRACEPARENT) => SteeringMember::TraceParent,
            _ => SteeringMember::Plain,
        }
    }

    fn read<'de, A: MapAccess<'de>>(
        self,
        state: &mut ReadState<'de>,
        members: &mut A,
    ) -> Result<(), A::Error> {
        if self == SteeringMember::Id {
            let raw: &'de RawValue = members.next_value()?;
            // serde_json skips a raw value without checking its strings, so the value is parsed
            // again here.
            let mut again = serde_json::Deserializer::from_str(raw.get());
            let seed = ValueSeed { state: &mut *state, position: JsonPosition::Inner };
            seed.deserialize(&mut again).map_err(A::Error::custom)?;
            state.found.id = Some(raw.get());
            return Ok(());
        }
        let position = match self {
            SteeringMember::Params => JsonPosition::Params,
            SteeringMember::Meta => JsonPosition::Meta,
            SteeringMember::Method
            | SteeringMember::Name
            | SteeringMember::Uri
            | SteeringMember::TaskId
            | SteeringMember::Version
            | SteeringMember::TraceParent => JsonPosition::Steering,
            _ => JsonPosition::Inner,
        };
        let kind = members.next_value_seed(ValueSeed { state: &mut *state, position })?;
        let found = &mut state.found;
        match self {
            SteeringMember::JsonRpc => found.jsonrpc = true,
            SteeringMember::Result => found.result = true,
            SteeringMember::Error => found.error = true,
            SteeringMember::Method => found.method = Some(kind),
            SteeringMember::Params => found.params = Some(kind),
            SteeringMember::Name => found.name = Some(kind),
            SteeringMember::Uri => found.uri = Some(kind),
            SteeringMember::TaskId => found.task_id = Some(kind),
            SteeringMember::Version => found.version = Some(kind),
            SteeringMember::TraceParent => found.traceparent = Some(kind),
            SteeringMember::Id | SteeringMember::Meta | SteeringMember::Plain => {}
        }
        Ok(())
    }
}

/// The keys of one object. As long as they are few, they are kept on a stack shared by all objects,
/// and compared one by one. When they become many, they are moved to a hash set, so that the cost
/// does not grow with the square of their number.
struct ObjectKeys<'de> {
    first: usize,
    many: Option<HashSet<Cow<'de, str>>>,
}

impl<'de> ObjectKeys<'de> {
    /// Adds `key`. If the object already has this key, returns it as the error.
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

/// Returns the member in `STEERING` that differs from `key` only in letter case.
fn case_variant(key: &str) -> Option<&'static str> {
    // No member in `STEERING` has more than nine letters, and each letter takes at most three bytes
    // in a variant.
    if key.len() > 27 || STEERING.contains(&key) {
        return None;
    }
    STEERING.into_iter().find(|real| key.chars().map(fold).eq(real.chars().map(fold)))
}

/// Returns the ASCII letter that a case-insensitive comparison takes `c` for. These characters are
/// not ASCII: the long s and the Kelvin sign (in Unicode, and so in Go), and the two Turkish i (in
/// the comparisons of some languages).
fn fold(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        c => c.to_ascii_lowercase(),
    }
}

/// Reads a key, which is borrowed from the body if it has no escapes.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
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
