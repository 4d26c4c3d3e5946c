//! Verification in twelve steps (see [`Step`] and ARCHITECTURE.md). Cheap checks come before costly
//! ones, and a request without a valid signature changes no state.
//!
//! [`Verifier::verify`] does all steps. A server that refuses a request before it reads the body
//! uses three calls: [`Verifier::judge_head`] (steps 1 to 8), [`Verifier::judge_body`] (9 to 11,
//! and the window again, because a slow body can outlast it) and [`Verifier::claim`] (12). Each
//! call takes the value that the previous call returned, so that no step can be left out.

use std::borrow::Cow;
use std::sync::Arc;

use crate::block_on::block_on;
use crate::clock::Clock;
use crate::key::trust::Registry;
use crate::mcp::body::Scope;
use crate::message::Head;
use crate::message::error_chain::chain;
use crate::message::target::{Origins, Target, TargetError};
use crate::nonce::NonceStore;
use crate::profile::{Profile, TargetForm};

mod body;
mod candidate;
mod claim;
mod client_field;
pub mod coverage;
pub mod covered;
mod covered_signatures;
mod missing_touch;
pub mod parameters;
mod present;
pub mod profile_fit;
pub mod rejection;
pub mod report;
mod signature_roles;
mod signatures;
mod standing;
mod statement;
mod touch;
mod touch_fault;
mod unavailable;
mod verdict;
pub mod window;

use coverage::CoverageOverrides;

pub use crate::message::capture::MAX_HEAD;
pub use rejection::{Code, Rejection, Step, Unavailable, VerifyError};
#[cfg(feature = "audit")]
pub(crate) use signatures::{JudgedSignatures, OpaqueSignature};
pub use statement::Statement;
pub use touch::Touch;
pub use touch_fault::TouchFault;
pub use verdict::{
    JudgedBody, NonceOutcome, UnreadRequest, Verified, VerifiedHead, VerifiedSignatureRef,
};

/// The maximum number of signatures on one request.
pub const MAX_LABELS: usize = 4;
/// The maximum number of components that one signature may cover.
pub const MAX_COMPONENTS: usize = 32;
/// The maximum size of all `Signature-Input` lines together, in bytes.
pub const MAX_SIGNATURE_INPUT: usize = 8 * 1024;
/// The default limit on bodies, in bytes.
pub const DEFAULT_MAX_BODY: usize = 4 * 1024 * 1024;

/// Returns true if the field `name` (lower case) must not stand on two lines, because servers
/// differ in which of the two lines they use. `Host` is not in this list; it is judged with the
/// target.
#[cfg(feature = "gateway")]
pub(crate) fn is_singleton(name: &str) -> bool {
    singleton(name).is_some()
}

/// Returns the index of a field that must not stand on two lines; `None` for all other fields.
fn singleton(name: &str) -> Option<u32> {
    Some(match name {
        "content-type" => 0,
        "content-encoding" => 1,
        "content-length" => 2,
        "mcp-protocol-version" => 3,
        "mcp-session-id" => 4,
        "mcp-method" => 5,
        "mcp-name" => 6,
        "last-event-id" => 7,
        _ => return None,
    })
}

/// How the check for replays (step 12) uses nonces.
#[derive(Clone)]
#[non_exhaustive]
pub enum ReplayCheck {
    /// Stores the nonces (claims them), and refuses requests that were created at a time for which
    /// the store may have lost nonces. For servers.
    Claim(Arc<dyn NonceStore>),
    /// Stores the nonces (claims them), and only reports that the store may have lost nonces. For a
    /// program that runs for one verdict.
    ClaimOnce(Arc<dyn NonceStore>),
    /// Looks the nonces up in `store` and reports the result, for captures that are judged at their
    /// own time. A nonce in the store may come from the first judgement of this very request, so it
    /// is not refused. A second use among the requests that are judged now is refused.
    LookUp {
        /// The store of the server that received the request first.
        store: Arc<dyn NonceStore>,
        /// The nonces of the requests that are judged in this run of the program.
        within_run: Arc<dyn NonceStore>,
    },
    /// Refuses a second use among the requests that are judged in this run. Judging a capture twice
    /// is not a replay, but the same request twice in one capture is.
    WithinRun(Arc<dyn NonceStore>),
    /// Ignores the nonces.
    Unchecked,
}

