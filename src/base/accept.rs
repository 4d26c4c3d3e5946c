//! The field `Accept-Signature`, by which a server asks a client for a signature (RFC 9421 section
//! 5).

use std::borrow::Cow;

use super::component::Component;
use super::header::HeaderError;
use super::params::{MemberFault, ParamsError, SignatureParams};
use crate::message::structured::{BareItem, Dictionary, Unwritable, write_key};

/// The name of the header field `Accept-Signature`.
pub const ACCEPT_SIGNATURE: &str = "accept-signature";

/// One signature that `Accept-Signature` asks for.
#[derive(Clone, Debug)]
pub struct RequestedSignature<'a> {
    /// The label that the client should use.
    pub label: Cow<'a, str>,
    /// The components to cover and the parameters to set. `created` and `expires` are flags here;
    /// the other parameters have the value to use (section 5.1). [`RequestedParameters`] makes
    /// them.
    pub params: Result<SignatureParams<'a>, MemberFault>,
}

/// The signature parameters that a client is asked to set.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestedParameters<'a> {
    /// Whether to ask that the signature states `created`.
    pub created: bool,
    /// Whether to ask that the signature states `expires`.
    pub expires: bool,
    /// The nonce to ask for.
    pub nonce: Option<&'a str>,
    /// Ask for a signature by this key.
    pub keyid: Option<&'a str>,
    /// The tag to ask for.
    pub tag: Option<&'a str>,
}

/// Parses the value of `Accept-Signature`. If the field has several lines, join them with
/// [`combine`](crate::message::structured::combine) first.
///
/// # Errors
/// [`HeaderError::Malformed`] for a fault of the dictionary, such as a repeated label.
pub fn read(value: &[u8]) -> Result<Vec<RequestedSignature<'_>>, HeaderError> {
    let malformed = |source| HeaderError::Malformed { field: ACCEPT_SIGNATURE, source };
    let dictionary = Dictionary::parse(value).map_err(malformed)?;
    if let Some(fault) = dictionary.duplicate {
        return Err(malformed(fault));
    }
    let wanted = |(label, member)| RequestedSignature {
        label,
        params: SignatureParams::from_member(member),
    };
    Ok(dictionary.members.into_iter().map(wanted).collect())
}

/// Makes the parameters for a requested signature, in the order created, expires, nonce, keyid,
/// tag.
///
/// # Errors
/// [`ParamsError`] if a component is repeated or has no value in any request, or if a parameter
/// cannot be written.
pub fn wanted<'a>(
    components: Vec<Component<'a>>,
    wish: &RequestedParameters<'a>,
) -> Result<SignatureParams<'a>, ParamsError> {
    let flag = |wanted: bool| wanted.then_some(BareItem::Boolean(true));
    let string = |s: Option<&'a str>| s.map(|s| BareItem::String(Cow::Borrowed(s)));
    let values = [
        ("created", flag(wish.created)),
        ("expires", flag(wish.expires)),
        ("nonce", string(wish.nonce)),
        ("keyid", string(wish.keyid)),
        ("tag", string(wish.tag)),
    ];
    SignatureParams::made(components, values)
}

/// Returns the value of an `Accept-Signature` field that asks for one signature.
///
/// # Errors
/// [`Unwritable`] if the label is not a valid key of RFC 9651.
///
/// ```
/// use mcpid::base::Component;
/// use mcpid::base::accept::{self, RequestedParameters};
///
/// let asked = RequestedParameters { created: true, ..RequestedParameters::default() };
/// let params = accept::wanted(vec![Component::parse("@method")?], &asked)?;
/// assert_eq!(accept::write("mcp", &params)?, "mcp=(\"@method\");created");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(label: &str, params: &SignatureParams<'_>) -> Result<String, Unwritable> {
    let mut out = String::new();
    write_key(label, &mut out)?;
    out.push('=');
    params.write_to(&mut out)?;
    Ok(out)
}
