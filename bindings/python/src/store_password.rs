//! The password of a nonce store in Redis, from the environment.

use std::env;
use std::fs;

use zeroize::Zeroizing;

/// The variable with the password of a Redis store. With `_FILE` at its end, the variable names a
/// file that holds the password.
const PASSWORD: &str = "MCPID_NONCES_PASSWORD";
/// The longest password in a file, in bytes, so that a wrong file does not fill the memory.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// Returns the password of Redis servers that a variable gives. `in_url` says whether the URL has
/// one already.
///
/// # Errors
/// What is wrong with the variables. The text never repeats a password.
pub(crate) fn password(in_url: bool) -> Result<Option<Zeroizing<String>>, String> {
    let file_variable = format!("{PASSWORD}_FILE");
    let (direct, path) = (env::var_os(PASSWORD), env::var_os(&file_variable));
    let given = [
        (direct.is_some(), PASSWORD),
        (path.is_some(), file_variable.as_str()),
        (in_url, "the store's own name"),
    ];
    let given: Vec<&str> =
        given.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect();
    if let [one, other, ..] = given.as_slice() {
        return Err(format!("{one} and {other} both give a password"));
    }
    let text = match (direct, path) {
        (Some(text), _) => text.into_string().ok().map(Zeroizing::new),
        (None, Some(path)) => match fs::metadata(&path) {
            Ok(about) if about.is_file() && about.len() <= MAX_PASSWORD_BYTES => {
                let text = fs::read_to_string(&path).map(Zeroizing::new).ok();
                text.map(|text| Zeroizing::new(text.strip_suffix('\n').unwrap_or(&text).to_owned()))
            }
            _ => return Err(format!("the file that {file_variable} names cannot be read")),
        },
        (None, None) => return Ok(None),
    };
    let name = given.first().copied().unwrap_or(PASSWORD);
    match text {
        Some(text) if text.is_empty() => Err(format!("{name} gives an empty password")),
        Some(text) => Ok(Some(text)),
        None => Err(format!("{name} gives no text in UTF-8")),
    }
}
