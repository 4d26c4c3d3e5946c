//! `mcpid sign`: signs a request that is made from a payload, or a captured request.

pub(crate) mod headers;
mod normal;
mod placeholder;
pub(crate) mod request;
mod touched;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcpid::base::Component;
use mcpid::base::header::{self, AddError};
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::{SignByTouch as _, trust};
use mcpid::mcp::body::{self, Scope};
use mcpid::mcp::headers as mcp_headers;
use mcpid::message::Head;
use mcpid::message::target::Origins;
use mcpid::profile::{KeyLookup, NamedProfile, Profile};
use mcpid::sign::{Nonce, Signed, Signer, SigningError, TOUCH_LABEL};
use mcpid::verify::coverage::{self, CoverageOverrides};
use mcpid::verify::covered;
use rand::rngs::SysRng;
use serde::Serialize;

use crate::args::coverage_flags;
use crate::args::rerun_hint::{self, SignChanges};
use crate::args::{SignArgs, Ttl};
use crate::cmd::sign::request::{RequestToSign, SignPlan};
use crate::keys::request_key::{self, OpenedKey, RequestKey};
use crate::keys::signing_key;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::{Ui, path_word, shell_word};
use placeholder::{PlaceholderKey, PlaceholderSigner};
use touched::{TouchJson, TouchPlan};

/// Signs the request, and prints the result.
pub(crate) fn run(args: &SignArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let profile = args.profile.profile();
    // Everything that can fail is tried before the user is asked for a passphrase: the flags, then
    // the files, then signing with a placeholder key.
    check(args)?;
    let plan = SignPlan::of(args, &profile, ui)?;
    let signing_key = RequestKey::find(&args.signing_key)?;
    signing_key.check_kind(&profile)?;
    let source = signing_key.source(&args.passphrase, ui)?;
    let outgoing = plan.read(args, ui)?;
    let touch = TouchPlan::of(args, &profile)?;
    let touch_seconds = match signing_key.security_key() {
        Some(_) if touch.is_some() => {
            let message = "--touch joins the signature of a key that is no security key";
            return Err(Failure::usage(message).hint("leave --touch out, or name another -k KEY"));
        }
        Some(_) => touched::seconds(args, &profile, "a security key")?,
        None => 0,
    };
    let nonce = Nonce::generate(&mut SysRng)
        .map_err(|e| Failure::new(Exit::Key, "no_random", format!("no random numbers: {e}")))?;
    let (head, origins, body) = (outgoing.head(), outgoing.origins(), outgoing.body());
    let failed = |error: &SigningError| failure(args, head, error);
    let sign = |signer: &Signer| {
        let created = args.at.unwrap_or_else(|| SystemClock.now());
        signer.sign(head, origins, body, created, &nonce).map_err(|error| failed(&error))
    };
    let placeholder = match signing_key.security_key() {
        Some(key) => OpenedKey::SecurityKey(Arc::new(PlaceholderKey(key.security_key().clone()))),
        None => OpenedKey::Plain(Arc::new(PlaceholderSigner(signing_key.public().clone()))),
    };
    let blank = sign(&signer(args, &profile, placeholder)?)?;
    let label = label(args, &profile);
    warn(&profile, (head, body), (label, &blank), ui);

    let name = signing_key.name().to_owned();
    if signing_key.security_key().is_some() {
        request_key::note_alone(touch_seconds, "", ui);
    }
    let key = signing_key.open(source, Duration::from_secs(touch_seconds))?;
    let signer = signer(args, &profile, key)?;
    let signed = sign(&signer)?;
    let touched = match &touch {
        Some(touch) => {
            Some(touch.sign(&signer, (head, origins), &signed, ui).map_err(|e| failed(&e))?)
        }
        None => None,
    };
    if ui.json() {
        ui.json_line(&json(label, &outgoing, &signed, touched.as_ref(), &name))?;
    } else {
        outgoing.print(args, touched.as_ref().unwrap_or(&signed), ui)?;
        if ui.has_escaped() {
            ui.warning("the terminal is shown escapes that were not signed: print it to a file");
        }
    }
    Ok(Exit::Ok)
}

/// Checks each flag that can be checked by itself.
fn check(args: &SignArgs) -> Result<(), Failure> {
    let profile = args.profile.profile();
    coverage_flags::covered(&profile, &args.cover, &args.no_cover)?;
    header::check_label(label(args, &profile))
        .map_err(|e| Failure::usage(format!("--label {e}")))?;
    // A tag that no trust file can list is refused, because the signature could never be verified.
    let id = args.client_id.as_deref();
    id.map_or(Ok(()), trust::check_client_id)
        .map_err(|e| Failure::usage(format!("--client-id {e}")))
}

