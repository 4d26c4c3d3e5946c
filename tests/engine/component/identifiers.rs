//! Tests of component identifiers: which are refused, how they are spelt, and their order.

use mcpid::base::{
    Component, ComponentError, ParamsError, SignatureParams, StatedParameters, signature_base,
};
use mcpid::message::structured::{BareItem, Item, Parameters};
use mcpid::message::target::Origins;

use super::{request, value};

#[test]
fn components_that_no_request_can_have_are_refused() {
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
    let claims = StatedParameters {
        created: Some(1),
        expires: Some(31),
        nonce: Some("n"),
        keyid: Some("k\"\\"),
        alg: Some("a"),
        tag: Some("t"),
    };
    let params = SignatureParams::for_signing(components(&["@method", "date"]), &claims).unwrap();
    let mut text = String::new();
    params.write_to(&mut text).unwrap();
    let expected = "(\"@method\" \"date\");created=1;expires=31;nonce=\"n\";keyid=\"k\\\"\\\\\";alg=\"a\";tag=\"t\"";
    assert_eq!(text, expected);
    assert!(params.covers("date") && !params.covers("etag"));

    let few = StatedParameters { expires: None, tag: None, ..claims };
    let mut text = String::new();
    SignatureParams::for_signing(vec![], &few).unwrap().write_to(&mut text).unwrap();
    assert_eq!(text, "();created=1;nonce=\"n\";keyid=\"k\\\"\\\\\";alg=\"a\"");

    let twice = components(&["date", "@method", "date"]);
    assert!(SignatureParams::for_signing(twice, &claims).is_err());
    let status = vec![Component::new("@status").unwrap()];
    assert!(SignatureParams::for_signing(status, &claims).is_err());
    for wrong in [
        StatedParameters { created: Some(1_000_000_000_000_000), ..claims },
        StatedParameters { tag: Some("caf\u{e9}"), ..claims },
        StatedParameters { nonce: Some("a\nb"), ..claims },
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
        (SignatureParams::for_signing(vec![component], &StatedParameters::default()), text)
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

/// A client without a trusted key can make the verifier build a signature base. So thirty
/// components that are parts of one large field must not cost thirty times as much as one.
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
        let start = std::time::Instant::now();
        let base = signature_base(&params, &head, &target).unwrap();
        assert_eq!(base.matches(": 1\n").count(), count);
        start.elapsed()
    };
    for component in ["\"x-large\";key", "\"@query-param\";name"] {
        // Other programs can slow down some rounds but not all, so one fast round is enough.
        let (mut one, mut many) = (time(component, 1), time(component, 30));
        for _ in 0..500 {
            if many < one * 10 {
                break;
            }
            (one, many) = (one.min(time(component, 1)), many.min(time(component, 30)));
        }
        assert!(many < one * 10, "{component}: 30 took {many:?}, one {one:?}");
    }
}
