//! Which other signatures of its request a signature covers (RFC 9421 section 2.1.2).

use crate::base::params::SignatureParams;

/// The two fields of which a touch of a security key covers one member: that with the label of the
/// signature that it confirms.
const FIELDS: [&str; 2] = ["signature", "signature-input"];

/// Which other signatures of the request a signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CoveredSignatures {
    /// The labels of the other signatures that are covered.
    pub(super) labels: Vec<String>,
    /// True if a signature field is covered as a whole, or in any other way than by one of its
    /// members.
    pub(super) in_another_form: bool,
    /// The label of the covered signature, if it is only one and is covered in both fields: this is
    /// the signature that a touch of a security key confirms.
    pub(super) joined: Option<String>,
}

impl CoveredSignatures {
    /// Returns what a signature with this label covers; `None` if it covers no other signature.
    pub(super) fn of(label: &str, params: &SignatureParams<'_>) -> Option<Self> {
        let mut covered = [Vec::new(), Vec::new()];
        let mut in_another_form = false;
        for component in params.components() {
            let Some(at) = FIELDS.iter().position(|field| *field == component.name()) else {
                continue;
            };
            let key = component.params().get("key").and_then(|key| key.as_string());
            match (key, covered.get_mut(at)) {
                (Some(key), Some(labels)) if component.params().len() == 1 => {
                    labels.extend((key != label).then(|| key.to_owned()));
                }
                _ => in_another_form = true,
            }
        }
        let [signatures, inputs] = covered;
        let joined = match (signatures.as_slice(), inputs.as_slice()) {
            ([one], [other]) if one == other && !in_another_form => Some(one.clone()),
            _ => None,
        };
        let labels = [signatures, inputs].concat();
        (in_another_form || !labels.is_empty()).then_some(CoveredSignatures {
            labels,
            in_another_form,
            joined,
        })
    }
}

/// Returns how many components do not count against the limit: the two by which a touch of a
/// security key covers the signature that it confirms.
pub(super) fn uncounted_components(params: &SignatureParams<'_>) -> usize {
    let is_member = |field: &str| {
        params.components().iter().any(|component| {
            component.name() == field
                && component.params().len() == 1
                && component.params().get("key").is_some()
        })
    };
    FIELDS.iter().filter(|field| is_member(field)).count()
}
