//! Adds a table of pattern forms to the `--help` of each command that takes patterns.

use clap::Command;

/// A form of a pattern, what it matches, and the ids of the arguments that take it. No ids means
/// all arguments.
const FORMS: [(&str, &str, &[&str]); 5] = [
    ("METHOD", "requests of this MCP method, with any name or none", &[]),
    ("METHOD:NAME", "those that act on this tool, prompt, URI or task", &[]),
    ("=METHOD[:NAME]", "the same, for a METHOD that is meant although MCP does not define it", &[]),
    ("METHOD:NAME:PATH", "a value in the bodies of such requests", &["audit_redact"]),
    ("destructive", "calls of tools that the server's list does not call harmless", &RESTRICTING),
];

/// The arguments that also take the word `destructive`.
const RESTRICTING: [&str; 3] = ["strict", "confirm", "touch"];
const ALL: [&str; 7] =
    ["strict", "permissive", "confirm", "touch", "touch_rule", "allow", "audit_redact"];

/// Adds a section on patterns to the long help of `command`, if it or one of its subcommands takes
/// patterns.
pub(super) fn explain_patterns(mut command: Command) -> Command {
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, explain_patterns);
    }
    let flag = |ids: &[&str]| {
        let mut taken = command.get_arguments().filter(|a| ids.contains(&a.get_id().as_str()));
        taken.next().and_then(|argument| argument.get_long()).map(str::to_owned)
    };
    if flag(&ALL).is_none() {
        return command;
    }
    let mut section = "Patterns:".to_owned();
    for (form, matches, ids) in FORMS {
        match flag(ids) {
            _ if ids.is_empty() => section.push_str(&format!("\n  {form:<16}  {matches}")),
            Some(flag) => section.push_str(&format!("\n  {form:<16}  --{flag}: {matches}")),
            None => {}
        }
    }
    section.push_str(
        "\n  A * is any run of characters. A pattern that can match nothing is an error.",
    );
    let help = command.get_after_long_help().map(|help| format!("{help}\n\n"));
    command.after_long_help(help.unwrap_or_default() + &section)
}
