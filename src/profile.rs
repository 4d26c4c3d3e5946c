//! A profile is data: what a verifier demands and what a signer sends. No code asks for a
//! profile by name; it asks for the one property it needs.

use std::borrow::Cow;

/// How long before and after its creation a request is good, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Seconds after `created`; `None` leaves the end to `expires` alone.
    pub back: Option<i64>,
    /// Seconds by which `created` may lie in the future, because clocks differ.
    pub ahead: i64,
}

/// What a profile says of a signature parameter or of `Content-Digest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// It has to be there.
    Required,
    /// It is judged if it is there.
    IfPresent,
}

/// How `keyid` finds a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyLookup {
    /// It is the RFC 7638 thumbprint and nothing else.
    Thumbprint,
    /// It is tried as a thumbprint, then against the `kid`s of the registry.
    ThumbprintThenKid,
}

/// What binds `tag` to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TagRule {
    /// It is the key id, or one of the client ids that the trust entry lists.
    Bound,
    /// It has to be there, and may say anything.
    AnyText,
    /// It is reported and not judged.
    Ignored,
}

/// A set of rules for signing and verifying. Build one from a named profile and change fields:
/// `Profile { window: …, ..Profile::mcp() }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name that flags and JSON use.
    pub name: Cow<'static, str>,
    /// Components that every signature covers, in the order in which a signer covers them.
    pub always: Vec<Cow<'static, str>>,
    /// Field names that a signature covers if the request carries them, in the signer's order.
    /// One that ends in `*` stands for every field that starts so, in byte order.
    pub if_carried: Vec<Cow<'static, str>>,
    /// Step 5.
    pub window: Window,
    /// Whether `created` has to be there.
    pub created: Presence,
    /// Whether `nonce` has to be there. Where it may be absent, a nonce is claimed only if
    /// `expires` or the window bounds how long it has to be remembered.
    pub nonce: Presence,
    /// How `keyid` finds a key.
    pub key_lookup: KeyLookup,
    /// What binds `tag` to the key.
    pub tag: TagRule,
    /// Whether `Content-Digest` has to be there.
    pub digest: Presence,
    /// Whether step 10 is judged.
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
    /// The names that [`Profile::named`] knows.
    pub const NAMES: &'static [&'static str] = &["mcp", "sep2752", "rfc9421"];

    /// The profile of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "mcp" => Some(Profile::mcp()),
            "sep2752" => Some(Profile::sep2752()),
            "rfc9421" => Some(Profile::rfc9421()),
            _ => None,
        }
    }

    /// The default: nothing that steers an MCP server stays outside the signature, thirty
    /// seconds, one use.
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
            key_lookup: KeyLookup::Thumbprint,
            tag: TagRule::Bound,
            digest: Presence::Required,
            judge_mcp: true,
            plain_identifiers: true,
            refuse_published: true,
            ttl: Some(30),
        }
    }

    /// What the draft SEP-2752 (section 2) asks and no more: its five components, five minutes
    /// back and one ahead, any `tag`, no `expires`. Nonces are scoped by key all the same, and
    /// an `alg` that does not fit the key is refused rather than ignored.
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

    /// Any RFC 9421 signature that verifies under a trusted key, for audits and interoperation:
    /// what it does not cover is reported, not refused. Never for a server in strict mode.
    pub fn rfc9421() -> Self {
        Profile {
            name: "rfc9421".into(),
            always: Vec::new(),
            if_carried: Vec::new(),
            window: Window { back: None, ahead: 5 },
            created: Presence::IfPresent,
            nonce: Presence::IfPresent,
            key_lookup: KeyLookup::ThumbprintThenKid,
            tag: TagRule::Ignored,
            digest: Presence::IfPresent,
            judge_mcp: false,
            plain_identifiers: false,
            refuse_published: true,
            ttl: None,
        }
    }

    /// The rules that a signer covers a request by. A verifier of `rfc9421` demands nothing, but
    /// a signer that covered nothing would prove nothing: it covers what `mcp` does.
    pub fn signer_components(&self) -> (Vec<Cow<'static, str>>, Vec<Cow<'static, str>>) {
        if self.always.is_empty() {
            let mcp = Profile::mcp();
            (mcp.always, mcp.if_carried)
        } else {
            (self.always.clone(), self.if_carried.clone())
        }
    }

    /// Whether `field` (lower case) is one of those that a signature covers if it is carried.
    ///
    /// An underscore is taken for a hyphen: servers behind CGI, WSGI and their kind cannot tell
    /// `Mcp_Session_Id` from `Mcp-Session-Id`, so that one must not be added either.
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
