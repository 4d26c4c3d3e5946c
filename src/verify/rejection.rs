//! Rejections as data: the step, the code and the numbers; and the error of verification.
//!
//! Steps and codes are a public interface, because JSON reports, logs and test vectors contain
//! them. Codes are never removed.

use std::fmt;

use crate::key::KeyId;
use crate::key::trust::TrustEntry;
use crate::profile::Profile;

use super::statement::Statement;
use super::touch_fault::TouchFault;
pub use super::unavailable::Unavailable;

/// A step of verification. The steps are in the order in which they are done.
///
/// ```
/// use mcpid::verify::Step;
///
/// assert_eq!((Step::Nonce.number(), Step::Nonce.name()), (12, "nonce"));
/// assert!(Step::Key < Step::Signature);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Step {
    /// 1: sizes and counts, fields that must not be repeated, and the host that the request is for.
    Limits = 1,
    /// 2: `Signature-Input` and `Signature` are both present.
    Present = 2,
    /// 3: the fields follow RFC 9651 strictly, no key is repeated, and each label is in both
    /// fields.
    Parse = 3,
    /// 4: presence and types of the signature parameters.
    Parameters = 4,
    /// 5: `created` and `expires` are compared with the clock.
    Window = 5,
    /// 6: every component that the profile requires is covered.
    Coverage = 6,
    /// 7: the key is known, strong, valid, and bound to the tag.
    Key = 7,
    /// 8: the signature is valid for the base that the verifier builds.
    Signature = 8,
    /// 9: `Content-Digest` matches the body.
    Digest = 9,
    /// 10: the body can be read in one way only, and the `Mcp-*` headers agree with it.
    Mcp = 10,
    /// 11: the trust entry allows the operation.
    Allowed = 11,
    /// 12: the nonce was not used before.
    Nonce = 12,
}

impl Step {
    /// Returns the step's number, 1 to 12.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Returns the step's name, one word.
    pub fn name(self) -> &'static str {
        match self {
            Step::Limits => "limits",
            Step::Present => "present",
            Step::Parse => "parse",
            Step::Parameters => "parameters",
            Step::Window => "window",
            Step::Coverage => "coverage",
            Step::Key => "key",
            Step::Signature => "signature",
            Step::Digest => "digest",
            Step::Mcp => "mcp",
            Step::Allowed => "allowed",
            Step::Nonce => "nonce",
        }
    }
}

/// Generates [`Code`] with the texts and the list of all codes from one table.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a request was refused, as a stable machine-readable word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it is written in JSON and logs.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// A size or count exceeds its limit.
    TooLarge = "too_large",
    /// The signature fields violate RFC 9421 or RFC 9651, or contain a repeated key.
    SignatureMalformed = "signature_malformed",
    /// The request was sent to a host that is not one of this server.
    TargetMismatch = "target_mismatch",
    /// The profile signs targets in a normal form, and this target has none, or its path was not
    /// sent in that form.
    TargetMalformed = "target_malformed",
    /// The request is unsigned.
    SignatureMissing = "signature_missing",
    /// A parameter that the profile needs is absent.
    ParameterMissing = "parameter_missing",
    /// A parameter has the wrong type or form.
    ParameterInvalid = "parameter_invalid",
    /// `alg` names an algorithm that the profile does not allow or that is not the key's, or the
    /// profile does not allow keys of this kind.
    AlgNotAllowed = "alg_not_allowed",
    /// `created` is further in the future than clocks may differ.
    NotYetValid = "not_yet_valid",
    /// `created` is too long ago, or `expires` has passed.
    Expired = "expired",
    /// The time between `created` and `expires` is zero, negative, or longer than the profile
    /// allows.
    LifetimeInvalid = "lifetime_invalid",
    /// The signature does not cover a component that the profile requires.
    CoverageInsufficient = "coverage_insufficient",
    /// No trusted key has this id.
    KeyUnknown = "key_unknown",
    /// The key is published for another purpose than the profile demands, or for another algorithm
    /// than the signature names.
    KeyPurposeInvalid = "key_purpose_invalid",
    /// The key is weak: it has a component of small order, so that signatures can be forged.
    KeyWeak = "key_weak",
    /// The private half of the key is published.
    KeyPublished = "key_published",
    /// By the trust file, the key is not valid at `created` or now.
    KeyNotValid = "key_not_valid",
    /// The key was revoked.
    KeyRevoked = "key_revoked",
    /// The `tag` is not one that the trust entry lists or that the profile demands, or the client
    /// that a field of the request names is not one that the trust entry lists.
    TagMismatch = "tag_mismatch",
    /// The signature is invalid, or its base cannot be built.
    SignatureInvalid = "signature_invalid",
    /// There is no `sha-256` or `sha-512` digest of the body.
    DigestMissing = "digest_missing",
    /// `Content-Digest` violates RFC 9530.
    DigestInvalid = "digest_invalid",
    /// The digest of the body differs from the signed digest.
    DigestMismatch = "digest_mismatch",
    /// Servers could read this body in different ways.
    BodyAmbiguous = "body_ambiguous",
    /// An `Mcp-*` header field contradicts the body.
    HeaderBodyMismatch = "header_body_mismatch",
    /// The trust file does not allow the key this operation.
    NotAllowed = "not_allowed",
    /// The server demands the touch of a security key, and the request has no acceptable one.
    TouchRequired = "touch_required",
    /// The nonce was used before.
    NonceReplayed = "nonce_replayed",
    /// The store keeps too many nonces of this key.
    NonceQuota = "nonce_quota",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of the detail with the thumbprints that [`Rejection::kid_of`] returns.
