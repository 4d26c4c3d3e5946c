//! `Signature-Input`, `Signature` and `Accept-Signature`, in and out.

use std::collections::HashSet;

use mcpid::base::accept::{self, RequestedParameters};
use mcpid::base::header::{self, AddError, Candidate, Existing, HeaderError};
use mcpid::base::{Claims, Component, MemberFault, Param, SignatureParams, signature_base};
use mcpid::message::structured::ParseReason;
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use proptest::prelude::*;

fn request<'a>(fields: &[(&'a str, &'a [u8])]) -> Head<'a> {
    let mut head = Head::new("POST", RequestTarget::Origin("/mcp".into())).unwrap();
    head.push("Host", &b"mcp.example.com"[..]).unwrap();
    head.push("Content-Type", &b"application/json"[..]).unwrap();
    for (name, value) in fields {
        head.push(*name, *value).unwrap();
    }
    head
}

fn signed<'a>(input: &'a str, signature: &'a str) -> Head<'a> {
    request(&[("Signature-Input", input.as_bytes()), ("Signature", signature.as_bytes())])
}

const INPUT: &str = "mcp=(\"@method\" \"content-type\");created=1;keyid=\"k\"";
const SIGNATURE: &str = "mcp=:AQID:";

#[test]
fn one_signature_is_read() {
    let head = signed(INPUT, SIGNATURE);
    let candidates = header::read(&head).unwrap();
    let [Candidate { label, params, signature }] = &candidates[..] else { panic!() };
    assert_eq!(label, "mcp");
    assert!(matches!(label, std::borrow::Cow::Borrowed(_)), "nothing is copied from one line");
    assert_eq!(signature.as_deref(), Ok(&[1, 2, 3][..]));
    let params = params.as_ref().unwrap();
    let names: Vec<_> = params.components().iter().map(Component::name).collect();
    assert_eq!(names, ["@method", "content-type"]);
    assert_eq!((params.created(), params.keyid()), (Param::Value(1), Param::Value("k")));
    assert_eq!((params.expires(), params.nonce()), (Param::Absent, Param::Absent));
}

#[test]
fn lines_are_joined_and_the_order_is_that_of_signature_input() {
    let head = request(&[
        ("Signature-Input", b"b=(), a=(\"date\")"),
        ("Signature", b"a=:AQ==:"),
        ("Signature-Input", b"c=();x"),
        ("Signature", b"c=:Ag==:, b=:Aw==:"),
    ]);
    let read = header::read(&head).unwrap();
    let got: Vec<_> =
        read.into_iter().map(|c| (c.label.into_owned(), c.signature.unwrap())).collect();
    let expected =
        [("b".to_owned(), vec![3]), ("a".to_owned(), vec![1]), ("c".to_owned(), vec![2])];
    assert_eq!(got, expected);
}

#[test]
fn a_fault_of_the_fields_refuses_the_request() {
    let missing = |name| Err(HeaderError::Missing(name));
    let read = |head: &Head<'_>| header::read(head).map(|candidates| candidates.len());
    assert_eq!(read(&request(&[])), missing("signature-input"));
    assert_eq!(read(&request(&[("Signature", b"a=:AQ==:")])), missing("signature-input"));
    assert_eq!(read(&request(&[("Signature-Input", b"a=()")])), missing("signature"));
    assert_eq!(read(&signed("", "")), missing("signature-input"));

    let malformed = |field, input, signature, reason| match read(&signed(input, signature)) {
        Err(HeaderError::Malformed { field: at, source }) => {
            assert_eq!((at, source.reason), (field, reason), "{input} {signature}");
        }
        other => panic!("{input} {signature}: {other:?}"),
    };
    let (input, signature) = ("signature-input", "signature");
    malformed(input, "a=(), a=()", "a=:AQ==:", ParseReason::DuplicateKey);
    malformed(signature, "a=()", "a=:AQ==:, a=:AQ==:", ParseReason::DuplicateKey);
    malformed(signature, "a=(), b=()", "a=:AQ==:, b=:AQ==:, a=:Ag==:", ParseReason::DuplicateKey);
    malformed(input, "a=(),", "a=:AQ==:", ParseReason::TrailingComma);
    malformed(input, "a=(\"date\"", "a=:AQ==:", ParseReason::End);
    malformed(input, "a=(\"date\",\"etag\")", "a=:AQ==:", ParseReason::InnerList);
    malformed(input, "A=()", "A=:AQ==:", ParseReason::Key);
    malformed(signature, "a=()", "a=:A:", ParseReason::Bytes);
    malformed(input, "a=();created=\u{b2}", "a=:AQ==:", ParseReason::NotAscii);
    malformed(signature, "a=()", "a=AQ==", ParseReason::Comma);
    malformed(signature, "a=()", "a=:AQ==", ParseReason::End);
    malformed(signature, "a=()", "a=:AQ==: b", ParseReason::Comma);

    let unpaired = |input, signature, label: &str, missing| {
        let expected = HeaderError::Unpaired { label: label.to_owned(), missing };
        assert_eq!(read(&signed(input, signature)), Err(expected));
    };
    unpaired("a=()", "b=:AQ==:", "a", signature);
    unpaired("a=(), b=()", "a=:AQ==:", "b", signature);
    unpaired("a=()", "a=:AQ==:, b=:AQ==:", "b", input);
    unpaired("", "b=:AQ==:", "b", input);
    unpaired("b=()", "", "b", signature);
}

