//! `mcpid inspect`: who claims what, when and how fresh. No keys, no verdict.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::base;
use mcpid::base::header::{self, Candidate, HeaderError};
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::KeyId;
use mcpid::message::Request;
use mcpid::message::line;
use mcpid::message::target::Origins;
use mcpid::nonce::{NonceStore, Retention};
use mcpid::verify::{DEFAULT_MAX_BODY, Statement};
use serde::Serialize;

use crate::args::{InspectArgs, When};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::incoming::{Counts, Inputs, Unit, What, bad_line};
use crate::nonces::{self, wait};
use crate::report::{TimeSource, Verdict};
use crate::ui::Ui;

/// Reads and prints.
pub(crate) fn run(args: &InspectArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let store = match &args.nonces {
        // It only looks, so that any retention will do.
        Some(text) => Some(nonces::open(text, Retention::new(30, 5))?),
        None => None,
    };
    let inputs = Inputs::new(&args.inputs, DEFAULT_MAX_BODY as u64, None, ui);
    let look = Look { args, store };
    let mut exit = Exit::Ok;
    let mut ended: Result<(), Failure> = Ok(());
    let mut printed = 0_u64;
    inputs.each(&Counts::default(), &mut |unit| {
        match look.unit(unit, inputs.many(), &mut printed, ui) {
            Ok(one) => exit = exit.max(one),
            // What one input cannot tell does not stop the rest; what ends stdout does.
            Err(failure) if failure.exit == Exit::Closed || failure.code == "disk_full" => {
                ended = Err(failure);
                return std::ops::ControlFlow::Break(());
            }
            Err(failure) => {
                exit = exit.max(failure.exit);
                ui.failure(&failure);
            }
        }
        std::ops::ControlFlow::Continue(())
    });
    ended.map(|()| exit)
}

struct Look<'a> {
    args: &'a InspectArgs,
    store: Option<Arc<dyn NonceStore>>,
}

/// One signature as programs read it: the schema of `verify` with what only a look can give.
#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    claims: &'a Verdict,
    base: Option<&'a str>,
    signature: Option<String>,
    seen: Option<SeenJson>,
}

#[derive(Serialize)]
struct SeenJson {
    seen: bool,
    first: Option<i64>,
    until: Option<i64>,
}