fn signer(args: &SignArgs, profile: &Profile, key: OpenedKey) -> Result<Signer, Failure> {
    let bug = |error: &SigningError| Failure::new(Exit::Bug, "bug", chain(error));
    let mut signer = key.signer(profile).map_err(|e| bug(&e))?;
    if let Some(label) = &args.label {
        signer = signer.with_label(label);
    }
    if let Some(kid) = &args.keyid {
        signer = signer.with_keyid(kid).map_err(|error| by_kid(profile, kid, &error))?;
    }
    if let Some(id) = &args.client_id {
        signer = signer.with_client_id(id);
    }
    if let Some(ttl) = args.ttl {
        signer = signer.with_ttl(match ttl {
            Ttl::Seconds(seconds) => Some(i64::from(seconds)),
            Ttl::None => None,
        });
    }
    if args.replace {
        signer = signer.replacing();
    }
    let (cover, no_cover) = coverage_flags::covered(profile, &args.cover, &args.no_cover)?;
    let signer = cover.into_iter().fold(signer, Signer::cover);
    Ok(no_cover.into_iter().fold(signer, Signer::no_cover))
}

/// Returns the label for the signature.
fn label<'a>(args: &'a SignArgs, profile: &Profile) -> &'a str {
    args.label.as_deref().unwrap_or(profile.label)
}

/// Returns the failure of `--keyid`. The hint names the profiles that allow the flag.
fn by_kid(profile: &Profile, kid: &str, error: &SigningError) -> Failure {
    let failure = Failure::usage(format!("--keyid {}: {}", shell_word(kid), chain(error)));
    if profile.key_lookup != KeyLookup::Thumbprint {
        return failure;
    }
    let others = Profile::NAMED.iter().map(NamedProfile::profile);
    let others = others.filter(|other| other.key_lookup != KeyLookup::Thumbprint);
    let names: Vec<String> = others.map(|other| other.name.into_owned()).collect();
    failure.hint(format!("the profiles that look keys up by kid: {}", names.join(" ")))
}

