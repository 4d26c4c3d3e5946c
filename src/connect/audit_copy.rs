//! Writes an entry for each signed request to the client's own audit log, before the request is
//! sent.

use crate::audit::{Evidence, Recorder};
use crate::base::header;
use crate::key::SignByTouch;
use crate::message::Head;
use crate::message::error_chain::chain;
use crate::message::target::Origins;
use crate::sign::{Signed, Signer};

use super::error::BridgeError;

/// Writes the audit entry for a request whose head, as it was signed, is `head`. `touch` is the
/// additional signature by the security key `touch_key`, if a person touched it.
///
/// # Errors
/// [`BridgeError::NotSigned`] if the audit policy requires an entry and it could not be written:
/// the request must then not be sent.
pub(super) async fn keep(
    recorder: &Recorder,
    (signer, touch_key): (&Signer, Option<&dyn SignByTouch>),
    mut head: Head<'static>,
    (signed, touch): (&Signed, Option<&Signed>),
    body: &[u8],
) -> Result<(), BridgeError> {
    let failed = |why: &dyn std::error::Error| {
        BridgeError::NotSigned(format!("it could not be written down: {}", chain(why)))
    };
    // If there is a touch of a security key, its fields contain both signatures.
    for (name, value) in touch.unwrap_or(signed).headers() {
        head.push(name, value.as_bytes().to_vec()).map_err(|e| failed(&e))?;
    }
    let made = header::read(&head).map_err(|e| failed(&e))?;
    // The bridge adds exactly one signature, followed by that of the touch if there is one.
    let made = |place: usize| {
        let one = made.get(place)?;
        Some((&*one.label, one.signature.as_deref().ok()?))
    };
    let unreadable =
        || BridgeError::NotSigned("the signature that was made cannot be read".to_owned());
    let (label, signature) = made(0).ok_or_else(unreadable)?;
    let (key, one) = (signer.public(), (label, &*signed.base, signature));
    let mut evidence = match signer.security_key() {
        Some(key) => Evidence::signed_by_touch(signer.profile(), &head, key, one),
        None => Evidence::signed(signer.profile(), &head, label, key, one.1, signature),
    };
    if let (Some(touch), Some(touch_key)) = (touch, touch_key) {
        let (label, signature) = made(1).ok_or_else(unreadable)?;
        let keys = (touch_key.security_key(), key.id());
        evidence = evidence.with_touch(&head, keys, (label, &touch.base, signature));
    }
    let by = (signer.profile(), &Origins::unknown());
    let done = recorder.signed(&head, by, body, &evidence, signed.created).await;
    done.map_err(|e| failed(&e))
}
