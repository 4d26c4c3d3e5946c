//! Attacks on the log by the holder of its private key. For each, the tests state the verdict and
//! the message for the auditor.

use std::sync::Arc;

use mcpid::audit::Recorder;
use mcpid::audit::auditor::{AuditorInputs, FindingKind};
use mcpid::audit::check::{self, CheckedEvidence};
use mcpid::audit::entry_judge::{AuditorTrust, PinnedRules, UnjudgedReason};
use mcpid::base::Component;
use mcpid::clock::Timestamp;
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use serde_json::{Value, json};

use crate::fixtures::{self, LogFixture, START, body, call, entry, key, registry};
use crate::forged;
use crate::forger::{forge, signed_by};

/// Makes a log with one verified request of alice. `bodies` tells whether the entry contains the
/// request's body.
fn one(bodies: bool, more: &[(&str, &str)]) -> (LogFixture, Value) {
    let fixture = LogFixture::new();
    let recorder = Recorder::new(fixture.open());
    let recorder = if bodies { recorder.with_bodies(Vec::new()) } else { recorder };
    fixture.record(&recorder, &call(1, START, &body(1000), more)).unwrap();
    drop(recorder);
    let line = serde_json::from_str(&fixture.lines()[0]).unwrap();
    (fixture, line)
}

#[track_caller]
fn check_line(fixture: &LogFixture, line: &Value) -> CheckedEvidence {
    forged::check_line(fixture, line).unwrap()
}

#[track_caller]
fn bad(fixture: &LogFixture, line: &Value, words: &str) {
    let fault = check_line(fixture, line).fault.unwrap_or_else(|| panic!("called good: {words}"));
    assert!(fault.contains(words), "{fault:?} does not say {words:?}");
}

#[track_caller]
fn unjudged(checked: &CheckedEvidence, reasons: &[UnjudgedReason]) {
    assert_eq!(checked.fault, None);
    assert_eq!(checked.judged.reasons.iter().collect::<Vec<_>>(), reasons);
}

const MIRRORED: &[(&str, &str)] = &[("mcp-method", "tools/call"), ("mcp-name", "pay")];

#[test]
fn a_signature_without_its_base_vouches_for_nothing() {
    let (fixture, line) = one(true, &[]);
    assert!(check_line(&fixture, &line).is_good());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut line = line.clone();
        change(&mut line["signatures"][0]);
        line
    };
    let hash = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let arbitrary = "A".repeat(86) + "==";
    // In the first case the signature base is removed, although the signature is genuine. In the
    // others a signature was invented, in the entry and in the request.
    let hidden = with(&|one| {
        one.as_object_mut().unwrap().remove("base");
        one["base_sha256"] = hash.clone();
    });
    bad(&fixture, &hidden, "it does not tell");
    let mut made_up = hidden.clone();
    made_up["signatures"][0]["signature"] = json!(arbitrary);
    let field = format!("mcp=:{arbitrary}:");
    for header in made_up["request"]["headers"].as_array_mut().unwrap() {
        if header[0] == "signature" {
            header[1] = json!(field);
        }
    }
    bad(&fixture, &made_up, "all that it covers is kept");
    // An invented signature is added beside the genuine one.
    let mut beside = line.clone();
    let mut second = made_up["signatures"][0].clone();
    second["label"] = json!("two");
    beside["signatures"].as_array_mut().unwrap().push(second);
    bad(&fixture, &beside, "no signature \"two\"");
    for header in beside["request"]["headers"].as_array_mut().unwrap() {
        let value = header[1].as_str().unwrap().to_owned();
        if header[0] == "signature" {
            header[1] = json!(format!("{value}, two=:{arbitrary}:"));
        } else if header[0] == "signature-input" {
            header[1] = json!(format!("{value}, two={}", value.strip_prefix("mcp=").unwrap()));
        }
    }
    bad(&fixture, &beside, "all that it covers is kept");
    bad(&fixture, &with(&|one| one["base_sha256"] = hash.clone()), "a hash of one");
}

