//! The request that `sign` signs: put together from a URL and a payload, or read from a capture,
//! and how it is printed afterwards.

use std::borrow::Cow;
use std::path::PathBuf;

use mcpid::mcp::body::{self, Reading, Scope};
use mcpid::mcp::headers;
use mcpid::message::capture::{Captured, Edit};
use mcpid::message::target::{Origin, Origins, UriError};
use mcpid::message::{Field, Head, RequestTarget};
use mcpid::sign::Signed;

use crate::args::{SignArgs, SignFormat};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files;
use crate::ui::{Ui, shell_word};

/// Bytes of a body or capture that is signed. Nothing larger passes a verifier's limit, but that
/// limit can be raised; this one only keeps a wrong file from filling the memory.
const MOST: u64 = 64 * 1024 * 1024;

/// A request on its way out.
pub(crate) enum Outgoing {
    /// Made from `--url` and a payload.
    Made {
        head: Head<'static>,
        body: Vec<u8>,
        /// Names and values as they are printed, in order.
        headers: Vec<(String, String)>,
        url: String,
        file: Option<PathBuf>,
    },
    /// Read from a capture.
    Read {
        head: Head<'static>,
        source: Vec<u8>,
        body: Vec<u8>,
        origins: Origins,
        /// What has to stand on the request line instead, if something has to.
        target: Option<String>,
    },
}

impl Outgoing {
    /// Reads or makes the request that `args` describe.
    ///
    /// # Errors
    /// What cannot be read, or flags that no request can be made of.
    pub(crate) fn read(args: &SignArgs, ui: &mut Ui) -> Result<Self, Failure> {
        match &args.url {
            Some(url) => made(args, url, ui),
            None => captured(args, ui),
        }
    }

    /// The head that is signed.
    pub(crate) fn head(&self) -> &Head<'static> {
        match self {
            Outgoing::Made { head, .. } | Outgoing::Read { head, .. } => head,
        }
    }

    /// The content that is signed.
    pub(crate) fn body(&self) -> &[u8] {
        match self {
            Outgoing::Made { body, .. } | Outgoing::Read { body, .. } => body,
        }
    }

    /// Where a request line without an origin is sent to.
    pub(crate) fn origins(&self) -> &Origins {
        const NONE: &Origins = &Origins::unknown();
        match self {
            Outgoing::Made { .. } => NONE,
            Outgoing::Read { origins, .. } => origins,
        }
    }

    /// The whole URL that was signed.
    pub(crate) fn target(&self) -> Option<String> {
        self.origins().resolve(self.head()).ok().map(|target| target.target_uri())
    }

    /// All that has to be sent: of a payload every header, of a capture those that are new.
    pub(crate) fn headers(&self, signed: &Signed) -> Vec<(String, String)> {
        let added = signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        match self {
            Outgoing::Made { headers, .. } => headers.iter().cloned().chain(added).collect(),
            Outgoing::Read { .. } => added.collect(),
        }
    }

    /// Prints in the form that was asked for.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(crate) fn print(
        &self,
        args: &SignArgs,
        signed: &Signed,
        ui: &mut Ui,
    ) -> Result<(), Failure> {
        let usual = match self {
            Outgoing::Made { .. } => SignFormat::Headers,
            Outgoing::Read { .. } => SignFormat::Http,
        };
        match (args.format.unwrap_or(usual), self) {
            (SignFormat::Headers, _) => {
                for (name, value) in self.headers(signed) {
                    ui.line(&format!("{name}: {value}"))?;
                }
                Ok(())
            }
            (SignFormat::Http, Outgoing::Made { .. }) => ui.data(&self.as_request(signed)),
            (SignFormat::Http, Outgoing::Read { source, target, .. }) => {
                ui.data(&amended(source, target.as_deref(), signed)?)
            }
            (SignFormat::Curl, _) => ui.line(&self.as_curl(signed)),
        }
    }

    /// A made request as it stands on the wire, CRLF and all.
    fn as_request(&self, signed: &Signed) -> Vec<u8> {
        let (head, body) = (self.head(), self.body());
        let Ok(target) = self.origins().resolve(head) else { return Vec::new() };
        let mut text = format!("{} {} HTTP/1.1\r\n", head.method(), target.request_target());
        text += &format!("Host: {}\r\n", target.authority());
        for (name, value) in self.headers(signed) {
            if !name.eq_ignore_ascii_case("host") {
                text += &format!("{name}: {value}\r\n");
            }
        }
        if !body.is_empty() || !bodiless(head.method()) {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    /// A command that sends exactly the signed bytes. Left to itself, curl squeezes dot segments,
    /// globs brackets, drops newlines, and sends a content type and an `Expect` of its own.
    fn as_curl(&self, signed: &Signed) -> String {
        let Outgoing::Made { head, body, url, file, .. } = self else { return String::new() };
        let mut words = vec!["curl".to_owned(), "--path-as-is".to_owned(), "--globoff".to_owned()];
        let mut add = |flag: &str, value: &str| {
            words.push(flag.to_owned());
            words.push(shell_word(value).into_owned());
        };
        match head.method() {
            // With -X HEAD, curl waits for a body that never comes.
            "HEAD" => add("--request", "HEAD"),
            method => add("--request", method),
        }
        for (name, value) in self.headers(signed) {
            // A colon with nothing behind it would take the header away.
            match value.is_empty() {
                true => add("--header", &format!("{name};")),
                false => add("--header", &format!("{name}: {value}")),
            }
        }
        if body.is_empty() {
            if !bodiless(head.method()) {
                add("--header", "Content-Length: 0");
            }
        } else {
            add("--header", "Expect:");
            let file = file.as_deref().map_or("-".into(), |file| file.to_string_lossy());
            add("--data-binary", &format!("@{file}"));
        }
        if head.method() == "HEAD" {
            words.push("--head".to_owned());
        }
        words.push(shell_word(url).into_owned());
        words.join(" ")
    }
}

/// Methods that have no body unless one is named.
fn bodiless(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "DELETE")
}

