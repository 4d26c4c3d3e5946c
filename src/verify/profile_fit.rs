//! Finds the profiles for which a signature could be meant, by its components and parameters. Keys,
//! the clock and the body are not used.

use crate::base::params::SignatureParams;
use crate::message::Head;
use crate::profile::{NamedProfile, Profile, TagRule};

use super::coverage::{self, CoverageOverrides};
use super::{client_field, parameters};

/// A profile, and the requirements of the profile that a signature does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProfileFit {
    /// The name of the profile.
    pub profile: &'static str,
    /// Names of required components and parameters that are absent, and fragments of sentences
    /// about malformed parameters. Empty if the signature could be meant for the profile.
    pub lacks: Vec<String>,
    /// Whether the profile requires any coverage. A profile without such a requirement fits any
    /// signature.
    pub demands_coverage: bool,
    /// Whether the signature has the tag that the profile requires. A tag states the purpose of a
    /// signature.
    pub by_tag: bool,
}

/// Compares a signature with every named profile, in the order of [`Profile::NAMED`]. `has_body`
/// says whether the request has a body.
pub fn profiles(
    (head, has_body): (&Head<'_>, bool),
    (label, params): (&str, &SignatureParams<'_>),
) -> Vec<ProfileFit> {
    let fit = |row: &NamedProfile| {
        let profile = row.profile();
        let tag = params.tag().value();
        let by_tag = match profile.tag {
            TagRule::Exactly(text) => tag == Some(text),
            TagRule::UntaggedOr(text) => {
                tag == Some(text) && client_field::client_named_by(&profile, head).is_ok()
            }
            TagRule::KeyIdOrClientId | TagRule::AnyText | TagRule::Ignored => false,
        };
        let lacks = lacking(&profile, (head, has_body), (label, params));
        ProfileFit {
            profile: row.name,
            lacks,
            demands_coverage: profile.demands_coverage(),
            by_tag,
        }
    };
    Profile::NAMED.iter().map(fit).collect()
}

fn lacking(
    profile: &Profile,
    (head, has_body): (&Head<'_>, bool),
    (label, params): (&str, &SignatureParams<'_>),
) -> Vec<String> {
    let signature = (label, params.components());
    let overrides = CoverageOverrides::default();
    let covered = coverage::judge(profile, &overrides, (head, has_body), signature).err();
    let details = covered.iter().flat_map(|refused| refused.details());
    let missing = details.filter(|(name, _)| *name == "missing");
    let mut lacks: Vec<String> =
        missing.flat_map(|(_, names)| names.split(' ')).map(str::to_owned).collect();
    let present = parameters::NAMES.map(|name| params.params().get(name).is_some());
    lacks.extend(parameters::absent(profile, present).map(str::to_owned));
    if parameters::absent(profile, present).next().is_none() {
        lacks.extend(parameters::judge(profile, params).err().map(|r| r.message().to_owned()));
    }
    lacks
        .extend(client_field::client_named_by(profile, head).err().map(|r| r.message().to_owned()));
    lacks
}
