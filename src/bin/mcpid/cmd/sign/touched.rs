//! `mcpid sign --touch`: adds a second signature, for which a person touches a security key.

use std::time::Duration;

use mcpid::key::agent::AgentSecurityKey;
use mcpid::message::Head;
use mcpid::message::target::Origins;
use mcpid::profile::{NamedProfile, Profile};
use mcpid::sign::{Signed, Signer, SigningError, TOUCH_LABEL};
use serde::Serialize;

use crate::args::{SignArgs, Ttl};
use crate::keys::touch_key;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// The maximum time to wait for a touch of a security key, in seconds, if the signature does not
/// expire earlier.
const LONGEST_WAIT: u64 = 60;

/// The number of seconds at the end of a signature's validity that are reserved for sending, after
/// the touch.
const TIME_TO_SEND: u32 = 10;

/// The security key to wait for, and the time that a person has for the touch.
pub(super) struct TouchPlan {
    key: AgentSecurityKey,
    seconds: u64,
}

impl TouchPlan {
    /// Finds the security key that the flag names; `None` if the flag was not given.
    ///
    /// # Errors
    /// The profile knows no touches, no time would be left for a touch, the label of the signature
    /// is reserved for touches, or there is no such security key.
    pub(super) fn of(args: &SignArgs, profile: &Profile) -> Result<Option<Self>, Failure> {
        let Some(flag) = &args.touch else { return Ok(None) };
        if profile.security_keys.is_empty() {
            let knows = |named: &&NamedProfile| !named.profile().security_keys.is_empty();
            let names: Vec<&str> =
                Profile::NAMED.iter().filter(knows).map(|named| named.name).collect();
            let message = format!("--touch: the profile {} knows no touches", profile.name);
            return Err(Failure::usage(message).hint(format!("--profile {}", names.join(" or "))));
        }
        if args.label.as_deref() == Some(TOUCH_LABEL) {
            let message = format!("--label {TOUCH_LABEL} is the label of the touch itself");
            return Err(Failure::usage(message).hint("leave --label out"));
        }
        let seconds = seconds(args, profile, "--touch")?;
        let key = touch_key::find("--touch", flag)?.with_timeout(Duration::from_secs(seconds));
        Ok(Some(TouchPlan { key, seconds }))
    }

    /// Waits for the touch, and adds its signature to `first`.
    ///
    /// # Errors
    /// As [`Signer::sign_touch`].
    pub(super) fn sign(
        &self,
        signer: &Signer,
        (head, origins): (&Head<'_>, &Origins),
        first: &Signed,
        ui: &mut Ui,
    ) -> Result<Signed, SigningError> {
        ui.note(&format!("touch the security key within {} s", self.seconds));
        signer.sign_touch(&self.key, head, origins, first)
    }
}

/// Returns how many seconds a person has for the touch: the validity of the signature, less some
/// time for sending the request. `what` names what needs the touch, for the message.
///
/// # Errors
/// The signature is not valid for long enough.
pub(super) fn seconds(args: &SignArgs, profile: &Profile, what: &str) -> Result<u64, Failure> {
    let ttl = match args.ttl {
        Some(Ttl::Seconds(seconds)) => Some(seconds),
        Some(Ttl::None) => None,
        None => profile.ttl.and_then(|ttl| u32::try_from(ttl).ok()),
    };
    match ttl.map(|ttl| ttl.saturating_sub(TIME_TO_SEND)) {
        Some(0) => {
            let message = format!("{what} needs a --ttl of over {TIME_TO_SEND}s");
            Err(Failure::usage(message).hint("--ttl 30s"))
        }
        Some(seconds) => Ok(u64::from(seconds).min(LONGEST_WAIT)),
        None => Ok(LONGEST_WAIT),
    }
}

/// The touch in the JSON of the result.
#[derive(Serialize)]
pub(super) struct TouchJson<'a> {
    label: &'static str,
    key: TouchKeyJson<'a>,
    base: &'a str,
}

#[derive(Serialize)]
struct TouchKeyJson<'a> {
    id: &'a str,
}

impl<'a> TouchJson<'a> {
    pub(super) fn of(touched: &'a Signed) -> Self {
        TouchJson {
            label: TOUCH_LABEL,
            key: TouchKeyJson { id: &touched.keyid },
            base: &touched.base,
        }
    }
}
