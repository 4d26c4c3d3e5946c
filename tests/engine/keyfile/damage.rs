//! Tests of keyfiles that were changed or cut, or whose passphrase hash costs too much.

use super::*;

#[test]
fn a_sealed_keyfile_with_any_bit_flipped_does_not_open() {
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
fn a_plain_key_with_any_bit_flipped_does_not_load() {
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
fn truncated_keyfile_does_not_open() {
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
        (r#""kty":"OKP""#, r#""kty":"RSA""#.into(), "\"kty\" is \"RSA\""),
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
    // The limits themselves are accepted. No memory for the hash is allocated by reading.
    assert_eq!(with("memory_kib", 1 << 20).unwrap().cost().unwrap().memory_kib(), 1 << 20);
    assert_eq!(with("passes", 16).unwrap().cost().unwrap().passes(), 16);
    let most = KdfCost::new(128, 16, 16).unwrap();
    assert_eq!((most.memory_kib(), most.passes(), most.lanes()), (128, 16, 16));
}
