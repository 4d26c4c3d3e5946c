//! Tests of trust files: their members, files that are refused, several files together, and edits.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpid::clock::Timestamp;
use mcpid::key::file_io::FileError;
use mcpid::key::format;
use mcpid::key::keyfile::Keyfile;
use mcpid::key::trust::{
    Document, EditError, LoadErrorKind, NewEntry, Registry, TrustError, TrustFile, create_or_edit,
    edit,
};
use mcpid::key::{PublicKey, SecretKey, Sign as _};
use mcpid::mcp::pattern::{Operation, Pattern};

mod edits;
mod files;
mod mixed;
mod refusals;

/// Returns the public key for a number. None of these keys is published.
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

/// Returns a JWK with these additional members.
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
fn every_member_of_an_entry_is_read() {
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
fn allow_permits_the_listed_methods_and_those_of_a_session() {
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
fn several_trust_files_combine_to_the_strictest_limits() {
    let first = r#","kid":"a","mcpid":{"name":"alice","client_ids":["x","y"],
        "not_before":"2026-01-01T00:00:00Z","not_after":"2026-06-01T00:00:00Z",
        "allow":["tools/*","prompts/*"]}"#;
    let second = r#","kid":"b","mcpid":{"name":"alicia","client_ids":["y","z"],
        "not_before":"2026-02-01T00:00:00Z","not_after":"2026-07-01T00:00:00Z",
        "revoked_at":"2026-05-02T00:00:00Z","allow":["tools/call:get_*","resources/*"]}"#;
    let third = r#","mcpid":{"revoked_at":"2026-05-01T00:00:00Z"}"#;
    let texts = [jwk(&key(1), first), jwk(&key(1), second), jwk(&key(1), third), jwk(&key(1), "")];
    // The order of the files decides only which name is used.
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

// --- trust files on disk ---

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
