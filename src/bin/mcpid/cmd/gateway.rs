//! `mcpid gateway`.

mod report;

use crate::args::{GatewayAct, GatewayArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;

/// Does one of its acts.
pub(crate) fn run(args: &GatewayArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    match &args.act {
        Some(GatewayAct::Report(args)) => report::run(args, ui),
        None => {
            Err(Failure::usage("which command? there are report")
                .hint("mcpid gateway report --help"))
        }
    }
}
