//! Cases of refusals in steps 5 to 8: times, coverage, keys and the signature itself.

use super::*;

pub(super) fn times_and_coverage() -> Vec<Case> {
    let mut cases = signed(
        5,
        Code::NotYetValid,
        vec![
            ("created six seconds ahead", |p| {
                p.input.set("created", NOW + 6).set("expires", NOW + 20);
            }),
            ("created in 2100", |p| {
                p.input.set("created", 4_102_444_800_i64).set("expires", 4_102_444_830_i64);
            }),
            ("the largest number there is", |p| {
                p.input.set("created", 999_999_999_999_999_i64).unset("expires");
            }),
            ("a clock behind", |p| p.judge = p.judge.clone().at(CREATED - 6)),
        ],
    );
    cases.extend(signed(
        5,
        Code::LifetimeInvalid,
        vec![("a second longer than the profile allows", |p| {
            p.judge.profile.expiry.longest = Some(29);
        })],
    ));
    cases.extend(signed(
        5,
        Code::Expired,
        vec![
            ("created at the epoch", |p| {
                p.input.set("created", 0);
            }),
            ("created 31 s ago", |p| {
                p.input.set("created", NOW - 31).unset("expires");
            }),
            ("expires now", |p| {
                p.input.set("expires", NOW);
            }),
            ("a clock ahead", |p| p.judge = p.judge.clone().at(CREATED + 31)),
        ],
    ));
    cases.extend(signed(
        6,
        Code::CoverageInsufficient,
        vec![
            ("the method is open", |p| {
                p.input.uncover("@method");
            }),
            ("the digest is covered in part", |p| {
                p.input.recover("content-digest", "\"content-digest\";key=\"sha-256\"");
            }),
            ("nothing is covered", |p| p.input.components.clear()),
        ],
    ));
    cases.extend(tampered(
        6,
        Code::CoverageInsufficient,
        vec![
            ("a session is added", |p| {
                p.call.push("mcp-session-id", "1868a90c");
            }),
            ("more is required", |p| p.judge.changes.require = vec!["accept".to_owned()]),
        ],
    ));
    cases
}

