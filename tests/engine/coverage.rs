//! Tests of coverage (step 6): required components, covered components, and components that are
//! reported as uncovered.

use mcpid::base::Component;
use mcpid::key::Sign as _;
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use mcpid::verify::Code;
use mcpid::verify::coverage::{CoverageOverrides, judge};
use mcpid::verify::covered::{not_covered, shown};

use crate::fixtures::{Call, Input, Judge, key};

const REFUSED: (u8, Code) = (6, Code::CoverageInsufficient);

/// Returns a call that has every field about which the profile `mcp` has a rule. Its body is not
/// MCP.
fn laden() -> Call {
    let mut call = Call::unsigned();
    call.set("content-type", "application/octet-stream");
    call.push("content-encoding", "br")
        .push("mcp-session-id", "1868a90c")
        .push("last-event-id", "evt-42")
        .push("mcp-param-unit", "celsius");
    call.remove("mcp-method").remove("mcp-name");
    call
}

fn signed(call: &Call, change: impl FnOnce(&mut Input)) -> Call {
    let mut call = call.clone();
    let mut input = Input::of(&call, &key(1));
    change(&mut input);
    call.sign(&key(1), "mcp", &input);
    call
}

fn changed(require: &[&str], allow_uncovered: &[&str]) -> CoverageOverrides {
    let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    CoverageOverrides { require: own(require), allow_uncovered: own(allow_uncovered) }
}

/// Returns the components that the coverage check reports as missing. Signatures are not verified.
fn missing(
    profile: &Profile,
    changes: &CoverageOverrides,
    head: &Head<'_>,
    covered: &[&str],
) -> String {
    let covered: Vec<_> = covered.iter().map(|c| Component::parse(c).unwrap()).collect();
    match judge(profile, changes, (head, false), ("mcp", &covered)) {
        Ok(()) => String::new(),
        Err(rejection) => {
            assert_eq!((rejection.step().number(), rejection.code()), REFUSED);
            let find = |name| rejection.details().iter().find(|(n, _)| *n == name).unwrap();
            assert_eq!(find("covered").1, covered.iter().map(shown).collect::<Vec<_>>().join(" "));
            find("missing").1.clone()
        }
    }
}