#[test]
fn a_fault_inside_a_member_is_that_candidates_only() {
    let faulty = |input: &str, signature: &str| {
        let input = format!("ok=(\"date\");created=1, a={input}");
        let signature = format!("ok=:AQ==:, a={signature}");
        let head = signed(&input, &signature);
        let mut candidates = header::read(&head).unwrap();
        let (bad, good) = (candidates.pop().unwrap(), candidates.pop().unwrap());
        assert!(good.params.is_ok() && good.signature.is_ok());
        (bad.params.map(|_| ()), bad.signature)
    };
    let good = ("(\"date\");created=1", ":AQ==:");
    assert_eq!(faulty(good.0, good.1), (Ok(()), Ok(vec![1])));

    for (input, reason) in [
        ("();created=1;created=1", ParseReason::DuplicateParameter),
        ("();created=1;created=2", ParseReason::DuplicateParameter),
        ("();x;nonce=\"a\";x", ParseReason::DuplicateParameter),
        ("(\"date\";sf;sf)", ParseReason::DuplicateParameter),
        ("();x=:AA:", ParseReason::NonCanonicalBase64),
    ] {
        match faulty(input, good.1) {
            (Err(MemberFault::Structured(fault)), Ok(_)) => assert_eq!(fault.reason, reason),
            other => panic!("{input}: {other:?}"),
        }
    }
    for input in ["1", "\"date\"", "?1", "date;created=1", ":AQ==:"] {
        assert_eq!(faulty(input, good.1).0, Err(MemberFault::NotComponents), "{input}");
    }
    for (input, at) in [
        ("(date)", 1),
        ("(\"date\" 1)", 2),
        ("(\"date\" \"Etag\")", 2),
        ("(\"\")", 1),
        ("(\"@\")", 1),
        ("(\"a b\")", 1),
        ("(:AQ==:)", 1),
    ] {
        match faulty(input, good.1).0 {
            Err(MemberFault::Component { place, .. }) => assert_eq!(place, at, "{input}"),
            other => panic!("{input}: {other:?}"),
        }
    }
    for (input, twice) in [
        ("(\"date\" \"etag\" \"date\")", "\"date\""),
        ("(\"a\";sf;key=\"k\" \"a\";key=\"k\";sf)", "\"a\";key=\"k\";sf"),
        ("(\"a\";b;c;d;e;f \"a\";f;e;d;c;b)", "\"a\";f;e;d;c;b"),
    ] {
        let expected = Err(MemberFault::DuplicateComponent(twice.to_owned()));
        assert_eq!(faulty(input, good.1).0, expected, "{input}");
    }
    assert_eq!(faulty("(\"a\" \"a\";sf \"a\";bs)", good.1).0, Ok(()));

    for (signature, fault) in [
        ("1", MemberFault::NotBytes),
        ("\"AQ==\"", MemberFault::NotBytes),
        ("?1", MemberFault::NotBytes),
        ("(:AQ==:)", MemberFault::NotBytes),
        (":AQ==:;x=1", MemberFault::SignatureParameters),
    ] {
        assert_eq!(faulty(good.0, signature), (Ok(()), Err(fault)), "{signature}");
    }
    for signature in [":AQ:", ":AR==:", ":AQ=:"] {
        match faulty(good.0, signature) {
            (Ok(()), Err(MemberFault::Structured(fault))) => {
                assert_eq!(fault.reason, ParseReason::NonCanonicalBase64);
            }
            other => panic!("{signature}: {other:?}"),
        }
    }
}

