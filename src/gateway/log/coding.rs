//! Times, codes and modes as a log line holds them.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::tower::Mode;
use crate::verify::Code;

pub(super) fn time_out<S: Serializer>(time: &Timestamp, into: S) -> Result<S::Ok, S::Error> {
    into.collect_str(time)
}

pub(super) fn time_in<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let text = Cow::<'de, str>::deserialize(from)?;
    Timestamp::parse_rfc3339(&text).map_err(serde::de::Error::custom)
}

pub(super) fn code_out<S: Serializer>(code: &Option<Code>, into: S) -> Result<S::Ok, S::Error> {
    code.map(Code::as_str).serialize(into)
}

/// Reads a code. A code that this version does not know becomes `None`, so that the rest of the
/// line still counts.
pub(super) fn code_in<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Code>, D::Error> {
    let word = Option::<Cow<'de, str>>::deserialize(from)?;
    Ok(word.and_then(|word| Code::ALL.iter().copied().find(|code| code.as_str() == word)))
}

pub(super) fn mode_out<S: Serializer>(mode: &Option<Mode>, into: S) -> Result<S::Ok, S::Error> {
    mode.map(Mode::as_str).serialize(into)
}

pub(super) fn mode_in<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Mode>, D::Error> {
    match Option::<Cow<'de, str>>::deserialize(from)?.as_deref() {
        None => Ok(None),
        Some("strict") => Ok(Some(Mode::Strict)),
        Some("permissive") => Ok(Some(Mode::Permissive)),
        Some(_) => Err(serde::de::Error::custom("no such mode")),
    }
}
