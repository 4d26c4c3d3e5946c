//! The request that `sign` signs: made from a URL and a payload, or read from a capture. Also
//! prints it.

mod curl;

use std::path::PathBuf;

use mcpid::message::amend;
use mcpid::message::capture::Captured;
use mcpid::message::target::{Origin, Origins, UriError};
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::{Profile, TargetForm};
use mcpid::secret::description;
use mcpid::sign::Signed;

use super::normal;
use crate::args::rerun_hint::{self, SignChanges};
use crate::args::{SignArgs, SignFormat};
use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::{Ui, shell_word};

/// The maximum size of a body or capture, in bytes. It prevents a wrong file from filling the
/// memory. Verifiers have a lower limit by default.
const MAX_INPUT_BYTES: u64 = 64 * 1024 * 1024;

/// A request to be signed.
pub(crate) enum RequestToSign {
    /// A request made from `--url` and a payload.
    FromPayload {
        head: Head<'static>,
        body: Vec<u8>,
        /// Names and values in the order in which they are printed.
        headers: Vec<(String, String)>,
        url: String,
        file: Option<PathBuf>,
    },
    /// A request read from a capture.
    FromCapture {
        head: Head<'static>,
        source: Vec<u8>,
        body: Vec<u8>,
        origins: Origins,
        /// The target to print on the request line, if it differs from the one in the capture.
        target: Option<String>,
    },
}

impl RequestToSign {
    /// Returns the head to sign.
    pub(crate) fn head(&self) -> &Head<'static> {
        match self {
            RequestToSign::FromPayload { head, .. } | RequestToSign::FromCapture { head, .. } => {
                head
            }
        }
    }

    /// Returns the body to sign.
    pub(crate) fn body(&self) -> &[u8] {
        match self {
            RequestToSign::FromPayload { body, .. } | RequestToSign::FromCapture { body, .. } => {
                body
            }
        }
    }

    /// Returns the origins to use if the request line names none.
    pub(crate) fn origins(&self) -> &Origins {
        const NONE: &Origins = &Origins::unknown();
        match self {
            RequestToSign::FromPayload { .. } => NONE,
            RequestToSign::FromCapture { origins, .. } => origins,
        }
    }

    /// Returns the whole URL that was signed.
    pub(crate) fn target(&self) -> Option<String> {
        self.origins().resolve(self.head()).ok().map(|target| target.target_uri())
    }

    /// Returns the headers to print: all headers of a made request, or the new headers of a
    /// capture.
    pub(crate) fn headers(&self, signed: &Signed) -> Vec<(String, String)> {
        let added = signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        match self {
            RequestToSign::FromPayload { headers, .. } => {
                headers.iter().cloned().chain(added).collect()
            }
            RequestToSign::FromCapture { .. } => added.collect(),
        }
    }

    /// Prints the signed request in the format that `args` selects.
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
            RequestToSign::FromPayload { .. } => SignFormat::Headers,
            RequestToSign::FromCapture { .. } => SignFormat::Http,
        };
        match (args.format.unwrap_or(usual), self) {
            (SignFormat::Headers, _) => {
                for (name, value) in self.headers(signed) {
                    ui.line(&format!("{name}: {value}"))?;
                }
                Ok(())
            }
            (SignFormat::Http, RequestToSign::FromPayload { .. }) => {
                ui.data(&self.as_request(signed))
            }
            (SignFormat::Http, RequestToSign::FromCapture { source, target, .. }) => {
                ui.data(&amended(source, target.as_deref(), signed)?)
            }
            (SignFormat::Curl, RequestToSign::FromPayload { head, body, url, file, .. }) => {
                let headers = self.headers(signed);
                let (command, fed) = curl::command(head, &headers, body, url, file.as_deref());
                ui.line(&command)?;
                if fed {
                    let length = body.len();
                    ui.note(&format!("curl takes the body from stdin: the {length} bytes signed"));
                }
                Ok(())
            }
            // This combination cannot occur, because the check of the flags refuses it.
            (SignFormat::Curl, RequestToSign::FromCapture { .. }) => Ok(()),
        }
    }

    /// Returns the request as it is sent, with CRLF line ends.
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
}