pub(super) fn keys() -> Vec<Case> {
    let mut cases = signed(
        7,
        Code::KeyUnknown,
        vec![
            ("another key is trusted", |p| p.judge.trust = vec![trusted(&key(2))]),
            ("no key is trusted", |p| p.judge.trust.clear()),
            ("a keyid that is a name", |p| {
                p.input.set("keyid", "\"alice\"");
            }),
            ("an empty keyid", |p| {
                p.input.set("keyid", "\"\"");
            }),
            ("a keyid with padding", |p| {
                let id = *p.key.public().id();
                p.input.set("keyid", format!("\"{id}=\""));
            }),
            ("a keyid in other letters", |p| {
                let id = p.key.public().id().to_string().to_uppercase();
                p.input.set("keyid", format!("\"{id}\""));
            }),
            ("a kid is no keyid here", |p| {
                p.judge.trust[0]["kid"] = json!("alice");
                p.input.set("keyid", "\"alice\"");
            }),
        ],
    );
    cases.extend(signed(
        7,
        Code::KeyPurposeInvalid,
        vec![("a JWK that states no purpose", |p| {
            p.judge.profile.key_purpose = Some("request-signing");
            p.judge.profile.key_first = true;
        })],
    ));
    cases.extend(signed(
        7,
        Code::KeyWeak,
        vec![
            ("the neutral point", |p| {
                let mut point = [0; 32];
                point[0] = 1;
                p.under(point);
            }),
            ("a point of order four", |p| p.under([0; 32])),
            ("a point of mixed order", |p| {
                use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
                p.under((ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]).compress().to_bytes());
            }),
        ],
    ));
    cases.extend(signed(
        7,
        Code::KeyPublished,
        vec![
            ("the key of RFC 8032 test 1", |p| {
                let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
                let byte = |at: usize| u8::from_str_radix(&seed[2 * at..2 * at + 2], 16).unwrap();
                let key = SecretKey::from_seed(&std::array::from_fn(byte));
                p.under(key.public().as_bytes().try_into().unwrap());
                p.key = key;
            }),
            ("a seed of ones", |p| {
                p.key = SecretKey::from_seed(&[1; 32]);
                let point = p.key.public().as_bytes().try_into().unwrap();
                p.under(point);
            }),
        ],
    ));
    cases.extend(signed(
        7,
        Code::KeyNotValid,
        vec![
            ("valid from just after created", |p| p.limit("not_before", rfc3339(CREATED + 1))),
            ("valid from tomorrow", |p| p.limit("not_before", rfc3339(NOW + 86_400))),
            ("valid until now", |p| p.limit("not_after", rfc3339(NOW))),
            ("valid until between", |p| p.limit("not_after", rfc3339(NOW - 1))),
            ("valid until created", |p| p.limit("not_after", rfc3339(CREATED))),
        ],
    ));
    cases.extend(signed(
        7,
        Code::KeyRevoked,
        vec![
            ("revoked now", |p| p.limit("revoked_at", rfc3339(NOW))),
            ("revoked in between", |p| p.limit("revoked_at", rfc3339(CREATED + 1))),
            ("revoked long ago", |p| p.limit("revoked_at", rfc3339(0))),
            ("revoked by a second file", |p| {
                let mut second = trusted(&key(1));
                second["mcpid"]["revoked_at"] = rfc3339(CREATED);
                p.judge.trust.push(second);
            }),
        ],
    ));
    cases.extend(signed(
        7,
        Code::TagMismatch,
        vec![
            ("another's name", |p| {
                p.input.set("tag", "\"bob-laptop\"");
            }),
            ("other letters", |p| {
                p.input.set("tag", "\"Alice-laptop\"");
            }),
            ("a longer name", |p| {
                p.input.set("tag", "\"alice-laptop \"");
            }),
            ("the key's own name", |p| {
                p.input.set("tag", "\"alice\"");
            }),
            ("an empty tag", |p| {
                p.input.set("tag", "\"\"");
            }),
            ("another key's id", |p| {
                let other = *key(2).public().id();
                p.input.set("tag", format!("\"{other}\""));
            }),
        ],
    ));
    cases
}

