//! `mcpid inspect`: prints what the signatures of requests state, without using keys and without a
//! verdict.

use std::ops::ControlFlow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::base;
use mcpid::base::header::{self, Candidate, HeaderError};
use mcpid::block_on;
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::{KeyId, PRESENCE_SIGNATURE_BYTES};
use mcpid::message::InputRequest;
use mcpid::message::har::TimeFault;
use mcpid::message::json_line;
use mcpid::message::shown::quoted;
use mcpid::message::target::Origins;
use mcpid::nonce::NonceStore;
use mcpid::verify::profile_fit::{self, ProfileFit};
use mcpid::verify::report::{TimeSource, VerdictReport};
use mcpid::verify::{DEFAULT_MAX_BODY, MAX_HEAD, Statement};
use serde::Serialize;

use crate::args::rerun_hint;
use crate::args::{InspectArgs, JudgeTime};
use crate::input::captures::{InputCounts, InputReader, InputUnit, UnitContent, bad_line};
use crate::input::nonce_store;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::Ui;
use crate::output::verdict;

/// Maximum number of signatures of one request that are printed. This is more than a verifier
/// accepts, so that a user sees why a verifier refused. A limit is needed because the input is
/// untrusted, and the output for each signature is long.
const MAX_SIGNATURES: usize = 32;

/// Reads the inputs, and prints what their signatures state.
pub(crate) fn run(args: &InspectArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    if args.base && ui.json() {
        return Err(Failure::usage("--base prints bytes, and --json an object that holds them")
            .hint("mcpid inspect --json REQUEST"));
    }
    nonce_store::flags_need_a_store(
        args.nonces.as_deref(),
        args.opening.allow_evicting_store,
        false,
    )?;
    let store = match &args.nonces {
        Some(text) => Some(nonce_store::open_to_read(text, args.opening, ui)?),
        None => None,
    };
    let inputs = InputReader::new(&args.inputs, DEFAULT_MAX_BODY as u64, None, ui);
    let look = Inspector { args, store };
    let mut shown = SignaturePrinter { args, many: inputs.many(), held_back: None, any: false };
    let mut exit = Exit::Ok;
    let mut ended: Result<(), Failure> = Ok(());
    inputs.each(&InputCounts::default(), &mut |unit| {
        let mut show = |found: Result<FoundSignature, Failure>| match found {
            Ok(found) => shown.take(found, ui),
            Err(failure) => {
                // If one input fails, the others are still read.
                exit = exit.max(failure.exit);
                shown.name(ui)?;
                ui.failure(&failure);
                Ok(())
            }
        };
        match look.unit(unit).into_iter().try_for_each(&mut show) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                ended = Err(failure);
                ControlFlow::Break(())
            }
        }
    });
    ended?;
    shown.end(ui)?;
    if let (Some(label), false, Exit::Ok) = (&args.label, shown.any, exit) {
        let message = format!("no request bears a signature labelled {label:?}");
        let every = InspectArgs { label: None, base: false, ..args.clone() };
        return Err(Failure::new(Exit::Input, "no_such_label", message)
            .hint(format!("those that there are: {}", rerun_hint::inspect(&every))));
    }
    Ok(exit)
}

/// One signature of one request, or a request without a signature.
struct FoundSignature {
    claims: VerdictReport,
    /// The signature base, or the reason why it cannot be built. `None` for an unsigned request.
    base: Option<Result<String, String>>,
    /// The bytes of the signature, or what is wrong with them.
    signature: Option<Result<Vec<u8>, String>>,
    seen: Option<SeenJson>,
    /// The profiles for which the signature could be meant, if it does not fit the default profile.
    fits: Vec<ProfileFit>,
}

/// One signature in JSON. It has all members that `verify` prints.
#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    claims: &'a VerdictReport,
    base: Option<&'a str>,
    signature: Option<String>,
    seen: Option<&'a SeenJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profiles: Vec<FitJson<'a>>,
}