fn made(args: &SignArgs, url: &str, ui: &mut Ui) -> Result<Outgoing, Failure> {
    let target = RequestTarget::from_url(url.to_owned()).map_err(|error| {
        let failure = Failure::usage(format!("cannot sign for {url}: {}", chain(&error)));
        match (error, url.split_once('#')) {
            // A fragment is never sent, so that it cannot be signed either.
            (UriError::Fragment, Some((sent, _))) => {
                failure.hint(format!("mcpid sign --url {} …", shell_word(sent)))
            }
            _ => failure,
        }
    })?;
    let method = args.method.as_deref().unwrap_or("POST");
    let given = given_headers(&args.header)?;
    let usage = |error: &dyn std::error::Error| Failure::usage(chain(error));
    let mut head = Head::new(method.to_owned(), target).map_err(|e| usage(&e))?;
    for (name, value) in &given {
        head.push(name.clone(), value.clone().into_bytes()).map_err(|e| usage(&e))?;
    }
    let file = args.input.clone().filter(|path| path.as_os_str() != "-");
    let body = if bodiless(method) && args.input.is_none() {
        Vec::new()
    } else {
        files::open(args.input.as_deref(), ui)?.read(MOST)?
    };
    let mut headers = given;
    for (name, value) in usual_headers(&head, &body) {
        if !head.has(&name.to_ascii_lowercase()) {
            head.push(name, value.clone().into_bytes()).map_err(|e| usage(&e))?;
            headers.push((name.to_owned(), value));
        }
    }
    if args.format == Some(SignFormat::Http)
        && let Some((absolute, _)) = on_the_line(&head, &Origins::unknown())?
    {
        head = absolute;
    }
    let url = head_url(&head).unwrap_or(url).to_owned();
    Ok(Outgoing::Made { head, body, headers, url, file })
}

fn head_url<'h>(head: &'h Head<'_>) -> Option<&'h str> {
    match head.target() {
        RequestTarget::Uri(url) | RequestTarget::Absolute(url) => Some(url),
        _ => None,
    }
}

/// The head with its whole target on the request line, and that target, where `Host` alone would
/// lead a reader elsewhere; else nothing.
fn on_the_line(
    head: &Head<'static>,
    origins: &Origins,
) -> Result<Option<(Head<'static>, String)>, Failure> {
    let uri = match origins.resolve(head) {
        // What cannot be resolved cannot be signed either, and is refused there.
        Err(_) => return Ok(None),
        Ok(target) if target.follows_from_host() => return Ok(None),
        Ok(target) => target.target_uri(),
    };
    let absolute = RequestTarget::Absolute(Cow::Owned(uri.clone()));
    let rebuilt = Head::new(head.method().to_owned(), absolute).and_then(|mut rebuilt| {
        for field in head.fields() {
            rebuilt.push(field.name().to_owned(), field.value().to_vec())?;
        }
        Ok(rebuilt)
    });
    rebuilt.map(|head| Some((head, uri))).map_err(|e| Failure::usage(chain(&e)))
}

