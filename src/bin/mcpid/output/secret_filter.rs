//! Keeps secrets from the command line and the environment out of messages.
//!
//! A key that was pasted in place of a file name must not end up in a log. Every message passes
//! [`SecretFilter`]. So it does not matter how the text got into the message: from a path that
//! cannot be read, from the check of a flag, or from a hint that repeats the command line.

use std::borrow::Cow;
use std::env;
use std::ffi::OsString;
use std::path::Path;

use clap::ValueHint;
use mcpid::audit::note::NoteKey;
use mcpid::secret::{MAX_SHOWN, SecretKind, description, overlaps};

use crate::output::ui::shell_word;

/// Variables that name files, programs and stores. If a secret was put into one by mistake,
/// messages must not repeat it.
const VARIABLES: [&str; 11] = [
    "HOME",
    "MCPID_ASKPASS",
    "MCPID_KEY",
    "MCPID_NONCES",
    "MCPID_NONCES_PASSWORD_FILE",
    "MCPID_PKCS11_MODULE",
    "MCPID_TRUST",
    "SSH_ASKPASS",
    "SSH_AUTH_SOCK",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
];

/// Flags whose value is a name or a sentence, so that four words in it are not taken for a
/// passphrase.
const NAMES: [&str; 6] = ["--client-id", "--label", "--name", "--realm", "--reason", "--tool"];

/// The arguments and variables that messages must not repeat.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecretFilter {
    /// The whole command line, quoted for a shell. A hint must not repeat it.
    command: String,
    withheld: Vec<Withheld>,
}

/// A text that messages must not repeat.
#[derive(Clone, Debug)]
struct Withheld {
    text: String,
    /// The description that messages show in place of the text.
    shown: String,
    /// Parts of a secret. If a message contains a piece of such a part, the whole message is
    /// replaced.
    parts: Vec<String>,
    /// Whether hints may contain the text: this is so for a long path whose folder exists, which is
    /// no secret.
    in_hints: bool,
}

impl SecretFilter {
    /// Examines the arguments and the environment of this process for texts that look like secrets.
    pub(crate) fn of(argv: &[OsString]) -> Self {
        let words = argv.iter().skip(1).map(|word| word.to_string_lossy());
        let words: Vec<_> = words.map(|word| shell_word(&word).into_owned()).collect();
        let mut filter =
            SecretFilter { command: format!("mcpid {}", words.join(" ")), withheld: Vec::new() };
        filter.add(argv);
        for name in VARIABLES {
            if let Some(value) = env::var_os(name) {
                filter.withhold(&value.to_string_lossy(), &format!("the value of {name}"), false);
            }
        }
        filter
    }

    /// Also examines further arguments, such as the settings of a configuration file.
    pub(crate) fn add(&mut self, argv: &[OsString]) {
        let mut before: Option<String> = None;
        for word in argv.iter().skip(1) {
            let word = word.to_string_lossy();
            let (flag, value) = match split(&word) {
                Some((flag, value)) => (Some(flag.to_owned()), value),
                None => (before.take(), &*word),
            };
            before = is_flag(&word).then(|| word.clone().into_owned());
            let name = match &flag {
                Some(flag) => format!("the value given to {flag}"),
                None => "an argument".to_owned(),
            };
            let is_name = flag.as_deref().is_some_and(|flag| NAMES.contains(&flag));
            self.withhold(value, &name, is_name);
        }
    }

    fn withhold(&mut self, text: &str, name: &str, is_name: bool) {
        // If the text begins with one of these prefixes, the rest is what the user chose.
        let own = ["@", "sqlite:", "unix:"].iter().find_map(|before| text.strip_prefix(before));
        let text = own.unwrap_or(text);
        let path = Path::new(text);
        // The name of an existing file is not a secret that was pasted by mistake.
        if text.is_empty() || path.symlink_metadata().is_ok() || text.parse::<NoteKey>().is_ok() {
            return;
        }
        let kind = SecretKind::of(text);
        let kind = kind.filter(|kind| *kind != SecretKind::Passphrase || !is_name);
        let parts = kind.map(|kind| kind.parts(text)).unwrap_or_default();
        let parts = parts.into_iter().map(str::to_owned).collect();
        let described = description(text).unwrap_or_default();
        let mut withheld = Withheld {
            text: text.to_owned(),
            shown: format!("{name} {described}"),
            parts,
            in_hints: false,
        };
        if kind.is_none() {
            let is_url = text.starts_with("https://") || text.starts_with("http://");
            if is_url || text.chars().count() <= MAX_SHOWN {
                return;
            }
            if let Some(file) = file_name(path) {
                withheld.shown = format!("…/{file}");
                withheld.in_hints = path.parent().is_some_and(Path::exists);
            }
        }
        self.withheld.push(withheld);
    }

