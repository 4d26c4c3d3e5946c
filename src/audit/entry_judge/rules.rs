//! Which rules an entry is judged by. The rules that an entry names are only a claim of the log's
//! writer. They can make judging stricter; a rule that is laxer than the named profile counts only
//! if the auditor has pinned it too.

use super::super::entry::{Request, Rules, Version};
use super::super::record::Verdict;
use super::reason::{UnjudgedReason, UnjudgedReasons};
use crate::mcp::pattern::Pattern;
use crate::message::target::{Origin, Origins};
use crate::profile::{ComponentRules, Presence, Profile, TagRule, Window};
use crate::verify::coverage::CoverageOverrides;

/// The rules that an auditor demands. An absent rule is taken from the profile.
#[derive(Clone, Debug, Default)]
pub struct PinnedRules {
    /// The profile. If absent, the profile that the entry names.
    pub profile: Option<Profile>,
    /// Maximum age of `created`, in seconds.
    pub window: Option<i64>,
    /// Maximum number of seconds by which `created` may lie in the future.
    pub ahead: Option<i64>,
    /// Components that a signature must cover in addition to those of the profile, and components
    /// that it may leave uncovered.
    pub overrides: CoverageOverrides,
    /// The origins to which requests must be sent. Empty: any origin.
    pub origins: Origins,
    /// Patterns of requests that must have a touch of a security key that the auditor's trust files
    /// confirm.
    pub touch: Vec<Pattern>,
}

impl PinnedRules {
    /// Returns true if no rule is pinned.
    fn is_empty(&self) -> bool {
        self.profile.is_none()
            && self.overrides == CoverageOverrides::default()
            && self.window.is_none()
            && self.ahead.is_none()
    }
}

/// The rules by which one entry is judged.
pub(super) struct AppliedRules {
    pub(super) profile: Profile,
    pub(super) overrides: CoverageOverrides,
    pub(super) origins: Origins,
}

/// Returns the rules for an entry. The entry of a signer is checked only against its signature,
/// because the signer decides what it covers.
pub(super) fn of(request: &Request<'_>, version: Version) -> Result<AppliedRules, String> {
    let signer = request.verdict == Verdict::Signed;
    let own = |profile: Profile| Profile {
        components: ComponentRules::default(),
        tag: TagRule::Ignored,
        client_field: None,
        ..profile
    };
    let Some(rules) = &request.rules else {
        if signer && version == Version::First {
            let (overrides, origins) = (CoverageOverrides::default(), Origins::unknown());
            return Ok(AppliedRules { profile: own(Profile::rfc9421()), overrides, origins });
        }
        return Err("it names no rules".to_owned());
    };
    let profile = Profile::named(&rules.profile);
    let profile = profile.ok_or(format!("there is no profile {:?}", rules.profile))?;
    let window = Window { max_age: rules.window, max_skew: rules.ahead };
    let origins = rules.origins.iter().map(|origin| Origin::parse(origin));
    let origins = origins.collect::<Result<_, _>>().map_err(|e| format!("its origins: {e}"))?;
    let overrides = CoverageOverrides {
        require: rules.require.clone(),
        allow_uncovered: rules.allow_uncovered.clone(),
    };
    // An entry keeps the key, but not the purpose that its JWK stated, so the purpose cannot be
    // checked again.
    let profile = Profile { window, key_purpose: None, ..profile };
    Ok(AppliedRules { profile: if signer { own(profile) } else { profile }, overrides, origins })
}

/// Returns the rules that the auditor demands of an entry that names `rules`.
pub(super) fn demanded(rules: Option<&Rules>, pinned: &PinnedRules) -> Profile {
    let named = rules.and_then(|rules| Profile::named(&rules.profile));
    let profile = pinned.profile.clone().or(named).unwrap_or_else(Profile::mcp);
    let window = Window {
        max_age: pinned.window.or(profile.window.max_age),
        max_skew: pinned.ahead.unwrap_or(profile.window.max_skew),
    };
    Profile { window, ..profile }
}

