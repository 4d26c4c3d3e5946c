//! The codes of refusals in the log, and advice for the operator.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::verify::Code;

/// The reason for which strict mode refuses a request, or would refuse it, as a log line records
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// The request was judged, and rejected with this code.
    Code(Code),
    /// The request could not be judged, because the nonce store did not answer.
    Unavailable,
    /// A reason that this version does not know.
    Other,
}

impl Serialize for RefusalCode {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.serialize_str(self.as_str())
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RefusalCode {
    /// Returns the refusal code, or `unavailable`, or `other`.
    pub fn as_str(self) -> &'static str {
        match self {
            RefusalCode::Code(code) => code.as_str(),
            RefusalCode::Unavailable => "unavailable",
            RefusalCode::Other => "other",
        }
    }

    /// Returns a phrase for requests with this reason, which is printed after their number.
    pub(super) fn phrase(self) -> &'static str {
        let RefusalCode::Code(code) = self else {
            return match self {
                RefusalCode::Unavailable => "not judged",
                _ => "for other reasons",
            };
        };
        match code {
            Code::TooLarge => "too large",
            Code::SignatureMalformed => "with a malformed signature",
            Code::TargetMismatch => "for another host",
            Code::TargetMalformed => "with a malformed target",
            Code::SignatureMissing => "unsigned",
            Code::ParameterMissing => "without a parameter",
            Code::ParameterInvalid => "with an invalid parameter",
            Code::AlgNotAllowed => "with another algorithm",
            Code::NotYetValid => "signed in the future",
            Code::Expired => "expired",
            Code::LifetimeInvalid => "valid for too long",
            Code::CoverageInsufficient => "not wholly covered",
            Code::KeyUnknown => "signed by unknown keys",
            Code::KeyPurposeInvalid => "signed by keys for other purposes",
            Code::KeyWeak => "signed by weak keys",
            Code::KeyPublished => "signed by published keys",
            Code::KeyNotValid => "signed by keys outside their time",
            Code::KeyRevoked => "signed by revoked keys",
            Code::TagMismatch => "with a foreign client id",
            Code::SignatureInvalid => "with a signature that does not hold",
            Code::DigestMissing => "without a digest",
            Code::DigestInvalid => "with an invalid digest",
            Code::DigestMismatch => "with a changed body",
            Code::BodyAmbiguous => "with an ambiguous body",
            Code::HeaderBodyMismatch => "with headers against their body",
            Code::NotAllowed => "not allowed",
            Code::TouchRequired => "without a touch",
            Code::NonceReplayed => "replayed",
            Code::NonceQuota => "over the quota",
        }
    }

    /// Returns advice for the operator, with commands and names between backticks. The advice
    /// contains no text from a log.
    pub fn advice(self) -> &'static str {
        let RefusalCode::Code(code) = self else {
            return match self {
                RefusalCode::Unavailable => {
                    "The nonce store did not answer, or may have forgotten: strict answers 503 \
                     then, so make the store dependable first; see `/readyz`. Or a proxy did not show \
                     `mcpid authz` the whole request: see `hint` in the log."
                }
                _ => "The log was written by a version that knows more codes: use its report.",
            };
        };
        match code {
            Code::SignatureMissing => {
                "The client does not sign. Put `mcpid connect` between it and this server, or use \
                 the signing layer in it; until then leave the operation permissive."
            }
            Code::KeyUnknown => {
                "A client signs with a key that is not in the registry. If it is one of yours, add \
                 it: `mcpid trust add --name NAME KEY`."
            }
            Code::Expired => {
                "The request arrived too long after it was signed. Compare the client’s clock with \
                 this one; look for queues, and for retries that do not sign anew."
            }
            Code::NotYetValid => {
                "The client’s clock is ahead of this one by more than 5 seconds. Set it by NTP."
            }
            Code::SignatureInvalid => {
                "What arrived is not what was signed. Something on the way changes the path, the \
                 host or a header, the client signs for another address than `--origin`, or it is an \
                 attack."
            }
            Code::DigestMismatch => {
                "The body changed after it was signed: a proxy that rewrites JSON or compresses, \
                 or an attack. Strict is right to refuse it."
            }
            Code::DigestMissing | Code::DigestInvalid => {
                "The client’s signer makes no `Content-Digest` (RFC 9530) with `sha-256` or `sha-512`. \
                 It has to be changed."
            }
            Code::SignatureMalformed
            | Code::ParameterMissing
            | Code::ParameterInvalid
            | Code::LifetimeInvalid
            | Code::AlgNotAllowed => {
                "The client’s signer does not follow the profile, or a proxy joins or repeats its \
                 fields. Look at one such request with `mcpid inspect`."
            }
            Code::CoverageInsufficient => {
                "The client’s signature leaves out something that steers the server. Let it cover \
                 what `Accept-Signature` asks for."
            }
            Code::TargetMalformed => {
                "The client sends a host or path that is not in its normal form, such as a host \
                 outside ASCII. It has to send the form that it signs."
            }
            Code::KeyPurposeInvalid => {
                "The key is trusted, but its JWK is not published for signing requests: `use`, \
                 `key_ops` and `adcp_use` say for what. Its owner has to publish another one."
            }
            Code::KeyWeak | Code::KeyPublished => {
                "Anybody can sign with this key. Take it out of the registry, and give its owner \
                 another one."
            }
            Code::KeyNotValid => {
                "The key is used outside the time that its trust entry names. Renew `not_after`, or \
                 find out who still uses it."
            }
            Code::KeyRevoked => {
                "A revoked key is still in use. If its owner has a new one, the client was not \
                 told; if not, it is in the wrong hands."
            }
            Code::TagMismatch => {
                "The client sends an id that its trust entry does not list. Add it there: \
                 `mcpid trust add --client-id ID`."
            }
            Code::BodyAmbiguous => {
                "Servers could read this body in different ways: not UTF-8, a key twice, a batch, \
                 another content type. No honest client needs to send it; strict refuses it."
            }
            Code::HeaderBodyMismatch => {
                "An Mcp-* header says something else than the body. Update the client, or look for \
                 what rewrites one of the two."
            }
            Code::NotAllowed => {
                "The key is good, and its trust entry does not let it do this, or the session is \
                 another key’s. If it should, add `--allow` to the entry."
            }
            Code::TouchRequired => {
                "A `--touch` rule wants a person’s touch of a security key, and none came, or the \
                 key may not touch for this signer: let the client use `mcpid connect --touch`, and \
                 look at `security_key` in the trust file."
            }
            Code::NonceReplayed => {
                "The same signed request came twice: a client or proxy that retries without \
                 signing anew, or a replay. Find out which before you turn strict on."
            }
            Code::NonceQuota => {
                "One key uses more nonces than the store gives to one key. Give busy clients keys \
                 of their own, or use a larger store."
            }
            Code::TooLarge => {
                "Past a limit on sizes or counts. If such requests are meant, raise `--max-body`; \
                 they are refused in either mode."
            }
            Code::TargetMismatch => {
                "Sent to a host that is not an `--origin`. If it is one of yours, add it; such \
                 requests are refused in either mode."
            }
        }
    }
}
