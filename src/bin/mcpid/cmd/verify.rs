//! `mcpid verify`: prints one verdict for each request, in the order of the inputs. Requests are
//! judged on all cores.

mod demanded_touch;
pub(crate) mod parallel;
mod tally;
pub(crate) mod verifier;

use std::path::Path;
use std::sync::Arc;

use mcpid::block_on;
use mcpid::clock::{Clock, FixedClock, SystemClock};
use mcpid::message::har::TimeFault;
use mcpid::message::json_line::{self, LineError};
use mcpid::message::target::TargetForm;
use mcpid::message::{Body, InputRequest};
use mcpid::nonce::within_run::WithinRun;
use mcpid::verify::report::{TimeSource, VerdictReport};
use mcpid::verify::{
    DEFAULT_MAX_BODY, JudgedBody, ReplayCheck, TouchFault, UnreadRequest, Verifier, VerifyError,
};
use serde_json::value::RawValue;

use crate::args::rerun_hint;
use crate::args::{ClaimingArgs, JudgeTime, VerifyArgs};
use crate::input::captures::{InputCounts, InputReader, InputUnit, UnitContent, bad_line};
use crate::input::nonce_store;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::page::PageOutput;
use crate::output::ui::Ui;
use crate::output::verdict;
use crate::output::verdict::page::{self, SignedBytes, VerdictPage};
use demanded_touch::DemandedTouch;
use tally::VerdictTally;
use verifier::VerifierSettings;

/// Judges the requests in the inputs, and prints the verdicts.
pub(crate) fn run(args: &VerifyArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let settings = VerifierSettings::read(&args.verifier, ui)?;
    let output =
        PageOutput::check(args.html.as_deref(), &page::KIND, || page::with_other_page(args), ui)?;
    let hashed = output.is_wanted() || ui.json();
    let inputs = InputReader::new(&args.inputs, settings.max_body(), args.only.clone(), ui);
    let normal = settings.profile().target == TargetForm::Rfc3986;
    let inputs = inputs.hashed_if(hashed).with_any_target(normal);
    let mut page = VerdictPage::new(settings.trust_files());
    // A page on stdout replaces the verdicts.
    let print = |verdict: &VerdictReport, named: bool, ui: &mut Ui| match output.is_stdout() {
        true => Ok(()),
        false => verdict::print(verdict, named, ui),
    };
    let context = VerifyContext::new(args, settings, ui)?;
    let (counts, size) = (InputCounts::default(), inputs.size());
    let mut tally = VerdictTally::default();
    // A single verdict is printed without the name of its input, so the first one is held back
    // until it is known whether a second one follows.
    let mut held_back: Option<VerdictReport> = None;
    parallel::in_order(
        32,
        |units| inputs.each(&counts, &mut |unit| units.send(unit)),
        |unit| match context.judges_in_turn() {
            true => Err(unit),
            false => Ok(context.judge(unit, &counts)),
        },
        |judged| {
            let (outcome, signed) = judged.unwrap_or_else(|unit| context.judge(unit, &counts));
            let verdict = match context.settle(outcome) {
                Ok(Some(verdict)) => verdict,
                Ok(None) => return Ok(()),
                Err(failure) => {
                    tally.failed(failure.exit);
                    page.add_failure(&failure);
                    if let Some(first) = held_back.take() {
                        print(&first, true, ui)?;
                    }
                    ui.failure(&failure);
                    return Ok(());
                }
            };
            tally.count(&verdict);
            if output.is_wanted() {
                let named = |one: &SignedBytes| verdict.label.as_ref() == Some(&one.label);
                page.add(&verdict, signed.into_iter().find(named));
            }
            if let Some(first) = held_back.take() {
                print(&first, true, ui)?;
                print(&verdict, true, ui)?;
            } else if tally.verdicts + tally.failures == 1 && !inputs.many() {
                held_back = Some(verdict);
            } else {
                print(&verdict, true, ui)?;
            }
            if ui.shows_progress() {
                ui.progress(&tally.progress(InputCounts::of(&counts.bytes), size));
            }
            Ok::<(), Failure>(())
        },
    )?;
    // If requests were skipped, the only verdict is printed with the name of its input.
    let skipped = InputCounts::of(&counts.preflights) + InputCounts::of(&counts.elsewhere) > 0;
    if let Some(only) = &held_back {
        print(only, skipped, ui)?;
        hints(args, only, ui);
    }
    if skipped || inputs.many() || tally.verdicts + tally.failures != 1 {
        ui.note(&tally.summary(&counts));
    }
    if tally.on_revoked > 0 {
        ui.note("the key was revoked later; only a log proof shows that it signed before that");
    }
    if tally.verdicts + tally.failures == 0 {
        return Err(Failure::new(Exit::Input, "no_requests", "there is no request to judge"));
    }
    if output.is_wanted() {
        let html = page.finish(args, &tally.summary(&counts), SystemClock.now());
        output.write(&html, &page::KIND, ui)?;
    }
    Ok(tally.exit)
}

