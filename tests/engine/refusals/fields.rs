//! Cases of refusals in steps 1 to 4: limits, presence and syntax of the signature fields, and
//! parameters.

use super::*;
use mcpid::profile::TargetForm;

pub(super) fn limits() -> Vec<Case> {
    let mut cases = tampered(
        1,
        Code::TooLarge,
        vec![
            ("five labels", |p| {
                for label in ["b", "c", "d", "e"] {
                    let input = p.input.to_string();
                    p.call.attach(label, &input, &[0; 64]);
                }
            }),
            ("a field that fills the head", |p| {
                p.call.push("x", &"a".repeat(MAX_HEAD));
            }),
            ("a target that fills the head", |p| p.target(&format!("/{}", "a".repeat(MAX_HEAD)))),
            ("one byte more of signature-input", |p| {
                let more = MAX_SIGNATURE_INPUT + 1 - p.call.get("signature-input").len() - 5;
                let value = format!("{};x=\"{}\"", p.call.get("signature-input"), "a".repeat(more));
                assert_eq!(value.len(), MAX_SIGNATURE_INPUT + 1);
                p.call.set("signature-input", &value);
            }),
            ("a body one byte longer than we take", |p| p.judge.max_body = BODY.len() - 1),
        ],
    );
    cases.extend(signed(
        1,
        Code::TooLarge,
        vec![("33 components", |p| {
            for n in p.input.components.len()..33 {
                p.call.push(&format!("x-{n}"), "1");
                p.input.components.push(format!("\"x-{n}\""));
            }
        })],
    ));
    cases.extend(tampered(
        1,
        Code::SignatureMalformed,
        vec![
            ("two content types", |p| {
                p.call.push("content-type", "application/json");
            }),
            ("two versions", |p| {
                p.call.push("mcp-protocol-version", "2026-07-28");
            }),
            ("two methods", |p| {
                p.call.push("mcp-method", "tools/call");
            }),
            ("two names", |p| {
                p.call.push("mcp-name", "get_weather");
            }),
            ("two names in other letters", |p| {
                p.call.push("Mcp-Name", "get_weather");
            }),
            ("two parameters", |p| {
                p.call.push("mcp-param-city", "Oslo");
            }),
            ("two lengths", |p| {
                p.call.push("content-length", "1").push("content-length", "1");
            }),
            ("two sessions", |p| {
                p.call.push("mcp-session-id", "a").push("mcp-session-id", "a");
            }),
            ("two events", |p| {
                p.call.push("last-event-id", "a").push("last-event-id", "b");
            }),
            ("two codings", |p| {
                p.call.push("content-encoding", "br").push("content-encoding", "br");
            }),
        ],
    ));
    cases.extend(tampered(
        1,
        Code::TargetMalformed,
        vec![
            ("a path without a normal form", |p| {
                p.judge.profile.target = TargetForm::Rfc3986;
                p.call.target = RequestTarget::Origin("/%2e%2e/mcp".into());
            }),
            ("a host without a normal form", |p| {
                p.judge.profile.target = TargetForm::Rfc3986;
                p.call.set("host", "mcp.example.com..");
            }),
        ],
    ));
    cases.extend(tampered(
        1,
        Code::TargetMismatch,
        vec![
            ("another host", |p| {
                p.call.set("host", "evil.example.com");
            }),
            ("another port", |p| {
                p.call.set("host", "mcp.example.com:8443");
            }),
            ("a host that ends likewise", |p| {
                p.call.set("host", "x.mcp.example.com");
            }),
            ("a host that begins likewise", |p| {
                p.call.set("host", "mcp.example.com.evil");
            }),
            ("a dot at the end", |p| {
                p.call.set("host", "mcp.example.com.");
            }),
            ("no host", |p| {
                p.call.remove("host");
            }),
            ("an empty host", |p| {
                p.call.set("host", "");
            }),
            ("two hosts", |p| {
                p.call.push("host", "mcp.example.com");
            }),
            ("a user in the host", |p| {
                p.call.set("host", "me@mcp.example.com");
            }),
            ("a path in the host", |p| {
                p.call.set("host", "mcp.example.com/mcp");
            }),
            ("two hosts in one", |p| {
                p.call.set("host", "mcp.example.com, evil.example");
            }),
            ("another scheme", |p| p.absolute("http://mcp.example.com/mcp?tenant=a%2fb")),
            ("an absolute target elsewhere", |p| {
                p.absolute("https://evil.example/mcp?tenant=a%2fb")
            }),
            ("a target without slash", |p| p.target("mcp?tenant=a%2fb")),
            ("a fragment", |p| p.target("/mcp?tenant=a%2fb#x")),
            ("an asterisk", |p| p.call.target = RequestTarget::Asterisk),
            ("our origin is another", |p| p.judge.origins = vec!["https://mcp.example.org"]),
            ("our origin has another port", |p| {
                p.judge.origins = vec!["https://mcp.example.com:444"];
            }),
        ],
    ));
    cases
}

