//! Reads a configuration file: the flags of `gateway` or `authz`, written in TOML.
//!
//! Each setting is parsed as the flag with the same name, so that file and command line follow the
//! same rules. A flag on the command line replaces the setting in the file. Every failure names the
//! file and the line.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, CommandFactory as _, Parser as _};
use mcpid::secret::quoted;
use toml::de::DeTable;

use super::file_value::words;
use crate::args::Cli;
use crate::args::usage_error;
use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::path_word;

/// The largest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The minimum length of a setting's value, in bytes, by which it is recognized in an error
/// message.
const MIN_VALUE_NAMED: usize = 4;

/// Flags that cannot be set in a configuration file.
const NOT_IN_FILES: [&str; 7] =
    ["config", "check-config", "help", "json", "quiet", "verbose", "version"];

/// A configuration file, with the line of each setting.
pub(crate) struct ConfigFile {
    /// The command to which the settings belong.
    command: &'static str,
    name: String,
    settings: Vec<FileSetting>,
}

/// One setting of a configuration file.
struct FileSetting {
    key: String,
    /// The line, counted from 1.
    line: usize,
    /// The setting as words of a command line: the flag with the same name, and its values.
    words: Vec<OsString>,
}

impl FileSetting {
    /// Returns the length of the longest value of this setting that occurs in `message` as a whole
    /// word, or `None`. Short values, such as numbers, are ignored, because they can occur by
    /// chance.
    fn named_in(&self, message: &str) -> Option<usize> {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '.');
        let values = self.words.iter().filter_map(|word| Some(word.to_str()?.split_once('=')?.1));
        let named = values.filter(|value| {
            value.len() >= MIN_VALUE_NAMED
                && message.match_indices(value).any(|(at, _)| {
                    let (before, after) = (&message[..at], &message[at + value.len()..]);
                    !before.ends_with(is_part) && !after.starts_with(is_part)
                })
        });
        named.map(str::len).max()
    }
}

impl ConfigFile {
    /// Reads the file at `path` for `command`, and checks each setting by itself.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or has a setting that its flag would refuse.
    pub(crate) fn read(command: &'static str, path: &Path) -> Result<Self, Failure> {
        let bytes = files::open_quietly(Some(path))?.read(MAX_FILE_BYTES)?;
        let name = path.display().to_string();
        let mut file = ConfigFile { command, name, settings: Vec::new() };
        let text = String::from_utf8(bytes).map_err(|_| file.broken(None, "not UTF-8"))?;
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let table = DeTable::parse(&text).map_err(|error| {
            // Only the first line of the TOML parser's message is used, because the other lines
            // quote the file.
            let why = error.message().lines().next().unwrap_or_default();
            file.broken(error.span().map(|span| line(span.start)), why)
        })?;

        let mut grammar = Cli::command();
        grammar.build();
        let flags = grammar.find_subcommand(command).map(|command| command.get_arguments());
        let flags: Vec<&Arg> = flags.into_iter().flatten().collect();
        let mut table: Vec<_> = table.into_inner().into_iter().collect();
        table.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in table {
            let (at, key) = (line(key.span().start), key.into_inner().into_owned());
            let known = flags.iter().find(|arg| arg.get_long() == Some(&key));
            let words = match known {
                _ if NOT_IN_FILES.contains(&key.as_str()) => {
                    Err(format!("{key:?} is a flag only, not a setting of a file"))
                }
                Some(arg) => words(&key, value.into_inner(), arg),
                None => {
                    let nearest =
                        nearest(command, &key).map(|near| format!("; did you mean {near:?}?"));
                    let shown = quoted(&key);
                    Err(format!("there is no setting {shown}{}", nearest.unwrap_or_default()))
                }
            };
            let words = words.map_err(|why| file.broken(Some(at), &why))?;
            file.settings.push(FileSetting { key, line: at, words });
            file.check_last()?;
        }
        file.check_all()?;
        Ok(file)
    }

    /// Returns the command line `argv` with the settings of the file added.
    ///
    /// # Errors
    /// `argv` itself is not valid.
    pub(crate) fn complete(&self, argv: &[OsString]) -> Result<Vec<OsString>, Failure> {
        let given = Cli::command()
            .try_get_matches_from(argv)
            .map_err(|error| usage_error::failure(&error, argv))?;
        let given = given.subcommand_matches(self.command);
        let mut whole = argv.to_vec();
        for setting in &self.settings {
            let id = setting.key.replace('-', "_");
            let by_flag = given.is_some_and(|given| {
                given.try_contains_id(&id).unwrap_or(false)
                    && given.value_source(&id) == Some(ValueSource::CommandLine)
            });
            if !by_flag {
                whole.extend(setting.words.iter().cloned());
            }
        }
        Ok(whole)
    }

