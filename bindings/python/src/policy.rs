//! The policy of the middleware: modes and paths, from settings that mean what the flags of the
//! gateway mean. The engine reads the texts; this file gives it the syntax of Python.

use mcpid::mcp::setting::{SettingError, SettingSyntax};
use mcpid::message::error_chain::chain;
use mcpid::profile::Profile;
use mcpid::secret::{description, quoted};
use mcpid::tower::{FrontPolicy, Mode, OpenPath, PathError, Paths, PolicyTexts, Route};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

fn wrong(why: impl Into<String>) -> PyErr {
    PyValueError::new_err(why.into())
}

/// Writes settings as keyword arguments of Python.
pub(crate) struct KeywordSyntax;

impl SettingSyntax for KeywordSyntax {
    fn name(&self, setting: &str) -> String {
        setting.to_owned()
    }

    fn written(&self, settings: &[(&str, &str)]) -> String {
        let argument = |&(name, value): &(&str, &str)| match name {
            "mode" | "profile" | "realm" => format!("{name}={value:?}"),
            "refuse_with" => format!("{name}={value}"),
            _ => format!("{name}=[{value:?}]"),
        };
        settings.iter().map(argument).collect::<Vec<_>>().join(", ")
    }
}

/// Returns the `ValueError` for a setting that cannot be used.
pub(crate) fn setting_error(error: &SettingError) -> PyErr {
    wrong(match &error.hint {
        Some(hint) => format!("{error}; hint: {hint}"),
        None => error.to_string(),
    })
}

/// Reads the settings about modes and touches.
///
/// # Errors
/// `ValueError` for a mode that does not exist, and as for [`PolicyTexts::parse`].
pub(crate) fn front_policy(
    mode: &str,
    [strict, permissive, touch]: [&[String]; 3],
    profile: &Profile,
) -> PyResult<FrontPolicy> {
    let mode = match [Mode::Strict, Mode::Permissive].into_iter().find(|m| m.as_str() == mode) {
        Some(mode) => mode,
        None => {
            let mode = quoted(mode);
            return Err(wrong(format!("mode: {mode} is neither \"strict\" nor \"permissive\"")));
        }
    };
    let texts = PolicyTexts { mode, strict, permissive, touch };
    texts.parse(profile, &KeywordSyntax).map_err(|error| setting_error(&error))
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