#[test]
fn parts_outside_the_signature_are_listed_and_the_logs_own_rules_cannot_make_them_good() {
    let rfc9421 = |window| Profile {
        window: mcpid::profile::Window { max_age: window, max_skew: 5 },
        ..Profile::rfc9421()
    };
    let record = |covers: &[&str], profile: Profile| {
        let fixture = LogFixture::new();
        let recorder = Recorder::new(fixture.open()).with_bodies(Vec::new());
        let mut signer = Signer::new(Arc::new(key(1)), &Profile::mcp()).unwrap();
        let all = ["@method", "@target-uri", "content-digest", "content-type"];
        for name in all.iter().filter(|name| !covers.contains(name)) {
            signer = signer.no_cover(Component::new(*name).unwrap());
        }
        for name in covers.iter().filter(|name| !all.contains(name)) {
            signer = signer.cover(Component::new((*name).to_owned()).unwrap());
        }
        let sent = signed_by(&signer, START, &body(1000));
        fixture.record_by(&recorder, &sent, &fixture.verifier_by(profile)).unwrap();
        drop(recorder);
        let line: Value = serde_json::from_str(&fixture.lines()[0]).unwrap();
        assert_eq!(line["verdict"], "verified");
        let checked = check_line(&fixture, &line);
        let pinned = |rules: PinnedRules| {
            let report =
                fixture.audit_by(AuditorTrust::pinned(fixture.registry.clone()).with_rules(rules));
            assert_eq!(report.finding(), None);
            report.is_good()
        };
        (checked, pinned(PinnedRules { profile: Some(Profile::rfc9421()), ..Default::default() }))
    };
    let partly = [UnjudgedReason::PartlySigned, UnjudgedReason::LaxRules];
    let all = ["@method", "@target-uri", "content-digest"];
    let (checked, by_choice) = record(&all, rfc9421(None));
    unjudged(&checked, &[UnjudgedReason::LaxRules]);
    assert!(by_choice, "an auditor may say that these rules are enough");
    for covers in [&["@method"][..], &all[..2], &all[1..], &["@method", "content-digest", "@path"]]
    {
        let (checked, by_choice) = record(covers, rfc9421(None));
        unjudged(&checked, &partly);
        assert!(by_choice, "{covers:?}");
    }
    // The signature covers all parts of the request target, in place of `@target-uri`.
    let pieces = ["@method", "content-digest", "@scheme", "@authority", "@path", "@query"];
    unjudged(&record(&pieces, rfc9421(Some(30))).0, &[]);
    unjudged(&record(&pieces[..5], rfc9421(Some(30))).0, &[UnjudgedReason::PartlySigned]);
}

#[test]
fn the_rules_in_a_log_can_only_narrow_those_of_the_auditor() {
    let (fixture, line) = one(true, &[]);
    let with = |path: &str, value: Value| {
        let mut line = line.clone();
        *line.pointer_mut(path).unwrap() = value;
        line
    };
    bad(&fixture, &with("/rules", Value::Null), "names no rules");
    bad(&fixture, &with("/rules/profile", json!("none")), "there is no profile");
    bad(&fixture, &with("/rules/origins", json!(["https://other.example"])), "target_mismatch");
    let mut required = line.clone();
    required["rules"]["require"] = json!(["x-other"]);
    bad(&fixture, &required, "coverage_insufficient");
    for (path, value) in [
        ("/rules/window", json!(315_360_000)),
        ("/rules/window", Value::Null),
        ("/rules/ahead", json!(3_600)),
    ] {
        unjudged(&check_line(&fixture, &with(path, value)), &[UnjudgedReason::LaxRules]);
    }
    // The entry claims that signatures are valid for ten years. The request is one year old.
    let mut late = with("/rules/window", json!(315_360_000));
    let then = Timestamp::from_unix(START + 31_536_000).to_string();
    (late["time"], late["request"]["time"]) = (json!(then), json!(then));
    bad(&fixture, &late, "expired");
    assert!(check_line(&fixture, &with("/rules/window", json!(10))).is_good(), "narrower is fine");
}

