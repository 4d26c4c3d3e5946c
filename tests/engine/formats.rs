//! Tests of reading and writing keys in other formats: PEM, OpenSSH, JWK, did:key and bare seeds.

mod tools;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use mcpid::clock::Timestamp;
use mcpid::key::format::{self, FormatError, JwkAlg, read_private, read_public};
use mcpid::key::keyfile::Keyfile;
use mcpid::key::{PublicKey, SecretKey, Sign as _};
use rand::rngs::SysRng;

use tools::ssh_keygen;

fn fresh() -> SecretKey {
    SecretKey::generate(&mut SysRng).unwrap()
}

/// Returns the seed of a key, from a keyfile without a passphrase, because no other function
/// reveals it.
fn seed(secret: &SecretKey) -> [u8; 32] {
    let file = Keyfile::plain(secret, "test", Timestamp::from_unix(0)).unwrap();
    let value: serde_json::Value = serde_json::from_str(&file.to_json()).unwrap();
    let seed = URL_SAFE_NO_PAD.decode(value["secret"].as_str().unwrap()).unwrap();
    seed.try_into().unwrap()
}

fn public(bytes: &[u8]) -> PublicKey {
    let mut import = read_public(bytes).unwrap();
    assert_eq!(import.keys.len(), 1);
    import.keys.remove(0).key
}

fn refused<T: std::fmt::Debug>(result: Result<T, FormatError>, words: &str) {
    let error = result.expect_err(words).to_string();
    assert!(error.contains(words), "{error:?} should say {words:?}");
    assert!(!error.ends_with('.') && !error.starts_with(char::is_uppercase), "{error}");
}

fn private_jwk(secret: &SecretKey) -> String {
    let d = URL_SAFE_NO_PAD.encode(seed(secret));
    let x = URL_SAFE_NO_PAD.encode(secret.public().as_bytes());
    format!(r#"{{"kty":"OKP","crv":"Ed25519","d":"{d}","x":"{x}"}}"#)
}

#[test]
fn pkcs8_of_version_2_must_agree_with_itself() {
    let secret = fresh();
    let pem = |public: &[u8], last: &[u8]| {
        // The key in PKCS#8 version 2 (RFC 5958): the seed, and the public key in the field [1].
        let mut der = b"\x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend(seed(&secret));
        der.extend(b"\x81\x21\x00");
        der.extend(public);
        der.extend(last);
        let body = STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    };
    let good = pem(secret.public().as_bytes(), b"");
    assert_eq!(read_private(good.as_bytes()).unwrap().public(), secret.public());
    refused(read_private(pem(fresh().public().as_bytes(), b"").as_bytes()), "not a proper PKCS#8");
    refused(read_private(pem(secret.public().as_bytes(), b"x").as_bytes()), "not a proper PKCS#8");
}

#[test]
fn broken_pem_is_refused() {
    let secret = fresh();
    let good = format::spki_pem(secret.public());
    assert_eq!(&public(good.as_bytes()), secret.public());
    for (from, to, words) in [
        ("-----END PUBLIC KEY-----", "", "END line is missing"),
        ("END PUBLIC", "END PRIVATE", "END line is missing"),
        ("BEGIN PUBLIC KEY-----", "BEGIN PUBLIC KEY", "BEGIN line is broken"),
        ("KEY-----\nM", "KEY-----\nX: y\n\nM", "not base64"),
        ("KEY-----\nMC", "KEY-----\nM C", "not base64"),
        ("=\n", "\n", "not base64"),
        ("MCowBQYDK2VwAyEA", "MCowBQYDK2VwAyEB", "RFC 8410"),
        ("MCowBQYDK2VwAyEA", "MCowBQYDK2VwAyEAAAAA", "RFC 8410"),
        ("-----END", "-----BEGIN PUBLIC KEY-----\n-----END", "END line is missing"),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        refused(read_public(changed.as_bytes()), words);
    }
    let other = "-----BEGIN PGP MESSAGE-----\n-----END PGP MESSAGE-----\n";
    refused(read_public(other.as_bytes()), "OpenPGP");
    let strange = "-----BEGIN THING-----\n-----END THING-----\n";
    refused(read_private(strange.as_bytes()), "a PEM block \"THING\", not a private key");
}

#[test]
fn a_broken_openssh_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (private, _) = ssh_keygen(folder.path(), &["-t", "ed25519"], "", "comment");
    let text = String::from_utf8(private).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes = STANDARD.decode(body).unwrap();
    let pem = |bytes: &[u8]| {
        let body = STANDARD.encode(bytes);
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n")
    };
    read_private(pem(&bytes).as_bytes()).unwrap();
    for length in 0..bytes.len() {
        assert!(read_private(pem(&bytes[..length]).as_bytes()).is_err(), "{length}");
    }
    assert!(read_private(pem(&[&bytes[..], b"\0"].concat()).as_bytes()).is_err());
    // A changed comment is accepted, because it is not authenticated. A change of any other byte is
    // refused.
    let comment = bytes.windows(7).position(|window| window == b"comment").unwrap();
    for at in (0..bytes.len()).filter(|at| !(comment..comment + 7).contains(at)) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(read_private(pem(&changed).as_bytes()).is_err(), "byte {at}");
    }
}

