//! Decides whether a text may be a secret, and describes such a text without repeating it.
//!
//! Users paste a key in place of a file name, or give a file to the wrong flag. A message that
//! repeats such an argument would put the secret into a log. So every message that would repeat an
//! argument, a variable or the content of a file first asks [`SecretKind::of`].

use std::fmt;

/// Maximum number of characters of a text that a message may repeat.
pub const MAX_SHOWN: usize = 64;

/// The shortest run of hexadecimal digits that counts as a part of a key.
const HEX_RUN: usize = 24;

/// The shortest run of random letters and digits that counts as a token or as a part of a key.
const RANDOM_RUN: usize = 16;

/// The shortest random run that is described as base64 (30 bytes).
const BASE64_RUN: usize = 40;

/// The least number of words that counts as a passphrase.
const PASSPHRASE_WORDS: usize = 4;

/// The kind of secret that a text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretKind {
    /// A PEM block (RFC 7468) or a part of it, with or without its line breaks.
    Pem,
    /// A JSON object, such as a private JWK.
    Json,
    /// A key in hexadecimal digits.
    Hex,
    /// A key in base64 or base64url.
    Base64,
    /// A URL with a user name or password (RFC 3986 section 3.2.1).
    UserInfo,
    /// The value of an `Authorization` field (RFC 9110 section 11.6.2), or a JWT.
    Credentials,
    /// Letters and digits without a pattern.
    Random,
    /// Several words and nothing else, like a passphrase.
    Passphrase,
}

impl fmt::Display for SecretKind {
    /// Writes a description with its article, such as "a PEM block".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SecretKind::Pem => "a PEM block",
            SecretKind::Json => "JSON",
            SecretKind::Hex => "a key in hex",
            SecretKind::Base64 => "a key in base64",
            SecretKind::UserInfo => "a URL with a password",
            SecretKind::Credentials => "credentials",
            SecretKind::Random => "a token",
            SecretKind::Passphrase => "a passphrase",
        })
    }
}

impl SecretKind {
    /// Returns what `text` looks like if it may be a secret. This is a guess that errs on the safe
    /// side: a file name that is a SHA-256 in hex also looks like a key.
    pub fn of(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let has = |part: &str| lower.contains(part);
        if has("-----") || has("private key") || has("openssh key") {
            return Some(SecretKind::Pem);
        }
        if lower.trim_start().starts_with(['{', '\u{feff}']) || has("\":") || has("\\\":") {
            return Some(SecretKind::Json);
        }
        if user_info(text).is_some() {
            return Some(SecretKind::UserInfo);
        }
        if is_credentials(text, &lower) {
            return Some(SecretKind::Credentials);
        }
        match random_runs(text).max_by_key(|(run, _)| run.len()) {
            Some((_, true)) => return Some(SecretKind::Hex),
            Some((run, _)) if run.len() >= BASE64_RUN => return Some(SecretKind::Base64),
            Some(_) => return Some(SecretKind::Random),
            None => {}
        }
        is_words(text).then_some(SecretKind::Passphrase)
    }

    /// Returns the parts of `text` that a message must not contain. Each has at least 4 bytes;
    /// shorter parts could occur by chance.
    pub fn parts(self, text: &str) -> Vec<&str> {
        let parts: Vec<&str> = match self {
            SecretKind::UserInfo => user_info(text).into_iter().collect(),
            SecretKind::Credentials => {
                vec![text.rsplit([' ', ':', '=']).next().unwrap_or(text)]
            }
            SecretKind::Hex | SecretKind::Base64 | SecretKind::Random => {
                random_runs(text).map(|(run, _)| run).collect()
            }
            SecretKind::Pem | SecretKind::Json | SecretKind::Passphrase => vec![text],
        };
        parts.into_iter().filter(|part| part.len() >= 4).collect()
    }
}

/// Returns `text` in quotes if a message may repeat it. Otherwise returns its length and what it
/// looks like, in parentheses: `(118 characters, looks like a PEM block)`.
pub fn quoted(text: &str) -> String {
    match description(text) {
        None => format!("{text:?}"),
        Some(description) => description,
    }
}

/// Returns a description of a text that must not be repeated. Returns `None` for a text that may
/// be: at most [`MAX_SHOWN`] printable characters that do not look like a secret.
pub fn description(text: &str) -> Option<String> {
    let count = text.chars().count();
    let what = match SecretKind::of(text) {
        Some(kind) => format!(", looks like {kind}"),
        None if text.chars().any(char::is_control) => ", some of them not printable".into(),
        None if count > MAX_SHOWN => String::new(),
        None => return None,
    };
    Some(format!("({count} character{}{what})", if count == 1 { "" } else { "s" }))
}

