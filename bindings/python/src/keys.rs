//! Signing keys and public keys. A secret never leaves this module.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::keyfile::{KdfCost, Keyfile};
use mcpid::key::source::{FoundKey, KeyRef};
use mcpid::key::{self, KeyKind, SecretKey, Sign, file_io, format};
use mcpid::secret::quoted;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::errors::{file_error, find_error, keyfile_error, shown_path, value_error};
use crate::key_source::find;

/// Adds the classes and functions of this file to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SigningKey>()?;
    module.add_class::<PublicKey>()?;
    module.add_function(wrap_pyfunction!(thumbprint, module)?)?;
    module.add_function(wrap_pyfunction!(did_key, module)?)
}

/// The text or the bytes of an argument, wiped when dropped.
pub(crate) struct Bytes(Zeroizing<Vec<u8>>);

impl Bytes {
    /// Copies a `str` (as UTF-8) or a `bytes`. `name` is the argument's name.
    pub(crate) fn of(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(text) = given.extract::<&str>() {
            return Ok(Bytes(Zeroizing::new(text.as_bytes().to_vec())));
        }
        match given.extract::<&[u8]>() {
            Ok(bytes) => Ok(Bytes(Zeroizing::new(bytes.to_vec()))),
            Err(_) => {
                let kind = given.get_type().name()?;
                Err(PyTypeError::new_err(format!("{name} is a str or bytes, not {kind}")))
            }
        }
    }

    /// Returns the bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// A key that signs requests. Its secret is never shown, and it cannot be copied or pickled.
#[pyclass(frozen, module = "mcpid_attest")]
pub(crate) struct SigningKey {
    place: KeyPlace,
    name: Option<String>,
}

/// Where the private half is.
enum KeyPlace {
    /// In the memory of this process.
    Memory(Arc<SecretKey>),
    /// In another program, such as an ssh-agent.
    Elsewhere(Arc<dyn Sign>),
}

impl SigningKey {
    /// Returns the key for a signer.
    pub(crate) fn signer(&self) -> Arc<dyn Sign> {
        match &self.place {
            KeyPlace::Memory(secret) => Arc::clone(secret) as Arc<dyn Sign>,
            KeyPlace::Elsewhere(key) => Arc::clone(key),
        }
    }

    fn public(&self) -> &key::PublicKey {
        match &self.place {
            KeyPlace::Memory(secret) => secret.public(),
            KeyPlace::Elsewhere(key) => key.public(),
        }
    }

    fn in_memory(secret: SecretKey, name: Option<String>) -> Self {
        SigningKey { place: KeyPlace::Memory(Arc::new(secret)), name }
    }

    fn no_copy(&self) -> PyErr {
        PyTypeError::new_err("a signing key cannot be copied or pickled: load it where it is used")
    }
}

#[pymethods]
impl SigningKey {
    /// Makes a new key from the operating system's random numbers: of Ed25519, or of P-256 (`p256`)
    /// for profiles that allow such keys.
    #[staticmethod]
    #[pyo3(signature = (*, kind="ed25519", name=None))]
    fn generate(kind: &str, name: Option<String>) -> PyResult<Self> {
        let secret = match KeyKind::ALL.iter().find(|known| known.as_str() == kind) {
            Some(KeyKind::Ed25519) => SecretKey::generate(&mut SysRng),
            Some(KeyKind::P256) => SecretKey::generate_p256(&mut SysRng),
            _ => {
                let known: Vec<&str> = KeyKind::ALL.iter().map(|kind| kind.as_str()).collect();
                let message = format!("kind {}: there are {}", quoted(kind), known.join(", "));
                return Err(PyValueError::new_err(message));
            }
        };
        let secret = secret.map_err(|error| {
            PyValueError::new_err(format!("the operating system gives no random numbers: {error}"))
        })?;
        Ok(SigningKey::in_memory(secret, name))
    }

