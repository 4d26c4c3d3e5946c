//! Writes the cases for the tests of fronts in other languages, to the file that `MCPID_CASES` names.
//!
//! Each case is a request as on the wire, the settings of the server that judges it, and the verdict. A
//! case is left out if no server can be set so: one with a changed profile, or with a store in which
//! nonces were used up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::message::RequestTarget;
use mcpid::profile::Profile;
use mcpid::verify::coverage::CoverageOverrides;
use mcpid::verify::{Step, VerifyError};
use serde_json::{Value, json};

use super::{Case, cases};

/// Returns a case as JSON; values and body in base64.
fn exported(case: &Case) -> Option<Value> {
    let play = case.play();
    let (judge, call) = (&play.judge, &play.call);
    if judge.profile != Profile::mcp() || judge.changes != CoverageOverrides::default() {
        return None;
    }
    let Err(VerifyError::Rejected(refused)) = judge.judge(call) else { return None };
    if refused.step() == Step::Nonce {
        return None;
    }
    let target = match &call.target {
        RequestTarget::Origin(text) | RequestTarget::Absolute(text) => text,
        RequestTarget::Asterisk => "*",
        RequestTarget::Uri(_) => return None,
    };
    let fields = call.fields.iter().map(|(name, value)| json!([name, STANDARD.encode(value)]));
    Some(json!({
        "why": case.why,
        "step": refused.step().number(),
        "code": refused.public_code().as_str(),
        "now": judge.clock.now().unix(),
        "trust": judge.trust,
        "origins": judge.origins,
        "max_body": judge.max_body,
        "method": call.method,
        "target": target,
        "fields": fields.collect::<Vec<_>>(),
        "body": STANDARD.encode(&call.body),
    }))
}

#[test]
fn the_cases_are_written_for_other_fronts() {
    let exported: Vec<Value> = cases().iter().filter_map(exported).collect();
    assert!(exported.len() > 200, "{} cases", exported.len());
    if let Some(path) = std::env::var_os("MCPID_CASES") {
        std::fs::write(path, Value::from(exported).to_string()).unwrap();
    }
}