/// Returns the reasons why the rules of an entry are laxer than the auditor's rules.
pub(super) fn lax(
    rules: Option<&Rules>,
    demanded: &Profile,
    pinned: &PinnedRules,
) -> UnjudgedReasons {
    let mut reasons = UnjudgedReasons::default();
    let Some(rules) = rules else {
        reasons.add(UnjudgedReason::NoRules);
        return reasons;
    };
    let is_longer = match (rules.window, demanded.window.max_age) {
        (Some(said), Some(most)) => said > most,
        // If the rules set no maximum age, a signature of any age is accepted, unless the profile
        // limits the lifetime of each signature. Such rules are lax, unless the auditor chose a
        // profile without a maximum age.
        (None, None) => pinned.profile.is_none() && demanded.lifetime().is_none(),
        (None, Some(_)) => true,
        (Some(_), None) => false,
    };
    let named = Profile::named(&rules.profile);
    let laxer = named.zip(pinned.profile.as_ref()).is_some_and(|(named, pinned)| {
        let window = Window { max_age: rules.window, max_skew: rules.ahead };
        is_laxer(&Profile { window, ..named }, pinned)
    });
    if is_longer || laxer || rules.ahead > demanded.window.max_skew {
        reasons.add(UnjudgedReason::LaxRules);
    }
    reasons
}

/// Returns true if `named`, the profile that an entry names, demands less of a signature than
/// `pinned`, the auditor's profile. Components are compared by [`is_whole`].
fn is_laxer(named: &Profile, pinned: &Profile) -> bool {
    let less = |named: Presence, pinned: Presence| {
        pinned == Presence::Required && named != Presence::Required
    };
    less(named.created, pinned.created)
        || less(named.nonce, pinned.nonce)
        || less(named.expiry.presence, pinned.expiry.presence)
        || named.key_kinds.iter().any(|kind| !pinned.key_kinds.contains(kind))
        || (pinned.tag != named.tag
            && matches!(pinned.tag, TagRule::KeyIdOrClientId | TagRule::Exactly(_)))
        || (pinned.lifetime().is_some() && named.lifetime().is_none())
}

/// Returns true if a signature over `covered` protects all parts that the auditor demands: method,
/// target and the digest of the content, or the pinned components.
pub(super) fn is_whole(
    covered: &CoveredNames<'_>,
    demanded: &Profile,
    pinned: &PinnedRules,
) -> bool {
    let waived = |name: &str| pinned.overrides.allow_uncovered.iter().any(|other| other == name);
    let bound = |name: &str| match name {
        "@target-uri" => covered.target(),
        name => covered.has(name),
    };
    let basic: &[&str] = match &pinned.profile {
        Some(profile) if profile.components.always.is_empty() => &[],
        _ => &["@method", "@target-uri", "content-digest"],
    };
    let pinned_ones = pinned.overrides.require.iter().map(String::as_str);
    let of_profile =
        demanded.components.always.iter().map(|name| &**name).filter(|_| !pinned.is_empty());
    basic
        .iter()
        .copied()
        .chain(pinned_ones)
        .chain(of_profile)
        .all(|name| waived(name) || bound(name))
}

/// Returns the names of all components in a verified signature base, with or without component
/// parameters.
pub(super) fn names_of_base(base: &str) -> impl Iterator<Item = &str> {
    base.lines().filter_map(|line| Some(line.strip_prefix('"')?.split_once('"')?.0))
}

/// The components of a signature base, without those that have parameters.
pub(super) struct CoveredNames<'a>(Vec<&'a str>);

impl<'a> CoveredNames<'a> {
    /// Returns the components in a verified signature base. Each line of a base begins with the
    /// name of a component in quotation marks (RFC 9421 section 2.5).
    pub(super) fn of_base(base: &'a str) -> Self {
        let lines = base.lines().filter_map(|line| line.strip_prefix('"')?.split_once('"'));
        CoveredNames(
            lines.filter(|(_, rest)| rest.starts_with(": ")).map(|(name, _)| name).collect(),
        )
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    fn target(&self) -> bool {
        let pieces = ["@scheme", "@authority"].iter().all(|name| self.has(name));
        self.has("@target-uri")
            || (pieces
                && (self.has("@request-target") || (self.has("@path") && self.has("@query"))))
    }
}
