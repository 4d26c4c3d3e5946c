//! `mcpid passwd`.

use crate::args::PasswdArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;

/// Not there yet.
pub(crate) fn run(_args: &PasswdArgs, _ui: &mut Ui) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Bug, "bug", "passwd is not there yet"))
}