impl Look<'_> {
    fn unit(
        &self,
        unit: Unit,
        many: bool,
        printed: &mut u64,
        ui: &mut Ui,
    ) -> Result<Exit, Failure> {
        let Unit { input, index, what } = unit;
        let request = match what {
            What::Failed(failure) => return Err(*failure),
            What::Request(request) => *request,
            What::Line(bytes) => line::parse(&bytes)
                .map(Request::into_owned)
                .map_err(|e| bad_line(&input, index, &e))?,
        };
        let (now, source) = match self.args.at {
            None => (SystemClock.now(), TimeSource::Clock),
            Some(When::At(time)) => (time, TimeSource::Flag),
            Some(When::Capture) => match request.time {
                Some(time) => (time, TimeSource::Capture),
                None => {
                    let message = format!("{input} [{index}]: the capture bears no time");
                    return Err(Failure::new(Exit::Input, "no_time", message));
                }
            },
        };
        let place = (&*input, index);
        let prefix = if many || index > 0 { format!("{input} [{index}]: ") } else { String::new() };
        let candidates = match header::read(&request.head) {
            Ok(candidates) => candidates,
            Err(HeaderError::Missing(_)) => {
                return self.unsigned(place, &prefix, &request, (now, source), ui);
            }
            Err(error) => {
                let message = format!("{input} [{index}]: {}", chain(&error));
                return Err(Failure::new(Exit::Input, "signature_malformed", message));
            }
        };
        let mut exit = Exit::Ok;
        for candidate in candidates {
            if self.args.label.as_ref().is_some_and(|label| *label != candidate.label) {
                continue;
            }
            *printed += 1;
            let one =
                self.candidate(place, &prefix, &request, candidate, (now, source), *printed, ui);
            exit = exit.max(one?);
        }
        Ok(exit)
    }

    fn unsigned(
        &self,
        place: (&str, u64),
        prefix: &str,
        request: &Request<'_>,
        time: (Timestamp, TimeSource),
        ui: &mut Ui,
    ) -> Result<Exit, Failure> {
        if self.args.base {
            let message = format!("{} [{}]: the request is unsigned", place.0, place.1);
            return Err(Failure::new(Exit::Input, "signature_missing", message));
        }
        let verdict = Verdict::of(place, request, &Origins::unknown(), "", time).unsigned();
        if ui.json() {
            let none = Inspected { claims: &verdict, base: None, signature: None, seen: None };
            ui.json_line(&none)?;
        } else {
            ui.line(&ui.shown(&format!("{prefix}unsigned")))?;
            verdict.print_facts(&[], ui)?;
        }
        Ok(Exit::Ok)
    }

    #[allow(clippy::too_many_arguments)]
    fn candidate(
        &self,
        place: (&str, u64),
        prefix: &str,
        request: &Request<'_>,
        candidate: Candidate<'_>,
        time: (Timestamp, TimeSource),
        number: u64,
        ui: &mut Ui,
    ) -> Result<Exit, Failure> {
        let Candidate { label, params, signature } = candidate;
        let malformed = |why: String| {
            let message = format!("{} [{}]: the signature {label:?}: {why}", place.0, place.1);
            Failure::new(Exit::Input, "signature_malformed", message)
        };
        let params = params.map_err(|fault| malformed(chain(&fault)))?;
        let origins = Origins::unknown();
        let base = origins
            .resolve(&request.head)
            .map_err(|e| chain(&e))
            .and_then(|t| base::signature_base(&params, &request.head, &t).map_err(|e| chain(&e)));
        if self.args.base {
            if number > 1 {
                return Err(Failure::usage(
                    "--base prints one signature's bytes, and here are more",
                )
                .hint("mcpid inspect --base --label LABEL REQUEST"));
            }
            let base = base.map_err(malformed)?;
            return ui.data(base.as_bytes()).map(|()| Exit::Ok);
        }
        let statement = Statement::of(&request.head, &label, Some(&params), None);
        let verdict = Verdict::of(place, request, &origins, "", time).claiming(statement);
        let seen = self.seen(&verdict, time.0)?;
        if ui.json() {
            let signature = signature.ok().map(|bytes| STANDARD.encode(bytes));
            let base = base.as_deref().ok();
            ui.json_line(&Inspected { claims: &verdict, base, signature, seen })?;
            return Ok(Exit::Ok);
        }
        ui.line(&ui.shown(&format!("{prefix}signature {label}")))?;
        let mut more = Vec::new();
        more.push(match &seen {
            None => ("seen", "not asked".to_owned()),
            Some(SeenJson { seen: false, .. }) => ("seen", "no".to_owned()),
            Some(SeenJson { first, until, .. }) => {
                let moment = |t: Option<i64>| {
                    t.map_or("unknown".to_owned(), |t| Timestamp::from_unix(t).to_string())
                };
                ("seen", format!("at {}, kept until {}", moment(*first), moment(*until)))
            }
        });
        if let Err(why) = &base {
            more.push(("base", format!("cannot be rebuilt: {why}")));
        }
        if let Err(fault) = &signature {
            more.push(("signature", format!("malformed: {}", chain(fault))));
        }
        verdict.print_facts(&more, ui)?;
        Ok(Exit::Ok)
    }

    fn seen(&self, verdict: &Verdict, now: Timestamp) -> Result<Option<SeenJson>, Failure> {
        let (Some(store), Some((key, nonce))) = (&self.store, verdict.pair()) else {
            return Ok(None);
        };
        let Some(key) = KeyId::from_text(key) else { return Ok(None) };
        match wait(store.peek(now, &key, nonce)) {
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
}
