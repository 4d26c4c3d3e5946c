//! The rule that says which cosignatures of a checkpoint are enough.

/// A rule over the witnesses of a policy, which it names by their places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quorum {
    /// The rule needs no cosignature.
    None,
    /// The rule needs the cosignature of this witness.
    Witness(usize),
    /// `need` of these rules have to be met.
    Of {
        /// The number of members that must be met: at least 1, at most all.
        need: usize,
        /// Witnesses and groups; each one is a member of only this group.
        members: Vec<Quorum>,
    },
}

impl Quorum {
    /// Returns true if the rule is met. `has` says which witnesses have cosigned.
    pub fn is_met(&self, has: &impl Fn(usize) -> bool) -> bool {
        match self {
            Quorum::None => true,
            Quorum::Witness(place) => has(*place),
            Quorum::Of { need, members } => {
                members.iter().filter(|member| member.is_met(has)).count() >= *need
            }
        }
    }

    /// Returns the rule as text; `name` returns the name of a witness.
    pub(super) fn describe<'a>(&self, name: &impl Fn(usize) -> &'a str) -> String {
        match self {
            Quorum::None => "none".to_owned(),
            Quorum::Witness(place) => name(*place).to_owned(),
            Quorum::Of { need, members } => {
                let members: Vec<String> = members.iter().map(|m| m.describe(name)).collect();
                format!("{need} of ({})", members.join(", "))
            }
        }
    }
}
