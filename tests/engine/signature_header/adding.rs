//! Tests of adding a signature, and of `Accept-Signature`.

use mcpid::base::accept::{self, RequestedParameters};
use mcpid::base::header::{self, AddError, HeaderError, LabelConflict};
use mcpid::base::{Component, Param, SignatureParams, StatedParameters};
use mcpid::message::Head;

use super::{request, signed};

fn params() -> SignatureParams<'static> {
    let claims = StatedParameters { created: Some(7), ..StatedParameters::default() };
    SignatureParams::for_signing(vec![Component::parse("@method").unwrap()], &claims).unwrap()
}

#[test]
fn a_signature_is_added_after_existing_signatures() {
    let refuse = LabelConflict::Refuse;
    let added = header::add(&request(&[]), "mcp", &params(), &[1, 2], refuse).unwrap();
    assert_eq!(added.signature_input, "mcp=(\"@method\");created=7");
    assert_eq!(added.signature, "mcp=:AQI=:");

    // The existing signatures stay byte for byte as they are, even in unusual spelling.
    let head = request(&[
        ("Signature-Input", b" b=( \"date\" );x ,c=();y"),
        ("Signature", b"c=:AA:;q"),
        ("Signature", b"b=:AQ==:"),
    ]);
    let added = header::add(&head, "mcp", &params(), &[1, 2], refuse).unwrap();
    assert_eq!(added.signature_input, "b=( \"date\" );x, c=();y, mcp=(\"@method\");created=7");
    assert_eq!(added.signature, "c=:AA:;q, b=:AQ==:, mcp=:AQI=:");
    let added = header::add(&head, "b", &params(), &[1, 2], LabelConflict::Replace).unwrap();
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
    assert_eq!(add(&head, "mcp", LabelConflict::Refuse), taken);
    let half = request(&[("Signature", b"mcp=:AQ==:")]);
    assert_eq!(add(&half, "mcp", LabelConflict::Refuse), taken);
    assert!(header::add(&half, "mcp", &params(), &[1], LabelConflict::Replace).is_ok());
    assert!(matches!(
        add(&half, "a", LabelConflict::Replace),
        AddError::Header(HeaderError::Unpaired { missing: "signature-input", .. })
    ));
    let twice = signed("a=(), a=()", "a=:AQ==:");
    for existing in [LabelConflict::Refuse, LabelConflict::Replace] {
        assert!(matches!(add(&twice, "mcp", existing), AddError::Header(_)));
        for label in ["", "Mcp", "a b", "1", "a=b", "\u{e9}"] {
            assert!(matches!(add(&head, label, existing), AddError::Unwritable { .. }), "{label}");
        }
    }
}

#[test]
fn accept_signature_follows_section_5_1() {
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
