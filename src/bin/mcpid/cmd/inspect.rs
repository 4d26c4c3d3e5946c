//! `mcpid inspect`.

use crate::args::InspectArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;

/// Not there yet.
pub(crate) fn run(_args: &InspectArgs, _ui: &mut Ui) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Bug, "bug", "inspect is not there yet"))
}
