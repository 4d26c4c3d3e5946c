//! RFC 9651: the working group's cases where they are at hand, and our own, which travel.

use std::borrow::Cow;
use std::path::PathBuf;

use mcpid::message::structured::{
    BareItem, Decimal, Dictionary, InnerList, Item, List, MAX_INTEGER, Member, Parameters,
    ParseFault, ParseReason, Received, Unwritable, combine,
};
use proptest::prelude::*;
use serde_json::Value;

/// A folder of third-party vectors, or `None`, said aloud, where they are not at hand.
pub(crate) fn vectors(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MCPID_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"),
        PathBuf::from,
    );
    let path = root.join(name);
    if path.is_dir() {
        return Some(path);
    }
    #[allow(clippy::print_stderr)]
    {
        eprintln!("not tested: the {name} vectors are not at hand, and are not ours to carry");
    }
    None
}

/// Cases that RFC 9651 lets pass and the strict reading does not.
const REFUSED_BEYOND_THE_RFC: &[&str] = &[
    "binary.json: bad padding",
    "binary.json: non-zero pad bits",
    "dictionary.json: duplicate key dictionary",
    // `a,a=1`: the comma makes two members of one name.
    "key-generated.json: 0x2c in dictionary key",
    // `foo; a;a=1`: the semicolon makes two parameters of one name.
    "key-generated.json: 0x3b in parameterised list key",
    "param-list.json: duplicate parameter with different positions",
];

