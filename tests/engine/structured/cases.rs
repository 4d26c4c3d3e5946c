//! Tests with the test cases of the HTTP working group, if they are installed.

use std::borrow::Cow;
use std::path::PathBuf;

use mcpid::message::structured::{BareItem, Decimal, InnerList, Item, Member, Parameters, combine};
use serde_json::Value;

use super::Top;

/// Returns the folder with third-party test vectors. If it is missing, prints a note and returns
/// None.
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

/// Names of cases that RFC 9651 accepts, but the strict functions refuse.
const REFUSED_BEYOND_THE_RFC: &[&str] = &[
    "binary.json: bad padding",
    "binary.json: non-zero pad bits",
    "dictionary.json: duplicate key dictionary",
    // In `a,a=1`, the comma separates two members with the same key.
    "key-generated.json: 0x2c in dictionary key",
    // In `foo; a;a=1`, the semicolon separates two parameters with the same name.
    "key-generated.json: 0x3b in parameterised list key",
    "param-list.json: duplicate parameter with different positions",
];

fn read_cases(path: &std::path::Path) -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Returns the expected value of a case, or `None` if the types of this crate cannot represent it,
/// such as a number that is too large.
pub(super) fn expected(kind: &str, value: &Value) -> Option<Top> {
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

pub(super) fn params(value: &Value) -> Option<Parameters<'static>> {
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
            // This crate does not convert floats, so the test rounds as RFC 9651 section 4.1.5
            // prescribes.
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
fn the_working_groups_parsing_cases_are_met() {
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
    // The numbers of cases in the collection of the working group, and in the older one in an npm
    // package.
    let known = [1591, 1549].contains(&names.len());
    assert!(known, "{} cases are not the ones that this test was written for", names.len());
}

#[test]
fn the_working_groups_serialisation_cases_are_met() {
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
