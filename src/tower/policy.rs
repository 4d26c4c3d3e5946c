//! The policy of a server or proxy as written in its settings: a mode, patterns for the other mode,
//! and patterns of requests that need a touch.

use crate::mcp::pattern::Pattern;
use crate::mcp::setting::{self, Restricting, SettingError, SettingSyntax};
use crate::profile::Profile;

use super::learning::LearningModes;
use super::modes::{Mode, Modes};
use super::refusal::RefuseWith;
use super::touch::TouchRules;

/// The settings about modes and touches, as texts.
///
/// ```
/// # use mcpid::mcp::setting::SettingSyntax;
/// # struct Flags;
/// # impl SettingSyntax for Flags {
/// #     fn name(&self, setting: &str) -> String { format!("--{setting}") }
/// #     fn written(&self, settings: &[(&str, &str)]) -> String {
/// #         settings.iter().map(|(name, value)| format!("--{name} {value}")).collect::<Vec<_>>().join(" ")
/// #     }
/// # }
/// use mcpid::profile::Profile;
/// use mcpid::tower::{Mode, PolicyTexts};
///
/// let permissive = ["tools/list".to_owned()];
/// let texts = PolicyTexts { mode: Mode::Permissive, strict: &[], permissive: &permissive, touch: &[] };
/// let error = texts.parse(&Profile::mcp(), &Flags).unwrap_err();
/// assert!(error.message.starts_with("--permissive tools/list would change nothing"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PolicyTexts<'a> {
    /// The mode of all requests that no pattern names.
    pub mode: Mode,
    /// Patterns of operations that are strict in permissive mode, or the word `destructive`.
    pub strict: &'a [String],
    /// Patterns of operations that are permissive in strict mode.
    pub permissive: &'a [String],
    /// Patterns of operations that need a touch of a security key in every mode, or the word
    /// `destructive`.
    pub touch: &'a [String],
}

/// A policy that was parsed from the texts of its settings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FrontPolicy {
    /// The modes of requests.
    pub modes: LearningModes,
    /// The requests that need a touch of a security key.
    pub touch: TouchRules,
    /// Warnings about valid patterns: the name of the setting, and a lower-case fragment of a
    /// sentence.
    pub remarks: Vec<(&'static str, String)>,
}