pub(super) fn signatures() -> Vec<Case> {
    let mut cases = tampered(
        8,
        Code::SignatureInvalid,
        vec![
            ("a bit of R", |p| {
                let mut bytes = p.signature_bytes();
                bytes[7] ^= 1;
                p.send_signature(&bytes);
            }),
            ("a bit of s", |p| {
                let mut bytes = p.signature_bytes();
                bytes[40] ^= 0x80;
                p.send_signature(&bytes);
            }),
            ("63 bytes", |p| {
                let bytes = p.signature_bytes();
                p.send_signature(&bytes[..63]);
            }),
            ("65 bytes", |p| {
                let mut bytes = p.signature_bytes();
                bytes.push(0);
                p.send_signature(&bytes);
            }),
            ("no bytes", |p| p.send_signature(&[])),
            ("zeros", |p| p.send_signature(&[0; 64])),
            ("s plus the order of the group", |p| {
                const ORDER: [u8; 32] = [
                    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde,
                    0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
                ];
                let (mut bytes, mut carry) = (p.signature_bytes(), 0_u16);
                for (byte, more) in bytes[32..].iter_mut().zip(ORDER) {
                    carry += u16::from(*byte) + u16::from(more);
                    *byte = u8::try_from(carry & 0xff).unwrap();
                    carry >>= 8;
                }
                p.send_signature(&bytes);
            }),
            ("R of small order", |p| {
                let mut bytes = p.signature_bytes();
                bytes[..32].fill(0);
                bytes[0] = 1;
                p.send_signature(&bytes);
            }),
            ("another key's signature", |p| {
                let base = p.call.base(&p.input);
                let bytes = key(2).sign(base.as_bytes()).unwrap();
                p.send_signature(&bytes);
            }),
            ("a base with a line end too many", |p| {
                let base = format!("{}\n", p.call.base(&p.input));
                let bytes = p.key.sign(base.as_bytes()).unwrap();
                p.send_signature(&bytes);
            }),
            ("another method", |p| p.call.method = "PUT".to_owned()),
            ("the method in small letters", |p| p.call.method = "post".to_owned()),
            ("another path", |p| p.target("/mcp/?tenant=a%2fb")),
            ("dot segments", |p| p.target("/x/../mcp?tenant=a%2fb")),
            ("a slash twice", |p| p.target("//mcp?tenant=a%2fb")),
            ("an encoded letter", |p| p.target("/m%63p?tenant=a%2fb")),
            ("another letter case of an escape", |p| p.target("/mcp?tenant=a%2Fb")),
            ("an escape undone", |p| p.target("/mcp?tenant=a/b")),
            ("another query", |p| p.target("/mcp?tenant=a%2fc")),
            ("more query", |p| p.target("/mcp?tenant=a%2fb&x")),
            ("no query", |p| p.target("/mcp")),
            ("an empty query more", |p| p.target("/mcp?tenant=a%2fb?")),
            ("another content type", |p| {
                p.call.set("content-type", "application/json;x=1");
            }),
            ("another tool", |p| {
                p.call.set("mcp-name", "delete_weather");
            }),
            ("another parameter field", |p| {
                p.call.set("mcp-param-city", "oslo");
            }),
            ("a covered field is gone", |p| {
                p.call.remove("mcp-param-city");
            }),
            ("the digest is gone", |p| {
                p.call.remove("content-digest");
            }),
            ("body and digest of someone else", |p| {
                p.call.with_body("{}");
            }),
            ("a second digest line", |p| {
                let digest = p.call.get("content-digest").to_owned();
                p.call.push("content-digest", &digest);
            }),
            ("a parameter is added", |p| p.edit_input(";created", ";x=1;created")),
            ("alg is added", |p| p.edit_input(";created", ";alg=\"ed25519\";created")),
            ("parameters change places", |p| {
                let value = format!("mcp={}", p.input);
                let (list, rest) = value.split_once(";created").unwrap();
                let (created, rest) = rest.split_once(';').unwrap();
                p.call.set("signature-input", &format!("{list};{rest};created{created}"));
            }),
            ("expires is gone", |p| p.edit_input(&format!(";expires={}", CREATED + 30), "")),
            ("created is later", |p| {
                p.edit_input(&format!("created={CREATED}"), &format!("created={}", CREATED + 1));
            }),
            ("the nonce is another", |p| p.edit_input("AAECAwQF", "BAECAwQF")),
            ("the nonce is padded", |p| p.edit_input(NONCE, &format!("{NONCE}=="))),
            ("the tag is another of ours", |p| {
                let id = *p.key.public().id();
                p.edit_input(&format!(";tag=\"{id}\""), ";tag=\"alice-laptop\"");
            }),
            ("the keyid is another's", |p| {
                let (ours, theirs) = (p.key.public().id().to_string(), *key(2).public().id());
                p.judge.trust.push(trusted(&key(2)));
                p.edit_input(&format!(";keyid=\"{ours}\""), &format!(";keyid=\"{theirs}\""));
                p.edit_input(&format!(";tag=\"{ours}\""), &format!(";tag=\"{theirs}\""));
            }),
            ("components change places", |p| {
                p.edit_input("\"@method\" \"@target-uri\"", "\"@target-uri\" \"@method\"");
            }),
            ("a component is added", |p| p.edit_input("\"@method\"", "\"@method\" \"accept\"")),
        ],
    );
    // For these components, no signature base can be built, so no signature over them can be valid.
    cases.extend(tampered(
        8,
        Code::SignatureInvalid,
        vec![
            ("a covered field is absent", |p| p.cover_too("\"x-absent\"")),
            ("a status", |p| p.cover_too("\"@status\"")),
            ("the parameters themselves", |p| p.cover_too("\"@signature-params\"")),
            ("a derived component that is none", |p| p.cover_too("\"@speed\"")),
            ("the request of a response", |p| p.cover_too("\"accept\";req")),
            ("a trailer", |p| p.cover_too("\"accept\";tr")),
            ("a parameter that is none", |p| p.cover_too("\"accept\";x")),
            ("created as a component", |p| p.cover_too("\"created\"")),
        ],
    ));
    cases
}
