//! The settings that every verifier has: the library's `Verifier` and the ASGI middleware.

use std::path::PathBuf;
use std::sync::Arc;

use mcpid::clock::Clock;
use mcpid::key::format;
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::message::error_chain::chain;
use mcpid::message::target::{Origin, Origins};
use mcpid::nonce::Retention;
use mcpid::profile::Profile;
use mcpid::secret::{description, quoted};
use mcpid::verify::coverage::CoverageOverrides;
use mcpid::verify::{DEFAULT_MAX_BODY, ReplayCheck, Verifier};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::errors::{trust_error, value_error};
use crate::keys::PublicKey;
use crate::policy::{KeywordSyntax, setting_error};

/// The longest window, in seconds: ten years, which keeps sums of times far from overflow.
const LONGEST_WINDOW: i64 = 3650 * 86_400;

/// Returns the profile of this name.
pub(crate) fn profile(name: &str) -> PyResult<Profile> {
    Profile::named(name).ok_or_else(|| {
        let known: Vec<&str> = Profile::NAMED.iter().map(|named| named.name).collect();
        PyValueError::new_err(format!("profile {}: there are {}", quoted(name), known.join(", ")))
    })
}

/// Returns the origins of a server: one text, or several.
pub(crate) fn origins(origin: &Bound<'_, PyAny>) -> PyResult<Origins> {
    let texts: Vec<String> = several(origin, "origin", "a str or a sequence of them")?
        .into_iter()
        .map(|one| one.extract::<String>())
        .collect::<PyResult<_>>()?;
    if texts.is_empty() {
        return Err(PyValueError::new_err("origin is empty: no origin is known to be ours"));
    }
    let parse = |text: &String| {
        Origin::parse(text).map_err(|error| {
            let shown = description(text).unwrap_or_else(|| text.clone());
            PyValueError::new_err(format!("origin {shown}: {}", chain(&error)))
        })
    };
    texts.iter().map(parse).collect()
}

/// The trusted keys that an argument names.
pub(crate) enum Trust {
    /// Trust files, and folders of them.
    Paths(Vec<PathBuf>),
    /// Keys without limits.
    Keys(Vec<mcpid::PublicKey>),
}

impl Trust {
    /// Reads the argument `trust`: a path or a public key, or several of one kind. None stands for
    /// the file that the command line reads by default.
    pub(crate) fn of(trust: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(trust) = trust.filter(|trust| !trust.is_none()) else {
            return default_trust().map(|path| Trust::Paths(vec![path]));
        };
        let given = several(trust, "trust", "a path, a PublicKey, or a sequence of one of them")?;
        if given.is_empty() {
            return Err(PyValueError::new_err("trust is empty: no key would be trusted"));
        }
        let key = |one: &Bound<'_, PyAny>| {
            one.cast::<PublicKey>().ok().map(|key| key.get().key().clone())
        };
        let keys: Vec<_> = given.iter().filter_map(key).collect();
        if keys.len() == given.len() {
            return Ok(Trust::Keys(keys));
        }
        if !keys.is_empty() {
            return Err(PyValueError::new_err("trust names files and keys: give one kind"));
        }
        given.iter().map(|one| one.extract()).collect::<PyResult<_>>().map(Trust::Paths)
    }

    /// Reads the files.
    pub(crate) fn load(&self) -> PyResult<Registry> {
        match self {
            Trust::Paths(paths) => Registry::load(paths).map_err(|error| trust_error(&error)),
            Trust::Keys(keys) => {
                let file = |key| {
                    let jwks = format::jwks(key, None);
                    TrustFile::parse(jwks.as_bytes()).map_err(|error| value_error(&error))
                };
                Ok(Registry::merge(keys.iter().map(file).collect::<PyResult<Vec<_>>>()?))
            }
        }
    }
}

/// Returns the path of the user's trust file: `MCPID_TRUST`, else `mcpid/trust.json` in the
/// configuration folder.
fn default_trust() -> PyResult<PathBuf> {
    match std::env::var_os("MCPID_TRUST") {
        Some(path) if path.is_empty() => {
            Err(PyValueError::new_err("MCPID_TRUST is set, and it is empty"))
        }
        Some(path) => Ok(path.into()),
        None => dirs::config_dir()
            .map(|folder| folder.join("mcpid").join("trust.json"))
            .ok_or_else(|| PyValueError::new_err("there is no home folder to look for files in")),
    }
}

