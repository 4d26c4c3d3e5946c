//! Parses the command line, and converts clap's errors to one line and a hint, as for all failures.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Command, CommandFactory as _, FromArgMatches as _};
use mcpid::secret::{SecretKind, description, overlaps};

use crate::args::Cli;
use crate::args::misplaced_secret;
use crate::output::failure::Failure;
use crate::output::ui::shell_word;

/// Why there is no command to run.
pub(crate) enum Unparsed {
    /// The text of `--help` or `--version`, which the caller asked for.
    Help(String),
    /// The arguments are wrong.
    Wrong(Failure),
}

/// Parses the command line, and refuses a secret in the wrong place.
///
/// # Errors
/// [`Unparsed`] if there is no command to run.
pub(crate) fn parse(argv: &[OsString]) -> Result<Cli, Unparsed> {
    let unparsed = |error: Error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Unparsed::Help(error.render().to_string())
        }
        _ => Unparsed::Wrong(failure(&error, argv)),
    };
    let mut command = Cli::grammar();
    let matches = command.try_get_matches_from_mut(argv).map_err(unparsed)?;
    misplaced_secret::check(&command, &matches).map_err(Unparsed::Wrong)?;
    Cli::from_arg_matches(&matches).map_err(|error| unparsed(error.format(&mut command)))
}

/// Returns true if `--json` is among the arguments. This is needed to report that the command line
/// cannot be parsed.
pub(crate) fn wants_json(argv: &[OsString]) -> bool {
    argv.iter().skip(1).take_while(|a| *a != "--").any(|a| a == "--json")
}

/// Turns clap's error into a [`Failure`]. Help and version are handled before.
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
    let value = text(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::UnknownArgument if arg.starts_with('-') && arg != "-" => {
            format!("no such flag here: {}", word(&arg))
        }
        ErrorKind::UnknownArgument => format!("one argument too many: {}", word(&arg)),
        ErrorKind::InvalidSubcommand => {
            format!("no such command: {}", word(&text(error, ContextKind::InvalidSubcommand)))
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let commands = next_commands(argv);
            let are = if commands.len() == 1 { "is" } else { "are" };
            format!("which command? there {are} {}", commands.join(", "))
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            let ends = |word: &OsString| word.to_string_lossy().ends_with('=');
            let is_empty = argv.iter().any(|word| word.is_empty() || ends(word));
            format!("{} {}", flag(&arg), if is_empty { "is empty" } else { "wants a value" })
        }
        ErrorKind::InvalidValue => match list(error, ContextKind::ValidValue) {
            Some(known) if !known.is_empty() => {
                format!(
                    "{} cannot be {}, only {}",
                    flag(&arg),
                    value_or_description(&value),
                    known.join(", ")
                )
            }
            _ => format!("{} cannot be {}", flag(&arg), value_or_description(&value)),
        },
        ErrorKind::ValueValidation => {
            let why =
                std::error::Error::source(error).map(|e| format!(": {e}")).unwrap_or_default();
            // The value of this flag may be a passphrase, so the message does not repeat it.
            if arg.contains("passphrase") {
                return format!("{}{why}", flag(&arg));
            }
            let why =
                if description(&value).is_some() && overlaps(&value, &why) { "" } else { &why };
            format!("{} cannot be {}{why}", flag(&arg), value_or_description(&value))
        }
        ErrorKind::ArgumentConflict => {
            let prior = list(error, ContextKind::PriorArg).unwrap_or_default();
            match prior.split_first() {
                None => format!("{} cannot be used here", flag(&arg)),
                Some((one, [])) if *one == arg => format!("{} is given twice", flag(&arg)),
                _ => {
                    // A subcommand does not accept the flags of its parent command.
                    let below = text(error, ContextKind::InvalidSubcommand);
                    let prior: Vec<_> = prior.iter().map(|p| flag(p)).collect();
                    match arg.is_empty() {
                        true => format!("{below} does not take {}", prior.join(" and ")),
                        false => {
                            let first = flag(&arg);
                            format!("{first} and {} cannot be used together", prior.join(" and "))
                        }
                    }
                }
            }
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = list(error, ContextKind::InvalidArg).unwrap_or_default();
            let missing: Vec<_> = missing.iter().map(|m| flag(m)).collect();
            let are = if missing.len() == 1 { "is" } else { "are" };
            format!("{} {are} missing", missing.join(" and "))
        }
        ErrorKind::TooManyValues => {
            format!("{} has a value too many: {}", flag(&arg), word(&value))
        }
        ErrorKind::NoEquals | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("{} wants a value", flag(&arg))
        }
        ErrorKind::InvalidUtf8 => match argv.iter().position(|word| word.to_str().is_none()) {
            Some(at) => format!("argument {at} is not UTF-8"),
            None => "an argument is not UTF-8".to_owned(),
        },
        // All other errors cannot occur with this grammar. If one does, the first line of clap's
        // message is shown.
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    }
}

/// Returns the value in quotes, or a description if it may be a secret.
fn value_or_description(value: &str) -> String {
    match description(value) {
        None => format!("'{value}'"),
        Some(description) => format!("what was given {description}"),
    }
}

/// Returns the value as one shell word, or a description if it may be a secret.
fn word(value: &str) -> String {
    description(value).unwrap_or_else(|| shell_word(value).into_owned())
}

