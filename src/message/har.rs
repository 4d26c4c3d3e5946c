//! HTTP archives (HAR 1.2), as browsers and proxies save them.
//!
//! Exporters leave out members and add their own. So only the members that a request needs are
//! read, and a fault in one entry does not affect the others. A repeated member is an error,
//! because parsers differ in which of the two they use. An archive has bodies as text, so the exact
//! bytes that were sent are not always known; [`InexactReason`] states the reason.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

mod time;

pub use time::TimeFault;

use super::uri::{Authority, UriError, UriParts, shown};
use super::{Body, Head, HeadError, InexactReason, InputRequest, RequestTarget};

/// An HTTP archive. Each entry is parsed on demand.
///
/// ```
/// use mcpid::message::har::Har;
///
/// let archive = br#"{"log":{"entries":[{"request":{
///     "method":"GET","url":"https://mcp.example.com/mcp#top","headers":[]}}]}}"#;
/// let har = Har::parse(archive)?;
/// let entry = har.entry(0).expect("there is one entry");
/// assert!(entry.fragment_dropped);
/// assert_eq!(entry.request.expect("it can be read").head.method(), "GET");
/// # Ok::<(), mcpid::message::har::HarError>(())
/// ```
#[derive(Debug)]
pub struct Har<'a> {
    entries: Vec<&'a RawValue>,
}

