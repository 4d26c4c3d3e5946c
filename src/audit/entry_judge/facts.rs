//! Compares the facts that an entry states with its request. An entry that contradicts itself is
//! bad, even with a valid signature.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::entry::{Mcp, Request};
use super::super::evidence::KeptFields;
use super::super::record::Verdict;
use super::super::redact::Redacted;
use crate::mcp::headers;
use crate::mcp::pattern::Operation;
use crate::message::Head;
use crate::message::digest::ContentDigest;
use crate::message::error_chain::chain;
use crate::secret::json_fault;
use crate::verify::{Rejection, Step};

/// The members of a request line. A line in a log has no others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestMembers {
    #[serde(rename = "time")]
    _time: IgnoredAny,
    #[serde(rename = "method")]
    _method: IgnoredAny,
    #[serde(rename = "target")]
    _target: IgnoredAny,
    #[serde(rename = "headers")]
    _headers: IgnoredAny,
    #[serde(default, rename = "body")]
    _body: Option<IgnoredAny>,
}

/// The members of a key in a log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyMembers {
    #[serde(rename = "kty")]
    _kty: IgnoredAny,
    #[serde(rename = "crv")]
    _crv: IgnoredAny,
    #[serde(rename = "x")]
    _x: IgnoredAny,
    #[serde(default, rename = "y")]
    _y: Option<IgnoredAny>,
    kid: String,
    #[serde(default, rename = "mcpid")]
    _mcpid: Option<IgnoredAny>,
}

/// Returns the `kid` member of a recorded key. The `kid` is the text by which the verifier looked
/// the key up: the thumbprint of the key, or the `keyid` of the signature.
pub(super) fn kid(jwk: &str) -> Result<String, String> {
    let key: KeyMembers = serde_json::from_str(jwk)
        .map_err(|e| format!("a key cannot be read: {}", json_fault(&e)))?;
    Ok(key.kid)
}

/// Returns the numbers of the verification steps at which a refusal code can occur; `None` if the
/// code is not a refusal of a request.
fn steps_of(code: &str) -> Option<&'static [u8]> {
    Some(match code {
        "too_large" | "target_mismatch" => &[1],
        "signature_malformed" => &[1, 3],
        "signature_missing" => &[2],
        "parameter_missing" | "parameter_invalid" | "alg_not_allowed" => &[4],
        "not_yet_valid" | "expired" | "lifetime_invalid" => &[5],
        "coverage_insufficient" => &[6],
        "key_unknown"
        | "key_weak"
        | "key_published"
        | "key_not_valid"
        | "key_revoked"
        | "key_purpose_invalid" => &[7],
        "tag_mismatch" => &[4, 7],
        "signature_invalid" => &[8],
        "digest_missing" | "digest_invalid" | "digest_mismatch" => &[9],
        "body_ambiguous" | "header_body_mismatch" => &[10],
        "not_allowed" | "touch_required" => &[11],
        "nonce_replayed" | "nonce_quota" => &[12],
        "unavailable" | "expectation_failed" | "body_broken" => &[],
        _ => return None,
    })
}

/// Refusal codes that an audit cannot reproduce: the server refused a request with a valid
/// signature, and judging it again finds no fault. The refusal depended on a store, a session, the
/// clock at a later moment, or a limit of the server.
const NOT_REPEATABLE: &[&str] = &[
    "nonce_replayed",
    "nonce_quota",
    "key_purpose_invalid",
    "not_allowed",
    "touch_required",
    "expired",
    "too_large",
    "unavailable",
    "body_broken",
];

/// Returns the operation that an entry names.
pub(super) fn operation<'r>(request: &'r Request<'_>) -> Option<Operation<'r>> {
    let mcp = request.mcp.as_ref();
    mcp.map(|mcp| Operation { method: &mcp.method, name: mcp.name.as_deref() })
}

/// Checks that verdict, step and code match.
pub(super) fn check_verdict(request: &Request<'_>) -> Result<(), String> {
    let said = request.verdict.as_str();
    match (request.verdict, &request.code, request.step) {
        (Verdict::Verified | Verdict::Signed, None, None) => Ok(()),
        (Verdict::Verified | Verdict::Signed, Some(code), _) => {
            Err(format!("it says {said}, and the code {code:?}"))
        }
        (Verdict::Verified | Verdict::Signed, None, Some(step)) => {
            Err(format!("it says {said}, and that step {step} refused it"))
        }
        (_, None, _) => Err(format!("it says {said}, and no code")),
        (_, Some(code), step) => {
            let steps = steps_of(code).ok_or(format!("there is no code {code:?}"))?;
            // A server may refuse a body that is too long before it runs the first verification
            // step.
            let stepless = steps.is_empty() || code == "too_large";
            let fits = step.map_or(stepless, |step| steps.contains(&step));
            let step = step.map_or("no step".to_owned(), |step| format!("step {step}"));
            fits.then_some(()).ok_or(format!("the code {code:?} is not one of {step}"))
        }
    }
}

/// Checks that the head has only fields that a log keeps, and that the recorded `digest` equals the
/// field `Content-Digest`.
pub(super) fn check_head(request: &Request<'_>, head: &Head<'_>) -> Result<(), String> {
    serde_json::from_str::<RequestMembers>(request.request.get())
        .map_err(|e| format!("its request cannot be read: {}", json_fault(&e)))?;
    let kept = KeptFields::of(request.rules.as_ref().map(|rules| &*rules.profile));
    if let Some(other) = head.fields().iter().find(|field| !kept.has(field.name())) {
        return Err(format!("its request has the field {:?}, which no log keeps", other.name()));
    }
    let digest: Vec<&str> =
        head.values("content-digest").filter_map(|v| std::str::from_utf8(v).ok()).collect();
    let digest = (!digest.is_empty()).then(|| digest.join(", "));
    if digest != request.digest {
        return Err("its digest is not that of its request".to_owned());
    }
    Ok(())
}

