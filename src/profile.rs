//! Profiles: what a verifier demands and what a signer sends, as data.
//!
//! All profiles stand in one table, [`Profile::NAMED`]. Other code never compares the name of a
//! profile, but reads the property that it needs; a test in `tests/house` checks that.

use std::borrow::Cow;

use crate::key::KeyKind;

/// How long before and after its creation a request is valid, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The most seconds that may have passed since `created`; `None` leaves the end to `expires`.
    pub back: Option<i64>,
    /// The most seconds by which `created` may lie in the future, because clocks differ.
    pub ahead: i64,
}

/// Whether a signature parameter or `Content-Digest` must be present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// It must be present.
    Required,
    /// It may be absent; it is checked if it is present.
    IfPresent,
}

/// How `keyid` selects a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyLookup {
    /// `keyid` is the RFC 7638 thumbprint of the key.
    Thumbprint,
    /// `keyid` is looked up as a thumbprint, then among the `kid`s of the registry.
    ThumbprintThenKid,
}

/// How `tag` relates to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TagRule {
    /// `tag` must be the key id or a client id that the trust entry lists.
    Bound,
    /// `tag` must be present and may have any value.
    AnyText,
    /// `tag` is reported and not checked.
    Ignored,
}

/// A row of the table of profiles, [`Profile::NAMED`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NamedProfile {
    /// The name in flags and in JSON.
    pub name: &'static str,
    /// What the profile is for, in one line without a full stop.
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
/// let slower = Profile { window: Window { back: Some(120), ahead: 5 }, ..Profile::mcp() };
/// assert!(slower.covers_if_carried("mcp-session-id"));
/// assert!(slower.covers_if_carried("mcp-param-region"));
/// assert!(!slower.covers_if_carried("user-agent"));
/// assert_eq!(Profile::named("mcp"), Some(Profile::mcp()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name in flags and in JSON.
    pub name: Cow<'static, str>,
    /// Components that every signature covers, in the order in which a signer covers them.
    pub always: Vec<Cow<'static, str>>,
    /// Field names that a signature covers if the request carries them, in the signer's order.
    /// One that ends in `*` stands for every field that starts so, in byte order.
    pub if_carried: Vec<Cow<'static, str>>,
    /// The window of step 5.
    pub window: Window,
    /// Whether `created` must be present.
    pub created: Presence,
    /// Whether `nonce` must be present. If it may be absent, a nonce is claimed only if `expires`
    /// or the window limits how long the store has to keep it.
    pub nonce: Presence,
    /// The kinds of keys that may sign. A key of another kind verifies nothing, and `alg` may name
    /// the algorithms of these kinds only.
    pub key_kinds: &'static [KeyKind],
    /// How `keyid` selects a key.
    pub key_lookup: KeyLookup,
    /// How `tag` relates to the key.
    pub tag: TagRule,
    /// Whether `Content-Digest` must be present.
    pub digest: Presence,
    /// Whether step 10 (the MCP body and headers) is checked.
    pub judge_mcp: bool,
    /// Whether only component identifiers without parameters count as coverage.
    pub plain_identifiers: bool,
    /// Whether keys whose private half is published are refused. On in every named profile; the
    /// vectors of the RFCs are signed with such keys, and their tests build a profile without.
    pub refuse_published: bool,
    /// Seconds from `created` to the `expires` that a signer sends; `None` sends none.
    pub ttl: Option<i64>,
}