pub(super) const KID_OF: &str = "thumbprint";

/// The refusal by one step of verification: the step, the code and the numbers.
///
/// A verifier rejects a request; the server behind it then refuses the request, or passes it on in
/// permissive mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    step: Step,
    code: Code,
    message: String,
    details: Vec<(&'static str, String)>,
    signer: Option<Box<(KeyId, Option<String>)>>,
    /// The name that the documents of the profile give to the code.
    profile_code: Option<&'static str>,
    refused_in_every_mode: bool,
    touch_fault: Option<TouchFault>,
    statement: Option<Box<Statement>>,
}

impl Rejection {
    pub(super) fn new(step: Step, code: Code, message: impl Into<String>) -> Self {
        let (details, message) = (Vec::new(), message.into());
        Rejection {
            step,
            code,
            message,
            details,
            signer: None,
            profile_code: None,
            refused_in_every_mode: step == Step::Limits,
            touch_fault: None,
            statement: None,
        }
    }

    /// Adds the name that the documents of `profile` give to this refusal, and whether it refuses
    /// the request in permissive mode too.
    pub(super) fn with_profile_code(mut self, profile: &Profile) -> Self {
        let code = self.code.as_str();
        let named = profile.profile_codes.iter().find(|(ours, _)| *ours == code);
        self.profile_code = named.map(|(_, name)| *name);
        self.refused_in_every_mode |= profile.refuse_malformed
            && matches!(self.code, Code::SignatureMalformed | Code::ParameterInvalid);
        self
    }

    /// Adds one fact to the rejection, under this name.
    pub(super) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.details.push((name, value.to_string()));
        self
    }

    /// Records that the signature itself is valid under the key of `entry`. Only the sender of a
    /// valid signature may learn the true reason why the key is refused (step 7).
    pub(super) fn signed_by(mut self, entry: &TrustEntry) -> Self {
        let name = entry.name().map(str::to_owned);
        self.signer = Some(Box::new((*entry.key().id(), name)));
        self
    }

    /// Adds what the signature states about itself.
    pub(super) fn stating(mut self, statement: Statement) -> Self {
        self.statement = Some(Box::new(statement));
        self
    }

    /// Adds the reason why no touch of a security key is accepted.
    pub(super) fn lacking_touch(mut self, fault: Option<TouchFault>) -> Self {
        self.touch_fault = fault;
        self
    }

    /// Returns why no touch is accepted, if the code is `touch_required`, or why the signature of a
    /// security key is not accepted as a touch. Only for the operator: some reasons depend on the
    /// trust files.
    pub fn touch_fault(&self) -> Option<TouchFault> {
        self.touch_fault
    }

    /// Returns what the signature that passed the most steps states about itself, or `None` if no
    /// signature could be parsed. None of it is proven.
    pub fn statement(&self) -> Option<&Statement> {
        self.statement.as_deref()
    }

    /// Returns the id and the name of the trusted key under which the signature itself is valid, although the request is
    /// refused. `None` if no signature was found valid. Only for the operator, because a client must
    /// not learn the name of a key.
    pub fn signer(&self) -> Option<(&KeyId, Option<&str>)> {
        self.signer.as_deref().map(|(id, name)| (id, name.as_deref()))
    }

    /// Returns the step that refused.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Returns the thumbprints of the trusted keys that have the request's `keyid` as their `kid`,
    /// if the profile looks keys up by their thumbprint. Only for the operator: a client must not
    /// learn it.
    pub fn kid_of(&self) -> Option<&str> {
        let found = self.details.iter().find(|(name, _)| *name == KID_OF);
        found.map(|(_, thumbprints)| thumbprints.as_str())
    }

    /// Returns the exact code, for the operator, the log and the auditor.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns the code that the client may learn. An unauthenticated client must not learn which
    /// keys the registry holds. So a refusal of the key or of its signature (step 7 or 8) is
    /// reported as `key_unknown`, unless the signature itself is valid.
    pub fn public_code(&self) -> Code {
        match self.step {
            Step::Key | Step::Signature if self.signer.is_none() => Code::KeyUnknown,
            _ => self.code,
        }
    }

    /// Returns the name that the documents of the profile give to this refusal, for the client and
    /// for programs that know the profile. The name may reveal more than
    /// [`Rejection::public_code`]. `None` if the profile has no name for this refusal.
    pub fn profile_code(&self) -> Option<&'static str> {
        self.profile_code
    }

    /// Returns true if the request must be refused in permissive mode too.
    pub fn is_refused_in_every_mode(&self) -> bool {
        self.refused_in_every_mode
    }

    /// Returns the reason of the refusal, with the numbers, as one lower-case line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the compared values with their names, in the order in which to show them.
    pub fn details(&self) -> &[(&'static str, String)] {
        &self.details
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} ({}): {}", self.step.number(), self.step.name(), self.message)
    }
}

impl std::error::Error for Rejection {}

/// The error of verification: the request is not verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The request was judged and refused.
    #[error("rejected at {0}")]
    Rejected(#[from] Rejection),
    /// The request could not be judged. A server in strict mode must not let it through.
    #[error("could not be judged")]
    Unavailable(#[from] Unavailable),
}