/// Returns the user's command line with the probable typing errors corrected. Returns None if the
/// result would still be wrong.
fn repair(error: &Error, argv: &[OsString], path: &str) -> Option<String> {
    match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if path.is_empty() =>
        {
            return Some("mcpid demo".to_owned());
        }
        ErrorKind::UnknownArgument if error.get(ContextKind::SuggestedArg).is_none() => {
            return behind_dashes(error, argv, path);
        }
        ErrorKind::InvalidSubcommand if text(error, ContextKind::InvalidSubcommand) == "help" => {
            return Some(format!("mcpid help {}", path.trim_end()));
        }
        _ => {}
    }
    let mut words: Vec<String> =
        argv.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let mut next = repaired(error, &words)?;
    // At most three errors are corrected, because a hint that does not work is worse than none.
    for _ in 0..3 {
        if let Correction::Instead(hint) = next {
            return Some(format!("mcpid {path}{hint}"));
        }
        let Correction::Words(fixed) = next else { return None };
        words = fixed;
        let all = ["mcpid"].into_iter().chain(words.iter().map(String::as_str));
        match Cli::command().try_get_matches_from(all) {
            Err(error) if error.use_stderr() => next = repaired(&error, &words)?,
            // The corrected line can be parsed, or asks for help.
            _ => {
                let words: Vec<_> = words.iter().map(|word| shell_word(word)).collect();
                return Some(format!("mcpid {}", words.join(" ")));
            }
        }
    }
    None
}

/// A corrected typing error.
enum Correction {
    /// All words of the corrected command line.
    Words(Vec<String>),
    /// Another flag to use, if the command line must not be repeated because it may contain a
    /// secret.
    Instead(String),
}

fn repaired(error: &Error, words: &[String]) -> Option<Correction> {
    // clap puts its best suggestion last.
    let best = |kind| list(error, kind)?.pop();
    let (wrong, right) = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            (text(error, ContextKind::InvalidSubcommand), best(ContextKind::SuggestedSubcommand)?)
        }
        ErrorKind::UnknownArgument => {
            (text(error, ContextKind::InvalidArg), best(ContextKind::SuggestedArg)?)
        }
        ErrorKind::InvalidValue => {
            (text(error, ContextKind::InvalidValue), best(ContextKind::SuggestedValue)?)
        }
        _ => return None,
    };
    // The suggestion may contain a placeholder, as in "--trust <TRUST>".
    let right = right.split(' ').next()?.to_owned();
    // The text after this flag is the passphrase itself, which must not end up in a log.
    if let Some((flag, _)) = right.split_once("passphrase") {
        return Some(Correction::Instead(format!("{flag}passphrase-file FILE")));
    }
    if words.iter().any(|word| may_hold_secret(word, &right)) {
        return None;
    }
    let fixed = words.iter().map(|word| match word.strip_prefix(wrong.as_str()) {
        Some(rest) if rest.is_empty() || rest.starts_with('=') => format!("{right}{rest}"),
        _ => match word.split_once('=') {
            Some((name, value)) if value == wrong => format!("{name}={right}"),
            _ => word.clone(),
        },
    });
    Some(Correction::Words(fixed.collect()))
}

/// Returns true if a hint must not repeat `word`, because it is a header, which may contain a
/// token, or looks like a secret.
fn may_hold_secret(word: &str, right: &str) -> bool {
    right == "--header"
        || word.starts_with("-H")
        || word.starts_with("--header")
        || SecretKind::of(word).is_some_and(|kind| kind != SecretKind::Passphrase)
}

/// Returns a hint for a key id or file name that begins with a dash and was taken for a flag. One
/// in 64 key ids begins so.
fn behind_dashes(error: &Error, argv: &[OsString], path: &str) -> Option<String> {
    let arg = text(error, ContextKind::InvalidArg);
    let given = argv.iter().filter_map(|word| word.to_str()).find(|word| word.starts_with(&arg))?;
    if path.starts_with("trust re") {
        // A key id that looks like a private key is not repeated.
        let shown = if description(given).is_none() { shell_word(given) } else { "KEYID".into() };
        return Some(format!("mcpid {path}-- {shown}"));
    }
    let is_file = arg.starts_with('-') && Path::new(given).symlink_metadata().is_ok();
    is_file.then(|| {
        format!("a file whose name begins with a dash: {}", shell_word(&format!("./{given}")))
    })
}

/// Returns the names of the commands in `argv`, with a blank after each, such as `trust add `.
fn command_path(argv: &[OsString]) -> String {
    named_commands(argv).iter().skip(1).map(|command| format!("{} ", command.get_name())).collect()
}

/// Returns the subcommands that are possible at this point.
fn next_commands(argv: &[OsString]) -> Vec<String> {
    let path = named_commands(argv);
    let here = path.last().into_iter().flat_map(Command::get_subcommands);
    here.filter(|command| !command.is_hide_set()).map(|c| c.get_name().to_owned()).collect()
}

fn named_commands(argv: &[OsString]) -> Vec<Command> {
    let mut path = vec![Cli::command()];
    for word in argv.iter().skip(1) {
        let next = path.last().zip(word.to_str()).and_then(|(c, w)| c.find_subcommand(w));
        if let Some(next) = next.cloned() {
            path.push(next);
        }
    }
    path
}

/// Returns a flag without its placeholder: `--at <TIME>` gives `--at`.
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
