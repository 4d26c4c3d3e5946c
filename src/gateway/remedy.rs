//! Hints for the operator who reads the log: how to correct a refusal.

/// Returns a hint for the refusal `code`, in at most 128 characters.
pub(super) fn remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        "target_mismatch" | "host" => {
            "add the host to --origin; a proxy in front must keep it: nginx proxy_set_header Host $http_host;"
        }
        "connection" => {
            "a proxy in front must not pass this on: nginx proxy_set_header Connection \"\";"
        }
        "length_and_coding" | "content_length" | "bare_line_feed" | "transfer_coding" => {
            "the client, or a proxy in front, frames requests in a way that servers read differently"
        }
        "tls" => {
            "a proxy in front has to speak plain http here (nginx proxy_pass http://), or give --tls-cert and --tls-key"
        }
        "proxy_protocol" => {
            "the proxy has to send X-Forwarded-For, with --trusted-proxy here: HAProxy without send-proxy, nginx without proxy_protocol"
        }
        "origin" => "add the web origin with --allow-origin, if its pages may ask",
        "not_found" => "the endpoint is at --path; other paths are opened with --open",
        "too_large" => {
            "a body may be longer with --max-body; the head is limited to 64 KiB and 100 lines"
        }
        "signature_missing" => {
            "the client has to sign: mcpid connect, or --permissive until it does"
        }
        "key_unknown" => "if the key is to be trusted: mcpid trust add",
        "tag_mismatch" => "if the client id is the key's: mcpid trust add --client-id",
        "key_purpose_invalid" => {
            "the JWK must have use sig, verify in key_ops, the adcp_use of the profile, and fit the algorithm"
        }
        "key_not_valid" => {
            "the trust entry says from when until when the key counts: mcpid trust list"
        }
        "signature_invalid" => {
            "clients must call what --origin says (https if a proxy ends TLS); a proxy must keep path, query and signed fields"
        }
        "digest_mismatch" => {
            "the body is not the one that was signed: a proxy in front must not change it"
        }
        "expired" | "not_yet_valid" => "compare the clocks of client and gateway",
        "body_unseen" => {
            "the proxy has to show bodies: Envoy with_request_body, allow_partial_message: false; Traefik forwardBody"
        }
        "head_unseen" => {
            "Envoy joins lines with a comma: a field that is signed must hold no comma and no exclamation mark"
        }
        "mcpid_field" => {
            "the proxy has to remove mcpid-* before it asks: see contrib/envoy/envoy.yaml"
        }
        "fields_hidden" => {
            "Envoy hides the fields: add allowed_headers: { patterns: [{ safe_regex: { regex: \".*\" } }] }"
        }
        "signature_hidden" => {
            "the client has to sign: mcpid connect; or allowed_headers of Envoy hides Signature and Signature-Input"
        }
        "path_prefix" => "--path-prefix is what the proxy puts before the path",
        "forwarded" => "Traefik has to set X-Forwarded-Method, -Host and -Uri; is --dialect right?",
        "touch_required" => {
            "the client has to add a touch: mcpid connect --touch; whose key may: security_key in the trust file"
        }
        "not_allowed" => "the trust entry says what the key may do: mcpid trust list",
        _ => return None,
    })
}