#[derive(Serialize)]
struct FitJson<'a> {
    name: &'static str,
    lacks: &'a [String],
}

impl<'a> FitJson<'a> {
    fn of(fit: &'a ProfileFit) -> Self {
        FitJson { name: fit.profile, lacks: &fit.lacks }
    }
}

#[derive(Serialize)]
struct SeenJson {
    seen: bool,
    first: Option<i64>,
    until: Option<i64>,
}

/// Reads requests, and looks up their nonces.
struct Inspector<'a> {
    args: &'a InspectArgs,
    store: Option<Arc<dyn NonceStore>>,
}

impl Inspector<'_> {
    /// Returns all signatures of one request, and a failure for each part that cannot be parsed.
    fn unit(&self, unit: InputUnit) -> Vec<Result<FoundSignature, Failure>> {
        let InputUnit { input, index, sha256, time_fault, content } = unit;
        let request = match content {
            UnitContent::Failed(failure) => return vec![Err(*failure)],
            UnitContent::Request(request) => *request,
            UnitContent::Line(bytes) => {
                match json_line::parse(&bytes).map(InputRequest::into_owned) {
                    Ok(request) => request,
                    Err(error) => return vec![Err(bad_line(&input, index, &error))],
                }
            }
        };
        let time = match self.args.at {
            None => (SystemClock.now(), TimeSource::Clock),
            Some(JudgeTime::At(time)) => (time, TimeSource::Flag),
            Some(JudgeTime::Capture) => match request.time {
                Some(time) => (time, TimeSource::Capture),
                None => return vec![Err(self.no_time(&input, index, time_fault))],
            },
        };
        let origins = Origins::unknown();
        let about = || {
            VerdictReport::new((&*input, index), &request, &origins, "", time)
                .with_sources(sha256.clone(), None)
        };
        let malformed = |why: String| {
            let message = format!("{input} [{index}]: {why}");
            Failure::new(Exit::Input, "signature_malformed", message)
        };
        let too_large = |why: String| {
            let message = format!("{input} [{index}]: {why}");
            vec![Err(Failure::new(Exit::Input, "too_large", message))]
        };
        let size = request.head.wire_len();
        if size > MAX_HEAD {
            return too_large(format!("the head is {size} bytes long, {MAX_HEAD} at most"));
        }
        match header::read(&request.head) {
            Ok(candidates) if candidates.len() > MAX_SIGNATURES => {
                too_large(format!("{} signatures, {MAX_SIGNATURES} at most", candidates.len()))
            }
            Ok(candidates) => candidates
                .into_iter()
                .filter(|c| self.args.label.as_ref().is_none_or(|label| *label == c.label))
                .map(|candidate| {
                    let label = candidate.label.clone();
                    self.candidate(about(), &request, candidate).map_err(|failure| {
                        match failure.code {
                            "signature_malformed" => {
                                malformed(format!("the signature {label:?}: {}", failure.message))
                            }
                            _ => failure,
                        }
                    })
                })
                .collect(),
            Err(HeaderError::Missing(_)) if self.args.base => {
                let message = format!("{input} [{index}]: the request is unsigned");
                vec![Err(Failure::new(Exit::Input, "signature_missing", message))]
            }
            Err(HeaderError::Missing(_)) if self.args.label.is_some() => Vec::new(),
            Err(HeaderError::Missing(_)) => {
                let claims = about().unsigned();
                vec![Ok(FoundSignature {
                    claims,
                    base: None,
                    signature: None,
                    seen: None,
                    fits: Vec::new(),
                })]
            }
            Err(error) => vec![Err(malformed(chain(&error)))],
        }
    }

    fn candidate(
        &self,
        about: VerdictReport,
        request: &InputRequest<'_>,
        candidate: Candidate<'_>,
    ) -> Result<FoundSignature, Failure> {
        let malformed = |why: String| Failure::new(Exit::Input, "signature_malformed", why);
        let Candidate { label, params, signature } = candidate;
        let params = params.map_err(|fault| malformed(chain(&fault)))?;
        let base = Origins::unknown()
            .resolve(&request.head)
            .map_err(|e| chain(&e))
            .and_then(|t| base::signature_base(&params, &request.head, &t).map_err(|e| chain(&e)));
        if let (true, Err(why)) = (self.args.base, &base) {
            return Err(malformed(why.clone()));
        }
        let has_body = request.body.bytes().is_some_and(|body| !body.is_empty());
        let mut fits = profile_fit::profiles((&request.head, has_body), (&label, &params));
        if fits.first().is_none_or(|default| default.lacks.is_empty()) {
            fits.clear();
        }
        let statement = Statement::of(&request.head, &label, Some(&params), None);
        let claims = about.claiming(statement);
        let seen = self.seen(&claims)?;
        let signature = signature.map(|bytes| bytes.to_vec()).map_err(|fault| chain(&fault));
        Ok(FoundSignature { claims, base: Some(base), signature: Some(signature), seen, fits })
    }

    fn seen(&self, claims: &VerdictReport) -> Result<Option<SeenJson>, Failure> {
        let (Some(store), Some(key), Some(nonce)) = (&self.store, &claims.key, &claims.nonce)
        else {
            return Ok(None);
        };
        let Some(key) = KeyId::from_text(&key.id) else { return Ok(None) };
        match block_on(store.peek(claims.now(), &key, nonce)) {
            Ok(None) => Ok(Some(SeenJson { seen: false, first: None, until: None })),
            Ok(Some(seen)) => Ok(Some(SeenJson {
                seen: true,
                first: seen.first.map(Timestamp::unix),
                until: Some(seen.until.unix()),
            })),
            Err(error) => Err(Failure::new(
                Exit::Unavailable,
                "unavailable",
                format!("the nonce store: {}", chain(&error)),
            )),
        }
    }

    fn no_time(&self, input: &str, index: u64, fault: Option<TimeFault>) -> Failure {
        let why =
            fault.map_or("the capture bears no time of its own".to_owned(), |f| f.to_string());
        let message = format!("{input} [{index}]: {why}");
        let by_the_clock = InspectArgs { at: None, ..self.args.clone() };
        Failure::new(Exit::Input, "no_time", message)
            .hint(format!("to tell ages by the clock: {}", rerun_hint::inspect(&by_the_clock)))
    }
}

