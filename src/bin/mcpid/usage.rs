//! What clap found wrong with the arguments, said in our own voice: one line and a hint.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Command, CommandFactory as _};

use crate::args::Cli;
use crate::failure::Failure;
use crate::ui::shell_word;

/// Whether `--json` stands among the arguments, for when they cannot be parsed.
pub(crate) fn wants_json(argv: &[OsString]) -> bool {
    argv.iter().skip(1).take_while(|a| *a != "--").any(|a| a == "--json")
}

/// Turns clap's error into a [`Failure`]. Help and version are not errors and do not come here.
pub(crate) fn failure(error: &Error, argv: &[OsString]) -> Failure {
    let path = command_path(argv);
    let help = format!("mcpid {path}--help");
    let message = message(error, argv);
    let failure = Failure::usage(message);
    match repair(error, argv, &path) {
        Some(repair) => failure.hint(repair).hint(help),
        None => failure.hint(help),
    }
}

fn message(error: &Error, argv: &[OsString]) -> String {
    let arg = text(error, ContextKind::InvalidArg);
    let value = without_user(&text(error, ContextKind::InvalidValue));
    match error.kind() {
        ErrorKind::UnknownArgument if arg.starts_with('-') => format!("no such flag here: {arg}"),
        ErrorKind::UnknownArgument => format!("one argument too many: {arg}"),
        ErrorKind::InvalidSubcommand => {
            format!("no such command: {}", text(error, ContextKind::InvalidSubcommand))
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let commands = next_commands(argv);
            let are = if commands.len() == 1 { "is" } else { "are" };
            format!("which command? there {are} {}", commands.join(", "))
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("{} wants a value", flag(&arg)),
        ErrorKind::InvalidValue => match list(error, ContextKind::ValidValue) {
            Some(known) if !known.is_empty() => {
                format!("{} cannot be '{value}', only {}", flag(&arg), known.join(", "))
            }
            _ => format!("{} cannot be '{value}'", flag(&arg)),
        },
        ErrorKind::ValueValidation => {
            let why =
                std::error::Error::source(error).map(|e| format!(": {e}")).unwrap_or_default();
            // Whoever takes the flag for another has written the passphrase itself.
            if arg.contains("passphrase") {
                return format!("{}{why}", flag(&arg));
            }
            format!("{} cannot be '{value}'{why}", flag(&arg))
        }
        ErrorKind::ArgumentConflict => {
            let prior = list(error, ContextKind::PriorArg).unwrap_or_default();
            match prior.split_first() {
                None => format!("{} cannot be used here", flag(&arg)),
                Some((one, [])) if *one == arg => format!("{} is given twice", flag(&arg)),
                _ => {
                    let prior: Vec<_> = prior.iter().map(|p| flag(p)).collect();
                    format!("{} and {} cannot be used together", flag(&arg), prior.join(" and "))
                }
            }
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = list(error, ContextKind::InvalidArg).unwrap_or_default();
            let missing: Vec<_> = missing.iter().map(|m| flag(m)).collect();
            format!("{} is missing", missing.join(" and "))
        }
        ErrorKind::TooManyValues => format!("{} has a value too many: {value}", flag(&arg)),
        ErrorKind::NoEquals | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("{} wants a value", flag(&arg))
        }
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".to_owned(),
        // The rest cannot be reached by our grammar; clap's first line then has to do.
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    }
}

/// The caller's own command line with the likely slip put right.
fn repair(error: &Error, argv: &[OsString], path: &str) -> Option<String> {
    let (wrong, right) = match error.kind() {
        ErrorKind::InvalidSubcommand => (
            text(error, ContextKind::InvalidSubcommand),
            list(error, ContextKind::SuggestedSubcommand)?.first()?.clone(),
        ),
        ErrorKind::UnknownArgument => match list(error, ContextKind::SuggestedArg) {
            Some(right) => (text(error, ContextKind::InvalidArg), right.first()?.clone()),
            None => return key_id_behind_dashes(argv, path),
        },
        ErrorKind::InvalidValue => (
            text(error, ContextKind::InvalidValue),
            list(error, ContextKind::SuggestedValue)?.first()?.clone(),
        ),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if path.is_empty() =>
        {
            return Some("mcpid demo".to_owned());
        }
        _ => return None,
    };
    // The suggestion may name the value's place, as in "--trust <TRUST>".
    let right = right.split(' ').next()?.to_owned();
    // What stands behind it is the passphrase itself, which must not end in a log.
    if let Some((flag, _)) = right.split_once("passphrase") {
        return Some(format!("mcpid {path}{flag}passphrase-file FILE"));
    }
    if argv.iter().any(|word| may_hold_secret(&word.to_string_lossy(), &right)) {
        return None;
    }
    let words = argv.iter().skip(1).map(|word| {
        let word = word.to_string_lossy();
        let word = match word.strip_prefix(wrong.as_str()) {
            Some(rest) if rest.is_empty() || rest.starts_with('=') => format!("{right}{rest}"),
            _ => match word.split_once('=') {
                Some((name, value)) if value == wrong => format!("{name}={right}"),
                _ => word.into_owned(),
            },
        };
        shell_word(&word).into_owned()
    });
    Some(format!("mcpid {}", words.collect::<Vec<_>>().join(" ")))
}

/// Headers may hold a token, and URLs of stores a password.
fn may_hold_secret(word: &str, right: &str) -> bool {
    right == "--header"
        || word.starts_with("-H")
        || word.starts_with("--header")
        || (word.contains("://") && word.contains('@'))
}

/// A URL without what may be a password in it.
fn without_user(value: &str) -> String {
    match value.split_once("://") {
        Some((scheme, rest)) if rest.contains('@') => {
            let host = rest.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://…@{host}")
        }
        _ => value.to_owned(),
    }
}

/// One key id in 64 begins with a dash.
fn key_id_behind_dashes(argv: &[OsString], path: &str) -> Option<String> {
    let id =
        argv.iter().filter_map(|w| w.to_str()).find(|w| w.starts_with('-') && w.len() == 43)?;
    path.starts_with("trust ").then(|| format!("mcpid {path}-- {id}"))
}

/// The commands that `argv` walks through, each followed by a space.
fn command_path(argv: &[OsString]) -> String {
    walk(argv).iter().skip(1).map(|command| format!("{} ", command.get_name())).collect()
}

/// The commands that could have come next.
fn next_commands(argv: &[OsString]) -> Vec<String> {
    let path = walk(argv);
    let here = path.last().into_iter().flat_map(Command::get_subcommands);
    here.filter(|command| !command.is_hide_set()).map(|c| c.get_name().to_owned()).collect()
}

fn walk(argv: &[OsString]) -> Vec<Command> {
    let mut path = vec![Cli::command()];
    for word in argv.iter().skip(1) {
        let next = path.last().zip(word.to_str()).and_then(|(c, w)| c.find_subcommand(w));
        if let Some(next) = next.cloned() {
            path.push(next);
        }
    }
    path
}

/// A flag as clap shows it, without its value's place: `--at <TIME>` is `--at`.
fn flag(arg: &str) -> String {
    match arg.split_once(' ') {
        Some((flag, _)) if flag.starts_with('-') => flag.to_owned(),
        _ => arg.trim_end_matches("...").trim_matches(['<', '>', '[', ']']).to_owned(),
    }
}

fn text(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    }
}

fn list(error: &Error, kind: ContextKind) -> Option<Vec<String>> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(vec![text.clone()]),
        ContextValue::Strings(texts) => Some(texts.clone()),
        _ => None,
    }
}
