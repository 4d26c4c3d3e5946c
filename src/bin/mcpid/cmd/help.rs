//! `mcpid help` and `mcpid version` print the same as `--help` and `--version`.

use std::ffi::OsString;

use crate::args::HelpArgs;
use crate::args::usage_error::{self, Unparsed};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Prints the same text as `--help` after the command.
pub(crate) fn run(args: &HelpArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let words = ["mcpid"].into_iter().chain(args.command.iter().map(String::as_str));
    let words: Vec<OsString> = words.chain(["--help"]).map(OsString::from).collect();
    match usage_error::parse(&words) {
        Err(Unparsed::Help(text)) => ui.data(text.as_bytes()).map(|()| Exit::Ok),
        Err(Unparsed::Wrong(failure)) => Err(failure),
        Ok(_) => Err(Failure::new(Exit::Bug, "bug", "--help is a flag like any other")),
    }
}

/// Prints the version of this program.
pub(crate) fn version(ui: &mut Ui) -> Result<Exit, Failure> {
    let release = env!("CARGO_PKG_VERSION");
    if ui.json() {
        ui.json_line(&serde_json::json!({ "version": 1, "mcpid": release }))?;
    } else {
        ui.line(&format!("mcpid {release}"))?;
    }
    Ok(Exit::Ok)
}