/// Prints signatures. The first one is held back until there is a second one, because a single
/// signature is printed without the name of its input.
struct SignaturePrinter<'a> {
    args: &'a InspectArgs,
    many: bool,
    held_back: Option<FoundSignature>,
    any: bool,
}

impl SignaturePrinter<'_> {
    fn take(&mut self, found: FoundSignature, ui: &mut Ui) -> Result<(), Failure> {
        let first = !std::mem::replace(&mut self.any, true);
        if first && (self.args.base || !self.many) {
            self.held_back = Some(found);
            return Ok(());
        }
        if self.args.base {
            let here = [self.held_back.as_ref(), Some(&found)].into_iter().flatten();
            let label = here.rev().find_map(|found| found.claims.label.clone());
            let one = InspectArgs { label, ..self.args.clone() };
            return Err(Failure::usage("--base prints one signature's bytes, and here are more")
                .hint(rerun_hint::inspect(&one)));
        }
        if let Some(first) = self.held_back.take() {
            first.print(true, ui)?;
        }
        found.print(true, ui)
    }

    /// Prints the signature that was held back, with the name of its input, because another result
    /// follows.
    fn name(&mut self, ui: &mut Ui) -> Result<(), Failure> {
        self.any = true;
        match self.held_back.take_if(|_| !self.args.base) {
            Some(first) => first.print(true, ui),
            None => Ok(()),
        }
    }

    fn end(&mut self, ui: &mut Ui) -> Result<(), Failure> {
        match self.held_back.take() {
            None => Ok(()),
            Some(FoundSignature { base: Some(Ok(base)), .. }) if self.args.base => {
                ui.data(base.as_bytes())
            }
            Some(only) => only.print(false, ui),
        }
    }
}