    /// Loads the key that `path` names: a keyfile, `ssh-agent:ID`, `exec:PROGRAM ARG…`, or a
    /// `pkcs11:` URI, whose PIN is the passphrase. The key must be `public_key`, if that is given; a
    /// program needs it.
    #[staticmethod]
    #[pyo3(signature = (path, *, passphrase=None, public_key=None))]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        passphrase: Option<&Bound<'_, PyAny>>,
        public_key: Option<&Bound<'_, PublicKey>>,
    ) -> PyResult<Self> {
        let public_key = public_key.map(|key| key.get().key.clone());
        let passphrase = passphrase.map(|given| Bytes::of("passphrase", given)).transpose()?;
        let reference = KeyRef::parse(&path).map_err(|error| value_error(&error))?;
        // The hash of a passphrase takes a tenth of a second and 64 MiB.
        py.detach(|| match &reference {
            KeyRef::File(path) => {
                let keyfile = file_io::load_keyfile(path).map_err(|e| file_error(path, &e))?;
                if public_key.as_ref().is_some_and(|pinned| pinned != keyfile.public()) {
                    let message = format!("{}: not the key of public_key", path.display());
                    return Err(PyValueError::new_err(message));
                }
                let secret = keyfile
                    .open(passphrase.as_ref().map(Bytes::as_slice))
                    .map_err(|error| keyfile_error(path, &error))?;
                Ok(SigningKey::in_memory(secret, Some(keyfile.name().to_owned())))
            }
            other => {
                let found = find(other, public_key.as_ref());
                elsewhere(found.map_err(|error| find_error(&path, &error))?, passphrase.as_ref())
            }
        })
    }

    /// Returns the key in the user's ssh-agent with this fingerprint, key id or comment; the only
    /// key of the agent, if `id` is empty.
    #[staticmethod]
    #[pyo3(signature = (id=""))]
    fn from_agent(py: Python<'_>, id: &str) -> PyResult<Self> {
        let reference = KeyRef::Agent(id.to_owned());
        py.detach(|| {
            let found = find(&reference, None);
            elsewhere(found.map_err(|error| find_error(Path::new("ssh-agent"), &error))?, None)
        })
    }

    /// Reads a private key of another program: a JWK, PKCS#8 PEM, an OpenSSH key file, or a seed in
    /// hex or base64.
    #[staticmethod]
    #[pyo3(signature = (data, *, name=None))]
    fn from_private(data: &Bound<'_, PyAny>, name: Option<String>) -> PyResult<Self> {
        let data = Bytes::of("data", data)?;
        let secret = format::read_private(data.as_slice()).map_err(|error| value_error(&error))?;
        Ok(SigningKey::in_memory(secret, name))
    }

    /// Writes the key into a new keyfile of mode 0600, encrypted with the passphrase.
    #[pyo3(signature = (path, *, passphrase=None, encrypt=true, name=None, replace=false))]
    fn save(
        &self,
        py: Python<'_>,
        path: PathBuf,
        passphrase: Option<&Bound<'_, PyAny>>,
        encrypt: bool,
        name: Option<String>,
        replace: bool,
    ) -> PyResult<()> {
        let passphrase = match (passphrase, encrypt) {
            (Some(given), true) => Some(Bytes::of("passphrase", given)?),
            (None, false) => None,
            (None, true) => {
                return Err(PyValueError::new_err(
                    "a passphrase is needed; encrypt=False writes the key so that every program \
                     that can read the file can sign",
                ));
            }
            (Some(_), false) => {
                return Err(PyValueError::new_err(
                    "a passphrase would change nothing: encrypt is False",
                ));
            }
        };
        let KeyPlace::Memory(secret) = &self.place else {
            return Err(PyValueError::new_err(
                "the key is in another program, which keeps its secret; a keyfile needs the secret",
            ));
        };
        if KeyRef::parse(&path).map_err(|error| value_error(&error))? != KeyRef::File(path.clone())
        {
            let name = shown_path(&path);
            let message =
                format!("{}: a keyfile is needed here, not a key elsewhere", name.display());
            return Err(PyValueError::new_err(message));
        }
        let name = name.or_else(|| self.name.clone()).unwrap_or_else(|| name_of(&path));
        py.detach(|| {
            let failed = |error| keyfile_error(&path, &error);
            let plain = Keyfile::plain(secret, &name, SystemClock.now()).map_err(failed)?;
            let keyfile = match &passphrase {
                None => plain,
                Some(given) => plain
                    .sealed_again(secret, given.as_slice(), KdfCost::DEFAULT, &mut SysRng)
                    .map_err(failed)?,
            };
            let is_new = std::fs::symlink_metadata(&path).is_err();
            let written = match replace && !is_new {
                true => file_io::replace_keyfile(&path, &keyfile),
                false => file_io::create_keyfile(&path, &keyfile),
            };
            written.map_err(|error| file_error(&path, &error))
        })
    }

