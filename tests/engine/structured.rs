//! Tests of the parser for RFC 9651: with the test cases of the HTTP working group, if they are
//! installed, and with further ones.

pub(crate) mod cases;
mod generated;

use std::borrow::Cow;

use mcpid::message::structured::{
    BareItem, Decimal, Dictionary, Item, List, MAX_INTEGER, Member, Parameters, ParseFault,
    ParseReason, Received, Unwritable, combine,
};

/// A value of one of the three top-level types of RFC 9651.
#[derive(Debug, PartialEq)]
enum Top {
    Item(Item<'static>),
    List(Vec<Member<'static>>),
    Dictionary(Vec<(String, Member<'static>)>),
}

impl Top {
    /// Parses `text` as the RFC prescribes, and a second time with the strict functions.
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
fn malformed_input_is_refused_with_the_offset_of_the_fault() {
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
fn input_that_lenient_parsers_ignore_is_recorded() {
    let fault = |offset, reason| Some(ParseFault { offset, reason });
    let dictionary = Dictionary::parse(b"a=1, b=2, a=3, b=4").unwrap();
    assert_eq!(dictionary.duplicate, fault(10, ParseReason::DuplicateKey));
    assert_eq!(dictionary.members.len(), 4, "both are kept, in order");
    let mut out = String::new();
    assert_eq!(dictionary.write_to(&mut out), Err(Unwritable::DuplicateKey));

    // A fault inside a member is recorded for that member only.
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
fn values_without_a_serialisation_are_not_written() {
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

#[test]
fn a_string_ends_at_the_first_byte_that_is_not_its_own_wherever_that_stands() {
    // The parser checks strings in steps of eight bytes. So every byte is tried at every position
    // in two steps and a remainder.
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