impl FoundSignature {
    fn print(&self, named: bool, ui: &mut Ui) -> Result<(), Failure> {
        let FoundSignature { claims, base, signature, seen, fits } = self;
        if ui.json() {
            let base = base.as_ref().and_then(|base| base.as_deref().ok());
            let bytes = signature.as_ref().and_then(|signature| signature.as_ref().ok());
            let signature = bytes.map(|bytes| STANDARD.encode(bytes));
            let profiles = fits.iter().map(FitJson::of).collect();
            let seen = seen.as_ref();
            return ui.json_line(&Inspected { claims, base, signature, seen, profiles });
        }
        let mut first = match named {
            true => format!("{} [{}]: ", claims.input, claims.index),
            false => String::new(),
        };
        let mut more = Vec::new();
        match &claims.label {
            None => first.push_str("unsigned"),
            Some(label) => {
                first += &format!("signature {}{}", quoted(label), verdict::as_of(claims, "ages"));
                more.push(("seen", seen.as_ref().map_or("not asked".to_owned(), SeenJson::shown)));
            }
        }
        if let Some(Err(why)) = base {
            more.push(("base", format!("cannot be rebuilt: {why}")));
        }
        if let Some(Err(why)) = signature {
            more.push(("signature", format!("malformed: {why}")));
        }
        more.extend(touch(signature.as_ref()).map(|claim| ("touch", claim)));
        if let Some(could) = could_be(fits) {
            more.push(("could be", could));
        }
        let lacking = fits.iter().filter(|fit| !fit.lacks.is_empty());
        let lacks = |fit: &ProfileFit| format!("{}: {}", fit.profile, fit.lacks.join(", "));
        more.extend(lacking.map(|fit| ("lacks", lacks(fit))));
        ui.line(&ui.shown(&first))?;
        verdict::print_facts(claims, &more, ui)
    }
}

/// Returns what the signature of a security key claims about its touch: flags and counter follow the
/// 64 bytes of the signature itself.
fn touch(signature: Option<&Result<Vec<u8>, String>>) -> Option<String> {
    let signature = signature?.as_ref().ok()?;
    let signature: &[u8; PRESENCE_SIGNATURE_BYTES] = signature.as_slice().try_into().ok()?;
    let [flags, counter @ ..] = *signature.last_chunk::<5>()?;
    let claim = match (flags & 1, flags & 4) {
        (0, _) => "no touch",
        (_, 0) => "present",
        (..) => "present and verified",
    };
    let counter = u32::from_be_bytes(counter);
    Some(format!("claims {claim} (flags {flags:#04x}), counter {counter}"))
}

/// Returns the names of the profiles whose requirements are met. The profile with the tag of the
/// signature comes first, and profiles that any signature fits come last.
fn could_be(fits: &[ProfileFit]) -> Option<String> {
    let mut whole: Vec<&ProfileFit> = fits.iter().filter(|fit| fit.lacks.is_empty()).collect();
    whole.sort_by_key(|fit| (!fit.by_tag, !fit.demands_coverage));
    let names: Vec<&str> = whole.iter().map(|fit| fit.profile).collect();
    (!names.is_empty()).then(|| names.join(" "))
}

impl SeenJson {
    fn shown(&self) -> String {
        let moment = |time: Option<i64>| {
            time.map_or("unknown".to_owned(), |t| Timestamp::from_unix(t).to_string())
        };
        match self.seen {
            false => "no".to_owned(),
            true => format!("at {}, kept until {}", moment(self.first), moment(self.until)),
        }
    }
}
