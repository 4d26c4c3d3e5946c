//! Tests of P-256 keys in the formats of other programs, and in keyfiles.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mcpid::clock::Timestamp;
use mcpid::key::format::{self, FormatError, JwkAlg, read_private, read_private_of, read_public};
use mcpid::key::keyfile::{KdfCost, Keyfile, KeyfileError};
use mcpid::key::trust::{Registry, TrustError, TrustFile};
use mcpid::key::{KeyKind, PublicKey, SecretKey, Sign as _};
use rand::rngs::SysRng;

use super::{ORDER, any_bytes, key, pem};

const SCALAR: [u8; 32] = *b"7 scalar that no publication has";

fn secret() -> SecretKey {
    SecretKey::from_p256_scalar(&SCALAR).unwrap()
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn private_jwk(change: impl Fn(&str, String) -> String) -> String {
    let point = secret().public().as_bytes().to_vec();
    let (x, y, d) = (base64url(&point[1..33]), base64url(&point[33..]), base64url(&SCALAR));
    let (x, y, d) = (change("x", x), change("y", y), change("d", d));
    format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","d":"{d}"}}"#)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(read: Result<T, FormatError>, words: &str) {
    let error = read.unwrap_err().to_string();
    assert!(error.contains(words), "{error:?} does not say {words:?}");
    // The error message contains no part of the private key.
    for part in base64url(&SCALAR).as_bytes().windows(8) {
        let part = std::str::from_utf8(part).unwrap();
        assert!(!error.contains(part), "{error}");
    }
}

fn public(text: &str) -> PublicKey {
    read_public(text.as_bytes()).unwrap().keys.remove(0).key
}

#[test]
fn every_written_form_is_read_back() {
    let secret = secret();
    let key = secret.public();
    for text in [
        format::jwk(key, None),
        format::jwk(key, Some(JwkAlg::Es256)),
        format::jwks(key, None),
        format::spki_pem(key),
        format::spki_pem(key).lines().filter(|line| !line.contains('-')).collect(),
        format::openssh(key, "shop"),
        format::did_key(key),
        format::hex(key),
        format::hex(key).to_uppercase(),
        Keyfile::plain(&secret, "shop", Timestamp::from_unix(0)).unwrap().to_json().to_string(),
    ] {
        assert_eq!(public(&text), *key, "{text}");
        refused(read_private(text.as_bytes()), "");
    }
    assert!(format::did_key(key).starts_with("did:key:zDn"));
    assert_eq!(format::hex(key).len(), 130);
    assert!(format::openssh(key, "shop").starts_with("ecdsa-sha2-nistp256 AAAAE2VjZHNh"));
    assert!(format::spki_pem(key).lines().all(|line| line.len() <= 64));
    // An `alg` that belongs to another kind of key is not written.
    assert_eq!(format::jwk(key, Some(JwkAlg::EdDsa)), format::jwk(key, None));
    assert!(format::jwk(key, Some(JwkAlg::Es256)).contains(r#""alg":"ES256""#));
}

#[test]
fn compressed_points_are_read_where_a_format_has_them() {
    let secret = secret();
    let point = secret.public().as_bytes();
    let compressed = [&[2 + (point[64] & 1)], &point[1..33]].concat();
    let prefix = any_bytes("3039301306072a8648ce3d020106082a8648ce3d030107032200");
    let spki = [prefix, compressed.clone()].concat();
    let hex: String = compressed.iter().map(|byte| format!("{byte:02x}")).collect();
    for text in [pem(&spki), STANDARD.encode(&spki), hex] {
        assert_eq!(public(&text), *secret.public(), "{text}");
    }
    let field =
        |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let line = |point: &[u8]| {
        let blob = [field(b"ecdsa-sha2-nistp256"), field(b"nistp256"), field(point)].concat();
        format!("ecdsa-sha2-nistp256 {}", STANDARD.encode(blob))
    };
    assert_eq!(public(&line(point)), *secret.public());
    refused(read_public(line(&compressed).as_bytes()), "not a point of 65 bytes on nistp256");
    // A did:key may contain a point only in its compressed form.
    let did = |point: &[u8]| {
        format!("did:key:z{}", bs58::encode([&[0x80, 0x24], point].concat()).into_string())
    };
    assert_eq!(public(&did(&compressed)), *secret.public());
    refused(read_public(did(point).as_bytes()), "33 bytes of a compressed point");
}

#[test]
fn one_change_of_a_public_key_is_refused() {
    let secret = secret();
    let (jwk, point) = (format::jwk(secret.public(), None), secret.public().as_bytes());
    let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
    let short = base64url(&point[1..32]);
    for (bad, words) in [
        (jwk.replace(&y, &base64url(&[7; 32])), "\"x\" and \"y\" are not a point of P-256"),
        (jwk.replace(&x, &y), "not a point of P-256"),
        (jwk.replace(&x, &short), "\"x\" has 31 bytes, not 32"),
        (jwk.replace(&y, &base64url(&point[32..])), "\"y\" has 33 bytes, not 32"),
        (jwk.replace(&x, &format!("{x}=")), "base64url"),
        (jwk.replace(&format!(r#","y":"{y}""#), ""), "\"y\" is missing"),
        (jwk.replace("\"P-256\"", "\"P-384\""), "a key on the curve \"P-384\""),
        (jwk.replace("\"P-256\"", "\"p-256\""), "a key on the curve \"p-256\""),
        (jwk.replace("\"P-256\"", "\"secp256k1\""), "a key on the curve \"secp256k1\""),
        (jwk.replace("\"EC\"", "\"OKP\""), "a key on the curve \"P-256\""),
        (jwk.replace("\"sig\"", "\"enc\""), "its \"use\""),
        (jwk.replace("{", r#"{"kty":"EC","#), "stands twice"),
        (jwk.replace("{", r#"{"alg":"EdDSA","#), "its \"alg\" is \"EdDSA\""),
    ] {
        refused(read_public(bad.as_bytes()), words);
    }
    let der = {
        let text = format::spki_pem(secret.public());
        let body: String = text.lines().filter(|line| !line.contains('-')).collect();
        STANDARD.decode(body).unwrap()
    };
    assert_eq!(public(&pem(&der)), *secret.public());
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 1;
        assert!(read_public(pem(&changed).as_bytes()).is_err(), "byte {at}");
        assert!(read_public(pem(&der[..at]).as_bytes()).is_err(), "{at} bytes");
    }
    assert!(read_public(pem(&[&der[..], &[0]].concat()).as_bytes()).is_err());
    let line = format::openssh(secret.public(), "shop");
    for (from, to, words) in [
        ("ecdsa-sha2-nistp256", "ssh-ed25519", "its type is not that of its key"),
        ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "an elliptic-curve key"),
        ("bmlzdHAyNTY", "bmlzdHAzODQ", "an elliptic-curve key"),
    ] {
        assert!(line.contains(from), "{line}");
        refused(read_public(line.replace(from, to).as_bytes()), words);
    }
    for bad in ["00", "0".repeat(130).as_str(), format::hex(secret.public()).get(..128).unwrap()] {
        assert!(read_public(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn one_change_of_a_private_key_is_refused() {
    let good = private_jwk(|_, value| value);
    assert_eq!(read_private(good.as_bytes()).unwrap().public(), secret().public());
    assert_eq!(
        read_private_of(KeyKind::P256, good.as_bytes()).unwrap().public(),
        secret().public()
    );
    let with = |name: &'static str, value: String| {
        private_jwk(move |at, old| if at == name { value.clone() } else { old })
    };
    let other = key(8);
    let other = other.public().as_bytes();
    for (bad, words) in [
        (with("x", base64url(&other[1..33])), "are not the public key of \"d\""),
        (with("y", base64url(&other[33..])), "are not the public key of \"d\""),
        (with("d", base64url(&[0; 32])), "\"d\" is not a private key of P-256"),
        (with("d", base64url(&any_bytes(ORDER))), "\"d\" is not a private key of P-256"),
        (with("d", base64url(&[0xff; 32])), "\"d\" is not a private key of P-256"),
        (with("d", base64url(&SCALAR[1..])), "\"d\" has 31 bytes"),
        (with("d", format!("{}=", base64url(&SCALAR))), "base64url"),
        (good.replace("\"P-256\"", "\"P-384\""), "a key on the curve"),
        (good.replace("{", r#"{"alg":"EdDSA","#), "its \"alg\""),
        (good.replace("{", r#"{"use":"enc","#), "its \"use\""),
        (good.replace("{", r#"{"key_ops":["verify"],"#), "its \"key_ops\""),
    ] {
        refused(read_private(bad.as_bytes()), words);
    }
    refused(read_public(good.as_bytes()), "a private key, not a public key");
    let words = "a P-256 key, not an Ed25519 key";
    refused(read_private_of(KeyKind::Ed25519, good.as_bytes()), words);
    let set = format!(r#"{{"keys":[{good}]}}"#);
    assert!(matches!(
        TrustFile::parse(set.as_bytes()),
        Err(TrustError::PrivateKey { position: 1 })
    ));
}

#[test]
fn bare_bytes_are_a_key_of_the_named_kind() {
    let hex: String = SCALAR.iter().map(|byte| format!("{byte:02x}")).collect();
    for text in [hex.clone(), base64url(&SCALAR), STANDARD.encode(SCALAR)] {
        let read = read_private_of(KeyKind::P256, text.as_bytes()).unwrap();
        assert_eq!(read.public(), secret().public());
        let read = read_private_of(KeyKind::Ed25519, text.as_bytes()).unwrap();
        assert_eq!(read.public(), SecretKey::from_seed(&SCALAR).public());
    }
    refused(read_private_of(KeyKind::P256, ORDER.as_bytes()), "not below the order");
    let seed = format::jwk(SecretKey::from_seed(&SCALAR).public(), None);
    refused(read_private_of(KeyKind::P256, seed.as_bytes()), "a public key, not a private key");
}

#[test]
fn keyfiles_hold_keys_of_p256() {
    let (secret, cost) = (secret(), KdfCost::new(8, 1, 1).unwrap());
    let created = Timestamp::from_unix(0);
    let sealed = Keyfile::seal(&secret, "shop", created, b"passphrase", cost, &mut SysRng).unwrap();
    let plain = Keyfile::plain(&secret, "shop", created).unwrap();
    for file in [&sealed, &plain] {
        let json = file.to_json();
        let read = Keyfile::from_json(json.as_bytes()).unwrap();
        let opened = read.open(Some(b"passphrase")).unwrap();
        assert_eq!(opened.public(), secret.public());
        opened.public().verify_strict(b"m", &opened.sign(b"m").unwrap()).unwrap();
        let again = read.sealed_again(&opened, b"another one", cost, &mut SysRng).unwrap();
        assert_eq!(again.open(Some(b"another one")).unwrap().public(), secret.public());
    }
    assert!(matches!(sealed.open(Some(b"wrong")), Err(KeyfileError::WrongPassphrase)));
    let json = plain.to_json();
    let point = secret.public().as_bytes();
    let (x, y, d) = (base64url(&point[1..33]), base64url(&point[33..]), base64url(&SCALAR));
    for (from, to, words) in [
        (d.clone(), base64url(&[0; 32]), "does not belong to the public key"),
        (d.clone(), base64url(&any_bytes(ORDER)), "does not belong to the public key"),
        (d.clone(), base64url(&[9; 32]), "does not belong to the public key"),
        (y.clone(), base64url(&[9; 32]), "the public key is not a point of P-256"),
        (x.clone(), y.clone(), "the public key is not a point of P-256"),
        (format!(r#","y":"{y}""#), String::new(), "the member \"y\" is missing"),
        (r#""crv":"P-256""#.to_owned(), r#""crv":"P-384""#.to_owned(), "not \"P-256\""),
        (r#""kty":"EC""#.to_owned(), r#""kty":"OKP""#.to_owned(), "the member \"y\" is not known"),
        (r#""kty":"EC""#.to_owned(), r#""kty":"RSA""#.to_owned(), "the member \"y\" is not known"),
        (secret.public().id().to_string(), key(8).public().id().to_string(), "\"kid\" is not"),
        (r#""crv""#.to_owned(), r#""d":"AA","crv""#.to_owned(), "the member \"d\" is not known"),
    ] {
        let changed = json.replacen(&from, &to, 1);
        assert_ne!(changed, *json);
        let error = Keyfile::from_json(changed.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains(&d[..8]), "{error}");
    }
    // The private key of another key does not fit the public key in the keyfile.
    let other = Keyfile::plain(&key(8), "shop", created).unwrap();
    assert!(matches!(other.plain_again(&secret), Err(KeyfileError::PublicMismatch)));
}

#[test]
fn an_entry_that_is_passed_over_still_restricts_its_key() {
    let key = secret();
    let jwk = format::jwk(key.public(), None);
    let revoked = r#","mcpid":{"revoked_at":"2020-01-01T00:00:00Z"}}"#;
    let entry = format!("{}{revoked}", jwk.trim_end_matches('}'));
    let good = TrustFile::parse(jwk.as_bytes()).unwrap();
    for passed_over in [
        entry.replace("\"sig\"", "\"enc\""),
        entry.replace("{\"kty\"", "{\"alg\":\"ECDH-ES\",\"kty\""),
        entry.replace("{\"kty\"", "{\"key_ops\":[],\"kty\""),
        entry.replace("\"P-256\"", "\"P-384\""),
        entry.replace("\"EC\"", "\"RSA\""),
    ] {
        let set = format!(r#"{{"keys":[{passed_over}]}}"#);
        let file = TrustFile::parse(set.as_bytes()).unwrap();
        assert!(file.entries().is_empty(), "{passed_over}");
        let registry = Registry::merge([good.clone(), file]);
        let entry = registry.by_id(key.public().id().as_str()).unwrap();
        assert!(entry.revoked_at().is_some(), "{passed_over}");
    }
}