/// The error for a file that is not an HTTP archive.
#[derive(Debug, thiserror::Error)]
#[error("not an HTTP archive")]
pub struct HarError(#[from] serde_json::Error);

/// A request of an HTTP archive (HAR).
#[derive(Debug)]
#[non_exhaustive]
pub struct HarEntry {
    /// Index of the entry in the archive, from 0.
    pub index: usize,
    /// The URL in the archive; empty if there is none.
    pub url: String,
    /// Whether a fragment (`#…`) was removed from the URL. Browsers write fragments to archives,
    /// but never send them.
    pub fragment_dropped: bool,
    /// Why the time in the archive cannot be used, if there is one.
    pub time_fault: Option<TimeFault>,
    /// The request, if the entry can be read. Its target is a [`RequestTarget::Uri`].
    pub request: Result<InputRequest<'static>, HarEntryError>,
}

/// Why an entry of an archive is not a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HarEntryError {
    /// A member has the wrong type or occurs twice.
    #[error("the entry cannot be read")]
    Json(#[from] serde_json::Error),
    /// A required member is missing.
    #[error("the entry has no {0}")]
    Missing(&'static str),
    /// A method or field is not valid in HTTP.
    #[error("the entry is not an HTTP request")]
    Head(#[from] HeadError),
    /// The URL is not an `http` or `https` URL; browsers list `data:`, `blob:` and `wss:` too.
    #[error("the URL cannot be read")]
    Url(#[from] UriError),
    /// An HTTP/2 pseudo-header field contradicts the method or URL of the entry (RFC 9113 section
    /// 8.3.1), is unknown, or occurs twice.
    #[error("{} is not what method and URL of the entry say", crate::secret::quoted(name))]
    Pseudo {
        /// Name of the pseudo-header field.
        name: String,
        /// Value of the pseudo-header field.
        says: String,
    },
}

#[derive(Deserialize)]
struct FileJson<'a> {
    #[serde(borrow)]
    log: &'a RawValue,
}

#[derive(Deserialize)]
struct LogJson<'a> {
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryJson<'a> {
    #[serde(borrow)]
    started_date_time: Option<&'a RawValue>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestJson<'a> {
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
    #[serde(borrow)]
    post_data: Option<&'a RawValue>,
    #[serde(borrow)]
    body_size: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct HeaderJson {
    name: String,
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PostJson<'a> {
    mime_type: Option<String>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    encoding: Option<String>,
    #[serde(rename = "_encoding")]
    private_encoding: Option<String>,
}

impl<'a> Har<'a> {
    /// Parses an archive. A UTF-8 byte order mark at the beginning is skipped, because some
    /// exporters write one.
    ///
    /// # Errors
    /// [`HarError`] if it is not JSON with a list `log.entries`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, HarError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let raw: &'a RawValue = serde_json::from_slice(bytes)?;
        let file: FileJson<'a> = object(raw)?;
        let log: LogJson<'a> = object(file.log)?;
        Ok(Har { entries: log.entries })
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if the archive has no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Parses the entry at `index`, counted from 0.
    pub fn entry(&self, index: usize) -> Option<HarEntry> {
        self.entries.get(index).map(|raw| HarEntry::read(index, raw))
    }

    /// Parses the entries in the order of the archive.
    pub fn iter(&self) -> impl Iterator<Item = HarEntry> {
        self.entries.iter().enumerate().map(|(index, raw)| HarEntry::read(index, raw))
    }
}

impl HarEntry {
    fn read(index: usize, raw: &RawValue) -> Self {
        let mut entry = HarEntry {
            index,
            url: String::new(),
            fragment_dropped: false,
            time_fault: None,
            request: Err(HarEntryError::Missing("request")),
        };
        entry.request = entry.read_request(raw);
        entry
    }

    fn read_request(&mut self, raw: &RawValue) -> Result<InputRequest<'static>, HarEntryError> {
        let json: EntryJson<'_> = object(raw)?;
        let request = json.request.ok_or(HarEntryError::Missing("request"))?;
        let request: RequestJson<'_> = object(request)?;
        // The URL is read first, so that even a malformed entry can be selected by its URL.
        self.url = text(request.url, "request.url")?;
        let method = text(request.method, "request.method")?;

        let sent = self.url.split_once('#').map_or(self.url.as_str(), |(sent, _)| sent);
        self.fragment_dropped = sent.len() != self.url.len();
        let target = RequestTarget::from_url(sent.to_owned())?;

        let mut head = Head::new(method, target)?;
        let headers: Vec<&RawValue> = match request.headers {
            Some(raw) => serde_json::from_str(raw.get())?,
            None => Vec::new(),
        };
        let mut seen = Vec::new();
        for header in headers {
            let HeaderJson { name, value } = object(header)?;
            if name.starts_with(':') {
                check_pseudo(&head, &mut seen, name, value)?;
            } else {
                head.push(name, value.into_bytes())?;
            }
        }
        let size = request.body_size.and_then(|raw| raw.get().parse().ok());
        let body = read_body(request.post_data, size, &head)?;
        // A fault in the time does not make the entry invalid, because most uses do not need the
        // time.
        let time = json.started_date_time.map(|raw| {
            let written = serde_json::from_str::<String>(raw.get());
            time::read(&written.unwrap_or_else(|_| raw.get().to_owned()))
        });
        let (time, fault) = match time {
            None => (None, None),
            Some(Ok(time)) => (Some(time), None),
            Some(Err(fault)) => (None, Some(fault)),
        };
        self.time_fault = fault;
        Ok(InputRequest { head, body, time })
    }
}

/// Parses a JSON object. A derived `Deserialize` alone would also accept an array of the values.
fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, serde_json::Error> {
    if !raw.get().trim_ascii_start().starts_with('{') {
        return Err(serde::de::Error::custom("an array or a plain value in place of an object"));
    }
    serde_json::from_str(raw.get())
}

fn text(raw: Option<&RawValue>, name: &'static str) -> Result<String, HarEntryError> {
    let raw = raw.ok_or(HarEntryError::Missing(name))?;
    Ok(serde_json::from_str(raw.get())?)
}

/// Checks one HTTP/2 pseudo-header field, which archives list among the header fields, against the
/// method and URL of the entry. The field itself is not kept.
fn check_pseudo(
    head: &Head<'_>,
    seen: &mut Vec<String>,
    name: String,
    says: String,
) -> Result<(), HarEntryError> {
    let RequestTarget::Uri(url) = head.target() else {
        return Err(HarEntryError::Missing("request.url"));
    };
    let url = UriParts::split(url)?;
    let agrees = match name.as_str() {
        ":method" => says == head.method(),
        ":scheme" => says == url.scheme.as_str(),
        ":authority" => Authority::read(&says).is_ok_and(|a| a.normal(url.scheme) == url.authority),
        ":path" => says == url.after_authority,
        _ => false,
    };
    if !agrees || seen.contains(&name) {
        return Err(HarEntryError::Pseudo { name: shown(&name), says: shown(&says) });
    }
    seen.push(name);
    Ok(())
}

fn read_body(
    post: Option<&RawValue>,
    size: Option<u64>,
    head: &Head<'_>,
) -> Result<Body<'static>, HarEntryError> {
    let post: PostJson<'_> = match post {
        Some(raw) => object(raw)?,
        None => PostJson::default(),
    };
    let inexact = |bytes: Vec<u8>, why| Ok(Body::Inexact { bytes: bytes.into(), why });
    let announced = single_text(head, "content-length").and_then(|text| text.parse().ok());

    let encoding = post.encoding.or(post.private_encoding).unwrap_or_default();
    let Some(raw) = post.text else {
        return match size.or(announced) {
            _ if has_params(post.params) => inexact(Vec::new(), InexactReason::ParamsOnly),
            Some(0) if announced == Some(0) => Ok(Body::Kept(Vec::new().into())),
            size => inexact(Vec::new(), InexactReason::Missing { size }),
        };
    };
    let Ok(text) = serde_json::from_str::<String>(raw.get()) else {
        // The text is not a string, or has half of a surrogate pair in it.
        return inexact(Vec::new(), InexactReason::NotUnicode);
    };
    if text.is_empty() && has_params(post.params) {
        return inexact(Vec::new(), InexactReason::ParamsOnly);
    }
    // Exporters write an empty text and the size 0 for a body that they did not keep. So a body
    // counts as empty only if the request announced the length 0.
    if text.is_empty() && announced != Some(0) {
        return inexact(Vec::new(), InexactReason::Missing { size: announced.or(size) });
    }

    let bytes = if encoding.eq_ignore_ascii_case("base64") {
        match STANDARD.decode(&text) {
            Ok(bytes) => bytes,
            Err(_) => return inexact(Vec::new(), InexactReason::Base64),
        }
    } else if !(encoding.is_empty() || is_utf8(&encoding)) {
        return inexact(text.into_bytes(), InexactReason::Encoding(shown(&encoding)));
    } else if text.contains('\u{fffd}') {
        return inexact(text.into_bytes(), InexactReason::Replaced);
    } else {
        let types = [single_text(head, "content-type"), post.mime_type.as_deref()];
        let foreign = types.into_iter().flatten().filter_map(charset).find(|name| !is_utf8(name));
        if let Some(name) = foreign {
            let why = InexactReason::Charset(shown(name));
            return inexact(text.into_bytes(), why);
        }
        match single_text(head, "content-encoding") {
            Some(coding) if !coding.eq_ignore_ascii_case("identity") => {
                let why = InexactReason::Coded(shown(coding));
                return inexact(text.into_bytes(), why);
            }
            _ => text.into_bytes(),
        }
    };
    let holds = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    match [size, announced].into_iter().flatten().find(|&says| says != holds) {
        Some(says) => inexact(bytes, InexactReason::Size { says, holds }),
        None => Ok(Body::Kept(bytes.into())),
    }
}

/// Returns true if the archive lists parameters of a form.
fn has_params(params: Option<&RawValue>) -> bool {
    params.is_some_and(|raw| {
        serde_json::from_str(raw.get()).is_ok_and(|list: Vec<&RawValue>| !list.is_empty())
    })
}

fn single_text<'h>(head: &'h Head<'_>, name: &str) -> Option<&'h str> {
    head.single(name).ok().flatten().and_then(|value| std::str::from_utf8(value).ok())
}

/// Returns the charset in a media type (RFC 9110 section 8.3.2).
fn charset(media_type: &str) -> Option<&str> {
    media_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("charset");
        named.then(|| value.trim().trim_matches('"'))
    })
}

fn is_utf8(charset: &str) -> bool {
    // ASCII text is valid UTF-8. A text that is labelled ASCII but is not is noticed only if its
    // size differs.
    ["utf-8", "utf8", "us-ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name))
}
