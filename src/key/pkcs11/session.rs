//! One session with a token: all calls of the module, on one thread.

use std::cell::Cell;
use std::path::Path;

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::module::{LoadedModule, failed};
use super::{Pkcs11Error, Pkcs11Uri, public_key};
use crate::key::{KeyKind, PublicKey};

/// What a token shows without a PIN.
pub(super) struct FoundToken {
    pub(super) label: String,
    /// Whether this program has to give a PIN. A card reader with a keypad asks its user itself.
    pub(super) needs_pin: bool,
    /// The public key that belongs to the private key; `None` if the token has no public object for
    /// it.
    pub(super) public: Option<PublicKey>,
}

/// A session with a token.
pub(super) struct TokenSession {
    session: Session,
    /// The module is finalized after the session is closed, because Rust drops fields in the order
    /// of their declaration.
    _module: LoadedModule,
    /// The attributes by which the key is searched for in the token.
    wanted: Vec<Attribute>,
    login_required: bool,
    /// The handle of the private key, after the login.
    key: Cell<Option<ObjectHandle>>,
}

impl TokenSession {
    /// Loads the module, and opens a session with the only token that fits the URI.
    pub(super) fn open(uri: &Pkcs11Uri, module: &Path) -> Result<(Self, FoundToken), Pkcs11Error> {
        let module = LoadedModule::load(module)?;
        let (slot, token) = token(module.pkcs11(), uri)?;
        let session = module.pkcs11().open_ro_session(slot).map_err(|error| failed(&error))?;
        let mut wanted = Vec::new();
        wanted
            .extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
        wanted.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
        let login_required = token.login_required();
        let key = Cell::new(None);
        let opened = TokenSession { session, _module: module, wanted, login_required, key };
        let found = FoundToken {
            label: token.label().to_owned(),
            needs_pin: login_required && !token.protected_authentication_path(),
            public: opened.public()?,
        };
        Ok((opened, found))
    }

    fn objects(&self, class: ObjectClass) -> Result<Vec<ObjectHandle>, Pkcs11Error> {
        let template: Vec<_> =
            [Attribute::Class(class)].into_iter().chain(self.wanted.iter().cloned()).collect();
        self.session.find_objects(&template).map_err(|error| failed(&error))
    }

    fn public(&self) -> Result<Option<PublicKey>, Pkcs11Error> {
        let objects = self.objects(ObjectClass::PUBLIC_KEY)?;
        let Some(first) = objects.first() else { return Ok(None) };
        if objects.len() > 1 {
            return Err(Pkcs11Error::SeveralKeys(objects.len()));
        }
        let wanted = [AttributeType::EcParams, AttributeType::EcPoint];
        let attributes =
            self.session.get_attributes(*first, &wanted).map_err(|error| failed(&error))?;
        let (mut params, mut point) = (None, None);
        for attribute in &attributes {
            match attribute {
                Attribute::EcParams(bytes) => params = Some(bytes),
                Attribute::EcPoint(bytes) => point = Some(bytes),
                _ => {}
            }
        }
        match (params, point) {
            (Some(params), Some(point)) => public_key(params, point).map(Some),
            // A key of another type, such as RSA, has no curve and no point.
            _ => Err(Pkcs11Error::Unfit),
        }
    }

    /// Logs in, and finds the private key, which must be of `kind`.
    pub(super) fn log_in(
        &self,
        pin: Option<Zeroizing<Vec<u8>>>,
        kind: KeyKind,
    ) -> Result<(), Pkcs11Error> {
        if self.login_required {
            let done = match pin {
                Some(pin) => {
                    let pin = RawAuthPin::new(Box::new(pin.to_vec()));
                    self.session.login_with_raw(UserType::User, &pin)
                }
                None => self.session.login(UserType::User, None),
            };
            match done {
                // Another session of this process has logged in already. A login holds for all
                // sessions with the same token.
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        let objects = self.objects(ObjectClass::PRIVATE_KEY)?;
        let key = match objects[..] {
            [] => return Err(Pkcs11Error::NoKey),
            [key] => key,
            _ => return Err(Pkcs11Error::SeveralKeys(objects.len())),
        };
        let wanted = [AttributeType::KeyType, AttributeType::AlwaysAuthenticate];
        let attributes =
            self.session.get_attributes(key, &wanted).map_err(|error| failed(&error))?;
        let fits = match kind {
            KeyKind::Ed25519 => KeyType::EC_EDWARDS,
            KeyKind::P256 => KeyType::EC,
        };
        if !attributes.contains(&Attribute::KeyType(fits)) {
            return Err(Pkcs11Error::Unfit);
        }
        if attributes.contains(&Attribute::AlwaysAuthenticate(true)) {
            return Err(Pkcs11Error::AlwaysAuthenticate);
        }
        self.key.set(Some(key));
        Ok(())
    }

    /// Returns the signature over `message`, as the token returned it.
    pub(super) fn sign(&self, kind: KeyKind, message: &[u8]) -> Result<Vec<u8>, Pkcs11Error> {
        let key = self.key.get().ok_or(Pkcs11Error::NoKey)?;
        let signed = match kind {
            KeyKind::Ed25519 => {
                let pure = EddsaParams::new(EddsaSignatureScheme::Ed25519);
                self.session.sign(&Mechanism::Eddsa(pure), key, message)
            }
            // The hash is computed in this process, because few tokens can also hash.
            KeyKind::P256 => self.session.sign(&Mechanism::Ecdsa, key, &Sha256::digest(message)),
        };
        signed.map_err(|error| failed(&error))
    }
}

/// Returns the only token that fits the URI.
fn token(pkcs11: &Pkcs11, uri: &Pkcs11Uri) -> Result<(Slot, TokenInfo), Pkcs11Error> {
    let slots = pkcs11.get_slots_with_initialized_token().map_err(|error| failed(&error))?;
    let (mut fitting, mut labels) = (Vec::new(), Vec::new());
    for slot in slots {
        // A token that was removed after the list of slots was read is left out.
        let Ok(token) = pkcs11.get_token_info(slot) else { continue };
        let is = |wanted: &Option<String>, there: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted.trim_end_matches(' ') == there)
        };
        labels.push(format!("{:?}", token.label()));
        if is(&uri.token, token.label())
            && is(&uri.manufacturer, token.manufacturer_id())
            && is(&uri.model, token.model())
            && is(&uri.serial, token.serial_number())
            && uri.slot_id.is_none_or(|id| id == slot.id())
        {
            fitting.push((slot, token));
        }
    }
    match (fitting.pop(), fitting.len()) {
        (Some(found), 0) => Ok(found),
        (Some(_), more) => Err(Pkcs11Error::SeveralTokens(more + 1)),
        (None, _) => Err(Pkcs11Error::NoToken(match labels.len() {
            0 => "the module has none".to_owned(),
            1..=5 => format!("it has {}", labels.join(", ")),
            more => format!("it has {more} others"),
        })),
    }
}