#[test]
fn private_jwks_are_read_and_must_agree() {
    let secret = fresh();
    let good = private_jwk(&secret);
    assert_eq!(read_private(good.as_bytes()).unwrap().public(), secret.public());
    let with = |members: &str| good.replacen('{', &format!("{{{members},"), 1);
    for fine in
        [r#""use":"sig""#, r#""key_ops":["sign","verify"]"#, r#""alg":"EdDSA""#, r#""x-y":[1.5]"#]
    {
        assert!(read_private(with(fine).as_bytes()).is_ok(), "{fine}");
    }
    for (bad, words) in [
        (with(r#""use":"enc""#), "its \"use\" is \"enc\""),
        (with(r#""use":1"#), "\"use\" is a number, not a string"),
        (with(r#""key_ops":["verify"]"#), "do not name \"sign\""),
        (with(r#""key_ops":"sign""#), "not an array of strings"),
        (with(r#""alg":"ES256""#), "its \"alg\" is \"ES256\""),
        (with(r#""d":"x""#), "the member \"d\" stands twice"),
        (with(r#""\u0064":"x""#), "the member \"d\" stands twice"),
        (good.replace("Ed25519", "X25519"), "an X25519 key"),
        (good.replace("Ed25519", "Ed448"), "an Ed448 key"),
        (good.replace("OKP", "RSA"), "an RSA key"),
        (good.replace("\"d\"", "\"D\""), "a public key, not a private key"),
        (good.replace("\"x\"", "\"X\""), "\"x\" is missing"),
        (good.replace(r#""x":""#, r#""x":"A"#), "\"x\""),
        (good.replace("}", " "), "not a proper JSON"),
        (format!("{good} {good}"), "not a proper JSON"),
        (format!(r#"{{"keys":[{good}]}}"#), "a JWK set"),
    ] {
        refused(read_private(bad.as_bytes()), words);
    }
    let x = URL_SAFE_NO_PAD.encode(secret.public().as_bytes());
    let other = good.replace(&x, &URL_SAFE_NO_PAD.encode(fresh().public().as_bytes()));
    refused(read_private(other.as_bytes()), "\"x\" is not the public key of \"d\"");
    refused(read_private(good.replace(&x, &format!("{x}=")).as_bytes()), "base64url");
    refused(read_public(good.as_bytes()), "a private key, not a public key");
}

#[test]
fn errors_never_repeat_a_secret() {
    let secret = fresh();
    let good = private_jwk(&secret);
    let d = URL_SAFE_NO_PAD.encode(seed(&secret));
    for bad in [
        good.replace(&d, &format!("{d}=")),
        good.replace(&d, &format!("{d}A")),
        good.replace("\"x\"", "\"y\""),
        good.replace('}', ""),
        good.replace("\"}", ""),
        good.replace(&format!("\"{d}\""), &d),
        format!("{d}{d}"),
        format!("{d}!"),
    ] {
        let error = read_private(bad.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&d[..20]), "{error:?}");
    }
}

#[test]
fn bare_seeds_are_read_in_every_spelling() {
    // The seed is chosen so that its base64 contains both characters in which base64 and base64url
    // differ.
    let mut bytes = [0xfb; 32];
    (bytes[0], bytes[31]) = (0xff, 0x41);
    let expected = SecretKey::from_seed(&bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let spellings = [
        hex.clone(),
        hex.to_uppercase(),
        format!("{hex}\n"),
        format!("  {hex}\r\n"),
        STANDARD.encode(bytes),
        STANDARD_NO_PAD.encode(bytes),
        URL_SAFE.encode(bytes),
        URL_SAFE_NO_PAD.encode(bytes),
    ];
    for text in &spellings {
        assert_eq!(read_private(text.as_bytes()).unwrap().public(), expected.public(), "{text}");
    }
    let url = URL_SAFE_NO_PAD.encode(bytes);
    let mixed = url.replacen('_', "/", 1);
    assert!(mixed.contains(['/', '+']) && mixed.contains(['-', '_']));
    for bad in [
        &hex[1..],
        &format!("{hex}0"),
        &format!("0x{hex}"),
        &hex.replace("fb", "fg"),
        &url[1..],
        &format!("{url}=="),
        &mixed,
        &format!("{} {}", &hex[..32], &hex[32..]),
        &format!("{hex}\n{hex}"),
        &format!("{}F", &url[..42]), // the unused bits
    ] {
        refused(read_private(bad.as_bytes()), "not a key in any known form");
    }
}

#[test]
fn bare_public_keys_are_read_where_nothing_else_is_meant() {
    let key = fresh();
    let key = key.public();
    assert_eq!(&public(format::hex(key).as_bytes()), key);
    assert_eq!(&public(STANDARD.encode(key.as_bytes()).as_bytes()), key);
    assert_eq!(&public(URL_SAFE.encode(key.as_bytes()).as_bytes()), key);
    // Base64url without padding is refused, because a key id or the seed in a JWK looks the same.
    refused(read_public(URL_SAFE_NO_PAD.encode(key.as_bytes()).as_bytes()), "key id or a seed");
    refused(read_public(key.id().as_str().as_bytes()), "key id or a seed");
    refused(read_public("00".repeat(32).as_bytes()), "no public key");
    refused(read_public("ff".repeat(32).as_bytes()), "no public key");
}

#[test]
fn did_keys_are_written_and_read_back() {
    // Examples of the did:key specification. Their seeds are zeros, and zeros with a 1 at the end.
    let mut one = [0; 32];
    one[31] = 1;
    for (seed, did) in [
        ([0; 32], "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"),
        (one, "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG"),
    ] {
        let key = SecretKey::from_seed(&seed);
        assert_eq!(format::did_key(key.public()), did);
        assert_eq!(&public(did.as_bytes()), key.public());
        refused(read_private(did.as_bytes()), "a DID, not a private key");
        refused(read_public(format!("{did}#{}", &did[8..]).as_bytes()), "DID URL");
        refused(read_public(did.replace(":z6", ":6").as_bytes()), "begin with z");
        refused(read_public(did.replace("6Mk", "6M0").as_bytes()), "not base58");
        refused(read_public(did.replace("did:key", "did:web").as_bytes()), "another method");
        refused(read_public(format!("{did}z").as_bytes()), "");
        refused(read_public(format!("did:key:z{}", "6".repeat(100_000)).as_bytes()), "too long");
    }
    // A P-384 key, from the test vectors of the did:key specification, is refused.
    let p384 = "did:key:z82Lm1MpAkeJcix9K8TMiLd5NMAhnwkjjCBeWHXyu3U4oT2MVJJKXkcVBgjGhnLBn2Kaau9";
    refused(read_public(p384.as_bytes()), "another kind of key");
}

#[test]
fn jwks_are_written_and_read_back() {
    let secret = fresh();
    let key = secret.public();
    let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
    let id = key.id();
    let plain = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{id}","use":"sig"}}"#);
    assert_eq!(format::jwk(key, None), plain);
    assert_eq!(format::jwks(key, None), format!(r#"{{"keys":[{plain}]}}"#));
    for (alg, name) in [(JwkAlg::EdDsa, "EdDSA"), (JwkAlg::Ed25519, "Ed25519")] {
        let value: serde_json::Value = serde_json::from_str(&format::jwk(key, Some(alg))).unwrap();
        assert_eq!(value["alg"], name);
    }
    for text in [format::jwk(key, None), format::jwks(key, Some(JwkAlg::EdDsa))] {
        let import = read_public(text.as_bytes()).unwrap();
        assert_eq!(&import.keys[0].key, key);
        assert_eq!(import.keys[0].kid.as_deref(), Some(id.as_str()));
        assert!(import.skipped.is_empty());
    }
    let set = format!(
        r#"{{"keys":[{{"kty":"RSA","n":"x","e":"AQAB"}},{plain},{}]}}"#,
        plain.replace("\"sig\"", "\"enc\"")
    );
    let import = read_public(set.as_bytes()).unwrap();
    assert_eq!(import.keys.len(), 1);
    assert_eq!(import.skipped.len(), 2);
    assert_eq!(import.skipped[0], "key 1 is passed over: it is an RSA key");
    for (bad, words) in [
        (r#"{"keys":[]}"#.to_owned(), "without an Ed25519 or P-256 key"),
        (r#"{"keys":{}}"#.to_owned(), "not an array"),
        (r#"{"keys":[7]}"#.to_owned(), "without an Ed25519 or P-256 key"),
        (r#"{"keys":[{"kty":"RSA"}]}"#.to_owned(), "without an Ed25519 or P-256 key"),
        (plain.replace("OKP", "EC"), "a key on the curve \"Ed25519\""),
        (plain.replace("\"sig\"", "\"enc\""), "its \"use\""),
        (plain.replace(&x, &format!("{x}=")), "base64url"),
        (plain.replace(&x, &URL_SAFE_NO_PAD.encode([0xff; 32])), "canonical"),
        (plain.replace("{", r#"{"mcpid":{},"#), "an entry of a trust file"),
        (plain.replace("{", r#"{"kty":"OKP","#), "stands twice"),
        ("{}".to_owned(), "not a key in any known form"),
        ("[]".to_owned(), "not a key in any known form"),
    ] {
        refused(read_public(bad.as_bytes()), words);
    }
}

#[test]
fn a_keyfile_is_read_as_its_public_key_only() {
    let secret = fresh();
    let file = Keyfile::plain(&secret, "agent", Timestamp::from_unix(0)).unwrap();
    let json = file.to_json();
    let import = read_public(json.as_bytes()).unwrap();
    assert_eq!(&import.keys[0].key, secret.public());
    assert_eq!(import.keys[0].name.as_deref(), Some("agent"));
    refused(read_private(json.as_bytes()), "a keyfile, not a key to import");
    let damaged = json.replace("\"created\"", "\"erased\"");
    assert!(matches!(read_public(damaged.as_bytes()), Err(FormatError::Keyfile(_))));
}

#[test]
fn an_input_that_is_no_key_is_reported_as_such() {
    for read in [|b: &[u8]| read_private(b).map(drop), |b: &[u8]| read_public(b).map(drop)] {
        for empty in [&b""[..], b" \n\t\r\n"] {
            assert!(matches!(read(empty), Err(FormatError::Empty)));
        }
        refused(read(b"\x7fELF\x02\x01\x01\xff\xfe"), "binary data");
        for text in [
            "hello",
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "ssh-ed25519",
            "\u{feff}{}",
            "z6Mk",
            "# x",
        ] {
            refused(read(text.as_bytes()), "not a key in any known form");
        }
        refused(read(b"{\"a\":"), "not a proper JSON");
        let deep = "[".repeat(100_000);
        refused(read(deep.as_bytes()), "not a proper JSON");
    }
    for (line, words) in [
        ("ssh-ed25519 AAAA", "its type is not known"),
        ("ssh-ed25519 !!!!", "base64"),
        ("ssh-dss AAAA", "a DSA key"),
        ("sk-ssh-ed25519@openssh.com AAAA", "its type is not known"),
        ("sk-ecdsa-sha2-nistp384@openssh.com AAAA", "not a key in any known form"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "an SSH certificate"),
        ("ecdsa-sha2-nistp256 AAAA", "its type is not known"),
        ("ecdsa-sha2-nistp384 AAAA", "an elliptic-curve key"),
    ] {
        refused(read_public(line.as_bytes()), words);
    }
}
