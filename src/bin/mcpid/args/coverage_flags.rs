//! Reads the flags that change what a signature covers: `--cover` and `--no-cover` for a signer,
//! `--require` and `--allow-uncovered` for a verifier. A value that would change nothing is an
//! error.

use mcpid::base::Component;
use mcpid::profile::Profile;
use mcpid::verify::coverage::{CoverageOverrides, OverrideError};

use crate::output::failure::{Failure, chain};
use crate::output::ui::shell_word;

/// Returns the changes that `--require` and `--allow-uncovered` make to the demands of `profile`.
///
/// # Errors
/// A value is not a component of a request, or would have no effect.
pub(crate) fn demands(
    profile: &Profile,
    require: &[String],
    allow_uncovered: &[String],
) -> Result<CoverageOverrides, Failure> {
    let changes = CoverageOverrides {
        require: names("--require", require)?,
        allow_uncovered: names("--allow-uncovered", allow_uncovered)?,
    };
    match changes.check(profile) {
        Ok(()) => Ok(changes),
        Err(error) => Err(unusable(&error)),
    }
}

/// Returns the failure for a value of `--require` or `--allow-uncovered`.
fn unusable(error: &OverrideError) -> Failure {
    let (flag, why) = ("--allow-uncovered", error.to_string());
    match error {
        OverrideError::RequiredAnyway { name, .. } => without_effect("--require", name, &why),
        OverrideError::Essential { name } => {
            Failure::usage(format!("{flag} {}: {why}", shell_word(name)))
        }
        OverrideError::Contradicted { name } => without_effect(flag, name, "--require demands it"),
        OverrideError::NotRequired { name, relaxable, .. } => {
            let failure = without_effect(flag, name, &why);
            match relaxable.is_empty() {
                true => failure,
                false => failure.hint(format!("what can stay uncovered: {}", relaxable.join(" "))),
            }
        }
        other => Failure::usage(format!("{flag}: {other}")),
    }
}

/// Returns the components that `--cover` adds to what a signer covers under `profile`, and those
/// that `--no-cover` removes.
///
/// # Errors
/// As for [`demands`].
pub(crate) fn covered(
    profile: &Profile,
    cover: &[String],
    no_cover: &[String],
) -> Result<(Vec<Component<'static>>, Vec<Component<'static>>), Failure> {
    let components = |flag: &str, texts: &[String]| -> Result<Vec<_>, Failure> {
        texts.iter().map(|text| component(flag, text)).collect()
    };
    let (cover, no_cover) = (components("--cover", cover)?, components("--no-cover", no_cover)?);
    let rules = profile.signer_components();
    let always = |c: &Component<'_>| c.is_plain() && rules.always.iter().any(|n| n == c.name());
    if let Some(twice) = cover.iter().find(|c| always(c)) {
        return Err(without_effect("--cover", twice.name(), "it is covered always"));
    }
    for dropped in &no_cover {
        let same = |c: &Component<'_>| c.same_as(dropped);
        if cover.iter().any(same) {
            let why = "--cover names it too";
            return Err(without_effect("--no-cover", &written(dropped), why));
        }
        let carried = rules.if_carried.iter().any(|rule| match rule.strip_suffix('*') {
            Some(family) => dropped.name().starts_with(family),
            None => rule == dropped.name(),
        });
        let carried = carried || rules.covers_in_any_case(dropped.name());
        let is_covered = dropped.is_plain() && carried;
        if !is_covered {
            let why = format!("under the profile {} it is not covered anyway", profile.name);
            let failure = without_effect("--no-cover", &written(dropped), &why);
            return Err(match relaxable(&rules.if_carried) {
                Some(names) => failure.hint(format!("what can be left out: {names}")),
                None => failure,
            });
        }
    }
    Ok((cover, no_cover))
}

/// Parses the component in `text`, a value of `flag`. Refuses components that no request has, such
/// as `@status`.
fn component(flag: &str, text: &str) -> Result<Component<'static>, Failure> {
    let component = Component::parse(text).and_then(|component| {
        component.check()?;
        Ok(component.into_owned())
    });
    let component = component.map_err(|error| {
        let failure = Failure::usage(format!("{flag} {}: {}", shell_word(text), chain(&error)));
        match text.split_once(';') {
            // The quotes are missing, because the shell has removed them.
            Some((name, rest)) if !name.starts_with('"') => {
                let quoted = format!("\"{}\";{rest}", name.to_ascii_lowercase());
                failure.hint(format!("with quotes around the name: {flag} {}", shell_word(&quoted)))
            }
            _ => failure.hint("such as x-request-id, @authority or '\"@query-param\";name=\"q\"'"),
        }
    })?;
    if let Some(at) = component.name().find('*') {
        let family = component.name().get(..at).unwrap_or_default();
        let message = format!("{flag} {}: it takes one name, without a *", shell_word(text));
        return Err(Failure::usage(message).hint(format!("each by its name: {flag} {family}NAME")));
    }
    Ok(component)
}

/// Parses names of components. An identifier with parameters is refused, because it covers only a
/// part of the component.
pub(crate) fn names(flag: &str, texts: &[String]) -> Result<Vec<String>, Failure> {
    let name = |text: &String| match component(flag, text)? {
        component if component.is_plain() => Ok(component.name().to_owned()),
        _ => Err(Failure::usage(format!(
            "{flag} {}: only a component without parameters counts as covered",
            shell_word(text)
        ))),
    };
    texts.iter().map(name).collect()
}

fn without_effect(flag: &str, value: &str, why: &str) -> Failure {
    Failure::usage(format!("{flag} {} would change nothing: {why}", shell_word(value)))
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
