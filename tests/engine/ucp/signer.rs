//! Tests of the signatures that a signer sends under the profile `ucp`, and of their verification.

use std::sync::Arc;

use mcpid::base::Component;
use mcpid::message::RequestTarget;
use mcpid::message::target::Origins;
use mcpid::profile::{Profile, SentParameter};
use mcpid::sign::{Nonce, Signed, Signer, SigningError};
use proptest::prelude::*;
use rand::rngs::SysRng;

use super::{CHECKOUT, KID, PROFILE_URL, judge, unsigned};
use crate::fixtures::{CREATED, Call, key, time};
use mcpid::key::Sign as _;

fn signer() -> Signer {
    let signer = Signer::new(Arc::new(key(1)), &Profile::ucp()).unwrap();
    signer.with_keyid(KID).unwrap()
}

fn sign(signer: &Signer, call: &Call) -> Result<Signed, SigningError> {
    let nonce = Nonce::generate(&mut SysRng).unwrap();
    signer.sign(&call.head(), &Origins::unknown(), &call.body, time(CREATED), &nonce)
}

/// Returns the request with the signature fields added.
fn carrying(call: &Call, signed: &Signed) -> Call {
    let mut call = call.clone();
    for (name, value) in signed.headers() {
        call.push(&name.to_ascii_lowercase(), value);
    }
    call
}

#[test]
fn the_signer_sends_the_components_of_the_documents() {
    let mut call = unsigned();
    call.remove("content-digest");
    let signed = sign(&signer(), &call).unwrap();
    assert_eq!(
        signed.signature_input,
        "sig1=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\" \"content-type\" \
         \"ucp-agent\" \"idempotency-key\");created=1795392000;keyid=\"platform-2026\""
    );
    assert_eq!((signed.nonce.clone(), signed.tag.clone()), (None, None));
    assert_eq!(signed.keyid, KID);
    let carried = carrying(&call, &signed);
    assert_eq!(
        carried.get("content-digest"),
        mcpid::message::digest::content_digest(CHECKOUT.as_bytes())
    );
    judge().accepts(&carried);
}

#[test]
fn a_request_without_a_body_gets_no_digest() {
    let mut call = unsigned();
    super::empty(&mut call);
    let signed = sign(&signer(), &call).unwrap();
    assert_eq!(signed.content_digest, None);
    assert!(!signed.signature_input.contains("content"), "{}", signed.signature_input);
    judge().accepts(&carrying(&call, &signed));
    // With the default profile, the signer adds a digest.
    let mcp = Signer::new(Arc::new(key(1)), &Profile::mcp()).unwrap();
    assert!(sign(&mcp, &call).unwrap().content_digest.is_some());
}

#[test]
fn the_tag_of_web_bot_auth_changes_the_sent_parameters() {
    let id = key(1).public().id().to_string();
    let mut call = unsigned();
    call.push("signature-agent", &format!("sig1=\"{PROFILE_URL}\";type=jwks_uri"));
    let bot = Signer::new(Arc::new(key(1)), &Profile::ucp()).unwrap();
    let bot = bot.with_client_id("web-bot-auth").with_ttl(Some(60));
    let signed = sign(&bot, &call).unwrap();
    assert!(signed.covered.contains(&"\"signature-agent\";key=\"sig1\"".to_owned()));
    let end = format!(";created=1795392000;expires=1795392060;keyid=\"{id}\";tag=\"web-bot-auth\"");
    assert!(signed.signature_input.ends_with(&end), "{}", signed.signature_input);
    judge().accepts(&carrying(&call, &signed));
    // The signer refuses this, because a verifier would not find the key or would ignore the
    // signature.
    let by_kid = sign(&signer().with_client_id("web-bot-auth"), &call).unwrap_err();
    assert!(matches!(by_kid, SigningError::KeyId(_)), "{by_kid}");
    let other = sign(&signer().with_client_id("alice-laptop"), &call).unwrap_err();
    assert!(matches!(other, SigningError::Tag(_)), "{other}");
}

#[test]
fn a_kid_is_sent_only_where_keys_are_looked_up_by_kid() {
    for row in Profile::NAMED {
        let profile = row.profile();
        let with = |kid: &str| {
            let signer = Signer::new(Arc::new(key(1)), &profile).unwrap();
            signer.with_keyid(kid).err().map(|error| error.to_string())
        };
        let by_kid = profile.key_lookup != mcpid::profile::KeyLookup::Thumbprint;
        assert_eq!(with(KID).is_none(), by_kid, "{}", row.name);
        for bad in ["", "k\n", "käy", &"k".repeat(257)] {
            assert!(with(bad).is_some(), "{}: {bad:?}", row.name);
        }
    }
}

#[test]
fn the_rows_list_sent_parameters_in_the_order_in_which_they_are_written() {
    for row in Profile::NAMED {
        let profile = row.profile();
        assert!(profile.sent_parameters.is_sorted(), "{}", row.name);
        assert!(profile.sends(SentParameter::KeyId), "{}", row.name);
        assert_eq!(profile.name, row.name);
    }
}

#[test]
fn the_digest_of_the_request_must_be_one_that_counts() {
    let mut call = unsigned();
    let long = "sha-512=:z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==:";
    call.set("content-digest", long);
    assert!(matches!(sign(&signer(), &call), Err(SigningError::Digest(_))));
}

proptest! {
    /// Every signed request is accepted. If one byte of the body is changed, it is refused.
    #[test]
    fn every_signed_request_is_verified(
        method in "[A-Z]{3,7}",
        target in "/[a-z0-9/]{0,12}(\\?[a-z=&%0-9]{0,8})?",
        body in proptest::collection::vec(any::<u8>(), 0..64),
        extra in proptest::option::of("[!-~]{1,20}"),
        covered in any::<bool>(),
        at in any::<usize>(),
    ) {
        let mut call = unsigned();
        call.method = method;
        call.target = RequestTarget::Origin(target.into());
        call.body = body;
        call.remove("content-digest").remove("content-length");
        if let Some(extra) = &extra {
            call.push("signature-agent", extra);
        }
        let mut signer = signer();
        if covered {
            signer = signer.cover(Component::new("host").unwrap());
        }
        let signed = sign(&signer, &call).unwrap();
        let mut call = carrying(&call, &signed);
        judge().accepts(&call);
        if !call.body.is_empty() {
            let at = at % call.body.len();
            call.body[at] ^= 1;
            judge().refuses(&call);
        }
    }
}
