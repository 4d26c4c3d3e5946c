//! Generates shell completions from the command-line grammar.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::aot::{Generator, Shell};

use crate::args::Cli;

/// Flags that take free text or one fixed word. The completions offer only that word.
const FLAG_KEYWORDS: [(&str, &str); 2] = [("strict", "destructive"), ("confirm", "destructive")];

/// Returns the file name and the completion script for `shell`.
///
/// # Errors
/// The command-line grammar has a fault.
pub(super) fn script(shell: Shell) -> anyhow::Result<(String, Vec<u8>)> {
    let mut root = visible(&Cli::grammar());
    root.set_bin_name("mcpid");
    root.build();
    let mut bytes = Vec::new();
    shell.try_generate(&root, &mut bytes)?;
    if shell == Shell::Bash {
        bytes = with_files(&String::from_utf8(bytes)?, &root).into_bytes();
    }
    Ok((shell.file_name("mcpid"), bytes))
}

/// Returns `command` without hidden commands and flags. The generators would complete them too.
fn visible(command: &Command) -> Command {
    // The builder of clap takes only static text, so memory for the names is leaked. The program
    // ends soon after this.
    let mut shown = Command::new(&*command.get_name().to_owned().leak());
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if command.get_version().is_some() {
        shown = shown.version(env!("CARGO_PKG_VERSION"));
    }
    let own =
        |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    for arg in command.get_arguments().filter(own) {
        let word = FLAG_KEYWORDS.iter().find(|(flag, _)| arg.get_id() == flag);
        shown = shown.arg(match word {
            Some((_, word)) => arg.clone().value_parser(PossibleValuesParser::new([*word])),
            None => arg.clone(),
        });
    }
    shown
        .subcommands(command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(visible))
        .disable_help_subcommand(true)
}

/// Adds completion of file names to the bash script, for commands that take files. The generator
/// itself completes only flags.
fn with_files(script: &str, root: &Command) -> String {
    let mut takes_files = Vec::new();
    collect(root, "mcpid", &mut takes_files);
    let mut within = false;
    let mut lines = Vec::new();
    for line in script.lines() {
        let text = line.trim();
        if let Some(label) = text.strip_suffix(')').filter(|label| label.starts_with("mcpid")) {
            within = takes_files.iter().any(|command| command == label);
        }
        lines.push(match text {
            _ if !within => line.to_owned(),
            _ if text.starts_with("if [[ ${cur} == -* || ${COMP_CWORD} -eq ") => {
                let indent = line.len() - line.trim_start().len();
                format!("{:indent$}if [[ ${{cur}} == -* ]] ; then", "")
            }
            // This line of the generated script is the fallback in the block of a command. It is
            // changed if the block belongs to a command that takes files.
            r#"COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )"#
                if line.starts_with("            C") =>
            {
                r#"            COMPREPLY=( $(compgen -f -- "${cur}") )"#.to_owned()
            }
            _ => line.to_owned(),
        });
    }
    lines.join("\n") + "\n"
}

/// Collects the labels of those blocks of the script that belong to `command` and its subcommands,
/// if they take files.
fn collect(command: &Command, label: &str, into: &mut Vec<String>) {
    let is_file = |arg: &Arg| {
        matches!(arg.get_value_hint(), ValueHint::AnyPath | ValueHint::FilePath)
            && !matches!(arg.get_action(), ArgAction::SetTrue)
    };
    if command.get_positionals().any(is_file) {
        into.push(label.to_owned());
    }
    for sub in command.get_subcommands() {
        collect(sub, &format!("{label}__subcmd__{}", sub.get_name()), into);
    }
}