impl ReplayCheck {
    /// Returns the store that knows which keys are over their quota.
    fn store(&self) -> Option<&dyn NonceStore> {
        match self {
            ReplayCheck::Claim(store)
            | ReplayCheck::ClaimOnce(store)
            | ReplayCheck::LookUp { store, .. }
            | ReplayCheck::WithinRun(store) => Some(&**store),
            ReplayCheck::Unchecked => None,
        }
    }
}

/// Judges requests by the rules of a profile. It needs no particular async runtime.
///
/// ```
/// use std::sync::Arc;
///
/// use mcpid::clock::SystemClock;
/// use mcpid::key::trust::Registry;
/// use mcpid::message::target::{Origin, Origins};
/// use mcpid::message::{Head, RequestTarget};
/// use mcpid::profile::Profile;
/// use mcpid::verify::{Code, ReplayCheck, Step, Verifier};
///
/// let origins = Origins::new([Origin::parse("https://mcp.example.com")?]);
/// let registry = Arc::new(Registry::merge([]));
/// let (clock, replay) = (Arc::new(SystemClock), ReplayCheck::Unchecked);
/// let verifier = Verifier::new(Profile::mcp(), registry, origins, clock, replay);
///
/// // An unsigned request is refused before its body is read.
/// let head = Head::new("POST", RequestTarget::from_url("https://mcp.example.com/mcp")?)?;
/// let rejection = verifier.judge_head(&head).unwrap_err();
/// assert_eq!((rejection.step(), rejection.code()), (Step::Present, Code::SignatureMissing));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Verifier {
    profile: Profile,
    overrides: CoverageOverrides,
    registry: Arc<Registry>,
    origins: Origins,
    clock: Arc<dyn Clock>,
    replay: ReplayCheck,
    scope: Scope,
    max_body: usize,
}

impl Verifier {
    /// Makes a verifier that judges requests to `origins` by the rules of `profile`. The keys in
    /// `registry` are trusted.
    pub fn new(
        profile: Profile,
        registry: Arc<Registry>,
        origins: Origins,
        clock: Arc<dyn Clock>,
        replay: ReplayCheck,
    ) -> Self {
        let (overrides, max_body) = (CoverageOverrides::default(), DEFAULT_MAX_BODY);
        let scope = Scope::Anywhere;
        Verifier { profile, overrides, registry, origins, clock, replay, scope, max_body }
    }

    /// Changes which components have to be covered.
    #[must_use]
    pub fn with_coverage_overrides(mut self, overrides: CoverageOverrides) -> Self {
        self.overrides = overrides;
        self
    }

    /// Limits bodies to `bytes`; the default is [`DEFAULT_MAX_BODY`].
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets whether requests are for an MCP endpoint, where every body must be a JSON-RPC message.
    /// Under a profile that signs the normal form of targets, a path in another form is then
    /// refused.
    #[must_use]
    pub fn with_scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Returns the rules of this verifier.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Returns the overrides of [`Verifier::with_coverage_overrides`].
    pub fn coverage_overrides(&self) -> &CoverageOverrides {
        &self.overrides
    }

    /// Returns the origins that requests must be sent to.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Returns how the check for replays (step 12) uses nonces.
    pub fn replay(&self) -> &ReplayCheck {
        &self.replay
    }

    /// Returns the names that a signature over this request should cover, each once, in the order
    /// of a signer: for `Accept-Signature` (RFC 9421 section 5). The number of names is not
    /// limited.
    pub fn wanted<'a>(&self, head: &'a Head<'_>) -> Vec<Cow<'a, str>> {
        coverage::wanted(&self.profile, &self.overrides, head)
    }

    /// Returns the limit on bodies, in bytes.
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// Judges a whole request, steps 1 to 12.
    ///
    /// # Errors
    /// [`VerifyError::Rejected`] with step, code and numbers, or [`VerifyError::Unavailable`] if
    /// the nonce store could not answer.
    pub async fn verify(&self, head: &Head<'_>, body: &[u8]) -> Result<Verified, VerifyError> {
        let verified_head = self.judge_head_for(head, !body.is_empty())?;
        let JudgedBody { signatures, now, rejected, .. } = self.judge_body(verified_head, body)?;
        match (self.claim_pairs(&signatures, now).await, rejected) {
            (Ok(seen), None) => Ok(Verified { signatures, now, nonce_outcome: seen }),
            (Ok(_), Some(rejected)) => Err(VerifyError::Rejected(*rejected)),
            (Err(VerifyError::Rejected(r)), _) => {
                Err(VerifyError::Rejected(r.stating(verdict::of(head, &signatures))))
            }
            (Err(other), _) => Err(other),
        }
    }

