//! Keyfiles: sealing, opening, everything that must not open, and the files on disk.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use mcpid::clock::Timestamp;
use mcpid::key::keyfile::{KdfCost, Keyfile, KeyfileError, MAX_BYTES};
use mcpid::key::store::{StoreError, create_keyfile, load_keyfile, replace_keyfile};
use mcpid::key::{SecretKey, Sign as _};
use rand::rngs::SysRng;

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

/// Reads and opens at once; each failure is an error.
fn open(bytes: &[u8]) -> Result<SecretKey, KeyfileError> {
    Keyfile::from_json(bytes)?.open(Some(PASSPHRASE))
}

#[test]
fn seals_and_opens() {
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

/// A keyfile made without the library, from the words of its description, with members in any
/// order and a name that the canonical form must escape in every way.
fn by_hand(seed: [u8; 32]) -> String {
    let secret = SecretKey::from_seed(&seed);
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (x, kid) = (b64(secret.public().as_bytes()), secret.public().id().to_string());
    let (salt, nonce) = ([7; 16], [9; 24]);
    let (salt64, nonce64) = (b64(&salt), b64(&nonce));
    // The RFC 8785 form, written out.
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
fn opens_what_another_program_made() {
    let seed = [0xc3; 31].iter().copied().chain([1]).collect::<Vec<u8>>().try_into().unwrap();
    let text = by_hand(seed);
    let file = Keyfile::from_json(text.as_bytes()).unwrap();
    assert_eq!(file.name(), "\u{8}\t\n\u{c}\r\u{1}\u{1f}\"\\/é€𝄞");
    assert_eq!(file.created(), created());
    let secret = file.open(Some(PASSPHRASE)).unwrap();
    assert_eq!(secret.public(), SecretKey::from_seed(&seed).public());
    // Written by us and read again it still opens: the additional data is what was parsed.
    assert!(open(file.to_json().as_bytes()).is_ok());
    // The date in other words is another date to the seal.
    let other = text.replace("2026-11-23T16:00:00+01:00", "2026-11-23T15:00:00Z");
    assert!(matches!(open(other.as_bytes()), Err(KeyfileError::WrongPassphrase)));
}

#[test]
fn one_flipped_bit_anywhere_and_it_does_not_open() {
    let (_, file) = sealed("agent");
    let json = file.to_json().as_bytes().to_vec();
    assert!(open(&json).is_ok());
    for bit in 0..json.len() * 8 {
        let mut changed = json.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&changed).is_err(), "bit {bit}: {}", String::from_utf8_lossy(&changed));
    }
}

