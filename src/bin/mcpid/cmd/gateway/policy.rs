//! The policy of `gateway` and `authz`: which requests must be verified or need a touch, and how
//! requests are refused.

use std::time::Duration;

use mcpid::gateway::GatewayConfig;
use mcpid::mcp::setting::SettingSyntax as _;
use mcpid::profile::Profile;
use mcpid::tower::{Mode, PolicyTexts, RefuseWith};

use crate::args::flag_syntax::FlagSyntax;
use crate::args::{FrontFlags, ModeName, RefusalStatus};
use crate::output::failure::{Failure, chain};
use crate::output::ui::Ui;

/// Applies the flags about paths, modes, touches and refusals to `config`.
///
/// # Errors
/// A flag cannot be used, or would have no effect.
pub(super) fn apply(
    args: &FrontFlags,
    profile: &Profile,
    config: &mut GatewayConfig,
    ui: &mut Ui,
) -> Result<(), Failure> {
    for open in &args.open {
        let paths = config.paths.clone().with_open(open.clone());
        config.paths = paths.map_err(|e| Failure::usage(format!("--open: {}", chain(&e))))?;
    }
    let mode = match args.mode {
        ModeName::Strict => Mode::Strict,
        ModeName::Permissive => Mode::Permissive,
    };
    let (strict, permissive, touch) = (&args.strict, &args.permissive, &args.touch);
    let policy = PolicyTexts { mode, strict, permissive, touch }.parse(profile, &FlagSyntax)?;
    for (setting, remark) in &policy.remarks {
        ui.note(&format!("{}: {remark}", FlagSyntax.name(setting)));
    }
    (config.modes, config.touch) = (policy.modes, policy.touch);
    let status = match args.refuse_with {
        RefusalStatus::Forbidden => 403,
        RefusalStatus::Unauthorized => 401,
        RefusalStatus::Ok => 200,
    };
    config.refuse_with = RefuseWith::parse(status, args.realm.clone(), &FlagSyntax)?;
    config.trusted_proxies.clone_from(&args.trusted_proxy);
    if let Some(seconds) = args.body_timeout {
        config.body_time = Duration::from_secs(seconds.into());
    }
    if let Some(budget) = args.budget {
        config.budget = usize::try_from(budget).unwrap_or(usize::MAX);
    }
    Ok(())
}

/// Returns the failure for a flag that would have no effect, because a user who sets one expects an
/// effect.
pub(crate) fn without_effect(flag: &str, why: &str) -> Failure {
    Failure::usage(format!("{flag} would change nothing: {why}"))
}
