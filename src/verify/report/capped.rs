//! Cuts the texts of a report that come from the request, so that a report is not larger than its
//! request.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::message::shown::{MOST_PRINTED, capped};

/// The maximum length of a target in JSON, in characters. Few targets are longer, and programs
/// compare them.
const MOST_TARGET: usize = 2048;
/// The maximum length of a key id, tag or nonce in JSON, in characters. A verifier accepts no
/// longer ones.
const MOST_PARAMETER: usize = 256;

/// Returns at most [`MOST_PRINTED`] characters of `text`.
pub(super) fn short(text: &str) -> String {
    capped(text, MOST_PRINTED).into_owned()
}

pub(super) fn text<S: Serializer>(text: &str, into: S) -> Result<S::Ok, S::Error> {
    into.serialize_str(&capped(text, MOST_PARAMETER))
}

pub(super) fn parameter<S: Serializer>(text: &Option<String>, into: S) -> Result<S::Ok, S::Error> {
    text.as_ref().map(|text| capped(text, MOST_PARAMETER)).serialize(into)
}

pub(super) fn target<S: Serializer>(text: &Option<String>, into: S) -> Result<S::Ok, S::Error> {
    text.as_ref().map(|text| capped(text, MOST_TARGET)).serialize(into)
}

pub(super) fn shared<T: Serialize + ?Sized, S: Serializer>(
    value: &Option<Arc<T>>,
    into: S,
) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(into)
}
