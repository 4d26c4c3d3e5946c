//! Parses and writes `Signature-Input` and `Signature` (RFC 9421 section 4).

use std::borrow::Cow;
use std::collections::HashMap;

use super::params::{MemberFault, SignatureParams};
use crate::message::Head;
use crate::message::structured::{
    self, BareItem, Dictionary, Item, Member, Parameters, ParseFault, Received, Unwritable,
    write_key,
};

/// The name of the field with the covered components and the parameters of each signature.
pub const SIGNATURE_INPUT: &str = "signature-input";
/// The name of the field with the signatures.
pub const SIGNATURE: &str = "signature";

/// One signature of a request as parsed. It is not verified yet.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The label, which connects a signature's member of `Signature-Input` with its member of
    /// `Signature`, and has no other meaning.
    pub label: Cow<'a, str>,
    /// The covered components and the parameters.
    pub params: Result<SignatureParams<'a>, MemberFault>,
    /// The bytes of the signature, of any length.
    pub signature: Result<Vec<u8>, MemberFault>,
}

impl Candidate<'_> {
    /// Returns the same candidate with all borrowed text copied, so that it does not depend on the
    /// head.
    pub fn into_owned(self) -> Candidate<'static> {
        Candidate {
            label: Cow::Owned(self.label.into_owned()),
            params: self.params.map(SignatureParams::into_owned),
            signature: self.signature,
        }
    }
}

/// Why the signature fields as a whole cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The request is unsigned: a field is absent, or both are empty.
    #[error("there is no {0} field")]
    Missing(&'static str),
    /// A field is not an RFC 9651 dictionary, or has a label twice.
    #[error("the {field} field is malformed")]
    Malformed {
        /// The name of the malformed field.
        field: &'static str,
        /// The position and kind of the fault.
        source: ParseFault,
    },
    /// A label is present in only one of `Signature-Input` and `Signature`.
    #[error("the label {label:?} is not in the {missing} field")]
    Unpaired {
        /// The label.
        label: String,
        /// The field that does not contain the label.
        missing: &'static str,
    },
}

/// The error for a text that is not a valid label: not a key of a dictionary (RFC 9651 section
/// 3.1.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: a label is lower-case letters, digits and _-.*, a letter or * first")]
#[non_exhaustive]
pub struct LabelError(pub String);

/// Checks that `label` can be used in the signature fields.
///
/// # Errors
/// [`LabelError`] for every other text.
pub fn check_label(label: &str) -> Result<(), LabelError> {
    let mut bytes = label.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'*');
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(&b);
    if first && bytes.all(rest) { Ok(()) } else { Err(LabelError(label.to_owned())) }
}

/// Parses the signatures of a request, in the order of `Signature-Input`.
///
/// Several lines of one field form one dictionary (section 4.1). The caller has to limit lengths
/// and counts.
///
/// # Errors
/// [`HeaderError`] for a fault of a whole field. A fault inside one member is an error in that
/// [`Candidate`] only.
///
/// ```
/// use mcpid::base::header::{self, HeaderError};
/// use mcpid::message::{Head, RequestTarget};
///
/// let mut head = Head::new("GET", RequestTarget::Origin("/mcp".into()))?;
/// assert_eq!(header::read(&head).unwrap_err(), HeaderError::Missing("signature-input"));
/// head.push("signature-input", b"mcp=(\"@method\");nonce=\"n\"")?;
/// head.push("signature", b"mcp=:AQID:")?;
/// let candidates = header::read(&head)?;
/// assert_eq!(candidates[0].label, "mcp");
/// assert_eq!(candidates[0].signature, Ok(vec![1, 2, 3]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read<'h>(head: &'h Head<'_>) -> Result<Vec<Candidate<'h>>, HeaderError> {
    let field = |name| structured::combine(head.values(name)).ok_or(HeaderError::Missing(name));
    let input = dictionary(SIGNATURE_INPUT, field(SIGNATURE_INPUT)?)?;
    let signature = dictionary(SIGNATURE, field(SIGNATURE)?)?;
    if input.members.is_empty() && signature.members.is_empty() {
        return Err(HeaderError::Missing(SIGNATURE_INPUT));
    }
    let candidate = |((label, params), signature)| Candidate {
        label,
        params: SignatureParams::from_member(params),
        signature: signature_bytes(signature),
    };
    let same_order = |(one, other): (&(Cow<'_, str>, _), &(Cow<'_, str>, _))| one.0 == other.0;
    // The usual case is handled without a map: both fields have the same labels in the same order.
    if input.members.len() == signature.members.len()
        && input.members.iter().zip(&signature.members).all(same_order)
    {
        let signatures = signature.members.into_iter().map(|(_, member)| member);
        return Ok(input.members.into_iter().zip(signatures).map(candidate).collect());
    }
    let signatures = paired(&input, signature)?;
    Ok(input.members.into_iter().zip(signatures).map(candidate).collect())
}

fn dictionary<'h>(
    field: &'static str,
    value: Cow<'h, [u8]>,
) -> Result<Dictionary<'h>, HeaderError> {
    let malformed = |source| HeaderError::Malformed { field, source };
    let dictionary = match value {
        Cow::Borrowed(value) => Dictionary::parse(value).map_err(malformed)?,
        Cow::Owned(value) => Dictionary::parse(&value).map_err(malformed)?.into_owned(),
    };
    dictionary.duplicate.map_or(Ok(dictionary), |fault| Err(malformed(fault)))
}

