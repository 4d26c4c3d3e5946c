//! Step 6: compares the components that a profile requires with the components that a signature
//! covers.
//!
//! A field that decides what an MCP server does must be covered if the request carries it.
//! Otherwise an attacker between client and server could add such a field.

use std::borrow::Cow;

use crate::base::component::Component;
use crate::mcp::setting::{self, SettingError, SettingSyntax};
use crate::message::Head;
use crate::message::error_chain::chain;
use crate::profile::Profile;
use crate::secret::description;

use super::covered::shown;
use super::rejection::{Code, Rejection, Step};

/// Changes of an operator to the components that a profile demands.
///
/// ```
/// use mcpid::message::{Head, RequestTarget};
/// use mcpid::profile::Profile;
/// use mcpid::verify::coverage::{self, CoverageOverrides};
///
/// let head = Head::new("GET", RequestTarget::Origin("/mcp".into()))?;
/// let mut changes = CoverageOverrides::default();
/// changes.require.push("date".to_owned());
/// let rejection = coverage::judge(&Profile::mcp(), &changes, (&head, false), ("mcp", &[])).unwrap_err();
/// assert_eq!(rejection.details()[0].1, "@method @target-uri content-digest date");
/// # Ok::<(), mcpid::message::HeadError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoverageOverrides {
    /// Names of components that must be covered in addition, even if the request does not have
    /// them.
    pub require: Vec<String>,
    /// Names of components that need not be covered if the request has them. The components that
    /// the profile lists as `always` must be covered in any case.
    pub allow_uncovered: Vec<String>,
}

impl CoverageOverrides {
    /// Reads the settings `require` and `allow_uncovered`: names of components.
    ///
    /// # Errors
    /// [`SettingError`] for a text that is not the name of a component of a request, and for a value
    /// that [`check`](Self::check) refuses.
    pub fn parse(
        profile: &Profile,
        (require, allow_uncovered): (&[String], &[String]),
        syntax: &dyn SettingSyntax,
    ) -> Result<Self, SettingError> {
        let overrides = CoverageOverrides {
            require: names(syntax, "require", require)?,
            allow_uncovered: names(syntax, "allow_uncovered", allow_uncovered)?,
        };
        overrides.check(profile).map_err(|error| error.in_setting(syntax))?;
        Ok(overrides)
    }

    /// Checks that each override has an effect under `profile`, and that signatures still cover
    /// what they need to mean anything. An override without effect would mislead the operator.
    ///
    /// # Errors
    /// [`OverrideError`] for the first override that cannot be used.
    pub fn check(&self, profile: &Profile) -> Result<(), OverrideError> {
        let (rules, profile) = (&profile.components, profile.name.to_string());
        if let Some(name) = self.require.iter().find(|name| rules.always.iter().any(|n| n == *name))
        {
            return Err(OverrideError::RequiredAnyway { name: name.clone(), profile });
        }
        for name in &self.allow_uncovered {
            let name = name.clone();
            if rules.covers_in_any_case(&name) {
                return Err(OverrideError::Essential { name });
            }
            if self.require.contains(&name) {
                return Err(OverrideError::Contradicted { name });
            }
            if !rules.covers_if_carried(&name) {
                let relaxable = rules.if_carried.iter().map(|rule| rule.replace('*', "NAME"));
                let relaxable = relaxable.collect();
                return Err(OverrideError::NotRequired { name, profile, relaxable });
            }
        }
        Ok(())
    }
}

/// Why an override of an operator cannot be used. The text is a fragment that does not name the
/// component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// `require` names a component that the profile always requires.
    #[error("the profile {profile} always requires it")]
    RequiredAnyway {
        /// The component.
        name: String,
        /// The name of the profile.
        profile: String,
    },
    /// `allow_uncovered` names a component that every signature must cover.
    #[error("without it a signature says nothing")]
    Essential {
        /// The component.
        name: String,
    },
    /// Both lists name the component.
    #[error("it is required too")]
    Contradicted {
        /// The component.
        name: String,
    },
    /// `allow_uncovered` names a component that the profile does not require.
    #[error("the profile {profile} does not require it")]
    NotRequired {
        /// The component.
        name: String,
        /// The name of the profile.
        profile: String,
        /// The components that may stay uncovered. `NAME` in a component stands for the rest of a
        /// field name.
        relaxable: Vec<String>,
    },
}

impl OverrideError {
    /// Returns the error, together with the setting that contains the override.
    fn in_setting(&self, syntax: &dyn SettingSyntax) -> SettingError {
        const RELAXES: &str = "allow_uncovered";
        let (why, nothing) = (self.to_string(), SettingError::without_effect);
        match self {
            OverrideError::RequiredAnyway { name, .. } => nothing(syntax, ("require", name), &why),
            OverrideError::Essential { name } => {
                SettingError::new(format!("{}: {why}", syntax.written(&[(RELAXES, name)])))
            }
            OverrideError::Contradicted { name } => {
                let why = format!("{} demands it", syntax.name("require"));
                nothing(syntax, (RELAXES, name), &why)
            }
            OverrideError::NotRequired { name, relaxable, .. } => {
                let error = nothing(syntax, (RELAXES, name), &why);
                match relaxable.is_empty() {
                    true => error,
                    false => {
                        error.with_hint(format!("what can stay uncovered: {}", relaxable.join(" ")))
                    }
                }
            }
        }
    }
}

