//! OpenSSH public keys as OpenSSH's programs list them: `.pub` files, `ssh-add -L`,
//! `authorized_keys`.

use super::{FormatError, ImportedKey, KeyImport, PUBLIC, SIGNING, instead, malformed, openssh};

/// The option of a key for which only signatures count where the security key verified its user, by
/// a PIN or a fingerprint.
const VERIFY_REQUIRED: &str = "verify-required";

/// The options that sshd(8) allows before a key in `authorized_keys`. All but
/// [`VERIFY_REQUIRED`] limit logins.
const OPTIONS: [&str; 22] = [
    "agent-forwarding",
    "cert-authority",
    "command",
    "environment",
    "expiry-time",
    "from",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-touch-required",
    "no-user-rc",
    "no-x11-forwarding",
    "permitlisten",
    "permitopen",
    "port-forwarding",
    "principals",
    "pty",
    "restrict",
    "tunnel",
    "user-rc",
    VERIFY_REQUIRED,
    "x11-forwarding",
];

/// Reads the keys of all lines that are of a kind that this build uses. Empty lines and comments
/// are skipped. Returns `None` if any other line is not an OpenSSH key.
///
/// # Errors
/// A key that is broken, revoked, a certificate authority, or limited in time; or no key of a kind
/// that this build uses.
pub(super) fn public(text: &str) -> Option<Result<KeyImport, FormatError>> {
    let lines = text.split(['\n', '\r']).map(str::trim_ascii).zip(1_usize..);
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let read = lines.map(|(line, number)| Some((number, key(line)?)));
    let read = read.collect::<Option<Vec<_>>>().filter(|read| !read.is_empty())?;
    Some(keys(read))
}

fn keys(read: Vec<(usize, Result<KeyLine, FormatError>)>) -> Result<KeyImport, FormatError> {
    let mut import = KeyImport { keys: Vec::new(), skipped: Vec::new() };
    let only = read.len() == 1;
    for (number, line) in read {
        match line {
            Ok(KeyLine { key: (key, name), options }) => {
                let verify_required = key.application.is_some()
                    && options.iter().any(|option| option == VERIFY_REQUIRED);
                let is_for_logins = |option: &String| !verify_required || option != VERIFY_REQUIRED;
                if options.iter().any(is_for_logins) {
                    let others = if verify_required { "other options" } else { "options" };
                    import.skipped.push(format!("line {number}: its {others} are for logins only"));
                }
                let key = ImportedKey::ssh(key);
                import.keys.push(ImportedKey { name, verify_required, ..key });
            }
            Err(FormatError::Instead { found, .. }) if !only => {
                import.skipped.push(format!("line {number} is {found}"));
            }
            Err(error) => return Err(error),
        }
    }
    if import.keys.is_empty() {
        return Err(instead(format!("OpenSSH lines without {SIGNING}"), PUBLIC));
    }
    Ok(import)
}

/// One line with an Ed25519 or P-256 key.
struct KeyLine {
    key: openssh::OpensshLine,
    /// The names of the options before the key, in lower case.
    options: Vec<String>,
}

fn key(line: &str) -> Option<Result<KeyLine, FormatError>> {
    if let Some(found) = openssh::public_line(line) {
        return Some(found.map(|key| KeyLine { key, options: Vec::new() }));
    }
    let (first, rest) = split_quoted(line)?;
    let found = openssh::public_line(rest);
    let bad = |why: &str| Some(Err(malformed("OpenSSH line", why)));
    if let Some(marker) = first.strip_prefix('@') {
        found.or_else(|| openssh::public_line(split_quoted(rest)?.1))?.ok();
        return match marker {
            "revoked" => bad("it is marked as revoked"),
            _ => Some(Err(instead("a line of known_hosts", PUBLIC))),
        };
    }
    let found = found?;
    let Some(options) = options(first) else {
        return Some(Err(instead("a line of known_hosts", PUBLIC)));
    };
    for (option, why) in [
        ("cert-authority", "it is marked as a certificate authority"),
        ("expiry-time", "its expiry-time would be lost"),
    ] {
        if options.iter().any(|name| name == option) {
            return bad(why);
        }
    }
    Some(found.map(|key| KeyLine { key, options }))
}

/// Returns the names in a list of OpenSSH options, in lower case; `None` if the text is not a list
/// of options.
fn options(list: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let (one, more) = split_at(rest, |c| c == ',').unwrap_or((rest, ""));
        let name = one.split_once('=').map_or(one, |(name, _)| name).to_ascii_lowercase();
        names.push(OPTIONS.contains(&name.as_str()).then_some(name)?);
        rest = more;
    }
    Some(names)
}

fn split_quoted(line: &str) -> Option<(&str, &str)> {
    let (first, rest) = split_at(line, |c| matches!(c, ' ' | '\t'))?;
    Some((first, rest.trim_ascii_start()))
}

/// Splits the text at the first separator outside of double quotes.
fn split_at(text: &str, separates: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if !quoted && separates(c) => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}
