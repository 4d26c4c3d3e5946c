//! Signatures of security keys: the touch, which is a second signature that confirms the first one;
//! and the signature of a security key that signs alone.

use std::sync::Arc;

use crate::base::header::{self, SignatureFields};
use crate::base::{self, Component, ParamsError, SignatureParams, StatedParameters};
use crate::key::{SecurityKey, SignByTouch};
use crate::message::Head;
use crate::message::target::Origins;
use crate::profile::Profile;

use super::signer_key::SignerKey;
use super::{Signed, Signer, SigningError};

/// The label of a touch of a security key.
pub const TOUCH_LABEL: &str = "touch";

impl Signer {
    /// Makes a signer with a security key alone, for which each request needs a touch. The value of
    /// such a signature has 69 bytes. A verifier accepts it only if the key's trust entry says
    /// `"alone": true`. [`Signer::sign`] blocks until the key was touched.
    ///
    /// # Errors
    /// As [`Signer::new`]; [`SigningError::Touch`] if the profile knows no security keys of this
    /// kind.
    pub fn by_security_key(
        key: Arc<dyn SignByTouch>,
        profile: &Profile,
    ) -> Result<Self, SigningError> {
        if !profile.security_keys.contains(&key.security_key().public().kind()) {
            return Err(SigningError::Touch(profile.name.to_string()));
        }
        Signer::of(SignerKey::SecurityKey(key), profile)
    }

    /// Returns the security key of this signer, if it signs with one alone.
    pub fn security_key(&self) -> Option<&SecurityKey> {
        self.key.security_key()
    }

    /// Adds the touch of a security key to `first`, the signature that this signer made for `head`.
    /// `head` is the request without that signature.
    ///
    /// The touch covers the same components, and the first signature itself. It has the same
    /// `created`, `expires` and `nonce`. Its `keyid` and its `tag` are the id of the security key.
    /// In the result, the values of the fields hold both signatures.
    ///
    /// This call blocks until the key was touched. The caller must check that the touch came in
    /// time, because `expires` stays the same.
    ///
    /// # Errors
    /// [`SigningError`]; [`SigningError::Touch`] if the profile knows no touches.
    pub fn sign_touch(
        &self,
        key: &dyn SignByTouch,
        head: &Head<'_>,
        origins: &Origins,
        first: &Signed,
    ) -> Result<Signed, SigningError> {
        let public = key.security_key().public();
        if !self.profile.security_keys.contains(&public.kind()) {
            return Err(SigningError::Touch(self.profile.name.to_string()));
        }
        let head = with_signature(head, first);
        let mut components = Vec::with_capacity(first.covered.len() + 2);
        for text in &first.covered {
            components.push(parse(text)?);
        }
        for field in [header::SIGNATURE, header::SIGNATURE_INPUT] {
            components.push(parse(&format!("\"{field}\";key=\"{}\"", self.label))?);
        }
        let claims = StatedParameters {
            created: Some(first.created.unix()),
            expires: first.expires.map(|time| time.unix()),
            nonce: first.nonce.as_deref(),
            keyid: Some(public.id().as_str()),
            alg: None,
            tag: Some(public.id().as_str()),
        };
        let params = SignatureParams::for_signing(components, &claims)?;
        let target = origins.resolve_as(&head, self.profile.target)?;
        let base = base::signature_base(&params, &head, &target)?;
        let signature = key.sign_by_touch(base.as_bytes())?;
        let SignatureFields { signature_input, signature } =
            header::add(&head, TOUCH_LABEL, &params, &signature, self.existing)?;
        let covered = params.components().iter().map(ToString::to_string).collect();
        let id = public.id().to_string();
        Ok(Signed {
            content_digest: first.content_digest.clone(),
            signature_input,
            signature,
            base,
            covered,
            created: first.created,
            expires: first.expires,
            nonce: first.nonce.clone(),
            keyid: id.clone(),
            tag: Some(id),
        })
    }
}

fn parse(text: &str) -> Result<Component<'static>, SigningError> {
    Component::parse(text).map(Component::into_owned).map_err(|source| {
        SigningError::Params(ParamsError::Component { component: text.to_owned(), source })
    })
}

/// Returns `head` with the fields of a signature in place of its own signature fields.
fn with_signature<'h>(head: &Head<'h>, signed: &Signed) -> Head<'h> {
    let mut whole = head.clone();
    whole.remove(&[header::SIGNATURE, header::SIGNATURE_INPUT]);
    for (name, value) in signed.headers() {
        // This cannot fail: the names are tokens, and the values are ASCII without control
        // characters. `Content-Digest` is added only if the request has none.
        whole.push(name, value.as_bytes().to_vec()).unwrap_or_default();
    }
    whole
}