/// Reads the component in `text`, a value of `setting`. Refuses components that no request has, such
/// as `@status`.
///
/// # Errors
/// [`SettingError`] if there is no such component.
pub fn component(
    syntax: &dyn SettingSyntax,
    setting: &str,
    text: &str,
) -> Result<Component<'static>, SettingError> {
    let written = syntax.written(&[(setting, &setting::shown(text))]);
    let component = Component::parse(text).and_then(|component| {
        component.check()?;
        Ok(component.into_owned())
    });
    let component = component.map_err(|error| {
        let failure = SettingError::new(format!("{written}: {}", chain(&error)));
        match text.split_once(';') {
            // The quotes are missing, because a shell has removed them.
            Some((name, rest)) if !name.starts_with('"') => {
                let quoted = format!("\"{}\";{rest}", name.to_ascii_lowercase());
                let written = syntax.written(&[(setting, &quoted)]);
                failure.with_hint(format!("with quotes around the name: {written}"))
            }
            _ => failure
                .with_hint("such as x-request-id, @authority or '\"@query-param\";name=\"q\"'"),
        }
    })?;
    match component.name().split_once('*') {
        Some((family, _)) => {
            let each = syntax.written(&[(setting, &format!("{family}NAME"))]);
            Err(SettingError::new(format!("{written}: it takes one name, without a *"))
                .with_hint(format!("each by its name: {each}")))
        }
        None => Ok(component),
    }
}

/// Reads names of components. An identifier with parameters is refused, because it covers only a
/// part of the component.
///
/// # Errors
/// [`SettingError`] for the first text that is not the name of a component of a request. A text that
/// may be a secret is refused too, because these names reach logs and clients.
pub fn names(
    syntax: &dyn SettingSyntax,
    setting: &str,
    texts: &[String],
) -> Result<Vec<String>, SettingError> {
    let name = |text: &String| match component(syntax, setting, text)? {
        _ if description(text).is_some() => {
            let (name, text) = (syntax.name(setting), setting::shown(text));
            Err(SettingError::new(format!("{name}: {text} is no component")))
        }
        component if component.is_plain() => Ok(component.name().to_owned()),
        _ => Err(SettingError::new(format!(
            "{}: only a component without parameters counts as covered",
            syntax.written(&[(setting, text)])
        ))),
    };
    texts.iter().map(name).collect()
}

/// Judges coverage by a signature with this label and these components, for a request with this
/// head, and with or without a body.
///
/// # Errors
/// `coverage_insufficient`, naming all components that are missing.
pub fn judge(
    profile: &Profile,
    overrides: &CoverageOverrides,
    (head, has_body): (&Head<'_>, bool),
    (label, covered): (&str, &[Component<'_>]),
) -> Result<(), Rejection> {
    let rules = &profile.components;
    let has = |name: &str| {
        covered.iter().any(|c| {
            c.name() == name
                && (c.is_plain()
                    || !profile.plain_identifiers
                    || (profile.label_members.contains(&name) && is_member(c, label)))
        })
    };
    let mut missing: Vec<&str> = Vec::new();
    // A client may send thousands of fields. For a message, 32 names are enough, and so few are
    // searched quickly for repetitions.
    let mut demand = |name| {
        if missing.len() < 32 && !has(name) && !missing.contains(&name) {
            missing.push(name);
        }
    };
    for name in &rules.always {
        demand(name);
    }
    if rules.covers_query_of(head) {
        demand("@query");
    }
    if has_body {
        for name in &rules.with_body {
            demand(name);
        }
    }
    for name in &overrides.require {
        demand(name);
    }
    for field in head.fields() {
        let name = field.name();
        if rules.covers_if_carried(name) && !overrides.allow_uncovered.iter().any(|n| n == name) {
            demand(name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = match missing.as_slice() {
        [one] => format!("{one} is not covered by the signature"),
        many => format!("{} components are not covered by the signature", many.len()),
    };
    Err(Rejection::new(Step::Coverage, Code::CoverageInsufficient, message)
        .with("missing", missing.join(" "))
        .with("covered", covered.iter().map(shown).collect::<Vec<_>>().join(" ")))
}

/// Returns true if `component` is `"NAME";key="LABEL"`, the dictionary member (RFC 9421 section
/// 2.1.2) whose key is the label of the signature.
fn is_member(component: &Component<'_>, label: &str) -> bool {
    component.params().len() == 1
        && component.params().get("key").and_then(|key| key.as_string()) == Some(label)
}

/// Returns true if the head states that a body follows, by a length that is not zero or by a
/// transfer coding. A request of HTTP/2 need not state that.
pub fn says_body_follows(head: &Head<'_>) -> bool {
    head.has("transfer-encoding") || head.values("content-length").any(|length| length != b"0")
}

/// Returns what a signature over `head` should cover, each name once and in the order of a signer.
/// For a profile that demands nothing, these are the components that its signers cover.
pub(super) fn wanted<'a>(
    profile: &Profile,
    overrides: &CoverageOverrides,
    head: &'a Head<'_>,
) -> Vec<Cow<'a, str>> {
    let rules = profile.signer_components();
    let mut wanted = rules.names(head, says_body_follows(head));
    let relaxed = |name: &str| overrides.allow_uncovered.iter().any(|n| n == name);
    wanted.retain(|name| rules.covers_in_any_case(name) || !relaxed(name));
    for name in &overrides.require {
        if !wanted.iter().any(|w| w == name) {
            wanted.push(Cow::Owned(name.clone()));
        }
    }
    wanted
}