pub(super) fn presence() -> Vec<Case> {
    tampered(
        2,
        Code::SignatureMissing,
        vec![
            ("no signature", |p| {
                p.call.remove("signature");
            }),
            ("no signature-input", |p| {
                p.call.remove("signature-input");
            }),
            ("neither", |p| {
                p.call.remove("signature").remove("signature-input");
            }),
            ("both empty", |p| {
                p.call.set("signature", "").set("signature-input", "");
            }),
        ],
    )
}

pub(super) fn parsing() -> Vec<Case> {
    tampered(
        3,
        Code::SignatureMalformed,
        vec![
            ("no label", |p| p.edit_input("mcp=", "")),
            ("a capital label", |p| p.edit_input("mcp=", "Mcp=")),
            ("an open list", |p| p.edit_input("\")", "\"")),
            ("an open string", |p| p.edit_input("\"@method\"", "\"@method")),
            ("a comma at the end", |p| p.edit_input("mcp=", "mcp=1,")),
            ("nothing behind a comma", |p| {
                let value = format!("{},", p.call.get("signature-input"));
                p.call.set("signature-input", &value);
            }),
            ("a byte outside ascii", |p| p.edit_input("nonce=\"", "nonce=\"é")),
            ("one field is empty", |p| {
                p.call.set("signature", "");
            }),
            ("labels that are not paired", |p| p.edit_signature("mcp=", "mcq=")),
            ("a label too many in signature", |p| p.edit_signature("mcp=", "a=:AAAA:, mcp=")),
            ("a label too many in signature-input", |p| p.edit_input("mcp=", "a=(), mcp=")),
            ("the label twice in signature", |p| {
                let value = p.call.get("signature").to_owned();
                p.call.push("signature", &value);
            }),
            ("the label twice in signature-input", |p| {
                let value = p.call.get("signature-input").to_owned();
                p.call.push("signature-input", &value);
            }),
            ("a parameter twice", |p| p.edit_input(";nonce", &format!(";created={CREATED};nonce"))),
            ("a component twice", |p| p.edit_input("\"@method\"", "\"@method\" \"@method\"")),
            ("a component twice, by its parameters", |p| {
                let bs = "\"x\";bs;key=\"a\" \"x\";key=\"a\";bs";
                p.edit_input("\"@method\"", &format!("\"@method\" {bs}"));
            }),
            ("a component parameter twice", |p| p.edit_input("\"@method\"", "\"@method\";req;req")),
            ("a component in capitals", |p| p.edit_input("\"content-type\"", "\"Content-Type\"")),
            ("a component that is a token", |p| p.edit_input("\"content-type\"", "content-type")),
            ("a component that is a number", |p| p.edit_input("\"content-type\"", "1")),
            ("an empty component", |p| p.edit_input("\"content-type\"", "\"\"")),
            ("no list", |p| {
                p.call.set("signature-input", "mcp=\"@method\";created=1");
            }),
            ("an empty list is none", |p| {
                p.call.set("signature-input", "mcp");
            }),
            ("a signature that is a string", |p| {
                let text = p.signature();
                p.call.set("signature", &format!("mcp=\"{text}\""));
            }),
            ("a signature that is a flag", |p| {
                p.call.set("signature", "mcp");
            }),
            ("a signature in a list", |p| {
                let text = p.signature();
                p.call.set("signature", &format!("mcp=(:{text}:)"));
            }),
            ("a signature with parameters", |p| {
                let value = format!("{};x", p.call.get("signature"));
                p.call.set("signature", &value);
            }),
            ("base64 without padding", |p| p.edit_signature("==:", ":")),
            ("base64 with one padding too few", |p| p.edit_signature("==:", "=:")),
            ("base64url", |p| p.edit_signature("mcp=:", "mcp=:_-")),
            ("a space in base64", |p| p.edit_signature("mcp=:", "mcp=: ")),
            ("a bit flipped that base64 does not use", |p| {
                let text = p.signature();
                let last = text.as_bytes()[85];
                // In the base64 of 64 bytes, four bits of the last character are unused. One of
                // them is set here, which makes the base64 non-canonical.
                let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
                let at = alphabet.iter().position(|&b| b == last).unwrap();
                let other = format!("{}{}==", &text[..85], char::from(alphabet[at ^ 1]));
                p.call.set("signature", &format!("mcp=:{other}:"));
            }),
        ],
    )
}