/// The result for one request before its nonce is checked (steps 1 to 11). The nonces are checked
/// later, in the order of the inputs.
enum JudgedUnit {
    /// The request is skipped, because `--only` excludes its target.
    Elsewhere,
    Failed(Failure),
    Done(Box<VerdictReport>),
    Claim(Box<VerdictReport>, JudgedBody),
    ClaimUnread(Box<VerdictReport>, UnreadRequest, String),
}

/// What all worker threads share.
struct VerifyContext {
    settings: VerifierSettings,
    verifier: Verifier,
    at: Option<JudgeTime>,
    replay: ReplayCheck,
    only: Option<String>,
    touch: DemandedTouch,
    /// Parses a request line. Which parser is used depends on the profile: one that signs targets
    /// in normal form has its own refusal for targets without one.
    parse_line: fn(&[u8]) -> Result<InputRequest<'_>, LineError>,
    /// The trust files, as JSON, if the output names them.
    trust: Option<Arc<RawValue>>,
    /// Whether valid signatures are kept, to be shown on a page.
    keeps_signatures: bool,
    /// A hint for a capture without times: the user's command, to judge it at the current time.
    by_the_clock: String,
}

impl VerifyContext {
    fn new(args: &VerifyArgs, settings: VerifierSettings, ui: &mut Ui) -> Result<Self, Failure> {
        let ClaimingArgs { opening, raise_retention } = args.claiming;
        let evicting = opening.allow_evicting_store;
        nonce_store::flags_need_a_store(args.nonces.as_deref(), evicting, raise_retention)?;
        if raise_retention && args.at.is_some() {
            let message =
                "--raise-retention would change nothing: with --at, nonces are only looked up";
            return Err(Failure::usage(message).hint("leave --raise-retention or --at out"));
        }
        let run = Arc::new(WithinRun::default());
        let clock: Arc<dyn Clock> = match args.at {
            Some(JudgeTime::At(time)) => Arc::new(FixedClock(time)),
            _ => Arc::new(SystemClock),
        };
        let retention = settings.verifier(Arc::clone(&clock), ReplayCheck::Unchecked).retention();
        let replay = match (&args.nonces, args.at) {
            (None, _) => ReplayCheck::WithinRun(run),
            (Some(text), None) => {
                let opened = nonce_store::open(text, retention, args.claiming, ui);
                ReplayCheck::ClaimOnce(opened.map_err(|failure| match failure.code {
                    nonce_store::TOO_SHORT => failure.hint(format!(
                        "to do so all the same: {}",
                        rerun_hint::verify_raising(args)
                    )),
                    _ => failure,
                })?)
            }
            (Some(text), Some(_)) => ReplayCheck::LookUp {
                store: nonce_store::open_to_read(text, args.claiming.opening, ui)?,
                within_run: run,
            },
        };
        let verifier = settings.verifier(clock, replay.clone());
        let by_the_clock = rerun_hint::verify(args, None, None);
        let trust = if ui.json() { Some(settings.sources()?) } else { None };
        let (at, only) = (args.at, args.only.clone());
        let parse_line = match settings.profile().target {
            TargetForm::Rfc3986 => json_line::parse_with_any_target,
            _ => json_line::parse,
        };
        let keeps_signatures = args.html.is_some();
        let touch = DemandedTouch::of(&args.touch, settings.profile(), ui)?;
        Ok(VerifyContext {
            settings,
            verifier,
            at,
            replay,
            only,
            parse_line,
            touch,
            trust,
            keeps_signatures,
            by_the_clock,
        })
    }

