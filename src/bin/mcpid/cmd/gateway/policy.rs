//! The policy of `gateway` and `authz`: which requests must be verified or touched, and how requests
//! are refused.

use std::time::Duration;

use mcpid::gateway::GatewayConfig;
use mcpid::profile::Profile;
use mcpid::tower::{LearningModes, Modes, RefuseWith, TouchRules};

use crate::args::pattern_flag::{self, Restricted};
use crate::args::{FrontFlags, ModeName, RefusalStatus};
use crate::output::failure::{Failure, chain};
use crate::output::ui::{Ui, shell_word};

/// Applies the flags about paths, modes, touches and refusals to `config`. `command` is the name of
/// the command, for hints.
///
/// # Errors
/// A flag cannot be used, or would have no effect.
pub(super) fn apply(
    args: &FrontFlags,
    (command, profile): (&str, &Profile),
    config: &mut GatewayConfig,
    ui: &mut Ui,
) -> Result<(), Failure> {
    for open in &args.open {
        let paths = config.paths.clone().with_open(open.clone());
        config.paths = paths.map_err(|e| Failure::usage(format!("--open: {}", chain(&e))))?;
    }
    config.modes = modes(args, command, ui)?;
    config.touch = touch(args, (command, profile), ui)?;
    patterns_have_effect(args)?;
    let realm = args.realm.clone().unwrap_or_else(|| "mcp".to_owned());
    if args.realm.is_some() && args.refuse_with != RefusalStatus::Unauthorized {
        return Err(Failure::usage("--realm is for --refuse-with 401")
            .hint(format!("mcpid {command} --refuse-with 401 --realm mcp")));
    }
    config.refuse_with = match args.refuse_with {
        RefusalStatus::Forbidden => RefuseWith::Forbidden,
        RefusalStatus::Unauthorized => RefuseWith::Unauthorized { realm },
        RefusalStatus::Ok => RefuseWith::Ok,
    };
    config.trusted_proxies.clone_from(&args.trusted_proxy);
    if let Some(seconds) = args.body_timeout {
        config.body_time = Duration::from_secs(seconds.into());
    }
    if let Some(budget) = args.budget {
        config.budget = usize::try_from(budget).unwrap_or(usize::MAX);
    }
    Ok(())
}

/// Refuses patterns that would change nothing.
fn patterns_have_effect(args: &FrontFlags) -> Result<(), Failure> {
    let flag = |flag: &str, text: &str| format!("{flag} {}", shell_word(text));
    match (args.mode, args.strict.first(), args.permissive.first()) {
        (ModeName::Permissive, _, Some(text)) => {
            let permissive = flag("--permissive", text);
            let why = "--mode permissive lets everything through that is not strict";
            let hint = format!("--mode strict {permissive}");
            return Err(without_effect(&permissive, why).hint(hint));
        }
        (ModeName::Strict, Some(text), None) => {
            let strict = flag("--strict", text);
            let why = "--mode strict refuses everything that is not verified";
            let hint = format!("--mode permissive {strict}");
            return Err(without_effect(&strict, why).hint(hint));
        }
        _ => {}
    }
    let flags = [
        ("--permissive", &args.permissive, "--strict", &args.strict),
        ("--permissive", &args.permissive, "--touch", &args.touch),
        ("--strict", &args.strict, "--touch", &args.touch),
    ];
    for (weaker, texts, stronger, others) in flags {
        if let Some(both) = texts.iter().find(|text| others.contains(text)) {
            let why = format!("it is {stronger} too, which wins");
            return Err(without_effect(&flag(weaker, both), &why));
        }
    }
    Ok(())
}

fn modes(args: &FrontFlags, command: &str, ui: &mut Ui) -> Result<LearningModes, Failure> {
    let mut modes = match args.mode {
        ModeName::Strict => Modes::strict(),
        ModeName::Permissive => Modes::permissive(),
    };
    let mut destructive = false;
    for text in &args.strict {
        match pattern_flag::restricting("--strict", text, ui)? {
            Restricted::Destructive => destructive = true,
            Restricted::Pattern(pattern) => modes = modes.with_strict(pattern),
        }
    }
    for text in &args.permissive {
        if text == "destructive" {
            return Err(Failure::usage("--permissive destructive: that is what strict is for")
                .hint(format!("mcpid {command} --mode permissive --strict destructive")));
        }
        modes = modes.with_permissive(pattern_flag::granting("--permissive", text, ui)?);
    }
    let modes = LearningModes::new(modes);
    Ok(if destructive { modes.with_destructive() } else { modes })
}

/// Reads `--touch`. Only a profile that knows security keys can judge a touch.
fn touch(
    args: &FrontFlags,
    (command, profile): (&str, &Profile),
    ui: &mut Ui,
) -> Result<TouchRules, Failure> {
    let mut rules = TouchRules::new();
    for text in &args.touch {
        rules = match pattern_flag::restricting("--touch", text, ui)? {
            Restricted::Destructive => rules.with_destructive(),
            Restricted::Pattern(pattern) => rules.with_pattern(pattern),
        };
    }
    if !rules.is_empty() && profile.security_keys.is_empty() {
        let message = format!("--touch: the profile {} knows no security keys", profile.name);
        return Err(Failure::usage(message).hint(format!("mcpid {command} --profile mcp")));
    }
    Ok(rules)
}

/// Returns the failure for a flag that would have no effect, because a user who sets one expects an
/// effect.
pub(crate) fn without_effect(flag: &str, why: &str) -> Failure {
    Failure::usage(format!("{flag} would change nothing: {why}"))
}
