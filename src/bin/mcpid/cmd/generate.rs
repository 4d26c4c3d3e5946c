//! `mcpid generate`: writes man pages and completions, which are generated from the command-line
//! grammar.
//!
//! The output depends only on the grammar and the version. A test compares the committed files with
//! it.

mod completions;
mod man;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap_complete::aot::Shell;

use crate::args::{GenerateArgs, GenerateWhat};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Writes the files, and prints their names.
pub(crate) fn run(args: &GenerateArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (dir, files) = match &args.what {
        GenerateWhat::Man(to) => (&to.dir, man::pages()),
        GenerateWhat::Completions(to) => (&to.dir, completions()),
    };
    // An error here is a fault in the command-line grammar.
    let bug = |e: anyhow::Error| Failure::new(Exit::Bug, "bug", format!("{e:#}"));
    let names = write(dir, files.map_err(bug)?)?;
    if ui.json() {
        ui.json_line(&GeneratedJson { version: 1, files: names })?;
    } else {
        for name in names {
            ui.line(&name)?;
        }
    }
    Ok(Exit::Ok)
}

#[derive(serde::Serialize)]
struct GeneratedJson {
    version: u8,
    files: Vec<String>,
}

type GeneratedFiles = Vec<(String, Vec<u8>)>;

fn write(dir: &Path, files: GeneratedFiles) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for (name, bytes) in files {
        let path = dir.join(&name);
        crate::input::files::check_folder(&path)?;
        fs::write(&path, bytes).map_err(|e| Failure::write(&path, &e))?;
        names.push(path.display().to_string());
    }
    Ok(names)
}

fn completions() -> anyhow::Result<GeneratedFiles> {
    let shells = [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh];
    shells
        .into_iter()
        .map(|shell| {
            completions::script(shell)
                .with_context(|| format!("cannot make completions for {shell}"))
        })
        .collect()
}
