//! The table of profiles: one constructor for each row.

use std::borrow::Cow;

use crate::key::KeyKind;

use super::{
    ClientField, ComponentRules, DigestAlgorithms, Expiry, KeyLookup, LastSteps, NamedProfile,
    NonceForm, Presence, Profile, ReplayRule, SentParameter, SeveralSignatures, TagRule,
    TargetForm, Window,
};

/// The refusal codes of AdCP ("transport error taxonomy"), for each code of this crate.
const ADCP_CODES: &[(&str, &str)] = &[
    ("signature_missing", "request_signature_required"),
    ("target_malformed", "request_target_uri_malformed"),
    ("signature_malformed", "request_signature_header_malformed"),
    ("parameter_invalid", "request_signature_header_malformed"),
    ("parameter_missing", "request_signature_params_incomplete"),
    ("tag_mismatch", "request_signature_tag_invalid"),
    ("alg_not_allowed", "request_signature_alg_not_allowed"),
    ("not_yet_valid", "request_signature_window_invalid"),
    ("expired", "request_signature_window_invalid"),
    ("lifetime_invalid", "request_signature_window_invalid"),
    ("coverage_insufficient", "request_signature_components_incomplete"),
    ("key_unknown", "request_signature_key_unknown"),
    ("key_not_valid", "request_signature_key_unknown"),
    ("key_purpose_invalid", "request_signature_key_purpose_invalid"),
    ("key_weak", "request_signature_key_purpose_invalid"),
    ("key_published", "request_signature_key_purpose_invalid"),
    ("key_revoked", "request_signature_key_revoked"),
    ("signature_invalid", "request_signature_invalid"),
    ("digest_missing", "request_signature_digest_mismatch"),
    ("digest_invalid", "request_signature_digest_mismatch"),
    ("digest_mismatch", "request_signature_digest_mismatch"),
    ("nonce_replayed", "request_signature_replayed"),
    ("nonce_quota", "request_signature_rate_abuse"),
    ("body_ambiguous", "request_body_malformed"),
];