    /// Returns true if a request can be judged only after the nonces of all earlier requests were
    /// stored. That is so for a profile that checks, before the signature, how many nonces the key
    /// has used.
    fn judges_in_turn(&self) -> bool {
        self.settings.profile().key_first && matches!(self.replay, ReplayCheck::ClaimOnce(_))
    }

    /// Judges a request except for its nonce (steps 1 to 11), on any thread. Also returns the valid
    /// signatures, if they are kept.
    fn judge(&self, unit: InputUnit, counts: &InputCounts) -> (JudgedUnit, Vec<SignedBytes>) {
        let mut signed = Vec::new();
        (self.judge_unit(unit, &mut signed, counts), signed)
    }

    fn judge_unit(
        &self,
        unit: InputUnit,
        signed: &mut Vec<SignedBytes>,
        counts: &InputCounts,
    ) -> JudgedUnit {
        let InputUnit { input, index, sha256, time_fault, content } = unit;
        let parsed;
        let request = match &content {
            UnitContent::Failed(failure) => return JudgedUnit::Failed((**failure).clone()),
            UnitContent::Request(request) => &**request,
            UnitContent::Line(bytes) => match (self.parse_line)(bytes) {
                Ok(request) => {
                    parsed = request;
                    &parsed
                }
                Err(error) => return JudgedUnit::Failed(bad_line(&input, index, &error)),
            },
        };
        self.judge_request((&*input, index), request, (sha256, time_fault), (signed, counts))
    }

    fn judge_request(
        &self,
        place: (&str, u64),
        request: &InputRequest<'_>,
        (sha256, time_fault): (Option<Arc<str>>, Option<TimeFault>),
        (signed, counts): (&mut Vec<SignedBytes>, &InputCounts),
    ) -> JudgedUnit {
        let mut timeless = None;
        let own;
        let (verifier, now, source) = match self.at {
            None => (&self.verifier, SystemClock.now(), TimeSource::Clock),
            Some(JudgeTime::At(time)) => (&self.verifier, time, TimeSource::Flag),
            Some(JudgeTime::Capture) => {
                if let Some(fault) = &time_fault {
                    timeless = Some(fault.to_string());
                } else if request.time.is_none() {
                    return JudgedUnit::Failed(self.no_time(place));
                }
                let time = request.time.unwrap_or_else(|| SystemClock.now());
                own = self.settings.verifier(Arc::new(FixedClock(time)), self.replay.clone());
                let source = request.time.map_or(TimeSource::Clock, |_| TimeSource::Capture);
                (&own, time, source)
            }
        };
        let (origins, profile) = (self.settings.origins(), &self.settings.profile().name);
        let verdict = VerdictReport::new(place, request, origins, profile, (now, source))
            .with_sources(sha256, self.trust.clone());
        if let Some(only) = &self.only
            && !verdict.has_target_prefix(only)
        {
            InputCounts::one(&counts.elsewhere);
            return JudgedUnit::Elsewhere;
        }
        if let Some(why) = timeless {
            return JudgedUnit::Done(Box::new(verdict.without_time(why)));
        }
        let head = &request.head;
        let judged = match &request.body {
            Body::Kept(bytes) => verifier.judge_head_for(head, !bytes.is_empty()),
            _ => verifier.judge_head(head),
        };
        let verified_head = match judged {
            Ok(verified_head) => verified_head,
            Err(rejection) => return JudgedUnit::Done(Box::new(verdict.rejected(rejection))),
        };
        if self.keeps_signatures {
            signed.extend(verified_head.signatures().map(|one| SignedBytes::of(&one)));
        }
        let verdict = verdict.with_failed(verified_head.failed());
        let (bytes, doubt) = match &request.body {
            Body::Kept(bytes) => (bytes, None),
            Body::NotKept => {
                let verdict = Box::new(verdict.with_statement(verified_head.statement()));
                let why = "its body was not kept".to_owned();
                return JudgedUnit::ClaimUnread(verdict, verified_head.unread(), why);
            }
            Body::Inexact { bytes, why } => (bytes, Some(why.to_string())),
        };
        // If the digest of a body that may be incomplete matches, these bytes were signed. If it
        // does not match, that proves nothing.
        if let Some(why) = doubt
            && !digest_fits(request, bytes)
        {
            let verdict = Box::new(verdict.with_statement(verified_head.statement()));
            return JudgedUnit::ClaimUnread(verdict, verified_head.unread(), why);
        }
        match verifier.judge_body(verified_head, bytes) {
            Ok(judged) => {
                if let Some(refused) = self.touch.refusal(head, bytes, &judged) {
                    let verdict = verdict.with_failed(judged.failed()).rejected(refused);
                    return JudgedUnit::Done(Box::new(verdict));
                }
                let verdict = verdict.with_statement(judged.statement(head));
                let verdict = verdict.with_touch(judged.touch()).with_failed(judged.failed());
                JudgedUnit::Claim(Box::new(verdict), judged)
            }
            Err(rejection) => JudgedUnit::Done(Box::new(verdict.rejected(rejection))),
        }
    }