#[test]
fn an_old_request_that_is_logged_again_as_new_is_found() {
    let (fixture, line) = one(true, &[]);
    let later = |seconds: i64| json!(Timestamp::from_unix(START + seconds).to_string());
    let mut again = line.clone();
    again["time"] = later(31_536_000);
    bad(&fixture, &again, "does not fit that of its request");
    again["request"]["time"] = later(31_536_000);
    bad(&fixture, &again, "expired");
    // A clock entry would explain the differing times, but then none of them is certain.
    let mut lines = vec![line.clone()];
    let clock = json!({"mcpid": "audit/2", "n": 1, "time": later(31_536_000), "event": "clock",
        "clock": {"offset": 31_536_000}});
    let mut again = line.clone();
    (again["n"], again["time"]) = (json!(2), later(31_536_000));
    lines.extend([clock, again]);
    let forged: Vec<String> = lines.iter().map(Value::to_string).collect();
    forge(&fixture, &forged, 200);
    let report = fixture.audit(&[]);
    assert_eq!(report.finding().unwrap().what, FindingKind::Replayed);
    // The repeated nonce is found although entries of several days are between its two uses. A
    // server's nonce store would have removed the nonce by then.
    let mut between = Vec::new();
    for n in 1..4 {
        let other = LogFixture::new();
        other.clock.set(START + 86_400 * n);
        let recorder = Recorder::new(other.open()).with_bodies(Vec::new());
        other.record(&recorder, &call(1, START + 86_400 * n, &body(7), &[])).unwrap();
        drop(recorder);
        let mut line: Value = serde_json::from_str(&other.lines()[0]).unwrap();
        line["n"] = json!(n);
        between.push(line);
    }
    lines.splice(1..1, between);
    for (n, line) in lines.iter_mut().enumerate() {
        line["n"] = json!(n);
    }
    let forged: Vec<String> = lines.iter().map(Value::to_string).collect();
    forge(&fixture, &forged, 200);
    let report = fixture.audit(&[]);
    assert_eq!(report.finding().unwrap().what, FindingKind::Replayed, "{:?}", report.findings);
    // If the second use is removed, no entry is bad, but the time of the last entry is uncertain.
    let mut honest = forged.clone();
    honest.remove(0);
    let honest: Vec<Value> = honest.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let honest: Vec<String> = (0..)
        .zip(honest)
        .map(|(n, mut line)| {
            line["n"] = json!(n);
            line.to_string()
        })
        .collect();
    forge(&fixture, &honest, 200);
    let report = fixture.audit(&[]);
    assert_eq!((report.finding(), &report.unjudged), (None, &[("clock", 1)].into()));
}

