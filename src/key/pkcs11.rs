//! Keys in PKCS #11 tokens, such as smart cards and HSMs: `pkcs11:token=…;object=…` (RFC 7512).
//!
//! The vendor's module, a shared library, is loaded into this process, so it has to be trusted. A
//! call may hang in a driver or a card. So a separate thread makes all calls, and is left behind if
//! one takes more than 30 s. The private key never leaves the token. Each signature is verified
//! before it is used. A program that may exit during a call must call [`end_calls`] before.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{KeyKind, PublicKey, Sign, SignError};

mod calls;
mod module;
mod session;
mod token_thread;
mod uri;

pub use calls::end_calls;
use session::TokenSession;
use token_thread::TokenThread;
pub use uri::{Pkcs11Uri, Pkcs11UriError};

/// Maximum time for one call of the module.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The reason why a token did not sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11Error {
    /// Neither the URI nor the caller names a module.
    #[error("no PKCS #11 module is named")]
    NoModule,
    /// The path of the module is relative, so the current folder would decide which code is loaded.
    #[error("the path of the PKCS #11 module is not absolute")]
    RelativeModule,
    /// The module cannot be loaded.
    #[error("the PKCS #11 module {} cannot be loaded: {why}", .module.display())]
    Load {
        /// The path of the module.
        module: PathBuf,
        /// The reason, in the words of the operating system.
        why: String,
    },
    /// The module did not answer in time. It is not called again.
    #[error("the PKCS #11 module did not answer within {} s, and is given up", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The module is not called any more, because it did not answer before.
    #[error("the PKCS #11 module did not answer before, and is given up")]
    GivenUp,
    /// This process was forked from the one that loaded the module. PKCS #11 modules do not work
    /// across a fork.
    #[error("the PKCS #11 module was loaded before a fork: load the key in each process")]
    Forked,
    /// No token fits the URI.
    #[error("no PKCS #11 token fits: {0}")]
    NoToken(String),
    /// Several tokens fit the URI.
    #[error("{0} PKCS #11 tokens fit; name one by token= or serial=")]
    SeveralTokens(usize),
    /// The token does not show the private key that the URI names.
    #[error("the token has no such private key")]
    NoKey,
    /// Several keys fit the URI.
    #[error("{0} keys of the token fit; name one by object= or id=")]
    SeveralKeys(usize),
    /// The key is not an Ed25519 or P-256 key, or its public half is malformed.
    #[error("the key in the token is not one of Ed25519 or P-256")]
    Unfit,
    /// The public key is weak: signatures under it prove nothing.
    #[error("the public key in the token is weak: signatures under it prove nothing")]
    Weak,
    /// The token shows no public key, and none was given.
    #[error("the token shows no public key for it, and none is given")]
    NoPublicKey,
    /// The PIN is wrong. A few wrong PINs lock a token.
    #[error("wrong PIN for the token")]
    WrongPin,
    /// The token is locked after too many wrong PINs.
    #[error("the PIN of the token is locked")]
    PinLocked,
    /// The token demands its PIN before each signature.
    #[error("the key wants the PIN for each signature, which is not supported")]
    AlwaysAuthenticate,
    /// The module reported another error.
    #[error("the PKCS #11 module failed: {0}")]
    Module(String),
    /// The signature does not have 64 bytes, or is not valid under the public key.
    #[error("the token returned a signature that does not hold for these bytes and this key")]
    WrongSignature,
}

/// A key in a token that was found, but cannot sign yet because the PIN was not given.
pub struct Pkcs11Key {
    token: TokenThread,
    public: PublicKey,
    name: String,
    needs_pin: bool,
}

impl Pkcs11Key {
    /// Finds the token and the public key that `uri` names, without a PIN. `module` is used if the
    /// URI names no module. `pinned` is the public key to use if the token shows none.
    ///
    /// # Errors
    /// [`Pkcs11Error`].
    pub fn find(
        uri: &Pkcs11Uri,
        module: Option<&Path>,
        pinned: Option<&PublicKey>,
    ) -> Result<Self, Pkcs11Error> {
        Pkcs11Key::find_within(uri, module, pinned, TIMEOUT)
    }

    /// As [`Pkcs11Key::find`], with another maximum time for each call of the module.
    ///
    /// # Errors
    /// [`Pkcs11Error`].
    pub fn find_within(
        uri: &Pkcs11Uri,
        module: Option<&Path>,
        pinned: Option<&PublicKey>,
        timeout: Duration,
    ) -> Result<Self, Pkcs11Error> {
        let module = uri.module_path().or(module).ok_or(Pkcs11Error::NoModule)?.to_owned();
        if !module.is_absolute() {
            return Err(Pkcs11Error::RelativeModule);
        }
        let (token, found) = {
            let uri = uri.clone();
            TokenThread::start(timeout, move || TokenSession::open(&uri, &module))?
        };
        let public = match (found.public, pinned) {
            (Some(public), _) => public,
            (None, Some(pinned)) => pinned.clone(),
            (None, None) => return Err(Pkcs11Error::NoPublicKey),
        };
        if public.is_weak() {
            return Err(Pkcs11Error::Weak);
        }
        let name = uri.object().or(uri.token()).unwrap_or(&found.label).to_owned();
        Ok(Pkcs11Key { token, public, name, needs_pin: found.needs_pin })
    }