#[test]
fn every_component_that_is_demanded_is_missed() {
    // Two calls are needed, because a body that is not MCP cannot have fields that repeat parts of
    // it.
    let mut tried = 0;
    for call in [Call::unsigned(), laden()] {
        let names = Input::of(&call, &key(1)).components;
        for profile in [Profile::mcp(), Profile { judge_mcp: false, ..Profile::mcp() }] {
            let judged = Judge::by(profile);
            for name in names.iter().map(|n| n.trim_matches('"')) {
                let rejection = judged.refuses(&signed(&call, |input| {
                    input.uncover(name);
                }));
                assert_eq!((rejection.step().number(), rejection.code()), REFUSED, "{name}");
                assert_eq!(rejection.details()[0], ("missing", name.to_owned()));
                assert_eq!(rejection.message(), format!("{name} is not covered by the signature"));
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 2 * (8 + 10));
    // If all required components are covered, the request is accepted.
    Judge::mcp().accepts(&signed(&Call::unsigned(), |_| ()));
    Judge::by(Profile { judge_mcp: false, ..Profile::mcp() }).accepts(&signed(&laden(), |_| ()));
}

#[test]
fn an_identifier_with_parameters_does_not_count() {
    let call = laden();
    let identifiers = [
        ("@method", "\"@method\";req"),
        ("@target-uri", "\"@target-uri\";req"),
        ("@target-uri", "\"@target-uri\";x=1"),
        ("content-digest", "\"content-digest\";sf"),
        ("content-digest", "\"content-digest\";bs"),
        ("content-digest", "\"content-digest\";key=\"sha-256\""),
        ("content-digest", "\"content-digest\";req"),
        ("content-digest", "\"content-digest\";tr"),
        ("content-type", "\"content-type\";bs"),
        ("content-encoding", "\"content-encoding\";bs"),
        ("mcp-protocol-version", "\"mcp-protocol-version\";bs"),
        ("mcp-session-id", "\"mcp-session-id\";bs"),
        ("mcp-session-id", "\"mcp-session-id\";req"),
        ("mcp-param-city", "\"mcp-param-city\";bs"),
        ("mcp-param-city", "\"mcp-param-city\";tr"),
        ("mcp-param-unit", "\"mcp-param-unit\";key=\"celsius\""),
        ("last-event-id", "\"last-event-id\";bs"),
    ];
    let profiles = [Profile { judge_mcp: false, ..Profile::mcp() }, Profile::sep2752()];
    for profile in profiles {
        for (name, identifier) in identifiers {
            if !profile.components.always.iter().any(|n| n == name)
                && !profile.components.covers_if_carried(name)
            {
                continue;
            }
            let mut call = call.clone();
            let mut input = Input::of(&call, &key(1));
            input.recover(name, identifier);
            // For some of these components no signature base can be built, so a dummy signature is
            // attached. Coverage is checked before the signature.
            call.attach("mcp", &input.to_string(), &[0; 64]);
            let rejection = Judge::by(profile.clone()).refuses(&call);
            assert_eq!((rejection.step().number(), rejection.code()), REFUSED, "{identifier}");
            assert_eq!(rejection.details()[0].1, name, "{identifier}");
        }
    }
    // The part `bs` may be covered in addition to the whole component.
    Judge::by(Profile::sep2752()).accepts(&signed(&call, |input| {
        input.components.push("\"content-digest\";bs".to_owned());
    }));
}

#[test]
fn a_plain_name_that_means_another_component_does_not_count() {
    for (name, other) in [
        ("@method", "method"),
        ("@target-uri", "@path"),
        ("@target-uri", "@request-target"),
        ("content-digest", "repr-digest"),
        ("mcp-name", "mcp-names"),
        ("mcp-param-city", "mcp-param-"),
        ("mcp-param-city", "mcp-param-*"),
    ] {
        let mut call = Call::unsigned();
        let mut input = Input::of(&call, &key(1));
        input.recover(name, &format!("\"{other}\""));
        call.attach("mcp", &input.to_string(), &[0; 64]);
        assert_eq!(Judge::mcp().refusal(&call), REFUSED, "{name} {other}");
    }
}

#[test]
fn nothing_that_steers_can_be_added_after_signing() {
    let mut kept = 0;
    for (name, value) in [
        ("mcp-session-id", "1868a90c"),
        ("last-event-id", "evt-42"),
        ("content-encoding", "gzip"),
        ("mcp-param-region", "eu"),
        ("mcp-param-", "x"),
        ("Mcp-Param-Region", "eu"),
        ("MCP-SESSION-ID", ""),
    ] {
        let mut call = Call::signed();
        call.push(name, value);
        assert_eq!(Judge::mcp().refusal(&call), REFUSED, "{name}");
        kept += 1;
    }
    assert_eq!(kept, 7);
    for (name, value) in [("x-request-id", "7"), ("mcp-params", "x"), ("traceparent", "00")] {
        let mut call = Call::signed();
        call.push(name, value);
        let held = Judge::mcp();
        held.accepts(&call);
    }
}

#[test]
fn sep2752_demands_exactly_its_five_components() {
    let mut call = Call::unsigned();
    call.push("mcp-session-id", "1868a90c");
    let five = signed(&call, |input| {
        let names = ["@method", "@target-uri", "content-digest"];
        let more = ["mcp-protocol-version", "mcp-session-id"];
        input.components = names.iter().chain(&more).map(|n| format!("\"{n}\"")).collect();
        input.unset("expires");
    });
    Judge::by(Profile::sep2752()).accepts(&five);
    assert_eq!(Judge::mcp().refusal(&five), REFUSED);
    for name in ["@method", "@target-uri", "content-digest", "mcp-protocol-version"] {
        let call = signed(&call, |input| {
            input.uncover(name);
        });
        assert_eq!(Judge::by(Profile::sep2752()).refusal(&call), REFUSED, "{name}");
    }
}

#[test]
fn require_adds_and_allow_uncovered_relaxes() {
    let head = Call::unsigned();
    let head = head.head();
    let mcp = Profile::mcp();
    let all = [
        "@method",
        "@target-uri",
        "content-digest",
        "content-type",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-param-city",
    ];
    let none = CoverageOverrides::default();
    assert_eq!(missing(&mcp, &none, &head, &all), "");
    assert_eq!(missing(&mcp, &none, &head, &[]), all.join(" "));
    // A component that the operator requires has to be covered, even if the request does not have
    // it.
    let require = changed(&["authorization", "accept"], &[]);
    assert_eq!(missing(&mcp, &require, &head, &all), "authorization accept");
    let mut more = all.to_vec();
    more.extend(["accept", "authorization"]);
    assert_eq!(missing(&mcp, &require, &head, &more), "");
    assert_eq!(missing(&mcp, &changed(&["@method"], &[]), &head, &all), "");
    // Only the components that the operator named may stay uncovered. Method, target and digest
    // must be covered in any case.
    let relaxed = changed(&[], &["mcp-name", "mcp-param-city", "@method", "@target-uri"]);
    assert_eq!(missing(&mcp, &relaxed, &head, &all[..6]), "");
    assert_eq!(missing(&mcp, &relaxed, &head, &all[..5]), "mcp-method");
    assert_eq!(missing(&mcp, &relaxed, &head, &all[1..]), "@method");
    let three = changed(&[], &["content-digest", "@method", "@target-uri"]);
    assert_eq!(missing(&mcp, &three, &head, &all[3..]), "@method @target-uri content-digest");
    // If the operator names a component in both lists, it is required.
    let both = changed(&["mcp-name"], &["mcp-name"]);
    assert_eq!(missing(&mcp, &both, &head, &all[..6]), "mcp-name mcp-param-city");
    // The profile `rfc9421` demands only what the operator requires, and a component identifier
    // with parameters is enough.
    let rfc = Profile::rfc9421();
    assert_eq!(missing(&rfc, &none, &head, &[]), "");
    let digest = changed(&["content-digest"], &[]);
    assert_eq!(missing(&rfc, &digest, &head, &["\"content-digest\";bs"]), "");
    assert_eq!(missing(&mcp, &digest, &head, &["\"content-digest\";bs"]), all.join(" "));
}

#[test]
fn changes_reach_the_verifier() {
    let call = signed(&Call::unsigned(), |input| {
        input.uncover("mcp-param-city");
    });
    assert_eq!(Judge::mcp().refusal(&call), REFUSED);
    let relaxed = Judge { changes: changed(&[], &["mcp-param-city"]), ..Judge::mcp() };
    relaxed.accepts(&call);
    let required = Judge { changes: changed(&["accept"], &[]), ..Judge::mcp() };
    assert_eq!(required.refusal(&Call::signed()), REFUSED);
    required.accepts(&signed(&Call::unsigned(), |input| {
        input.components.push("\"accept\"".to_owned());
    }));
}

#[test]
fn a_refusal_names_few_of_thousands_of_uncovered_fields() {
    let mut head = Head::new("POST", RequestTarget::Origin("/".into())).unwrap();
    for n in 0..5_000 {
        head.push(format!("mcp-param-{n}"), &b"x"[..]).unwrap();
    }
    let named = missing(&Profile::mcp(), &CoverageOverrides::default(), &head, &[]);
    assert_eq!(named.split(' ').count(), 32);
    assert!(named.starts_with("@method @target-uri content-digest mcp-param-0 mcp-param-1 "));
}

fn open(head: &Head<'_>, covered: &[&str]) -> Vec<String> {
    let covered: Vec<_> = covered.iter().map(|c| Component::parse(c).unwrap()).collect();
    not_covered(head, &covered)
}

#[test]
fn uncovered_parts_are_reported() {
    let call = Call::signed();
    let head = call.head();
    let fields = [
        "accept",
        "content-type",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-param-city",
        "content-digest",
    ];
    let with = |first: &[&str], rest: &[&str]| -> Vec<String> {
        first.iter().chain(rest).map(|n| (*n).to_owned()).collect()
    };
    let pieces = ["@method", "@scheme", "@authority", "@path", "@query", "host"];
    assert_eq!(open(&head, &[]), with(&pieces, &fields));
    assert_eq!(open(&head, &["@method", "@target-uri"]), with(&[], &fields));
    assert_eq!(open(&head, &["@target-uri", "accept"]), with(&["@method"], &fields[1..]));
    // If all parts of the target are covered, the target is reported as covered.
    let whole = ["@method", "@scheme", "@authority", "@path", "@query"];
    assert_eq!(open(&head, &whole), with(&[], &fields));
    assert_eq!(open(&head, &["@method", "@request-target", "host"]), {
        with(&["@scheme", "@authority"], &fields)
    });
    // Covering one query parameter does not cover the query, and covering a part of a field does
    // not cover the field.
    let part = ["@method", "@scheme", "@authority", "@path", "\"@query-param\";name=\"tenant\""];
    assert_eq!(open(&head, &part), with(&["@query"], &fields));
    let part = ["@method", "@target-uri", "\"content-digest\";key=\"sha-256\""];
    assert_eq!(open(&head, &part), with(&[], &fields));
    // Each uncovered component is reported once. The signature fields are not reported.
    let mut twice = call.clone();
    twice.push("accept", "*/*").push("x", "1").push("x", "2");
    assert_eq!(
        open(&twice.head(), &["@method", "@target-uri"]),
        with(&[], &{
            let mut all = fields.to_vec();
            all.push("x");
            all
        })
    );
}

/// A client without a trusted key may list thousands of components over thousands of fields, so the
/// cost of reporting must not grow with their product.
#[test]
fn reporting_is_not_quadratic() {
    let mut call = Call::unsigned();
    for n in 0..6_000 {
        call.push(&format!("{n}"), "");
    }
    let names: Vec<_> = (0..1_200).map(|n| format!("\"{n:x}z\"")).collect();
    let id = *key(1).public().id();
    call.attach("mcp", &format!("({});keyid=\"{id}\"", names.join(" ")), &[0; 64]);
    let judge = Judge::mcp();
    // Other programs can slow down some rounds but not all, so the fastest round is taken.
    let mut fastest = std::time::Duration::MAX;
    for _ in 0..600 {
        let begun = std::time::Instant::now();
        assert_eq!(judge.refusal(&call), (1, Code::TooLarge));
        fastest = fastest.min(begun.elapsed());
        if fastest < std::time::Duration::from_millis(80) {
            return;
        }
    }
    panic!("no round took less than 80 ms: {fastest:?}");
}

/// CGI and WSGI map a name with an underscore and one with a hyphen to the same variable, and
/// servers differ in which value they take. So a field with an underscore must be covered too.
#[test]
fn an_underscore_hides_no_field_that_steers() {
    let head = |name: &str| {
        let mut head = Head::new("POST", RequestTarget::Origin("/mcp".into())).unwrap();
        head.push(name.to_owned(), b"x".as_slice()).unwrap();
        head
    };
    let always = ["@method", "@target-uri", "content-digest"];
    for name in [
        "Content_Type",
        "content_encoding",
        "mcp_protocol_version",
        "mcp-protocol_version",
        "Mcp_Session_Id",
        "mcp_method",
        "mcp_name",
        "mcp_param_city",
        "mcp-param_city",
        "last_event_id",
    ] {
        let (profile, lower) = (Profile::mcp(), name.to_ascii_lowercase());
        let none = CoverageOverrides::default();
        assert_eq!(missing(&profile, &none, &head(name), &always), lower);
        let covered = [&always[..], &[lower.as_str()]].concat();
        assert_eq!(missing(&profile, &none, &head(name), &covered), "");
        assert_eq!(missing(&profile, &changed(&[], &[&lower]), &head(name), &always), "");
    }
    for name in ["x_request_id", "mcp_params", "_mcp_method", "mcp__method"] {
        assert_eq!(
            missing(&Profile::mcp(), &CoverageOverrides::default(), &head(name), &always),
            ""
        );
    }
}