#[test]
fn a_contradiction_inside_an_entry_is_bad() {
    let (fixture, line) = one(true, MIRRORED);
    let (bare_fixture, bare) = one(false, MIRRORED);
    let of = |line: &Value, path: &str, value: Value| {
        let mut line = line.clone();
        *line.pointer_mut(path).unwrap() = value;
        line
    };
    for (fixture, line) in [(&fixture, &line), (&bare_fixture, &bare)] {
        assert!(check_line(fixture, line).is_good());
        bad(fixture, &of(line, "/mcp/name", json!("transfer")), "and it says");
        bad(fixture, &of(line, "/mcp/method", json!("tools/list")), "and it says");
        bad(fixture, &of(line, "/mcp", Value::Null), "ask");
        bad(fixture, &of(line, "/digest", json!("sha-256=:AAAA:")), "digest is not that");
        bad(fixture, &of(line, "/digest", Value::Null), "digest is not that");
        bad(fixture, &of(line, "/code", json!("expired")), "the code");
        bad(fixture, &of(line, "/step", json!(12)), "step 12");
        let allow = json!({"name": "key 1", "allow": ["tools/call:get_*"]});
        bad(fixture, &of(line, "/signatures/0/key/mcpid", allow), "allow");
        let revoked = json!({"name": "key 1", "revoked_at": "2020-01-01T00:00:00Z"});
        bad(fixture, &of(line, "/signatures/0/key/mcpid", revoked), "key_revoked");
        // The log and the auditor's trust file have different names for the key. The audit reports
        // the name in the trust file.
        let mallory = of(line, "/signatures/0/key/mcpid/name", json!("mallory"));
        let checked = check_line(fixture, &mallory);
        assert_eq!(checked.judged.known.unwrap().name.as_deref(), Some("key 1"));
        // The entry contains a header field that no log keeps.
        let mut more = line.clone();
        more["request"]["headers"].as_array_mut().unwrap().push(json!(["x-other", "1"]));
        bad(fixture, &more, "which no log keeps");
        let mut host = line.clone();
        for header in host["request"]["headers"].as_array_mut().unwrap() {
            if header[0] == "host" {
                header[1] = json!("other.example");
            }
        }
        bad(fixture, &host, "target_mismatch");
        for (verdict, step, code) in [
            ("refused", json!(8), "signature_invalid"),
            ("refused", json!(9), "expired"),
            ("refused", Value::Null, "nonce_replayed"),
            ("would_refuse", json!(7), "key_unknown"),
            ("refused", json!(12), "no_such_code"),
        ] {
            let mut no = line.clone();
            (no["verdict"], no["step"], no["code"]) = (json!(verdict), step, json!(code));
            bad(fixture, &no, code);
        }
    }
    for code in ["digest_mismatch", "body_ambiguous"] {
        let mut no = line.clone();
        let step = if code == "digest_mismatch" { 9 } else { 10 };
        (no["verdict"], no["step"], no["code"]) = (json!("refused"), json!(step), json!(code));
        bad(&fixture, &no, "nothing refuses it");
    }
    // A member with another name counts as missing.
    let mut renamed = line.clone();
    let body = renamed["request"].as_object_mut().unwrap().remove("body").unwrap();
    renamed["request"]["Body"] = body;
    bad(&fixture, &renamed, "cannot be read");
}

#[test]
fn a_digest_without_the_body_counts_as_a_claim() {
    let fixture = LogFixture::new();
    let rules = vec!["tools/call:*:arguments.password".parse().unwrap()];
    let recorder = Recorder::new(fixture.open()).with_bodies(rules);
    fixture.record(&recorder, &call(1, START, &body(1000), &[])).unwrap();
    drop(recorder);
    let line = fixture.lines().remove(0);
    let less: Value =
        serde_json::from_str(&line.replace("\\\"amount\\\":1000", "\\\"amount\\\":10")).unwrap();
    assert_ne!(less.to_string(), serde_json::from_str::<Value>(&line).unwrap().to_string());
    let checked = check_line(&fixture, &less);
    assert!(checked.judged.without_body && checked.judged.operation_claimed);
    forge(&fixture, &[less.to_string()], 200);
    let evidence = mcpid::audit::proof::prove(&fixture.files(), 0, None).unwrap();
    let inputs =
        AuditorInputs { log_key: Some(fixture.log_key.clone()), ..AuditorInputs::default() };
    for text in [body(1000), body(10)] {
        let checked =
            check::check(evidence.as_bytes(), &inputs, fixture.trust(), Some(text.as_bytes()));
        assert!(checked.unwrap().fault.is_some(), "{text}");
    }
}