/// Warns of faults (in coverage and in the MCP message) for which a verifier would refuse the
/// request. The request is still signed, because the user's server may accept it.
fn warn(
    profile: &Profile,
    (head, body): (&Head<'_>, &[u8]),
    (label, signed): (&str, &Signed),
    ui: &mut Ui,
) {
    let covered: Vec<_> = signed.covered.iter().filter_map(|c| Component::parse(c).ok()).collect();
    let (request, overrides) = ((head, !body.is_empty()), CoverageOverrides::default());
    if let Err(refused) = coverage::judge(profile, &overrides, request, (label, &covered)) {
        let (code, why) = (refused.code().as_str(), refused.message());
        ui.warning(&format!("verify would refuse this at step 6 ({code}): {why}"));
    }
    if let Some((line, column)) = not_json(head, body) {
        ui.warning(&format!("not JSON (line {line}, column {column}): MCP servers will refuse it"));
    }
    if !profile.judge_mcp {
        return;
    }
    let refused = match body::read(head, body, Scope::Anywhere) {
        Err(ambiguous) => Some(("body_ambiguous", chain(&ambiguous))),
        Ok(reading) => mcp_headers::check(head, &reading)
            .err()
            .map(|m| ("header_body_mismatch", m.to_string())),
    };
    if let Some((code, why)) = refused {
        ui.warning(&format!("verify would refuse this at step 10 ({code}): {why}"));
    }
}

/// Returns the line and column of the first error in a body that should be JSON. Both count from 1;
/// the column counts characters. Returns None if neither the content type nor the first character
/// suggests JSON.
fn not_json(head: &Head<'_>, body: &[u8]) -> Option<(usize, usize)> {
    let media = head.single("content-type").ok().flatten().unwrap_or_default();
    let media = String::from_utf8_lossy(media).to_ascii_lowercase();
    let first = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start().first();
    if body.is_empty() || !(media.contains("json") || matches!(first, Some(b'{' | b'['))) {
        return None;
    }
    let (at, text) = match std::str::from_utf8(body) {
        Ok(text) => {
            let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err()?;
            // serde_json counts columns in bytes, and its column 0 means the end of a line.
            let start = text.split_inclusive('\n').take(error.line().saturating_sub(1));
            let start: usize = start.map(str::len).sum();
            // serde_json reports the position of the wrong character. Only for an early end of the
            // text, it reports the character before.
            (start + error.column().saturating_sub(usize::from(!error.is_eof())), text)
        }
        Err(error) => {
            let text = body.get(..error.valid_up_to()).unwrap_or_default();
            (text.len(), std::str::from_utf8(text).unwrap_or_default())
        }
    };
    let start = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    let before = text.get(..start.unwrap_or_default()).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((line, column))
}

fn failure(args: &SignArgs, head: &Head<'_>, error: &SigningError) -> Failure {
    let message = chain(error);
    let again = |failure: Failure, why: &str, otherwise: SignChanges<'_>| match rerun_hint::sign(
        args, &otherwise,
    ) {
        Some(command) => failure.hint(format!("{why}: {command}")),
        None => failure,
    };
    match error {
        SigningError::Target(_) => {
            let failure = Failure::new(Exit::Input, "target", message);
            // The hint names the origin, if the request names exactly one.
            let named = Origins::unknown().resolve(head).ok().and_then(|target| {
                let uri = target.target_uri();
                Some(format!("{}://{}", uri.split_once("://")?.0, target.authority()))
            });
            match named.filter(|_| args.origin.is_some()) {
                Some(origin) => {
                    let otherwise = SignChanges { origin: Some(&origin), ..SignChanges::default() };
                    again(failure, "for the host that it names", otherwise)
                }
                None => failure,
            }
        }
        SigningError::Digest(_) if args.url.is_some() => {
            Failure::usage(message).hint("leave content-digest out of -H: it is computed")
        }
        SigningError::Digest(_) => {
            let failure = Failure::new(Exit::Input, "digest", message);
            match args.input.as_deref().filter(|path| *path != Path::new("-")) {
                Some(path) => failure.hint(format!(
                    "to have it computed anew: sed -i '/^content-digest:/Id' {}",
                    path_word(path)
                )),
                None => failure,
            }
        }
        SigningError::Params(_)
        | SigningError::KeyId(_)
        | SigningError::Add(AddError::Unwritable { .. }) => Failure::usage(message),
        SigningError::Tag(_) => {
            let id = args.client_id.as_deref().unwrap_or_default();
            Failure::usage(format!("--client-id {}: {message}", shell_word(id)))
        }
        SigningError::Base(_) => {
            let (with, of) = match args.url {
                Some(_) => ("-H 'NAME: VALUE'", "it has to be sent too"),
                None => ("a header of the request", "it has to be there"),
            };
            Failure::usage(message).hint(format!("what --cover names, {of}: by {with}"))
        }
        SigningError::Add(AddError::LabelTaken(label)) => {
            let message = format!("the request already has a signature labelled {label:?}");
            let failure = Failure::new(Exit::Input, "already_signed", message);
            let anew = SignChanges { replace: true, ..SignChanges::default() };
            let second = format!("{label}2");
            let second = SignChanges { label: Some(&second), ..SignChanges::default() };
            let failure = again(failure, "to sign it anew", anew);
            if args.touch.is_some() && label == TOUCH_LABEL {
                return failure;
            }
            again(failure, "to add a second signature", second)
        }
        SigningError::Key(why) => signing_key::sign_failure(why, message),
        _ => Failure::new(Exit::Input, "not_signable", message),
    }
}

/// The result in JSON. Its members have the same names as in the output of `verify`.
#[derive(Serialize)]
struct SignedJson<'a> {
    version: u8,
    label: &'a str,
    key: KeyJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    touch: Option<TouchJson<'a>>,
    tag: Option<&'a str>,
    created: i64,
    expires: Option<i64>,
    nonce: Option<&'a str>,
    covered: Vec<String>,
    method: &'a str,
    target: Option<String>,
    headers: Vec<(String, String)>,
    base: &'a str,
}

#[derive(Serialize)]
struct KeyJson<'a> {
    id: &'a str,
    name: &'a str,
}

fn json<'a>(
    label: &'a str,
    outgoing: &'a RequestToSign,
    signed: &'a Signed,
    touched: Option<&'a Signed>,
    name: &'a str,
) -> SignedJson<'a> {
    // As in the output of `verify`, a component without parameters is written without quotation
    // marks.
    let bare = |text: &String| match Component::parse(text) {
        Ok(component) => covered::shown(&component),
        Err(_) => text.clone(),
    };
    SignedJson {
        version: 1,
        label,
        key: KeyJson { id: &signed.keyid, name },
        touch: touched.map(TouchJson::of),
        tag: signed.tag.as_deref(),
        created: signed.created.unix(),
        expires: signed.expires.map(|time| time.unix()),
        nonce: signed.nonce.as_deref(),
        covered: signed.covered.iter().map(bare).collect(),
        method: outgoing.head().method(),
        target: outgoing.target(),
        headers: outgoing.headers(touched.unwrap_or(signed)),
        base: &signed.base,
    }
}