#[test]
fn thousands_of_labels_components_or_parameters_take_no_time() {
    let labels = |n: usize| (0..n).map(|i| format!("l{i}"));
    let forward: Vec<_> = labels(5000).map(|l| format!("{l}=()")).collect();
    let backward: Vec<_> = labels(5000).map(|l| format!("{l}=:AQ==:")).rev().collect();
    let head = signed_owned(forward.join(","), backward.join(","));
    assert_eq!(header::read(&head).unwrap().len(), 5000);

    let names: Vec<_> = labels(5000).map(|l| format!("\"{l}\"")).collect();
    let head = signed_owned(format!("a=({})", names.join(" ")), "a=:AQ==:".to_owned());
    assert_eq!(header::read(&head).unwrap()[0].params.as_ref().unwrap().components().len(), 5000);
    let head = signed_owned(format!("a=({} \"l7\")", names.join(" ")), "a=:AQ==:".to_owned());
    let fault = header::read(&head).unwrap().remove(0).params.unwrap_err();
    assert_eq!(fault, MemberFault::DuplicateComponent("\"l7\"".to_owned()));

    let params: Vec<_> = labels(5000).collect();
    let head = signed_owned(format!("a=();{}", params.join(";")), "a=:AQ==:".to_owned());
    assert_eq!(header::read(&head).unwrap()[0].params.as_ref().unwrap().params().len(), 5000);
}

fn signed_owned(input: String, signature: String) -> Head<'static> {
    let mut head = Head::new("POST", RequestTarget::Origin("/mcp".into())).unwrap();
    head.push("Host", &b"mcp.example.com"[..]).unwrap();
    head.push("Signature-Input", input.into_bytes()).unwrap();
    head.push("Signature", signature.into_bytes()).unwrap();
    head
}

#[test]
fn parameters_are_told_by_presence_and_type() {
    let read = |text: &str| {
        let head = signed_owned(format!("a=(){text}"), "a=:AQ==:".to_owned());
        header::read(&head).unwrap().remove(0).into_owned().params.unwrap()
    };
    for (text, expected) in [
        ("", Param::Absent),
        (";created=5", Param::Value(5)),
        (";created=-5", Param::Value(-5)),
        (";created=\"5\"", Param::WrongType),
        (";created=5.0", Param::WrongType),
        (";created=@5", Param::WrongType),
        (";created", Param::WrongType),
    ] {
        assert_eq!(read(text).created(), expected, "{text}");
        assert_eq!(read(&text.replace("created", "expires")).expires(), expected, "{text}");
    }
    for (text, expected) in [
        ("", Param::Absent),
        (";nonce=\"\"", Param::Value("")),
        (";nonce=\"a\\\"b\"", Param::Value("a\"b")),
        (";nonce=a", Param::WrongType),
        (";nonce=1", Param::WrongType),
        (";nonce=:AQ==:", Param::WrongType),
        (";nonce=%\"a\"", Param::WrongType),
        (";nonce", Param::WrongType),
    ] {
        let named = |name| read(&text.replace("nonce", name));
        assert_eq!(read(text).nonce(), expected, "{text}");
        assert_eq!(named("keyid").keyid(), expected, "{text}");
        assert_eq!(named("tag").tag(), expected, "{text}");
        assert_eq!(named("alg").alg(), expected, "{text}");
    }
    let mut text = String::new();
    read(";x=1;tag=\"t\";created=1;y").write_to(&mut text).unwrap();
    assert_eq!(text, "();x=1;tag=\"t\";created=1;y", "unknown ones stay, in their places");
}

fn params() -> SignatureParams<'static> {
    let claims = Claims { created: Some(7), ..Claims::default() };
    SignatureParams::for_signing(vec![Component::parse("@method").unwrap()], &claims).unwrap()
}

