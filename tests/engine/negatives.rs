//! Tests that make the same changes, one at a time, to a request of each named profile: the profile
//! accepts the request, and refuses at least twenty changed ones.

use mcpid::message::RequestTarget;
use mcpid::message::digest::content_digest;
use mcpid::profile::Profile;
use serde_json::json;

use crate::fixtures::{CREATED, Call, Input, Judge, key, time, trusted};
use crate::{adcp, ucp};

/// A request, with the verifier that accepts it.
struct Case {
    call: Call,
    judge: Judge,
}

fn case(profile: &Profile) -> Case {
    match &*profile.name {
        "adcp" => Case { call: adcp::accepted(), judge: adcp::judge() },
        "ucp" => Case { call: ucp::accepted(), judge: ucp::judge() },
        _ => {
            let mut call = Call::unsigned();
            let length = call.body.len().to_string();
            call.push("content-length", &length);
            let input = Input::of(&call, &key(1));
            call.sign(&key(1), "sig1", &input);
            Case { call, judge: Judge::by(profile.clone()) }
        }
    }
}

fn target(case: &mut Case, change: impl FnOnce(&str) -> String) {
    let RequestTarget::Origin(text) = &case.call.target else { panic!("an origin form") };
    case.call.target = RequestTarget::Origin(change(text).into());
}

/// Replaces `from` by `to` in the signature fields.
fn input(case: &mut Case, from: &str, to: &str) {
    case.call.edit("signature-input", from, to);
}

fn signature(case: &mut Case, change: impl FnOnce(&mut Vec<u8>)) {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let text = case.call.get("signature").to_owned();
    let inner = text.strip_prefix("sig1=:").unwrap().strip_suffix(':').unwrap();
    let mut bytes = STANDARD.decode(inner).unwrap();
    change(&mut bytes);
    case.call.set("signature", &format!("sig1=:{}:", STANDARD.encode(bytes)));
}

fn limit(case: &mut Case, member: &str, at: i64) {
    case.judge.trust[0]["mcpid"][member] = json!(time(at).to_string());
}

/// A change: its name, the function that makes it, and the steps at which a profile may find it.
type Row = (&'static str, fn(&mut Case), &'static [u8]);

const ROWS: &[Row] = &[
    ("another method", |c| c.call.method = "PUT".to_owned(), &[8]),
    ("another path", |c| target(c, |text| text.replacen('/', "/x/", 1)), &[8]),
    ("a slash more", |c| target(c, |text| text.replacen('?', "/?", 1)), &[8]),
    ("a longer query", |c| target(c, |text| format!("{text}&x=1")), &[8]),
    ("no query", |c| target(c, |text| text.split('?').next().unwrap().to_owned()), &[8]),
    ("another host", |c| _ = c.call.set("host", "other.example"), &[1]),
    ("another port", |c| _ = c.call.set("host", "mcp.example.com:8443"), &[1]),
    ("two hosts", |c| _ = c.call.push("host", "mcp.example.com"), &[1]),
    ("another digest", |c| _ = c.call.set("content-digest", &content_digest(b"other")), &[8]),
    ("another body", |c| c.call.body[5] ^= 1, &[9]),
    ("a longer body", |c| c.call.body.push(b' '), &[9]),
    ("another type", |c| _ = c.call.set("content-type", "application/JSON"), &[8]),
    ("a second type", |c| _ = c.call.push("content-type", "text/plain"), &[1, 3]),
    ("another signature", |c| signature(c, |bytes| bytes[40] ^= 1), &[8]),
    ("a signature of zeros", |c| signature(c, |bytes| bytes.fill(0)), &[8]),
    ("a short signature", |c| signature(c, |bytes| bytes.truncate(63)), &[3, 8]),
    ("a long signature", |c| signature(c, |bytes| bytes.push(0)), &[3, 8]),
    ("no signature", |c| _ = c.call.remove("signature"), &[2, 3]),
    ("no signature-input", |c| _ = c.call.remove("signature-input"), &[2, 3]),
    ("neither", |c| _ = c.call.remove("signature").remove("signature-input"), &[2]),
    ("another label", |c| _ = c.call.edit("signature", "sig1", "sig2"), &[3]),
    (
        "a label twice",
        |c| {
            let line = c.call.get("signature-input").to_owned();
            c.call.push("signature-input", &line);
        },
        &[3],
    ),
    ("no dictionary", |c| input(c, "sig1=(", "sig1=["), &[3]),
    ("another time", |c| input(c, &format!("={CREATED}"), &format!("={}", CREATED + 1)), &[8]),
    ("a time of text", |c| input(c, &format!("={CREATED}"), "=\"now\""), &[3, 4]),
    ("one component less", |c| input(c, "\"@method\" ", ""), &[6, 8]),
    ("one component more", |c| input(c, "\"@method\"", "\"@method\" \"host\""), &[8]),
    ("a component twice", |c| input(c, "\"@method\"", "\"@method\" \"@method\""), &[3]),
    ("another order", |c| input(c, "(\"@method\" ", "(\"host\" \"@method\" "), &[8]),
    ("another key id", |c| input(c, "keyid=\"", "keyid=\"x"), &[7]),
    ("no key id", |c| input(c, "keyid=", "key="), &[4]),
    ("one parameter more", |c| input(c, "keyid=", "x=1;keyid="), &[8]),
    ("an unknown key", |c| c.judge.trust = vec![trusted(&key(2))], &[7]),
    ("a revoked key", |c| limit(c, "revoked_at", CREATED), &[7]),
    ("a key of later", |c| limit(c, "not_before", CREATED + 60), &[7]),
    ("a key of earlier", |c| limit(c, "not_after", CREATED), &[7]),
    ("a key that may do nothing", |c| c.judge.trust[0]["mcpid"]["allow"] = json!([]), &[11]),
];

#[test]
fn every_profile_refuses_a_request_after_each_of_these_changes() {
    let mut profiles = 0;
    for named in Profile::NAMED {
        let profile = Profile::named(named.name).unwrap();
        let Case { call, judge } = case(&profile);
        judge.accepts(&call);
        for (name, change, steps) in ROWS {
            let mut case = case(&profile);
            change(&mut case);
            let rejection = case.judge.refuses(&case.call);
            let step = rejection.step().number();
            assert!(steps.contains(&step), "{}, {name}: {rejection}", profile.name);
        }
        profiles += 1;
    }
    assert_eq!(profiles, 5);
    assert!(ROWS.len() >= 20);
}
