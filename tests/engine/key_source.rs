//! Tests of references to signing keys, and of the function that finds and opens a key.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use mcpid::clock::Timestamp;
use mcpid::key::keyfile::{KdfCost, Keyfile, KeyfileError};
use mcpid::key::source::{FindKeyError, KeyRef};
use mcpid::key::store::{FileError, create_keyfile};
use mcpid::key::{SecretKey, Sign as _};
use rand::rngs::SysRng;

fn parse(text: &str) -> Result<KeyRef, String> {
    KeyRef::parse(Path::new(text)).map_err(|error| error.scheme)
}

#[test]
fn a_path_is_a_file() {
    for path in [
        "key.json",
        "./ssh-agent:alice",
        "keys/ssh-agent:alice",
        "/exec:key",
        "../pkcs11:token",
        ":",
        ":key",
        "",
        // These texts have no scheme: a single letter (a drive), upper case, a digit at the
        // beginning, a blank, another alphabet.
        "c:\\key.json",
        "SSH-AGENT:alice",
        "Exec:key",
        "2026-11-29T15:04:05.json",
        "my key:1",
        "schlüssel:1",
        "-k:1",
        "under_score:1",
        // This is longer than any scheme.
        "a-very-long-name-of-a-file-with-a-colon:1",
    ] {
        assert_eq!(parse(path), Ok(KeyRef::File(path.into())), "{path:?}");
    }
    let no_text = Path::new(OsStr::from_bytes(b"exec\xff:key"));
    assert_eq!(KeyRef::parse(no_text).unwrap(), KeyRef::File(no_text.into()));
}

#[test]
fn an_agent_is_named_with_any_text() {
    for wanted in ["", "alice", "SHA256:abc", "a:b", "exec:x", " ", "ssh-agent:"] {
        let text = format!("ssh-agent:{wanted}");
        assert_eq!(parse(&text), Ok(KeyRef::Agent(wanted.to_owned())), "{text:?}");
    }
}

#[test]
fn an_unknown_scheme_is_refused() {
    for (text, scheme) in [
        ("exec:gpg --sign", "exec"),
        ("pkcs11:token=x", "pkcs11"),
        ("pkcs11:", "pkcs11"),
        ("keychain:alice", "keychain"),
        ("file:///home/alice/key.json", "file"),
        ("https://example.com/key.json", "https"),
        ("did:key:z6Mk", "did"),
        ("ssh-agents:alice", "ssh-agents"),
        ("sshagent:alice", "sshagent"),
        ("ssh-agent.:alice", "ssh-agent."),
        ("svn+ssh:x", "svn+ssh"),
        ("ab:x", "ab"),
    ] {
        assert_eq!(parse(text), Err(scheme.to_owned()), "{text:?}");
    }
    let error = KeyRef::parse(Path::new("exec:secret words")).unwrap_err().to_string();
    assert_eq!(error, "exec: is no source of keys; a key is a file or ssh-agent:ID");
}

#[test]
fn a_keyfile_is_found_sealed_and_opened_with_its_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let secret = SecretKey::generate(&mut SysRng).unwrap();
    let (at, cost) = (Timestamp::from_unix(0), KdfCost::new(8, 1, 1).unwrap());
    let sealed = Keyfile::seal(&secret, "alice", at, b"a passphrase", cost, &mut SysRng).unwrap();
    let plain = Keyfile::plain(&secret, "bob", at).unwrap();
    for (name, file) in [("sealed.json", &sealed), ("plain.json", &plain)] {
        create_keyfile(&folder.path().join(name), file).unwrap();
    }
    let find = |name: &str| KeyRef::File(folder.path().join(name)).find(None);
    let found = find("sealed.json").unwrap();
    assert!(found.is_sealed() && !found.signs_elsewhere());
    assert_eq!((found.name(), found.public()), ("alice", secret.public()));
    let signer = found.open(Some(b"a passphrase")).unwrap();
    assert_eq!(signer.sign(b"message").unwrap(), secret.sign(b"message").unwrap());
    let wrong = find("sealed.json").unwrap().open(Some(b"another"));
    assert!(matches!(wrong.err(), Some(KeyfileError::WrongPassphrase)));
    assert!(find("sealed.json").unwrap().open(None).is_err());
    let found = find("plain.json").unwrap();
    assert!(!found.is_sealed());
    assert_eq!(found.open(None).unwrap().public(), secret.public());
    let missing = find("missing.json").unwrap_err();
    assert!(matches!(missing, FindKeyError::File(FileError::Io(_))), "{missing}");
}

#[test]
fn a_key_in_an_agent_needs_an_agent() {
    let alice = KeyRef::Agent("alice".to_owned());
    assert!(matches!(alice.find(None), Err(FindKeyError::NoAgent)));
    let folder = tempfile::tempdir().unwrap();
    let gone = alice.find(Some(&folder.path().join("agent"))).unwrap_err();
    assert!(matches!(gone, FindKeyError::Agent(_)), "{gone}");
    assert!(gone.to_string().starts_with("there is no ssh-agent at "), "{gone}");
}