fn read_cases(path: &std::path::Path) -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A value of any of the three top-level types.
#[derive(Debug, PartialEq)]
enum Top {
    Item(Item<'static>),
    List(Vec<Member<'static>>),
    Dictionary(Vec<(String, Member<'static>)>),
}

impl Top {
    /// Reads `text` as the RFC does and, second, as strictly as we can.
    fn read(kind: &str, text: &[u8]) -> (Result<Top, ParseFault>, Result<(), ParseFault>) {
        match kind {
            "item" => (
                Item::parse(text).map(|i| match Member::Item(i.value).into_owned() {
                    Member::Item(item) => Top::Item(item),
                    Member::InnerList(_) => unreachable!(),
                }),
                Item::strict(text).map(drop),
            ),
            "list" => (
                List::parse(text).map(|l| {
                    Top::List(l.members.into_iter().map(|m| m.value.into_owned()).collect())
                }),
                List::strict(text).map(drop),
            ),
            "dictionary" => (
                Dictionary::parse(text).map(|d| {
                    let own = |(k, m): (Cow<'_, str>, Received<Member<'_>>)| {
                        (k.into_owned(), m.value.into_owned())
                    };
                    Top::Dictionary(d.members.into_iter().map(own).collect())
                }),
                Dictionary::strict(text).map(drop),
            ),
            other => panic!("{other}"),
        }
    }

    fn write(&self) -> Result<String, Unwritable> {
        let received =
            |value: &Member<'static>| Received { value: value.clone(), fault: None, span: 0..0 };
        let mut out = String::new();
        match self {
            Top::Item(item) => item.write_to(&mut out)?,
            Top::List(members) => {
                List { members: members.iter().map(received).collect() }.write_to(&mut out)?;
            }
            Top::Dictionary(members) => Dictionary {
                members: members.iter().map(|(k, m)| (k.clone().into(), received(m))).collect(),
                duplicate: None,
            }
            .write_to(&mut out)?,
        }
        Ok(out)
    }
}

/// What a case expects; `None` where the value has no place in our types, such as a number that
/// is too large.
fn expected(kind: &str, value: &Value) -> Option<Top> {
    let list = |value: &Value| value.as_array().unwrap().clone();
    Some(match kind {
        "item" => match member(value)? {
            Member::Item(item) => Top::Item(item),
            Member::InnerList(_) => panic!("{value}"),
        },
        "list" => Top::List(list(value).iter().map(member).collect::<Option<_>>()?),
        "dictionary" => Top::Dictionary(
            list(value)
                .iter()
                .map(|pair| Some((pair[0].as_str().unwrap().to_owned(), member(&pair[1])?)))
                .collect::<Option<_>>()?,
        ),
        other => panic!("{other}"),
    })
}

fn member(value: &Value) -> Option<Member<'static>> {
    let params = params(&value[1])?;
    Some(match value[0].as_array() {
        None => Member::Item(Item { value: bare(&value[0])?, params }),
        Some(items) => {
            let items = items
                .iter()
                .map(|item| match member(item)? {
                    Member::Item(item) => Some(item),
                    Member::InnerList(_) => panic!("{item}"),
                })
                .collect::<Option<_>>()?;
            Member::InnerList(InnerList { items, params })
        }
    })
}

fn params(value: &Value) -> Option<Parameters<'static>> {
    let mut params = Parameters::default();
    for pair in value.as_array().unwrap() {
        params.set(pair[0].as_str().unwrap().to_owned(), bare(&pair[1])?);
    }
    Some(params)
}

fn bare(value: &Value) -> Option<BareItem<'static>> {
    let text = |value: &Value| Cow::Owned(value.as_str().unwrap().to_owned());
    Some(match value {
        Value::Bool(flag) => BareItem::Boolean(*flag),
        Value::String(_) => BareItem::String(text(value)),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => BareItem::Integer(integer),
            // No float enters the library, so the rounding of section 4.1.5 is this harness's.
            None => {
                let thousandths = (number.as_f64().unwrap() * 1000.0).round_ties_even();
                BareItem::Decimal(Decimal::from_thousandths(thousandths as i64)?)
            }
        },
        Value::Object(typed) => match typed["__type"].as_str().unwrap() {
            "token" => BareItem::Token(text(&typed["value"])),
            "binary" => BareItem::Bytes(base32(typed["value"].as_str().unwrap())),
            "date" => BareItem::Date(typed["value"].as_i64().unwrap()),
            "displaystring" => BareItem::DisplayString(text(&typed["value"])),
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    })
}

fn base32(text: &str) -> Vec<u8> {
    let (mut bits, mut held, mut out) = (0u32, 0, Vec::new());
    for c in text.bytes().filter(|&c| c != b'=') {
        let digit = if c.is_ascii_digit() { c - b'2' + 26 } else { c - b'A' };
        bits = (bits << 5 | u32::from(digit)) & 0xffff;
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

#[test]
fn the_working_groups_cases() {
    let Some(folder) = vectors("structured-field-tests") else { return };
    let (mut names, mut refused) = (Vec::new(), Vec::new());
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "json")) {
        for case in read_cases(file) {
            let file = file.file_name().unwrap().to_str().unwrap();
            let name = format!("{file}: {}", case["name"].as_str().unwrap());
            names.push(name.clone());
            let kind = case["header_type"].as_str().unwrap();
            let lines: Vec<_> =
                case["raw"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
            let text = combine(lines.iter().map(|l| l.as_bytes())).unwrap();
            let (lenient, strict) = Top::read(kind, &text);
            if case["must_fail"] == true {
                assert!(lenient.is_err() && strict.is_err(), "{name} was accepted");
                continue;
            }
            let read = lenient.unwrap_or_else(|fault| panic!("{name}: {fault}"));
            if strict.is_err() {
                refused.push(name);
                continue;
            }
            assert_eq!(Some(&read), expected(kind, &case["expected"]).as_ref(), "{name}");
            let canonical = case.get("canonical").map_or(lines.join(", "), |lines| {
                let lines = lines.as_array().unwrap();
                lines.first().map_or(String::new(), |line| line.as_str().unwrap().to_owned())
            });
            assert_eq!(read.write().unwrap(), canonical, "{name}");
        }
    }
    let listed = REFUSED_BEYOND_THE_RFC.iter().filter(|name| names.iter().any(|n| n == *name));
    assert_eq!(refused, listed.copied().collect::<Vec<_>>());
    // The working group's own, or the older ones that an npm package carries.
    let known = [1591, 1549].contains(&names.len());
    assert!(known, "{} cases are not the ones that this test was written for", names.len());
}

#[test]
fn the_working_groups_serialisation_cases() {
    let Some(folder) = vectors("structured-field-tests") else { return };
    let mut count = 0;
    for file in std::fs::read_dir(folder.join("serialisation-tests")).unwrap() {
        for case in read_cases(&file.unwrap().path()) {
            count += 1;
            let kind = case["header_type"].as_str().unwrap();
            let written = expected(kind, &case["expected"]).and_then(|top| top.write().ok());
            if case["must_fail"] == true {
                assert_eq!(written, None, "{case}");
            } else {
                assert_eq!(written.as_deref(), case["canonical"][0].as_str(), "{case}");
            }
        }
    }
    assert_eq!(count, 544, "the vectors are not the ones that this test was written for");
}

fn rewritten(kind: &str, text: &str) -> String {
    let (read, strict) = Top::read(kind, text.as_bytes());
    strict.unwrap_or_else(|fault| panic!("{text}: {fault}"));
    read.unwrap().write().unwrap()
}

#[test]
fn every_type_is_read_and_written() {
    for (kind, text, canonical) in [
        ("item", "  42  ", "42"),
        ("item", "-0", "0"),
        ("item", "007", "7"),
        ("item", "999999999999999", "999999999999999"),
        ("item", "-999999999999999;a=1", "-999999999999999;a=1"),
        ("item", "1.50", "1.5"),
        ("item", "-0.5", "-0.5"),
        ("item", "0.001", "0.001"),
        ("item", "1.0", "1.0"),
        ("item", "999999999999.999", "999999999999.999"),
        ("item", r#""a \"b\" \\ c""#, r#""a \"b\" \\ c""#),
        ("item", r#""""#, r#""""#),
        ("item", "*a/b:c%!", "*a/b:c%!"),
        ("item", ":AQID:", ":AQID:"),
        ("item", "::", "::"),
        ("item", "?0;x;y=?1;z=?0", "?0;x;y;z=?0"),
        ("item", "@-62135596800", "@-62135596800"),
        ("item", "%\"f%c3%bc %25\"", "%\"f%c3%bc %25\""),
        ("list", "", ""),
        ("list", "1,2 \t, 3", "1, 2, 3"),
        ("list", "( 1  2 );a, ()", "(1 2);a, ()"),
        ("dictionary", "", ""),
        ("dictionary", "a=1,b;x=2,c=(1 2);y, d=?1, e=?0", "a=1, b;x=2, c=(1 2);y, d, e=?0"),
        ("dictionary", "*=1, a_-.*9=2", "*=1, a_-.*9=2"),
        ("dictionary", "a=1; b=2;  c", "a=1;b=2;c"),
    ] {
        assert_eq!(rewritten(kind, text), canonical, "{text}");
    }
}

#[test]
fn what_is_not_well_formed_is_refused_where_it_breaks() {
    for (kind, text, offset, reason) in [
        ("item", "", 0, ParseReason::End),
        ("item", "\t1", 0, ParseReason::Item),
        ("item", "1\t", 1, ParseReason::Trailing),
        ("item", "1, 2", 1, ParseReason::Trailing),
        ("item", "1000000000000000", 0, ParseReason::Number),
        ("item", "1000000000000.1", 0, ParseReason::Number),
        ("item", "1.", 0, ParseReason::Number),
        ("item", "1.2345", 0, ParseReason::Number),
        ("item", "-", 0, ParseReason::Number),
        ("item", "--1", 0, ParseReason::Number),
        ("item", "+1", 0, ParseReason::Item),
        ("item", "\"a", 2, ParseReason::End),
        ("item", "\"a\\", 3, ParseReason::End),
        ("item", "\"a\\n\"", 3, ParseReason::String),
        ("item", "\"a\tb\"", 2, ParseReason::String),
        ("item", "\"a\x7f\"", 2, ParseReason::String),
        ("item", "\"\u{e9}\"", 1, ParseReason::NotAscii),
        ("item", "a{", 1, ParseReason::Trailing),
        ("item", ":AQI", 1, ParseReason::End),
        ("item", ":A:", 1, ParseReason::Bytes),
        ("item", ":AQ I:", 1, ParseReason::Bytes),
        ("item", ":_-__:", 1, ParseReason::Bytes),
        ("item", ":====:", 1, ParseReason::Bytes),
        ("item", "?2", 1, ParseReason::Boolean),
        ("item", "?", 1, ParseReason::End),
        ("item", "@1.5", 0, ParseReason::Date),
        ("item", "@", 0, ParseReason::Date),
        ("item", "%\"%C3%BC\"", 3, ParseReason::DisplayString),
        ("item", "%\"%ff\"", 0, ParseReason::DisplayString),
        ("item", "%x", 0, ParseReason::DisplayString),
        ("item", "%\"%c", 3, ParseReason::DisplayString),
        ("item", "1;A", 2, ParseReason::Key),
        ("item", "1;", 2, ParseReason::End),
        ("item", "1;a=", 4, ParseReason::End),
        ("item", "1 ;a", 2, ParseReason::Trailing),
        ("item", "(1)", 0, ParseReason::Item),
        ("list", "1,", 2, ParseReason::TrailingComma),
        ("list", "1,,2", 2, ParseReason::Item),
        ("list", "1 2", 1, ParseReason::Comma),
        ("list", "(1 2", 4, ParseReason::End),
        ("list", "(1,2)", 2, ParseReason::InnerList),
        ("list", "(1\t2)", 2, ParseReason::InnerList),
        ("list", "((1))", 1, ParseReason::Item),
        ("dictionary", "A=1", 0, ParseReason::Key),
        ("dictionary", "a =1", 1, ParseReason::Comma),
        ("dictionary", "a= 1", 2, ParseReason::Item),
        ("dictionary", "a=1, ", 5, ParseReason::TrailingComma),
        ("dictionary", "a=1;b=1 ;c=2", 7, ParseReason::Comma),
        ("dictionary", "\t a=1", 0, ParseReason::Key),
    ] {
        let (lenient, strict) = Top::read(kind, text.as_bytes());
        assert_eq!(lenient, Err(ParseFault { offset, reason }), "{text:?}");
        assert_eq!(strict, Err(ParseFault { offset, reason }), "{text:?}");
    }
}

#[test]
fn what_lenient_parsers_swallow_is_recorded() {
    let fault = |offset, reason| Some(ParseFault { offset, reason });
    let dictionary = Dictionary::parse(b"a=1, b=2, a=3, b=4").unwrap();
    assert_eq!(dictionary.duplicate, fault(10, ParseReason::DuplicateKey));
    assert_eq!(dictionary.members.len(), 4, "both are kept, in order");
    let mut out = String::new();
    assert_eq!(dictionary.write_to(&mut out), Err(Unwritable::DuplicateKey));

    // Each of these is the fault of the member that holds it, and of no other.
    for (text, expected) in [
        ("a=1;x=1;x=2, b=2", [fault(8, ParseReason::DuplicateParameter), None]),
        ("a=1;x;x, b=2", [fault(6, ParseReason::DuplicateParameter), None]),
        ("a=(1;x;x);y, b=2", [fault(7, ParseReason::DuplicateParameter), None]),
        ("a=(1;x);y;y, b=2", [fault(10, ParseReason::DuplicateParameter), None]),
        ("a=1, b=(1;x 2;x);x", [None, None]),
        ("a=1, b=:AA:", [None, fault(7, ParseReason::NonCanonicalBase64)]),
        ("a=:AB==:, b=:AA==:", [fault(2, ParseReason::NonCanonicalBase64), None]),
        ("a=:AAA:, b=1", [fault(2, ParseReason::NonCanonicalBase64), None]),
        ("a=:AAB=:, b=1", [fault(2, ParseReason::NonCanonicalBase64), None]),
        ("a=1;p=:AB==:;p, b=1", [fault(6, ParseReason::NonCanonicalBase64), None]),
    ] {
        let dictionary = Dictionary::parse(text.as_bytes()).unwrap();
        let faults: Vec<_> = dictionary.members.iter().map(|(_, m)| m.fault).collect();
        assert_eq!(faults, expected, "{text}");
        assert_eq!(dictionary.duplicate, None, "{text}");
        let first = expected.iter().flatten().next();
        assert_eq!(Dictionary::strict(text.as_bytes()).err().as_ref(), first, "{text}");
    }
    assert!(List::strict(b"1;a;a").is_err());
    assert!(Item::strict(b"1;a;a").is_err());
    assert!(Item::strict(b"1;a;b").is_ok());
}

#[test]
fn repeats_are_found_behind_the_number_from_which_on_a_set_is_used() {
    for many in [15, 16, 17, 40, 5000] {
        let names: Vec<_> = (0..many).map(|n| format!("k{n}")).collect();
        let distinct = names.join(",");
        assert_eq!(Dictionary::parse(distinct.as_bytes()).unwrap().duplicate, None, "{many}");
        for at in [0, many / 2, many - 1] {
            let repeated = format!("{distinct},k{at}");
            let fault =
                ParseFault { offset: distinct.len() + 1, reason: ParseReason::DuplicateKey };
            let dictionary = Dictionary::parse(repeated.as_bytes()).unwrap();
            assert_eq!(dictionary.duplicate, Some(fault), "{many} {at}");
            let params = format!("1;{}", repeated.replace(',', ";"));
            let fault =
                ParseFault { offset: fault.offset + 2, reason: ParseReason::DuplicateParameter };
            assert_eq!(Item::parse(params.as_bytes()).unwrap().fault, Some(fault), "{many} {at}");
        }
    }
}

#[test]
fn spans_are_the_bytes_of_the_members() {
    let text = "  a=1;x  ,\tb , c=(1  2) ";
    let dictionary = Dictionary::parse(text.as_bytes()).unwrap();
    let spans: Vec<_> = dictionary.members.iter().map(|(_, m)| &text[m.span.clone()]).collect();
    assert_eq!(spans, ["a=1;x", "b", "c=(1  2)"]);
}

#[test]
fn what_has_no_spelling_is_not_written() {
    let written = |value: BareItem<'_>| {
        let mut out = String::new();
        value.write_to(&mut out).map(|()| out)
    };
    assert_eq!(written(BareItem::Integer(MAX_INTEGER + 1)), Err(Unwritable::Integer));
    assert_eq!(written(BareItem::Date(i64::MIN)), Err(Unwritable::Integer));
    assert_eq!(written(BareItem::String("a\nb".into())), Err(Unwritable::String));
    assert_eq!(written(BareItem::String("é".into())), Err(Unwritable::String));
    assert_eq!(written(BareItem::Token("".into())), Err(Unwritable::Token));
    assert_eq!(written(BareItem::Token("1a".into())), Err(Unwritable::Token));
    assert_eq!(written(BareItem::Token("a b".into())), Err(Unwritable::Token));
    assert_eq!(written(BareItem::Token("a\"".into())), Err(Unwritable::Token));
    assert_eq!(Decimal::from_thousandths(MAX_INTEGER + 1), None);
    assert_eq!(Decimal::from_thousandths(i64::MIN), None);
    for key in ["", "A", "1", "a b", "a=", "é"] {
        let mut params = Parameters::default();
        params.set(key, BareItem::Boolean(true));
        assert_eq!(params.write_to(&mut String::new()), Err(Unwritable::Key), "{key}");
    }
}

#[test]
fn lines_are_joined_and_a_single_one_is_not_copied() {
    assert!(matches!(combine([&b"a=1"[..]]), Some(Cow::Borrowed(b"a=1"))));
    assert_eq!(combine([&b"a=1"[..], b"b=2"]).unwrap().as_ref(), b"a=1, b=2");
    assert_eq!(combine(std::iter::empty::<&[u8]>()), None);
}

fn any_bare() -> impl Strategy<Value = BareItem<'static>> {
    prop_oneof![
        (-MAX_INTEGER..=MAX_INTEGER).prop_map(BareItem::Integer),
        (-MAX_INTEGER..=MAX_INTEGER)
            .prop_map(|n| BareItem::Decimal(Decimal::from_thousandths(n).unwrap())),
        "[ -~]{0,12}".prop_map(|s| BareItem::String(s.into())),
        "[a-zA-Z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]{0,8}".prop_map(|s| BareItem::Token(s.into())),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(BareItem::Bytes),
        any::<bool>().prop_map(BareItem::Boolean),
        (-MAX_INTEGER..=MAX_INTEGER).prop_map(BareItem::Date),
        "\\PC{0,8}".prop_map(|s| BareItem::DisplayString(s.into())),
    ]
}

fn any_params() -> impl Strategy<Value = Parameters<'static>> {
    prop::collection::vec(("[a-z*][a-z0-9_.*-]{0,4}", any_bare()), 0..4).prop_map(|pairs| {
        let mut params = Parameters::default();
        pairs.into_iter().for_each(|(name, value)| params.set(name, value));
        params
    })
}

fn any_item() -> impl Strategy<Value = Item<'static>> {
    (any_bare(), any_params()).prop_map(|(value, params)| Item { value, params })
}

