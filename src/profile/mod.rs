//! A profile is a set of rules, as data: what a verifier requires, and what a signer sends.
//!
//! All profiles are in one table, [`Profile::NAMED`]. Other code never compares the name of a
//! profile, but reads the rule that it needs; a test in `tests/house` checks that. A profile is
//! looked up once, when a signer or verifier is made.

use std::borrow::Cow;

use crate::key::KeyKind;

mod rows;
mod rules;

pub use rules::{
    ClientField, ComponentRules, DigestAlgorithms, Expiry, KeyLookup, LastSteps, NonceForm,
    Presence, ReplayRule, SentParameter, SeveralSignatures, TagRule, Window,
};

pub use crate::message::target::TargetForm;

/// A row of the table of profiles, [`Profile::NAMED`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NamedProfile {
    /// The name in flags and in JSON.
    pub name: &'static str,
    /// The purpose of the profile, in one line without a full stop.
    pub about: &'static str,
    make: fn() -> Profile,
}

impl NamedProfile {
    /// Returns the profile.
    pub fn profile(&self) -> Profile {
        (self.make)()
    }
}

/// A set of rules for signing and verifying. Build one from a named profile and change fields:
/// `Profile { window: …, ..Profile::mcp() }`.
///
/// ```
/// use mcpid::profile::{Profile, Window};
///
/// let slower = Profile { window: Window { max_age: Some(120), max_skew: 5 }, ..Profile::mcp() };
/// assert!(slower.components.covers_if_carried("mcp-session-id"));
/// assert!(slower.components.covers_if_carried("mcp-param-region"));
/// assert!(!slower.components.covers_if_carried("user-agent"));
/// assert_eq!(Profile::named("mcp"), Some(Profile::mcp()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name in flags and in JSON.
    pub name: Cow<'static, str>,
    /// The label of a signer's signatures, unless the caller gives another one. A verifier gives
    /// labels no meaning.
    pub label: &'static str,
    /// The components that a signature must cover.
    pub components: ComponentRules,
    /// The components that a signer covers; `None` for those that a signature must cover.
    pub sent_components: Option<ComponentRules>,
    /// Names of fields that are dictionaries. For such a field, it is enough that a signature
    /// covers the member with its own label, by the component `"NAME";key="LABEL"`.
    pub label_members: &'static [&'static str],
    /// Whether only component identifiers without parameters count as coverage.
    pub plain_identifiers: bool,
    /// The parameters that a signer sends, in the order of [`SentParameter`].
    pub sent_parameters: &'static [SentParameter],
    /// Seconds from `created` to the `expires` that a signer sends; `None` sends none.
    pub ttl: Option<i64>,
    /// Whether `created` must be present.
    pub created: Presence,
    /// The time window around `created` in which a request is valid.
    pub window: Window,
    /// The rules for `expires`.
    pub expiry: Expiry,
    /// Whether `nonce` must be present. If it may be absent, a nonce is claimed only if `expires`
    /// or the maximum age limits how long the store has to keep it.
    pub nonce: Presence,
    /// The form of a nonce.
    pub nonce_form: NonceForm,
    /// How a second use of a request is prevented.
    pub replay: ReplayRule,
    /// The kinds of keys that may sign. Signatures of other kinds of keys are refused. `alg` may
    /// name only the algorithms of these kinds.
    pub key_kinds: &'static [KeyKind],
    /// The kinds of security keys (FIDO) whose touch may confirm a signature. If the list is empty,
    /// touches are not accepted.
    pub security_keys: &'static [KeyKind],
    /// Whether `alg` must be present. If present, it must name the algorithm of the key.
    pub alg: Presence,
    /// How `keyid` selects a key.
    pub key_lookup: KeyLookup,
    /// The purpose that the JWK of a key must state: this text as `adcp_use`, with `use` and
    /// `key_ops` for verifying. `None` if a key need not state its purpose.
    pub key_purpose: Option<&'static str>,
    /// Whether keys whose private half is published are refused. Every named profile refuses them.
    /// Only tests with the vectors of RFCs, which use such keys, accept them.
    pub refuse_published: bool,
    /// The rule for `tag`.
    pub tag: TagRule,
    /// A field of the request that names the client, beside or instead of `tag`.
    pub client_field: Option<ClientField>,
    /// Whether targets are compared and signed as sent, or in a normal form.
    pub target: TargetForm,
    /// Whether `Content-Digest` must be present.
    pub digest: Presence,
    /// The digest algorithms that are accepted.
    pub digests: DigestAlgorithms,
    /// Whether the MCP message in the body and the `Mcp-*` fields are checked (step 10 of
    /// verification).
    pub judge_mcp: bool,
    /// Whether the check of the body (step 10 of verification) only demands that JSON can be read
    /// in one way.
    pub judge_json: bool,
    /// The order of the last verification steps.
    pub last_steps: LastSteps,
    /// How a request with several signatures is judged.
    pub several: SeveralSignatures,
    /// Whether the key is judged before the signature, and a client learns why its key is refused.
    /// If false, a client without a valid signature does not learn which keys are trusted.
    pub key_first: bool,
    /// Whether a request with malformed fields is refused in permissive mode too: one signature
    /// field without the other, or, in a signed request, `Content-Type` with a comma or a
    /// `Content-Digest` that violates RFC 9530.
    pub refuse_malformed: bool,
    /// The names that clients see for refusals, as pairs of this crate's code and the profile's
    /// name. A code that is not listed keeps its name.
    pub profile_codes: &'static [(&'static str, &'static str)],
    /// The HTTP status of refusals that have a name in `profile_codes`, if the documents of the
    /// profile demand one.
    pub refusal_status: Option<u16>,
}