/// Returns the members of `signature` in the order of the labels of `input`.
fn paired<'h>(
    input: &Dictionary<'h>,
    signature: Dictionary<'h>,
) -> Result<Vec<Received<Member<'h>>>, HeaderError> {
    let unpaired =
        |label: &str, missing| HeaderError::Unpaired { label: label.to_owned(), missing };
    let labels = input.members.iter().map(|(label, _)| label);
    // A map is used, because comparing thousands of labels in pairs would take too long.
    let first_stray = |rest: &HashMap<Cow<'_, str>, _>| rest.keys().min().map(ToString::to_string);
    let mut rest: HashMap<_, _> = signature.members.into_iter().collect();
    let members = labels
        .map(|label| rest.remove(label).ok_or_else(|| unpaired(label, SIGNATURE)))
        .collect::<Result<_, _>>()?;
    match first_stray(&rest) {
        Some(label) => Err(unpaired(&label, SIGNATURE_INPUT)),
        None => Ok(members),
    }
}

fn signature_bytes(member: Received<Member<'_>>) -> Result<Vec<u8>, MemberFault> {
    match (member.fault, member.value) {
        (Some(fault), _) => Err(MemberFault::Structured(fault)),
        (None, Member::Item(Item { value: BareItem::Bytes(bytes), params })) => {
            if params.is_empty() { Ok(bytes) } else { Err(MemberFault::SignatureParameters) }
        }
        _ => Err(MemberFault::NotBytes),
    }
}

/// The values of the two signature fields after a signature was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFields {
    /// The whole value of `Signature-Input`, on one line.
    pub signature_input: String,
    /// The whole value of `Signature`, on one line.
    pub signature: String,
}

/// What to do if the request already has a signature with the same label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelConflict {
    /// Return an error.
    Refuse,
    /// Drop the old signature.
    Replace,
}

/// Why a signature cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// The request already has a signature with that label.
    #[error("the request already has a signature {0:?}")]
    LabelTaken(String),
    /// The label is not a valid dictionary key, or a parameter cannot be written in RFC 9651.
    #[error("the signature {label:?} cannot be written")]
    Unwritable {
        /// The label.
        label: String,
        /// The reason.
        source: Unwritable,
    },
    /// The existing signatures cannot be parsed, so a verifier would refuse the result.
    #[error("the signatures that the request has cannot be read")]
    Header(#[from] HeaderError),
}

/// Adds a signature after the existing ones, which are not changed.
///
/// # Errors
/// [`AddError`] if that is impossible.
pub fn add(
    head: &Head<'_>,
    label: &str,
    params: &SignatureParams<'_>,
    signature: &[u8],
    existing: LabelConflict,
) -> Result<SignatureFields, AddError> {
    let unwritable = |source| AddError::Unwritable { label: label.to_owned(), source };
    let bytes = BareItem::Bytes(signature.to_vec());
    let member = Member::Item(Item { value: bytes, params: Parameters::default() });
    let mut input = other_labels(head, SIGNATURE_INPUT, label, existing)?;
    let mut output = other_labels(head, SIGNATURE, label, existing)?;
    if let Some(missing) = unlike(&input.labels, &output.labels) {
        return Err(missing.into());
    }
    member.write_under(label, &mut output.text).map_err(unwritable)?;
    write_key(label, &mut input.text).map_err(unwritable)?;
    input.text.push('=');
    params.write_to(&mut input.text).map_err(unwritable)?;
    Ok(SignatureFields { signature_input: input.text, signature: output.text })
}

/// The existing members of `Signature-Input` or `Signature`, except one with the label of the new
/// signature. They stay in the field, before the new signature.
struct OtherLabels {
    text: String,
    labels: Vec<String>,
}

fn other_labels(
    head: &Head<'_>,
    field: &'static str,
    label: &str,
    existing: LabelConflict,
) -> Result<OtherLabels, AddError> {
    let mut others = OtherLabels { text: String::new(), labels: Vec::new() };
    let Some(value) = structured::combine(head.values(field)) else {
        return Ok(others);
    };
    let dictionary = dictionary(field, Cow::Borrowed(&value))?;
    for (name, member) in &dictionary.members {
        if name == label {
            match existing {
                LabelConflict::Refuse => return Err(AddError::LabelTaken(label.to_owned())),
                LabelConflict::Replace => continue,
            }
        }
        let bytes = value.get(member.span.clone()).unwrap_or_default();
        // This cannot fail: a parsed dictionary is ASCII.
        others.text.push_str(std::str::from_utf8(bytes).unwrap_or_default());
        others.text.push_str(", ");
        others.labels.push(name.to_string());
    }
    others.labels.sort_unstable();
    Ok(others)
}

/// Returns an error for the first label that is in only one of two sorted lists of labels.
fn unlike(input: &[String], signature: &[String]) -> Option<HeaderError> {
    let lacks = |label: &&String, list: &[String]| list.binary_search(label).is_err();
    let stray = |list: &[String], other: &[String], missing| {
        let label = list.iter().find(|label| lacks(label, other))?.clone();
        Some(HeaderError::Unpaired { label, missing })
    };
    stray(input, signature, SIGNATURE).or_else(|| stray(signature, input, SIGNATURE_INPUT))
}
