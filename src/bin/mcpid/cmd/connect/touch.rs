//! The flags `--touch` and `--touch-key`: which requests need a person's touch of a security key,
//! and which key that is.

use std::path::Path;
use std::sync::Arc;

use mcpid::connect::Bridge;
use mcpid::connect::consent::ConfirmPolicy;
use mcpid::key::SignByTouch;
use mcpid::key::source::SSH_AGENT;
use mcpid::tower::check_touch_profile;

use super::restricting;
use crate::args::flag_syntax::FlagSyntax;
use crate::args::{ConnectArgs, Ttl};
use crate::keys::touch_key;
use crate::output::failure::Failure;
use crate::output::ui::Ui;
use crate::prompt::consent::ConsentAsker;

/// The number of seconds at the end of a signature's validity that are reserved for sending, after
/// the touch.
const FOR_SENDING: u32 = 10;

/// The longest wait for the touch of a security key that signs alone, in seconds.
const LONGEST_WAIT: u64 = 60;

/// Returns how many seconds a person has for each touch of a security key that signs alone.
///
/// # Errors
/// No time would be left for a touch.
pub(super) fn seconds(args: &ConnectArgs) -> Result<u64, Failure> {
    check_life(args)?;
    Ok(match args.ttl {
        Some(Ttl::Seconds(life)) => u64::from(life.saturating_sub(FOR_SENDING)),
        Some(Ttl::None) => LONGEST_WAIT,
        None => {
            let life = args.profile.profile().ttl.and_then(|life| u64::try_from(life).ok());
            life.map_or(LONGEST_WAIT, |life| life.saturating_sub(u64::from(FOR_SENDING)))
        }
    }
    .min(LONGEST_WAIT))
}

/// Checks that signatures are valid for long enough to leave time for a touch of a security key.
fn check_life(args: &ConnectArgs) -> Result<(), Failure> {
    match args.ttl {
        Some(Ttl::Seconds(life)) if life <= FOR_SENDING => {
            let message = format!(
                "--ttl {life}s leaves no time for a touch: {FOR_SENDING} s of it are for sending"
            );
            Err(Failure::usage(message).hint("--ttl 30s gives 20 s for a touch"))
        }
        _ => Ok(()),
    }
}

/// The rules about touches, and the security key with its comment in the agent.
pub(super) struct TouchFlags {
    rules: ConfirmPolicy,
    key: Arc<dyn SignByTouch>,
    name: String,
}

impl TouchFlags {
    /// Reads the flags; `None` if there is no `--touch`.
    ///
    /// # Errors
    /// A pattern can match nothing, the profile knows no security keys, no time would be left for a
    /// touch, or the key is not found or no security key.
    pub(super) fn read(args: &ConnectArgs, ui: &mut Ui) -> Result<Option<Self>, Failure> {
        let rules = restricting("touch", &args.touch, ui)?;
        if rules.is_empty() {
            return Ok(None);
        }
        let profile = args.profile.profile();
        check_touch_profile(&profile, &FlagSyntax)?;
        check_life(args)?;
        // The flag is always present here, because clap requires it with `--touch`.
        let key = args.touch_key.as_deref().unwrap_or(Path::new(SSH_AGENT));
        let key = touch_key::find("--touch-key", key)?;
        let name = key.comment().to_owned();
        Ok(Some(TouchFlags { rules, key: Arc::new(key), name }))
    }

    /// Makes `bridge` ask for touches; `prompt` shows the requests to the person.
    pub(super) fn apply(self, bridge: Bridge, prompt: Arc<ConsentAsker>) -> Bridge {
        bridge.with_touch(self.rules, (self.key, self.name), prompt)
    }
}
