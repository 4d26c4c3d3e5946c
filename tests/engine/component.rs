//! Tests of component identifiers and the values of components: the examples of RFC 9421 section 2,
//! and identifiers that are refused.

mod identifiers;

use mcpid::base::{ComponentError, SignatureParams, signature_base};
use mcpid::message::structured::{Item, ParseReason};
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};

/// Returns a request to `www.example.com` with the target `target` on its request line.
fn request<'a>(method: &'a str, target: &'a str, fields: &[(&'a str, &'a str)]) -> Head<'a> {
    let target = match target {
        "*" => RequestTarget::Asterisk,
        path if path.starts_with('/') => RequestTarget::Origin(path.into()),
        uri => RequestTarget::Absolute(uri.into()),
    };
    let mut head = Head::new(method, target).unwrap();
    head.push("Host", &b"www.example.com"[..]).unwrap();
    for (name, value) in fields {
        head.push(*name, value.as_bytes()).unwrap();
    }
    head
}

/// Returns the value of a component. It is taken from the signature base that covers only this
/// component.
fn value_in(
    head: &Head<'_>,
    origins: &Origins,
    identifier: &str,
) -> Result<String, ComponentError> {
    let target = origins.resolve(head).unwrap();
    // The identifier is not parsed by `Component::parse`, which would already refuse it.
    let item = Item::strict(identifier.as_bytes()).unwrap();
    let text = format!("({identifier})");
    let list = mcpid::message::structured::List::parse(text.as_bytes()).unwrap();
    let params = SignatureParams::from_member(list.members.into_iter().next().unwrap()).unwrap();
    let mut written = String::new();
    item.write_to(&mut written).unwrap();
    let base = signature_base(&params, head, &target).map_err(|error| {
        assert_eq!(error.component, written);
        error.source
    })?;
    let last = format!("\n\"@signature-params\": ({written})");
    let line = base.strip_suffix(&last).unwrap_or_else(|| panic!("{base}"));
    Ok(line.strip_prefix(&format!("{written}: ")).unwrap_or_else(|| panic!("{base}")).to_owned())
}

fn value(head: &Head<'_>, identifier: &str) -> Result<String, ComponentError> {
    value_in(head, &Origins::unknown(), identifier)
}

#[track_caller]
fn gives(head: &Head<'_>, identifier: &str, expected: &str) {
    assert_eq!(value(head, identifier).as_deref(), Ok(expected), "{identifier}");
}

