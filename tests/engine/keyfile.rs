//! Tests of keyfiles: encrypting, decrypting, files that must not be decrypted, and files on disk.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use mcpid::clock::Timestamp;
use mcpid::key::file_io::{FileError, create_keyfile, load_keyfile, replace_keyfile};
use mcpid::key::keyfile::{KdfCost, Keyfile, KeyfileError, MAX_BYTES};
use mcpid::key::{SecretKey, Sign as _};
use rand::rngs::SysRng;

mod damage;
mod files;

const PASSPHRASE: &[u8] = b"correct horse battery staple";

fn cheap() -> KdfCost {
    KdfCost::new(8, 1, 1).unwrap()
}

fn created() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-23T15:00:00Z").unwrap()
}

fn sealed(name: &str) -> (SecretKey, Keyfile) {
    let secret = SecretKey::generate(&mut SysRng).unwrap();
    let file = Keyfile::seal(&secret, name, created(), PASSPHRASE, cheap(), &mut SysRng).unwrap();
    (secret, file)
}

fn plain() -> (SecretKey, Keyfile) {
    let secret = SecretKey::generate(&mut SysRng).unwrap();
    let file = Keyfile::plain(&secret, "agent", created()).unwrap();
    (secret, file)
}

/// Parses and decrypts a keyfile. Both can fail.
fn open(bytes: &[u8]) -> Result<SecretKey, KeyfileError> {
    Keyfile::from_json(bytes)?.open(Some(PASSPHRASE))
}

#[test]
fn a_sealed_keyfile_opens_with_its_passphrase() {
    for name in ["agent", "Ünïcode \"quoted\" \\ / e\u{301}", "𝄞\u{ffff}"] {
        let (secret, file) = sealed(name);
        let json = file.to_json();
        let read = Keyfile::from_json(json.as_bytes()).unwrap();
        assert_eq!((read.name(), read.created(), read.is_plain()), (name, created(), false));
        assert_eq!(read.public(), secret.public());
        assert_eq!(read.cost(), Some(cheap()));
        assert_eq!(*read.to_json(), *json);
        let opened = read.open(Some(PASSPHRASE)).unwrap();
        assert_eq!(opened.sign(b"x").unwrap(), secret.sign(b"x").unwrap());
    }
}

#[test]
fn plain_files_need_no_passphrase_and_ignore_one() {
    let (secret, file) = plain();
    let read = Keyfile::from_json(file.to_json().as_bytes()).unwrap();
    assert!(read.is_plain());
    assert_eq!(read.cost(), None);
    for passphrase in [None, Some(PASSPHRASE)] {
        assert_eq!(read.open(passphrase).unwrap().public(), secret.public());
    }
}

#[test]
fn salt_and_nonce_are_fresh_each_time() {
    let (secret, file) = sealed("agent");
    let again = file.sealed_again(&secret, PASSPHRASE, cheap(), &mut SysRng).unwrap();
    let parts = |file: &Keyfile| {
        let value: serde_json::Value = serde_json::from_str(&file.to_json()).unwrap();
        (value["kdf"]["salt"].to_string(), value["cipher"]["nonce"].to_string())
    };
    assert_ne!(parts(&file).0, parts(&again).0);
    assert_ne!(parts(&file).1, parts(&again).1);
}

#[test]
fn passphrases_are_bytes_and_must_be_right() {
    let (secret, file) = sealed("agent");
    assert!(matches!(file.open(None), Err(KeyfileError::PassphraseNeeded)));
    let near: [&[u8]; 5] = [
        b"",
        b"Correct horse battery staple",
        b"correct horse battery staple\n",
        b"x",
        &[0xff; 99],
    ];
    for wrong in near {
        assert!(matches!(file.open(Some(wrong)), Err(KeyfileError::WrongPassphrase)));
    }
    let bytes = [0xff, 0x00, 0x80];
    let odd = file.sealed_again(&secret, &bytes, cheap(), &mut SysRng).unwrap();
    assert_eq!(odd.open(Some(&bytes)).unwrap().public(), secret.public());
    assert!(matches!(odd.open(Some(PASSPHRASE)), Err(KeyfileError::WrongPassphrase)));
    let empty = file.sealed_again(&secret, b"", cheap(), &mut SysRng);
    assert!(matches!(empty, Err(KeyfileError::PassphraseEmpty)));
}

