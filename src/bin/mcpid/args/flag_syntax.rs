//! The syntax of the command line, for errors of the library that name settings.

use mcpid::mcp::setting::{SettingError, SettingSyntax};

use crate::output::failure::Failure;
use crate::output::ui::shell_word;

/// Names settings as flags, with values that can be pasted into a shell.
pub(crate) struct FlagSyntax;

impl SettingSyntax for FlagSyntax {
    fn name(&self, setting: &str) -> String {
        format!("--{}", setting.replace('_', "-"))
    }

    fn written(&self, settings: &[(&str, &str)]) -> String {
        let flag =
            |(name, value): &(&str, &str)| format!("{} {}", self.name(name), shell_word(value));
        settings.iter().map(flag).collect::<Vec<_>>().join(" ")
    }
}

impl From<SettingError> for Failure {
    fn from(error: SettingError) -> Self {
        let failure = Failure::usage(error.message);
        match error.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
