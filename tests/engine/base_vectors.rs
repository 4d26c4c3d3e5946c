//! Tests of whole signature bases: our own vectors, and RFC 9421 appendix B with its
//! transformations.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpid::base::header::{self, Candidate};
use mcpid::base::signature_base;
use mcpid::key::PublicKey;
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use serde_json::Value;

use crate::structured::cases::vectors;

/// The public half of test-key-ed25519, RFC 9421 B.1.4. Its private half is published too, so it is
/// for tests only.
const B_1_4: &str = "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs";

fn test_key() -> PublicKey {
    let bytes = URL_SAFE_NO_PAD.decode(B_1_4).unwrap();
    PublicKey::from_bytes(&bytes.try_into().unwrap()).unwrap()
}

fn request<'a>(
    method: &'a str,
    target: &'a str,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Head<'a> {
    let target = if target.starts_with('/') {
        RequestTarget::Origin(target.into())
    } else {
        RequestTarget::Absolute(target.into())
    };
    let mut head = Head::new(method, target).unwrap();
    for (name, value) in fields {
        head.push(name, value.as_bytes()).unwrap();
    }
    head
}

fn base_of(head: &Head<'_>, candidate: &Candidate<'_>) -> Result<String, String> {
    let origins = Origins::unknown();
    let target = origins.resolve(head).map_err(|e| e.to_string())?;
    let params = candidate.params.as_ref().map_err(ToString::to_string)?;
    signature_base(params, head, &target).map_err(|error| error.to_string())
}

/// Returns true if the only signature of `head` is valid under the RFC's test key.
fn holds(head: &Head<'_>) -> bool {
    let Ok(candidates) = header::read(head) else { return false };
    let [candidate] = &candidates[..] else { return false };
    let Ok(base) = base_of(head, candidate) else { return false };
    let Ok(signature) = candidate.signature.clone() else { return false };
    let Ok(signature) = signature.try_into() else { return false };
    test_key().verify_strict(base.as_bytes(), &signature).is_ok()
}

#[test]
fn the_bases_of_our_own_vectors_are_reproduced() {
    let file = include_str!("../vectors/mcp-profile.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let mut bases = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let fields = vector["headers"].as_object().unwrap();
        let head = request(
            vector["method"].as_str().unwrap(),
            vector["target_uri"].as_str().unwrap(),
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())),
        );
        let candidates = header::read(&head).unwrap();
        assert_eq!(candidates.len(), vector["bases"].as_object().unwrap().len());
        for candidate in &candidates {
            let base = base_of(&head, candidate).unwrap();
            assert_eq!(base, vector["bases"][candidate.label.as_ref()].as_str().unwrap());
            let signature = candidate.signature.clone().unwrap().try_into().unwrap();
            assert_eq!(test_key().verify_strict(base.as_bytes(), &signature), Ok(()));
            bases += 1;
        }
    }
    assert_eq!(bases, 4);
}

/// The request of RFC 9421 appendix B.2, copied from the RFC.
const TEST_REQUEST: &[(&str, &str)] = &[
    ("Host", "example.com"),
    ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
    ("Content-Type", "application/json"),
    (
        "Content-Digest",
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
    ),
    ("Content-Length", "18"),
];
const TEST_TARGET: &str = "/foo?param=Value&Pet=dog";

/// The vector of RFC 9421 appendix B.2.6.
const B_2_6_INPUT: &str = "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"";
const B_2_6_SIGNATURE: &str = "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:";

fn signed_test_request<'a>(input: &'a str, signature: &'a str) -> Head<'a> {
    let added = [("Signature-Input", input), ("Signature", signature)];
    request("POST", TEST_TARGET, TEST_REQUEST.iter().copied().chain(added))
}