/// Returns one argument, or the members of a sequence.
fn several<'py>(
    given: &Bound<'py, PyAny>,
    name: &str,
    wanted: &str,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let is_one = given.is_instance_of::<PyString>()
        || given.is_instance_of::<PublicKey>()
        || given.hasattr("__fspath__")?;
    if is_one {
        return Ok(vec![given.clone()]);
    }
    match given.try_iter() {
        Ok(members) => members.collect(),
        Err(_) => {
            let kind = given.get_type().name()?;
            Err(PyTypeError::new_err(format!("{name} is {wanted}, not {kind}")))
        }
    }
}

/// The settings of a verifier, except its clock and its nonce store.
#[derive(Clone)]
pub(crate) struct VerifierSettings {
    trust_paths: Vec<PathBuf>,
    profile: Profile,
    registry: Arc<Registry>,
    origins: Origins,
    overrides: CoverageOverrides,
    max_body: usize,
}

/// Changes of the rules of a profile; `None` and empty lists change nothing.
#[derive(Default)]
pub(crate) struct RuleChanges {
    /// Seconds, in place of the profile's.
    pub(crate) window: Option<i64>,
    /// Seconds, in place of the profile's.
    pub(crate) ahead: Option<i64>,
    /// Bytes.
    pub(crate) max_body: Option<usize>,
    /// Components that a signature has to cover too.
    pub(crate) require: Vec<String>,
    /// Components that a request may carry without a signature over them.
    pub(crate) allow_uncovered: Vec<String>,
}

impl VerifierSettings {
    /// Reads the arguments and the trust files.
    pub(crate) fn read(
        trust: &Trust,
        origin: &Bound<'_, PyAny>,
        profile: &str,
        changes: &RuleChanges,
    ) -> PyResult<Self> {
        let &RuleChanges { window, ahead, max_body, .. } = changes;
        let mut profile = self::profile(profile)?;
        for (name, seconds) in [("timestamp_window_seconds", window), ("ahead_seconds", ahead)] {
            if let Some(seconds) = seconds
                && !(0..=LONGEST_WINDOW).contains(&seconds)
            {
                let message = format!("{name} {seconds}: seconds, 0 to {LONGEST_WINDOW}");
                return Err(PyValueError::new_err(message));
            }
        }
        profile.window.max_age = window.or(profile.window.max_age);
        profile.window.max_skew = ahead.unwrap_or(profile.window.max_skew);
        let overrides = (&*changes.require, &*changes.allow_uncovered);
        let overrides = CoverageOverrides::parse(&profile, overrides, &KeywordSyntax)
            .map_err(|error| setting_error(&error))?;
        let origins = origins(origin)?;
        let registry = Arc::new(trust.load()?);
        let max_body = max_body.unwrap_or(DEFAULT_MAX_BODY);
        let trust_paths = match trust {
            Trust::Paths(paths) => paths.clone(),
            Trust::Keys(_) => Vec::new(),
        };
        Ok(VerifierSettings { trust_paths, profile, registry, origins, overrides, max_body })
    }

    /// Returns a verifier with this clock and this nonce check.
    pub(crate) fn verifier(&self, clock: Arc<dyn Clock>, replay: ReplayCheck) -> Verifier {
        let (profile, registry) = (self.profile.clone(), Arc::clone(&self.registry));
        Verifier::new(profile, registry, self.origins.clone(), clock, replay)
            .with_coverage_overrides(self.overrides.clone())
            .with_max_body(self.max_body)
    }

    /// Returns the trust files and folders; empty if the keys themselves were given.
    pub(crate) fn trust_paths(&self) -> &[PathBuf] {
        &self.trust_paths
    }

    /// Returns the same settings with other trusted keys.
    pub(crate) fn with_registry(&self, registry: Arc<Registry>) -> Self {
        VerifierSettings { registry, ..self.clone() }
    }

    /// Returns the origins of this server.
    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Returns how long a store has to keep nonces for such a verifier.
    pub(crate) fn retention(&self) -> Retention {
        let clock = Arc::new(mcpid::clock::SystemClock);
        self.verifier(clock, ReplayCheck::Unchecked).retention()
    }
}
