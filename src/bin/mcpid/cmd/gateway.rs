//! `mcpid gateway`: verifies requests in front of any MCP server.

mod audit_watch;
mod check;
mod event;
mod file;
mod file_value;
mod known_tools;
mod limits;
mod log_writer;
pub(crate) mod policy;
mod report;
mod report_input;
mod serve;
pub(crate) mod settings;
mod supervisor;

use std::ffi::OsString;
use std::path::Path;

use crate::args::usage_error;
use crate::args::{Cli, Command, FrontFlags, GatewayAct, GatewayArgs, GatewayFlags};
use crate::cmd::audit::{open, witnessing};
use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;
use file::ConfigFile;
use settings::GatewaySettings;

/// Runs the gateway until a signal stops it, or runs `gateway report`.
pub(crate) fn run(args: &GatewayArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    if let Some(GatewayAct::Report(args)) = &args.act {
        return report::run(args, ui);
    }
    let serve =
        |args: &GatewayFlags, ui: &mut Ui| serve(GatewaySettings::read(args, ui)?, &args.front, ui);
    match &args.flags.front.config {
        None => serve(&args.flags, ui),
        Some(path) => with_file("gateway", path, ui, |command, ui| match command {
            Command::Gateway(args) => serve(&args.flags, ui),
            _ => Err(changed_command()),
        }),
    }
}

/// Calls `run` with `command`, to which the settings in the configuration file at `path` were
/// added.
///
/// # Errors
/// The file cannot be used, or `run` fails.
pub(crate) fn with_file(
    command: &'static str,
    path: &Path,
    ui: &mut Ui,
    run: impl FnOnce(Command, &mut Ui) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let file = ConfigFile::read(command, path)?;
    let whole = file.complete(&argv)?;
    ui.withhold(&whole);
    // Each setting was checked by itself before, so this fails only if two settings conflict.
    match usage_error::parse(&whole) {
        Ok(Cli { command, .. }) => run(command, ui).map_err(|failure| file.locate(failure, &argv)),
        Err(usage_error::Unparsed::Wrong(failure)) => Err(failure),
        Err(_) => Err(changed_command()),
    }
}

/// Returns a failure that cannot occur: adding the settings of a file changes the command. A file
/// has only settings of its own command.
pub(crate) fn changed_command() -> Failure {
    Failure::new(Exit::Bug, "bug", "the configuration file changed the command")
}

/// Serves with `settings`, or checks them if `--check-config` is given.
///
/// # Errors
/// A file, store or address cannot be used.
pub(crate) fn serve(
    settings: GatewaySettings,
    front: &FrontFlags,
    ui: &mut Ui,
) -> Result<Exit, Failure> {
    open::remark(&front.audit, ui);
    if front.check_config {
        if let Some(log) = &front.log {
            files::check_folder(log).map_err(|mut failure| {
                failure.message = format!("--log: {}", failure.message);
                failure
            })?;
        }
        let audit = open::check_writable(&front.audit)?;
        let witnesses = witnessing::check(&front.audit)?;
        return check::report(&settings, front, (audit.as_ref(), witnesses.as_ref()), ui);
    }
    serve::run(settings, front, ui)
}