#[test]
fn appendix_b_2_6_holds_and_its_base_is_the_rfcs() {
    let head = signed_test_request(B_2_6_INPUT, B_2_6_SIGNATURE);
    let candidates = header::read(&head).unwrap();
    assert_eq!(
        base_of(&head, &candidates[0]).unwrap(),
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\
         \"@method\": POST\n\
         \"@path\": /foo\n\
         \"@authority\": example.com\n\
         \"content-type\": application/json\n\
         \"content-length\": 18\n\
         \"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \
         \"content-length\");created=1618884473;keyid=\"test-key-ed25519\""
    );
    assert!(holds(&head));
}

/// All changes only respell the signature parameters. The signature then is invalid, because the
/// parameters are signed as they were written; implementations that parse and rewrite them would
/// accept some.
#[test]
fn parameters_are_covered_as_they_were_written() {
    let input = |from: &str, to: &str| {
        let changed = B_2_6_INPUT.replace(from, to);
        assert_ne!(changed, B_2_6_INPUT);
        changed
    };
    for changed in [
        input(
            ";created=1618884473;keyid=\"test-key-ed25519\"",
            ";keyid=\"test-key-ed25519\";created=1618884473",
        ),
        input(";created", ";x=1;created"),
        input("ed25519\"", "ed25519\";x"),
        input("ed25519\"", "ed25519\";alg=\"ed25519\""),
        input("ed25519\"", "ed25519\";expires=9999999999"),
        input(";keyid=\"test-key-ed25519\"", ""),
        input("=1618884473", "=1618884474"),
        input("=1618884473", "=\"1618884473\""),
        input("=1618884473", "=1618884473.0"),
        input("=1618884473", "=@1618884473"),
        input("\"test-key-ed25519\"", "test-key-ed25519"),
        input("(\"date\"", "(\"date\" \"date\""),
        input("(\"date\"", "(\"date\";bs"),
        input("\"content-type\" \"content-length\"", "\"content-length\" \"content-type\""),
        input("(\"date\" ", "("),
        input("\"content-length\")", "\"content-length\" \"content-digest\")"),
    ] {
        assert!(!holds(&signed_test_request(&changed, B_2_6_SIGNATURE)), "{changed}");
    }
    // Each change writes the same value with other white space or a leading zero, which the parser
    // of RFC 9651 section 4.2 allows. The signature base does not change.
    for same in [
        input("(\"date\" ", "(  \"date\"   "),
        input(";created", "; created"),
        input(";keyid", ";  keyid"),
        input("=1618884473", "=01618884473"),
    ] {
        assert!(holds(&signed_test_request(&same, B_2_6_SIGNATURE)), "{same}");
    }
}

/// The components that are signed in RFC 9421 appendix B.4, and their values.
const B_4_SIGNED: &[(&str, &str)] = &[
    (
        "Signature-Input",
        "transform=(\"@method\" \"@path\" \"@authority\" \"accept\");created=1618884473;keyid=\"test-key-ed25519\"",
    ),
    (
        "Signature",
        "transform=:ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==:",
    ),
];
const B_4_TARGET: &str = "/demo?name1=Value1&Name2=value2";
const DATE: (&str, &str) = ("Date", "Fri, 15 Jul 2022 14:24:55 GMT");
const HOST: (&str, &str) = ("Host", "example.org");
const JSON: (&str, &str) = ("Accept", "application/json");
const ANY: (&str, &str) = ("Accept", "*/*");

fn transformed<'a>(method: &'a str, target: &'a str, fields: &[(&'a str, &'a str)]) -> Head<'a> {
    request(method, target, fields.iter().chain(B_4_SIGNED).copied())
}

