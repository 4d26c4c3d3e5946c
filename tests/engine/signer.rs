//! Tests of the signer: covered components, added fields, and requests that it does not sign.

use std::sync::Arc;

use mcpid::base::Component;
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signed, Signer, SigningError};
use rand::rngs::SysRng;

use crate::fixtures::{CREATED, key, time};

const URL: &str = "https://mcp.example.com/mcp?b=%2F";

fn head(fields: &[(&'static str, &'static str)]) -> Head<'static> {
    let mut head = Head::new("POST", RequestTarget::from_url(URL).unwrap()).unwrap();
    for (name, value) in fields {
        head.push(*name, value.as_bytes()).unwrap();
    }
    head
}

fn signer() -> Signer {
    Signer::new(Arc::new(key(b'a')), &Profile::mcp()).unwrap()
}

fn nonce() -> Nonce {
    Nonce::generate(&mut SysRng).unwrap()
}

fn sign(signer: &Signer, head: &Head<'_>) -> Result<Signed, SigningError> {
    signer.sign(head, &Origins::unknown(), b"{}", time(CREATED), &nonce())
}

/// Returns the head of the request with the signature, as a client sends it.
fn carrying(signed: &Signed) -> Head<'static> {
    let mut head = head(&[]);
    for (name, value) in signed.headers() {
        head.push(name.to_owned(), value.as_bytes().to_vec()).unwrap();
    }
    head
}

#[test]
fn the_components_come_in_the_order_of_the_profile() {
    let carried = head(&[
        ("last-event-id", "7"),
        ("mcp-param-b", "2"),
        ("authorization", "Bearer secret"),
        ("mcp-name", "x"),
        ("mcp-param-a", "1"),
        ("mcp-param-b", "3"),
        ("mcp-method", "tools/call"),
        ("mcp-session-id", "s"),
        ("mcp-protocol-version", "2026-07-28"),
        ("content-type", "application/json"),
        ("cookie", "c=1"),
        ("dpop", "p"),
    ]);
    let signed = sign(&signer(), &carried).unwrap();
    let covered = "\"@method\" \"@target-uri\" \"content-digest\" \"content-type\" \
        \"mcp-protocol-version\" \"mcp-session-id\" \"mcp-method\" \"mcp-name\" \"mcp-param-a\" \
        \"mcp-param-b\" \"last-event-id\"";
    assert_eq!(signed.covered.join(" "), covered);
    assert!(!signed.base.contains("secret"), "{}", signed.base);
    assert!(signed.base.contains("\"@target-uri\": https://mcp.example.com/mcp?b=%2F\n"));
}

#[test]
fn the_parameters_come_in_one_order_and_say_no_algorithm() {
    let signed = sign(&signer().with_client_id("laptop"), &head(&[])).unwrap();
    let (nonce, keyid) = (signed.nonce.as_deref().unwrap(), &signed.keyid);
    let expected = format!(
        "mcp=(\"@method\" \"@target-uri\" \"content-digest\");created={CREATED};expires={};\
         nonce=\"{nonce}\";keyid=\"{keyid}\";tag=\"laptop\"",
        CREATED + 30
    );
    assert_eq!(signed.signature_input, expected);
    assert_eq!((nonce.len(), keyid.len()), (22, 43));
    let without = sign(&signer().with_ttl(None), &head(&[])).unwrap();
    assert!(!without.signature_input.contains("expires"), "{}", without.signature_input);
}

#[test]
fn components_are_added_and_left_out_as_asked_and_never_twice() {
    let add = |text| Component::parse(text).unwrap().into_owned();
    let signer = signer()
        .cover(add("x-trace"))
        .cover(add("@method"))
        .cover(add("\"@query-param\";name=\"b\""))
        .no_cover(add("content-type"));
    let head = head(&[("content-type", "text/plain"), ("x-trace", "1")]);
    let expected = "\"@method\" \"@target-uri\" \"content-digest\" \"x-trace\" \
        \"@query-param\";name=\"b\"";
    assert_eq!(sign(&signer, &head).unwrap().covered.join(" "), expected);
}

#[test]
fn a_second_signature_of_one_key_shares_the_nonce_of_the_first() {
    let first = sign(&signer(), &head(&[])).unwrap();
    let second = sign(&signer().with_label("two"), &carrying(&first)).unwrap();
    assert_eq!(second.nonce, first.nonce);
    assert!(second.content_digest.is_none(), "it was there already");
    assert!(second.signature_input.starts_with(&first.signature_input), "the first stays");
    // A signature by another key does not get the nonce of the first one.
    let other = Signer::new(Arc::new(key(b'b')), &Profile::mcp()).unwrap().with_label("two");
    assert_ne!(sign(&other, &carrying(&first)).unwrap().nonce, first.nonce);
}

#[test]
fn a_planted_signature_does_not_choose_the_nonce() {
    let first = sign(&signer(), &head(&[])).unwrap();
    // Forged signatures that name the signer's own key: with one changed bit, with another nonce,
    // or with another time.
    let planted = [
        first.signature_input.replace(first.nonce.as_deref().unwrap(), "AAAAAAAAAAAAAAAAAAAAAA"),
        first.signature_input.replace(&CREATED.to_string(), &(CREATED + 1).to_string()),
    ];
    for input in planted {
        let mut forged = first.clone();
        forged.signature_input = input;
        let mut carried = carrying(&forged);
        carried.push("x-other", b"1".as_slice()).unwrap();
        let signed = sign(&signer().with_label("two"), &carried).unwrap();
        assert_ne!(signed.nonce, first.nonce);
        assert_ne!(signed.nonce.as_deref(), Some("AAAAAAAAAAAAAAAAAAAAAA"));
    }
}

#[test]
fn a_label_that_is_taken_is_refused_or_replaced() {
    let first = sign(&signer(), &head(&[])).unwrap();
    let again = sign(&signer(), &carrying(&first)).unwrap_err();
    assert!(matches!(again, SigningError::Add(_)), "{again}");
    let replaced = sign(&signer().replacing(), &carrying(&first)).unwrap();
    assert_eq!(replaced.signature_input.matches("mcp=").count(), 1);
    assert_ne!(replaced.nonce, first.nonce, "what is replaced has no say");
}

#[test]
fn requests_that_every_verifier_would_refuse_are_not_signed() {
    for (name, value) in [
        ("content-digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"),
        ("content-digest", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"),
        ("content-digest", "sha-256=RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o="),
    ] {
        let refused = sign(&signer(), &head(&[(name, value)])).unwrap_err();
        assert!(matches!(refused, SigningError::Digest(_)), "{value}: {refused}");
    }
    let absent = signer().cover(Component::parse("x-absent").unwrap());
    assert!(matches!(sign(&absent, &head(&[])), Err(SigningError::Base(_))));
    let strange = head(&[("host", "other.example")]);
    assert!(matches!(sign(&signer(), &strange), Err(SigningError::Target(_))));
    let tag = signer().with_client_id("naïve");
    assert!(matches!(sign(&tag, &head(&[])), Err(SigningError::Params(_))));
    let broken = head(&[("signature-input", "mcp=("), ("signature", "mcp=:AA==:")]);
    assert!(matches!(sign(&signer(), &broken), Err(SigningError::Present(_))));
}