impl Profile {
    /// All named profiles. The first one is the default.
    pub const NAMED: &'static [NamedProfile] = &[
        NamedProfile { name: "mcp", about: "All of mcpid's rules", make: Profile::mcp },
        NamedProfile {
            name: "sep2752",
            about: "The rules of the draft SEP-2752, and no more",
            make: Profile::sep2752,
        },
        NamedProfile {
            name: "rfc9421",
            about: "Any signature of RFC 9421, for audits and interoperability",
            make: Profile::rfc9421,
        },
    ];

    /// The name of the default profile.
    pub const DEFAULT: &'static str = Profile::NAMED[0].name;

    /// Returns the profile of this name, or `None` if no profile has it.
    pub fn named(name: &str) -> Option<Self> {
        Profile::NAMED.iter().find(|named| named.name == name).map(NamedProfile::profile)
    }

    /// Returns the default profile: the signature covers everything that decides what an MCP server
    /// does, is valid for thirty seconds, and its nonce can be used once.
    pub fn mcp() -> Self {
        Profile {
            name: "mcp".into(),
            always: vec!["@method".into(), "@target-uri".into(), "content-digest".into()],
            if_carried: vec![
                "content-type".into(),
                "content-encoding".into(),
                "mcp-protocol-version".into(),
                "mcp-session-id".into(),
                "mcp-method".into(),
                "mcp-name".into(),
                "mcp-param-*".into(),
                "last-event-id".into(),
            ],
            window: Window { back: Some(30), ahead: 5 },
            created: Presence::Required,
            nonce: Presence::Required,
            key_kinds: &[KeyKind::Ed25519],
            key_lookup: KeyLookup::Thumbprint,
            tag: TagRule::Bound,
            digest: Presence::Required,
            judge_mcp: true,
            plain_identifiers: true,
            refuse_published: true,
            ttl: Some(30),
        }
    }

    /// Returns the profile of the draft SEP-2752 (section 2), which demands no more than it says:
    /// its five components, five minutes back and one ahead, any `tag`, no `expires`. Nonces are
    /// scoped by key all the same, and an `alg` that does not fit the key is refused rather than
    /// ignored.
    pub fn sep2752() -> Self {
        Profile {
            name: "sep2752".into(),
            if_carried: vec!["mcp-protocol-version".into(), "mcp-session-id".into()],
            window: Window { back: Some(300), ahead: 60 },
            tag: TagRule::AnyText,
            judge_mcp: false,
            ttl: None,
            ..Profile::mcp()
        }
    }

    /// Returns the profile that accepts any RFC 9421 signature that verifies under a trusted key,
    /// for audits and interoperation: components that are not covered are reported, not refused. A
    /// server must not use it.
    pub fn rfc9421() -> Self {
        Profile {
            name: "rfc9421".into(),
            always: Vec::new(),
            if_carried: Vec::new(),
            window: Window { back: None, ahead: 5 },
            created: Presence::IfPresent,
            nonce: Presence::IfPresent,
            key_kinds: KeyKind::ALL,
            key_lookup: KeyLookup::ThumbprintThenKid,
            tag: TagRule::Ignored,
            digest: Presence::IfPresent,
            judge_mcp: false,
            plain_identifiers: false,
            refuse_published: true,
            ttl: None,
        }
    }

    /// Whether the profile demands that anything is covered. If it demands nothing, a report lists
    /// what a signature leaves open.
    pub fn demands_coverage(&self) -> bool {
        !self.always.is_empty()
    }

    /// Returns what a signer covers: `(always, if_carried)`. The profile `rfc9421` demands no
    /// components, but a signature over none proves nothing, so its signers cover what `mcp` does.
    pub fn signer_components(&self) -> (Vec<Cow<'static, str>>, Vec<Cow<'static, str>>) {
        if !self.demands_coverage() {
            let mcp = Profile::mcp();
            (mcp.always, mcp.if_carried)
        } else {
            (self.always.clone(), self.if_carried.clone())
        }
    }

    /// Whether a signature must cover `field` (lower case) if the request carries it.
    ///
    /// An underscore counts as a hyphen: servers behind CGI or WSGI cannot tell `Mcp_Session_Id`
    /// from `Mcp-Session-Id`, so an attacker must not be able to add either one.
    pub fn covers_if_carried(&self, field: &str) -> bool {
        let covers = |field: &[u8]| {
            self.if_carried.iter().any(|rule| match rule.as_bytes() {
                [prefix @ .., b'*'] => field.starts_with(prefix),
                whole => whole == field,
            })
        };
        covers(field.as_bytes())
            || (field.contains('_') && covers(field.replace('_', "-").as_bytes()))
    }
}
