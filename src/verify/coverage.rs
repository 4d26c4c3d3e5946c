//! Step 6: compares the components that a profile demands with those that a signature covers.
//!
//! A field that decides what an MCP server does must be covered if the request carries it. So an
//! attacker between client and server cannot add such a field.

use std::borrow::Cow;

use crate::base::component::Component;
use crate::message::Head;
use crate::profile::Profile;

use super::covered::shown;
use super::rejection::{Code, Rejection, Step};

/// Changes of an operator to the components that a profile demands.
///
/// ```
/// use mcpid::message::{Head, RequestTarget};
/// use mcpid::profile::Profile;
/// use mcpid::verify::coverage::{self, CoverageOverrides};
///
/// let head = Head::new("GET", RequestTarget::Origin("/mcp".into()))?;
/// let mut changes = CoverageOverrides::default();
/// changes.require.push("date".to_owned());
/// let rejection = coverage::judge(&Profile::mcp(), &changes, &head, &[]).unwrap_err();
/// assert_eq!(rejection.details()[0].1, "@method @target-uri content-digest date");
/// # Ok::<(), mcpid::message::HeadError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoverageOverrides {
    /// Names that must be covered in addition, also if the request does not carry them.
    pub require: Vec<String>,
    /// Names that need not be covered if the request carries them. The components of `always` of
    /// the profile must be covered in any case.
    pub allow_uncovered: Vec<String>,
}

/// Judges coverage.
///
/// # Errors
/// `coverage_insufficient`, naming all that is missing.
pub fn judge(
    profile: &Profile,
    changes: &CoverageOverrides,
    head: &Head<'_>,
    covered: &[Component<'_>],
) -> Result<(), Rejection> {
    let has = |name: &str| {
        covered.iter().any(|c| c.name() == name && (c.is_plain() || !profile.plain_identifiers))
    };
    let mut missing: Vec<&str> = Vec::new();
    // A client may send thousands of fields. 32 names are enough for a message, and keep the search
    // for repeated names short.
    let mut demand = |name| {
        if missing.len() < 32 && !has(name) && !missing.contains(&name) {
            missing.push(name);
        }
    };
    for name in &profile.always {
        demand(name);
    }
    for name in &changes.require {
        demand(name);
    }
    for field in head.fields() {
        let name = field.name();
        if profile.covers_if_carried(name) && !changes.allow_uncovered.iter().any(|n| n == name) {
            demand(name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = match missing.as_slice() {
        [one] => format!("{one} is not covered by the signature"),
        many => format!("{} components are not covered by the signature", many.len()),
    };
    Err(Rejection::new(Step::Coverage, Code::CoverageInsufficient, message)
        .with("missing", missing.join(" "))
        .with("covered", covered.iter().map(shown).collect::<Vec<_>>().join(" ")))
}

/// Returns what a signature over `head` should cover, each name once and in the order of a signer.
/// For a profile that demands nothing, these are the components that its signers cover.
pub(super) fn wanted<'a>(
    profile: &Profile,
    changes: &CoverageOverrides,
    head: &'a Head<'_>,
) -> Vec<Cow<'a, str>> {
    let (always, if_carried) = profile.signer_components();
    let mut wanted: Vec<Cow<'a, str>> = always.into_iter().collect();
    for rule in &if_carried {
        let mut names: Vec<&str> = head
            .fields()
            .iter()
            .map(|field| field.name())
            .filter(|name| match rule.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => rule == name,
            })
            .filter(|name| !changes.allow_uncovered.iter().any(|n| n == name))
            .collect();
        names.sort_unstable();
        names.dedup();
        wanted.extend(names.into_iter().map(Cow::Borrowed));
    }
    for name in &changes.require {
        if !wanted.iter().any(|w| w == name) {
            wanted.push(Cow::Owned(name.clone()));
        }
    }
    wanted
}