    /// As [`Verifier::verify`], but blocks this thread: for programs without an async runtime.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn verify_blocking(&self, head: &Head<'_>, body: &[u8]) -> Result<Verified, VerifyError> {
        block_on(self.verify(head, body))
    }

    /// Judges steps 1 to 8, which do not need the body. Whether a body follows is read from the
    /// head.
    ///
    /// # Errors
    /// The rejection of the signature that got furthest; of several equally far, the first.
    pub fn judge_head<'h>(&self, head: &'h Head<'h>) -> Result<VerifiedHead<'h>, Rejection> {
        self.judge_head_for(head, coverage::says_body_follows(head))
    }

    /// Judges the head and its signatures (steps 1 to 8). `has_body` states whether the request has
    /// a body, because some profiles require more coverage for a body.
    ///
    /// # Errors
    /// As [`Verifier::judge_head`].
    pub fn judge_head_for<'h>(
        &self,
        head: &'h Head<'h>,
        has_body: bool,
    ) -> Result<VerifiedHead<'h>, Rejection> {
        self.judge_signatures(head, has_body).map_err(|r| r.with_profile_code(&self.profile))
    }

    fn judge_limits<'a>(&'a self, head: &'a Head<'_>) -> Result<Target<'a>, Rejection> {
        let too_large = |message| Err(Rejection::new(Step::Limits, Code::TooLarge, message));
        let whole = head.wire_len();
        if whole > MAX_HEAD {
            return too_large(format!("the head is {whole} bytes long, {MAX_HEAD} at most"));
        }
        let mut input = 0_usize;
        // Each bit of `seen` stands for one field that must not be repeated.
        let mut seen = 0_u32;
        let mut repeated = None;
        for field in head.fields() {
            let (name, value) = (field.name(), field.value());
            if name == "signature-input" {
                input = input.saturating_add(value.len()).saturating_add(2);
            }
            if let Some(bit) = singleton(name) {
                if seen & (1 << bit) != 0 {
                    repeated = Some(name);
                }
                seen |= 1 << bit;
            }
        }
        if input > MAX_SIGNATURE_INPUT + 2 {
            return too_large(format!(
                "signature-input is {} bytes long, {MAX_SIGNATURE_INPUT} at most",
                input - 2
            ));
        }
        if let Some(name) = repeated.or_else(|| repeated_param(head)) {
            return Err(Rejection::new(
                Step::Limits,
                Code::SignatureMalformed,
                format!("{name} stands on more than one line"),
            ));
        }
        let target = self.origins.resolve_as(head, self.profile.target).map_err(|e| {
            let code = match (&e, self.profile.target) {
                (TargetError::NotOurs { .. }, _) | (_, TargetForm::Exact) => Code::TargetMismatch,
                _ => Code::TargetMalformed,
            };
            Rejection::new(Step::Limits, code, chain(&e))
        })?;
        // The profile may sign a normal form of the path, but a server acts on the path as sent: a
        // signature for `/mcp` must not be accepted for `/admin/../mcp`. If the profile signs the
        // exact path, the two are equal.
        match target.path().filter(|normal| *normal != head.target().path()) {
            Some(normal) if self.scope == Scope::Endpoint => {
                let message = format!("the path is not in its normal form, {normal:?}");
                Err(Rejection::new(Step::Limits, Code::TargetMalformed, message))
            }
            _ => Ok(target),
        }
    }
}

/// Returns an `Mcp-Param-*` field that stands on two lines.
fn repeated_param<'a>(head: &'a Head<'_>) -> Option<&'a str> {
    let params = || head.fields().iter().map(|f| f.name()).filter(|n| n.starts_with("mcp-param-"));
    // Most requests have less than two such fields.
    params().nth(1)?;
    let mut names = std::collections::HashSet::new();
    params().find(|name| !names.insert(*name))
}
