//! Builds a verifier from the flags that `verify` and `gateway` share.

use std::sync::Arc;

use mcpid::clock::{Clock, Timestamp};
use mcpid::key::trust::{Registry, TrustEntry, TrustSource};
use mcpid::message::target::{Origin, Origins};
use mcpid::profile::{Profile, Window};
use mcpid::verify::coverage::CoverageOverrides;
use mcpid::verify::{DEFAULT_MAX_BODY, ReplayCheck, Verifier};
use serde_json::value::RawValue;

use crate::args::VerifierArgs;
use crate::args::flag_syntax::FlagSyntax;
use crate::input::captures::hex;
use crate::keys::trust_file;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::page::parts::PageInput;
use crate::output::ui::Ui;

/// The settings of a verifier, except its clock and its nonce store.
pub(crate) struct VerifierSettings {
    profile: Profile,
    overrides: CoverageOverrides,
    registry: Arc<Registry>,
    origins: Origins,
    max_body: u64,
}

impl VerifierSettings {
    /// Reads the flags and the trust files, and prints remarks about them.
    ///
    /// # Errors
    /// A flag or a trust file cannot be used.
    pub(crate) fn read(args: &VerifierArgs, ui: &mut Ui) -> Result<Self, Failure> {
        let mut profile = args.profile.profile();
        let Window { max_age, max_skew } = profile.window;
        profile.window = Window {
            max_age: args.window.map(i64::from).or(max_age),
            max_skew: args.ahead.map_or(max_skew, i64::from),
        };
        let overrides = (&*args.require, &*args.allow_uncovered);
        let overrides = CoverageOverrides::parse(&profile, overrides, &FlagSyntax)?;
        let origins = origins(&args.origin)?;
        let max_body = args.max_body.unwrap_or(DEFAULT_MAX_BODY as u64);
        let registry = trust_file::registry(&args.trust, ui)?;
        Ok(VerifierSettings { profile, overrides, registry: Arc::new(registry), origins, max_body })
    }

    /// Returns a verifier with this clock and this nonce check.
    pub(crate) fn verifier(&self, clock: Arc<dyn Clock>, replay: ReplayCheck) -> Verifier {
        let (profile, registry) = (self.profile.clone(), Arc::clone(&self.registry));
        Verifier::new(profile, registry, self.origins.clone(), clock, replay)
            .with_coverage_overrides(self.overrides.clone())
            .with_max_body(usize::try_from(self.max_body).unwrap_or(usize::MAX))
    }

    /// Returns the rules of verification.
    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Returns the maximum size of a body that is judged, in bytes.
    pub(crate) fn max_body(&self) -> u64 {
        self.max_body
    }

    /// Returns the trust files and the SHA-256 of each, as JSON.
    pub(crate) fn sources(&self) -> Result<Arc<RawValue>, Failure> {
        let source = |source: &TrustSource| {
            let file = source.path.display().to_string();
            serde_json::json!({ "file": file, "sha256": hex(&source.sha256) })
        };
        let list: Vec<_> = self.registry.sources().iter().map(source).collect();
        let list = serde_json::value::to_raw_value(&list);
        list.map(Arc::from).map_err(|e| Failure::new(Exit::Bug, "bug", chain(&e)))
    }

    /// Returns the trust files, to be listed on a page.
    pub(crate) fn trust_files(&self) -> Vec<PageInput> {
        self.registry.sources().iter().map(PageInput::trust).collect()
    }

    /// Returns the number of trusted keys.
    pub(crate) fn keys(&self) -> usize {
        self.registry.len()
    }

    /// Returns a text that says how many keys are trusted, and how many are revoked at the time
    /// `now`.
    pub(crate) fn keys_in_words(&self, now: Timestamp) -> String {
        let is_revoked = |key: &&TrustEntry| key.revoked_at().is_some_and(|at| at <= now);
        let revoked = self.trusted().filter(is_revoked).count();
        let trusted = self.keys() - revoked;
        match revoked {
            0 => format!("{trusted} trusted"),
            _ => format!("{trusted} trusted, {revoked} revoked"),
        }
    }

    /// Returns the entries of the trusted keys.
    pub(crate) fn trusted(&self) -> impl Iterator<Item = &TrustEntry> {
        self.registry.iter().map(|entry| &**entry)
    }

    /// Returns the origins that requests must be sent to.
    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }
}

/// Parses the origins that `--origin` names.
///
/// # Errors
/// A value is not an origin.
pub(crate) fn origins(flags: &[String]) -> Result<Origins, Failure> {
    flags
        .iter()
        .map(|text| {
            Origin::parse(text)
                .map_err(|e| Failure::usage(format!("--origin {text}: {}", chain(&e))))
        })
        .collect()
}