#[test]
fn appendix_b_4_transformations_that_hold() {
    let language = ("Accept-Language", "en-US,en;q=0.5");
    let referer = ("Referer", "https://developer.example.org/demo");
    let both = ("Accept", "application/json, */*");
    let added = "/demo?name1=Value1&Name2=value2&param=added";
    for head in [
        transformed("GET", B_4_TARGET, &[HOST, DATE, JSON, ANY]),
        // The request gets an additional query parameter and an additional field. The signature
        // stays valid.
        transformed("GET", added, &[HOST, DATE, JSON, ANY, language]),
        // One field is removed, another one is added, and two lines of one field are joined. The
        // signature stays valid.
        transformed("GET", B_4_TARGET, &[HOST, referer, both]),
        // Fields with different names change their order. The signature stays valid.
        transformed("GET", B_4_TARGET, &[JSON, DATE, HOST, ANY]),
        transformed("GET", "https://example.org/demo", &[HOST, JSON, ANY]),
        transformed("GET", "/demo", &[("host", "EXAMPLE.org:443"), JSON, ("aCCept", " */*\t")]),
    ] {
        assert!(holds(&head), "{head:?}");
    }
}

#[test]
fn appendix_b_4_transformations_that_do_not_hold() {
    let other = ("Host", "example.com");
    for head in [
        // The two changes of RFC 9421 appendix B.4 that break the signature: another method and
        // authority, and two lines of the same field in the other order.
        transformed("POST", B_4_TARGET, &[other, DATE, JSON, ANY]),
        transformed("GET", B_4_TARGET, &[HOST, DATE, ANY, JSON]),
        transformed("POST", B_4_TARGET, &[HOST, DATE, JSON, ANY]),
        transformed("get", B_4_TARGET, &[HOST, DATE, JSON, ANY]),
        transformed("GET", B_4_TARGET, &[other, DATE, JSON, ANY]),
        transformed("GET", "/demo/?name1=Value1", &[HOST, DATE, JSON, ANY]),
        transformed("GET", "/dem%6f?name1=Value1", &[HOST, DATE, JSON, ANY]),
        transformed("GET", B_4_TARGET, &[HOST, DATE, JSON]),
        transformed("GET", B_4_TARGET, &[HOST, DATE, JSON, ANY, ANY]),
        transformed("GET", B_4_TARGET, &[HOST, DATE, ("Accept", "application/json,*/*")]),
        transformed("GET", B_4_TARGET, &[HOST, DATE]),
    ] {
        assert!(!holds(&head), "{head:?}");
    }
}

/// The signature bases of the other examples in appendix B are built byte for byte. Their
/// signatures are not verified, because their algorithms are not supported.
#[test]
fn the_bases_of_the_rfc() {
    let Some(folder) = vectors("rfc9421") else { return };
    let file = std::fs::read(folder.join("vectors.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let (mut bases, mut verified) = (0, 0);
    for vector in file["vectors"].as_array().unwrap() {
        let id = &vector["id"];
        let message = match vector["message"].as_str() {
            Some("test-response") => {
                // Example B.2.4 signs a response. A request has no status, so its base cannot be
                // built.
                let input = vector["signature_input"].as_str().unwrap();
                let head = signed_test_request(input, vector["signature"].as_str().unwrap());
                let error = base_of(&head, &header::read(&head).unwrap()[0]).unwrap_err();
                assert_eq!(error, "no value for \"@status\"");
                continue;
            }
            Some(name) => &file[name],
            None => &vector["message"],
        };
        let pairs = message["headers"].as_array().unwrap().iter();
        let fields = pairs.map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
        let added = [
            ("Signature-Input", vector["signature_input"].as_str().unwrap()),
            ("Signature", vector["signature"].as_str().unwrap()),
        ];
        let (method, url) = (message["method"].as_str().unwrap(), message["url"].as_str().unwrap());
        let head = request(method, url, fields.chain(added));
        let base = base_of(&head, &header::read(&head).unwrap()[0]).unwrap();
        assert_eq!(base, vector["signature_base"].as_str().unwrap(), "{id}");
        bases += 1;
        if vector["alg"] == "ed25519" {
            assert!(holds(&head), "{id}");
            verified += 1;
        }
    }
    assert_eq!((bases, verified), (9, 3));
}
