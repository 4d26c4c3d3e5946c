//! Reads which client a header field of the request names, for profiles with such a field.

use crate::message::Head;
use crate::message::error_chain::chain;
use crate::message::structured::{self, BareItem, Dictionary, Item, Member};
use crate::profile::{ClientField, Profile};

use super::parameters::not_read;
use super::rejection::Rejection;

/// Returns the client that the request names: the URL in the profile's field, byte for byte.
/// Returns `None` if the profile reads no such field.
///
/// # Errors
/// `signature_missing` if the field is absent, is not an RFC 9651 dictionary without repeated
/// members, or names no `https` URL. Without the URL, the client of the signature is unknown.
pub(super) fn client_named_by(
    profile: &Profile,
    head: &Head<'_>,
) -> Result<Option<String>, Rejection> {
    let Some(ClientField { field, member }) = profile.client_field else { return Ok(None) };
    let Some(value) = structured::combine(head.values(field)) else {
        return Err(not_read(profile, format!("the request has no {field}")));
    };
    let dictionary = Dictionary::strict(&value)
        .map_err(|fault| not_read(profile, format!("{field} is malformed: {}", chain(&fault))))?;
    match dictionary.get(member).map(|member| &member.value) {
        Some(Member::Item(Item { value: BareItem::String(url), .. }))
            if url.starts_with("https://") =>
        {
            Ok(Some(url.clone().into_owned()))
        }
        Some(_) => Err(not_read(profile, format!("{member} of {field} is not an https URL"))),
        None => Err(not_read(profile, format!("{field} has no member {member}"))),
    }
}
