//! `mcpid trust`.

use crate::args::TrustArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;

/// Not there yet.
pub(crate) fn run(_args: &TrustArgs, _ui: &mut Ui) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Bug, "bug", "trust is not there yet"))
}
