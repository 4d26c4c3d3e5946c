//! Trust files: what they say, what makes them refused, how they combine, how they are changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpid::clock::Timestamp;
use mcpid::key::format;
use mcpid::key::keyfile::Keyfile;
use mcpid::key::store::StoreError;
use mcpid::key::trust::{
    Document, EditError, LoadErrorKind, NewEntry, Registry, TrustError, TrustFile, create_or_edit,
    edit,
};
use mcpid::key::{PublicKey, SecretKey, Sign as _};
use mcpid::mcp::pattern::{Operation, Pattern};

/// A key of its own for each number; none of them is published.
fn key(n: u8) -> PublicKey {
    let mut seed = [0x5a; 32];
    seed[0] = n;
    seed[1] = 0x77;
    SecretKey::from_seed(&seed).public().clone()
}

fn x(key: &PublicKey) -> String {
    URL_SAFE_NO_PAD.encode(key.as_bytes())
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// A JWK with these further members.
fn jwk(key: &PublicKey, more: &str) -> String {
    format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"{more}}}"#, x(key))
}

fn set(keys: &[String]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn parse(text: &str) -> Result<TrustFile, TrustError> {
    TrustFile::parse(text.as_bytes())
}

fn merged(texts: &[&str]) -> Registry {
    Registry::merge(texts.iter().map(|text| parse(text).unwrap()))
}

fn notes(registry: &Registry) -> String {
    registry.notes().iter().map(|note| format!("{}\n", note.text)).collect()
}

fn call(name: &str) -> Operation<'_> {
    Operation { method: "tools/call", name: Some(name) }
}

const FULL: &str = r#","kid":"one","use":"sig","key_ops":["verify"],"alg":"EdDSA","x5u":"https://x",
  "mcpid":{"name":"alice","client_ids":["alice-laptop","ci"],"not_before":"2026-01-01T00:00:00Z",
  "not_after":"2027-01-01T00:00:00+01:00","revoked_at":"2026-11-23T10:00:00.9Z",
  "allow":["tools/call:get_*","resources/*"]}"#;

#[test]
fn everything_in_an_entry_is_read() {
    for text in [set(&[jwk(&key(1), FULL)]), jwk(&key(1), FULL)] {
        let file = parse(&text).unwrap();
        assert_eq!(file.notes(), []);
        let entry = &file.entries()[0];
        assert_eq!(entry.key(), &key(1));
        assert_eq!(entry.name(), Some("alice"));
        assert_eq!(entry.kids(), ["one"]);
        assert_eq!(entry.client_ids(), ["alice-laptop", "ci"]);
        assert_eq!(entry.not_before(), Some(time("2026-01-01T00:00:00Z")));
        assert_eq!(entry.not_after(), Some(time("2026-12-31T23:00:00Z")));
        assert_eq!(entry.revoked_at(), Some(time("2026-11-23T10:00:00Z")));
        assert_eq!(entry.allow()[0][0].to_string(), "tools/call:get_*");
        assert!(entry.is_limited());
    }
}

#[test]
fn a_bare_key_is_trusted_without_limits() {
    let registry = merged(&[&jwk(&key(1), "")]);
    let id = key(1).id().to_string();
    let entry = registry.by_id(&id).unwrap();
    assert_eq!((entry.name(), entry.kids(), entry.client_ids()), (None, &[][..], &[][..]));
    assert!(entry.is_valid_at(Timestamp::from_unix(i64::MIN)));
    assert!(entry.is_valid_at(Timestamp::from_unix(i64::MAX)));
    assert!(!entry.is_revoked_at(Timestamp::from_unix(i64::MAX)));
    assert!(entry.allows(call("anything")) && !entry.is_limited());
    assert!(entry.may_use_tag(&id) && !entry.may_use_tag("") && !entry.may_use_tag(&id[1..]));
}

#[test]
fn validity_ends_are_exact() {
    let registry = merged(&[&jwk(&key(1), FULL)]);
    let entry = registry.iter().next().unwrap();
    let (start, end) = (entry.not_before().unwrap(), entry.not_after().unwrap());
    assert!(entry.is_valid_at(start) && !entry.is_valid_at(start.plus(-1)));
    assert!(entry.is_valid_at(end.plus(-1)) && !entry.is_valid_at(end));
    let revoked = entry.revoked_at().unwrap();
    assert!(entry.is_revoked_at(revoked) && !entry.is_revoked_at(revoked.plus(-1)));
    assert!(entry.may_use_tag("ci") && !entry.may_use_tag("CI") && !entry.may_use_tag("c"));
}

#[test]
fn allow_lets_pass_what_a_session_needs_and_what_it_names() {
    let registry = merged(&[&jwk(&key(1), FULL)]);
    let entry = registry.iter().next().unwrap();
    for method in [
        "initialize",
        "ping",
        "server/discover",
        "logging/setLevel",
        "@get",
        "@delete",
        "@response",
        "notifications/initialized",
        "notifications/cancelled",
        "resources/list",
    ] {
        assert!(entry.allows(Operation { method, name: None }), "{method}");
    }
    assert!(entry.allows(call("get_weather")));
    for (method, name) in [
        ("tools/call", Some("delete_all")),
        ("tools/call", Some("Get_weather")),
        ("tools/call", None),
        ("tools/list", None),
        ("prompts/get", Some("get_x")),
        ("Initialize", None),
        ("initialize2", None),
        ("notifications", None),
        ("xnotifications/a", None),
        ("", None),
        ("@post", None),
    ] {
        assert!(!entry.allows(Operation { method, name }), "{method} {name:?}");
    }
    let nothing = merged(&[&jwk(&key(1), r#","mcpid":{"allow":[]}"#)]);
    let entry = nothing.iter().next().unwrap();
    assert!(entry.is_limited() && !entry.allows(call("x")));
    assert!(entry.allows(Operation { method: "ping", name: None }));
}

#[test]
fn allow_holds_for_every_form_of_a_name() {
    let limited = r#","mcpid":{"allow":["resources/read:file:///pub/*","tools/call:*"]}"#;
    let registry = merged(&[&jwk(&key(1), limited)]);
    let entry = registry.iter().next().unwrap();
    let read = |uri| Operation { method: "resources/read", name: Some(uri) };
    assert!(entry.allows(read("file:///pub/a")) && entry.allows(call("get_weather")));
    for uri in ["file:///pub/../priv/a", "file:///pub/%2e%2e/priv/a", "file:///pub/a\u{200b}"] {
        assert!(!entry.allows(read(uri)), "{uri}");
    }
    assert!(!entry.allows(call("get_weather ")), "an ambiguous name needs a pattern without NAME");
    let any = merged(&[&jwk(&key(1), r#","mcpid":{"allow":["tools/call"]}"#)]);
    assert!(any.iter().next().unwrap().allows(call("get_weather ")));
}

#[test]
fn an_allow_that_can_match_nothing_is_noted_and_denies() {
    for (pattern, note) in [
        ("delete_*", "names no MCP method"),
        ("destructive", "names no MCP method"),
        ("tools/cal:x", "the nearest is tools/call"),
        ("acme/run", "vendor's method"),
        ("ping:x", "can allow nothing"),
        ("resources/read:/pub/*", "no URI begins"),
        ("tools/call:a\u{200b}", "U+200B"),
    ] {
        let text = format!(r#","mcpid":{{"allow":["tools/list","{pattern}"]}}"#);
        let file = TrustFile::parse(jwk(&key(1), &text).as_bytes()).unwrap();
        let notes: Vec<_> = file.notes().iter().map(|note| &*note.text).collect();
        assert!(matches!(&notes[..], [one] if one.contains(note)), "{pattern}: {notes:?}");
        let entry = &file.entries()[0];
        assert!(!entry.allows(call("delete_db")) && !entry.allows(call("x")), "{pattern}");
    }
    for pattern in ["=acme/run", "tools/call:get_*", "resources/read:file:///pub/*", "=delete_db"] {
        let text = format!(r#","mcpid":{{"allow":["{pattern}"]}}"#);
        assert_eq!(TrustFile::parse(jwk(&key(1), &text).as_bytes()).unwrap().notes(), []);
    }
}

#[test]
fn a_mistake_in_an_entry_is_an_error() {
    let good = set(&[jwk(&key(2), ""), jwk(&key(1), FULL)]);
    parse(&good).unwrap();
    for (from, to, why) in [
        // An unknown or misspelt member would restrict nothing.
        (r#""allow":"#, r#""allows":"#, "\"allows\" of \"mcpid\" is not known"),
        (r#""revoked_at":"#, r#""revokedAt":"#, "\"revokedAt\" of \"mcpid\" is not known"),
        (r#""not_after":"#, r#""Not_after":"#, "is not known"),
        (r#""mcpid":"#, r#""MCPID":"#, "must be spelled \"mcpid\""),
        (r#""mcpid":"#, r#""mcpId":"#, "must be spelled \"mcpid\""),
        // Types.
        (r#""name":"alice""#, r#""name":null"#, "\"name\" is null, not a string"),
        (r#""name":"alice""#, r#""name":["alice"]"#, "\"name\" is an array"),
        (r#"["alice-laptop","ci"]"#, r#""ci""#, "\"client_ids\" is not an array of strings"),
        (r#"["alice-laptop","ci"]"#, r#"["ci",1]"#, "\"client_ids\" is not an array of strings"),
        (r#"["alice-laptop","ci"]"#, "null", "\"client_ids\" is not an array of strings"),
        (r#""2026-01-01T00:00:00Z""#, "1767225600", "\"not_before\" is a number"),
        (r#""2026-01-01T00:00:00Z""#, r#""2026-01-01""#, "\"not_before\" is not an RFC 3339"),
        (r#""2026-11-23T10:00:00.9Z""#, r#""now""#, "\"revoked_at\" is not an RFC 3339"),
        (r#""2026-11-23T10:00:00.9Z""#, "true", "\"revoked_at\" is a boolean"),
        (r#"["tools/call:get_*","resources/*"]"#, r#""*""#, "\"allow\" is not an array of strings"),
        (r#""resources/*""#, r#""resources/*:""#, "\"allow\" holds \"resources/*:\""),
        (r#""resources/*""#, r#""""#, "\"allow\" holds \"\""),
        (r#""resources/*""#, "{}", "\"allow\" is not an array of strings"),
        (r#""2027-01-01T00:00:00+01:00""#, r#""2026-01-01T00:00:00Z""#, "is not later than"),
        (r#""mcpid":{"#, r#""mcpid":[],"m":{"#, "belongs into \"mcpid\""),
        (r#""kid":"one""#, r#""kid":1"#, "\"kid\" is a number"),
        (r#""use":"sig""#, r#""use":null"#, "\"use\" is null"),
        (r#"["verify"]"#, r#""verify""#, "\"key_ops\" is a string"),
        (r#""alg":"EdDSA""#, r#""alg":["EdDSA"]"#, "\"alg\" is an array"),
        // The key itself.
        (x(&key(1)).as_str(), "AA", "\"x\" has 1 bytes"),
        (x(&key(1)).as_str(), &format!("{}=", x(&key(1))), "base64url"),
        (x(&key(1)).as_str(), &URL_SAFE_NO_PAD.encode([0xff; 32]), "canonical"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        match parse(&text).expect_err(to) {
            TrustError::Entry { position: 2, why: said } => {
                assert!(said.contains(why), "{to}: {said}");
            }
            other => panic!("{to}: {other:?}"),
        }
    }
    // In an entry that restricts nothing, a broken key fails closed by itself.
    for (from, why) in
        [(r#""kty":"OKP","#, "\"kty\" is missing"), (r#""crv":"Ed25519","#, "\"crv\"")]
    {
        let file = parse(&good.replacen(from, "", 1)).unwrap();
        assert_eq!(file.entries().len(), 1);
        let note = &file.notes()[0].text;
        assert!(note.starts_with("key 1 is passed over: ") && note.contains(why), "{note}");
    }
}

#[test]
fn duplicates_at_any_level_are_errors() {
    let good = set(&[jwk(&key(1), FULL)]);
    for member in [r#""keys":"#, r#""kty":"OKP","#, r#""name":"alice","#, r#""use":"sig","#] {
        let twice = match member {
            r#""keys":"# => good.replacen(member, r#""keys":[],"keys":"#, 1),
            _ => good.replacen(member, &format!("{member}{member}"), 1),
        };
        let error = parse(&twice).unwrap_err();
        assert!(matches!(error, TrustError::Json(_)), "{member}");
        assert!(error.to_string().contains("stands twice at line"), "{error}");
    }
    let deep = good.replacen(r#""x5u":"https://x""#, r#""x5u":[{"a":{"b":1,"\u0062":2}}]"#, 1);
    assert!(matches!(parse(&deep), Err(TrustError::Json(_))));
}

#[test]
fn a_repeated_key_is_an_error_and_a_repeated_kid_is_not() {
    let one = r#","kid":"one""#;
    let same_key = set(&[jwk(&key(2), ""), jwk(&key(1), ""), jwk(&key(1), one)]);
    let said = parse(&same_key).unwrap_err().to_string();
    assert_eq!(said, format!("keys 2 and 3 are the same key, {}", key(1).id()));
    for passed_over in [r#","use":"enc""#, r#","alg":"ES256""#, r#","key_ops":[]"#] {
        let twice = set(&[jwk(&key(1), passed_over), jwk(&key(1), "")]);
        assert!(matches!(parse(&twice), Err(TrustError::Repeated { first: 1, second: 2, .. })));
    }
    // RFC 7517 section 4.5: several keys may share a kid. All of them are tried.
    let same_kid = set(&[jwk(&key(1), one), jwk(&key(2), ""), jwk(&key(3), one)]);
    let registry = merged(&[&same_kid]);
    assert_eq!(
        registry.by_kid("one").map(|entry| entry.key().clone()).collect::<Vec<_>>(),
        [key(1), key(3)]
    );
}

#[test]
fn private_keys_are_refused() {
    for secret in [
        jwk(&key(1), r#","d":"AA""#),
        jwk(&key(1), r#","d":null"#),
        r#"{"kty":"RSA","n":"AA","e":"AQAB","d":"AA"}"#.to_owned(),
        r#"{"kty":"oct","k":"AA"}"#.to_owned(),
    ] {
        let error = parse(&set(&[jwk(&key(2), ""), secret.clone()])).unwrap_err();
        assert!(matches!(error, TrustError::PrivateKey { position: 2 }), "{secret}");
        assert!(parse(&secret).is_err());
    }
}

#[test]
fn what_is_not_for_us_is_passed_over_with_a_note() {
    let others = [
        r#"{"kty":"RSA","n":"AA","e":"AQAB"}"#.to_owned(),
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#.to_owned(),
        r#"{"kty":"AKP","pub":"AA","alg":"ML-DSA-44"}"#.to_owned(),
        jwk(&key(2), r#","use":"enc""#),
        jwk(&key(3), r#","key_ops":["sign"]"#),
        jwk(&key(4), r#","key_ops":[]"#),
        jwk(&key(5), r#","alg":"ES256""#),
        jwk(&key(1), ""),
    ];
    let file = parse(&set(&others)).unwrap();
    assert_eq!(file.entries().len(), 1);
    assert_eq!(file.notes().len(), 8);
    for (at, words) in [
        "an RSA key",
        "an elliptic-curve key",
        "an X25519 key",
        "\"AKP\"",
        "\"use\"",
        "\"key_ops\"",
        "\"key_ops\"",
        "\"alg\"",
    ]
    .iter()
    .enumerate()
    {
        let text = &file.notes()[at].text;
        let start = format!("key {} is passed over", at + 1);
        assert!(text.starts_with(&start) && text.contains(words), "{text}");
    }
    let none = parse(&set(&others[..4])).unwrap();
    assert_eq!(none.notes().last().unwrap().text, "holds no Ed25519 signing key");
    assert_eq!(parse(&set(&[])).unwrap().notes()[0].text, "holds no keys");
}

#[test]
fn a_limit_at_the_wrong_level_is_refused() {
    let beside = set(&[jwk(&key(1), "")]).replacen('{', r#"{"mcpid":{"allow":[]},"#, 1);
    assert!(parse(&beside).is_err());
}

#[test]
fn what_is_no_trust_file_is_said_to_be_that() {
    let secret = SecretKey::from_seed(&[0x3c; 32]);
    let keyfile = Keyfile::plain(&secret, "a", Timestamp::from_unix(0)).unwrap().to_json();
    for (text, words) in [
        ("[]", "an array, not a JWK set or a JWK"),
        ("7", "a number, not a JWK set or a JWK"),
        ("{}", "an object, not a JWK set or a JWK"),
        (r#"{"keys":{}}"#, "an object, not"),
        (r#"{"keys":[],"kty":"OKP"}"#, "\"keys\" and \"kty\""),
        (keyfile.as_str(), "a keyfile, not a JWK set or a JWK"),
        ("", "not strict JSON"),
        ("{\"keys\":[]", "not strict JSON"),
        ("{\"keys\":[],}", "not strict JSON"),
        ("{\"keys\":[]} x", "not strict JSON"),
        ("\u{feff}\u{feff}{\"keys\":[]}", "not strict JSON"),
        ("{\u{feff}\"keys\":[]}", "not strict JSON"),
        ("{'keys':[]}", "not strict JSON"),
        ("{\"keys\":[{\"kty\":\"\\ud800\"}]}", "not strict JSON"),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(TrustFile::parse(b"{\"keys\":[\xff]}").is_err());
}

#[test]
fn weak_and_published_keys_are_kept_and_flagged() {
    let weak = PublicKey::from_bytes(&[0; 32]).unwrap();
    let published = SecretKey::from_seed(&[1; 32]).public().clone();
    let registry = merged(&[&set(&[jwk(&weak, ""), jwk(&published, ""), jwk(&key(1), "")])]);
    assert_eq!(registry.len(), 3);
    assert!(registry.by_id(weak.id().as_str()).unwrap().key().is_weak());
    assert!(registry.by_id(published.id().as_str()).unwrap().key().is_published());
    assert_eq!(registry.notes().len(), 2);
    assert!(notes(&registry).contains("is weak") && notes(&registry).contains("is published"));
}

#[test]
fn files_combine_to_the_strictest() {
    let first = r#","kid":"a","mcpid":{"name":"alice","client_ids":["x","y"],
        "not_before":"2026-01-01T00:00:00Z","not_after":"2026-06-01T00:00:00Z",
        "allow":["tools/*","prompts/*"]}"#;
    let second = r#","kid":"b","mcpid":{"name":"alicia","client_ids":["y","z"],
        "not_before":"2026-02-01T00:00:00Z","not_after":"2026-07-01T00:00:00Z",
        "revoked_at":"2026-05-02T00:00:00Z","allow":["tools/call:get_*","resources/*"]}"#;
    let third = r#","mcpid":{"revoked_at":"2026-05-01T00:00:00Z"}"#;
    let texts = [jwk(&key(1), first), jwk(&key(1), second), jwk(&key(1), third), jwk(&key(1), "")];
    // Only the name depends on the order.
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
        let registry = merged(&order.map(|at| texts[at].as_str()));
        assert_eq!(registry.len(), 1);
        let entry = registry.iter().next().unwrap();
        assert_eq!(entry.kids(), ["a", "b"]);
        assert_eq!(entry.client_ids(), ["x", "y", "z"]);
        assert_eq!(entry.not_before(), Some(time("2026-02-01T00:00:00Z")));
        assert_eq!(entry.not_after(), Some(time("2026-06-01T00:00:00Z")));
        assert_eq!(entry.revoked_at(), Some(time("2026-05-01T00:00:00Z")));
        let name = if order[0] == 0 { "alice" } else { "alicia" };
        assert_eq!(entry.name(), Some(name));
        assert!(notes(&registry).contains("another name"));
        assert!(entry.allows(call("get_x")), "both lists let it pass");
        assert!(!entry.allows(call("set_x")), "the second does not");
        assert!(!entry.allows(Operation { method: "resources/read", name: None }));
        assert!(!entry.allows(Operation { method: "prompts/get", name: None }));
        for kid in ["a", "b"] {
            assert_eq!(registry.by_kid(kid).count(), 1);
        }
    }
    let never = merged(&[
        &jwk(&key(1), r#","mcpid":{"not_after":"2026-01-01T00:00:00Z"}"#),
        &jwk(&key(1), r#","mcpid":{"not_before":"2026-02-01T00:00:00Z"}"#),
    ]);
    assert!(notes(&never).contains("is never valid"));
}

#[test]
fn keys_are_found_by_thumbprint_and_by_kid() {
    let all: Vec<String> = (1..=6)
        .map(|n| jwk(&key(n), if n == 1 { r#","kid":"solo""# } else { r#","kid":"crowd""# }))
        .collect();
    let texts: Vec<&str> = all.iter().map(String::as_str).collect();
    let registry = merged(&texts);
    assert_eq!((registry.len(), registry.is_empty()), (6, false));
    for n in 1..=6 {
        let id = key(n).id().to_string();
        assert_eq!(registry.by_id(&id).unwrap().key(), &key(n));
        assert!(registry.by_kid(&id).next().is_none());
    }
    for unknown in ["", "solo", "crowd", key(9).id().as_str(), &"A".repeat(1 << 20)] {
        assert!(registry.by_id(unknown).is_none());
    }
    assert_eq!(registry.by_kid("solo").count(), 1);
    let crowd: Vec<_> = registry.by_kid("crowd").map(|entry| entry.key().clone()).collect();
    assert_eq!(crowd, [key(2), key(3), key(4), key(5)]);
    assert_eq!(registry.by_kid("nobody").count(), 0);
    assert!(notes(&registry).contains("5 keys share the kid \"crowd\"; 4 are tried"));
    let order: Vec<_> = registry.iter().map(|entry| entry.key().clone()).collect();
    assert_eq!(order, (1..=6).map(key).collect::<Vec<_>>());
}

// --- on disk ---

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_and_folders_are_loaded() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("trust");
    fs::create_dir(&folder).unwrap();
    let at = |name: &str| folder.join(name);
    write(&at("b.json"), &jwk(&key(2), r#","mcpid":{"name":"b"}"#), 0o644);
    write(&at("a.jwk"), &jwk(&key(1), ""), 0o600);
    write(&at("c.json"), &jwk(&key(2), r#","mcpid":{"name":"c"}"#), 0o644);
    // None of these is read: a dotfile, other endings, a folder.
    write(&at(".hidden.json"), "not json", 0o644);
    write(&at("README.md"), "not json", 0o644);
    write(&at("d.JSON"), "not json", 0o644);
    fs::create_dir(at("sub.json")).unwrap();
    write(&at("sub.json/e.json"), "not json", 0o644);
    let single = root.path().join("any.name");
    write(&single, &jwk(&key(3), ""), 0o644);
    symlink(&single, at("z.json")).unwrap();

    let registry = Registry::load(&[&folder, &single]).unwrap();
    let order: Vec<_> = registry.iter().map(|entry| entry.key().clone()).collect();
    assert_eq!(order, [key(1), key(2), key(3)]);
    let note = &registry.notes()[0];
    assert!(note.text.contains("another name, \"c\""));
    assert_eq!(note.path.as_deref(), Some(at("c.json").as_path()));
}

#[test]
fn who_can_write_a_trust_file_matters() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("trust.json");
    write(&path, &jwk(&key(1), ""), 0o644);
    assert_eq!(Registry::load(&[&path]).unwrap().notes(), []);
    for open in [0o646, 0o666, 0o602, 0o777] {
        write(&path, &jwk(&key(1), ""), open);
        let error = Registry::load(&[&path]).unwrap_err();
        assert!(matches!(error.kind, LoadErrorKind::OthersCanWrite { mode } if mode == open));
        assert_eq!(error.path, path);
        assert!(edit(&path, |document| document.remove("x")).is_err());
        let as_folder = Registry::load(&[root.path()]).unwrap_err();
        assert!(matches!(as_folder.kind, LoadErrorKind::OthersCanWrite { .. }));
    }
    write(&path, &jwk(&key(1), ""), 0o664);
    let registry = Registry::load(&[&path]).unwrap();
    assert_eq!(registry.notes()[0].text, "its group can write it (mode 0664)");
    write(&path, &jwk(&key(1), ""), 0o644);
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = Registry::load(&[root.path()]).unwrap_err();
    assert!(matches!(error.kind, LoadErrorKind::OthersCanWrite { mode: 0o777 }));
    assert_eq!(error.path, root.path());
}

#[test]
fn what_cannot_be_loaded_fails_the_whole() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    write(&at("good.json"), &jwk(&key(1), ""), 0o644);
    assert_eq!(Registry::load(&[root.path()]).unwrap().len(), 1);

    let missing = Registry::load(&[at("good.json"), at("missing")]).unwrap_err();
    assert_eq!(missing.path, at("missing"));
    assert!(matches!(missing.kind, LoadErrorKind::Store(StoreError::Io(_))));

    fs::create_dir(at("empty")).unwrap();
    let empty = Registry::load(&[at("empty")]).unwrap_err();
    assert_eq!(empty.to_string(), "the folder holds no *.json or *.jwk files");

    write(&at("zbad.json"), "{}", 0o644);
    let bad = Registry::load(&[root.path()]).unwrap_err();
    assert_eq!(bad.path, at("zbad.json"));
    assert!(matches!(bad.kind, LoadErrorKind::Trust(TrustError::NotKeys(_))));
    fs::remove_file(at("zbad.json")).unwrap();

    symlink(at("nowhere"), at("zlink.json")).unwrap();
    assert_eq!(Registry::load(&[root.path()]).unwrap_err().path, at("zlink.json"));
    fs::remove_file(at("zlink.json")).unwrap();

    let pipe = at("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = Registry::load(&[&pipe]).unwrap_err();
    assert!(matches!(error.kind, LoadErrorKind::Store(StoreError::NotRegular(_))));

    let big = fs::File::create(at("big")).unwrap();
    big.set_len(64 * 1024 * 1024 + 1).unwrap();
    let error = Registry::load(&[at("big")]).unwrap_err();
    assert!(matches!(error.kind, LoadErrorKind::Store(StoreError::TooLarge { .. })));
    let none: [&Path; 0] = [];
    assert!(Registry::load(&none).unwrap().is_empty());
}

// --- editing ---

fn new(n: u8, name: &str) -> NewEntry {
    let mut new = NewEntry::new(key(n));
    new.name = Some(name.to_owned());
    new
}

#[test]
fn keys_are_added_revoked_and_removed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("trust.json");
    let mut alice = new(1, "alice");
    alice.client_ids = vec!["alice-laptop".into(), "quote \" and \\".into()];
    alice.not_before = Some(time("2026-01-01T00:00:00Z"));
    alice.not_after = Some(time("2027-01-01T00:00:00Z"));
    alice.allow = Some(vec![Pattern::parse("tools/call:get_*").unwrap()]);
    let added = create_or_edit(&path, |document| document.add(&alice)).unwrap();
    assert_eq!(added.kids(), [key(1).id().as_str()]);
    assert_eq!(mode(&path) & 0o133, 0, "not executable, not writable by others");
    create_or_edit(&path, |document| document.add(&new(2, "bob"))).unwrap();

    let registry = Registry::load(&[&path]).unwrap();
    assert_eq!(registry.notes(), []);
    let entry = registry.by_id(key(1).id().as_str()).unwrap();
    assert_eq!(entry.name(), Some("alice"));
    assert_eq!(entry.client_ids(), ["alice-laptop", "quote \" and \\"]);
    assert_eq!((entry.not_before(), entry.not_after()), (alice.not_before, alice.not_after));
    assert_eq!(entry.allow()[0], alice.allow.unwrap());

    let (early, late) = (time("2026-05-01T00:00:00Z"), time("2026-06-01T00:00:00Z"));
    let revoked = edit(&path, |document| document.revoke("alice", late)).unwrap();
    assert_eq!((revoked.key(), revoked.revoked_at()), (&key(1), Some(late)));
    let again = edit(&path, |document| document.revoke("alice", late.plus(1)));
    assert!(matches!(again, Err(EditError::AlreadyRevoked { since }) if since == late));
    edit(&path, |document| document.revoke(key(1).id().as_str(), early)).unwrap();
    let registry = Registry::load(&[&path]).unwrap();
    let entry = registry.by_id(key(1).id().as_str()).unwrap();
    assert_eq!(entry.revoked_at(), Some(early));
    assert_eq!(entry.client_ids().len(), 2, "the rest is as it was");

    edit(&path, |document| document.remove("bob")).unwrap();
    let gone = edit(&path, |document| document.remove("bob"));
    assert!(matches!(gone, Err(EditError::NotFound(who)) if who == "bob"));
    assert_eq!(Registry::load(&[&path]).unwrap().len(), 1);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing left behind");
}

#[test]
fn an_edit_that_is_refused_leaves_the_file_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("trust.json");
    let other_kid = jwk(&key(8), r#","kid":"shared""#);
    write(
        &path,
        &set(&[
            jwk(&key(1), r#","mcpid":{"name":"twin"}"#),
            jwk(&key(2), r#","mcpid":{"name":"twin"}"#),
            other_kid,
        ]),
        0o644,
    );
    let before = fs::read(&path).unwrap();
    let weak = NewEntry::new(PublicKey::from_bytes(&[0; 32]).unwrap());
    let published = NewEntry::new(SecretKey::from_seed(&[7; 32]).public().clone());
    let with = |change: fn(&mut NewEntry)| {
        let mut entry = NewEntry::new(key(9));
        change(&mut entry);
        entry
    };
    let refused = [
        (weak, "the key is weak"),
        (published, "published"),
        (NewEntry::new(key(1)), "is in the file already, as \"twin\""),
        (NewEntry::new(key(8)), "is in the file already"),
        (with(|e| e.kid = Some(key(1).id().to_string())), "its \"kid\" is the id of another key"),
        (with(|e| e.name = Some(String::new())), "a name has 1 to 256 bytes"),
        (with(|e| e.name = Some("a\u{1b}[31m".into())), "no control characters"),
        (with(|e| e.name = Some("n".repeat(257))), "1 to 256 bytes"),
        (with(|e| e.client_ids = vec!["ü".into()]), "the client id \"ü\" cannot stand in a tag"),
        (with(|e| e.client_ids = vec!["ok".into(), String::new()]), "the client id \"\""),
        (
            with(|e| {
                (e.not_before, e.not_after) =
                    (Some(Timestamp::from_unix(2)), Some(Timestamp::from_unix(2)))
            }),
            "is not later than the start",
        ),
    ];
    for (entry, words) in &refused {
        let error = edit(&path, |document| document.add(entry)).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let ambiguous = edit(&path, |document| document.revoke("twin", Timestamp::from_unix(0)));
    let error = ambiguous.unwrap_err();
    assert!(matches!(&error, EditError::Ambiguous { ids, .. } if ids.len() == 2));
    for n in [1, 2] {
        assert!(error.to_string().contains(key(n).id().as_str()));
    }
    assert!(edit(&path, |document| document.remove("twin")).is_err());
    assert!(edit(&path, |document| document.remove("")).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
    edit(&path, |document| document.remove(key(1).id().as_str())).unwrap();
}

#[test]
fn what_is_not_edited_stays_to_the_byte() {
    let foreign = r#"{ "kty":"RSA" , "n":"AA",
        "big": 123456789012345678901234567890.00, "esc":"\u0041\/" }"#;
    let kept = r#"{"kty":"OKP","crv":"Ed25519","x":"KEY","x5t":"\u00e9", "exp":1e400 , "mcpid":{ "name":"a\u0062" }}"#
        .replace("KEY", &x(&key(1)))
        .replace("1e400", "1.50e2");
    let text = format!("{{\"issuer\":\"\\u0078\",\"keys\":[{foreign}, {kept}],\"n\":1.0}}");
    let mut document = Document::parse(text.as_bytes()).unwrap();
    document.add(&new(2, "new")).unwrap();
    let json = document.to_json();
    for part in [foreign, &kept, r#""issuer":"\u0078""#, r#""n":1.0"#] {
        assert!(json.contains(part), "{part} in {json}");
    }
    document.revoke("ab", Timestamp::from_unix(0)).unwrap();
    let json = document.to_json();
    assert!(json.contains(foreign));
    for part in
        [r#""x5t":"\u00e9""#, r#""exp":1.50e2"#, r#""name":"a\u0062""#, "1970-01-01T00:00:00Z"]
    {
        assert!(json.contains(part), "{part} in {json}");
    }
    assert_eq!(document.remove("ab").unwrap().key(), &key(1));
    assert!(document.to_json().contains(foreign) && !document.to_json().contains(&x(&key(1))));
}

#[test]
fn a_single_jwk_stays_one_until_there_are_two() {
    let mut document =
        Document::parse(jwk(&key(1), r#","mcpid":{"name":"solo"}"#).as_bytes()).unwrap();
    document.revoke("solo", Timestamp::from_unix(60)).unwrap();
    let single: serde_json::Value = serde_json::from_str(&document.to_json()).unwrap();
    assert_eq!(single["mcpid"]["revoked_at"], "1970-01-01T00:01:00Z");
    document.add(&new(2, "second")).unwrap();
    let both: serde_json::Value = serde_json::from_str(&document.to_json()).unwrap();
    assert_eq!(both["keys"].as_array().unwrap().len(), 2);
    assert_eq!(both["keys"][0], single);
    document.remove("solo").unwrap();
    document.remove("second").unwrap();
    assert!(document.file().entries().is_empty());
    Document::parse(document.to_json().as_bytes()).unwrap();
}

#[test]
fn modes_and_links_are_kept() {
    let root = tempfile::tempdir().unwrap();
    let (real, link) = (root.path().join("real.json"), root.path().join("link.json"));
    write(&real, &set(&[]), 0o640);
    symlink("real.json", &link).unwrap();
    create_or_edit(&link, |document| document.add(&new(1, "alice"))).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(Registry::load(&[&real]).unwrap().len(), 1);
    assert_eq!(mode(&real), 0o640);

    let dangling = root.path().join("dangling.json");
    symlink("nowhere", &dangling).unwrap();
    assert!(create_or_edit(&dangling, |document| document.add(&new(1, "alice"))).is_err());
    let missing = edit(&root.path().join("missing"), |document| document.remove("alice"));
    assert!(matches!(missing, Err(EditError::Store(StoreError::Io(_)))));
    let folder = create_or_edit(root.path(), |document| document.add(&new(1, "alice")));
    assert!(matches!(folder, Err(EditError::Store(StoreError::NotRegular("a folder")))));
    let nowhere = root.path().join("no/trust.json");
    assert!(create_or_edit(&nowhere, |document| document.add(&new(1, "alice"))).is_err());
}

#[test]
fn of_many_edits_at_once_none_is_lost() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("trust.json");
    std::thread::scope(|scope| {
        for n in 1..=16 {
            let path = &path;
            scope.spawn(move || {
                create_or_edit(path, |document| document.add(&new(n, "many"))).unwrap();
            });
        }
    });
    assert_eq!(Registry::load(&[&path]).unwrap().len(), 16);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn what_is_exported_is_a_trust_file() {
    for text in [format::jwk(&key(1), None), format::jwks(&key(1), Some(format::JwkAlg::EdDsa))] {
        let registry = merged(&[&text]);
        assert_eq!(registry.notes(), []);
        let id = key(1).id().to_string();
        assert_eq!(registry.by_kid(&id).next().unwrap().key(), &key(1));
    }
}
