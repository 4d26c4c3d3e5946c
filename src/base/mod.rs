//! The signature base (RFC 9421 section 2.5): the exact bytes that are signed. They are built from
//! a request and the signature parameters.

use crate::message::Head;
use crate::message::target::Target;

pub mod accept;
pub mod component;
mod fields;
pub mod header;
pub mod params;
mod value;

pub use component::{Component, ComponentError};
pub use params::{MemberFault, Param, ParamsError, SignatureParams, StatedParameters};

/// The error if a covered component has no value in the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no value for {component}")]
#[non_exhaustive]
pub struct BaseError {
    /// The identifier, as written in a signature base.
    pub component: String,
    /// Why the component has no value.
    pub source: ComponentError,
}

/// Returns the signature base: one line for each covered component, in order, then the parameters,
/// without a newline at the end. The text is ASCII.
///
/// The time grows with the number of components times the number of fields, so callers have to
/// limit both.
///
/// # Errors
/// [`BaseError`] for the first component that is absent, unknown, or not available in a request.
///
/// ```
/// use mcpid::base::{StatedParameters, Component, SignatureParams, signature_base};
/// use mcpid::message::target::Origins;
/// use mcpid::message::{Head, RequestTarget};
///
/// let head = Head::new("POST", RequestTarget::from_url("https://mcp.example.com/mcp")?)?;
/// let components = vec![Component::parse("@method")?, Component::parse("@path")?];
/// let claims = StatedParameters { created: Some(1_790_000_000), ..StatedParameters::default() };
/// let params = SignatureParams::for_signing(components, &claims)?;
/// let origins = Origins::unknown();
/// assert_eq!(
///     signature_base(&params, &head, &origins.resolve(&head)?)?,
///     "\"@method\": POST\n\"@path\": /mcp\n\
///      \"@signature-params\": (\"@method\" \"@path\");created=1790000000"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn signature_base(
    params: &SignatureParams<'_>,
    head: &Head<'_>,
    target: &Target<'_>,
) -> Result<String, BaseError> {
    let mut base = String::with_capacity(1024);
    let mut parts = value::ParsedParts::default();
    for component in params.components() {
        component
            .write_to(&mut base)
            .map_err(ComponentError::from)
            .and_then(|()| {
                base.push_str(": ");
                component.write_value(head, target, &mut parts, &mut base)
            })
            .map_err(|source| BaseError { component: component.to_string(), source })?;
        base.push('\n');
    }
    base.push_str("\"@signature-params\": ");
    params.write_to(&mut base).map_err(|error| BaseError {
        component: "\"@signature-params\"".to_owned(),
        source: error.into(),
    })?;
    Ok(base)
}