pub(super) fn parameters() -> Vec<Case> {
    let mut cases = signed(
        4,
        Code::ParameterMissing,
        vec![
            ("no created", |p| {
                p.input.unset("created");
            }),
            ("no nonce", |p| {
                p.input.unset("nonce");
            }),
            ("no keyid", |p| {
                p.input.unset("keyid");
            }),
            ("no tag", |p| {
                p.input.unset("tag");
            }),
        ],
    );
    cases.extend(signed(
        4,
        Code::ParameterInvalid,
        vec![
            ("created is a string", |p| {
                p.input.set("created", format!("\"{CREATED}\""));
            }),
            ("created is a decimal", |p| {
                p.input.set("created", format!("{CREATED}.0"));
            }),
            ("created is a date", |p| {
                p.input.set("created", format!("@{CREATED}"));
            }),
            ("created is negative", |p| {
                p.input.set("created", "-1");
            }),
            ("created is a flag", |p| {
                p.input.set("created", "?1");
            }),
            ("expires is a string", |p| {
                p.input.set("expires", format!("\"{NOW}\""));
            }),
            ("expires is a token", |p| {
                p.input.set("expires", "never");
            }),
            ("expires is negative", |p| {
                p.input.set("expires", "-1");
            }),
            ("expires is created", |p| {
                p.input.set("expires", CREATED);
            }),
            ("expires is before created", |p| {
                p.input.set("expires", CREATED - 1);
            }),
            ("a nonce of 15", |p| {
                p.input.set("nonce", "\"AAECAwQFBgcICQo\"");
            }),
            ("a nonce of 15 and padding", |p| {
                p.input.set("nonce", "\"AAECAwQFBgcICQo=\"");
            }),
            ("a nonce of 257", |p| {
                p.input.set("nonce", format!("\"{}\"", "A".repeat(257)));
            }),
            ("a nonce of three paddings", |p| {
                p.input.set("nonce", format!("\"{NONCE}===\""));
            }),
            ("padding inside", |p| {
                p.input.set("nonce", format!("\"={NONCE}\""));
            }),
            ("a nonce with a space", |p| {
                p.input.set("nonce", format!("\"{NONCE} \""));
            }),
            ("a nonce with a quote", |p| {
                p.input.set("nonce", format!("\"\\\"{NONCE}\""));
            }),
            ("an empty nonce", |p| {
                p.input.set("nonce", "\"\"");
            }),
            ("a nonce that is a token", |p| {
                p.input.set("nonce", NONCE);
            }),
            ("a nonce that is bytes", |p| {
                p.input.set("nonce", format!(":{NONCE}==:"));
            }),
            ("a keyid that is a token", |p| {
                p.input.set("keyid", "alice");
            }),
            ("a keyid that is a flag", |p| {
                p.input.set("keyid", "?1");
            }),
            ("a tag that is a number", |p| {
                p.input.set("tag", "1");
            }),
        ],
    ));
    cases.extend(signed(
        4,
        Code::AlgNotAllowed,
        vec![
            ("rsa", |p| {
                p.input.set("alg", "\"rsa-pss-sha512\"");
            }),
            ("hmac", |p| {
                p.input.set("alg", "\"hmac-sha256\"");
            }),
            ("capitals", |p| {
                p.input.set("alg", "\"Ed25519\"");
            }),
            ("of JOSE", |p| {
                p.input.set("alg", "\"EdDSA\"");
            }),
            ("empty", |p| {
                p.input.set("alg", "\"\"");
            }),
            ("a token", |p| {
                p.input.set("alg", "ed25519");
            }),
            ("a flag", |p| {
                p.input.set("alg", "?1");
            }),
        ],
    ));
    cases
}
