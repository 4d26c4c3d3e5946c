//! Shell completions, made from the grammar.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::aot::{Generator, Shell};

use crate::args::Cli;

/// Flags that take a special word, and any other text too.
const SPECIAL_WORDS: [(&str, &str); 2] = [("strict", "destructive"), ("confirm", "destructive")];

/// Returns the file name and the completion script for `shell`.
///
/// # Errors
/// The grammar has a fault.
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

/// Returns `command` without hidden commands and flags, which the generators would offer too.
fn visible(command: &Command) -> Command {
    // The builder takes only static text, so the names are leaked. The program ends after this.
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
        let word = SPECIAL_WORDS.iter().find(|(flag, _)| arg.get_id() == flag);
        shown = shown.arg(match word {
            Some((_, word)) => arg.clone().value_parser(PossibleValuesParser::new([*word])),
            None => arg.clone(),
        });
    }
    shown
        .subcommands(command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(visible))
        .disable_help_subcommand(true)
}

/// Returns the bash script with completion of files for commands that take files. The generator
/// itself offers only flags.
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
            // The fallback of the command's block, indented as its label is.
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

/// Collects the labels of the script's blocks for `command` and its subcommands that take files.
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