/// Returns what is wrong with JSON text, and where. Unlike the message of `serde_json`, never
/// quotes the text.
pub fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // The text after the last ", expected " is fixed text of serde, so it is no part of the input.
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None if text.starts_with("unknown ") => {
            format!("something unknown at line {} column {}", error.line(), error.column())
        }
        None => text,
    }
}

/// Returns true if `line` contains 8 characters in a row of `part` (or all of a shorter `part`), in
/// either letter case.
pub fn overlaps(part: &str, line: &str) -> bool {
    const SHARED: usize = 8;
    let (part, line) = (part.to_lowercase(), line.to_lowercase());
    let letters: Vec<(usize, char)> = line.char_indices().collect();
    if part.chars().count() < SHARED {
        return !part.is_empty() && line.contains(&part);
    }
    letters.windows(SHARED).any(|window| match window {
        [(from, _), .., (to, last)] => {
            line.get(*from..to + last.len_utf8()).is_some_and(|shared| part.contains(shared))
        }
        _ => false,
    })
}

/// Returns true if `text` is a header field that authenticates a client, or the value of such a
/// field.
fn is_credentials(text: &str, lower: &str) -> bool {
    let field =
        ["authorization:", "cookie:", "password=", "token=", "api-key:", "apikey:", "pin-value="];
    let scheme = ["bearer ", "basic "].iter().any(|scheme| {
        let token = lower.split_once(scheme).map(|(_, token)| token.trim());
        token.is_some_and(|token| token.len() >= 3 && !token.contains([' ', '.', '/']))
    });
    // A JWT begins with a JSON object in base64url.
    let jwt = text.len() >= 16 && text.starts_with("eyJ");
    // The attribute `token` of a PKCS #11 URI is the label of a device (RFC 7512 section 2.3).
    let others = match lower.strip_prefix("pkcs11:") {
        Some(attributes) => format!(";{attributes}").replace(";token=", ";"),
        None => lower.to_owned(),
    };
    scheme || jwt || field.iter().any(|name| others.contains(name))
}

/// Returns user name and password of a URL, even if the rest of the URL is cut off.
fn user_info(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if let Some((user, _)) = rest.rsplit_once('@') {
        return Some(user);
    }
    // If the text is cut before the `@`, the password stands where a port would be.
    let (_, port) = authority.rsplit_once(':').filter(|_| !authority.contains(['[', ',']))?;
    (!port.bytes().all(|b| b.is_ascii_digit())).then_some(authority)
}

/// Returns the runs of letters and digits in `text` that look random. The flag of each is true if
/// the run is hexadecimal.
fn random_runs(text: &str) -> impl Iterator<Item = (&str, bool)> {
    const BETWEEN: [char; 3] = ['/', '-', '_'];
    let of_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    // These prefixes mark a fingerprint or an identifier of a public key, which is no secret.
    let public = ["SHA256:", "did:key:z"].iter().any(|name| text.contains(name));
    let runs = text.split(move |c| !of_base64(c)).filter(move |_| !public);
    runs.flat_map(|run| {
        // In base64, one of the characters in `BETWEEN` occurs about every 32 characters. They are
        // more frequent in paths and names.
        let few = run.split(BETWEEN).count() <= 3 + run.len() / 10;
        let whole = run.len() >= BASE64_RUN && few && random(run).is_some();
        let parts: Vec<&str> = if whole { vec![run] } else { run.split(BETWEEN).collect() };
        parts.into_iter().filter_map(|part| Some((part, random(part)?)))
    })
}