#[test]
fn sealing_again_keeps_the_rest_and_wants_the_same_key() {
    let (secret, file) = sealed("agent");
    let other = SecretKey::generate(&mut SysRng).unwrap();
    let open = file.plain_again(&secret).unwrap();
    assert!(open.is_plain());
    assert_eq!((open.name(), open.created(), open.public()), ("agent", created(), secret.public()));
    assert!(matches!(file.plain_again(&other), Err(KeyfileError::PublicMismatch)));
    let again = file.sealed_again(&other, PASSPHRASE, cheap(), &mut SysRng);
    assert!(matches!(again, Err(KeyfileError::PublicMismatch)));
}

#[test]
fn new_names_are_short_and_printable() {
    let secret = SecretKey::generate(&mut SysRng).unwrap();
    let long = "n".repeat(257);
    for name in ["", "a\nb", "\u{1b}[31mred", "\u{7f}", "\u{9b}", long.as_str()] {
        let made = Keyfile::plain(&secret, name, created());
        assert!(matches!(made, Err(KeyfileError::Name)), "{name:?}");
    }
    assert!(Keyfile::plain(&secret, &long[1..], created()).is_ok());
}

/// Returns a keyfile that is made without the library's keyfile code, only from the description of
/// the format. Its members are in another order, and its name needs every kind of escape in the
/// canonical form.
fn by_hand(seed: [u8; 32]) -> String {
    let secret = SecretKey::from_seed(&seed);
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (x, kid) = (b64(secret.public().as_bytes()), secret.public().id().to_string());
    let (salt, nonce) = ([7; 16], [9; 24]);
    let (salt64, nonce64) = (b64(&salt), b64(&nonce));
    // The authenticated data in canonical JSON (RFC 8785), written by hand.
    let additional = format!(
        concat!(
            r#"{{"cipher":{{"name":"xchacha20-poly1305","nonce":"{}"}},"#,
            r#""created":"2026-11-23T16:00:00+01:00","#,
            r#""kdf":{{"lanes":1,"memory_kib":8,"name":"argon2id","passes":2,"salt":"{}"}},"#,
            r#""mcpid":"keyfile/1","name":"\b\t\n\f\r\u0001\u001f\"\\/é€𝄞","#,
            r#""public":{{"crv":"Ed25519","kid":"{}","kty":"OKP","x":"{}"}}}}"#
        ),
        nonce64, salt64, kid, x
    );
    let mut key = [0; 32];
    let params = argon2::Params::new(8, 2, 1, Some(32)).unwrap();
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(PASSPHRASE, &salt, &mut key)
        .unwrap();
    let sealed = chacha20poly1305::XChaCha20Poly1305::new(&key.into())
        .encrypt(&nonce.into(), Payload { msg: &seed, aad: additional.as_bytes() })
        .unwrap();
    format!(
        concat!(
            r#"{{ "secret":"{}", "public":{{"kid":"{}","x":"{}","crv":"Ed25519","kty":"OKP"}},"#,
            r#" "name":"\u0008\u0009\u000A\u000c\u000d\u0001\u001F\u0022\u005c\/\u00e9\u20AC\ud834\udd1e","#,
            r#" "kdf":{{"salt":"{}","name":"argon2id","passes":2,"memory_kib":8,"lanes":1}},"#,
            r#" "created":"2026-11-23T16:00:00+01:00", "mcpid":"keyfile/1","#,
            r#" "cipher":{{"nonce":"{}","name":"xchacha20-poly1305"}} }}"#
        ),
        b64(&sealed),
        kid,
        x,
        salt64,
        nonce64
    )
}

#[test]
fn a_keyfile_of_another_program_opens() {
    let seed = [0xc3; 31].iter().copied().chain([1]).collect::<Vec<u8>>().try_into().unwrap();
    let text = by_hand(seed);
    let file = Keyfile::from_json(text.as_bytes()).unwrap();
    assert_eq!(file.name(), "\u{8}\t\n\u{c}\r\u{1}\u{1f}\"\\/é€𝄞");
    assert_eq!(file.created(), created());
    let secret = file.open(Some(PASSPHRASE)).unwrap();
    assert_eq!(secret.public(), SecretKey::from_seed(&seed).public());
    // The keyfile can also be decrypted after the library has rewritten it, because the
    // authenticated data stays the same.
    assert!(open(file.to_json().as_bytes()).is_ok());
    // The same time in another spelling changes the authenticated data, so the keyfile cannot be
    // decrypted.
    let other = text.replace("2026-11-23T16:00:00+01:00", "2026-11-23T15:00:00Z");
    assert!(matches!(open(other.as_bytes()), Err(KeyfileError::WrongPassphrase)));
}

