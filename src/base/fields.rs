//! The types of the registered structured fields, for the parameter `sf` (RFC 9421 section 2.1.1).

/// The type of a structured field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldType {
    Dictionary,
    Item,
    List,
}

/// Returns the type of the field `name` (lower case), or `None` if the field is not a known
/// structured field.
///
/// These are the fields that the IANA registry of HTTP field names marks as structured, and
/// `signature-agent`, which web-bot-auth defines. Fields such as `cache-control` are not included:
/// they look structured, but their values need not be valid by RFC 9651.
pub(super) fn kind(name: &str) -> Option<FieldType> {
    match name {
        "accept-signature"
        | "cdn-cache-control"
        | "content-digest"
        | "integrity-policy"
        | "integrity-policy-report-only"
        | "no-vary-search"
        | "permissions-policy"
        | "priority"
        | "reporting-endpoints"
        | "repr-digest"
        | "signature"
        | "signature-agent"
        | "signature-input"
        | "unencoded-digest"
        | "use-as-dictionary"
        | "want-content-digest"
        | "want-repr-digest"
        | "want-unencoded-digest" => Some(FieldType::Dictionary),
        "accept-ch"
        | "cache-group-invalidation"
        | "cache-groups"
        | "cache-status"
        | "client-cert-chain"
        | "critical-ch"
        | "link-template"
        | "proxy-status"
        | "ratelimit"
        | "ratelimit-policy" => Some(FieldType::List),
        "available-dictionary"
        | "capsule-protocol"
        | "client-cert"
        | "concealed-auth-export"
        | "cross-origin-embedder-policy"
        | "cross-origin-embedder-policy-report-only"
        | "cross-origin-opener-policy"
        | "cross-origin-opener-policy-report-only"
        | "deprecation"
        | "dictionary-id"
        | "incremental"
        | "origin-agent-cluster" => Some(FieldType::Item),
        _ => None,
    }
}