fn any_member() -> impl Strategy<Value = Member<'static>> {
    let list = (prop::collection::vec(any_item(), 0..4), any_params());
    prop_oneof![
        any_item().prop_map(Member::Item),
        list.prop_map(|(items, params)| Member::InnerList(InnerList { items, params })),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(members in prop::collection::vec(any_member(), 0..4)) {
        let top = Top::List(members);
        let text = top.write().unwrap();
        let (read, strict) = Top::read("list", text.as_bytes());
        prop_assert_eq!(strict, Ok(()));
        prop_assert_eq!(read, Ok(top));
    }

    #[test]
    fn a_dictionary_that_is_written_is_read_again(
        members in prop::collection::btree_map("[a-z*][a-z0-9_.*-]{0,4}", any_member(), 0..4)
    ) {
        let top = Top::Dictionary(members.into_iter().collect());
        let text = top.write().unwrap();
        let (read, strict) = Top::read("dictionary", text.as_bytes());
        prop_assert_eq!(strict, Ok(()));
        prop_assert_eq!(read, Ok(top));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for kind in ["item", "list", "dictionary"] {
            let _ = Top::read(kind, &bytes);
        }
    }

    /// From the characters that matter, so that much of it is well formed: then writing and
    /// reading again changes nothing.
    #[test]
    fn reading_is_settled_by_writing(text in r#"([abx=;, ()"\\:?@%.*1-9-]|AA==|;a=1|, b=){0,24}"#) {
        for kind in ["item", "list", "dictionary"] {
            if let (Ok(read), Ok(())) = Top::read(kind, text.as_bytes()) {
                let again = read.write().unwrap();
                prop_assert_eq!(Top::read(kind, again.as_bytes()).0, Ok(read), "{}", text);
            }
        }
    }
}

#[test]
fn a_string_ends_at_the_first_byte_that_is_not_its_own_wherever_that_stands() {
    // Strings are read eight bytes at a time: every byte in every place of two such steps and
    // a rest.
    for byte in 0..=0x7f_u8 {
        for place in 0..19 {
            let mut text = vec![b'a'; 19];
            text[place] = byte;
            let field = [b"\"".as_slice(), &text, b"\""].concat();
            let own = matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            match Item::strict(&field) {
                Ok(item) => {
                    assert!(own, "{byte:#x} at {place}");
                    assert_eq!(item.value.as_string().map(str::as_bytes), Some(text.as_slice()));
                }
                Err(_) => assert!(!own, "{byte:#x} at {place}"),
            }
        }
    }
}