    /// The public half.
    #[getter]
    fn public_key(&self) -> PublicKey {
        PublicKey { key: self.public().clone(), name: self.name.clone() }
    }

    /// The key's id: the RFC 7638 thumbprint, 43 characters.
    #[getter]
    fn key_id(&self) -> &str {
        self.public().id().as_str()
    }

    /// The key as a `did:key`.
    #[getter]
    fn did(&self) -> String {
        format::did_key(self.public())
    }

    /// The name in the keyfile, or the comment in the agent; None for a key without either.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// True if another program signs. It may ask a person, so a signature can take minutes.
    #[getter]
    pub(crate) fn signs_elsewhere(&self) -> bool {
        matches!(self.place, KeyPlace::Elsewhere(_))
    }

    fn __repr__(&self) -> String {
        format!("SigningKey({})", self.public().id())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(self.no_copy())
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(self.no_copy())
    }

    fn __copy__(&self) -> PyResult<()> {
        Err(self.no_copy())
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(self.no_copy())
    }
}

/// Returns the key that was found where another program or a token keeps its secret.
fn elsewhere(found: FoundKey, pin: Option<&Bytes>) -> PyResult<SigningKey> {
    let name = Some(found.name().to_owned()).filter(|name| !name.is_empty());
    let key = found.open(pin.map(Bytes::as_slice)).map_err(|error| value_error(&error))?;
    Ok(SigningKey { place: KeyPlace::Elsewhere(key), name })
}

/// Returns the default name of a key: the name of its file, without folder and ending.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.filter(|stem| !stem.is_empty()).unwrap_or_else(|| "key".to_owned())
}

/// A public key: what servers trust.
#[pyclass(frozen, eq, hash, module = "mcpid_attest")]
#[derive(Clone)]
pub(crate) struct PublicKey {
    key: key::PublicKey,
    name: Option<String>,
}

impl PublicKey {
    /// Returns the key of the engine.
    pub(crate) fn key(&self) -> &key::PublicKey {
        &self.key
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl std::hash::Hash for PublicKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.id().hash(state);
    }
}

#[pymethods]
impl PublicKey {
    /// Reads one public key: a JWK, SPKI PEM, an OpenSSH line, a `did:key`, or 32 bytes in hex.
    #[staticmethod]
    fn parse(data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let data = Bytes::of("data", data)?;
        let import = format::read_public(data.as_slice()).map_err(|error| value_error(&error))?;
        let count = import.keys.len();
        match <[_; 1]>::try_from(import.keys) {
            Ok([one]) => Ok(PublicKey { key: one.key, name: one.name }),
            Err(_) => Err(PyValueError::new_err(format!("{count} public keys, one is wanted"))),
        }
    }

    /// The key's id: the RFC 7638 thumbprint, 43 characters.
    #[getter]
    fn key_id(&self) -> &str {
        self.key.id().as_str()
    }

    /// The key as a `did:key`.
    #[getter]
    fn did(&self) -> String {
        format::did_key(&self.key)
    }

    /// The name that came with the key, if one did.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the key as a JWK (RFC 7517), in JSON.
    fn jwk(&self) -> String {
        format::jwk(&self.key, None)
    }

    /// Returns a JWK set with this one key, in JSON: a trust file that trusts it.
    fn jwks(&self) -> String {
        format::jwks(&self.key, None)
    }

    /// Returns the key as SPKI PEM (RFC 8410).
    fn pem(&self) -> String {
        format::spki_pem(&self.key)
    }

    fn __repr__(&self) -> String {
        format!("PublicKey({})", self.key.id())
    }
}

/// Returns the id of a key: the RFC 7638 thumbprint.
#[pyfunction]
fn thumbprint(key: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(public_of(key)?.key.id().to_string())
}

/// Returns a key as a `did:key`.
#[pyfunction]
fn did_key(key: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(format::did_key(&public_of(key)?.key))
}

/// Returns the public key of an argument: a key of this module, or the text of a public key.
fn public_of(key: &Bound<'_, PyAny>) -> PyResult<PublicKey> {
    if let Ok(key) = key.cast::<SigningKey>() {
        return Ok(key.get().public_key());
    }
    match key.cast::<PublicKey>() {
        Ok(key) => Ok(key.get().clone()),
        Err(_) => PublicKey::parse(key),
    }
}