    /// Adds the file and line of the setting that caused `failure`, if `argv` does not override it.
    /// That setting is recognized because the message begins with its flag, or else contains its
    /// value.
    pub(crate) fn locate(&self, mut failure: Failure, argv: &[OsString]) -> Failure {
        let by_flag = |setting: &&FileSetting| {
            argv.iter().filter_map(|word| word.to_str()).any(|word| {
                let flag = word.split('=').next().and_then(|flag| flag.strip_prefix("--"));
                flag == Some(setting.key.as_str())
            })
        };
        let is_named = |setting: &&FileSetting| {
            let rest = failure.message.strip_prefix("--");
            rest.and_then(|rest| rest.strip_prefix(setting.key.as_str())).is_some_and(|rest| {
                !rest.starts_with(|next: char| next == '-' || next.is_ascii_alphanumeric())
            })
        };
        let mut settings = self.settings.iter().filter(|setting| !by_flag(setting));
        let named = settings.clone().find(is_named).map(|setting| setting.line);
        let valued = || {
            let length = |setting: &FileSetting| setting.named_in(&failure.message);
            let (_, setting) = settings
                .by_ref()
                .filter_map(|s| Some((length(s)?, s)))
                .max_by_key(|(length, _)| *length)?;
            Some(setting.line)
        };
        if let Some(line) = named.or_else(valued) {
            failure.message = format!("{}: line {line}: {}", self.name, failure.message);
        }
        failure
    }

    /// Parses the setting that was read last by itself, as the flag with its name.
    fn check_last(&self) -> Result<(), Failure> {
        let Some(setting) = self.settings.last() else { return Ok(()) };
        let alone = command_line(self.command, setting.words.iter());
        match Cli::try_parse_from(&alone) {
            // Whether a required other setting is present is checked later, for all settings
            // together.
            Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => {
                let why = usage_error::failure(&error, &alone).message;
                Err(self.broken(Some(setting.line), &why))
            }
            _ => Ok(()),
        }
    }

    /// Parses all settings together as flags. A failure is then reported for the file, and not for
    /// the command line.
    fn check_all(&self) -> Result<(), Failure> {
        let all =
            command_line(self.command, self.settings.iter().flat_map(|setting| &setting.words));
        let Err(error) = Cli::try_parse_from(&all) else { return Ok(()) };
        Err(match self.unmet() {
            Some((line, why)) => self.broken(Some(line), &why),
            None => self.broken(None, &usage_error::failure(&error, &all).message),
        })
    }

    /// Returns the line of the first setting that needs another one which the file does not have, and
    /// what it needs.
    fn unmet(&self) -> Option<(usize, String)> {
        let is_set = |name: &str| self.settings.iter().any(|setting| setting.key == name);
        self.settings.iter().find_map(|setting| {
            let alone = command_line(self.command, setting.words.iter());
            let error = Cli::try_parse_from(alone).err()?;
            let ContextValue::Strings(needed) = error.get(ContextKind::InvalidArg)? else {
                return None;
            };
            let mut names =
                needed.iter().filter_map(|flag| flag.split(' ').next()?.strip_prefix("--"));
            let missing = names.find(|name| !is_set(name))?;
            Some((setting.line, format!("--{} needs --{missing}, which is missing", setting.key)))
        })
    }

    fn broken(&self, line: Option<usize>, why: &str) -> Failure {
        let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        Failure::new(Exit::Usage, "config", format!("{}: {line}{why}", self.name))
            .hint(format!(
                "mcpid {} --config {} --check-config",
                self.command,
                path_word(Path::new(&self.name))
            ))
            .hint(format!("mcpid {} --help", self.command))
    }
}

fn command_line<'a>(command: &str, words: impl Iterator<Item = &'a OsString>) -> Vec<OsString> {
    ["mcpid", command].map(OsString::from).into_iter().chain(words.cloned()).collect()
}

/// Returns the setting whose name is most similar to `key`, as clap finds similar flags.
fn nearest(command: &str, key: &str) -> Option<String> {
    let flag = format!("--{}", key.replace('_', "-").to_lowercase());
    let exact = Cli::command().find_subcommand(command).is_some_and(|command| {
        command.get_arguments().any(|arg| arg.get_long() == flag.strip_prefix("--"))
    });
    if exact {
        return flag.strip_prefix("--").map(str::to_owned);
    }
    let error = Cli::try_parse_from(["mcpid", command, &flag]).err()?;
    let suggested = match error.get(ContextKind::SuggestedArg)? {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.first()?.clone(),
        _ => return None,
    };
    let name = suggested.split(' ').next()?.strip_prefix("--")?.to_owned();
    (!NOT_IN_FILES.contains(&name.as_str())).then_some(name)
}