/// Returns true if requests with this method usually have no body.
fn bodiless(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "DELETE")
}

/// The request as the flags describe it, before the payload or capture is read. So a mistyped flag
/// is reported before a keyfile is opened or stdin is read.
pub(crate) enum SignPlan {
    /// The request is made from a payload and the part of the head that the flags give.
    Make { head: Head<'static>, given: Vec<(String, String)> },
    /// The request is read from a capture. The origins are for a capture whose request line names
    /// none.
    Read { origins: Origins },
}

impl SignPlan {
    /// Reads the flags.
    ///
    /// # Errors
    /// The flags do not describe a valid request.
    pub(crate) fn of(args: &SignArgs, profile: &Profile, ui: &mut Ui) -> Result<Self, Failure> {
        let Some(given) = &args.url else { return plan_capture(args) };
        let url = &match profile.target {
            TargetForm::Rfc3986 => {
                let url = normal::url(given).map_err(|e| bad_url(args, given, &e))?;
                if url != *given {
                    ui.note(&format!("the URL is signed, and has to be sent, as {url}"));
                }
                url
            }
            _ => given.clone(),
        };
        let target = RequestTarget::from_url(url.clone()).map_err(|e| bad_url(args, url, &e))?;
        let usage = |error: &dyn std::error::Error| Failure::usage(chain(error));
        let method = args.method.as_deref().unwrap_or("POST");
        if let Some(what) = description(method) {
            return Err(
                Failure::usage(format!("--method {what}: not a method")).hint("--method POST")
            );
        }
        let mut head = Head::new(method.to_owned(), target)
            .map_err(|e| Failure::usage(format!("--method {method:?}: {}", chain(&e))))?;
        let given = super::headers::from_flags(&args.header)?;
        for (name, value) in &given {
            head.push(name.clone(), value.clone().into_bytes()).map_err(|e| usage(&e))?;
        }
        // This call refuses a `Host` header that differs from the host in the URL.
        Origins::unknown().resolve(&head).map_err(|e| usage(&e))?;
        Ok(SignPlan::Make { head, given })
    }