fn names<const N: usize>(names: [&'static str; N]) -> Vec<Cow<'static, str>> {
    names.map(Cow::Borrowed).into()
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
        NamedProfile {
            name: "adcp",
            about: "Request signing of AdCP 3.2, the Ad Context Protocol",
            make: Profile::adcp,
        },
        NamedProfile {
            name: "ucp",
            about: "Message signatures of UCP, the Universal Commerce Protocol",
            make: Profile::ucp,
        },
    ];

    /// Returns the default profile. A signature covers everything that affects an MCP server, is
    /// valid for thirty seconds, and its nonce can be used once.
    pub fn mcp() -> Self {
        Profile {
            name: "mcp".into(),
            label: "mcp",
            components: ComponentRules {
                always: names(["@method", "@target-uri", "content-digest"]),
                if_carried: names([
                    "content-type",
                    "content-encoding",
                    "mcp-protocol-version",
                    "mcp-session-id",
                    "mcp-method",
                    "mcp-name",
                    "mcp-param-*",
                    "last-event-id",
                ]),
                ..ComponentRules::default()
            },
            sent_components: None,
            label_members: &[],
            plain_identifiers: true,
            sent_parameters: &[
                SentParameter::Created,
                SentParameter::Expires,
                SentParameter::Nonce,
                SentParameter::KeyId,
                SentParameter::Tag,
            ],
            ttl: Some(30),
            created: Presence::Required,
            window: Window { max_age: Some(30), max_skew: 5 },
            expiry: Expiry { presence: Presence::IfPresent, longest: None, last: -1 },
            nonce: Presence::Required,
            nonce_form: NonceForm::Base64Text,
            replay: ReplayRule::Nonce,
            key_kinds: &[KeyKind::Ed25519],
            security_keys: KeyKind::ALL,
            alg: Presence::IfPresent,
            key_lookup: KeyLookup::Thumbprint,
            key_purpose: None,
            refuse_published: true,
            tag: TagRule::KeyIdOrClientId,
            client_field: None,
            target: TargetForm::Exact,
            digest: Presence::Required,
            digests: DigestAlgorithms::Sha256OrSha512,
            judge_mcp: true,
            judge_json: false,
            last_steps: LastSteps::NonceLast,
            several: SeveralSignatures::AnyThatHolds,
            key_first: false,
            refuse_malformed: false,
            profile_codes: &[],
            refusal_status: None,
        }
    }

    /// Returns the profile of the draft SEP-2752 (section 2) with the rules of that draft only: its
    /// five components, `created` from five minutes back to one minute ahead, any `tag`, and no
    /// `expires`. As in the other profiles, nonces are separate for each key, and an `alg` that
    /// does not fit the key is refused.
    pub fn sep2752() -> Self {
        let mcp = Profile::mcp();
        Profile {
            name: "sep2752".into(),
            components: ComponentRules {
                if_carried: names(["mcp-protocol-version", "mcp-session-id"]),
                ..mcp.components
            },
            window: Window { max_age: Some(300), max_skew: 60 },
            tag: TagRule::AnyText,
            security_keys: &[],
            judge_mcp: false,
            ttl: None,
            ..mcp
        }
    }

    /// Returns the profile that accepts any RFC 9421 signature that is valid under a trusted key,
    /// for audits and interoperation. Components that are not covered are reported, not refused. A
    /// server must not use this profile. A signature over no components proves nothing, so its
    /// signers cover the same as those of `mcp`.
    pub fn rfc9421() -> Self {
        let mcp = Profile::mcp();
        Profile {
            name: "rfc9421".into(),
            components: ComponentRules::default(),
            sent_components: Some(mcp.components),
            plain_identifiers: false,
            ttl: None,
            created: Presence::IfPresent,
            window: Window { max_age: None, max_skew: 5 },
            nonce: Presence::IfPresent,
            nonce_form: NonceForm::AnyText,
            replay: ReplayRule::None,
            key_kinds: KeyKind::ALL,
            security_keys: &[],
            key_lookup: KeyLookup::ThumbprintThenKid,
            tag: TagRule::Ignored,
            digest: Presence::IfPresent,
            judge_mcp: false,
            ..mcp
        }
    }

    /// Returns the profile of AdCP 3.2 for signed requests, after its security document and its
    /// test vectors of profile 3.2.
    pub fn adcp() -> Self {
        let sent = ComponentRules {
            always: names(["@method", "@target-uri", "@authority"]),
            with_body: names(["content-type", "content-digest"]),
            ..ComponentRules::default()
        };
        Profile {
            name: "adcp".into(),
            label: "sig1",
            components: ComponentRules { if_carried: names(["mcp-param-*"]), ..sent.clone() },
            sent_components: Some(sent),
            sent_parameters: &[
                SentParameter::Created,
                SentParameter::Expires,
                SentParameter::Nonce,
                SentParameter::KeyId,
                SentParameter::Alg,
                SentParameter::Tag,
            ],
            ttl: Some(300),
            window: Window { max_age: None, max_skew: 60 },
            expiry: Expiry { presence: Presence::Required, longest: Some(300), last: 60 },
            nonce_form: NonceForm::Base64Url { bytes: 16 },
            alg: Presence::Required,
            key_kinds: KeyKind::ALL,
            security_keys: &[],
            key_lookup: KeyLookup::ThumbprintThenKid,
            key_purpose: Some("request-signing"),
            tag: TagRule::Exactly("adcp/request-signing/v1"),
            target: TargetForm::Rfc3986,
            digest: Presence::RequiredWithBody,
            judge_mcp: false,
            judge_json: true,
            last_steps: LastSteps::NonceBeforeBody,
            several: SeveralSignatures::FirstTagged,
            key_first: true,
            refuse_malformed: true,
            profile_codes: ADCP_CODES,
            refusal_status: Some(401),
            ..Profile::mcp()
        }
    }

    /// Returns the profile of UCP's HTTP message signatures, for requests. Signatures with another
    /// tag than that of Web Bot Auth are for another purpose and are not read. The application must
    /// refuse a repeated idempotency key, so a server cannot rely on this profile alone.
    pub fn ucp() -> Self {
        Profile {
            name: "ucp".into(),
            label: "sig1",
            components: ComponentRules {
                always: names(["@method", "@authority", "@path"]),
                query: true,
                with_body: names(["content-digest", "content-type"]),
                if_carried: names(["ucp-agent", "idempotency-key", "signature-agent"]),
            },
            label_members: &["signature-agent"],
            sent_parameters: &[
                SentParameter::Created,
                SentParameter::Expires,
                SentParameter::KeyId,
                SentParameter::Tag,
            ],
            ttl: None,
            created: Presence::IfPresent,
            window: Window { max_age: None, max_skew: 60 },
            nonce: Presence::IfPresent,
            nonce_form: NonceForm::AnyText,
            replay: ReplayRule::IdempotencyKey,
            key_kinds: KeyKind::ALL,
            security_keys: &[],
            key_lookup: KeyLookup::ThumbprintThenKid,
            tag: TagRule::UntaggedOr("web-bot-auth"),
            client_field: Some(ClientField { field: "ucp-agent", member: "profile" }),
            digest: Presence::RequiredWithBody,
            digests: DigestAlgorithms::Sha256,
            judge_mcp: false,
            profile_codes: &[
                ("key_unknown", "key_not_found"),
                ("alg_not_allowed", "algorithm_unsupported"),
            ],
            ..Profile::mcp()
        }
    }
}
