//! Step 2: whether a request is signed, and whether the fields that its signature covers are well
//! formed.

use crate::message::Head;
use crate::message::digest::{ContentDigest, DigestError};
use crate::message::error_chain::chain;
use crate::profile::Profile;

use super::rejection::{Code, Rejection, Step};

/// Checks that both signature fields are present. If the profile refuses malformed fields, also
/// refuses one signature field without the other, and malformed fields that a signature covers.
///
/// # Errors
/// `signature_missing`, `signature_malformed`.
pub(super) fn judge(profile: &Profile, head: &Head<'_>) -> Result<(), Rejection> {
    let fields = ["signature-input", "signature"];
    let missing = fields.into_iter().find(|field| !head.has(field));
    if let Some(missing) = missing {
        if profile.refuse_malformed
            && let Some(alone) = fields.into_iter().find(|field| head.has(field))
        {
            // If one field without the other counted as unsigned, a proxy that removes one field
            // could turn a signed request into an unsigned one.
            return Err(malformed(format!(
                "the request has a {alone} field and no {missing} field"
            )));
        }
        let message = format!("the request is unsigned: it has no {missing} field");
        return Err(Rejection::new(Step::Present, Code::SignatureMissing, message));
    }
    if profile.refuse_malformed {
        if head.values("content-type").any(has_comma) {
            return Err(malformed("content-type has more than one value".to_owned()));
        }
        if let Err(fault @ DigestError::Malformed(_)) = ContentDigest::read(head) {
            return Err(malformed(chain(&fault)));
        }
    }
    Ok(())
}

/// Returns the refusal of a request whose signature fields are empty.
pub(super) fn empty_signature_fields(profile: &Profile) -> Rejection {
    let why = "the signature fields are empty";
    match profile.refuse_malformed {
        true => malformed(why.to_owned()),
        false => {
            let message = "the request is unsigned: its signature fields are empty";
            Rejection::new(Step::Present, Code::SignatureMissing, message)
        }
    }
}

fn malformed(message: String) -> Rejection {
    Rejection::new(Step::Parse, Code::SignatureMalformed, message)
}

/// Returns true if a value has a comma outside of a quoted string (RFC 9110 section 5.6.4). A proxy
/// may have made such a value by joining two lines.
fn has_comma(value: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    value.iter().any(|byte| {
        let outside = !quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        outside && *byte == b','
    })
}

#[cfg(test)]
mod tests {
    use super::has_comma;

    #[test]
    fn a_comma_in_a_quoted_string_joins_no_values() {
        for value in ["application/json, text/plain", ",", "a;b=\"c\",d", "a;b=\"c\\\"\",d"] {
            assert!(has_comma(value.as_bytes()), "{value}");
        }
        for value in ["application/json", "a;b=\"c,d\"", "a;b=\"c\\\",d\""] {
            assert!(!has_comma(value.as_bytes()), "{value}");
        }
    }
}
