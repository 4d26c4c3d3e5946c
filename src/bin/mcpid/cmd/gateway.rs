//! `mcpid gateway`: verifies requests in front of any MCP server.

mod check;
mod file;
mod log_writer;
mod report;
mod serve;
mod settings;

use std::ffi::OsString;

use crate::args::usage_error;
use crate::args::{Cli, Command, GatewayAct, GatewayArgs, GatewayFlags};
use crate::cmd::audit::{open, witnessing};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;
use file::ConfigFile;

/// Runs the gateway until a signal stops it, or runs `gateway report`.
pub(crate) fn run(args: &GatewayArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    if let Some(GatewayAct::Report(args)) = &args.act {
        return report::run(args, ui);
    }
    let Some(path) = &args.flags.config else {
        return run_with(&args.flags, ui);
    };
    let argv: Vec<OsString> = std::env::args_os().collect();
    let file = ConfigFile::read(path)?;
    let whole = file.complete(&argv)?;
    ui.withhold(&whole);
    // Each setting was checked alone before, so this fails only if two settings conflict.
    match usage_error::parse(&whole) {
        Ok(Cli { command: Command::Gateway(args), .. }) => {
            run_with(&args.flags, ui).map_err(|failure| file.locate(failure, &argv))
        }
        Err(usage_error::Unparsed::Wrong(failure)) => Err(failure),
        _ => Err(Failure::new(Exit::Bug, "bug", "the configuration file changed the command")),
    }
}

fn run_with(args: &GatewayFlags, ui: &mut Ui) -> Result<Exit, Failure> {
    let settings = settings::GatewaySettings::read(args, ui)?;
    open::remark(&args.audit, ui);
    if args.check_config {
        let audit = open::check_writable(&args.audit)?;
        let witnesses = witnessing::check(&args.audit)?;
        return check::report(&settings, args, (audit.as_ref(), witnesses.as_ref()), ui);
    }
    serve::run(settings, args, ui)
}
