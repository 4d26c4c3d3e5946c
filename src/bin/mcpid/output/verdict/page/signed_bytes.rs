//! A valid signature, with everything that `openssl` needs to verify it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::key::{KeyKind, format};
use mcpid::verify::VerifiedSignatureRef;

/// A valid signature, copied from its request.
#[derive(Clone, Debug)]
pub(crate) struct SignedBytes {
    /// The label of the signature.
    pub(crate) label: String,
    /// The bytes that were signed.
    base: String,
    /// The value of the signature: 64 bytes, or 69 from a security key.
    signature: Vec<u8>,
    /// The public key as PEM.
    pem: String,
    /// The key id: the RFC 7638 thumbprint.
    id: String,
    kind: KeyKind,
}

impl SignedBytes {
    /// Copies a valid signature.
    pub(crate) fn of(signature: &VerifiedSignatureRef<'_>) -> Self {
        let key = signature.entry.key();
        SignedBytes {
            label: signature.label.to_owned(),
            base: signature.base.to_owned(),
            signature: signature.signature.to_vec(),
            pem: format::spki_pem(key),
            id: key.id().to_string(),
            kind: key.kind(),
        }
    }

    /// Returns a script that verifies the signature and the key id by hand; `None` for a kind of
    /// key for which no such script exists.
    ///
    /// The script has text from the request only in base64.
    pub(super) fn script(&self) -> Option<String> {
        let signature: &[u8; 64] = self.signature.as_slice().try_into().ok()?;
        let (signature, thumbprint, verify) = match self.kind {
            KeyKind::Ed25519 => (
                signature.to_vec(),
                "x=$(openssl pkey -pubin -in key.pem -outform DER | tail -c 32 | url)\n\
                 id=$(printf '{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}' \"$x\" |",
                "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in base.txt -sigfile sig.bin",
            ),
            KeyKind::P256 => (
                der(signature),
                "x=$(openssl pkey -pubin -in key.pem -outform DER | tail -c 64 | head -c 32 | url)\n\
                 y=$(openssl pkey -pubin -in key.pem -outform DER | tail -c 32 | url)\n\
                 id=$(printf '{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}' \"$x\" \"$y\" |",
                "openssl dgst -sha256 -verify key.pem -signature sig.bin base.txt",
            ),
            _ => return None,
        };
        let (base, signature) = (STANDARD.encode(&self.base), STANDARD.encode(signature));
        let pem: Vec<String> = self.pem.lines().map(|line| format!("'{line}'")).collect();
        let (pem, id) = (pem.join(" "), &self.id);
        Some(format!(
            "set -eu\n\
             cd \"$(mktemp -d)\"\n\
             url() {{ base64 | tr -d '=\\n' | tr '+/' '-_'; }}\n\
             printf '%s\\n' {pem} > key.pem\n\
             echo {base} | base64 -d > base.txt\n\
             echo {signature} | base64 -d > sig.bin\n\
             # The key id is the RFC 7638 thumbprint of the key.\n\
             {thumbprint} openssl dgst -sha256 -binary | url)\n\
             [ \"$id\" = {id} ]\n\
             echo \"the key is $id\"\n\
             {verify}\n\
             cat base.txt"
        ))
    }
}

/// Returns a signature of ECDSA on P-256 in the form that `openssl` reads: two INTEGERs in a
/// SEQUENCE, in DER (RFC 3279 section 2.2.3).
fn der(signature: &[u8; 64]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
        let mut digits = bytes.get(first..).unwrap_or_default().to_vec();
        // A leading zero byte is needed, because a number whose first bit is 1 would be negative.
        if digits.first().is_some_and(|byte| byte & 0x80 != 0) {
            digits.insert(0, 0);
        }
        [&[0x02, u8::try_from(digits.len()).unwrap_or(u8::MAX)][..], &digits].concat()
    };
    let (r, s) = signature.split_at(32);
    let both = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(both.len()).unwrap_or(u8::MAX)][..], &both].concat()
}

#[cfg(test)]
mod tests {
    use super::der;

    #[test]
    fn integers_are_as_short_as_der_demands() {
        let mut signature = [0; 64];
        (signature[31], signature[32]) = (0x7f, 0x80);
        let mut wanted = vec![0x30, 2 + 1 + 2 + 33, 0x02, 1, 0x7f, 0x02, 33, 0, 0x80];
        wanted.extend([0; 31]);
        assert_eq!(der(&signature), wanted);
        // In DER, the INTEGER zero still has one byte of content.
        assert_eq!(der(&[0; 64]), [0x30, 6, 0x02, 1, 0, 0x02, 1, 0]);
        let all = der(&[0xff; 64]);
        assert_eq!((all.len(), all[1]), (72, 70));
    }
}
