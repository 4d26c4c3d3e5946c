//! The policy of the middleware: modes, paths and refusals, from settings that mean what the flags
//! of the gateway mean.

use mcpid::mcp::pattern::{Pattern, PatternError};
use mcpid::secret::{description, quoted};
use mcpid::tower::{
    LearningModes, Modes, OpenPath, PathError, Paths, RefuseWith, Route, TouchRules,
};
use mcpid::verify::rejection::chain;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

fn wrong(why: impl Into<String>) -> PyErr {
    PyValueError::new_err(why.into())
}

/// The modes, and the remarks on their patterns.
///
/// # Errors
/// `ValueError` for a mode that does not exist, a pattern that can match nothing, and a pattern that
/// would change nothing.
pub(crate) fn modes(
    mode: &str,
    strict: &[String],
    permissive: &[String],
) -> PyResult<(LearningModes, Vec<String>)> {
    let mut modes = match mode {
        "strict" => Modes::strict(),
        "permissive" => Modes::permissive(),
        _ => {
            let mode = quoted(mode);
            return Err(wrong(format!("mode: {mode} is neither \"strict\" nor \"permissive\"")));
        }
    };
    let mut remarks = Vec::new();
    let mut remark = |name: &str, pattern: &Pattern| {
        remarks.extend(pattern.remark().map(|remark| format!("{name}: {remark}")));
    };
    let mut destructive = false;
    for text in strict {
        if text == "destructive" {
            destructive = true;
            continue;
        }
        let pattern =
            Pattern::parse(text).map_err(|error| refused("strict", text, &error, true))?;
        remark("strict", &pattern);
        modes = modes.with_strict(pattern);
    }
    for text in permissive {
        if text == "destructive" {
            return Err(wrong(
                "permissive: \"destructive\" is what strict is for: mode=\"permissive\", \
                 strict=[\"destructive\"]",
            ));
        }
        let pattern = Pattern::parse(text).and_then(|pattern| {
            pattern.check_grant()?;
            Ok(pattern)
        });
        let pattern = pattern.map_err(|error| refused("permissive", text, &error, false))?;
        remark("permissive", &pattern);
        modes = modes.with_permissive(pattern);
    }
    without_effect(mode, strict, permissive)?;
    let modes = LearningModes::new(modes);
    Ok((if destructive { modes.with_destructive() } else { modes }, remarks))
}

/// Returns the rules about touches, and the remarks on their patterns.
///
/// # Errors
/// `ValueError` for a pattern that can match nothing, and for one that makes a pattern of `strict` or
/// `permissive` useless.
pub(crate) fn touch(
    touch: &[String],
    strict: &[String],
    permissive: &[String],
) -> PyResult<(TouchRules, Vec<String>)> {
    let (mut rules, mut remarks) = (TouchRules::new(), Vec::new());
    for text in touch {
        if text == "destructive" {
            rules = rules.with_destructive();
            continue;
        }
        let pattern = Pattern::parse(text).map_err(|error| refused("touch", text, &error, true))?;
        remarks.extend(pattern.remark().map(|remark| format!("touch: {remark}")));
        rules = rules.with_pattern(pattern);
    }
    for (name, texts) in [("strict", strict), ("permissive", permissive)] {
        if let Some(both) = texts.iter().find(|text| touch.contains(text)) {
            return Err(wrong(format!(
                "{name}=[{both:?}] would change nothing: it is touch too, which wins"
            )));
        }
    }
    Ok((rules, remarks))
}

/// Refuses patterns that would change nothing, since their author expects a change.
fn without_effect(mode: &str, strict: &[String], permissive: &[String]) -> PyResult<()> {
    let nothing = |name: &str, text: &str, why: &str| {
        Err(wrong(format!("{name}=[{}] would change nothing: {why}", quoted(text))))
    };
    match (mode, strict.first(), permissive.first()) {
        ("permissive", _, Some(text)) => {
            let why = "mode=\"permissive\" lets everything through that is not strict";
            nothing("permissive", text, why)
        }
        ("strict", Some(text), None) => {
            let why = "mode=\"strict\" refuses everything that is not verified";
            nothing("strict", text, why)
        }
        _ => match permissive.iter().find(|text| strict.contains(text)) {
            Some(both) => nothing("permissive", both, "it is strict too, which wins"),
            None => Ok(()),
        },
    }
}

