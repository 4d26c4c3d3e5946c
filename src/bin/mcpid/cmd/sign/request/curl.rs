//! A shell command that sends exactly the signed bytes.

use std::fmt::Write as _;
use std::path::Path;

use mcpid::message::Head;
use mcpid::message::shown::is_unsafe;

use super::bodiless;
use crate::output::ui::shell_word;

/// Bytes of a body that is written into the command itself. An argument has room for 128 KiB.
const MOST_INLINE: usize = 16 * 1024;

/// How the body gets to curl.
enum Source {
    /// By the flag and its value.
    Flag(&'static str, String),
    /// By a command whose output is the body.
    Printed(String),
    /// By stdin, which the caller has to feed.
    Stdin,
}

/// The command, and whether its caller has to feed it the body. Left to itself, curl squeezes dot
/// segments, globs brackets, drops newlines, and sends a content type and an `Expect` of its own.
pub(super) fn command(
    head: &Head<'_>,
    headers: &[(String, String)],
    body: &[u8],
    url: &str,
    file: Option<&Path>,
) -> (String, bool) {
    let mut words = vec!["curl".to_owned(), "--path-as-is".to_owned(), "--globoff".to_owned()];
    let mut add = |flag: &str, value: &str| {
        words.push(flag.to_owned());
        words.push(shell_word(value).into_owned());
    };
    add("--request", head.method());
    for (name, value) in headers {
        // A colon with nothing behind it would take the header away.
        match value.is_empty() {
            true => add("--header", &format!("{name};")),
            false => add("--header", &format!("{name}: {value}")),
        }
    }
    let (mut before, mut fed) = (String::new(), false);
    if body.is_empty() {
        if !bodiless(head.method()) {
            add("--header", "Content-Length: 0");
        }
    } else {
        add("--header", "Expect:");
        match source(body, file) {
            Source::Flag(flag, value) => add(flag, &value),
            Source::Printed(command) => {
                before = format!("{command} | ");
                add("--data-binary", "@-");
            }
            Source::Stdin => {
                fed = true;
                add("--data-binary", "@-");
            }
        }
    }
    if head.method() == "HEAD" {
        // With -X HEAD alone, curl waits for a body that never comes.
        words.push("--head".to_owned());
    }
    words.push(shell_word(url).into_owned());
    (format!("{before}{}", words.join(" ")), fed)
}

fn source(body: &[u8], file: Option<&Path>) -> Source {
    if let Some(path) = file.and_then(kept) {
        return Source::Flag("--data-binary", format!("@{path}"));
    }
    if body.len() > MOST_INLINE {
        return Source::Stdin;
    }
    match std::str::from_utf8(body) {
        // --data would take what begins with @ for a file, and --data-raw does not.
        Ok(text) if !text.contains(|c| c != '\n' && is_unsafe(c)) => {
            Source::Flag("--data-raw", text.to_owned())
        }
        _ => Source::Printed(printf(body)),
    }
}

/// The path of a file that curl will find as it was read: no pipe, nor one that only this process
/// knows by that name.
fn kept(path: &Path) -> Option<&str> {
    let own = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
    let regular = std::fs::metadata(path).is_ok_and(|about| about.is_file());
    path.to_str().filter(|name| regular && !own && !name.contains(is_unsafe))
}

/// A POSIX command that prints these bytes; its arguments are printable ASCII.
fn printf(bytes: &[u8]) -> String {
    let mut format = String::with_capacity(bytes.len() * 4);
    for byte in bytes {
        match byte {
            b'%' => format.push_str("%%"),
            b'\\' => format.push_str("\\\\"),
            b' '..=b'~' => format.push(char::from(*byte)),
            _ => {
                let _ = write!(format, "\\{byte:03o}");
            }
        }
    }
    // A format that begins with a dash would be taken for a flag.
    if let Some(rest) = format.strip_prefix('-') {
        format = format!("\\055{rest}");
    }
    format!("printf {}", shell_word(&format))
}