#[test]
fn entries_of_the_log_about_itself_have_fixed_places() {
    let (fixture, line) = one(true, &[]);
    let time = line["time"].clone();
    let own = |event: &str, value: Value| {
        let mut entry = json!({"mcpid": "audit/2", "time": time, "event": event});
        entry[event] = value;
        entry
    };
    let after = own(
        "after",
        json!({"log_key": "x", "checkpoint": "", "closed": true,
        "predecessors": 1}),
    );
    let closed = own("closed", json!({"successor": "x"}));
    let mut narrower = line["rules"].clone();
    narrower["window"] = json!(20);
    let mut by_others = line.clone();
    by_others["rules"] = narrower.clone();
    let rules = own("rules", narrower);
    let mut first = own("dropped", json!({"seen": 1, "dropped": 0, "codes": {}, "gaps": 0}));
    first["mcpid"] = json!("audit/1");
    let found = |lines: &[&Value]| {
        let numbered = (0..).zip(lines).map(|(n, line)| {
            let mut line = (*line).clone();
            line["n"] = json!(n);
            line.to_string()
        });
        forge(&fixture, &numbered.collect::<Vec<_>>(), 200);
        fixture.audit(&[]).finding().map(ToString::to_string)
    };
    assert_eq!(found(&[&line]), None);
    assert_eq!(found(&[&after, &line, &closed]), None);
    assert_eq!(found(&[&first, &line]), None);
    assert!(found(&[&line, &after]).unwrap().contains("only a first entry"));
    assert!(found(&[&closed, &line]).unwrap().contains("behind the entry that closes"));
    assert!(found(&[&line, &first]).unwrap().contains("older format"));
    let other = {
        let (_, mut other) = one(true, &[]);
        other["rules"] = by_others["rules"].clone();
        other
    };
    assert!(found(&[&line, &other]).unwrap().contains("were in force"));
    assert_eq!(found(&[&line, &rules, &other]), None);
    let counts = json!({"seen": 1, "dropped": 2, "codes": {}, "gaps": 0});
    assert!(found(&[&own("dropped", counts)]).unwrap().contains("add up"));
}

/// A log in the first version of the format can be read, but an entry that lacks what the audit
/// needs is never good.
#[test]
fn an_entry_of_the_first_version_is_read() {
    let (fixture, line) = one(true, &[]);
    let mut first = line.clone();
    first["mcpid"] = json!("audit/1");
    first["rules"].as_object_mut().unwrap().remove("origins");
    assert!(check_line(&fixture, &first).is_good());
    let mut signed = first.clone();
    (signed["verdict"], signed["rules"]) = (json!("signed"), Value::Null);
    unjudged(&check_line(&fixture, &signed), &[UnjudgedReason::NoRules]);
    let mut stepped = first.clone();
    stepped["time"] = json!(Timestamp::from_unix(START + 86_400).to_string());
    unjudged(&check_line(&fixture, &stepped), &[UnjudgedReason::Clock]);
    signed["mcpid"] = json!("audit/2");
    bad(&fixture, &signed, "names no rules");
}

/// A request has the signatures of a trusted and an unknown key. The trusted one decides.
#[test]
fn an_unknown_signature_beside_a_known_one_takes_nothing_away() {
    let fixture = LogFixture::new();
    let recorder = Recorder::new(fixture.open()).with_bodies(Vec::new());
    let mut sent = call(1, START, &body(1), &[]);
    let second = Signer::new(Arc::new(key(2)), &Profile::mcp()).unwrap().with_label("two");
    fixtures::sign(&mut sent, &second, START);
    fixture.record(&recorder, &sent).unwrap();
    drop(recorder);
    for (known, good) in [(vec![1], true), (vec![2], true), (vec![1, 2], true), (vec![3], false)] {
        let entries = known.iter().map(|n| entry(*n, json!({}))).collect();
        let report = fixture.audit_by(AuditorTrust::pinned(registry(entries)));
        assert_eq!((report.finding(), report.is_good()), (None, good), "{known:?}");
    }
}
