//! The messages that a client receives: one for each code. They contain no numbers and nothing from
//! the trust files.

use crate::verify::{Code, TouchFault};

/// Returns the message for a refusal code. It contains no character that JSON has to escape.
pub(super) fn client_message(code: Code) -> &'static str {
    match code {
        Code::TooLarge => "the request is too large",
        Code::SignatureMalformed => {
            "the signature fields, or others that must stand once, cannot be read"
        }
        Code::TargetMismatch => "the request is for another host",
        Code::TargetMalformed => "the target of the request is not in its normal form",
        Code::SignatureMissing => {
            "this server wants requests to be signed: mcpid connect URL signs for any MCP client"
        }
        Code::ParameterMissing => "a parameter of the signature is missing",
        Code::ParameterInvalid => "a parameter of the signature is not valid",
        Code::AlgNotAllowed => "the algorithm of the signature is not allowed",
        Code::NotYetValid => "the signature was made in the future, compare the clocks",
        Code::Expired => "the signature is too old, sign again",
        Code::LifetimeInvalid => "the signature expires before it is made, or too late",
        Code::CoverageInsufficient => "the signature does not cover all that it has to",
        Code::KeyUnknown => {
            "no known key verifies this signature: send the operator what mcpid export prints"
        }
        Code::KeyPurposeInvalid => {
            "the key is not published for signing requests with this algorithm"
        }
        Code::KeyWeak => "the key is weak",
        Code::KeyPublished => "the private half of the key is published",
        Code::KeyNotValid => "the key is not valid at this time",
        Code::KeyRevoked => "the key is revoked",
        Code::TagMismatch => "the tag is not a client id of the key",
        Code::SignatureInvalid => "the signature does not hold",
        Code::DigestMissing => "there is no sha-256 or sha-512 digest of the body",
        Code::DigestInvalid => "the digest of the body cannot be read",
        Code::DigestMismatch => "the body is not the one that was signed",
        Code::BodyAmbiguous => "the body can be read in more than one way",
        Code::HeaderBodyMismatch => "an mcp header says something else than the body",
        Code::NotAllowed => "this key may not do this",
        Code::TouchRequired => {
            "this needs the touch of a security key: mcpid connect --touch, with --touch-key"
        }
        Code::NonceReplayed => "the nonce was used before, sign again",
        Code::NonceQuota => "too many requests of this key, try again later",
    }
}

/// Returns the message for a request that needs a touch, and has no acceptable one. The message
/// does not reveal what the trust files say about security keys, which is only for the operator.
pub(super) fn touch_message(fault: Option<TouchFault>) -> &'static str {
    match fault {
        None | Some(TouchFault::Absent) => client_message(Code::TouchRequired),
        Some(TouchFault::Relabelled) => {
            "the touch does not count: a proxy changed the label of the signature that it joins"
        }
        Some(TouchFault::NotPresent) => {
            "the touch does not count: the presence flag of the security key is not set"
        }
        Some(TouchFault::NotVerified) => {
            "the touch does not count: it needs a PIN or a fingerprint of the security key"
        }
        Some(TouchFault::NotJoined | TouchFault::OtherParameters | TouchFault::CoversLess) => {
            "the touch does not count: it does not fit the signature that it joins"
        }
        Some(_) => "the touch does not count here: the operator's log says why",
    }
}
