//! Tests of references to signing keys, and of finding and opening the keys that they name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use mcpid::clock::Timestamp;
use mcpid::key::file_io::{FileError, create_keyfile};
use mcpid::key::keyfile::{KdfCost, Keyfile, KeyfileError};
use mcpid::key::source::{FindKeyError, FindOptions, KeyRef, KeyRefError, OpenKeyError};
use mcpid::key::{PublicKey, SecretKey, Sign as _};
use rand::rngs::SysRng;

/// Parses a reference to a key, or returns the unknown scheme.
fn parse(text: &str) -> Result<KeyRef, String> {
    KeyRef::parse(Path::new(text)).map_err(|error| match error {
        KeyRefError::UnknownScheme { scheme } => scheme,
        other => other.to_string(),
    })
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
        // These texts do not begin with a scheme: a single letter (a Windows drive), upper case, a
        // digit first, a blank, another alphabet.
        "c:\\key.json",
        "SSH-AGENT:alice",
        "Exec:key",
        "2026-11-29T15:04:05.json",
        "my key:1",
        "schlüssel:1",
        "-k:1",
        "under_score:1",
        // The text before the colon is longer than 32 characters, so it is not taken for a scheme.
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
        ("execs:gpg --sign", "execs"),
        ("exec+sh:gpg --sign", "exec+sh"),
        ("pkcs12:token=x", "pkcs12"),
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
    let error = KeyRef::parse(Path::new("vault:secret words")).unwrap_err().to_string();
    let words =
        "vault: is no source of keys; a key is a file, ssh-agent:ID, exec:PROGRAM or pkcs11:URI";
    assert_eq!(error, words);
}

#[test]
fn a_program_is_split_at_blanks_only() {
    let words = |text: &str| match KeyRef::parse(Path::new(text)) {
        Ok(KeyRef::Exec(command)) => {
            let words =
                [command.program()].into_iter().chain(command.arguments().iter().map(|a| &**a));
            words.map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(words("exec:sign"), ["sign"]);
    assert_eq!(words("exec: \t./sign  alias/agent\t-v "), ["./sign", "alias/agent", "-v"]);
    // Only blanks separate words. All other characters are taken literally.
    let verbatim = r"exec:sign $HOME a\ b *;|>& a'b c=d #e `f` exec:g";
    let expected = ["sign", "$HOME", r"a\", "b", "*;|>&", "a'b", "c=d", "#e", "`f`", "exec:g"];
    assert_eq!(words(verbatim), expected);
    assert_eq!(words("exec:a\nb"), ["a\nb"]);
    for text in ["exec:", "exec: ", "exec:\t \t"] {
        let empty = "exec: names no program; it is exec:PROGRAM [ARG…]";
        assert_eq!(parse(text), Err(empty.to_owned()), "{text:?}");
    }
    for text in ["exec:sh -c \"sign it\"", "exec:'my program'", "exec:sign '' x", "exec:\"a b\""] {
        let quoted = "exec: is split at blanks only, and knows no quotation marks";
        assert_eq!(parse(text), Err(quoted.to_owned()), "{text:?}");
    }
}

#[test]
fn no_text_about_a_program_shows_its_arguments() {
    let reference = KeyRef::parse(Path::new("exec:/opt/sign --token swordfish")).unwrap();
    assert_eq!(format!("{reference:?}"), r#"Exec(ExecCommand("/opt/sign", 2 arguments))"#);
}

#[test]
fn a_program_needs_a_public_key_that_is_not_weak() {
    let reference = KeyRef::parse(Path::new("exec:/nonexistent")).unwrap();
    let none = reference.find(&FindOptions::default());
    assert!(matches!(none, Err(FindKeyError::NoPublicKey)));
    let mut bytes = [0; 32];
    bytes[0] = 1;
    let weak = PublicKey::from_bytes(&bytes).unwrap();
    assert!(weak.is_weak());
    let found = reference.find(&FindOptions::default().with_public_key(weak));
    assert!(matches!(found, Err(FindKeyError::Weak)));
    // Finding the key does not start the program.
    let public = SecretKey::generate(&mut SysRng).unwrap().public().clone();
    let found = reference.find(&FindOptions::default().with_public_key(public.clone())).unwrap();
    assert!(found.signs_elsewhere() && !found.is_sealed());
    assert_eq!((found.name(), found.public()), ("nonexistent", &public));
}

#[test]
fn a_keyfile_is_not_found_with_another_pinned_key() {
    let folder = tempfile::tempdir().unwrap();
    let [secret, other] = [(); 2].map(|()| SecretKey::generate(&mut SysRng).unwrap());
    let plain = Keyfile::plain(&secret, "bob", Timestamp::from_unix(0)).unwrap();
    create_keyfile(&folder.path().join("key.json"), &plain).unwrap();
    let reference = KeyRef::File(folder.path().join("key.json"));
    let lookup = |key: &SecretKey| FindOptions::default().with_public_key(key.public().clone());
    assert_eq!(reference.find(&lookup(&secret)).unwrap().public(), secret.public());
    let error = reference.find(&lookup(&other)).unwrap_err();
    let (found, pinned) = (secret.public().id(), other.public().id());
    let words = format!("the key is {found}, and the public key that was given is {pinned}");
    assert_eq!(error.to_string(), words);
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
    let find = |name: &str| KeyRef::File(folder.path().join(name)).find(&FindOptions::default());
    let found = find("sealed.json").unwrap();
    assert!(found.is_sealed() && !found.signs_elsewhere());
    assert_eq!((found.name(), found.public()), ("alice", secret.public()));
    let signer = found.open(Some(b"a passphrase")).unwrap();
    assert_eq!(signer.sign(b"message").unwrap(), secret.sign(b"message").unwrap());
    let wrong = find("sealed.json").unwrap().open(Some(b"another"));
    assert!(matches!(wrong.err(), Some(OpenKeyError::Keyfile(KeyfileError::WrongPassphrase))));
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
    assert!(matches!(alice.find(&FindOptions::default()), Err(FindKeyError::NoAgent)));
    let folder = tempfile::tempdir().unwrap();
    let gone =
        alice.find(&FindOptions::default().with_agent(folder.path().join("agent"))).unwrap_err();
    assert!(matches!(gone, FindKeyError::Agent(_)), "{gone}");
    assert!(gone.to_string().starts_with("there is no ssh-agent at "), "{gone}");
}