/// Returns the error for a pattern. `word` says whether the setting also takes `destructive`. A text
/// that may be a secret, such as a key in the wrong setting, is described.
fn refused(name: &str, text: &str, error: &PatternError, word: bool) -> PyErr {
    if let Some(described) = description(text) {
        return wrong(format!("{name} cannot be {described}: a pattern is METHOD or METHOD:NAME"));
    }
    let why = match error {
        PatternError::NoMethod
        | PatternError::NoName
        | PatternError::Control
        | PatternError::Space => format!("{name} cannot be {text:?}: {error}"),
        // The other errors name the pattern themselves.
        error => format!("{name}: {error}"),
    };
    let hint = match (error.suggestion().filter(|meant| word || *meant != "destructive"), error) {
        (Some(meant), _) => format!("; hint: {name}=[{meant:?}]"),
        (None, PatternError::Unknown { .. }) => {
            "; a pattern is METHOD or METHOD:NAME, such as \"tools/call:delete_*\"".to_owned()
        }
        _ => String::new(),
    };
    wrong(why + &hint)
}

/// Returns how requests are refused.
///
/// # Errors
/// `ValueError` for another status than 403, 401 and 200, and for a realm without 401.
pub(crate) fn refuse_with(status: u16, realm: Option<String>) -> PyResult<RefuseWith> {
    match (status, realm) {
        (401, realm) => {
            Ok(RefuseWith::Unauthorized { realm: realm.unwrap_or_else(|| "mcp".to_owned()) })
        }
        (_, Some(_)) => Err(wrong("realm is for refuse_with=401")),
        (403, None) => Ok(RefuseWith::Forbidden),
        (200, None) => Ok(RefuseWith::Ok),
        _ => Err(wrong(format!("refuse_with: {status} is none of 403, 401 and 200"))),
    }
}

/// Tells the requests to the endpoint from those to other paths.
///
/// An application decodes and trims paths, and some normalise them. So a path that some server could
/// read as the endpoint, or as a path below it, counts as the endpoint.
#[derive(Debug)]
pub(crate) struct EndpointPath(Paths);

impl EndpointPath {
    /// The endpoint at `path`.
    ///
    /// # Errors
    /// `ValueError` for a text that is not a path.
    pub(crate) fn new(path: &str) -> PyResult<Self> {
        let paths = Paths::at(path).and_then(|paths| {
            let (root, all): (OpenPath, OpenPath) = ("/".parse()?, "/*".parse()?);
            // The root is another path, unless it is the endpoint.
            paths.clone().with_open(root).unwrap_or(paths).with_open(all)
        });
        paths.map(EndpointPath).map_err(|error| not_a_path("path", path, &error))
    }

    /// Whether a request to `path`, as on the wire and without query, is for another path.
    pub(crate) fn is_elsewhere(&self, method: &str, path: &str) -> bool {
        self.0.route(method, path) == Route::Open
    }

    /// Works as [`EndpointPath::is_elsewhere`] for a path that the server has decoded.
    pub(crate) fn is_elsewhere_decoded(&self, method: &str, path: &str) -> bool {
        self.is_elsewhere(method, &encoded(path))
    }
}

/// Returns the error for a text that is not a path. A text that may be a secret is described.
fn not_a_path(name: &str, text: &str, error: &PathError) -> PyErr {
    wrong(match description(text) {
        Some(described) => format!("{name}: {described} is not a path such as /mcp"),
        None => format!("{name}: {}", chain(error)),
    })
}

/// Returns `path` with each byte percent-encoded that cannot stand in a request line.
pub(crate) fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'?' | b'#' | b'%' => text.push_str(&format!("%{byte:02X}")),
            byte if byte.is_ascii_graphic() => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Checks the part of the path that is removed before a request reaches the server.
///
/// # Errors
/// `ValueError` for a text that is not a path, or ends with a slash.
pub(crate) fn target_prefix(prefix: &str) -> PyResult<()> {
    match Paths::at(prefix) {
        _ if prefix.is_empty() => Ok(()),
        Ok(_) if !prefix.ends_with('/') => Ok(()),
        Ok(_) => Err(wrong("target_prefix ends with a slash: the path behind it begins with one")),
        Err(error) => Err(not_a_path("target_prefix", prefix, &error)),
    }
}
