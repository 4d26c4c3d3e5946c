//! `mcpid generate`: man pages and completions, from the grammar itself.
//!
//! Their bytes depend on the grammar and the version only, so that a test can hold the committed
//! files equal to the binary.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::aot::{Generator, Shell};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::{Cli, GenerateArgs, GenerateWhat};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;

/// Writes the files and names each on stdout.
pub(crate) fn run(args: &GenerateArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (dir, files) = match &args.what {
        GenerateWhat::Man(to) => (&to.dir, pages()),
        GenerateWhat::Completions(to) => (&to.dir, completions()),
    };
    // Only a fault in the grammar can keep it from being rendered.
    let bug = |e: anyhow::Error| Failure::new(Exit::Bug, "bug", format!("{e:#}"));
    let names = write(dir, files.map_err(bug)?)?;
    if ui.json() {
        ui.json_line(&Generated { version: 1, files: names })?;
    } else {
        for name in names {
            ui.line(&name)?;
        }
    }
    Ok(Exit::Ok)
}

#[derive(serde::Serialize)]
struct Generated {
    version: u8,
    files: Vec<String>,
}

type Files = Vec<(String, Vec<u8>)>;

fn write(dir: &Path, files: Files) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for (name, bytes) in files {
        let path = dir.join(&name);
        crate::files::check_folder(&path)?;
        fs::write(&path, bytes).map_err(|e| Failure::write(&path, &e))?;
        names.push(path.display().to_string());
    }
    Ok(names)
}

/// `mcpid.1`, and one page for each command, also for those of two words.
fn pages() -> anyhow::Result<Files> {
    let mut root = Cli::command();
    root.build();
    let mut files = Vec::new();
    page(&root, &mut files)?;
    Ok(files)
}

fn page(command: &Command, files: &mut Files) -> anyhow::Result<()> {
    // Named as git names its own: mcpid-trust-add(1) is about "mcpid trust add".
    let name = command.get_display_name().unwrap_or("mcpid").to_owned();
    let mut bytes = Vec::new();
    render(command, &mut bytes).with_context(|| format!("cannot render {name}"))?;
    files.push((format!("{name}.1"), bytes));
    command.get_subcommands().filter(|c| !c.is_hide_set()).try_for_each(|sub| page(sub, files))
}

/// The page in the order of every other manual. The generator's own rendering would put all that
/// stands behind the options under one heading, "EXTRA".
fn render(command: &Command, to: &mut Vec<u8>) -> std::io::Result<()> {
    let man = Man::new(command.clone())
        .source(concat!("mcpid ", env!("CARGO_PKG_VERSION")))
        .manual("mcpid manual");
    man.render_title(to)?;
    man.render_name_section(to)?;
    man.render_synopsis_section(to)?;
    man.render_description_section(to)?;
    man.render_options_section(to)?;
    if command.get_subcommands().any(|c| !c.is_hide_set()) {
        man.render_subcommands_section(to)?;
    }
    let behind = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let mut roff = Roff::new();
    for paragraph in behind.split("\n\n") {
        let (heading, lines) = paragraph.split_once(":\n").unwrap_or(("Notes", paragraph));
        roff.control("SH", [heading.to_uppercase().as_str()]);
        // As it stands: these are tables and commands.
        roff.control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    roff.to_writer(to)
}

fn completions() -> anyhow::Result<Files> {
    let shells = [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh];
    let mut files = Vec::new();
    for shell in shells {
        let mut bytes = Vec::new();
        let mut root = Cli::command();
        root.set_bin_name("mcpid");
        root.build();
        shell
            .try_generate(&root, &mut bytes)
            .with_context(|| format!("cannot make completions for {shell}"))?;
        files.push((shell.file_name("mcpid"), bytes));
    }
    Ok(files)
}
