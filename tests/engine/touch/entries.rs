//! Tests of the member `security_key` in trust files.

use mcpid::key::trust::{Document, NewEntry, Registry, SecurityKeyRules, TrustFile};
use mcpid::key::{KeyApplication, format};

use super::*;

fn parsed(entry: &Value) -> Result<TrustFile, String> {
    TrustFile::parse(json!({"keys": [entry]}).to_string().as_bytes()).map_err(|e| e.to_string())
}

#[test]
fn a_security_key_entry_is_read_strictly() {
    let good = [
        json!({}),
        json!({"for": []}),
        json!({"for": ["alice", "bob"], "alone": true, "require": "verified"}),
        json!({"alone": false}),
    ];
    for more in good {
        assert!(parsed(&security_key().entry("alice", &more)).is_ok(), "{more}");
    }
    for (more, why) in [
        (json!({"application": "https://example.com"}), "begins with ssh:"),
        (json!({"application": ""}), "begins with ssh:"),
        (json!({"application": "ssh:a b"}), "begins with ssh:"),
        (json!({"application": "ssh:\u{e9}"}), "begins with ssh:"),
        (json!({"application": format!("ssh:{}", "x".repeat(300))}), "begins with ssh:"),
        (json!({"application": 1}), "not a string"),
        (json!({"application": null}), "not a string"),
        (json!({"for": "alice"}), "array of strings"),
        (json!({"for": [1]}), "array of strings"),
        (json!({"alone": "true"}), "not a boolean"),
        (json!({"alone": 1}), "not a boolean"),
        (json!({"require": "present"}), "\"present\""),
        (json!({"require": true}), "a boolean"),
        (json!({"require": ["verified"]}), "an array"),
        (json!({"requires": "verified"}), "not known"),
        (json!({"For": ["alice"]}), "not known"),
        (json!({"Alone": true}), "not known"),
    ] {
        let error = parsed(&security_key().entry("alice", &more)).unwrap_err();
        assert!(error.contains(why), "{more}: {error}");
    }
    for wrong in [json!(true), json!("ssh:mcpid"), json!([]), json!(null), json!({})] {
        let mut entry = security_key().entry("alice", &json!({}));
        entry["mcpid"]["security_key"] = wrong.clone();
        assert!(parsed(&entry).is_err(), "{wrong}");
    }
    // A `security_key` outside of the member `mcpid` is an error, and so is a name that differs
    // from `security_key` by one edit.
    for name in ["security_key", "securitykey", "security_kei"] {
        let mut entry = trusted(&key(1));
        entry[name] = json!({"application": "ssh:mcpid"});
        assert!(parsed(&entry).is_err(), "{name}");
    }
    let mut entry = trusted(&key(1));
    entry["mcpid"]["security-key"] = json!({"application": "ssh:mcpid"});
    assert!(parsed(&entry).is_err());
}

#[test]
fn a_security_key_in_one_entry_is_one_in_all() {
    let mut it = TouchedCall::untouched();
    // Another trust file says that Alice's ordinary key is a security key, even in an entry that is
    // skipped.
    for skipped in [false, true] {
        let mut declared = SoftwareKey::new(key(1)).entry("alice", &json!({}));
        if skipped {
            declared["use"] = json!("enc");
        }
        for first in [true, false] {
            it.judge.trust = vec![trusted(&key(1))];
            it.judge.trust.insert(usize::from(!first), declared.clone());
            assert_eq!(
                it.judge.refusal(&it.call),
                (8, Code::SignatureInvalid),
                "{skipped} {first}"
            );
        }
    }
}

#[test]
fn a_key_id_in_for_names_only_the_key() {
    let id = key(1).public().id().to_string();
    let mut it = TouchedCall::new();
    it.rule("for", json!([id]));
    assert!(it.accepted().touch().is_some());
    // In `for`, a text in the form of a key id is always a key id, and never the name of an entry.
    let other = key(2).public().id().to_string();
    let mut it = TouchedCall::new();
    it.judge.trust[0]["mcpid"]["name"] = json!(other);
    it.rule("for", json!([other]));
    assert_eq!(it.accepted().touch(), None);
}

#[test]
fn entries_without_names_have_no_touch_by_default() {
    let mut it = TouchedCall::new();
    for entry in &mut it.judge.trust {
        entry["mcpid"].as_object_mut().unwrap().remove("name");
    }
    assert_eq!(it.accepted().touch(), None);
}