/// Returns whether `run` is hexadecimal, or None if it does not look random.
fn random(run: &str) -> Option<bool> {
    let has = |of: fn(&u8) -> bool| run.as_bytes().iter().any(of);
    let hex = run.split(|c: char| !c.is_ascii_hexdigit()).any(|digits| {
        let letters = digits.bytes().filter(u8::is_ascii_alphabetic).count();
        digits.len() >= HEX_RUN && letters >= 2 && letters < digits.len()
    });
    if hex {
        return Some(true);
    }
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    // In words and dates, most neighbouring characters are of the same class. In random text, two
    // of three pairs differ.
    let class = |b: u8| match b {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let changes =
        run.as_bytes().windows(2).filter(|w| matches!(w, [a, b] if class(*a) != class(*b)));
    let changes = changes.count();
    let random = run.len() >= RANDOM_RUN
        && mixed
        && (has(u8::is_ascii_digit) || run.len() >= BASE64_RUN)
        && changes * 100 >= run.len() * 30;
    random.then_some(false)
}

/// Returns true if `text` is several words, separated by single blanks or hyphens, and nothing
/// else.
fn is_words(text: &str) -> bool {
    let text = text.trim();
    [' ', '-'].iter().any(|between| {
        let mut words = 0;
        let plain = text.split(*between).all(|word| {
            words += 1;
            !word.is_empty() && word.chars().all(|c| c.is_alphabetic() || c == '\'')
        });
        plain && words >= PASSPHRASE_WORDS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN PRIVATE KEY----- MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06\
                       /nwoy/HU++CXqI9EdVhC -----END PRIVATE KEY-----";
    const BASE64: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
    const HEX: &str = "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842";

    #[test]
    fn text_that_may_be_a_secret_is_named_and_not_repeated() {
        for (text, kind) in [
            (PEM, SecretKind::Pem),
            ("-----BEGIN OPENSSH PRIV", SecretKind::Pem),
            (BASE64, SecretKind::Base64),
            (&BASE64[20..], SecretKind::Base64),
            (&BASE64[..30], SecretKind::Random),
            (HEX, SecretKind::Hex),
            (&HEX[..32], SecretKind::Hex),
            ("1O5y2_kTWErVttjx92n4rTr-fCjL8dT74Jeoj0R1WEI", SecretKind::Base64),
            ("1O5y2/kTWErVttjx92n4rTr+fCjL8dT74Jeoj0R1WEI=", SecretKind::Base64),
            (r#"{"kty":"OKP","crv":"Ed25519"}"#, SecretKind::Json),
            (r#"P","d":"1O5y"#, SecretKind::Json),
            ("redis://user:s3cret@host:6379", SecretKind::UserInfo),
            ("redis://:s3cret-pass", SecretKind::UserInfo),
            ("Bearer abc", SecretKind::Credentials),
            ("token=abc", SecretKind::Credentials),
            ("pkcs11:object=a?pin-value=1234", SecretKind::Credentials),
            ("pkcs11:token=a;access_token=b", SecretKind::Credentials),
            ("pkcs11:object=a?token=b", SecretKind::Credentials),
            ("x;token=abc", SecretKind::Credentials),
            ("authorization: x", SecretKind::Credentials),
            ("Zm9v1cXp0Tk9QkVyS2V5", SecretKind::Random),
            ("correct horse battery staple", SecretKind::Passphrase),
            ("abandon-ability-able-about-above-absent-absorb", SecretKind::Passphrase),
        ] {
            assert_eq!(SecretKind::of(text), Some(kind), "{text}");
            let named = quoted(text);
            assert!(named.starts_with('(') && named.ends_with(&format!("{kind})")), "{named}");
            for part in kind.parts(text) {
                assert!(!named.contains(part), "{named} holds {part}");
            }
        }
    }

    #[test]
    fn names_of_files_and_values_are_repeated() {
        for text in [
            "",
            "signed.http",
            "captures/2026-11-23T10-00-00Z-get_weather.http",
            "/tmp/.tmpQ3xYz1/state/mcpid/nonces.db",
            "/tmp/tmp.Ab3dEf9GhI/home/.config/mcpid/trust.json",
            "MyCapturedRequest2026.http",
            "tools/call:delete_*",
            "https://mcp.example.com:8443/mcp?x=1",
            "redis://localhost:6379/0",
            "pkcs11:token=agents;object=alice",
            "pkcs11:object=alice;token=agents",
            "redis+cluster://h1:7000,h2:7001",
            "redis://[::1]:6379",
            "[::1]:8080",
            "2026-11-23T10:00:00Z",
            "9999999d",
            "my signed request.http",
            "3f2a7c1e-8f4d-4e1b-9a2b-1c2d3e4f5a6b",
            "get-weather-2026-11-23",
        ] {
            assert_eq!(SecretKind::of(text), None, "{text}");
            assert_eq!(quoted(text), format!("{text:?}"));
        }
        assert_eq!(quoted(&"a".repeat(65)), "(65 characters)");
        assert_eq!(quoted("a\nb"), "(3 characters, some of them not printable)");
        assert_eq!(quoted("\u{7}"), "(1 character, some of them not printable)");
    }

    #[test]
    fn json_errors_repeat_no_part_of_the_text() {
        for json in
            [r#""hunter22""#, r#"{"a":"hunter22, expected x"}"#, r#"["hunter22"]"#, "hunter22"]
        {
            let error = serde_json::from_str::<std::collections::BTreeMap<String, u8>>(json);
            let Err(error) = error else { continue };
            let fault = json_fault(&error);
            assert!(!fault.contains("hunter22") && fault.contains("line 1"), "{fault}");
        }
    }
}
