//! JSON objects whose member values stay unparsed text, so that a file can be edited without
//! changing the rest.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::key::json::quote;

/// Returns the JSON text of one key with `revoked_at` set, and every other member unchanged.
pub(super) fn revoked(key: &str, at: Timestamp) -> Result<String, serde_json::Error> {
    let RawObject(mut jwk) = serde_json::from_str(key)?;
    let at = quote(&at.to_string());
    let RawObject(mut ours) = match jwk.iter().find(|(name, _)| name == "mcpid") {
        Some((_, value)) => serde_json::from_str(value.get())?,
        None => RawObject(Vec::new()),
    };
    put(&mut ours, "revoked_at", at)?;
    put(&mut jwk, "mcpid", text(&ours))?;
    Ok(text(&jwk))
}

pub(super) type RawMembers = Vec<(String, Box<RawValue>)>;

fn put(members: &mut RawMembers, name: &str, value: String) -> Result<(), serde_json::Error> {
    let value = RawValue::from_string(value)?;
    match members.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => *old = value,
        None => members.push((name.to_owned(), value)),
    }
    Ok(())
}

fn text(members: &RawMembers) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{}:{}", quote(name), value.get())).collect();
    format!("{{{}}}", members.join(","))
}

/// A JSON object whose values stay text, so that numbers and escapes keep the exact characters of
/// the file.
pub(super) struct RawObject(pub(super) RawMembers);

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MemberSpans;
        impl<'de> Visitor<'de> for MemberSpans {
            type Value = RawObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawObject(members))
            }
        }
        deserializer.deserialize_map(MemberSpans)
    }
}
