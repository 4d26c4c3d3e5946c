//! Tests of reading and writing `Signature-Input`, `Signature` and `Accept-Signature`.

mod adding;
mod changes;

use mcpid::base::header::{self, Candidate, HeaderError};
use mcpid::base::{Component, MemberFault, Param};
use mcpid::message::structured::ParseReason;
use mcpid::message::{Head, RequestTarget};

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
fn a_fault_inside_a_member_concerns_that_candidate_only() {
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