/// The headers that a client of this body would send, where the caller names none of them.
fn usual_headers(head: &Head<'_>, body: &[u8]) -> Vec<(&'static str, String)> {
    if body.is_empty() {
        return Vec::new();
    }
    // What the body says is asked of a head that calls it JSON, whatever it turns out to be.
    let Ok(mut asked) = Head::new("POST", head.target().clone()) else { return Vec::new() };
    let _ = asked.push("content-type", b"application/json".as_slice());
    let message = match body::read(&asked, body, Scope::Anywhere) {
        Ok(Reading::Message(message)) => message,
        _ => {
            let json = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
            let media = if json { "application/json" } else { "application/octet-stream" };
            return vec![("Content-Type", media.to_owned())];
        }
    };
    let mut headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Accept", "application/json, text/event-stream".to_owned()),
    ];
    headers.extend(headers::for_message(&message));
    headers
}

/// The headers of `-H`, in the order given; a file has one a line.
fn given_headers(flags: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut headers = Vec::new();
    for flag in flags {
        let Some(path) = flag.strip_prefix('@') else {
            headers.push(header(flag)?);
            continue;
        };
        let path = PathBuf::from(path);
        let bytes = std::fs::read(&path).map_err(|e| Failure::read(&path, &e))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            let message = format!("{} is not UTF-8 text", path.display());
            Failure::new(Exit::Input, "not_text", message)
        })?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            headers.push(header(line)?);
        }
    }
    Ok(headers)
}

fn header(line: &str) -> Result<(String, String), Failure> {
    let Some((name, value)) = line.split_once(':') else {
        // It may hold a token that nobody wants in a log.
        return Err(Failure::usage("a header is a name, a colon and a value")
            .hint("mcpid sign -H 'Mcp-Session-Id: 42' …"));
    };
    let lower = name.to_ascii_lowercase();
    if matches!(&*lower, "content-length" | "transfer-encoding" | "signature" | "signature-input") {
        return Err(Failure::usage(format!("{lower} is not for -H: it follows from the request")));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

fn captured(args: &SignArgs, ui: &mut Ui) -> Result<Outgoing, Failure> {
    if args.format == Some(SignFormat::Curl) {
        return Err(Failure::usage("--format curl needs --url and the body in a file of its own")
            .hint("mcpid sign --url URL --format curl body.json"));
    }
    let origins = match &args.origin {
        None => Origins::unknown(),
        Some(text) => Origins::new([Origin::parse(text)
            .map_err(|e| Failure::usage(format!("--origin {text}: {}", chain(&e))))?]),
    };
    let input = files::open(args.input.as_deref(), ui)?;
    let name = input.name.clone();
    let source = input.read(MOST)?;
    let captured = crate::incoming::capture(&name, &source, MOST)
        .map_err(|failure| failure.hint("to sign a payload: mcpid sign --url URL body.json"))?;
    let mut head = captured.head().clone().into_owned();
    let body = captured.body().to_vec();
    let mut target = None;
    if matches!(head.target(), RequestTarget::Origin(_))
        && let Some((absolute, uri)) = on_the_line(&head, &origins)?
    {
        (head, target) = (absolute, Some(uri));
    }
    Ok(Outgoing::Read { head, source, body, origins, target })
}

/// The captured bytes with the new fields in them, and every other byte as it came.
fn amended(source: &[u8], target: Option<&str>, signed: &Signed) -> Result<Vec<u8>, Failure> {
    let bug = |error: &dyn std::error::Error| Failure::new(Exit::Bug, "bug", chain(error));
    let captured = Captured::parse(source, MOST).map_err(|e| bug(&e))?;
    let new: Vec<(&str, &str)> = signed.headers().collect();
    let mut done: Vec<String> = Vec::new();
    let edit = |field: &Field<'_>| {
        let Some((_, value)) = new.iter().find(|(name, _)| name.eq_ignore_ascii_case(field.name()))
        else {
            return Edit::Keep;
        };
        // Several lines of a signature field are one value: the first takes it all.
        if done.iter().any(|name| name == field.name()) {
            return Edit::Drop;
        }
        done.push(field.name().to_owned());
        Edit::Value(Cow::Owned((*value).to_owned()))
    };
    let has = |name: &str| captured.head().has(&name.to_ascii_lowercase());
    let added: Vec<_> = new.iter().copied().filter(|(name, _)| !has(name)).collect();
    let printed = captured.print(target, edit, &added);
    printed.map_err(|e| bug(&e))
}
