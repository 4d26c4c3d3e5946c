//! The value of a setting in a configuration file, as words of a command line.

use std::ffi::OsString;

use clap::{Arg, ArgAction};
use mcpid::key::exec::ExecCommand;
use mcpid::key::source::EXEC;
use toml::Spanned;
use toml::de::{DeArray, DeValue};

/// Returns a setting as the words of its flag `arg`.
///
/// # Errors
/// Why the flag cannot have this value.
pub(super) fn words(key: &str, value: DeValue<'_>, arg: &Arg) -> Result<Vec<OsString>, String> {
    let one = |value: &DeValue<'_>| match value {
        // In the form `--flag=value`, a value that begins with a dash is not taken for a flag.
        DeValue::String(text) => Ok(OsString::from(format!("--{key}={text}"))),
        DeValue::Integer(number) => Ok(OsString::from(format!("--{key}={number}"))),
        other => Err(format!("{key:?} cannot be {}", kind(other))),
    };
    let takes_value = arg.get_action().takes_values();
    match &value {
        DeValue::Boolean(_) if takes_value => Err(format!("{key:?} cannot be true or false")),
        DeValue::Boolean(true) => Ok(vec![OsString::from(format!("--{key}"))]),
        DeValue::Boolean(false) => Ok(Vec::new()),
        _ if !takes_value => Err(format!("{key:?} is true or false, without quotes")),
        DeValue::Array(values) if is_key(arg) => {
            let command = program(values).map_err(|why| format!("{key:?} {why}"))?;
            Ok(vec![OsString::from(format!("--{key}={EXEC}{command}"))])
        }
        DeValue::Array(_) if !matches!(arg.get_action(), ArgAction::Append) => {
            Err(format!("{key:?} takes one value, not a list"))
        }
        DeValue::Array(values) => values.iter().map(|value| one(value.get_ref())).collect(),
        value => Ok(vec![one(value)?]),
    }
}

/// Returns true if the flag takes one reference to a key.
fn is_key(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    names.first().is_some_and(|name| *name == "KEY") && matches!(arg.get_action(), ArgAction::Set)
}

/// Returns the command of a program that signs, `["exec", "PROGRAM", "ARG"…]`, as the list of
/// `exec:` in JSON. No argument is repeated in a message, because it may hold a secret.
fn program(values: &DeArray<'_>) -> Result<String, String> {
    const FORM: &str = r#"["exec", "/PATH/PROGRAM", "ARG"]"#;
    let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err(format!("is a list of texts in quotes: {FORM}")),
    };
    let words: Vec<String> = values.iter().map(text).collect::<Result<_, _>>()?;
    let (program, arguments) = match words.as_slice() {
        [exec, program, arguments @ ..] if exec == "exec" => (program, arguments),
        [exec] if exec == "exec" => return Err(format!("names no program; it is {FORM}")),
        [] => return Err(format!("is an empty list; it is {FORM}, or a text")),
        _ => return Err(format!("is a list that does not begin with \"exec\"; it is {FORM}")),
    };
    if program.contains('/') && !program.starts_with('/') {
        return Err("names a program by a relative path: the present folder would choose what is \
                    started"
            .to_owned());
    }
    let command = ExecCommand::new(program, arguments).to_list().unwrap_or_default();
    ExecCommand::parse(&command).map_err(|error| format!("cannot be this: {error}"))?;
    Ok(command)
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Float(_) => "a fraction",
        DeValue::Datetime(_) => "a time",
        DeValue::Table(_) => "a table",
        DeValue::Array(_) => "a list in a list",
        DeValue::Boolean(_) => "true or false in a list",
        DeValue::String(_) | DeValue::Integer(_) => "this",
    }
}
