//! Reads the flags that change what a signer covers: `--cover` and `--no-cover`. A value that would
//! change nothing is an error.

use mcpid::base::Component;
use mcpid::mcp::setting::SettingError;
use mcpid::profile::Profile;
use mcpid::verify::coverage::component;

use super::flag_syntax::FlagSyntax;
use crate::output::failure::Failure;

/// Returns the components that `--cover` adds to what a signer covers under `profile`, and those
/// that `--no-cover` removes.
///
/// # Errors
/// A value is not a component of a request, or would have no effect.
pub(crate) fn covered(
    profile: &Profile,
    cover: &[String],
    no_cover: &[String],
) -> Result<(Vec<Component<'static>>, Vec<Component<'static>>), Failure> {
    let components = |name: &str, texts: &[String]| -> Result<Vec<_>, SettingError> {
        texts.iter().map(|text| component(&FlagSyntax, name, text)).collect()
    };
    let (cover, no_cover) = (components("cover", cover)?, components("no_cover", no_cover)?);
    let without_effect = |name: &str, value: &str, why: &str| -> Failure {
        SettingError::without_effect(&FlagSyntax, (name, value), why).into()
    };
    let rules = profile.signer_components();
    let always = |c: &Component<'_>| c.is_plain() && rules.always.iter().any(|n| n == c.name());
    if let Some(twice) = cover.iter().find(|c| always(c)) {
        return Err(without_effect("cover", twice.name(), "it is covered always"));
    }
    for dropped in &no_cover {
        let same = |c: &Component<'_>| c.same_as(dropped);
        if cover.iter().any(same) {
            let why = "--cover names it too";
            return Err(without_effect("no_cover", &written(dropped), why));
        }
        let carried = rules.if_carried.iter().any(|rule| match rule.strip_suffix('*') {
            Some(family) => dropped.name().starts_with(family),
            None => rule == dropped.name(),
        });
        let carried = carried || rules.covers_in_any_case(dropped.name());
        let is_covered = dropped.is_plain() && carried;
        if !is_covered {
            let why = format!("under the profile {} it is not covered anyway", profile.name);
            let failure = without_effect("no_cover", &written(dropped), &why);
            return Err(match relaxable(&rules.if_carried) {
                Some(names) => failure.hint(format!("what can be left out: {names}")),
                None => failure,
            });
        }
    }
    Ok((cover, no_cover))
}

fn written(component: &Component<'_>) -> String {
    mcpid::verify::covered::shown(component)
}

/// Lists the fields that a signature must cover only if a request has them. Returns None if there
/// are none.
fn relaxable(if_carried: &[std::borrow::Cow<'static, str>]) -> Option<String> {
    let names: Vec<String> = if_carried.iter().map(|rule| rule.replace('*', "NAME")).collect();
    (!names.is_empty()).then(|| names.join(" "))
}
