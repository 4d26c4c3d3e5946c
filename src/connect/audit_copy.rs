//! Writes the audit entry of the client's side for each signed request, before the request is sent.

use crate::audit::{Evidence, Recorder};
use crate::base::header;
use crate::message::Head;
use crate::message::target::Origins;
use crate::sign::{Signed, Signer};
use crate::verify::rejection::chain;

use super::error::BridgeError;

/// Writes the audit entry for a request whose head, as it was signed, is `head`.
///
/// # Errors
/// [`BridgeError::NotSigned`] if the audit policy requires an entry and it could not be written:
/// the request must then not be sent.
pub(super) async fn keep(
    recorder: &Recorder,
    signer: &Signer,
    mut head: Head<'static>,
    signed: &Signed,
    body: &[u8],
) -> Result<(), BridgeError> {
    let failed = |why: &dyn std::error::Error| {
        BridgeError::NotSigned(format!("it could not be written down: {}", chain(why)))
    };
    for (name, value) in signed.headers() {
        head.push(name, value.as_bytes().to_vec()).map_err(|e| failed(&e))?;
    }
    let made = header::read(&head).map_err(|e| failed(&e))?;
    // The bridge adds one signature to each request, so the first is the only one.
    let one = made.first().and_then(|one| {
        let signature: [u8; 64] = one.signature.as_ref().ok()?.as_slice().try_into().ok()?;
        Some((one.label.clone(), signature))
    });
    let Some((label, signature)) = one else {
        return Err(BridgeError::NotSigned(
            "the signature that was made cannot be read".to_owned(),
        ));
    };
    let key = signer.key().public();
    let evidence = Evidence::signed(signer.profile(), &head, &label, key, &signed.base, &signature);
    let by = (signer.profile(), &Origins::unknown());
    let done = recorder.signed(&head, by, body, &evidence, signed.created).await;
    done.map_err(|e| failed(&e))
}