/// Checks that a redacted body is well formed, and that the entry does not also have the complete
/// body (`whole`).
pub(super) fn check_redacted(redacted: &Redacted, whole: bool) -> Result<(), String> {
    if whole {
        return Err("it has its body whole, and with values cut out".to_owned());
    }
    match redacted.is_well_formed() {
        true => Ok(()),
        false => Err("what is kept of its body cannot be read".to_owned()),
    }
}

/// Checks that a body that the log lacks and the auditor supplied is the body that was signed.
pub(super) fn check_given(
    request: &Request<'_>,
    head: &Head<'_>,
    body: &[u8],
) -> Result<(), String> {
    let other = "the body that was given is not the one that was signed";
    match ContentDigest::read(head).and_then(|digest| digest.check(body)) {
        Ok(()) => Ok(()),
        Err(_) if request.code.as_deref().is_some_and(|code| code.starts_with("digest_")) => Ok(()),
        Err(error) => Err(format!("{other}: {}", chain(&error))),
    }
}

/// The `Mcp-*` header fields that a signature covers. They repeat members of the body.
#[derive(Clone, Copy, Default)]
pub(super) struct MirroredMembers {
    pub(super) method: bool,
    pub(super) name: bool,
}

/// Checks the recorded MCP operation against `read`, the operation that the body asks for.
pub(super) fn check_operation(
    mcp: Option<&Mcp>,
    read: Option<Operation<'_>>,
) -> Result<(), String> {
    let said = mcp.map(|mcp| Operation { method: &mcp.method, name: mcp.name.as_deref() });
    if said == read {
        return Ok(());
    }
    let show = |o: Option<Operation<'_>>| o.map_or("nothing".to_owned(), |o| o.to_string());
    Err(format!("its body asks for {}, and it says {}", show(read), show(said)))
}

/// Checks the recorded MCP operation against the header fields, if the body is not kept. A verifier
/// accepts a request only if the covered `Mcp-*` fields agree with the body, so these fields can
/// replace the body here. Returns `Ok(true)` if no covered field states the operation.
pub(super) fn check_mirror(
    mcp: Option<&Mcp>,
    head: &Head<'_>,
    covered: MirroredMembers,
) -> Result<bool, String> {
    let field = |name: &'static str| {
        head.single(name).ok().flatten().and_then(headers::decode).map(|value| value.into_owned())
    };
    let Some(mcp) = mcp else {
        return Err("it does not say what its request asks for".to_owned());
    };
    let bodiless = match head.method() {
        "GET" | "HEAD" => Some("@get"),
        "DELETE" => Some("@delete"),
        _ => None,
    };
    if let Some(wanted) = bodiless {
        return match mcp.method == wanted && mcp.name.is_none() {
            true => Ok(false),
            false => Err(format!("its method is {}, and it says {:?}", head.method(), mcp.method)),
        };
    }
    let is_response = mcp.method == "@response";
    if (mcp.method.starts_with('@') && !is_response) || (is_response && mcp.name.is_some()) {
        return Err(format!("its method is {}, and it says {:?}", head.method(), mcp.method));
    }
    let method = field("mcp-method");
    if let Some(method) = &method
        && (is_response || *method != mcp.method)
    {
        return Err(format!("its field mcp-method is {method:?}, and it says {:?}", mcp.method));
    }
    let by_name = crate::mcp::body::name_member(&mcp.method).is_some();
    if !by_name && mcp.name.is_some() {
        return Err(format!("{:?} has no name, and it says {:?}", mcp.method, mcp.name));
    }
    let name = field("mcp-name").filter(|_| by_name);
    if let Some(name) = &name
        && mcp.name.as_deref() != Some(name)
    {
        return Err(format!(
            "its field mcp-name is {name:?}, and it says {:?}",
            mcp.name.as_deref().unwrap_or_default()
        ));
    }
    Ok(!(covered.method && method.is_some())
        || (mcp.name.is_some() && !(covered.name && name.is_some())))
}

/// Compares the verdict of this second judgement with the recorded one. `found` is `None` if the
/// log lacks the body, so that only the head and its signatures (steps 1 to 8) could be judged
/// again.
pub(super) fn check_outcome(
    request: &Request<'_>,
    found: Option<Result<(), Rejection>>,
) -> Result<(), String> {
    let code = match (request.verdict, request.code.as_deref()) {
        (Verdict::Verified | Verdict::Signed, _) | (_, None) => {
            return match found {
                Some(Err(no)) => Err(refused(&no)),
                _ => Ok(()),
            };
        }
        (_, Some(code)) => code,
    };
    match found {
        Some(Err(no)) if no.code().as_str() == code => Ok(()),
        // A server may report `expired` (after the last byte of the body) or `too_large` (by the
        // length) without parsing the body, so an unreadable body contradicts neither.
        Some(Err(_)) if matches!(code, "expired" | "too_large") => Ok(()),
        Some(Err(no)) => Err(format!("{}, and it says {code}", refused(&no))),
        Some(Ok(())) if NOT_REPEATABLE.contains(&code) => Ok(()),
        Some(Ok(())) => Err(format!("judged again nothing refuses it, and it says {code}")),
        None => {
            let behind = request.step.is_some_and(|step| step >= Step::Digest.number());
            match behind || NOT_REPEATABLE.contains(&code) {
                true => Ok(()),
                false => Err(format!("its signature holds, and it says {code}")),
            }
        }
    }
}

pub(super) fn refused(no: &Rejection) -> String {
    format!("judged again it is refused: {} at {no}", no.code())
}
