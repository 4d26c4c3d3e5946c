//! The `mcpid` program. It uses only the library's public interface. Only the program prints,
//! prompts, exits and knows default paths.

mod args;
mod cmd;
mod input;
mod keys;
mod output;
mod prompt;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use crate::args::usage_error::{self, Unparsed};
use crate::args::{Command, OutputArgs};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::{OutputMode, Ui};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_bug));
    close_descriptors_in_programs();
    let argv: Vec<OsString> = std::env::args_os().collect();
    let (mut ui, ended) = match usage_error::parse(&argv) {
        Ok(cli) => {
            let mut ui = Ui::process(output_mode(cli.mode)).withholding(&argv);
            let ended = run(cli.command, cli.mode, &mut ui);
            (ui, ended)
        }
        Err(unparsed) => {
            let json = usage_error::wants_json(&argv);
            let mode = OutputMode { json, ..OutputMode::default() };
            let mut ui = Ui::process(mode).withholding(&argv);
            let ended = match unparsed {
                Unparsed::Help(text) => ui.data(text.as_bytes()).map(|()| Exit::Ok),
                Unparsed::Wrong(failure) => Err(failure),
            };
            (ui, ended)
        }
    };
    // Buffered output is written before the message that says why the program ends.
    let flushed = ui.finish();
    let ended = match (ended, flushed) {
        (Err(failure), _) | (Ok(_), Err(failure)) => Err(failure),
        (Ok(exit), Ok(())) => Ok(exit),
    };
    let exit = ended.unwrap_or_else(|failure| {
        ui.failure(&failure);
        failure.exit
    });
    if exit == Exit::Closed {
        end_by_closed_pipe();
    }
    // A task that was left behind may still be signing.
    mcpid::key::pkcs11::end_calls();
    ExitCode::from(exit.code())
}

fn run(command: Command, mode: OutputArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    match command {
        Command::Demo(args) => cmd::demo::run(&args, ui),
        Command::Keygen(args) => cmd::keygen::run(&args, ui),
        Command::Sign(args) => cmd::sign::run(&args, ui),
        Command::Verify(args) => cmd::verify::run(&args, ui),
        Command::Inspect(args) => cmd::inspect::run(&args, ui),
        Command::Export(args) => cmd::export::run(&args, ui),
        Command::Passwd(args) => cmd::passwd::run(&args, ui),
        Command::Trust(args) => cmd::trust::run(&args, ui),
        Command::Nonce(args) => cmd::nonce::run(&args, ui),
        Command::Gateway(args) => cmd::gateway::run(&args, ui),
        Command::Connect(args) => cmd::connect::run(&args, mode, ui),
        Command::Agent(args) => cmd::agent::run(&args, ui),
        Command::Authz(args) => cmd::authz::run(&args, ui),
        Command::Audit(args) => cmd::audit::run(&args.act, ui),
        Command::Help(args) => cmd::help::run(&args, ui),
        Command::Version => cmd::help::version(ui),
        Command::Generate(args) => cmd::generate::run(&args, ui),
    }
}

fn output_mode(args: OutputArgs) -> OutputMode {
    OutputMode { json: args.json, quiet: args.quiet, verbose: args.verbose }
}

/// Closes all descriptors that this process inherited, but stdin, stdout and stderr, in the programs
/// that it starts: one of `--passphrase-fd` must not reach an askpass program or one of `exec:`. The
/// standard library opens all others so that no program inherits them.
fn close_descriptors_in_programs() {
    #[cfg(unix)]
    close_fds::set_fds_cloexec(3, &[]);
}

/// Reports a panic in one line. Rust then unwinds, and the program exits with 101.
fn report_bug(info: &std::panic::PanicHookInfo<'_>) {
    let payload = info.payload();
    let what = payload.downcast_ref::<&str>().copied();
    let what = what.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let what = what.unwrap_or("panic");
    let place = info.location().map(|l| format!(" at {l}")).unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "mcpid: this is a bug, please report it: {what}{place}");
}

/// Ends the process by SIGPIPE, as programs on Unix usually end when they write to a closed pipe.
fn end_by_closed_pipe() {
    #[cfg(unix)]
    {
        // Rust ignores SIGPIPE at start-up, so the default action of that signal is emulated.
        let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
    }
}
