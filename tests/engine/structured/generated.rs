//! Tests with generated fields: a value that was written parses to the same value, and no bytes
//! make the parser panic.

use mcpid::message::structured::{
    BareItem, Decimal, InnerList, Item, MAX_INTEGER, Member, Parameters,
};
use proptest::prelude::*;

use super::Top;

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
    fn written_values_are_read_back(members in prop::collection::vec(any_member(), 0..4)) {
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
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for kind in ["item", "list", "dictionary"] {
            let _ = Top::read(kind, &bytes);
        }
    }

    /// The generated texts consist of characters with a meaning in RFC 9651, so that many are
    /// valid. Parsing, writing and parsing again gives the same value.
    #[test]
    fn parse_write_parse_is_stable(text in r#"([abx=;, ()"\\:?@%.*1-9-]|AA==|;a=1|, b=){0,24}"#) {
        for kind in ["item", "list", "dictionary"] {
            if let (Ok(read), Ok(())) = Top::read(kind, text.as_bytes()) {
                let again = read.write().unwrap();
                prop_assert_eq!(Top::read(kind, again.as_bytes()).0, Ok(read), "{}", text);
            }
        }
    }
}
