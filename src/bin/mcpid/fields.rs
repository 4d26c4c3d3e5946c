//! `-H` of every command that has it: `Name: value`, or `@FILE` with one of these a line.

use std::path::Path;

use mcpid::verify::MAX_HEAD;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// Reads each header of `flags` by `read`, in the order given. `example` shows a use of a file.
///
/// # Errors
/// A file that cannot be read, or what `read` refuses.
pub(crate) fn given<T>(
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
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            headers.push(read(line)?);
        }
    }
    Ok(headers)
}
