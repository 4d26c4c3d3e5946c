//! The types of the rules in a profile.

use std::borrow::Cow;

use crate::message::{Head, RequestTarget};

/// The seconds around `created` in which a request is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The maximum number of seconds since `created` (`--window`). With `None`, only `expires` ends
    /// the validity.
    pub max_age: Option<i64>,
    /// The maximum number of seconds by which `created` may lie in the future, because clocks
    /// differ (`--ahead`).
    pub max_skew: i64,
}

/// The rules for `expires`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Whether `expires` must be present.
    pub presence: Presence,
    /// The maximum number of seconds from `created` to `expires`; `None` sets no limit.
    pub longest: Option<i64>,
    /// Seconds from `expires` to the last second at which the request is valid. With -1, validity
    /// ends before `expires`. A positive number tolerates clocks that differ by so many seconds.
    pub last: i64,
}

/// Whether a signature parameter or `Content-Digest` must be present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// The item must be present.
    Required,
    /// The item must be present if the request has a body. A present item is always checked.
    RequiredWithBody,
    /// The item may be absent. A present item is checked.
    IfPresent,
}

/// The form that a nonce must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NonceForm {
    /// 16 to 256 characters of the base64 or base64url alphabets, then at most two `=`.
    Base64Text,
    /// Base64url without padding, of at least `bytes` bytes and at most 256 characters.
    Base64Url {
        /// The least number of bytes.
        bytes: usize,
    },
    /// Any text.
    AnyText,
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

/// The rule for `tag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TagRule {
    /// `tag` must be the key id or a client id that the trust entry lists.
    KeyIdOrClientId,
    /// `tag` must be exactly this text.
    Exactly(&'static str),
    /// `tag` must be absent or this text. With this text, `keyid` must be a thumbprint. A signature
    /// with any other tag has another purpose and is not read.
    UntaggedOr(&'static str),
    /// `tag` must be present and may have any value.
    AnyText,
    /// `tag` is reported and not checked.
    Ignored,
}

/// A request field that names the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientField {
    /// The name of the header field, whose value is a dictionary of RFC 9651.
    pub field: &'static str,
    /// The member of the dictionary that holds an `https` URL. The URL must be one of the
    /// `client_ids` of the trust entry. If a request has no such member, its signatures are
    /// ignored.
    pub member: &'static str,
}

/// The members of `Content-Digest` that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DigestAlgorithms {
    /// `sha-256` and `sha-512`: at least one, and each that is present must match.
    Sha256OrSha512,
    /// Only `sha-256` is accepted.
    Sha256,
}

/// The order of the last steps of verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LastSteps {
    /// The nonce is stored (claimed) after everything else.
    NonceLast,
    /// The nonce is stored (claimed) after the digest, and before the body is read.
    NonceBeforeBody,
}

/// How a request with several signatures is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeveralSignatures {
    /// One valid signature is enough.
    AnyThatHolds,
    /// The first signature with the tag of the profile decides, or the first one if none has it.
    FirstTagged,
}

/// How a second use of a request is prevented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayRule {
    /// The nonce prevents it: the verifier stores each nonce and refuses its second use.
    Nonce,
    /// The field `Idempotency-Key` prevents it, if the receiving application remembers its values.
    IdempotencyKey,
    /// A second use is not prevented as long as the request is valid.
    None,
}

/// A parameter that a signer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SentParameter {
    /// The parameter `created`.
    Created,
    /// The parameter `expires`, if the signer limits the validity.
    Expires,
    /// The parameter `nonce`.
    Nonce,
    /// The parameter `keyid`.
    KeyId,
    /// The parameter `alg`.
    Alg,
    /// The parameter `tag`, if signatures of this profile have one.
    Tag,
}

/// The components that a signature covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComponentRules {
    /// Components that every signature covers, in the order in which a signer covers them.
    pub always: Vec<Cow<'static, str>>,
    /// Whether `@query` is covered if the target has a query.
    pub query: bool,
    /// Fields that a signature covers if the request has a body, in the signer's order.
    pub with_body: Vec<Cow<'static, str>>,
    /// Field names that a signature covers if the request carries them, in the signer's order. A
    /// name that ends in `*` stands for every field whose name begins so, in byte order.
    pub if_carried: Vec<Cow<'static, str>>,
}

impl ComponentRules {
    /// Returns what a signature over `head` covers: each name once, in the signer's order.
    pub fn names<'h>(&self, head: &'h Head<'_>, has_body: bool) -> Vec<Cow<'h, str>> {
        let mut names: Vec<Cow<'h, str>> = self.always.clone();
        if self.covers_query_of(head) {
            names.push(Cow::Borrowed(QUERY));
        }
        if has_body {
            names.extend(self.with_body.iter().cloned());
        }
        for rule in &self.if_carried {
            let carried = head.fields().iter().map(|field| field.name());
            let mut same: Vec<&str> = match rule.strip_suffix('*') {
                Some(prefix) => carried.filter(|name| name.starts_with(prefix)).collect(),
                None => carried.filter(|name| rule == name).collect(),
            };
            same.sort_unstable();
            same.dedup();
            names.extend(same.into_iter().map(Cow::Borrowed));
        }
        names
    }

    /// Returns true if `@query` must be covered for this request.
    pub fn covers_query_of(&self, head: &Head<'_>) -> bool {
        self.query
            && match head.target() {
                RequestTarget::Origin(text)
                | RequestTarget::Absolute(text)
                | RequestTarget::Uri(text) => text.contains('?'),
                RequestTarget::Asterisk => false,
            }
    }

    /// Returns true if a signature must cover `field` (lower case) when the request carries it.
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

    /// Returns true if every request must cover this component, or every request with a body or a
    /// query.
    pub fn covers_in_any_case(&self, name: &str) -> bool {
        let is = |list: &[Cow<'static, str>]| list.iter().any(|rule| rule == name);
        is(&self.always) || is(&self.with_body) || (self.query && name == QUERY)
    }
}

/// The component for the query of the target (RFC 9421 section 2.2.7).
const QUERY: &str = "@query";
