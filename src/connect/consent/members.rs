//! The members of a JSON body that a question shows, each exactly as it was written.
//!
//! The strict parser has accepted the body, so it has no duplicate keys and its nesting is limited.
//! Here the body is parsed again with every token unchanged: a number that a JSON parser would
//! round, such as `1.00`, is shown as it was sent.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::BodyMember;
use crate::mcp::body::{Message, name_member};

/// The members of one JSON object, in the order of the text.
pub(super) struct JsonMembers<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

/// The text after the label of a member that is not inside `params`.
pub(super) const BESIDE: &str = " (beside params)";

/// The key of a member, borrowed from the text if it has no escapes.
#[derive(Deserialize)]
struct MemberKey<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for JsonMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct MemberVisitor;
        impl<'de> Visitor<'de> for MemberVisitor {
            type Value = JsonMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((MemberKey(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(JsonMembers(members))
            }
        }
        input.deserialize_map(MemberVisitor)
    }
}

/// Returns the members of `body` that are shown: the arguments first, then the other members of
/// `params`, then the members outside `params`. Returns None if `message` was not parsed from
/// `body`.
pub(super) fn parts(body: &[u8], message: &Message<'_>) -> Option<Vec<BodyMember>> {
    let JsonMembers(envelope) = serde_json::from_slice(body).ok()?;
    let method = message.method();
    let (mut params, mut beside) = (Vec::new(), Vec::new());
    for (key, value) in envelope {
        match &*key {
            "jsonrpc" | "id" => {}
            "method" if method.is_some() => {
                let written: Cow<'_, str> = serde_json::from_str(value.get()).ok()?;
                if Some(&*written) != method {
                    return None;
                }
            }
            "params" => params = serde_json::from_str::<JsonMembers<'_>>(value.get()).ok()?.0,
            _ if method.is_some() => beside.push((format!("{key}{BESIDE}").into(), value)),
            _ => beside.push((key, value)),
        }
    }
    // The question shows the request's name (for example that of the tool) at its top, so a `name`
    // member with the same text is not repeated.
    let shown = method.and_then(name_member);
    let named = |key: &str, value: &RawValue| {
        let text: Option<String> = serde_json::from_str(value.get()).ok();
        Some(key) == shown && text.is_some() && text.as_deref() == message.name()
    };
    params.retain(|(key, value)| !named(key, value));
    params.sort_by_key(|(key, _)| key != "arguments");
    let params = params.into_iter().map(|(key, value)| (key, value.get()));
    let beside = beside.into_iter().map(|(key, value)| (key, value.get()));
    let part = |(label, json): (Cow<'_, str>, &str)| BodyMember {
        label: label.into_owned(),
        json: json.to_owned(),
    };
    Some(params.chain(beside).map(part).collect())
}
