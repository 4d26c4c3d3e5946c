//! Tests of trust files with mistakes, and of key sets from other programs: no restriction of a key
//! may get lost.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpid::clock::Timestamp;
use mcpid::key::trust::{Document, NewEntry, Registry, TrustEntry, TrustFile};
use mcpid::key::{PublicKey, SecretKey, Sign as _};
use mcpid::mcp::pattern::Operation;

fn key(n: u8) -> PublicKey {
    let mut seed = [0xa5; 32];
    seed[0] = n;
    SecretKey::from_seed(&seed).public().clone()
}

/// Returns a JWK with these members besides `kty`, `crv` and `x`.
fn jwk(n: u8, more: &str) -> String {
    let x = URL_SAFE_NO_PAD.encode(key(n).as_bytes());
    format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"{more}}}"#)
}

fn set(keys: &[String]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn registry(texts: &[&str]) -> Registry {
    Registry::merge(texts.iter().map(|text| TrustFile::parse(text.as_bytes()).expect(text)))
}

fn refused(text: &str, words: &str) {
    let error = TrustFile::parse(text.as_bytes()).expect_err(text).to_string();
    assert!(error.contains(words), "{text}: {error:?} should say {words:?}");
    // A trust file that is opened for editing is parsed in the same strict way.
    assert!(Document::parse(text.as_bytes()).is_err(), "{text}");
}

fn entry(registry: &Registry, n: u8) -> TrustEntry {
    TrustEntry::clone(registry.by_id(key(n).id().as_str()).unwrap())
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

const LIMITS: &str = r#","mcpid":{"not_before":"2026-02-01T00:00:00Z",
    "not_after":"2026-06-01T00:00:00Z","revoked_at":"2026-05-01T00:00:00Z","allow":["tools/list"]}"#;

#[test]
fn an_entry_that_is_passed_over_restricts_all_the_same() {
    let plain = jwk(1, r#","mcpid":{"name":"alice"}"#);
    let id = key(1).id().to_string();
    let other_types = [
        jwk(1, LIMITS).replace("Ed25519", "X25519"),
        jwk(1, LIMITS).replace("Ed25519", "ed25519"),
        jwk(1, LIMITS).replace("OKP", "okp"),
        jwk(1, LIMITS).replace("OKP", "EC"),
        format!(r#"{{"kty":"RSA","n":"AA","e":"AQAB","kid":"{id}"{LIMITS}}}"#),
        format!(r#"{{"kty":"unheard","kid":"{id}"{LIMITS}}}"#),
    ];
    let other_uses = [
        r#","use":"enc""#,
        r#","use":"SIG""#,
        r#","use":"""#,
        r#","alg":"ES256""#,
        r#","alg":"eddsa""#,
        r#","key_ops":[]"#,
        r#","key_ops":["sign"]"#,
        r#","key_ops":["Verify"]"#,
        r#","use":"enc","alg":"none","key_ops":["sign"]"#,
    ];
    let passed_over = other_uses.iter().map(|more| jwk(1, &format!("{LIMITS}{more}")));
    for text in passed_over.chain(other_types) {
        for files in [[&*plain, &*text], [&*text, &*plain]] {
            let registry = registry(&files);
            assert_eq!(registry.len(), 1, "{text}");
            let entry = entry(&registry, 1);
            assert_eq!(entry.name(), Some("alice"));
            assert_eq!(entry.not_before(), Some(time("2026-02-01T00:00:00Z")), "{text}");
            assert_eq!(entry.not_after(), Some(time("2026-06-01T00:00:00Z")), "{text}");
            assert_eq!(entry.revoked_at(), Some(time("2026-05-01T00:00:00Z")), "{text}");
            let call = |method| Operation { method, name: None };
            assert!(entry.allows(call("tools/list")) && !entry.allows(call("tools/call")));
            let note = &registry.notes()[0].text;
            assert!(note.ends_with("; what it restricts holds all the same"), "{note}");
        }
        // The skipped entry permits nothing: its key stays unknown, and its client ids and name
        // belong to no key.
        let named =
            text.replacen("\"mcpid\":{", r#""mcpid":{"name":"eve","client_ids":["eve"],"#, 1);
        assert!(registry(&[&named]).is_empty(), "{named}");
        let both = registry(&[&plain, &named]);
        assert!(entry(&both, 1).client_ids().is_empty());
        assert_eq!(entry(&both, 1).name(), Some("alice"));
        // The limits in the skipped entry do not apply to other keys.
        let other = registry(&[&jwk(2, ""), &text]);
        assert!(entry(&other, 2).revoked_at().is_none() && !entry(&other, 2).is_limited());
    }
}

#[test]
fn a_misspelt_mcpid_member_is_an_error() {
    let revoked = r#"{"revoked_at":"2026-01-01T00:00:00Z"}"#;
    for name in [
        "mcipd",
        "mcp-id",
        "mcp_id",
        "mcpid ",
        " mcpid",
        "MCPID",
        "Mcpid",
        "mcp.id",
        "mcpId",
        "mcpi",
        "cpid",
        "mcpids",
        "xmcpid",
        "mcpid1",
        "ncpid",
        "mcqid",
        "mpcid",
        "m\u{441}pid",
        "mcpid\u{200b}",
        "mcpid:",
        "MCP-ID ",
        "mc\\u0070di",
    ] {
        let member = format!(r#","{name}":{revoked}"#);
        refused(&jwk(1, &member), "must be spelled \"mcpid\"");
        refused(&set(&[jwk(2, ""), jwk(1, &member)]), "key 2: ");
        // The misspelt member stands beside a valid one, in an entry that is skipped, in an entry
        // of another key type, or nested deeper.
        refused(&jwk(1, &format!(r#"{member},"mcpid":{{}}"#)), "must be spelled");
        refused(&set(&[jwk(1, &format!(r#"{member},"use":"enc""#))]), "must be spelled");
        refused(&set(&[format!(r#"{{"kty":"RSA"{member}}}"#)]), "must be spelled");
        refused(&set(&[format!(r#"{{"kid":"x"{member}}}"#)]), "must be spelled");
        refused(&jwk(1, &format!(r#","ext":[{{"a":{{"b":1{member}}}}}]"#)), "must be spelled");
        let beside = format!(r#"{{"keys":[]{member}}}"#);
        refused(&beside, "must be spelled \"mcpid\"");
    }
    for name in ["mcp", "mcpidentity", "pid", "id", "mcp-identity", "x-mcp", "m"] {
        let file = TrustFile::parse(jwk(1, &format!(r#","{name}":{{}}"#)).as_bytes()).unwrap();
        assert_eq!((file.entries().len(), file.notes().len()), (1, 0), "{name}");
    }
}

#[test]
fn a_restriction_outside_of_the_wrapper_is_an_error() {
    for name in ["revoked_at", "not_after", "not_before", "allow", "security_key"] {
        let camel = name.replace('_', "");
        for name in
            [name, &name.to_uppercase(), &name.replace('_', "-"), &camel, &format!("{name} ")]
        {
            for value in [r#""2026-01-01T00:00:00Z""#, "[]", "null", "{}", "1"] {
                let member = format!(r#","{name}":{value}"#);
                let words = "belongs into \"mcpid\"";
                refused(&jwk(1, &member), words);
                refused(&set(&[jwk(1, &format!(r#"{member},"use":"enc""#))]), words);
                refused(&set(&[format!(r#"{{"kty":"EC"{member}}}"#)]), words);
                refused(&jwk(1, &format!(r#","ext":{{"a":1{member}}}"#)), words);
                refused(&format!(r#"{{"keys":[{}]{member}}}"#, jwk(1, "")), words);
                refused(&format!(r#"{{"keys":[],"meta":[{{"a":1{member}}}]}}"#), words);
            }
        }
    }
    // The object with `mcpid` contains no key, or the file has a second list of keys.
    let revoked = jwk(1, LIMITS);
    refused(&format!(r#"{{"mcpid":{{}},"keys":[{revoked}]}}"#), "beside \"keys\"");
    refused(r#"{"keys":[],"meta":{"mcpid":{}}}"#, "directly into a key");
    refused(&jwk(1, r#","ext":{"mcpid":{}}"#), "directly into a key");
    refused(&jwk(1, r#","mcpid":{"mcpid":{}}"#), "is not known");
    for second in ["Keys", "KEYS", "keys ", "key", "kyes", "keyss"] {
        let text = format!(r#"{{"keys":[],"{second}":[{{"kty":"EC"}}]}}"#);
        refused(&text, "beside \"keys\" would be ignored");
    }
    refused(&format!(r#"{{"keys":[],"keys":[{revoked}]}}"#), "stands twice");
    for fine in
        [r#"{"keys":[],"issuer":"x","keys_uri":"y","purpose":["z"]}"#, r#"{"keys":[],"key":7}"#]
    {
        TrustFile::parse(fine.as_bytes()).expect(fine);
    }
}

#[test]
fn one_unusable_member_does_not_fail_the_set() {
    let good = jwk(1, "");
    let x = URL_SAFE_NO_PAD.encode(key(2).as_bytes());
    let broken = [
        "7".to_owned(),
        "null".to_owned(),
        r#""text""#.to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"kty":7}"#.to_owned(),
        r#"{"kty":"OKP"}"#.to_owned(),
        r#"{"kty":"OKP","crv":"Ed25519"}"#.to_owned(),
        jwk(2, "").replace(&x, &format!("{x}=")),
        jwk(2, "").replace(&x, &x[..42]),
        jwk(2, "").replace(&x, ""),
        jwk(2, "").replace(&x, &URL_SAFE_NO_PAD.encode([0xff; 32])),
        jwk(2, "").replace(&format!("\"{x}\""), "7"),
        jwk(2, r#","kid":7"#),
        jwk(2, r#","use":[]"#),
        jwk(2, r#","key_ops":"verify""#),
        jwk(2, r#","key_ops":[1]"#),
        jwk(2, r#","alg":null"#),
        jwk(2, r#","kid":7,"mcpid":{"name":"n","client_ids":["c"]}"#),
    ];
    for bad in broken {
        for keys in [[good.clone(), bad.clone()], [bad.clone(), good.clone()]] {
            let file = TrustFile::parse(set(&keys).as_bytes()).expect(&bad);
            assert_eq!(file.entries().len(), 1, "{bad}");
            assert_eq!(file.entries()[0].key(), &key(1));
            assert_eq!(file.notes().len(), 1);
            assert!(file.notes()[0].text.contains("is passed over: "), "{bad}");
        }
        // An entry with an unreadable key is refused if it contains a restriction, if it is the
        // only entry, or if it is a private key.
        if let Some(open) = bad.strip_suffix('}').filter(|_| !bad.contains("mcpid")) {
            let comma = if open == "{" { "" } else { "," };
            let with = |more: &str| format!("{open}{comma}{more}}}");
            let limited = with(r#""mcpid":{"revoked_at":"2026-01-01T00:00:00Z"}"#);
            refused(&set(&[good.clone(), limited]), "key 2: ");
            refused(&set(&[good.clone(), with(r#""d":"AA""#)]), "private key");
            assert!(TrustFile::parse(bad.as_bytes()).is_err(), "{bad} alone");
        }
    }
}

#[test]
fn a_kid_that_is_the_id_of_another_key_is_an_error() {
    let (own, other) = (key(1).id().to_string(), key(2).id().to_string());
    let with = |kid: &str, more: &str| set(&[jwk(1, &format!(r#","kid":"{kid}"{more}"#))]);
    assert_eq!(registry(&[&with(&own, "")]).len(), 1);
    refused(&with(&other, ""), "is the id of another key: its own id is ");
    // An entry that is skipped, and whose `kid` is the id of another key, is refused only if it has
    // limits: they would apply to the wrong key.
    assert!(registry(&[&with(&other, r#","use":"enc""#)]).is_empty());
    refused(&with(&other, &format!(r#","use":"enc"{LIMITS}"#)), "is the id of another key");
    // A `kid` that does not look like a key id may be any text.
    for kid in [&own[1..], &format!("{own}A"), &own.replace(&own[..1], "+"), "", "one"] {
        assert_eq!(registry(&[&with(kid, "")]).len(), 1, "{kid}");
    }
    // A key of another type has another kind of thumbprint, which is not checked.
    let rsa = format!(r#"{{"kty":"RSA","n":"AA","e":"AQAB","kid":"{other}"}}"#);
    assert!(registry(&[&set(&[rsa])]).is_empty());
}

#[test]
fn validity_stated_in_a_key_directory_counts() {
    let member = |more: &str| entry(&registry(&[&set(&[jwk(1, more)])]), 1);
    let at = Timestamp::from_unix;
    for (exp, end) in [
        ("1767225600", 1_767_225_600),
        ("1767225600.9", 1_767_225_600),
        ("1767225600000", 1_767_225_600),
        ("1.7672256e9", 1_767_225_600),
        ("0", 0),
        ("-1", -1),
        ("-0.5", -1),
    ] {
        let entry = member(&format!(r#","exp":{exp}"#));
        assert_eq!(entry.not_after(), Some(at(end)), "{exp}");
        assert!(entry.is_valid_at(at(end - 1)) && !entry.is_valid_at(at(end)), "{exp}");
    }
    for (nbf, start) in [("100", 100), ("100.1", 101), ("1767225600001", 1_767_225_601)] {
        assert_eq!(member(&format!(r#","nbf":{nbf}"#)).not_before(), Some(at(start)), "{nbf}");
    }
    assert_eq!(member(r#","revoked":{"revoked_at":50,"reason":"x"}"#).revoked_at(), Some(at(50)));
    // An unreadable end of validity counts as if it had passed.
    for more in [
        r#","exp":"1767225600""#,
        r#","exp":null"#,
        r#","exp":[]"#,
        r#","exp":true"#,
        r#","exp":1e300"#,
        r#","nbf":"soon""#,
        r#","revoked":true"#,
        r#","revoked":{}"#,
        r#","revoked":{"revoked_at":"2026-01-01T00:00:00Z"}"#,
        r#","revoked":1"#,
    ] {
        let registry = registry(&[&set(&[jwk(1, more)])]);
        assert!(!entry(&registry, 1).is_valid_at(at(1_767_225_600)), "{more}");
        assert!(registry.notes()[0].text.contains("cannot be read"), "{more}");
    }
    // If the JWK and `mcpid` both limit the validity, the stricter limit applies, even if it is in
    // a skipped entry.
    let ours =
        r#","mcpid":{"not_after":"1970-01-01T00:03:20Z","not_before":"1970-01-01T00:00:10Z"}"#;
    let entry_of = |text: &str| member(&format!("{ours}{text}"));
    assert_eq!(entry_of(r#","exp":100,"nbf":20"#).not_after(), Some(at(100)));
    assert_eq!(entry_of(r#","exp":100,"nbf":20"#).not_before(), Some(at(20)));
    assert_eq!(entry_of(r#","exp":300,"nbf":5"#).not_after(), Some(at(200)));
    assert_eq!(entry_of(r#","exp":300,"nbf":5"#).not_before(), Some(at(10)));
    let directory = set(&[jwk(1, r#","exp":100,"use":"enc""#)]);
    assert_eq!(entry(&registry(&[&jwk(1, ""), &directory]), 1).not_after(), Some(at(100)));
}

#[test]
fn a_byte_order_mark_is_read_over_and_not_written_back() {
    for text in [jwk(1, ""), set(&[jwk(1, "")]), format!("\r\n {}", set(&[jwk(1, "")]))] {
        let marked = format!("\u{feff}{text}");
        assert_eq!(registry(&[&marked]).len(), 1);
        let mut document = Document::parse(marked.as_bytes()).unwrap();
        document.add(&NewEntry::new(key(2))).unwrap();
        let written = document.to_json();
        assert!(!written.contains('\u{feff}'));
        assert_eq!(registry(&[&written]).len(), 2);
    }
}
