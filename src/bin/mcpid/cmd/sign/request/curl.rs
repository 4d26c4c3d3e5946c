//! Prints a shell command that sends exactly the signed bytes.

use std::fmt::Write as _;
use std::path::Path;

use mcpid::message::Head;
use mcpid::message::shown::is_unsafe;

use super::bodiless;
use crate::output::ui::shell_word;

/// Maximum size of a body that is written into the command itself, in bytes. Linux limits an
/// argument to 128 KiB.
const MAX_INLINE_BYTES: usize = 16 * 1024;

/// The source of the body for curl.
enum CurlBody {
    /// The body comes from this flag and value.
    Flag(&'static str, String),
    /// The body comes from a command that prints it.
    Printed(String),
    /// The body comes from stdin; the caller has to provide it.
    Stdin,
}

/// Returns the command, and whether the caller has to put the body on its stdin. By default, curl
/// removes dot segments, expands brackets, drops newlines, and adds a content type and an `Expect`.
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
        // Without a value, the colon would make curl remove the header.
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
        // With -X HEAD alone, curl waits for a body that never comes.
        words.push("--head".to_owned());
    }
    words.push(shell_word(url).into_owned());
    (format!("{before}{}", words.join(" ")), fed)
}

fn source(body: &[u8], file: Option<&Path>) -> CurlBody {
    if let Some(path) = file.and_then(kept) {
        return CurlBody::Flag("--data-binary", format!("@{path}"));
    }
    if body.len() > MAX_INLINE_BYTES {
        return CurlBody::Stdin;
    }
    match std::str::from_utf8(body) {
        // --data would read a value that begins with @ as the name of a file.
        Ok(text) if !text.contains(|c| c != '\n' && is_unsafe(c)) => {
            CurlBody::Flag("--data-raw", text.to_owned())
        }
        _ => CurlBody::Printed(printf(body)),
    }
}

/// Returns the path of the body's file, if curl can read it again: it is neither a pipe nor a path
/// in /dev or /proc, which only this process has.
fn kept(path: &Path) -> Option<&str> {
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
    // printf would read a format that begins with a dash as a flag.
    if let Some(rest) = format.strip_prefix('-') {
        format = format!("\\055{rest}");
    }
    format!("printf {}", shell_word(&format))
}
