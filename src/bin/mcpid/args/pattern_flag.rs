//! Parses the patterns in flags, and prints the library's remarks about them: for example, a note
//! if MCP does not define the method.

use mcpid::mcp::pattern::Pattern;
use mcpid::mcp::setting::{self, Restricting, SettingSyntax as _};

use super::flag_syntax::FlagSyntax;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Reads a pattern or the word `destructive`, for a flag that demands something of requests. `name`
/// is the name of the flag without its dashes.
///
/// # Errors
/// The pattern can match nothing.
pub(crate) fn restricting(name: &str, text: &str, ui: &mut Ui) -> Result<Restricting, Failure> {
    let read = setting::restricting(&FlagSyntax, name, text)?;
    if let Restricting::Pattern(pattern) = &read {
        remark(name, pattern, ui);
    }
    Ok(read)
}

/// Reads a pattern for a flag that lets requests through, such as `--allow`.
///
/// # Errors
/// The pattern can match nothing, or can allow nothing.
pub(crate) fn granting(name: &str, text: &str, ui: &mut Ui) -> Result<Pattern, Failure> {
    let pattern = setting::granting(&FlagSyntax, name, text)?;
    remark(name, &pattern, ui);
    Ok(pattern)
}

/// Prints the library's remark about a pattern, if there is one.
pub(crate) fn remark(name: &str, pattern: &Pattern, ui: &mut Ui) {
    if let Some(remark) = pattern.remark() {
        ui.note(&format!("{}: {remark}", FlagSyntax.name(name)));
    }
}
