//! Prints a shell command that sends exactly the signed bytes.

use std::fmt::Write as _;
use std::path::Path;

use mcpid::message::Head;
use mcpid::message::shown::is_unsafe;

use super::bodiless;
use crate::output::ui::shell_word;

/// Maximum size of a body, in bytes, that is written into the command itself. Linux limits an
/// argument to 128 KiB.
const MAX_INLINE_BYTES: usize = 16 * 1024;

/// How curl gets the body of the request.
enum CurlBody {
    /// curl gets the body from this flag with this value.
    Flag(&'static str, String),
    /// curl gets the body from a pipe: the output of this command.
    Printed(String),
    /// curl gets the body from stdin, which the user has to provide.
    Stdin,
}

/// Returns the command, and whether the user has to provide the body on stdin. The flags of curl
/// turn off what it does by default: remove dot segments, expand brackets, drop newlines, and add a
/// content type and an `Expect`.
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
        // A header without a value is written with a semicolon, because with a colon curl would
        // remove that header.
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
            CurlBody::Flag(flag, value) => add(flag, &value),
            CurlBody::Printed(command) => {
                before = format!("{command} | ");
                add("--data-binary", "@-");
            }
            CurlBody::Stdin => {
                fed = true;
                add("--data-binary", "@-");
            }
        }
    }
    if head.method() == "HEAD" {
        // `--head` is used, because with `-X HEAD` curl would wait for a body that never comes.
        words.push("--head".to_owned());
    }
    words.push(shell_word(url).into_owned());
    (format!("{before}{}", words.join(" ")), fed)
}

fn source(body: &[u8], file: Option<&Path>) -> CurlBody {
    if let Some(path) = file.and_then(lasting_path) {
        return CurlBody::Flag("--data-binary", format!("@{path}"));
    }
    if body.len() > MAX_INLINE_BYTES {
        return CurlBody::Stdin;
    }
    match std::str::from_utf8(body) {
        // `--data-raw` is used, because `--data` would take a value that begins with @ for a file
        // name.
        Ok(text) if !text.contains(|c| c != '\n' && is_unsafe(c)) => {
            CurlBody::Flag("--data-raw", text.to_owned())
        }
        _ => CurlBody::Printed(printf(body)),
    }
}

/// Returns the path of the body's file if curl can read it again. That excludes pipes, and paths in
/// /dev or /proc, which belong to this process.
fn lasting_path(path: &Path) -> Option<&str> {
    let own = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
    let regular = std::fs::metadata(path).is_ok_and(|about| about.is_file());
    path.to_str().filter(|name| regular && !own && !name.contains(is_unsafe))
}

/// Returns a POSIX command that prints these bytes, in printable ASCII.
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
    // A format that begins with a dash is escaped, because printf would take it for a flag.
    if let Some(rest) = format.strip_prefix('-') {
        format = format!("\\055{rest}");
    }
    format!("printf {}", shell_word(&format))
}