#[test]
fn one_flipped_bit_in_a_plain_key_and_it_does_not_load() {
    let (_, file) = plain();
    let json = file.to_json().as_bytes().to_vec();
    let text = String::from_utf8(json.clone()).unwrap();
    for member in ["\"secret\":\"", "\"x\":\"", "\"kid\":\""] {
        let start = text.find(member).unwrap() + member.len();
        for bit in start * 8..(start + 43) * 8 {
            let mut changed = json.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Keyfile::from_json(&changed).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn cut_anywhere_it_does_not_open() {
    for file in [sealed("agent").1, plain().1] {
        let json = file.to_json();
        for length in 0..json.len() {
            assert!(open(&json.as_bytes()[..length]).is_err(), "{length} bytes");
        }
        assert!(open(json.as_bytes()).is_ok());
    }
}

#[test]
fn every_member_is_checked() {
    let (_, file) = sealed("agent");
    let json = file.to_json();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let (x, kid) =
        (value["public"]["x"].as_str().unwrap(), value["public"]["kid"].as_str().unwrap());
    let salt = value["kdf"]["salt"].as_str().unwrap();
    let nonce = value["cipher"]["nonce"].as_str().unwrap();
    let secret = value["secret"].as_str().unwrap();
    let other = SecretKey::generate(&mut SysRng).unwrap();
    let other_kid = other.public().id().as_str();
    let small_order = URL_SAFE_NO_PAD.encode([0; 32]);
    let not_a_point = URL_SAFE_NO_PAD.encode([0xff; 32]);
    let cases: Vec<(&str, String, &str)> = vec![
        (r#""kty":"OKP""#, r#""kty":"EC""#.into(), "\"kty\" is \"EC\""),
        (r#""crv":"Ed25519""#, r#""crv":"Ed448""#.into(), "\"crv\" is \"Ed448\""),
        (x, format!("{x}="), "\"x\" is not base64url"),
        (x, x[1..].into(), "\"x\""),
        (x, small_order, "weak"),
        (x, not_a_point, "canonical"),
        (kid, other_kid.into(), "thumbprint"),
        ("argon2id", "argon2i".into(), "argon2i"),
        ("argon2id", "scrypt".into(), "scrypt"),
        (salt, URL_SAFE_NO_PAD.encode([1; 15]), "15 bytes"),
        (salt, URL_SAFE_NO_PAD.encode([1; 65]), "65 bytes"),
        (salt, format!("{salt}=="), "\"salt\""),
        ("xchacha20-poly1305", "chacha20-poly1305".into(), "chacha20-poly1305"),
        (nonce, URL_SAFE_NO_PAD.encode([1; 12]), "12 bytes"),
        (nonce, URL_SAFE_NO_PAD.encode([1; 25]), "25 bytes"),
        (secret, URL_SAFE_NO_PAD.encode([1; 32]), "32 bytes, not 48"),
        (secret, secret.replace(&secret[..1], "+"), "\"secret\" is not base64url"),
        (r#""memory_kib":8"#, r#""memory_kib":8.0"#.into(), "integer"),
        (r#""memory_kib":8"#, r#""memory_kib":"8""#.into(), "integer"),
        (r#""memory_kib":8"#, r#""memory_kib":-8"#.into(), "integer"),
        (r#""passes":1"#, r#""passes":1e0"#.into(), "integer"),
        (r#""passes":1"#, r#""passes":true"#.into(), "integer"),
        (r#""lanes":1"#, r#""lanes":null"#.into(), "integer"),
        (r#""name":"agent""#, r#""name":7"#.into(), "not a string"),
        ("2026-11-23T15:00:00Z", "yesterday".into(), "RFC 3339"),
        ("2026-11-23T15:00:00Z", "2026-11-23T15:00:00".into(), "RFC 3339"),
        // Missing, unknown and repeated members, at every level.
        (r#""name":"agent","#, String::new(), "\"name\" is missing"),
        (r#""lanes":1,"#, String::new(), "\"lanes\" is missing"),
        (r#""name":"agent","#, r#""name":"agent","note":"x","#.into(), "\"note\" is not known"),
        (r#""kty":"OKP","#, r#""kty":"OKP","d":"x","#.into(), "\"d\" is not known"),
        (r#""lanes":1,"#, r#""lanes":1,"key":1,"#.into(), "\"key\" is not known"),
        (r#""cipher":{"#, r#""cipher":{"tag":"","#.into(), "\"tag\" is not known"),
        (r#""name":"agent","#, r#""name":"agent","name":"agent","#.into(), "\"name\" stands twice"),
        (
            r#""name":"agent","#,
            r#""name":"agent","\u006eame":"b","#.into(),
            "\"name\" stands twice",
        ),
        (r#""lanes":1,"#, r#""lanes":1,"lanes":1,"#.into(), "\"lanes\" stands twice"),
        (r#""kty":"OKP","#, r#""kty":"OKP","kty":"OKP","#.into(), "\"kty\" stands twice"),
    ];
    for (from, to, why) in cases {
        let changed = json.replacen(from, &to, 1);
        assert_ne!(changed, *json, "{from}");
        let error = Keyfile::from_json(changed.as_bytes()).unwrap_err();
        assert!(matches!(error, KeyfileError::Damaged(_)), "{to}: {error}");
        assert!(error.to_string().contains(why), "{to}: {error}");
        assert!(!error.to_string().contains(secret), "{error}");
    }
}

#[test]
fn costs_are_bounded_before_any_work() {
    let json = sealed("agent").1.to_json();
    let with = |member: &str, value: u64| {
        let start = json.find(member).unwrap() + member.len() + 2;
        let end = start + json[start..].find([',', '}']).unwrap();
        Keyfile::from_json(format!("{}{value}{}", &json[..start], &json[end..]).as_bytes())
    };
    for (member, value, words) in [
        ("memory_kib", 16 << 20, "asks for 16777216 KiB of memory, the limit is 1048576"),
        ("memory_kib", (1 << 20) + 1, "asks for 1048577 KiB of memory, the limit is 1048576"),
        (
            "memory_kib",
            u64::MAX,
            "asks for 18446744073709551615 KiB of memory, the limit is 1048576",
        ),
        ("passes", 17, "asks for 17 passes, the limit is 16"),
        ("lanes", 17, "asks for 17 lanes, the limit is 16"),
        ("memory_kib", 7, "7 KiB of memory is too little, at least 8 are needed"),
        ("passes", 0, "0 passes is too little, at least 1 are needed"),
        ("lanes", 0, "0 lanes is too little, at least 1 are needed"),
        ("lanes", 2, "8 KiB of memory is too little, at least 16 are needed"),
    ] {
        assert_eq!(with(member, value).unwrap_err().to_string(), words);
    }
    // The limits themselves are fine; nothing is allocated until the file is opened.
    assert_eq!(with("memory_kib", 1 << 20).unwrap().cost().unwrap().memory_kib(), 1 << 20);
    assert_eq!(with("passes", 16).unwrap().cost().unwrap().passes(), 16);
    let most = KdfCost::new(128, 16, 16).unwrap();
    assert_eq!((most.memory_kib(), most.passes(), most.lanes()), (128, 16, 16));
}

#[test]
fn the_default_cost_is_the_contract() {
    let cost = KdfCost::DEFAULT;
    assert_eq!((cost.memory_kib(), cost.passes(), cost.lanes()), (65_536, 3, 1));
}

#[test]
fn more_lanes_open_too() {
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
    // The author of a file can seal any seed beside any public key.
    let (secret, other) = (SecretKey::from_seed(&[3; 32]), SecretKey::from_seed(&[4; 32]));
    let text = by_hand([3; 32]);
    let b64 = |key: &SecretKey| URL_SAFE_NO_PAD.encode(key.public().as_bytes());
    let id = |key: &SecretKey| key.public().id().to_string();
    let swapped = text.replace(&b64(&secret), &b64(&other)).replace(&id(&secret), &id(&other));
    assert!(open(swapped.as_bytes()).is_err());
}

#[test]
fn what_is_no_keyfile_is_not_called_damaged() {
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

// --- on disk ---

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// No temporary file is left behind.
fn only(folder: &Path, names: &[&str]) {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, names);
}

#[test]
fn new_files_are_private_and_never_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let (secret, file) = sealed("agent");
    create_keyfile(&path, &file).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(load_keyfile(&path).unwrap().public(), secret.public());
    assert_eq!(fs::read_to_string(&path).unwrap(), *file.to_json());

    let before = fs::read(&path).unwrap();
    assert!(matches!(create_keyfile(&path, &plain().1), Err(StoreError::Exists)));
    assert_eq!(fs::read(&path).unwrap(), before);
    only(folder.path(), &["key.json"]);

    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for taken in ["link", "folder"] {
        let made = create_keyfile(&folder.path().join(taken), &file);
        assert!(matches!(made, Err(StoreError::Exists)), "{taken}");
    }
    let missing = create_keyfile(&folder.path().join("no/key.json"), &file);
    assert!(matches!(missing, Err(StoreError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound));
    only(folder.path(), &["folder", "key.json", "link"]);
}

#[test]
fn a_plain_key_that_others_can_reach_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    create_keyfile(&path, &plain().1).unwrap();
    assert!(load_keyfile(&path).is_ok());
    for open in [0o640, 0o604, 0o644, 0o660, 0o620, 0o602, 0o666] {
        set_mode(&path, open);
        assert!(matches!(load_keyfile(&path), Err(StoreError::TooOpen { mode }) if mode == open));
    }
    set_mode(&path, 0o400);
    assert!(load_keyfile(&path).is_ok());
    let sealed_path = folder.path().join("sealed.json");
    create_keyfile(&sealed_path, &sealed("agent").1).unwrap();
    set_mode(&sealed_path, 0o644);
    assert!(load_keyfile(&sealed_path).is_ok(), "a sealed key may be read");
}

#[test]
fn replacing_is_whole_and_only_of_regular_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let (secret, file) = sealed("agent");
    create_keyfile(&path, &file).unwrap();
    set_mode(&path, 0o640);
    let again = file.sealed_again(&secret, b"new", cheap(), &mut SysRng).unwrap();
    replace_keyfile(&path, &again).unwrap();
    assert_eq!(mode(&path), 0o600);
    let read = load_keyfile(&path).unwrap();
    assert!(read.open(Some(b"new")).is_ok());
    assert!(matches!(read.open(Some(PASSPHRASE)), Err(KeyfileError::WrongPassphrase)));

    let before = fs::read(&path).unwrap();
    let link = folder.path().join("link.json");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(replace_keyfile(&link, &file), Err(StoreError::NotRegular(_))));
    assert!(matches!(replace_keyfile(folder.path(), &file), Err(StoreError::NotRegular(_))));
    let none = replace_keyfile(&folder.path().join("none"), &file);
    assert!(matches!(none, Err(StoreError::Io(_))));
    assert_eq!(fs::read(&path).unwrap(), before);
    only(folder.path(), &["key.json", "link.json"]);
}

#[test]
fn what_is_not_a_file_is_said_to_be_that() {
    let folder = tempfile::tempdir().unwrap();
    let error = load_keyfile(folder.path()).unwrap_err();
    assert_eq!(error.to_string(), "a folder, not a regular file");
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = load_keyfile(&socket).unwrap_err();
    assert_eq!(error.to_string(), "a device, pipe or socket, not a regular file");
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(matches!(load_keyfile(&pipe), Err(StoreError::NotRegular(_))));
    let big = folder.path().join("big");
    fs::write(&big, vec![b' '; MAX_BYTES + 1]).unwrap();
    assert!(matches!(load_keyfile(&big), Err(StoreError::TooLarge { .. })));
    let missing = load_keyfile(&folder.path().join("missing"));
    assert!(matches!(missing, Err(StoreError::Io(_))));
}

#[test]
fn of_many_that_create_one_file_only_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.json"));
        let files: Vec<Keyfile> = (0..8).map(|_| plain().1).collect();
        let start = std::sync::Barrier::new(files.len());
        let made: Vec<bool> = std::thread::scope(|scope| {
            let create = |file| {
                start.wait();
                create_keyfile(&path, file).is_ok()
            };
            let threads: Vec<_> =
                files.iter().map(|file| scope.spawn(move || create(file))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|made| **made).count(), 1);
        let winner = made.iter().position(|made| *made).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), *files[winner].to_json());
    }
}
