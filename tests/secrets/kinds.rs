//! The kinds of secrets, and the forms in which a user may paste one into the wrong place.

use std::collections::BTreeSet;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/keys");

/// A private key that belongs to no certificate.
const TLS_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg4U73BDK1YfpE8MLk
flKSp3Y4p78tj3QNXRl/6XFXg1mhRANCAAQH083ikDT7E+cd5qAjLv0DCvmBSQAZ
Sqypv5zkrko7xt0QgsqzY4614uJZHQsf2CRGAu149lpxJ4FmJxKig1cS
-----END PRIVATE KEY-----
";

/// A secret, and the parts of it that must not be printed.
pub(crate) struct Secret {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) parts: Vec<String>,
    /// Whether every flag that takes a name must refuse this text, because it is a private key.
    pub(crate) is_key: bool,
}

pub(crate) fn secrets() -> Vec<Secret> {
    let file = |name: &str| fs::read_to_string(format!("{KEYS}/{name}")).unwrap();
    let (pem, openssh, jwk, hex) =
        (file("carol.pem"), file("dave"), file("bob.jwk"), file("erin.hex"));
    let hex = hex.trim().to_owned();
    let seed: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
    let d = jwk.split("\"d\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let ec_jwk = file("../p256.in/shop.jwk");
    let ec_d = ec_jwk.split("\"d\": \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let passphrase = "orbit-velvet-cactus-lumber-signal-harbor-tennis";
    let token = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXRva2Vu.Zm9yLXRlc3Rz";
    let of = |name, text: &str, parts: &[&str], is_key| {
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        Secret { name, text: text.to_owned(), parts, is_key }
    };
    let base64 = STANDARD.encode(&seed);
    vec![
        of("PKCS#8", &pem, &[&pem], true),
        of("OpenSSH", &openssh, &[&openssh], true),
        of("hex seed", &format!("{hex}\n"), &[&hex], true),
        of("base64 seed", &base64, &[&base64], true),
        of("JWK", &jwk, &[&d], true),
        of("EC JWK", &ec_jwk, &[&ec_d], true),
        of("passphrase", &format!("{passphrase}\n"), &[passphrase], false),
        of("TLS key", TLS_KEY, &[TLS_KEY], true),
        of("bearer token", &format!("Authorization: Bearer {token}\n"), &[token], false),
        of(
            "redis URL",
            "redis://user:Pa55-w0rd-of-redis@127.0.0.1:9/0",
            &["Pa55-w0rd-of-redis"],
            false,
        ),
    ]
}

/// The ways in which a secret may be changed when a user pastes it.
pub(crate) const FORMS: [&str; 7] = ["whole", "one line", "CRLF", "BOM", "cut", "twice", "base64"];

pub(crate) fn mangled(text: &str, form: &str) -> String {
    match form {
        "one line" => text.replace('\n', ""),
        "CRLF" => text.replace('\n', "\r\n"),
        "BOM" => format!("\u{feff}{text}"),
        "cut" => text.get(..text.len() * 2 / 3).unwrap_or(text).to_owned(),
        "twice" => text.repeat(2),
        "base64" => STANDARD.encode(text),
        _ => text.to_owned(),
    }
}

/// Returns all runs of eight characters of the secret, except those across a line break.
pub(crate) fn pieces(secret: &Secret, form: &str) -> BTreeSet<Vec<u8>> {
    let encoded = (form == "base64").then(|| mangled(&secret.text, form));
    let parts =
        secret.parts.iter().flat_map(|part| part.split(['\n', '\r'])).chain(encoded.as_deref());
    parts.flat_map(|part| part.as_bytes().windows(8).map(<[u8]>::to_vec)).collect()
}
