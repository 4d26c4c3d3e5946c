//! `mcpid demo`.

use crate::args::DemoArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;

/// Not there yet.
pub(crate) fn run(_args: &DemoArgs, _ui: &mut Ui) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Bug, "bug", "demo is not there yet"))
}