    /// Returns `message` with each withheld text replaced by its description.
    pub(crate) fn message<'a>(&self, message: &'a str) -> Cow<'a, str> {
        self.replaced(message, |_| true)
    }

    /// Returns true if `hint` may be printed: it contains no text that looks like a secret, and is
    /// not the command that the user typed.
    pub(crate) fn allows_hint(&self, hint: &str) -> bool {
        let command = hint.rsplit_once(": ").map_or(hint, |(_, command)| command);
        let typed = !self.command.is_empty() && [hint, command].contains(&self.command.as_str());
        !typed && self.replaced(hint, |withheld| !withheld.in_hints) == hint
    }

    fn replaced<'a>(&self, line: &'a str, of: impl Fn(&Withheld) -> bool) -> Cow<'a, str> {
        let mut line = Cow::Borrowed(line);
        for withheld in self.withheld.iter().filter(|withheld| of(withheld)) {
            let Withheld { text, shown, .. } = withheld;
            for form in [format!("{text:?}"), format!("'{text}'"), shell_word(text).into_owned()] {
                if line.contains(&form) {
                    line = Cow::Owned(line.replace(&form, shown));
                }
            }
            if line.contains(text) {
                line = Cow::Owned(line.replace(text, shown));
            }
        }
        // The message may contain a changed or shortened form of the text.
        let left = |w: &&Withheld| w.parts.iter().any(|part| overlaps(part, &line));
        match self.withheld.iter().filter(|w| of(w)).find(left) {
            Some(withheld) => Cow::Owned(format!("{} cannot be used", withheld.shown)),
            None => line,
        }
    }
}

/// Returns the last part of a path. Returns None if the path has only one part, or if the last part
/// may be a secret.
fn file_name(path: &Path) -> Option<String> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    let name = path.file_name()?.to_string_lossy().into_owned();
    description(&name).is_none().then_some(name)
}

/// Splits a word that contains a flag and its value: `--key=x` or `-kx`.
fn split(word: &str) -> Option<(&str, &str)> {
    if let Some((flag, value)) = word.split_once('=')
        && is_flag(flag)
    {
        return Some((flag, value));
    }
    let (flag, value) = word.split_at_checked(2)?;
    (is_flag(flag) && !word.starts_with("--") && !value.is_empty()).then_some((flag, value))
}

/// Returns true if `word` has the form of a flag: `--` and lower-case letters, or `-` and one
/// letter.
fn is_flag(word: &str) -> bool {
    let is_lower = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    match word.strip_prefix("--") {
        Some(name) => {
            name.len() <= MAX_SHOWN && name.starts_with(char::is_alphabetic) && is_lower(name)
        }
        None => word.len() == 2 && word.starts_with('-') && word.ends_with(char::is_alphabetic),
    }
}

/// Returns true if the value of `arg` is a path.
pub(crate) fn is_path(arg: &clap::Arg) -> bool {
    matches!(
        arg.get_value_hint(),
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath | ValueHint::ExecutablePath
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN PRIVATE KEY-----MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06";

    fn filter_of(words: &[&str]) -> SecretFilter {
        let mut filter = SecretFilter::default();
        let words = ["mcpid"].iter().chain(words);
        filter.add(&words.map(OsString::from).collect::<Vec<_>>());
        filter
    }

    #[test]
    fn a_key_in_place_of_a_path_is_described() {
        for words in [&["verify", "-k", PEM][..], &["-k", PEM], &[&format!("--key={PEM}")]] {
            let filter = filter_of(words);
            let message = filter.message(&format!("cannot read {PEM}: no such file")).into_owned();
            let flag = if words.len() == 1 { "--key" } else { "-k" };
            let expected = format!(
                "cannot read the value given to {flag} ({} characters, looks like a PEM block): no \
                 such file",
                PEM.len()
            );
            assert_eq!(message, expected);
            assert!(!filter.allows_hint(&format!("ls {PEM}")));
            assert!(!filter.allows_hint(&format!("ls {}", &PEM[30..50])));
            assert!(filter.allows_hint("mcpid verify --help"));
        }
        let cut = filter_of(&[PEM]).message(&format!("scheme {}", &PEM[30..44])).into_owned();
        assert!(cut.starts_with("an argument (") && cut.ends_with("cannot be used"), "{cut}");
    }

    #[test]
    fn text_without_secrets_is_repeated() {
        let long = format!("/no/{}/such.http", "folder".repeat(20));
        let filter = filter_of(&["verify", "singed.http", &long, "--name", "four words are fine"]);
        for text in ["cannot read singed.http", "the name four words are fine"] {
            assert_eq!(filter.message(text), text);
        }
        assert_eq!(filter.message(&format!("cannot read {long}")), "cannot read …/such.http");
        let here = format!("{}/missing.json", std::env::temp_dir().display());
        assert!(filter.allows_hint(&format!("mcpid keygen -o {here}")));
    }
}
