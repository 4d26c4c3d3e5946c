//! Component identifiers and their values: the examples of RFC 9421 section 2, and refusals.

use mcpid::base::{
    Claims, Component, ComponentError, ParamsError, SignatureParams, signature_base,
};
use mcpid::message::structured::{BareItem, Item, Parameters, ParseReason};
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};

/// A request to `www.example.com`, whose target is on the request line as given.
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

/// The value of one component, from the base of a signature that covers only it.
fn value_in(
    head: &Head<'_>,
    origins: &Origins,
    identifier: &str,
) -> Result<String, ComponentError> {
    let target = origins.resolve(head).unwrap();
    // Not by `Component::parse`, which would refuse before the base is reached.
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
fn fields_as_in_section_2_1() {
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
fn strict_serialisation_as_in_section_2_1_1() {
    // The RFC calls its field example-dict; only a registered dictionary is known to be one.
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
fn dictionary_members_as_in_section_2_1_2() {
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
fn wrapped_fields_as_in_section_2_1_3() {
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
fn derived_components_as_in_section_2_2() {
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
    // Methods are case-sensitive.
    gives(&request("get", "/", &[]), "\"@method\"", "get");
}

#[test]
fn query_parameters_as_in_section_2_2_8() {
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
    // The name is compared in its encoded form only.
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
    // A reader that puts U+FFFD for what is not UTF-8 has this name twice.
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

#[test]
fn what_no_request_can_have_is_refused() {
    let head = request("GET", "/?a=1", &[("Priority", "u=1"), ("X-A", "a")]);
    for (identifier, error) in [
        ("\"@status\"", ComponentError::Status),
        ("\"@signature-params\"", ComponentError::SignatureParams),
        ("\"@method2\"", ComponentError::UnknownDerived),
        ("\"@query-params\"", ComponentError::UnknownDerived),
        ("\"@created\"", ComponentError::UnknownDerived),
        ("\"@method\";req", ComponentError::Request),
        ("\"x-a\";req", ComponentError::Request),
        ("\"x-a\";req=?0", ComponentError::Request),
        ("\"x-a\";tr", ComponentError::Trailer),
        ("\"x-a\";x", ComponentError::UnknownParameter("x".to_owned())),
        ("\"x-a\";x=?0", ComponentError::UnknownParameter("x".to_owned())),
        ("\"@method\";x=1", ComponentError::UnknownParameter("x".to_owned())),
        ("\"priority\";sf=1", ComponentError::ParameterType("sf")),
        ("\"priority\";sf=?0", ComponentError::ParameterType("sf")),
        ("\"x-a\";bs=\"\"", ComponentError::ParameterType("bs")),
        ("\"priority\";key", ComponentError::ParameterType("key")),
        ("\"priority\";key=u", ComponentError::ParameterType("key")),
        ("\"@query-param\";name=a", ComponentError::ParameterType("name")),
        ("\"@query-param\"", ComponentError::NameMissing),
        ("\"@query-param\";name=\"a\";sf", ComponentError::Misplaced("sf")),
        ("\"@method\";sf", ComponentError::Misplaced("sf")),
        ("\"@path\";bs", ComponentError::Misplaced("bs")),
        ("\"@query\";key=\"a\"", ComponentError::Misplaced("key")),
        ("\"@query\";name=\"a\"", ComponentError::Misplaced("name")),
        ("\"x-a\";name=\"a\"", ComponentError::Misplaced("name")),
        ("\"priority\";sf;bs", ComponentError::Conflict),
        ("\"priority\";bs;key=\"u\"", ComponentError::Conflict),
    ] {
        assert_eq!(value(&head, identifier), Err(error.clone()), "{identifier}");
        assert_eq!(Component::parse(identifier).unwrap_err(), error, "{identifier}");
    }
}

#[test]
fn people_write_names_or_whole_identifiers() {
    for (text, identifier) in [
        ("content-type", "\"content-type\""),
        ("@method", "\"@method\""),
        ("mcp-param-x", "\"mcp-param-x\""),
        ("\"@query-param\";name=\"Pet\"", "\"@query-param\";name=\"Pet\""),
        ("\"priority\"; sf", "\"priority\";sf"),
        ("  \"x\";bs".trim_start(), "\"x\";bs"),
    ] {
        let component = Component::parse(text).unwrap();
        assert_eq!(component.to_string(), identifier);
        assert_eq!(component.is_plain(), !identifier.contains(';'));
        assert_eq!(component.is_derived(), identifier.contains('@'));
    }
    for text in [
        "",
        "@",
        "Content-Type",
        "content type",
        "content-type;sf",
        "\"a",
        "\"a\" ;sf",
        "\"a\"x",
        "\"A\"",
        "\"\"",
        "\"@\"",
        "@@method",
        "a:b",
        "caf\u{e9}",
        "\"a\";sf;sf",
        "@status",
        "@query-param",
    ] {
        assert!(Component::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn the_order_of_parameters_does_not_make_another_component() {
    let component = |text| {
        let item = Item::strict(Box::leak(String::from(text).into_boxed_str()).as_bytes()).unwrap();
        Component::from_item(item).unwrap()
    };
    let foo = component("\"foo\";bar;baz");
    assert!(foo.same_as(&component("\"foo\";baz;bar")));
    assert_eq!(foo.to_string(), "\"foo\";bar;baz", "but is not changed either");
    for other in
        ["\"foo\";bar", "\"foo\"", "\"fo\";bar;baz", "\"foo\";bar;baz=1", "\"foo\";bar;baz;x"]
    {
        assert!(!foo.same_as(&component(other)), "{other}");
        assert!(!component(other).same_as(&foo), "{other}");
    }
}

#[test]
fn signing_params_are_emitted_in_one_order() {
    let components = |names: &[&'static str]| {
        names.iter().map(|name| Component::parse(name).unwrap()).collect::<Vec<_>>()
    };
    let claims = Claims {
        created: Some(1),
        expires: Some(31),
        nonce: Some("n"),
        keyid: Some("k\"\\"),
        tag: Some("t"),
    };
    let params = SignatureParams::for_signing(components(&["@method", "date"]), &claims).unwrap();
    let mut text = String::new();
    params.write_to(&mut text).unwrap();
    let expected =
        "(\"@method\" \"date\");created=1;expires=31;nonce=\"n\";keyid=\"k\\\"\\\\\";tag=\"t\"";
    assert_eq!(text, expected);
    assert!(params.covers("date") && !params.covers("etag"));

    let few = Claims { expires: None, tag: None, ..claims };
    let mut text = String::new();
    SignatureParams::for_signing(vec![], &few).unwrap().write_to(&mut text).unwrap();
    assert_eq!(text, "();created=1;nonce=\"n\";keyid=\"k\\\"\\\\\"");

    let twice = components(&["date", "@method", "date"]);
    assert!(SignatureParams::for_signing(twice, &claims).is_err());
    let status = vec![Component::new("@status").unwrap()];
    assert!(SignatureParams::for_signing(status, &claims).is_err());
    for wrong in [
        Claims { created: Some(1_000_000_000_000_000), ..claims },
        Claims { tag: Some("caf\u{e9}"), ..claims },
        Claims { nonce: Some("a\nb"), ..claims },
    ] {
        assert!(SignatureParams::for_signing(components(&["date"]), &wrong).is_err());
    }
}

#[test]
fn a_made_identifier_without_spelling_is_not_signed() {
    let made = |key: &'static str| {
        let mut params = Parameters::default();
        params.set("key", BareItem::String(key.into()));
        let item = Item { value: BareItem::String("priority".into()), params };
        let component = Component::from_item(item).unwrap();
        let text = component.to_string();
        (SignatureParams::for_signing(vec![component], &Claims::default()), text)
    };
    let (params, text) = made("u");
    assert!(params.is_ok());
    assert_eq!(text, "\"priority\";key=\"u\"");
    let (params, text) = made("\u{e9}");
    assert_eq!(text, "\"priority\"");
    match params {
        Err(ParamsError::Component { component, source: ComponentError::Unwritable(_) }) => {
            assert_eq!(component, text);
        }
        other => panic!("{other:?}"),
    }
}

/// Whoever knows a key id can have a base rebuilt, and needs no key for it: thirty components of
/// one large head must not cost thirty times what one of them does.
#[test]
fn many_parts_of_one_field_or_query_read_it_once() {
    let pairs = |between| (0..6000).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(between);
    let (value, path) = (pairs(","), format!("/?{}", pairs("&")));
    let head = request("GET", &path, &[("x-large", &value), ("x-large", "z=2")]);
    let origins = Origins::unknown();
    let target = origins.resolve(&head).unwrap();
    let time = |component: &str, count: usize| {
        let list = (0..count).map(|n| format!("{component}=\"k{n}\"")).collect::<Vec<_>>();
        let text = format!("({})", list.join(" "));
        let list = mcpid::message::structured::List::parse(text.as_bytes()).unwrap();
        let member = list.members.into_iter().next().unwrap();
        let params = SignatureParams::from_member(member).unwrap();
        let spent = (0..5).map(|_| {
            let start = std::time::Instant::now();
            let base = signature_base(&params, &head, &target).unwrap();
            assert_eq!(base.matches(": 1\n").count(), count);
            start.elapsed()
        });
        spent.min().unwrap()
    };
    for component in ["\"x-large\";key", "\"@query-param\";name"] {
        let (one, many) = (time(component, 1), time(component, 30));
        assert!(many < one * 10, "{component}: 30 took {many:?}, one {one:?}");
    }
}
