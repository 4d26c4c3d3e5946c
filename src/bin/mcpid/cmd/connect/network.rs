//! How the bridge reaches its server: through which proxy, and with which certificate authorities.

use std::env;
use std::path::Path;

use http::Uri;
use mcpid::connect::EndpointUrl;
use mcpid::net::{DialRoute, Proxy, ProxyError, ProxySettings, tls};

use crate::args::ConnectArgs;
use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::shell_word;

/// Returns how to reach `url`: through the proxy that the environment names, or directly.
///
/// # Errors
/// The proxy cannot be used.
pub(super) fn via(url: &EndpointUrl) -> Result<DialRoute, Failure> {
    route(url.uri()).map_err(|error| proxy_failure(&error, url.uri()))
}

/// Returns the failure for a proxy that cannot be used.
fn proxy_failure(error: &ProxyError, uri: &Uri) -> Failure {
    let host = uri.host().unwrap_or_default();
    Failure::usage(chain(error))
        .hint(format!("to connect without a proxy: export NO_PROXY={}", shell_word(host)))
}

/// Returns how to reach `uri`: through the proxy that the environment names for it, or directly.
///
/// # Errors
/// The named proxy cannot be used.
pub(crate) fn route(uri: &Uri) -> Result<DialRoute, ProxyError> {
    // HTTP_PROXY is ignored in a CGI program, where a client can set it by a `Proxy` header in its
    // request.
    let http = if env::var_os("REQUEST_METHOD").is_some() { None } else { Some("HTTP_PROXY") };
    let settings = ProxySettings {
        https: variable([Some("https_proxy"), Some("HTTPS_PROXY")]),
        http: variable([Some("http_proxy"), http]),
        all: variable([Some("all_proxy"), Some("ALL_PROXY")]),
        no: variable([Some("no_proxy"), Some("NO_PROXY")]),
    };
    let proxy = Proxy::choose(&settings, uri)?;
    Ok(proxy.map_or(DialRoute::Direct, DialRoute::Proxy))
}

/// Returns the value of the first of these variables that is not empty, as curl does.
fn variable(names: [Option<&str>; 2]) -> String {
    let values = names.into_iter().flatten().filter_map(env::var_os);
    let mut values = values.map(|value| value.to_string_lossy().into_owned());
    values.find(|value| !value.trim().is_empty()).unwrap_or_default()
}

/// Returns the TLS settings with the certificate authorities that may have issued the server's
/// certificate.
///
/// # Errors
/// A file cannot be read or has no certificates, or this machine has none.
pub(super) fn roots(args: &ConnectArgs, is_https: bool) -> Result<rustls::ClientConfig, Failure> {
    let failed = |path: Option<&Path>, error: &tls::TlsError| {
        let whose = path.map_or("this machine".to_owned(), |path| path.display().to_string());
        Failure::new(Exit::Input, "tls", format!("{whose}: {}", chain(error)))
    };
    match &args.ca {
        Some(path) => {
            let pem = files::open_quietly(Some(path))?.read(16 << 20)?;
            tls::client(Some(&pem)).map_err(|e| failed(Some(path), &e))
        }
        None if is_https => tls::client(None)
            .map_err(|e| failed(None, &e).hint("name the authorities to trust: --ca FILE")),
        None => tls::client_without_roots().map_err(|e| failed(None, &e)),
    }
}
