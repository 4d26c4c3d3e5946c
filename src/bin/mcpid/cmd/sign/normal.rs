//! The URL that `sign` signs, if the profile signs targets in their normal form.

use mcpid::message::target::{UriError, normal_url};

/// Returns `url` in its normal form, as a client has to send it. A host outside ASCII is written in
/// A-labels (UTS 46, non-transitional). Only a signer does that: a verifier refuses such a host.
///
/// # Errors
/// [`UriError`]: the URL cannot be read, or has no normal form.
pub(crate) fn url(url: &str) -> Result<String, UriError> {
    let Some((scheme, after)) = url.split_once("://") else { return normal_url(url) };
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    let authority = authority.rsplit('@').next().unwrap_or_default();
    if authority.is_ascii() {
        return normal_url(url);
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let host = idna::domain_to_ascii_strict(name).map_err(|_| UriError::Host(host.to_owned()))?;
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    normal_url(&[scheme, "://", &host, &port, rest].concat())
}

#[cfg(test)]
mod tests {
    use super::url;

    #[test]
    fn a_host_outside_ascii_is_written_in_punycode() {
        for (sent, normal) in [
            ("https://bücher.example/p", "https://xn--bcher-kva.example/p"),
            ("https://BÜCHER.Example:8443?x", "https://xn--bcher-kva.example:8443/?x"),
            ("https://bücher.example./p#f", "https://xn--bcher-kva.example/p"),
            ("https://faß.example/", "https://xn--fa-hia.example/"),
            ("https://a.example/%7e", "https://a.example/~"),
        ] {
            assert_eq!(url(sent).as_deref(), Ok(normal), "{sent}");
        }
        for sent in [
            "https://bücher..example/",
            "https://bü cher.example/",
            "https://-ü-.example/",
            "https://bü:ö/",
        ] {
            assert!(url(sent).is_err(), "{sent}");
        }
    }
}
