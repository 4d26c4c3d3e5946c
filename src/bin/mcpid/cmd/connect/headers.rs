//! Reads the flag `-H` of `connect`: headers that are added to every request. Values may be
//! secrets, so messages never repeat them.

use std::env;

use http::{HeaderName, HeaderValue};

use crate::input::header_flag;
use crate::output::failure::Failure;

const AGAIN: &str = "mcpid connect -H 'Authorization: Bearer ${TOKEN}' URL";

/// Reads the headers of `-H`, in the order given. A file has one header on each line.
///
/// # Errors
/// A file cannot be read, a text is not a header, a header is reserved for the bridge, or a
/// variable is not set.
pub(super) fn from_flags(flags: &[String]) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    header_flag::read_headers(flags, "mcpid connect -H @headers.txt URL", |line| {
        header(line, |name| env::var_os(name).map(|value| value.into_string().unwrap_or_default()))
    })
}

/// The headers of `-H`, as they are written into a printed configuration.
#[derive(Debug, Default)]
pub(super) struct ConfigHeaders {
    /// The values of `-H` that may stay in the configuration, because they are no secrets.
    pub(super) flags: Vec<String>,
    /// The lines that belong into a separate file. A value that may be a secret or comes from a
    /// variable is replaced by the word TOKEN.
    pub(super) lines: Vec<String>,
}

/// Reads only the flags: variables need not be set, and no file is read.
///
/// # Errors
/// A text is not a header, or a header is reserved for the bridge.
pub(super) fn written(flags: &[String]) -> Result<ConfigHeaders, Failure> {
    let mut written = ConfigHeaders::default();
    for flag in flags {
        if let Some(path) = flag.strip_prefix('@') {
            if path.is_empty() {
                return Err(Failure::usage("-H @ wants the name of a file"));
            }
            let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
            written.flags.push(format!("@{}", path.to_string_lossy()));
            continue;
        }
        let (name, _) = header(flag, |_| Some("x".to_owned()))?;
        let value = flag.split_once(':').map_or("", |(_, value)| value.trim());
        if value.contains("${") || may_be_secret(name.as_str()) {
            let scheme = value.split_once(' ').map_or("", |(scheme, _)| scheme);
            let known = ["Bearer", "Basic", "DPoP"].iter().find(|known| **known == scheme);
            let scheme = known.map(|known| format!("{known} ")).unwrap_or_default();
            written.lines.push(format!("{name}: {scheme}TOKEN"));
        } else {
            written.flags.push(flag.clone());
        }
    }
    Ok(written)
}

fn may_be_secret(name: &str) -> bool {
    let words =
        ["auth", "cookie", "key", "token", "secret", "pass", "session", "credential", "dpop"];
    words.iter().any(|word| name.contains(word))
}

fn header(
    line: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(HeaderName, HeaderValue), Failure> {
    // The text may be a token, which must not end up in a log. So messages name only the field.
    let Some((name, value)) = line.split_once(':') else {
        return Err(Failure::usage("a header is a name, a colon and a value").hint(AGAIN));
    };
    let name = HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| Failure::usage("what stands before the colon of -H is no header name"))?;
    if follows(name.as_str()) {
        let message = format!("{name} is not for -H: it follows from the message");
        return Err(Failure::usage(message).hint("leave it out"));
    }
    let value = filled(name.as_str(), value.trim_matches([' ', '\t']), variable)?;
    let mut value = HeaderValue::from_str(value.trim_matches([' ', '\t'])).map_err(|_| {
        Failure::usage(format!("the value of {name} holds a control character or a line break"))
    })?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Returns true if the bridge sets this field itself, or if the field could change the meaning of a
/// request. Such a header is refused.
fn follows(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "accept-encoding"
            | "connection"
            | "content-digest"
            | "content-encoding"
            | "content-length"
            | "content-type"
            | "expect"
            | "host"
            | "keep-alive"
            | "last-event-id"
            | "proxy-connection"
            | "signature"
            | "signature-input"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    ) || name.starts_with("mcp-")
}

/// Returns `value` with each `${NAME}` replaced by what `variable` returns for the name. A `$`
/// without `{` after it stays.
fn filled(
    header: &str,
    value: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, Failure> {
    let mut filled = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        filled.push_str(before);
        let (name, after) = after.split_once('}').unwrap_or(("", ""));
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let starts = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if !starts || !name.bytes().all(is_allowed) {
            let message = format!("in the value of {header}: ${{ wants a variable's name and a }}");
            return Err(Failure::usage(message).hint(AGAIN));
        }
        match variable(name) {
            Some(text) if !text.is_empty() => filled.push_str(&text),
            Some(_) => {
                let message = format!("{name}, which -H {header} names, is empty, or not UTF-8");
                return Err(Failure::usage(message));
            }
            None => {
                let message = format!("{name}, which -H {header} names, is not set");
                return Err(Failure::usage(message));
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn variables_are_filled_in_and_never_repeated() {
        let known = |name: &str| match name {
            "TOKEN" => Some("s3cret".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let fill = |value: &str| filled("authorization", value, known);
        assert_eq!(fill("Bearer ${TOKEN}").unwrap(), "Bearer s3cret");
        assert_eq!(fill("${TOKEN}${TOKEN}$").unwrap(), "s3crets3cret$");
        assert_eq!(fill("$TOKEN $5 {x}").unwrap(), "$TOKEN $5 {x}");
        for value in ["${OTHER}", "${EMPTY}", "${TOKEN", "${}", "${a-b}", "${1}", "s3cret ${"] {
            let failure = fill(value).unwrap_err();
            assert_eq!(failure.exit, crate::output::exit::Exit::Usage, "{value}");
            assert!(!failure.message.contains("s3cret"), "{value}: {}", failure.message);
        }
    }

    #[test]
    fn no_secret_is_written_into_a_configuration() {
        let flags = ["Authorization: Bearer s3cret", "X-Api-Key: s3cret", "X-Team: blue"];
        let more = ["X-Trace: a${T}\"$(s3cret)`", "Cookie: s3cret"];
        let flags: Vec<String> = flags.iter().chain(&more).map(|flag| (*flag).to_owned()).collect();
        let written = written(&flags).unwrap();
        assert_eq!(written.flags, ["X-Team: blue"]);
        let expected =
            ["authorization: Bearer TOKEN", "x-api-key: TOKEN", "x-trace: TOKEN", "cookie: TOKEN"];
        assert_eq!(written.lines, expected);
    }

    #[test]
    fn headers_that_follow_from_the_message_are_refused() {
        for name in [
            "Host",
            "Accept-Encoding",
            "Content-Type",
            "Signature",
            "Mcp-Session-Id",
            "MCP-Protocol-Version",
        ] {
            assert!(header(&format!("{name}: x"), |_| None).is_err(), "{name}");
        }
        for line in ["", "x", ": y", "a b: c", "a: b\rc"] {
            assert!(header(line, |_| None).is_err(), "{line:?}");
        }
        let (name, value) = header("X-Team:  a b \t", |_| None).unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-team", "a b"));
        assert!(!format!("{value:?}").contains("a b"), "it may be a secret");
    }
}