#[test]
fn a_signature_is_added_behind_the_others() {
    let refuse = Existing::Refuse;
    let added = header::add(&request(&[]), "mcp", &params(), &[1, 2], refuse).unwrap();
    assert_eq!(added.signature_input, "mcp=(\"@method\");created=7");
    assert_eq!(added.signature, "mcp=:AQI=:");

    // The others stay as they are, odd spelling included.
    let head = request(&[
        ("Signature-Input", b" b=( \"date\" );x ,c=();y"),
        ("Signature", b"c=:AA:;q"),
        ("Signature", b"b=:AQ==:"),
    ]);
    let added = header::add(&head, "mcp", &params(), &[1, 2], refuse).unwrap();
    assert_eq!(added.signature_input, "b=( \"date\" );x, c=();y, mcp=(\"@method\");created=7");
    assert_eq!(added.signature, "c=:AA:;q, b=:AQ==:, mcp=:AQI=:");
    let added = header::add(&head, "b", &params(), &[1, 2], Existing::Replace).unwrap();
    assert_eq!(added.signature_input, "c=();y, b=(\"@method\");created=7");
    assert_eq!(added.signature, "c=:AA:;q, b=:AQI=:");
}

#[test]
fn a_signature_that_no_verifier_would_read_is_not_added() {
    let add = |head: &Head<'_>, label, existing| {
        header::add(head, label, &params(), &[1], existing).unwrap_err()
    };
    let head = signed("mcp=()", "mcp=:AQ==:");
    let taken = AddError::LabelTaken("mcp".to_owned());
    assert_eq!(add(&head, "mcp", Existing::Refuse), taken);
    let half = request(&[("Signature", b"mcp=:AQ==:")]);
    assert_eq!(add(&half, "mcp", Existing::Refuse), taken);
    assert!(header::add(&half, "mcp", &params(), &[1], Existing::Replace).is_ok());
    assert!(matches!(
        add(&half, "a", Existing::Replace),
        AddError::Header(HeaderError::Unpaired { missing: "signature-input", .. })
    ));
    let twice = signed("a=(), a=()", "a=:AQ==:");
    for existing in [Existing::Refuse, Existing::Replace] {
        assert!(matches!(add(&twice, "mcp", existing), AddError::Header(_)));
        for label in ["", "Mcp", "a b", "1", "a=b", "\u{e9}"] {
            assert!(matches!(add(&head, label, existing), AddError::Unwritable { .. }), "{label}");
        }
    }
}

#[test]
fn accept_signature_as_in_section_5_1() {
    let value =
        b"sig1=(\"@method\" \"@target-uri\" \"@authority\" \"content-digest\" \"cache-control\");\
                 keyid=\"test-key-rsa-pss\";created;tag=\"app-123\"";
    let wanted = accept::read(value).unwrap();
    let [accept::RequestedSignature { label, params }] = &wanted[..] else { panic!() };
    let params = params.as_ref().unwrap();
    assert_eq!(label, "sig1");
    assert_eq!(params.components().len(), 5);
    assert_eq!(
        (params.keyid(), params.tag()),
        (Param::Value("test-key-rsa-pss"), Param::Value("app-123"))
    );
    assert_eq!(params.created(), Param::WrongType, "a flag here, and no time");
    assert_eq!(accept::write(label, params).unwrap().as_bytes(), value);

    let wish = RequestedParameters {
        created: true,
        expires: true,
        nonce: Some("n"),
        keyid: None,
        tag: Some("t"),
    };
    let components =
        vec![Component::parse("@method").unwrap(), Component::parse("mcp-name").unwrap()];
    let params = accept::wanted(components, &wish).unwrap();
    let text = accept::write("mcp", &params).unwrap();
    assert_eq!(text, "mcp=(\"@method\" \"mcp-name\");created;expires;nonce=\"n\";tag=\"t\"");
    assert!(accept::write("Mcp", &params).is_err());
    let read = accept::read(text.as_bytes()).unwrap();
    assert_eq!(accept::write("mcp", read[0].params.as_ref().unwrap()).unwrap(), text);

    assert!(accept::read(b"").unwrap().is_empty());
    for bad in ["a=(), a=()", "a=(", "a=(),", "a=(\"x\"\"y\")"] {
        assert!(accept::read(bad.as_bytes()).is_err(), "{bad}");
    }
    for faulty in ["a", "a=1", "a=();created;created", "a=(\"x\" \"x\")", "a=(x)"] {
        assert!(accept::read(faulty.as_bytes()).unwrap()[0].params.is_err(), "{faulty}");
    }
}

