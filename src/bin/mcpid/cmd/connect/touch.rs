//! `--touch` and `--touch-key`: which requests a person touches a security key for, and which key.

use std::path::Path;
use std::sync::Arc;

use mcpid::connect::Bridge;
use mcpid::connect::consent::ConfirmPolicy;
use mcpid::key::SignByTouch;
use mcpid::key::source::SSH_AGENT;

use super::restricting;
use crate::args::{ConnectArgs, Ttl};
use crate::keys::touch_key;
use crate::output::failure::Failure;
use crate::output::ui::Ui;
use crate::prompt::consent::ConsentAsker;

/// The seconds of a signature's life that stay for sending it, after the touch.
const FOR_SENDING: u32 = 10;

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
        let rules = restricting("--touch", &args.touch, ui)?;
        if rules.is_empty() {
            return Ok(None);
        }
        let profile = args.profile.profile();
        if profile.security_keys.is_empty() {
            let message = format!("--touch: the profile {} knows no security keys", profile.name);
            return Err(Failure::usage(message).hint("--profile mcp"));
        }
        if let Some(Ttl::Seconds(life)) = args.ttl
            && life <= FOR_SENDING
        {
            let message = format!(
                "--ttl {life}s leaves no time for a touch: {FOR_SENDING} s of it are for sending"
            );
            return Err(Failure::usage(message).hint("--ttl 30s gives 20 s for a touch"));
        }
        // `--touch` requires this flag.
        let key = touch_key::find(args.touch_key.as_deref().unwrap_or(Path::new(SSH_AGENT)))?;
        let name = key.comment().to_owned();
        Ok(Some(TouchFlags { rules, key: Arc::new(key), name }))
    }

    /// Makes `bridge` ask for touches by `prompt`.
    pub(super) fn apply(self, bridge: Bridge, prompt: Arc<ConsentAsker>) -> Bridge {
        bridge.with_touch(self.rules, (self.key, self.name), prompt)
    }
}
