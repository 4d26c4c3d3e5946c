//! The headline for a verdict: its result in one sentence, and how much was checked.

use mcpid::page::short_name;
use mcpid::profile::{LastSteps, Profile};
use mcpid::verify::report::VerdictReport;

use super::super::exit;
use crate::output::exit::Exit;

/// Maximum number of characters of a name in the headline.
const MOST_IN_HEADLINE: usize = 60;

/// The number of the last verification step.
const LAST_STEP: u8 = 12;

/// Returns the headline for a verdict, as HTML.
pub(super) fn of(verdict: &VerdictReport) -> String {
    let asked = verdict.mcp.as_ref().and_then(|mcp| mcp.name.as_deref().or(mcp.method.as_deref()));
    let asked = match asked.map(|asked| short_name(asked, MOST_IN_HEADLINE)) {
        Some(asked) if is_asked_signed(verdict) => format!("a request for {asked}"),
        Some(asked) => format!("a request that by its own word is for {asked}"),
        None => "a request".to_owned(),
    };
    let who = verdict.key.as_ref().and_then(|key| key.name.as_deref());
    let who = who.map(|who| short_name(who, MOST_IN_HEADLINE));
    let who = who.unwrap_or_else(|| "A key of the trust file".to_owned());
    match exit(verdict) {
        Exit::Ok if verdict.rests_on_revoked_key() => {
            format!("The key of {who}, which was revoked later, signed {asked}.")
        }
        Exit::Ok if !is_whole(verdict) => {
            format!("{who} signed parts of {asked}; the rest is only claimed.")
        }
        Exit::Ok => format!("{who} authorised {asked}."),
        Exit::Rejected => "A request is rejected.".to_owned(),
        _ => "A request could not be judged.".to_owned(),
    }
}

/// Returns true if a signature of the request was verified.
pub(super) fn is_signature_verified(verdict: &VerdictReport) -> bool {
    match (exit(verdict), verdict.step) {
        (Exit::Ok, _) => true,
        (_, Some(step)) => step > 8,
        (_, None) => verdict.label.is_some() && !verdict.unjudged.contains(&8),
    }
}

/// Returns true if the operation that the page names was signed: the signature covers the digest of
/// the body, and the digest matched.
pub(super) fn is_asked_signed(verdict: &VerdictReport) -> bool {
    exit(verdict) == Exit::Ok && covers(verdict, "content-digest")
}

/// Returns true if the signature covers method, target and the digest of the content.
fn is_whole(verdict: &VerdictReport) -> bool {
    let content = verdict.body_size == 0 || covers(verdict, "content-digest");
    content && !verdict.not_covered.iter().any(|name| name.starts_with('@'))
}

fn covers(verdict: &VerdictReport, name: &str) -> bool {
    verdict.covered.iter().any(|covered| covered == name)
}

/// Returns a text that lists the verification steps that were done.
pub(super) fn steps_made(verdict: &VerdictReport) -> String {
    if let Some(step) = verdict.step {
        let profile = verdict.profile.as_deref().and_then(Profile::named);
        let nonce_first = profile.is_some_and(|p| p.last_steps == LastSteps::NonceBeforeBody);
        let made = match (nonce_first, step) {
            (_, 1) => "1".to_owned(),
            (true, LAST_STEP) => "1 to 9, and 12".to_owned(),
            (true, 10) => "1 to 9, 12, and 10".to_owned(),
            (true, 11) => "1 to 9, 12, 10 and 11".to_owned(),
            _ => format!("1 to {step}"),
        };
        return format!("{made}; step {step} refused it, and no later step was made");
    }
    let nonce = match verdict.replay {
        "fresh" => "12",
        "replayed" => "12, where the store has seen the nonce",
        "below_floor" => "12, where the store may have forgotten",
        _ => "12 only among the requests of this run",
    };
    let open = &verdict.unjudged;
    let until = (1..LAST_STEP).take_while(|step| !open.contains(step)).last();
    match until {
        None => "none".to_owned(),
        Some(until) if open.is_empty() => format!("1 to {until}, and {nonce}"),
        Some(until) => {
            let open: Vec<String> = open.iter().map(u8::to_string).collect();
            format!("1 to {until}, and {nonce}; not {}", open.join(", "))
        }
    }
}
