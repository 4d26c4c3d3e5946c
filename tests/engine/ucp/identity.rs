//! Tests of the signer's identity: the field `UCP-Agent`, the tag, and the name of the key.

use mcpid::key::Sign as _;
use mcpid::verify::Code;
use serde_json::json;

use super::{KID, PROFILE_URL, input, judge, platform, refused, signed, unsigned};
use crate::fixtures::{CREATED, Call, Input, Judge, key};

#[test]
fn the_agent_must_be_one_of_the_clients_of_the_key() {
    let of = |agent: &str| {
        signed(
            |c| {
                c.set("ucp-agent", agent);
            },
            |_| (),
        )
    };
    for other in [
        "profile=\"https://evil.example/.well-known/ucp\"",
        "profile=\"https://platform.example/.well-known/ucp/\"",
        "profile=\"https://PLATFORM.example/.well-known/ucp\"",
        "profile=\"https://platform.example/.well-known/ucp?a\"",
    ] {
        let refusal = judge().refuses(&of(other));
        assert_eq!((refusal.step().number(), refusal.code()), (7, Code::TagMismatch), "{other}");
        // Only a client with a valid signature may learn this code.
        assert_eq!(refusal.public_code(), Code::TagMismatch);
    }
    // The field names no client, so the signature is ignored and the request counts as unsigned.
    for unread in [
        "profile=\"http://platform.example/.well-known/ucp\"",
        "profile=\"HTTPS://platform.example/.well-known/ucp\"",
        "profile=platform",
        "profile",
        "profile=(\"https://platform.example/.well-known/ucp\")",
        "other=\"https://platform.example/.well-known/ucp\"",
        "https://platform.example/.well-known/ucp",
        &format!("profile=\"{PROFILE_URL}\", profile=\"{PROFILE_URL}\""),
        &format!("profile=\"{PROFILE_URL}\","),
        "",
    ] {
        assert_eq!(refused(&of(unread)), (2, Code::SignatureMissing), "{unread}");
    }
    let without = signed(
        |c| {
            c.remove("ucp-agent");
        },
        |_| (),
    );
    assert_eq!(refused(&without), (2, Code::SignatureMissing));
    // A tag cannot replace the client in the field `UCP-Agent`.
    let mut untied = platform();
    untied["mcpid"]["client_ids"] = json!(["web-bot-auth"]);
    let judge = judge().trusting(vec![untied]);
    assert_eq!(judge.refusal(&signed(|_| (), |_| ())), (7, Code::TagMismatch));
}

#[test]
fn a_signature_with_another_tag_is_not_read() {
    let tagged = |tag: &str| {
        signed(
            |_| (),
            |i| {
                i.set("tag", format!("\"{tag}\""));
            },
        )
    };
    for other in ["", "ucp", "web-bot-auth ", "Web-Bot-Auth", "adcp/request-signing/v1", KID] {
        assert_eq!(refused(&tagged(other)), (2, Code::SignatureMissing), "{other:?}");
    }
    let wrong_type = signed(
        |_| (),
        |i| {
            i.set("tag", "web-bot-auth");
        },
    );
    assert_eq!(refused(&wrong_type), (4, Code::ParameterInvalid));
    // The signature with another tag is ignored, because there is a second signature for this
    // profile.
    let mut both = tagged("other");
    both.sign(&key(1), "sig2", &input(&unsigned()));
    assert_eq!(judge().accepts(&both).label(), "sig2");
}

#[test]
fn the_shape_of_web_bot_auth_names_the_key_by_thumbprint_and_its_own_member() {
    let id = key(1).public().id().to_string();
    let agent = format!("sig1=\"{PROFILE_URL}\";type=jwks_uri");
    let bot = |component: &str, keyid: &str| {
        let request = |c: &mut Call| {
            c.push("signature-agent", &agent);
        };
        signed(request, |i| {
            i.recover("signature-agent", component);
            i.set("keyid", format!("\"{keyid}\"")).set("expires", CREATED + 60);
            i.set("tag", "\"web-bot-auth\"");
        })
    };
    for component in ["\"signature-agent\"", "\"signature-agent\";key=\"sig1\""] {
        assert_eq!(judge().accepts(&bot(component, &id)).tag(), Some("web-bot-auth"));
        let by_kid = judge().refuses(&bot(component, KID));
        assert_eq!((by_kid.step().number(), by_kid.code()), (7, Code::KeyUnknown));
        assert!(by_kid.message().contains("thumbprint"), "{by_kid}");
    }
    let mut other = bot("\"signature-agent\"", &id);
    let mut input = input(&unsigned());
    input.components.push("\"signature-agent\";key=\"sig1\"".into());
    other.sign(&key(1), "sig2", &input);
    other.remove("signature-input").remove("signature");
    other.sign(&key(1), "sig2", &input);
    assert_eq!(refused(&other), (6, Code::CoverageInsufficient), "the member of another label");
    // `UCP-Agent` has to be covered as a whole: only `Signature-Agent` may be covered by one
    // member.
    let part = signed(
        |_| (),
        |i| {
            i.recover("ucp-agent", "\"ucp-agent\";key=\"profile\"");
        },
    );
    assert_eq!(refused(&part), (6, Code::CoverageInsufficient));
}

#[test]
fn a_kid_under_a_profile_of_thumbprints_is_reported_only_to_the_operator() {
    let mut call = Call::unsigned();
    let mut input = Input::of(&call, &key(1));
    input.set("keyid", format!("\"{KID}\""));
    call.sign(&key(1), "mcp", &input);
    let refusal = Judge::mcp().trusting(vec![platform()]).refuses(&call);
    assert_eq!((refusal.code(), refusal.public_code()), (Code::KeyUnknown, Code::KeyUnknown));
    assert!(refusal.message().contains("the kid of a trusted key"), "{refusal}");
    let id = key(1).public().id().to_string();
    assert!(refusal.details().contains(&("thumbprint", id)), "{:?}", refusal.details());
    let unknown = Judge::mcp().refuses(&call);
    assert!(!unknown.message().contains("kid"), "{unknown}");
}

#[test]
fn a_signature_is_compared_with_every_profile() {
    use mcpid::base::header;
    use mcpid::verify::profile_fit;
    let lacks = |call: &Call, name: &str| {
        let head = call.head();
        let candidates = header::read(&head).unwrap();
        let params = candidates[0].params.as_ref().unwrap();
        let fits = profile_fit::profiles((&head, !call.body.is_empty()), ("sig1", params));
        fits.iter().find(|fit| fit.profile == name).unwrap().lacks.join(" ")
    };
    let checkout = signed(|_| (), |_| ());
    for (name, expected) in [
        ("ucp", ""),
        ("rfc9421", ""),
        ("mcp", "@target-uri nonce tag"),
        ("sep2752", "@target-uri nonce tag"),
        ("adcp", "@target-uri expires nonce alg tag"),
    ] {
        assert_eq!(lacks(&checkout, name), expected, "{name}");
    }
    let anonymous = signed(|c| _ = c.remove("ucp-agent"), |_| ());
    assert!(lacks(&anonymous, "ucp").contains("no ucp-agent"), "{}", lacks(&anonymous, "ucp"));
    assert_eq!(lacks(&Call::signed(), "mcp"), "");
}
