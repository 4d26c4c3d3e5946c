//! The reasons why no touch of a security key is accepted for a request.

/// Why no touch of a security key is accepted for a request.
///
/// ```
/// use mcpid::verify::TouchFault;
///
/// assert_eq!(TouchFault::Relabelled.as_str(), "relabelled");
/// assert_eq!(TouchFault::Refused("key_revoked").as_str(), "key_revoked");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TouchFault {
    /// The request has no touch of a security key.
    Absent,
    /// No signature has the label that the touch covers: an intermediary changed labels (RFC 9421
    /// section 7.2.5).
    Relabelled,
    /// The covering signature is by an ordinary key, and not by a security key.
    NotSecurityKey,
    /// The presence flag of the security key is not set, so it was not touched.
    NotPresent,
    /// The trust entry demands a PIN or a fingerprint, and the security key checked none.
    NotVerified,
    /// The security key's signature (the touch) does not cover exactly one signature, by its
    /// members of both signature fields.
    NotJoined,
    /// The signature that the security key's touch confirms is not valid.
    SignatureInvalid,
    /// `created`, `expires` or `nonce` differ from those of the signature that the touch confirms.
    OtherParameters,
    /// The security key's signature (the touch) covers less of the request than the one that it
    /// confirms.
    CoversLess,
    /// The list `for` in the trust entry of the security key does not name the signer.
    NotFor,
    /// The security key's touch confirms another signature than the one that authorises the
    /// request.
    OtherSigner,
    /// The trust entry of the security key does not allow the operation.
    NotAllowed,
    /// The signature of the security key (the touch) was refused with this code.
    Refused(&'static str),
}

impl TouchFault {
    /// Returns the word for logs and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            TouchFault::Absent => "absent",
            TouchFault::Relabelled => "relabelled",
            TouchFault::NotSecurityKey => "not_security_key",
            TouchFault::NotPresent => "not_present",
            TouchFault::NotVerified => "not_verified",
            TouchFault::NotJoined => "not_joined",
            TouchFault::SignatureInvalid => "joined_invalid",
            TouchFault::OtherParameters => "other_parameters",
            TouchFault::CoversLess => "covers_less",
            TouchFault::NotFor => "not_for",
            TouchFault::OtherSigner => "other_signer",
            TouchFault::NotAllowed => "not_allowed",
            TouchFault::Refused(code) => code,
        }
    }

    /// Returns the reason for people, as a lower-case fragment of a sentence. `label` is the label
    /// of the security key's signature.
    pub(super) fn text(self, label: &str) -> String {
        let why = match self {
            TouchFault::Absent => return "no security key has touched this request".to_owned(),
            TouchFault::Relabelled => {
                "it joins a label that no signature has: a proxy must not change labels"
            }
            TouchFault::NotSecurityKey => "its key is no security key by the trust file",
            TouchFault::NotPresent => "its presence flag is not set",
            TouchFault::NotVerified => {
                "its trust entry demands a PIN or a fingerprint, and there was none"
            }
            TouchFault::NotJoined => "it does not cover one signature together with its input",
            TouchFault::SignatureInvalid => "the signature that it joins does not hold",
            TouchFault::OtherParameters => {
                "its created, expires or nonce is not that of the signature that it joins"
            }
            TouchFault::CoversLess => "it covers less than the signature that it joins",
            TouchFault::NotFor => "its trust entry does not name this signer in \"for\"",
            TouchFault::OtherSigner => "it joins the signature of another signer",
            TouchFault::NotAllowed => "its trust entry does not allow this",
            TouchFault::Refused(code) => return format!("the touch {label:?} is refused: {code}"),
        };
        format!("the touch {label:?} does not count: {why}")
    }
}