#[test]
fn fields_are_serialised_as_in_section_2_1() {
    let head = request(
        "GET",
        "/",
        &[
            ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
            ("X-OWS-Header", "   Leading and trailing whitespace.\t "),
            ("Cache-Control", "max-age=60"),
            ("Cache-Control", "    must-revalidate"),
            ("Example-Dict", "  a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
            ("X-Empty-Header", ""),
            ("X-Tab", "a\tb"),
            ("Empty-Twice", ""),
            ("Empty-Twice", ""),
        ],
    );
    gives(&head, "\"host\"", "www.example.com");
    gives(&head, "\"date\"", "Tue, 20 Apr 2021 02:07:56 GMT");
    gives(&head, "\"x-ows-header\"", "Leading and trailing whitespace.");
    gives(&head, "\"cache-control\"", "max-age=60, must-revalidate");
    gives(&head, "\"example-dict\"", "a=1,    b=2;x=1;y=2,   c=(a   b   c)");
    gives(&head, "\"x-empty-header\"", "");
    gives(&head, "\"x-tab\"", "a\tb");
    gives(&head, "\"empty-twice\"", ", ");
    assert_eq!(value(&head, "\"etag\""), Err(ComponentError::Absent));
}

#[test]
fn strict_serialisation_follows_section_2_1_1() {
    // The RFC calls this field `example-dict`. Another name is used here, because only registered
    // fields are known to be dictionaries.
    let dictionary = "  a=1,    b=2;x=1;y=2,   c=(a   b   c)";
    let head = request(
        "GET",
        "/",
        &[
            ("CDN-Cache-Control", dictionary),
            ("Example-Dict", dictionary),
            ("Priority", "u=1"),
            ("Priority", "i"),
            ("Accept-CH", "a,b"),
            ("Accept-CH", "c"),
            ("Deprecation", "  @1688169599  "),
            ("Content-Digest", "sha-256=:AA:"),
            ("Repr-Digest", "a=1, a=2"),
            ("Proxy-Status", "a;b;b"),
            ("Capsule-Protocol", "?1, ?1"),
            ("Want-Repr-Digest", "a=1,"),
        ],
    );
    gives(&head, "\"cdn-cache-control\";sf", "a=1, b=2;x=1;y=2, c=(a b c)");
    gives(&head, "\"cdn-cache-control\"", dictionary.trim());
    gives(&head, "\"priority\";sf", "u=1, i");
    gives(&head, "\"accept-ch\";sf", "a, b, c");
    gives(&head, "\"deprecation\";sf", "@1688169599");
    assert_eq!(value(&head, "\"example-dict\";sf"), Err(ComponentError::NotStructured));
    assert_eq!(value(&head, "\"host\";sf"), Err(ComponentError::NotStructured));
    assert_eq!(value(&head, "\"signature\";sf"), Err(ComponentError::Absent));
    let broken = |identifier| match value(&head, identifier) {
        Err(ComponentError::Value(fault)) => fault.reason,
        other => panic!("{identifier}: {other:?}"),
    };
    assert_eq!(broken("\"content-digest\";sf"), ParseReason::NonCanonicalBase64);
    assert_eq!(broken("\"repr-digest\";sf"), ParseReason::DuplicateKey);
    assert_eq!(broken("\"proxy-status\";sf"), ParseReason::DuplicateParameter);
    assert_eq!(broken("\"capsule-protocol\";sf"), ParseReason::Trailing);
    assert_eq!(broken("\"want-repr-digest\";sf"), ParseReason::TrailingComma);
}

#[test]
fn dictionary_members_follow_section_2_1_2() {
    let head = request(
        "GET",
        "/",
        &[
            ("Example-Dict", "  a=1, b=2;x=1;y=2, c=(a   b    c), d"),
            ("Split", "a=1"),
            ("Split", "b=2"),
            ("Twice", "a=1"),
            ("Twice", "b=2, a=1"),
            ("Odd", "a=1, b=2;x;x"),
            ("Not", "a b"),
            ("Accept-CH", "a=1"),
        ],
    );
    gives(&head, "\"example-dict\";key=\"a\"", "1");
    gives(&head, "\"example-dict\";key=\"d\"", "?1");
    gives(&head, "\"example-dict\";key=\"b\"", "2;x=1;y=2");
    gives(&head, "\"example-dict\";key=\"c\"", "(a b c)");
    gives(&head, "\"example-dict\";key=\"c\";sf", "(a b c)");
    gives(&head, "\"split\";key=\"b\"", "2");
    gives(&head, "\"odd\";key=\"a\"", "1");
    for (identifier, reason) in [
        ("\"twice\";key=\"b\"", ParseReason::DuplicateKey),
        ("\"odd\";key=\"b\"", ParseReason::DuplicateParameter),
        ("\"not\";key=\"a\"", ParseReason::Comma),
    ] {
        match value(&head, identifier) {
            Err(ComponentError::Value(fault)) => assert_eq!(fault.reason, reason, "{identifier}"),
            other => panic!("{identifier}: {other:?}"),
        }
    }
    assert_eq!(value(&head, "\"example-dict\";key=\"e\""), Err(ComponentError::KeyAbsent));
    assert_eq!(value(&head, "\"gone\";key=\"a\""), Err(ComponentError::Absent));
    assert_eq!(value(&head, "\"accept-ch\";key=\"a\""), Err(ComponentError::NotDictionary));
}

#[test]
fn wrapped_fields_follow_section_2_1_3() {
    let two = request(
        "GET",
        "/",
        &[("Example-Header", "value, with, lots"), ("Example-Header", "of, commas")],
    );
    let one = request("GET", "/", &[("Example-Header", "value, with, lots, of, commas")]);
    let plain = "\"example-header\"";
    assert_eq!(value(&two, plain), value(&one, plain), "what bs is for");
    gives(&two, "\"example-header\";bs", ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:");
    gives(&one, "\"example-header\";bs", ":dmFsdWUsIHdpdGgsIGxvdHMsIG9mLCBjb21tYXM=:");
    assert_eq!(value(&one, "\"other\";bs"), Err(ComponentError::Absent));
}

#[test]
fn bytes_outside_ascii_are_signed_only_when_wrapped() {
    let head = request("GET", "/", &[("X-Name", "Zo\u{eb}"), ("X-Ok", "a"), ("X-Ok", "\u{80}")]);
    for identifier in ["\"x-name\"", "\"x-ok\""] {
        assert_eq!(value(&head, identifier), Err(ComponentError::Characters));
    }
    gives(&head, "\"x-name\";bs", ":Wm/Dqw==:");
    match value(&head, "\"x-name\";key=\"a\"") {
        Err(ComponentError::Value(fault)) => assert_eq!(fault.reason, ParseReason::NotAscii),
        other => panic!("{other:?}"),
    }
}

#[test]
fn derived_components_follow_section_2_2() {
    let head = request("POST", "/path?param=value", &[]);
    gives(&head, "\"@method\"", "POST");
    gives(&head, "\"@target-uri\"", "https://www.example.com/path?param=value");
    gives(&head, "\"@authority\"", "www.example.com");
    gives(&head, "\"@scheme\"", "https");
    gives(&head, "\"@request-target\"", "/path?param=value");
    gives(&head, "\"@path\"", "/path");
    gives(&head, "\"@query\"", "?param=value");
    let plain = Origins::new([Origin::parse("http://www.example.com").unwrap()]);
    assert_eq!(value_in(&head, &plain, "\"@scheme\"").as_deref(), Ok("http"));

    let head = request("GET", "https://www.example.com/path?param=value", &[]);
    gives(&head, "\"@request-target\"", "https://www.example.com/path?param=value");
    gives(&head, "\"@target-uri\"", "https://www.example.com/path?param=value");

    let head = request("OPTIONS", "*", &[]);
    gives(&head, "\"@request-target\"", "*");
    assert_eq!(value(&head, "\"@path\""), Err(ComponentError::Absent));

    let head = request("GET", "HTTPS://WWW.Example.COM:443", &[]);
    gives(&head, "\"@authority\"", "www.example.com");
    gives(&head, "\"@path\"", "/");
    gives(&head, "\"@query\"", "?");

    for (target, query) in [
        ("/path?param=value&foo=bar&baz=bat%2Dman", "?param=value&foo=bar&baz=bat%2Dman"),
        ("/path?queryString", "?queryString"),
        ("/path?", "?"),
        ("/path", "?"),
        ("/path?a?b=%2f%2F+", "?a?b=%2f%2F+"),
    ] {
        gives(&request("POST", target, &[]), "\"@query\"", query);
    }
    // The method is not changed to upper case, because methods are case-sensitive.
    gives(&request("get", "/", &[]), "\"@method\"", "get");
}

#[test]
fn query_parameters_follow_section_2_2_8() {
    let head = request("POST", "/path?param=value&foo=bar&baz=batman&qux=", &[]);
    gives(&head, "\"@query-param\";name=\"baz\"", "batman");
    gives(&head, "\"@query-param\";name=\"qux\"", "");
    gives(&head, "\"@query-param\";name=\"param\"", "value");

    let head = request(
        "GET",
        "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace\
         &fa%C3%A7ade%22%3A%20=something",
        &[],
    );
    gives(&head, "\"@query-param\";name=\"var\"", "this%20is%20a%20big%0Amultiline%20value");
    gives(&head, "\"@query-param\";name=\"bar\"", "with%20plus%20whitespace");
    gives(&head, "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\"", "something");
    // The name of a query parameter is compared in exactly the encoded form that RFC 9421
    // prescribes.
    for name in ["fa%c3%a7ade%22%3A%20", "fa%C3%A7ade%22%3A+", "fa%C3%A7ade%22:%20"] {
        let identifier = format!("\"@query-param\";name=\"{name}\"");
        assert_eq!(value(&head, &identifier), Err(ComponentError::QueryParamAbsent), "{name}");
    }
}

#[test]
fn query_parameters_are_encoded_in_one_way() {
    let head =
        request("GET", "/?a=*-._~!'()%7e%2a/&&b&=c&d=%zz%4&e=1&%65=2&f=%ff&%fe=1&g=1=2&h=%2B", &[]);
    gives(&head, "\"@query-param\";name=\"a\"", "*-._%7E%21%27%28%29%7E*%2F");
    gives(&head, "\"@query-param\";name=\"b\"", "");
    gives(&head, "\"@query-param\";name=\"\"", "c");
    gives(&head, "\"@query-param\";name=\"d\"", "%25zz%254");
    gives(&head, "\"@query-param\";name=\"g\"", "1%3D2");
    gives(&head, "\"@query-param\";name=\"h\"", "%2B");
    for (name, error) in [
        ("e", ComponentError::QueryParamRepeated),
        ("f", ComponentError::QueryParamEncoding),
        ("%EF%BF%BD", ComponentError::QueryParamEncoding),
        ("x", ComponentError::QueryParamAbsent),
    ] {
        assert_eq!(value(&head, &format!("\"@query-param\";name=\"{name}\"")), Err(error));
    }
    // In this query, a parser that replaces invalid UTF-8 by U+FFFD would see the same parameter
    // name twice.
    let twins = request("GET", "/?%EF%BF%BD=1&%FF=2", &[]);
    for (name, error) in [
        ("%EF%BF%BD", ComponentError::QueryParamRepeated),
        ("%FF", ComponentError::QueryParamAbsent),
    ] {
        assert_eq!(value(&twins, &format!("\"@query-param\";name=\"{name}\"")), Err(error));
    }
    let near = request("GET", "/?ab=1&a%=2&a%2=3&a+=4&%61c=5&ad=%ff", &[]);
    gives(&near, "\"@query-param\";name=\"ab\"", "1");
    gives(&near, "\"@query-param\";name=\"a%25\"", "2");
    gives(&near, "\"@query-param\";name=\"a%252\"", "3");
    gives(&near, "\"@query-param\";name=\"a%20\"", "4");
    gives(&near, "\"@query-param\";name=\"ac\"", "5");
    for (name, error) in [
        ("a", ComponentError::QueryParamAbsent),
        ("%61b", ComponentError::QueryParamAbsent),
        ("ab1", ComponentError::QueryParamAbsent),
        ("ad", ComponentError::QueryParamEncoding),
    ] {
        assert_eq!(value(&near, &format!("\"@query-param\";name=\"{name}\"")), Err(error));
    }
    let bare = request("GET", "/", &[]);
    let absent = Err(ComponentError::QueryParamAbsent);
    assert_eq!(value(&bare, "\"@query-param\";name=\"\""), absent);
}