impl Profile {
    /// The name of the default profile.
    pub const DEFAULT: &'static str = Profile::NAMED[0].name;

    /// Returns the profile of this name, or `None` if no profile has it.
    pub fn named(name: &str) -> Option<Self> {
        Profile::NAMED.iter().find(|named| named.name == name).map(NamedProfile::profile)
    }

    /// Returns true if the profile requires any coverage. If it does not, reports list the parts of
    /// the request that a signature leaves uncovered.
    pub fn demands_coverage(&self) -> bool {
        !self.components.always.is_empty()
    }

    /// Returns the rules for the components that a signer covers.
    pub fn signer_components(&self) -> &ComponentRules {
        self.sent_components.as_ref().unwrap_or(&self.components)
    }

    /// Whether a signer sends this parameter.
    pub fn sends(&self, parameter: SentParameter) -> bool {
        self.sent_parameters.contains(&parameter)
    }

    /// Returns the most seconds from `created` to the last second at which a verifier could accept
    /// the request, or `None` if there is no limit.
    pub fn lifetime(&self) -> Option<i64> {
        let Expiry { presence, longest, last } = self.expiry;
        let by_expiry = longest.filter(|_| presence == Presence::Required);
        let by_expiry = by_expiry.map(|longest| longest.saturating_add(last));
        match (self.window.max_age, by_expiry) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Returns the name that clients see for a refusal with the code `code`.
    pub fn told<'c>(&self, code: &'c str) -> &'c str {
        self.profile_codes.iter().find(|(ours, _)| *ours == code).map_or(code, |(_, name)| name)
    }

    /// Returns why a server cannot rely on this profile, as a part of a sentence. Returns `None` if
    /// a server can: signatures cover the whole request, and each request is accepted only once.
    pub fn server_fault(&self) -> Option<&'static str> {
        let ComponentRules { always, query, with_body, .. } = &self.components;
        let has = |name: &str| always.iter().any(|rule| rule == name);
        let binds_target =
            has("@target-uri") || (has("@authority") && has("@path") && (*query || has("@query")));
        let binds_body = match self.digest {
            Presence::Required => has("content-digest"),
            Presence::RequiredWithBody => {
                has("content-digest") || with_body.iter().any(|rule| rule == "content-digest")
            }
            Presence::IfPresent => false,
        };
        let once = self.replay == ReplayRule::Nonce
            && self.nonce == Presence::Required
            && self.created == Presence::Required
            && self.lifetime().is_some();
        match self.replay {
            ReplayRule::IdempotencyKey => Some(
                "what keeps a request from being used twice is its idempotency key, which only the \
                 server behind remembers",
            ),
            _ if !once => Some("a request that it accepts can be replayed"),
            _ if !(has("@method") && binds_target && binds_body) => {
                Some("it does not bind method, target and body of a request")
            }
            _ => None,
        }
    }
}
