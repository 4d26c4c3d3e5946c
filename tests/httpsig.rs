//! Tests with the crate `httpsig`, an independent implementation. It parses the parameters of a
//! signature and writes them in its own order: created, expires, nonce, alg, keyid, tag. `Signer`
//! must write them in this order too, or every server that uses the crate would refuse the
//! signature.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use httpsig::prelude::message_component::HttpMessageComponent;
use httpsig::prelude::{
    AlgorithmName, HttpSignatureBase, HttpSignatureHeaders, HttpSignatureHeadersMap, PublicKey,
};
use mcpid::clock::{Clock, SystemClock};
use mcpid::key::{SecretKey, Sign};
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signed, Signer};

const BODY: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn head() -> Head<'static> {
    let target = RequestTarget::from_url("https://mcp.example.com/a%2Fb?c=d").unwrap();
    let mut head = Head::new("POST", target).unwrap();
    head.push("Content-Type", b"application/json").unwrap();
    head.push("MCP-Protocol-Version", b"2026-07-28").unwrap();
    head
}

fn signed(key: &Arc<SecretKey>, profile: &Profile) -> Signed {
    let signer = Signer::new(Arc::clone(key) as Arc<dyn Sign>, profile).unwrap();
    let nonce = Nonce::generate(&mut rand::rngs::SysRng).unwrap();
    signer.sign(&head(), &Origins::default(), BODY, SystemClock.now(), &nonce).unwrap()
}

fn parsed(signed: &Signed) -> HttpSignatureHeadersMap {
    HttpSignatureHeaders::try_parse(&signed.signature, &signed.signature_input).unwrap()
}

/// Returns the signature base of our request as the crate httpsig builds it. The values are those
/// that a server receives. The crate's own parser supplies the covered components and the
/// parameters.
fn their_base(lines: &[String], headers: &HttpSignatureHeaders) -> HttpSignatureBase {
    let params = headers.signature_params();
    let covered = params.covered_components.iter().map(|id| {
        let line = lines.iter().find(|line| line.starts_with(&format!("{id}: ")));
        HttpMessageComponent::try_from(line.unwrap().as_str()).unwrap()
    });
    HttpSignatureBase::try_new(&covered.collect::<Vec<_>>(), params).unwrap()
}

fn component_lines(signed: &Signed) -> Vec<String> {
    let digest = signed.content_digest.as_deref().unwrap();
    [
        "\"@method\": POST".to_owned(),
        "\"@target-uri\": https://mcp.example.com/a%2Fb?c=d".to_owned(),
        format!("\"content-digest\": {digest}"),
        "\"content-type\": application/json".to_owned(),
        "\"mcp-protocol-version\": 2026-07-28".to_owned(),
    ]
    .into()
}

#[test]
fn httpsig_accepts_our_order_of_parameters() {
    for profile in [Profile::mcp(), Profile::sep2752(), Profile::rfc9421()] {
        let key = Arc::new(SecretKey::generate(&mut rand::rngs::SysRng).unwrap());
        let ours = signed(&key, &profile);
        let headers = parsed(&ours);
        let (label, theirs) = headers.first().unwrap();
        assert_eq!((label.as_str(), headers.len()), ("mcp", 1));

        // The crate writes the same `Signature-Input` field as `Signer`, so the order of the
        // parameters is the same.
        assert_eq!(theirs.signature_input_header_value(), ours.signature_input);
        let base = their_base(&component_lines(&ours), theirs);
        assert_eq!(base.as_bytes(), ours.base.as_bytes(), "{}", profile.name);

        let public =
            PublicKey::from_bytes(&AlgorithmName::Ed25519, key.public().as_bytes()).unwrap();
        base.verify_signature_headers(&public, theirs).unwrap();
        assert_eq!(base.keyid(), Some(key.public().id().as_str()));
    }
}

#[test]
fn httpsig_refuses_our_signature_after_any_change() {
    let key = Arc::new(SecretKey::generate(&mut rand::rngs::SysRng).unwrap());
    let other = SecretKey::generate(&mut rand::rngs::SysRng).unwrap();
    let ours = signed(&key, &Profile::mcp());
    let headers = parsed(&ours);
    let theirs = headers.first().unwrap().1;
    let public = PublicKey::from_bytes(&AlgorithmName::Ed25519, key.public().as_bytes()).unwrap();
    let stranger =
        PublicKey::from_bytes(&AlgorithmName::Ed25519, other.public().as_bytes()).unwrap();

    let lines = component_lines(&ours);
    assert!(their_base(&lines, theirs).verify_signature_headers(&public, theirs).is_ok());
    assert!(their_base(&lines, theirs).verify_signature_headers(&stranger, theirs).is_err());
    for index in 0..lines.len() {
        let mut changed = lines.clone();
        changed[index].push('x');
        let base = their_base(&changed, theirs);
        assert!(base.verify_signature_headers(&public, theirs).is_err(), "{}", changed[index]);
    }
}

/// Both implementations make and accept a signature in the form `r ‖ s`. Both refuse one by another
/// key or over another message.
#[cfg(feature = "p256")]
#[test]
fn p256_signatures_pass_between_httpsig_and_mcpid() {
    use httpsig::prelude::{SecretKey as TheirSecretKey, SigningKey as _};

    let fresh = || SecretKey::generate_p256(&mut rand::rngs::SysRng).unwrap();
    let (key, other) = (Arc::new(fresh()), fresh());
    let ours = signed(&key, &Profile::rfc9421());
    let headers = parsed(&ours);
    let theirs = headers.first().unwrap().1;
    let public = |key: &SecretKey| {
        PublicKey::from_bytes(&AlgorithmName::EcdsaP256Sha256, key.public().as_bytes()).unwrap()
    };
    let lines = component_lines(&ours);
    their_base(&lines, theirs).verify_signature_headers(&public(&key), theirs).unwrap();
    assert!(their_base(&lines, theirs).verify_signature_headers(&public(&other), theirs).is_err());
    for index in 0..lines.len() {
        let mut changed = lines.clone();
        changed[index].push('x');
        let base = their_base(&changed, theirs);
        assert!(
            base.verify_signature_headers(&public(&key), theirs).is_err(),
            "{}",
            changed[index]
        );
    }
    let scalar = b"2 scalar that no publication has";
    let secret = TheirSecretKey::from_bytes(&AlgorithmName::EcdsaP256Sha256, scalar).unwrap();
    let signature: [u8; 64] = secret.sign(ours.base.as_bytes()).unwrap().try_into().unwrap();
    let own = SecretKey::from_p256_scalar(scalar).unwrap();
    own.public().verify_strict(ours.base.as_bytes(), &signature).unwrap();
    assert!(own.public().verify_strict(BODY, &signature).is_err());
    assert!(key.public().verify_strict(ours.base.as_bytes(), &signature).is_err());
}
