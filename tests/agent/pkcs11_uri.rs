//! Tests of the parser of PKCS #11 URIs (RFC 7512).

use std::path::Path;

use mcpid::key::pkcs11::{Pkcs11Uri, Pkcs11UriError as Wrong};

#[test]
fn the_attributes_of_a_key_are_read() {
    // p11tool and pkcs11-tool print URIs in this form.
    let text = "model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=c7a1;token=my%20token;\
                id=%01%ff;object=al%3bice;type=private;slot-id=0?module-path=/usr/lib/x.so";
    let uri = Pkcs11Uri::parse(text).unwrap();
    assert_eq!(uri.token(), Some("my token"));
    assert_eq!(uri.object(), Some("al;ice"));
    assert_eq!(uri.id(), Some(&[1, 0xff][..]));
    assert_eq!(uri.module_path(), Some(Path::new("/usr/lib/x.so")));
    for text in [
        "object=a&b",
        "object=:[]@!$'()*+,=",
        "object=%C3%BC",
        "id=a",
        "slot-id=18446744073709551615",
    ] {
        assert!(Pkcs11Uri::parse(text).is_ok(), "{text}");
    }
    assert!(Pkcs11Uri::parse("id=a?module-path=/a/b%20c%3f?|").is_ok());
}

#[test]
fn what_is_not_exactly_a_uri_of_a_key_is_refused() {
    for (text, wrong) in [
        ("", Wrong::Empty),
        ("?module-path=/x.so", Wrong::Empty),
        ("alice", Wrong::NoValue),
        ("object=a;", Wrong::NoValue),
        (";object=a", Wrong::NoValue),
        ("object=a?", Wrong::NoValue),
        ("object=a?module-path=/x.so&", Wrong::NoValue),
        ("object=", Wrong::EmptyValue("object")),
        ("token=;object=a", Wrong::EmptyValue("token")),
        ("object=a?module-path=", Wrong::EmptyValue("module-path")),
        ("objekt=a", Wrong::Unknown("objekt".to_owned())),
        ("Object=a", Wrong::Unknown("Object".to_owned())),
        (" object=a", Wrong::Unknown("object".to_owned())),
        ("x-vendor=a", Wrong::Unknown("x-vendor".to_owned())),
        ("%6fbject=a", Wrong::Unknown("6fbject".to_owned())),
        ("module-path=/x.so", Wrong::Unknown("module-path".to_owned())),
        ("pin-value=1234", Wrong::PinValue),
        ("object=a?token=b", Wrong::Unknown("token".to_owned())),
        ("object=a?pin-value=1234", Wrong::PinValue),
        ("object=a?pin-value", Wrong::NoValue),
        ("object=a?module-path=/x.so&pin-value=1234", Wrong::PinValue),
        ("object=a?pin-source=/pin", Wrong::Unsupported("pin-source")),
        ("object=a?module-name=x", Wrong::Unsupported("module-name")),
        ("object=a;library-version=2", Wrong::Unsupported("library-version")),
        ("object=a;slot-description=x", Wrong::Unsupported("slot-description")),
        ("object=a;object=b", Wrong::Twice("object")),
        ("object=a;token=b;object=a", Wrong::Twice("object")),
        ("object=a?module-path=/x&module-path=/y", Wrong::Twice("module-path")),
        ("object=a b", Wrong::Malformed("object")),
        ("object=ü", Wrong::Malformed("object")),
        ("object=a/b", Wrong::Malformed("object")),
        ("object=a#b", Wrong::Malformed("object")),
        ("object=a\"b", Wrong::Malformed("object")),
        ("object=%", Wrong::Malformed("object")),
        ("object=%4", Wrong::Malformed("object")),
        ("object=%4g", Wrong::Malformed("object")),
        ("object=%+1", Wrong::Malformed("object")),
        ("object=%ff", Wrong::Malformed("object")),
        ("object=a%00", Wrong::Malformed("object")),
        ("object=a?module-path=/x y", Wrong::Malformed("module-path")),
        ("slot-id=-1", Wrong::Malformed("slot-id")),
        ("slot-id=01", Wrong::Malformed("slot-id")),
        ("slot-id=+1", Wrong::Malformed("slot-id")),
        ("slot-id=0x1", Wrong::Malformed("slot-id")),
        ("slot-id=18446744073709551616", Wrong::Malformed("slot-id")),
        ("object=a;type=public", Wrong::NotPrivate),
        ("object=a;type=Private", Wrong::NotPrivate),
        ("object=a?module-path=x.so", Wrong::RelativeModule),
        ("object=a?module-path=./x.so", Wrong::RelativeModule),
        ("object=a?module-path=%2e/x.so", Wrong::RelativeModule),
    ] {
        let found = Pkcs11Uri::parse(text);
        assert_eq!(found.as_ref().err(), Some(&wrong), "{text:?}");
        assert!(!wrong.to_string().contains("1234"), "{wrong}");
    }
}