impl PolicyTexts<'_> {
    /// Parses the settings. `profile` is the profile by which requests are verified.
    ///
    /// # Errors
    /// [`SettingError`] for a pattern that can match nothing, for a pattern that would change
    /// nothing because another setting decides, and for `touch` if the profile knows no security
    /// keys.
    pub fn parse(
        &self,
        profile: &Profile,
        syntax: &dyn SettingSyntax,
    ) -> Result<FrontPolicy, SettingError> {
        let mut remarks = Vec::new();
        let mut remark = |setting, pattern: &Pattern| {
            remarks.extend(pattern.remark().map(|remark| (setting, remark)));
        };
        let (mut modes, mut destructive) = (self.default_modes(), false);
        for text in self.strict {
            match setting::restricting(syntax, "strict", text)? {
                Restricting::Destructive => destructive = true,
                Restricting::Pattern(pattern) => {
                    remark("strict", &pattern);
                    modes = modes.with_strict(pattern);
                }
            }
        }
        for text in self.permissive {
            if text == "destructive" {
                let written = syntax.written(&[("permissive", text)]);
                let both = [("mode", "permissive"), ("strict", text)];
                return Err(SettingError::new(format!("{written}: that is what strict is for"))
                    .with_hint(syntax.written(&both)));
            }
            let pattern = setting::granting(syntax, "permissive", text)?;
            remark("permissive", &pattern);
            modes = modes.with_permissive(pattern);
        }
        let mut touch = TouchRules::new();
        for text in self.touch {
            touch = match setting::restricting(syntax, "touch", text)? {
                Restricting::Destructive => touch.with_destructive(),
                Restricting::Pattern(pattern) => {
                    remark("touch", &pattern);
                    touch.with_pattern(pattern)
                }
            };
        }
        if !touch.is_empty() {
            check_touch_profile(profile, syntax)?;
        }
        self.check_effects(syntax)?;
        let modes = LearningModes::new(modes);
        let modes = if destructive { modes.with_destructive() } else { modes };
        Ok(FrontPolicy { modes, touch, remarks })
    }

    fn default_modes(&self) -> Modes {
        match self.mode {
            Mode::Strict => Modes::strict(),
            Mode::Permissive => Modes::permissive(),
        }
    }

    /// Refuses patterns that would have no effect, because their author expects one.
    fn check_effects(&self, syntax: &dyn SettingSyntax) -> Result<(), SettingError> {
        let nothing = |setting, text: &str, why: &str| {
            SettingError::without_effect(syntax, (setting, text), why)
        };
        let mode = syntax.written(&[("mode", self.mode.as_str())]);
        match (self.mode, self.strict.first(), self.permissive.first()) {
            (Mode::Permissive, _, Some(text)) => {
                let why = format!("{mode} lets everything through that is not strict");
                let both = [("mode", "strict"), ("permissive", &*setting::shown(text))];
                return Err(nothing("permissive", text, &why).with_hint(syntax.written(&both)));
            }
            (Mode::Strict, Some(text), None) => {
                let why = format!("{mode} refuses everything that is not verified");
                let both = [("mode", "permissive"), ("strict", &*setting::shown(text))];
                return Err(nothing("strict", text, &why).with_hint(syntax.written(&both)));
            }
            _ => {}
        }
        let settings = [
            ("permissive", self.permissive, "strict", self.strict),
            ("permissive", self.permissive, "touch", self.touch),
            ("strict", self.strict, "touch", self.touch),
        ];
        for (weaker, texts, stronger, others) in settings {
            if let Some(both) = texts.iter().find(|text| others.contains(text)) {
                let why = format!("it is {} too, which wins", syntax.name(stronger));
                return Err(nothing(weaker, both, &why));
            }
        }
        Ok(())
    }
}

/// Checks that touches can count under `profile`.
///
/// # Errors
/// [`SettingError`] if the profile knows no security keys.
pub fn check_touch_profile(
    profile: &Profile,
    syntax: &dyn SettingSyntax,
) -> Result<(), SettingError> {
    if profile.security_keys.is_empty() {
        let (name, profile) = (syntax.name("touch"), &profile.name);
        let message = format!("{name}: the profile {profile} knows no security keys");
        return Err(SettingError::new(message).with_hint(syntax.written(&[("profile", "mcp")])));
    }
    Ok(())
}

impl RefuseWith {
    /// Reads the settings `refuse_with`, an HTTP status, and `realm`. The default realm is `mcp`.
    ///
    /// # Errors
    /// [`SettingError`] for another status than 403, 401 and 200, and for a realm without 401.
    pub fn parse(
        status: u16,
        realm: Option<String>,
        syntax: &dyn SettingSyntax,
    ) -> Result<Self, SettingError> {
        match (status, realm) {
            (401, realm) => {
                let realm = realm.unwrap_or_else(|| "mcp".to_owned());
                Ok(RefuseWith::Unauthorized { realm })
            }
            (403, None) => Ok(RefuseWith::Forbidden),
            (200, None) => Ok(RefuseWith::Ok),
            (403 | 200, Some(_)) => {
                let (realm, wanted) = (syntax.name("realm"), [("refuse_with", "401")]);
                let message = format!("{realm} is for {}", syntax.written(&wanted));
                let both = [("refuse_with", "401"), ("realm", "mcp")];
                Err(SettingError::new(message).with_hint(syntax.written(&both)))
            }
            (status, _) => {
                let name = syntax.name("refuse_with");
                Err(SettingError::new(format!("{name}: {status} is none of 403, 401 and 200")))
            }
        }
    }
}