/// An entry that has neither a list `for` nor a name permits no signer, and so no list in another
/// file helps.
#[test]
fn an_entry_that_names_no_signer_joins_none_of_another_files_list() {
    for first in [true, false] {
        let mut it = TouchedCall::new();
        it.rule("for", json!(["alice"]));
        let mut nameless = security_key().entry("x", &json!({}));
        nameless["mcpid"].as_object_mut().unwrap().remove("name");
        it.judge.trust.insert(if first { 1 } else { 2 }, nameless.clone());
        it.counts_for_nothing("a nameless entry in another file");
        // If the entry has a list with the signer, the touch is accepted.
        let at = if first { 1 } else { 2 };
        it.judge.trust[at]["mcpid"]["security_key"]["for"] = json!(["alice"]);
        it.judge = Judge::mcp().trusting(it.judge.trust.clone());
        assert!(it.accepted().touch().is_some());
        // If the entry has the name of another signer, the touch is not accepted.
        it.judge.trust[at] = security_key().entry("bob", &json!({}));
        it.judge = Judge::mcp().trusting(it.judge.trust.clone());
        it.counts_for_nothing("an entry of another name");
    }
}

#[test]
fn the_application_of_logins_gets_a_note() {
    let login = security_key().entry("alice", &json!({"application": "ssh:"}));
    let notes: Vec<_> = parsed(&login).unwrap().notes().iter().map(|n| n.text.clone()).collect();
    assert!(notes.iter().any(|note| note.contains("logins")), "{notes:?}");
    assert!(parsed(&security_key().entry("alice", &json!({}))).unwrap().notes().is_empty());
}

#[test]
fn two_applications_of_one_key_get_a_note() {
    let entry = |application: &str| {
        parsed(&security_key().entry("alice", &json!({"application": application}))).unwrap()
    };
    let merged = Registry::merge([entry("ssh:a"), entry("ssh:b")]);
    assert!(merged.notes().iter().any(|note| note.text.contains("another application")));
    assert!(Registry::merge([entry("ssh:a"), entry("ssh:a")]).notes().is_empty());
    let rules = merged.iter().next().unwrap().security_key().unwrap();
    assert_eq!(rules.application(), None);
}

#[test]
fn an_added_security_key_is_read_back() {
    let application = || KeyApplication::parse("ssh:mcpid").unwrap();
    for rules in [
        SecurityKeyRules::new(application()),
        SecurityKeyRules::new(application()).touching_for("alice").touching_for("bob"),
        SecurityKeyRules::new(application()).alone().demanding_verification(),
    ] {
        let mut document = Document::empty().unwrap();
        let new = NewEntry {
            name: Some("alice".to_owned()),
            security_key: Some(rules.clone()),
            ..NewEntry::new(security_key().secret.public().clone())
        };
        let added = document.add(&new).unwrap();
        let read = added.security_key().unwrap();
        assert_eq!(read.signers(), rules.signers());
        assert_eq!(read.may_sign_alone(), rules.may_sign_alone());
        assert_eq!(read.demands_verification(), rules.demands_verification());
        assert_eq!(read.application(), rules.application());
    }
}

#[test]
fn the_line_and_the_jwk_of_a_security_key_are_imported_with_their_application() {
    let touch_key = security_key();
    let public = mcpid::key::SignByTouch::security_key(&touch_key);
    let line = format::openssh_security_key(public, "alice@laptop");
    assert!(line.starts_with("sk-ssh-ed25519@openssh.com AAAA"), "{line}");
    for text in [line.as_str(), &format::security_key_jwk(public)] {
        let found = format::read_public(text.as_bytes()).unwrap().keys.remove(0);
        assert_eq!(found.application.as_ref(), Some(public.application()), "{text}");
        assert_eq!(found.key, *public.public());
    }
    // An entry with its own rules for touches is not imported as a key, because the rules would be
    // lost.
    for more in [json!({"alone": true}), json!({"for": []})] {
        let mut entry = touch_key.entry("alice", &more);
        entry["mcpid"].as_object_mut().unwrap().remove("name");
        assert!(format::read_public(entry.to_string().as_bytes()).is_err(), "{more}");
    }
    // The type name in the OpenSSH line must be that of the encoded key.
    let other = line.replace("sk-ssh-ed25519@openssh.com", "ssh-ed25519");
    assert!(format::read_public(other.as_bytes()).is_err());
    let plain = format::openssh(public.public(), "");
    let other = plain.replace("ssh-ed25519", "sk-ssh-ed25519@openssh.com");
    assert!(format::read_public(other.as_bytes()).is_err());
}
