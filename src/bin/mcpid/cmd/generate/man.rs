//! Generates man pages from the command-line grammar.

use std::io::{self, Write};

use anyhow::Context as _;
use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::args::{Cli, EXIT_STATUS};

/// Returns `mcpid.1` and one page for each command and subcommand, as file names and contents.
///
/// # Errors
/// A page cannot be rendered, which is a fault in the grammar.
pub(super) fn pages() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Cli::grammar();
    root.build();
    let mut files = Vec::new();
    page(&root, &[], &mut files)?;
    Ok(files)
}

/// Adds the page of `command`, whose parent commands are `above`, and the pages of its subcommands.
fn page(
    command: &Command,
    above: &[&Command],
    files: &mut Vec<(String, Vec<u8>)>,
) -> anyhow::Result<()> {
    // The names of pages follow git: mcpid-trust-add(1) is about "mcpid trust add".
    let mut bytes = Vec::new();
    render(command, above, &mut bytes)
        .with_context(|| format!("cannot render {}", name(command)))?;
    files.push((format!("{}.1", name(command)), bytes));
    let path: Vec<&Command> = above.iter().copied().chain([command]).collect();
    shown(command).try_for_each(|sub| page(sub, &path, files))
}

/// Renders the page with the usual order of sections. The generator's own rendering leaves values
/// out of the synopsis, and puts all text after the options under the heading "EXTRA".
fn render(command: &Command, above: &[&Command], to: &mut dyn Write) -> io::Result<()> {
    let man = Man::new(command.clone())
        .source(concat!("mcpid ", env!("CARGO_PKG_VERSION")))
        .manual("mcpid manual");
    man.render_title(to)?;
    man.render_name_section(to)?;
    synopsis(command).to_writer(to)?;
    man.render_description_section(to)?;
    man.render_options_section(to)?;
    if shown(command).next().is_some() {
        man.render_subcommands_section(to)?;
    }
    let behind = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let mut sections: Vec<(String, String)> = Vec::new();
    for paragraph in behind.split("\n\n") {
        match paragraph.split_once(":\n") {
            Some((heading, lines)) if !heading.starts_with(' ') => {
                sections.push((heading.to_uppercase(), lines.to_owned()));
            }
            // A paragraph without a heading belongs to the section of the paragraph before it.
            _ => match sections.last_mut() {
                Some((_, text)) => text.push_str(&format!("\n\n{paragraph}")),
                None => sections.push(("NOTES".to_owned(), paragraph.to_owned())),
            },
        }
    }
    if !sections.iter().any(|(heading, _)| heading == "EXIT STATUS") {
        sections.push(("EXIT STATUS".to_owned(), EXIT_STATUS.to_owned()));
    }
    // The section with examples comes last, as in most manuals.
    sections.sort_by_key(|(heading, _)| heading == "EXAMPLES");
    let mut roff = Roff::new();
    for (heading, lines) in sections {
        roff.control("SH", [heading.as_str()]);
        // The lines of these sections are not joined, because they are tables and commands.
        roff.control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(see_also(command, above).join(", "))]);
    roff.to_writer(to)
}

/// Returns the synopsis, with the placeholder of each flag's value.
fn synopsis(command: &Command) -> Roff {
    let mut line = vec![bold(command.get_bin_name().unwrap_or("mcpid"))];
    let mut add = |required: bool, inner: Vec<Inline>, repeated: bool| {
        line.push(roman(if required { " " } else { " [" }));
        line.extend(inner);
        line.push(roman(match (required, repeated) {
            (true, false) => "",
            (true, true) => "...",
            (false, false) => "]",
            (false, true) => "]...",
        }));
    };
    let repeats = |arg: &Arg| matches!(arg.get_action(), ArgAction::Append);
    let mut flags: Vec<&Arg> =
        command.get_opts().chain(switches(command)).filter(|arg| !arg.is_hide_set()).collect();
    flags.sort_by_key(|arg| !arg.is_required_set());
    for arg in flags {
        let mut inner = Vec::new();
        if let Some(short) = arg.get_short() {
            inner.extend([bold(format!("-{short}")), roman("|")]);
        }
        inner.push(bold(format!("--{}", arg.get_long().unwrap_or_default())));
        if arg.get_action().takes_values() {
            inner.extend([roman(" "), italic(values(arg))]);
        }
        add(arg.is_required_set(), inner, repeats(arg));
    }
    for arg in command.get_positionals().filter(|arg| !arg.is_hide_set()) {
        let many = repeats(arg) || arg.get_num_args().is_some_and(|n| n.max_values() > 1);
        add(arg.is_required_set(), vec![italic(values(arg))], many);
    }
    let commands: Vec<&str> = shown(command).map(Command::get_name).collect();
    if !commands.is_empty() {
        add(command.is_subcommand_required_set(), vec![italic("COMMAND")], false);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text(line);
    roff
}

/// Returns the flags without a value, without `--help` and others that every program has.
fn switches(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        !arg.is_positional()
            && !arg.get_action().takes_values()
            && !matches!(arg.get_id().as_str(), "help" | "version")
    })
}

fn values(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        None => arg.get_id().as_str().to_uppercase(),
    }
}

/// Returns the related pages: the parent command and the subcommands, or the siblings if there are
/// no subcommands.
fn see_also(command: &Command, above: &[&Command]) -> Vec<String> {
    let around: Vec<&Command> = match shown(command).next() {
        Some(_) => shown(command).collect(),
        None => above.last().into_iter().flat_map(|parent| shown(parent)).collect(),
    };
    let mut names: Vec<String> = above.iter().copied().chain(around).map(name).collect();
    names.retain(|other| *other != name(command));
    names.dedup();
    names.into_iter().map(|name| format!("{name}(1)")).collect()
}

fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or("mcpid").to_owned()
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}