const FULL_INPUT: &str = "mcp=(\"@method\" \"@target-uri\" \"content-digest\" \"content-type\" \"priority\";key=\"u\" \"mcp-name\");created=1795392000;expires=1795392030;nonce=\"AAECAwQFBgcICQoLDA0ODw\";keyid=\"poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U\";tag=\"a\\\"b\";x=1.5;y=:AQ==:;z";
const FULL_SIGNATURE: &str = "mcp=:P796UIkrO/rXTAAmebJUMvFC+NL2xBEGa4OxvwyKO/hAkc8T7izOsPg+p+bkrHaKZTnm5ADojk0euaXgxp+vDQ==:";

/// The covered fields of a full request.
const FULL_FIELDS: &[(&str, &str)] = &[
    ("content-digest", "sha-256=:cjKL/VKC9HkV4LzIEQhMBsusHO++jP7GcW/Wj79H6VE=:"),
    ("content-type", "application/json"),
    ("priority", "u=(1 2)"),
    ("mcp-name", "get_weather"),
    ("signature-input", FULL_INPUT),
    ("signature", FULL_SIGNATURE),
];

/// What a verifier would check a signature against: the base and the signature.
fn judged(fields: &[(&str, Vec<u8>)]) -> Option<(String, Vec<u8>)> {
    let mut head = Head::new("POST", RequestTarget::Origin("/mcp?a=1".into())).ok()?;
    head.push("host", &b"mcp.example.com"[..]).ok()?;
    for (name, value) in fields {
        head.push(*name, value.as_slice()).ok()?;
    }
    let mut candidates = header::read(&head).ok()?;
    let candidate = candidates.pop()?;
    let origins = Origins::unknown();
    let target = origins.resolve(&head).ok()?;
    let base = signature_base(&candidate.params.ok()?, &head, &target).ok()?;
    Some((base, candidate.signature.ok()?))
}

/// Every single bit of every covered field and of both signature fields.
#[test]
fn no_bit_can_change_without_changing_what_is_judged() {
    let fields: Vec<_> =
        FULL_FIELDS.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect();
    let original = judged(&fields).unwrap();
    assert!(original.0.contains("\"priority\";key=\"u\": (1 2)\n"));
    let (mut bits, mut seen) = (0, HashSet::new());
    for at in 0..fields.len() {
        for byte in 0..fields[at].1.len() {
            for bit in 0..8 {
                let mut changed = fields.clone();
                changed[at].1[byte] ^= 1 << bit;
                bits += 1;
                if let Some(judged) = judged(&changed) {
                    let name = fields[at].0;
                    assert_ne!(judged, original, "{name}, byte {byte}, bit {bit}");
                    seen.insert(judged);
                }
            }
        }
    }
    let bytes: usize = FULL_FIELDS.iter().map(|(_, value)| value.len()).sum();
    assert_eq!(bits, bytes * 8);
    assert!(seen.len() > 1000, "most of them are still readable: {}", seen.len());
}

proptest! {
    #[test]
    fn no_header_bytes_make_it_panic(
        input in prop::collection::vec(any::<u8>(), 0..80),
        signature in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = judged(&[("signature-input", input), ("signature", signature)]);
    }

    /// Made from the pieces of real ones, so that many get as far as a base.
    #[test]
    fn no_header_text_makes_it_panic(
        input in r#"a=\(("(@method|@query|@query-param|content-type|priority|@x)"(;(sf|bs|key="u"|name="a"|req|[a-z]))? ?){0,4}\)(;(created|tag|x)(=1|="b")?){0,3}"#,
    ) {
        let fields = [
            ("content-type", b"a/b".to_vec()),
            ("priority", b"u=1".to_vec()),
            ("signature-input", input.clone().into_bytes()),
            ("signature", b"a=:AQ==:".to_vec()),
        ];
        if let Some((base, _)) = judged(&fields) {
            prop_assert!(base.is_ascii() && !base.ends_with('\n'));
            let last = base.lines().last().unwrap();
            prop_assert!(last.starts_with("\"@signature-params\": ("));
            prop_assert_eq!(base.lines().count(), base.matches('\n').count() + 1);
        }
    }
}
