//! Reads the values of `-H`: `Name: value`, or `@FILE` with one header on each line.

use std::path::Path;

use mcpid::secret::overlaps;
use mcpid::verify::MAX_HEAD;
use zeroize::Zeroizing;

use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::Failure;

/// Parses each header in `flags` with `read`, in the order given. `example` shows how to use a
/// file.
///
/// # Errors
/// A file cannot be read, or `read` refuses a header.
pub(crate) fn read_headers<T>(
    flags: &[String],
    example: &str,
    read: impl Fn(&str) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut headers = Vec::new();
    for flag in flags {
        let Some(path) = flag.strip_prefix('@') else {
            headers.push(read(flag)?);
            continue;
        };
        if path.is_empty() {
            return Err(Failure::usage("-H @ wants the name of a file").hint(example));
        }
        let bytes = files::open_quietly(Some(Path::new(path)))?.read(MAX_HEAD as u64)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Failure::new(Exit::Input, "not_text", format!("{path} is not UTF-8 text"))
        })?;
        let text = Zeroizing::new(text);
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            headers.push(read(line).map_err(|failure| in_file(failure, path, number, line))?);
        }
    }
    Ok(headers)
}

/// Adds the file and line to a failure about a header in a file. The message repeats the name of
/// the field, but no line without a colon, which may be a password.
fn in_file(failure: Failure, path: &str, number: u32, line: &str) -> Failure {
    let why = match failure.message {
        why if why.contains("follows from") || !overlaps(line, &why) => why,
        _ => "not a header that can be sent".to_owned(),
    };
    Failure { message: format!("{path}: line {number}: {why}"), ..failure }
}
