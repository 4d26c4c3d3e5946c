//! Tests of editing a trust file.

use super::*;

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
fn unedited_entries_stay_the_same_to_the_byte() {
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
    assert!(matches!(missing, Err(EditError::Store(FileError::Io(_)))));
    let folder = create_or_edit(root.path(), |document| document.add(&new(1, "alice")));
    assert!(matches!(folder, Err(EditError::Store(FileError::NotRegular("a folder")))));
    let nowhere = root.path().join("no/trust.json");
    assert!(create_or_edit(&nowhere, |document| document.add(&new(1, "alice"))).is_err());
}

#[test]
fn no_parallel_edit_is_lost() {
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
fn an_export_is_a_trust_file() {
    for text in [format::jwk(&key(1), None), format::jwks(&key(1), Some(format::JwkAlg::EdDsa))] {
        let registry = merged(&[&text]);
        assert_eq!(registry.notes(), []);
        let id = key(1).id().to_string();
        assert_eq!(registry.by_kid(&id).next().unwrap().key(), &key(1));
    }
}