    fn no_time(&self, (input, index): (&str, u64)) -> Failure {
        let message = format!("{input} [{index}]: the capture bears no time of its own");
        Failure::new(Exit::Input, "no_time", message)
            .hint(format!("to judge it by the clock: {}", self.by_the_clock))
    }

    /// Checks the nonce of a request (step 12). Must be called in the order of the inputs.
    fn settle(&self, outcome: JudgedUnit) -> Result<Option<VerdictReport>, Failure> {
        let unavailable = |verdict: &VerdictReport, e: &dyn std::error::Error| {
            let message = format!("{} [{}]: {}", verdict.input, verdict.index, chain(e));
            Failure::new(Exit::Unavailable, "unavailable", message)
        };
        Ok(Some(match outcome {
            JudgedUnit::Elsewhere => return Ok(None),
            JudgedUnit::Failed(failure) => return Err(failure),
            JudgedUnit::Done(verdict) => *verdict,
            JudgedUnit::Claim(verdict, judged) => match block_on(self.verifier.claim(judged)) {
                Ok(verified) => verdict.accepted(verified.nonce_outcome()),
                Err(VerifyError::Rejected(rejection)) => verdict.rejected(rejection),
                Err(error) => return Err(unavailable(&verdict, &error)),
            },
            JudgedUnit::ClaimUnread(verdict, unread, why) => {
                match block_on(self.verifier.claim_unread(unread)) {
                    Ok(seen) => verdict.without_body(&why, seen),
                    Err(VerifyError::Rejected(rejection)) => verdict.rejected(rejection),
                    Err(error) => return Err(unavailable(&verdict, &error)),
                }
            }
        }))
    }
}

fn digest_fits(request: &InputRequest<'_>, bytes: &[u8]) -> bool {
    use mcpid::message::digest::ContentDigest;
    ContentDigest::read(&request.head).and_then(|digest| digest.check(bytes)).is_ok()
}

/// Prints up to two hints for a verdict, as commands that can be pasted.
fn hints(args: &VerifyArgs, verdict: &VerdictReport, ui: &mut Ui) {
    let Some(rejection) = &verdict.rejection else { return };
    match rejection.code().as_str() {
        "expired" | "not_yet_valid" => {
            if let Some(created) = verdict.created() {
                let command = rerun_hint::verify(args, Some(JudgeTime::At(created)), None);
                ui.hint(&format!("to judge it as of its own time: {command}"));
                ui.hint("that shows it was valid then, not that it was sent then");
            }
        }
        // The key is already in a trust file under its thumbprint, so adding it would not help.
        "key_unknown" if rejection.kid_of().is_some() => {}
        "key_unknown" => ui.hint(&format!(
            "to trust a key: mcpid trust add{} --name NAME KEYFILE",
            args.verifier.trust.first().map(|t| format!(" -r {}", word(t))).unwrap_or_default()
        )),
        "signature_missing" => {
            let input = args.inputs.first().filter(|path| *path != Path::new("-"));
            let input = input.map(|path| format!(" {}", word(path))).unwrap_or_default();
            ui.hint(&format!("to sign it: mcpid sign{input}"));
        }
        "too_large"
            if verdict.body_size > args.verifier.max_body.unwrap_or(DEFAULT_MAX_BODY as u64) =>
        {
            let command = rerun_hint::verify(args, args.at, Some(verdict.body_size));
            ui.hint(&format!("to judge it all the same: {command}"));
        }
        "touch_required" if rejection.touch_fault() == Some(TouchFault::Absent) => {
            ui.hint("to sign with a touch: mcpid sign --touch ssh-agent:ID REQUEST")
        }
        _ => {}
    }
}

fn word(path: &Path) -> String {
    crate::output::ui::path_word(path)
}
