//! The configuration file: flags, written down.
//!
//! Each member is read as the flag of its name would be, so that the two cannot drift apart, and
//! is left out where the command line has that flag.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, Parser as _};
use toml::{Table, Value};

use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::ui::shell_word;
use crate::usage;

/// Bytes of a configuration file.
const LARGEST: u64 = 1 << 20;

/// Flags that make no sense in a file.
const NOT_IN_FILES: [&str; 5] = ["config", "check-config", "help", "quiet", "verbose"];

/// The command line `argv` with what the file at `path` adds to it.
///
/// # Errors
/// A file that cannot be read, that is no TOML, or that says something no flag could.
pub(crate) fn complete(argv: Vec<OsString>, path: &Path) -> Result<Vec<OsString>, Failure> {
    let name = path.display().to_string();
    let broken = |why: String| {
        Failure::new(Exit::Usage, "config", format!("{name}: {why}"))
            .hint(format!("mcpid gateway --config {} --check-config", shell_word(&name)))
            .hint("mcpid gateway --help")
    };
    let bytes = files::open_quietly(Some(path))?.read(LARGEST)?;
    let text = String::from_utf8(bytes).map_err(|_| broken("not UTF-8".to_owned()))?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        // The library's text shows the line with a marker below it; the first line of it will do.
        broken(format!("{line}{}", error.message().lines().next().unwrap_or_default()))
    })?;

    let command = Cli::command();
    let flags = command.find_subcommand("gateway").ok_or_else(|| broken("no gateway".into()))?;
    let mut written: Vec<(String, Vec<OsString>)> = Vec::with_capacity(table.len());
    for (key, value) in table {
        let known = flags.get_arguments().find(|arg| arg.get_long() == Some(&key));
        let Some(known) = known.filter(|_| !NOT_IN_FILES.contains(&key.as_str())) else {
            return Err(broken(format!("there is no setting {key:?}")));
        };
        if value.is_bool() && known.get_action().takes_values() {
            return Err(broken(format!("{key:?} cannot be yes or no")));
        }
        written.push((key.clone(), words(&key, value).map_err(broken)?));
    }

    // Each by itself first, so that what is wrong is said of the file and not of the command line.
    let alone = ["mcpid", "gateway"].map(OsString::from);
    let of_file = written.iter().flat_map(|(_, words)| words.iter().cloned());
    let alone: Vec<OsString> = alone.into_iter().chain(of_file).collect();
    if let Err(error) = Cli::try_parse_from(&alone) {
        return Err(broken(usage::failure(&error, &alone).message));
    }

    let given = Cli::command()
        .try_get_matches_from(&argv)
        .map_err(|error| usage::failure(&error, &argv))?;
    let given = given.subcommand_matches("gateway");
    let mut whole = argv.clone();
    for (key, words) in written {
        let id = key.replace('-', "_");
        let by_flag = given.is_some_and(|given| {
            given.try_contains_id(&id).unwrap_or(false)
                && given.value_source(&id) == Some(ValueSource::CommandLine)
        });
        if !by_flag {
            whole.extend(words);
        }
    }
    Ok(whole)
}

/// A member as the words of its flag.
fn words(key: &str, value: Value) -> Result<Vec<OsString>, String> {
    let one = |value: &Value| match value {
        // `--flag=value`, so that a value that begins with a dash stays one.
        Value::String(text) => Ok(OsString::from(format!("--{key}={text}"))),
        Value::Integer(number) => Ok(OsString::from(format!("--{key}={number}"))),
        other => Err(format!("{key:?} cannot be {}", kind(other))),
    };
    match &value {
        Value::Boolean(true) => Ok(vec![OsString::from(format!("--{key}"))]),
        Value::Boolean(false) => Ok(Vec::new()),
        Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Float(_) => "a fraction",
        Value::Datetime(_) => "a time",
        Value::Table(_) => "a table",
        Value::Array(_) => "a list in a list",
        Value::Boolean(_) => "yes or no in a list",
        Value::String(_) | Value::Integer(_) => "this",
    }
}