#[test]
fn the_default_cost_of_argon2_is_the_documented_one() {
    let cost = KdfCost::DEFAULT;
    assert_eq!((cost.memory_kib(), cost.passes(), cost.lanes()), (65_536, 3, 1));
}

#[test]
fn a_keyfile_with_more_argon2_lanes_opens() {
    let secret = SecretKey::generate(&mut SysRng).unwrap();
    let cost = KdfCost::new(64, 2, 4).unwrap();
    let file = Keyfile::seal(&secret, "a", created(), PASSPHRASE, cost, &mut SysRng).unwrap();
    assert_eq!(open(file.to_json().as_bytes()).unwrap().public(), secret.public());
}

#[test]
fn plain_files_have_a_shape_of_their_own() {
    let json = plain().1.to_json();
    let other = SecretKey::generate(&mut SysRng).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let secret = value["secret"].as_str().unwrap();
    let kdf = r#""kdf":{"name":"argon2id","memory_kib":8,"passes":1,"lanes":1,"salt":"AAAAAAAAAAAAAAAAAAAAAA"},"secret""#;
    for (from, to) in [
        ("\"secret\"", kdf),
        (r#"{"name":"none"}"#, r#"{"name":"none","nonce":"x"}"#),
        (r#"{"name":"none"}"#, r#"{"name":"None"}"#),
        (r#"{"name":"none"}"#, r#""none""#),
        (secret, &secret[2..]),
        (secret, &URL_SAFE_NO_PAD.encode([7; 32])),
        (value["public"]["kid"].as_str().unwrap(), other.public().id().as_str()),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, *json);
        assert!(Keyfile::from_json(changed.as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn a_seal_over_the_wrong_seed_does_not_open() {
    // The author of a keyfile can encrypt any seed beside any public key, so the two are compared
    // after decryption.
    let (secret, other) = (SecretKey::from_seed(&[3; 32]), SecretKey::from_seed(&[4; 32]));
    let text = by_hand([3; 32]);
    let b64 = |key: &SecretKey| URL_SAFE_NO_PAD.encode(key.public().as_bytes());
    let id = |key: &SecretKey| key.public().id().to_string();
    let swapped = text.replace(&b64(&secret), &b64(&other)).replace(&id(&secret), &id(&other));
    assert!(open(swapped.as_bytes()).is_err());
}

#[test]
fn a_file_that_is_no_keyfile_is_not_called_damaged() {
    let big = vec![b' '; MAX_BYTES + 1];
    let not_ours: [&[u8]; 9] = [
        b"",
        b"{}",
        b"[]",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x7fELF",
        b"{\"keys\":[]}",
        b"{\"mcpid\":1}",
        b"{\"mcpid\":\"trust/1\"}",
        &big,
    ];
    for bytes in not_ours {
        assert!(matches!(Keyfile::from_json(bytes), Err(KeyfileError::NotAKeyfile)));
    }
    let newer = sealed("agent").1.to_json().replace("keyfile/1", "keyfile/2");
    let error = Keyfile::from_json(newer.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "a keyfile of the unknown version \"keyfile/2\"");
}

#[test]
fn debug_shows_no_secrets() {
    let (secret, file) = plain();
    let value: serde_json::Value = serde_json::from_str(&file.to_json()).unwrap();
    let shown = format!("{file:?} {secret:?}");
    assert!(!shown.contains(value["secret"].as_str().unwrap()));
    let seed = URL_SAFE_NO_PAD.decode(value["secret"].as_str().unwrap()).unwrap();
    for part in seed.windows(4) {
        assert!(!shown.contains(&format!("{}, {}, {}, {}", part[0], part[1], part[2], part[3])));
        let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!shown.contains(&hex));
    }
    assert!(shown.contains(secret.public().id().as_str()));
}

// --- keyfiles on disk ---