    /// Reads the payload or the capture.
    ///
    /// # Errors
    /// The input cannot be read, or is not a request.
    pub(crate) fn read(self, args: &SignArgs, ui: &mut Ui) -> Result<RequestToSign, Failure> {
        match self {
            SignPlan::Make { head, given } => {
                remark_method(head.method(), ui);
                made(args, head, given, ui)
            }
            SignPlan::Read { origins } => captured(args, origins, ui),
        }
    }
}

/// Warns of a method in lower case, because methods are case-sensitive (RFC 9110 section 9.1).
fn remark_method(method: &str, ui: &mut Ui) {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    if let Some(meant) = KNOWN.iter().find(|m| method.eq_ignore_ascii_case(m) && *m != &method) {
        ui.warning(&format!(
            "{method} is not {meant}: methods are case-sensitive, {method} is sent"
        ));
        ui.hint(&format!("--method {meant}"));
    }
}

fn plan_capture(args: &SignArgs) -> Result<SignPlan, Failure> {
    if args.format == Some(SignFormat::Curl) {
        return Err(Failure::usage("--format curl needs --url and the body in a file of its own")
            .hint("mcpid sign --url URL --format curl body.json"));
    }
    let origins = match &args.origin {
        None => Origins::unknown(),
        Some(text) => Origins::new([Origin::parse(text)
            .map_err(|e| Failure::usage(format!("--origin {text}: {}", chain(&e))))?]),
    };
    Ok(SignPlan::Read { origins })
}

/// Returns the failure for an unusable URL. The URL itself is not repeated, because it may contain
/// a password.
fn bad_url(args: &SignArgs, url: &str, error: &UriError) -> Failure {
    let failure = Failure::usage(format!("--url: {}", chain(error)));
    let better = match error {
        // A fragment is never sent, so it cannot be signed either.
        UriError::Fragment => url.split_once('#').map(|(sent, _)| sent.to_owned()),
        UriError::Scheme(_) if !url.is_empty() && !url.contains("://") => {
            Some(format!("https://{url}"))
        }
        _ => None,
    };
    match better.filter(|better| RequestTarget::from_url(better.clone()).is_ok()) {
        None => failure,
        Some(better) => {
            let otherwise = SignChanges { url: Some(&better), ..SignChanges::default() };
            let again = rerun_hint::sign(args, &otherwise);
            failure.hint(again.unwrap_or_else(|| format!("--url {}", shell_word(&better))))
        }
    }
}

fn made(
    args: &SignArgs,
    mut head: Head<'static>,
    given: Vec<(String, String)>,
    ui: &mut Ui,
) -> Result<RequestToSign, Failure> {
    let usage = |error: &dyn std::error::Error| Failure::usage(chain(error));
    let file = args.input.clone().filter(|path| path.as_os_str() != "-");
    let body = if bodiless(head.method()) && args.input.is_none() {
        Vec::new()
    } else {
        files::open(args.input.as_deref(), ui)?.read(MAX_INPUT_BYTES).map_err(too_large)?
    };
    if args.format == Some(SignFormat::Curl) && head.method() == "HEAD" && !body.is_empty() {
        // curl accepts only one of --head and --data-binary.
        return Err(Failure::usage("curl sends no body with HEAD")
            .hint("mcpid sign --format http prints the request itself"));
    }
    let mut headers = given;
    for (name, value) in super::headers::usual(&head, &body) {
        if !head.has(&name.to_ascii_lowercase()) {
            head.push(name, value.clone().into_bytes()).map_err(|e| usage(&e))?;
            headers.push((name.to_owned(), value));
        }
    }
    if args.format == Some(SignFormat::Http)
        && let Some((absolute, _)) =
            amend::absolute(&head, &Origins::unknown()).map_err(|e| usage(&e))?
    {
        head = absolute;
    }
    let url = head_url(&head).unwrap_or_default().to_owned();
    Ok(RequestToSign::FromPayload { head, body, headers, url, file })
}

fn head_url<'h>(head: &'h Head<'_>) -> Option<&'h str> {
    match head.target() {
        RequestTarget::Uri(url) | RequestTarget::Absolute(url) => Some(url),
        _ => None,
    }
}

fn too_large(failure: Failure) -> Failure {
    match failure.code {
        "too_large" => failure.hint("a verifier takes 4 MiB, unless its --max-body says more"),
        _ => failure,
    }
}

fn captured(args: &SignArgs, origins: Origins, ui: &mut Ui) -> Result<RequestToSign, Failure> {
    let input = files::open(args.input.as_deref(), ui)?;
    let name = input.name.clone();
    let source = input.read(MAX_INPUT_BYTES).map_err(too_large)?;
    let captured = crate::input::captures::capture(&name, &source, MAX_INPUT_BYTES)?;
    let mut head = captured.head().clone().into_owned();
    let body = captured.body().to_vec();
    let mut target = None;
    if matches!(head.target(), RequestTarget::Origin(_))
        && let Some((absolute, uri)) =
            amend::absolute(&head, &origins).map_err(|e| Failure::usage(chain(&e)))?
    {
        (head, target) = (absolute, Some(uri));
    }
    Ok(RequestToSign::FromCapture { head, source, body, origins, target })
}

fn amended(source: &[u8], target: Option<&str>, signed: &Signed) -> Result<Vec<u8>, Failure> {
    let bug = |error: &dyn std::error::Error| Failure::new(Exit::Bug, "bug", chain(error));
    let captured = Captured::parse(source, MAX_INPUT_BYTES).map_err(|e| bug(&e))?;
    let headers: Vec<(&str, &str)> = signed.headers().collect();
    amend::with_headers(&captured, target, &headers).map_err(|e| bug(&e))
}
