//! Cases of refusals in steps 9 to 11: the digest of the body, its MCP content, and the allowed
//! operations.

use super::*;

pub(super) fn bodies() -> Vec<Case> {
    let mut cases = signed(
        9,
        Code::DigestMissing,
        vec![
            ("only md5", |p| {
                p.call.set("content-digest", "md5=:AAAAAAAAAAAAAAAAAAAAAA==:");
            }),
            ("only unknown ones", |p| {
                p.call.set("content-digest", "sha-999=:AAAA:");
            }),
            ("none at all", |p| {
                p.call.set("content-digest", "");
            }),
            ("other letters", |p| {
                p.call.edit("content-digest", "sha-256", "sha-2560");
            }),
        ],
    );
    cases.extend(signed(
        9,
        Code::DigestInvalid,
        vec![
            ("too short", |p| {
                p.call.set("content-digest", "sha-256=:AAAA:");
            }),
            ("a string", |p| {
                p.call.set("content-digest", "sha-256=\"AAAA\"");
            }),
            ("a flag", |p| {
                p.call.set("content-digest", "sha-256");
            }),
            ("no dictionary", |p| {
                p.call.set("content-digest", "SHA-256=abc");
            }),
            ("listed twice", |p| {
                let digest = p.call.get("content-digest").to_owned();
                p.call.set("content-digest", &format!("{digest}, {digest}"));
            }),
            ("on two lines", |p| {
                let digest = p.call.get("content-digest").to_owned();
                p.call.push("content-digest", &digest);
            }),
            ("base64 bits that are not used", |p| {
                // In the base64 of 32 bytes, two bits of the last character are unused. One of them
                // is set here, which makes the base64 non-canonical.
                let digest = p.call.get("content-digest").trim_end_matches("=:").to_owned();
                let last = digest.as_bytes()[digest.len() - 1];
                assert!(last != b'z' && last != b'/' && last != b'9', "the next one is a letter");
                let digest = format!("{}{}=:", &digest[..digest.len() - 1], char::from(last + 1));
                p.call.set("content-digest", &digest);
            }),
        ],
    ));
    cases.extend(signed(
        9,
        Code::DigestMismatch,
        vec![
            ("of another body", |p| {
                p.call.set("content-digest", &content_digest(b"{}"));
            }),
            ("one of two", |p| {
                let digest = format!("{}, sha-512=:{}:", p.call.get("content-digest"), {
                    STANDARD.encode([7; 64])
                });
                p.call.set("content-digest", &digest);
            }),
        ],
    ));
    cases.extend(tampered(
        9,
        Code::DigestMismatch,
        vec![
            ("a space behind the body", |p| p.call.body.push(b' ')),
            ("a byte less", |p| {
                p.call.body.pop();
            }),
            ("no body", |p| p.call.body.clear()),
            ("a letter", |p| p.call.body[20] ^= 1),
        ],
    ));
    cases
}

pub(super) fn messages() -> Vec<Case> {
    fn body(p: &mut Play, from: &str, to: &str) {
        assert!(BODY.contains(from));
        p.call.with_body(&BODY.replacen(from, to, 1));
    }
    let mut cases = signed(
        10,
        Code::BodyAmbiguous,
        vec![
            ("a key twice", |p| body(p, "\"id\":1", "\"id\":1,\"id\":1")),
            ("a key twice, deep", |p| body(p, "\"city\":", "\"city\":\"Rome\",\"city\":")),
            ("a key twice, escaped", |p| body(p, "\"city\":", "\"c\\u0069ty\":\"Rome\",\"city\":")),
            ("other letters of a key", |p| body(p, "\"id\":1", "\"id\":1,\"Method\":\"ping\"")),
            ("an array", |p| {
                p.call.with_body(&format!("[{BODY}]"));
            }),
            ("two values", |p| {
                p.call.with_body(&format!("{BODY}{BODY}"));
            }),
            ("a number that is none", |p| body(p, "\"id\":1", "\"id\":NaN")),
            ("half a surrogate", |p| body(p, "Oslo", "\\ud800")),
            ("a byte order mark", |p| {
                p.call.with_body(&format!("\u{feff}{BODY}"));
            }),
            ("another charset", |p| {
                p.call.set("content-type", "application/json; charset=utf-7");
            }),
            ("another media type", |p| {
                p.call.set("content-type", "text/plain");
            }),
            ("no JSON at all", |p| {
                p.call.with_body("get_weather");
            }),
            ("nothing", |p| {
                p.call.with_body("");
            }),
            ("not utf-8", |p| {
                p.call.body.push(0xff);
                let digest = content_digest(&p.call.body);
                p.call.set("content-digest", &digest);
            }),
            ("another method than POST", |p| p.call.method = "PUT".to_owned()),
        ],
    );
    cases.extend(signed(
        10,
        Code::HeaderBodyMismatch,
        vec![
            ("another tool", |p| {
                p.call.set("mcp-name", "delete_weather");
            }),
            ("another method", |p| {
                p.call.set("mcp-method", "tools/list");
            }),
            ("another version", |p| {
                p.call.set("mcp-protocol-version", "2027-01-01");
            }),
            ("an older version", |p| {
                p.call.set("mcp-protocol-version", "2025-11-25");
            }),
            ("other letters", |p| {
                p.call.set("mcp-name", "Get_weather");
            }),
            ("another tool in the body", |p| body(p, "get_weather", "delete_weather")),
            ("no name", |p| {
                p.call.remove("mcp-name");
                p.input.uncover("mcp-name");
            }),
            ("no method", |p| {
                p.call.remove("mcp-method");
                p.input.uncover("mcp-method");
            }),
            ("no version", |p| {
                p.call.remove("mcp-protocol-version");
                p.input.uncover("mcp-protocol-version");
            }),
        ],
    ));
    cases.extend(signed(
        11,
        Code::NotAllowed,
        vec![
            ("another tool is allowed", |p| p.limit("allow", json!(["tools/call:set_*"]))),
            ("another method is allowed", |p| p.limit("allow", json!(["tools/list"]))),
            ("nothing is allowed", |p| p.limit("allow", json!([]))),
            ("other letters are allowed", |p| p.limit("allow", json!(["tools/call:Get_*"]))),
            ("one of two files allows it", |p| {
                p.limit("allow", json!(["tools/call"]));
                let mut second = trusted(&key(1));
                second["mcpid"]["allow"] = json!(["prompts/get"]);
                p.judge.trust.push(second);
            }),
        ],
    ));
    cases
}
