//! Quorums: which witnesses' signatures of a checkpoint are enough.

/// A rule over the witnesses of a policy, which are named by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quorum {
    /// No signature of a witness is needed.
    None,
    /// The signature of this witness is needed.
    Witness(usize),
    /// At least `need` of the `members` must be met.
    Of {
        /// The number of members that must be met: at least 1, at most all.
        need: usize,
        /// Witnesses and groups. Each is a member of no other group.
        members: Vec<Quorum>,
    },
}

impl Quorum {
    /// Returns true if the rule is met. `has` returns true for each witness that has signed.
    pub fn is_met(&self, has: &impl Fn(usize) -> bool) -> bool {
        match self {
            Quorum::None => true,
            Quorum::Witness(place) => has(*place),
            Quorum::Of { need, members } => {
                members.iter().filter(|member| member.is_met(has)).count() >= *need
            }
        }
    }

    /// Returns the rule as text. `name` returns the name of a witness.
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