    /// Returns true if this program must give the token a PIN.
    pub fn needs_pin(&self) -> bool {
        self.needs_pin
    }

    /// Returns the label of the key in the URI, or else the label of the token.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Logs in with the PIN, and finds the private key. A wrong PIN is tried once only: a few wrong
    /// ones lock a token.
    ///
    /// # Errors
    /// [`Pkcs11Error`].
    pub fn open(self, pin: Option<&[u8]>) -> Result<Pkcs11Signer, Pkcs11Error> {
        let pin = pin.map(|pin| zeroize::Zeroizing::new(pin.to_vec()));
        let kind = self.public.kind();
        self.token.ask(move |session| session.log_in(pin, kind))?;
        Ok(Pkcs11Signer { token: self.token, public: self.public })
    }
}

impl fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Key({:?}, {})", self.name, self.public.id())
    }
}

/// A key in a token that can sign. Signing blocks until the token has answered, up to 30 s;
/// asynchronous programs must sign on a thread that may block.
pub struct Pkcs11Signer {
    token: TokenThread,
    public: PublicKey,
}

impl Pkcs11Signer {
    fn signature(&self, message: &[u8]) -> Result<[u8; 64], Pkcs11Error> {
        let (kind, copy) = (self.public.kind(), message.to_vec());
        let signature = self.token.ask(move |session| session.sign(kind, &copy))?;
        let signature = signature.as_slice().try_into().map_err(|_| Pkcs11Error::WrongSignature)?;
        self.public.verify_strict(message, &signature).map_err(|_| Pkcs11Error::WrongSignature)?;
        Ok(signature)
    }
}

impl Sign for Pkcs11Signer {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.signature(message).map_err(|error| SignError(error.into()))
    }
}

impl fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Signer({})", self.public.id())
    }
}

/// Returns the public key in the attributes of a public object: CKA_EC_PARAMS and CKA_EC_POINT. The
/// point is a DER OCTET STRING (PKCS #11 2.40), or the bare point, as some modules return it.
fn public_key(params: &[u8], point: &[u8]) -> Result<PublicKey, Pkcs11Error> {
    // The object identifier of P-256 in DER: 1.2.840.10045.3.1.7 (RFC 5480).
    const P256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    // What modules write for Ed25519, in DER: the object identifiers 1.3.101.112 (RFC 8410) and
    // 1.3.6.1.4.1.11591.15.1, and the PrintableString edwards25519.
    const ED25519: [&[u8]; 3] = [
        &[0x06, 3, 0x2b, 101, 112],
        &[0x06, 9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 15, 1],
        b"\x13\x0cedwards25519",
    ];
    let kind = match params {
        P256 => KeyKind::P256,
        _ if ED25519.contains(&params) => KeyKind::Ed25519,
        _ => return Err(Pkcs11Error::Unfit),
    };
    let raw = |length: u8| match point {
        [4, l, rest @ ..] if *l == length && rest.len() == usize::from(length) => Some(rest),
        _ => (point.len() == usize::from(length)).then_some(point),
    };
    match kind {
        KeyKind::Ed25519 => {
            let bytes: &[u8; 32] =
                raw(32).and_then(|raw| raw.try_into().ok()).ok_or(Pkcs11Error::Unfit)?;
            PublicKey::from_bytes(bytes).map_err(|_| Pkcs11Error::Unfit)
        }
        KeyKind::P256 => {
            let bytes = raw(65).ok_or(Pkcs11Error::Unfit)?;
            PublicKey::from_sec1(bytes).map_err(|_| Pkcs11Error::Unfit)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key::SecretKey;

    #[test]
    fn a_point_is_read_with_and_without_its_der_header_and_nothing_else() {
        let public = SecretKey::from_seed(&[7; 32]).public().clone();
        let raw = public.as_bytes();
        let der = [&[4, 32], raw].concat();
        for params in [&b"\x13\x0cedwards25519"[..], &[6, 3, 0x2b, 101, 112]] {
            for point in [raw, &der] {
                assert_eq!(public_key(params, point).unwrap(), public);
            }
            for point in [&raw[1..], &der[1..], &[&der[..], &[0]].concat(), &[], &[4, 32], &[4; 65]]
            {
                assert!(matches!(public_key(params, point), Err(Pkcs11Error::Unfit)), "{point:?}");
            }
        }
        for params in [&b""[..], &[6, 3, 0x2b, 101, 113], b"\x13\x0acurve25519", &[6, 3, 0x2b, 101]]
        {
            assert!(matches!(public_key(params, raw), Err(Pkcs11Error::Unfit)), "{params:?}");
        }
    }
}
