//! `mcpid keygen`.

use crate::args::KeygenArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;

/// Not there yet.
pub(crate) fn run(_args: &KeygenArgs, _ui: &mut Ui) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Bug, "bug", "keygen is not there yet"))
}
