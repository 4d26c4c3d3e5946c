//! The signature base (RFC 9421 section 2.5): the exact bytes that are signed. They are built from
//! a request and the signature parameters.

use crate::message::Head;
use crate::message::target::Target;
use header::Candidate;

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
    signature_base_among(params, head, target, &[])
}

/// Returns the signature base, as [`signature_base`] does, of one of the signatures of `head`.
/// `candidates` are all of them. What the signature covers of another one is then not parsed again.
///
/// # Errors
/// As for [`signature_base`].
pub(crate) fn signature_base_among(
    params: &SignatureParams<'_>,
    head: &Head<'_>,
    target: &Target<'_>,
    candidates: &[Candidate<'_>],
) -> Result<String, BaseError> {
    let mut base = String::with_capacity(1024);
    let mut parts = value::ParsedParts::with(candidates);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::message::RequestTarget;
    use crate::message::target::Origins;

    #[test]
    fn a_base_among_parsed_signatures_is_the_same() {
        let components = [
            "\"signature\";key=\"a\"",
            "\"signature-input\";key=\"a\"",
            "\"signature\";key=\"a\";sf",
            "\"signature-input\";sf;key=\"a\"",
            "\"signature\";key=\"b\"",
            "\"signature-input\";key=\"b\"",
            "\"signature-input\"",
            "\"signature\"",
            "\"x\";key=\"a\"",
        ];
        let target = RequestTarget::from_url("https://mcp.example.com/mcp").unwrap();
        for (input, signature) in [
            ("a=(\"@method\" \"@path\");created=1;nonce=\"n\"", "a=:AQID:"),
            ("a=(  \"@method\"   \"x\";key=\"k\" ); created=1;  keyid=\"\\\"\\\\\"", "a=:AQID:"),
            ("a=();created=1;created=2", "a=:AQID:"),
            ("a=(\"@method\" \"@method\")", "a=:AQID:"),
            ("a=(1 \"X\")", "a=:AQID:;x"),
            ("a=1", "a=\"text\""),
            ("a", "a=:AQI:"),
            ("a=(\"@method\")", "a=::"),
        ] {
            let mut head = Head::new("POST", target.clone()).unwrap();
            head.push("signature-input", format!("{input}, t=()").into_bytes()).unwrap();
            head.push("signature", format!("{signature}, t=:AA==:").into_bytes()).unwrap();
            head.push("x", b"a=2").unwrap();
            let candidates = header::read(&head).unwrap();
            let origins = Origins::unknown();
            let target = origins.resolve(&head).unwrap();
            for component in components {
                let component = Component::parse(component).unwrap();
                let claims = StatedParameters::default();
                let params = SignatureParams::for_signing(vec![component], &claims).unwrap();
                assert_eq!(
                    signature_base_among(&params, &head, &target, &candidates),
                    signature_base(&params, &head, &target),
                    "{input} {signature} {params:?}"
                );
            }
        }
    }
}
