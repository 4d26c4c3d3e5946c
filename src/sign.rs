//! Signing: a [`Signer`] has a key and knows which components to cover. Time and nonce are
//! arguments of each call.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::header::{self, AddError, HeaderError, LabelConflict};
use crate::base::{self, BaseError, Component, ParamsError, SignatureParams, StatedParameters};
use crate::clock::Timestamp;
use crate::key::{KeyKind, PublicKey, Sign, SignError};
use crate::message::Head;
use crate::message::digest::{ContentDigest, DigestError, content_digest};
use crate::message::target::{Origins, Target, TargetError};
use crate::profile::{DigestAlgorithms, KeyLookup, Presence, Profile, SentParameter};

mod by_touch;
mod sent;
mod signer_key;

pub use by_touch::TOUCH_LABEL;
use signer_key::SignerKey;

const CONTENT_DIGEST: &str = "content-digest";

/// A one-time value: 16 random bytes, base64url without padding.
///
/// ```
/// use mcpid::sign::Nonce;
///
/// let nonce = Nonce::generate(&mut rand::rngs::SysRng)?;
/// assert_eq!(nonce.as_str().len(), 22);
/// # Ok::<(), rand::rngs::SysError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Makes a nonce from `random`, which must be a cryptographic generator.
    ///
    /// # Errors
    /// The error of the generator.
    pub fn generate<R: rand::TryCryptoRng>(random: &mut R) -> Result<Self, R::Error> {
        let mut bytes = [0; 16];
        random.try_fill_bytes(&mut bytes)?;
        Ok(Nonce(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Returns the nonce, 22 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({})", self.0)
    }
}

/// Signs requests with one key.
///
/// ```
/// use std::sync::Arc;
///
/// use mcpid::clock::Timestamp;
/// use mcpid::key::SecretKey;
/// use mcpid::message::target::Origins;
/// use mcpid::message::{Head, RequestTarget};
/// use mcpid::profile::Profile;
/// use mcpid::sign::{Nonce, Signer};
/// use rand::rngs::SysRng;
///
/// let key = Arc::new(SecretKey::generate(&mut SysRng)?);
/// let signer = Signer::new(key, &Profile::mcp())?.with_ttl(Some(10));
/// let head = Head::new("GET", RequestTarget::from_url("https://mcp.example.com/mcp")?)?;
/// let (now, nonce) = (Timestamp::from_unix(1_790_000_000), Nonce::generate(&mut SysRng)?);
/// let signed = signer.sign(&head, &Origins::unknown(), b"", now, &nonce)?;
/// assert_eq!(signed.covered, ["@method", "@target-uri", "content-digest"].map(|c| format!("{c:?}")));
/// assert_eq!(signed.expires, Some(now.plus(10)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Signer {
    key: SignerKey,
    profile: Profile,
    added: Vec<Component<'static>>,
    dropped: Vec<Component<'static>>,
    label: String,
    keyid: Option<String>,
    tag: Option<String>,
    ttl: Option<i64>,
    existing: LabelConflict,
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The profile finds keys by their thumbprint only, or the key id cannot be sent.
    #[error("{0}")]
    KeyId(&'static str),
    /// The profile has another tag, or none.
    #[error("the profile {0} fixes what the tag says")]
    Tag(String),
    /// The origin or the target of the request cannot be determined.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The request carries a `Content-Digest` that does not match its body or cannot be parsed.
    /// Every verifier would refuse such a request.
    #[error("the content-digest that the request carries does not fit its body")]
    Digest(#[source] DigestError),
    /// A component or a parameter cannot be signed.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The profile does not allow this kind of key, so every verifier would refuse the signature.
    #[error("{} cannot sign by the profile {profile}", .kind.described())]
    KeyKind {
        /// The kind of the key.
        kind: KeyKind,
        /// The name of the profile.
        profile: String,
    },
    /// The request has no value for a component that must be covered.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The signature cannot be added to the request's other signatures.
    #[error(transparent)]
    Add(#[from] AddError),
    /// The request's other signatures cannot be parsed.
    #[error("the signatures that the request has cannot be read")]
    Present(#[from] HeaderError),
    /// The profile does not accept touches of security keys.
    #[error("the profile {0} knows no touch of a security key")]
    Touch(String),
    /// The key, or the agent that holds it, did not sign.
    #[error("the key did not sign")]
    Key(#[from] SignError),
}

/// A new signature: the values of the header fields, and the statements in them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signed {
    /// The value of `Content-Digest`; `None` if the request already carries it, or has no body and
    /// the profile sends none.
    pub content_digest: Option<String>,
    /// The whole new value of `Signature-Input`, with the signatures that the request already had.
    pub signature_input: String,
    /// The whole new value of `Signature`.
    pub signature: String,
    /// The bytes that were signed.
    pub base: String,
    /// The covered components, in order, as they stand in the base.
    pub covered: Vec<String>,
    /// When the signature was made.
    pub created: Timestamp,
    /// End of validity (exclusive).
    pub expires: Option<Timestamp>,
    /// The one-time value, if the profile sends one.
    pub nonce: Option<String>,
    /// The id of the key, as it was sent.
    pub keyid: String,
    /// The tag, if the profile sends one: the stable client id, unless the profile fixes it.
    pub tag: Option<String>,
}

impl Signed {
    /// Returns names and values of the header fields to set on the request. Each replaces a field
    /// of the same name.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let digest = self.content_digest.as_deref().map(|digest| ("Content-Digest", digest));
        let input = ("Signature-Input", self.signature_input.as_str());
        digest.into_iter().chain([input, ("Signature", self.signature.as_str())])
    }
}

impl Signer {
    /// Makes a signer by the rules of `profile`.
    ///
    /// # Errors
    /// [`SigningError::Params`] if the profile covers what no request has a value for,
    /// [`SigningError::KeyKind`] if it leaves out the kind of the key.
    pub fn new(key: Arc<dyn Sign>, profile: &Profile) -> Result<Self, SigningError> {
        let kind = key.public().kind();
        if !profile.key_kinds.contains(&kind) {
            return Err(SigningError::KeyKind { kind, profile: profile.name.clone().into_owned() });
        }
        Signer::of(SignerKey::Plain(key), profile)
    }

    fn of(key: SignerKey, profile: &Profile) -> Result<Self, SigningError> {
        Signer::check_rules(profile.signer_components())?;
        let (added, dropped, label) = (Vec::new(), Vec::new(), profile.label.to_owned());
        let (keyid, tag, ttl, existing) = (None, None, profile.ttl, LabelConflict::Refuse);
        let profile = profile.clone();
        Ok(Signer { key, profile, added, dropped, label, keyid, tag, ttl, existing })
    }

    /// Signs under another label than that of the profile. Labels have no meaning for a verifier.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sends `kid` as `keyid` instead of the thumbprint. The verifier must know the key by this
    /// `kid`.
    ///
    /// # Errors
    /// [`SigningError::KeyId`] if the profile looks keys up by their thumbprint only, or if `kid`
    /// is not 1 to 256 characters of visible ASCII and spaces.
    pub fn with_keyid(mut self, kid: impl Into<String>) -> Result<Self, SigningError> {
        let kid = kid.into();
        if self.profile.key_lookup == KeyLookup::Thumbprint {
            return Err(SigningError::KeyId("the profile names keys by their thumbprint only"));
        }
        if !(1..=256).contains(&kid.len()) || !kid.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err(SigningError::KeyId("a key id has 1 to 256 ASCII characters"));
        }
        self.keyid = Some(kid);
        Ok(self)
    }

    /// Sends `id`, the stable client id, as `tag` instead of the key id. If the profile fixes the
    /// tag, [`Signer::sign`] fails for another one.
    #[must_use]
    pub fn with_client_id(mut self, id: impl Into<String>) -> Self {
        self.tag = Some(id.into());
        self
    }

    /// Sends an `expires` that is `seconds` after `created`; `None` sends no `expires`.
    #[must_use]
    pub fn with_ttl(mut self, seconds: Option<i64>) -> Self {
        self.ttl = seconds;
        self
    }

    /// Sets that an existing signature with the same label is replaced. Without this setting,
    /// signing then fails.
    #[must_use]
    pub fn replacing(mut self) -> Self {
        self.existing = LabelConflict::Replace;
        self
    }

    /// Covers `component`, even if the profile does not require that.
    #[must_use]
    pub fn cover(mut self, component: Component<'static>) -> Self {
        self.added.push(component);
        self
    }

    /// Does not cover `component`, even if the profile requires that. A verifier may refuse such a
    /// signature.
    #[must_use]
    pub fn no_cover(mut self, component: Component<'static>) -> Self {
        self.dropped.push(component);
        self
    }

    /// Returns the public half of the key that signs.
    pub fn public(&self) -> &PublicKey {
        self.key.public()
    }

    /// Returns the seconds from `created` to `expires`; `None` if no `expires` is sent.
    pub fn ttl(&self) -> Option<i64> {
        self.ttl
    }

    /// Returns the profile that this signer was made with, without later changes to the covered
    /// components.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Signs the request of `head` and `body` with the given time and `nonce`. A request line in
    /// origin form, such as `/mcp`, is resolved against `origins`.
    ///
    /// If the request already has a valid signature of this key, its nonce is used again: the nonce
    /// belongs to the request, and a verifier claims each (key, nonce) pair once.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign(
        &self,
        head: &Head<'_>,
        origins: &Origins,
        body: &[u8],
        created: Timestamp,
        nonce: &Nonce,
    ) -> Result<Signed, SigningError> {
        let counted = |digest: ContentDigest| match self.profile.digests {
            DigestAlgorithms::Sha256OrSha512 => Ok(digest),
            DigestAlgorithms::Sha256 => digest.sha256_only(),
        };
        let checked = ContentDigest::read(head).and_then(counted).and_then(|d| d.check(body));
        let content_digest = match checked {
            Ok(()) => None,
            Err(DigestError::Missing { .. }) if !head.has(CONTENT_DIGEST) => {
                let needless = self.profile.digest == Presence::RequiredWithBody && body.is_empty();
                (!needless).then(|| content_digest(body))
            }
            Err(error) => return Err(SigningError::Digest(error)),
        };
        let mut head = head.clone();
        if let Some(value) = &content_digest {
            // This cannot fail: a digest is ASCII without control characters, and its field name is
            // a token.
            head.push(CONTENT_DIGEST, value.as_bytes()).unwrap_or_default();
        }
        let id = self.key.public().id();
        let keyid = self.keyid.as_deref().unwrap_or(id.as_str());
        let target = origins.resolve_as(&head, self.profile.target)?;
        let earlier = self.earlier_nonce(&head, &target)?;
        let sends = |parameter| self.profile.sends(parameter);
        let nonce = earlier.as_deref().unwrap_or(nonce.as_str());
        let claims = StatedParameters {
            created: sends(SentParameter::Created).then(|| created.unix()),
            expires: self.ttl.map(|ttl| created.plus(ttl).unix()),
            nonce: sends(SentParameter::Nonce).then_some(nonce),
            keyid: Some(keyid),
            alg: sends(SentParameter::Alg).then(|| self.key.public().kind().alg()),
            tag: self.sent_tag(id.as_str())?,
        };
        let components = self.components(&head, !body.is_empty())?;
        let params = SignatureParams::for_signing(components, &claims)?;
        let base = base::signature_base(&params, &head, &target)?;
        let signature = self.key.sign(base.as_bytes())?;
        let header::SignatureFields { signature_input, signature } =
            header::add(&head, &self.label, &params, &signature, self.existing)?;
        let covered = params.components().iter().map(ToString::to_string).collect();
        let text = |text: Option<&str>| text.map(str::to_owned);
        let (nonce, keyid, tag) = (text(claims.nonce), keyid.to_owned(), text(claims.tag));
        let expires = claims.expires.map(Timestamp::from_unix);
        Ok(Signed {
            content_digest,
            signature_input,
            signature,
            base,
            covered,
            created,
            expires,
            nonce,
            keyid,
            tag,
        })
    }

    /// Returns the nonce of a valid signature of this key on the request. An invalid one is
    /// ignored: otherwise an attacker could add a forged signature with a used nonce, and the new
    /// signature would be refused as a replay.
    fn earlier_nonce(
        &self,
        head: &Head<'_>,
        target: &Target<'_>,
    ) -> Result<Option<String>, SigningError> {
        let candidates = match header::read(head) {
            Ok(candidates) => candidates,
            Err(HeaderError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let key = self.key.public();
        let nonce = |candidate: header::Candidate<'_>| {
            let (params, signature) = (candidate.params.ok()?, candidate.signature.ok()?);
            let named = params.keyid().value();
            if named != Some(key.id().as_str())
                && (named.is_none() || named != self.keyid.as_deref())
            {
                return None;
            }
            let base = base::signature_base(&params, head, target).ok()?;
            let is_valid = self.key.has_signed(base.as_bytes(), &signature);
            is_valid.then(|| params.nonce().value().map(str::to_owned))?
        };
        let kept = |c: &header::Candidate<'_>| {
            self.existing == LabelConflict::Refuse || c.label != self.label
        };
        Ok(candidates.into_iter().filter(kept).find_map(nonce))
    }
}
