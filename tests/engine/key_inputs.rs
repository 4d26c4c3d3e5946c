//! Tests of keys with the text that other tools print around them.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mcpid::clock::Timestamp;
use mcpid::key::format::{self, FormatError, KeyImport, read_private, read_public};
use mcpid::key::keyfile::Keyfile;
use mcpid::key::{PublicKey, SecretKey, Sign as _};

/// Runs a real program. If it is not installed, the test fails and is not skipped.
fn tool(name: &str, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("this test needs {name}: {e}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name} {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn secret() -> SecretKey {
    SecretKey::from_seed(&[0x6b; 32])
}

fn other() -> PublicKey {
    SecretKey::from_seed(&[0x6c; 32]).public().clone()
}

fn pem(label: &str, body: &[u8]) -> String {
    let body = STANDARD.encode(body);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn pkcs8() -> String {
    let der =
        [b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", &[0x6b; 32][..]];
    pem("PRIVATE KEY", &der.concat())
}

fn field(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// Returns an OpenSSH private key whose inner part ends with this padding.
fn openssh(padding: &[u8]) -> String {
    let seed = [0x6b; 32];
    let public: [u8; 32] = secret().public().as_bytes().try_into().unwrap();
    let blob = [field(b"ssh-ed25519"), field(&public)].concat();
    // The inner part has 8 + 15 + 36 + 68 bytes and 9 for a comment, a multiple of 8, so that
    // padding is not needed.
    let both = [seed, public].concat();
    let inner =
        [&[0; 8][..], &field(b"ssh-ed25519"), &field(&public), &field(&both), &field(b"agent")];
    let inner = [&inner.concat()[..], padding].concat();
    let parts = [
        b"openssh-key-v1\0".to_vec(),
        field(b"none"),
        field(b"none"),
        field(b""),
        1_u32.to_be_bytes().to_vec(),
        field(&blob),
        field(&inner),
    ];
    pem("OPENSSH PRIVATE KEY", &parts.concat())
}

fn is_secret(text: &str) {
    let read = read_private(text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {text:?}"));
    assert_eq!(read.public(), secret().public(), "{text:?}");
}

fn import(text: &str) -> KeyImport {
    read_public(text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {text:?}"))
}

fn is_public(text: &str) -> KeyImport {
    let import = import(text);
    assert_eq!(import.keys.len(), 1, "{text:?}");
    assert_eq!(&import.keys[0].key, secret().public(), "{text:?}");
    import
}

fn refused<T: std::fmt::Debug>(result: Result<T, FormatError>, words: &str) {
    let error = result.expect_err(words).to_string();
    assert!(error.contains(words), "{error:?} should say {words:?}");
}

/// Returns variants of a text: with what editors, shells and mail programs put before it, and with
/// every kind of line end.
fn dressed(text: &str) -> Vec<String> {
    let unix = [text.to_owned(), format!("\n\n{text}"), format!("  {text}\n \n")];
    let ends = |text: &String| {
        let text = text.trim_end_matches(' ');
        [text.to_owned(), text.replace('\n', "\r\n"), text.replace('\n', "\r")]
    };
    let all: Vec<String> = unix.iter().flat_map(ends).collect();
    all.iter().flat_map(|text| [text.clone(), format!("\u{feff}{text}")]).collect()
}

#[test]
fn openssh_keys_have_any_padding_that_counts() {
    let counting = |n: u8| (1..=n).collect::<Vec<u8>>();
    // The padding has 0 bytes, 8 bytes as puttygen writes, and so on up to 248.
    for n in (0..=248).step_by(8) {
        is_secret(&openssh(&counting(n)));
    }
    for bad in (0..=255_u8).filter(|n| n % 8 != 0) {
        assert!(read_private(openssh(&counting(bad)).as_bytes()).is_err(), "{bad}");
    }
    for n in [8_u8, 16, 248] {
        for at in 0..usize::from(n) {
            let mut padding = counting(n);
            padding[at] ^= 1;
            refused(read_private(openssh(&padding).as_bytes()), "inner part is broken");
        }
    }
    refused(read_private(openssh(&[0; 8]).as_bytes()), "inner part");
    refused(read_private(openssh(&[8; 8]).as_bytes()), "inner part");
    let around: Vec<u8> = (1..=255).chain([0]).collect();
    refused(read_private(openssh(&around).as_bytes()), "inner part");
}

#[test]
fn private_keys_in_every_format() {
    let x = URL_SAFE_NO_PAD.encode(secret().public().as_bytes());
    let d = URL_SAFE_NO_PAD.encode([0x6b; 32]);
    let jwk = format!("{{\"kty\":\"OKP\",\n\"crv\":\"Ed25519\",\"d\":\"{d}\",\"x\":\"{x}\"}}");
    for text in [pkcs8(), openssh(b""), jwk, "6b".repeat(32), STANDARD.encode([0x6b; 32])] {
        for text in dressed(&text) {
            is_secret(&text);
        }
        refused(read_private(format!("\u{feff}\u{feff}{text}").as_bytes()), "not a");
    }
    let bag = "Bag Attributes\n    friendlyName: a b\n    localKeyID: 01 02\n\
               Key Attributes: <No Attributes>\n";
    let certificate = pem("CERTIFICATE", b"not looked at");
    let public = format::spki_pem(secret().public());
    for text in [
        format!("{bag}{}", pkcs8()),
        format!("{bag}{}{bag}{certificate}", pkcs8()),
        format!("{certificate}{bag}{}", pkcs8()),
        format!("{}ED25519 Private-Key:\npriv:\n    6b:6b\npub:\n    00:01\n", pkcs8()),
        format!("{}\n{public}", pkcs8()),
        format!("{public}{}", openssh(b"")),
        pkcs8().replace("\nM", "\n   M").replace("-----END", "\t-----END"),
    ] {
        for text in dressed(&text) {
            is_secret(&text);
        }
    }
    refused(read_private((pkcs8() + &pkcs8()).as_bytes()), "it holds 2 private keys");
    refused(read_private((pkcs8() + &openssh(b"") + &pkcs8()).as_bytes()), "3 private keys");
    let rsa = pem("RSA PRIVATE KEY", b"x");
    refused(read_private((pkcs8() + &rsa).as_bytes()), "it holds 2 private keys");
    refused(read_private((pkcs8() + &format::spki_pem(&other())).as_bytes()), "is another one");
    refused(read_private((bag.to_owned() + &certificate).as_bytes()), "a certificate");
    refused(read_private(bag.as_bytes()), "not a key in any known form");
    refused(read_private(pkcs8().replace('\n', "").as_bytes()), "BEGIN line is broken");
    refused(read_private(pkcs8().replace('\n', " ").as_bytes()), "BEGIN line is broken");
    let half = pkcs8().replace("-----END PRIVATE KEY-----", "");
    refused(read_private((half + &pkcs8()).as_bytes()), "END line is missing");
    let utf16: Vec<u8> = pkcs8().encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused(read_private(&[&[0xff, 0xfe], &utf16[..]].concat()), "UTF-16 text, not UTF-8");
}

#[test]
fn public_keys_are_read_in_every_format() {
    let key = secret();
    let key = key.public();
    let line = format::openssh(key, "alice@laptop");
    let spki = format::spki_pem(key);
    let base64 = spki.lines().nth(1).unwrap().to_owned();
    for text in [
        spki.clone(),
        line.clone(),
        base64,
        format::jwk(key, None),
        format::jwks(key, None),
        format::did_key(key),
        format::hex(key),
        STANDARD.encode(key.as_bytes()),
        format!("# a comment\n\n{line}\n# another\n"),
        format!("subject=CN = x\n{spki}ED25519 Public-Key:\npub:\n    00:01\n"),
        format!("{spki}{}", pem("CERTIFICATE", b"x")),
    ] {
        for text in dressed(&text) {
            is_public(&text);
        }
    }
    let keyfile = Keyfile::plain(&secret(), "agent", Timestamp::from_unix(0)).unwrap().to_json();
    is_public(&format!("\u{feff}{}", *keyfile));
    // A file that also contains a private key is not accepted as a public key.
    let told = format!("{spki}ED25519 Private-Key:\npriv:\n    6b:6b\n");
    refused(read_public(told.as_bytes()), "a private key");
    refused(read_public((spki.clone() + &pkcs8()).as_bytes()), "a private key, not a public key");
    refused(read_public((spki.clone() + &openssh(b"")).as_bytes()), "a private key, not a public");
    refused(read_public((spki.clone() + &pem("ENCRYPTED PRIVATE KEY", b"")).as_bytes()), "private");
    assert_eq!(import(&(spki.clone() + &format::spki_pem(&other()))).keys.len(), 2);
    refused(read_public((spki + &pem("PUBLIC KEY", b"x")).as_bytes()), "RFC 8410");
    // A text that has the length of an SPKI in base64, but does not encode one, is refused.
    refused(read_public(STANDARD.encode([7; 44]).as_bytes()), "RFC 8410");
}

#[test]
fn the_output_of_real_tools_is_read() {
    let private = pkcs8();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    is_secret(&tool("openssl", &["pkey", "-text"], private.as_bytes()));
    is_public(&tool("openssl", &["pkey", "-pubout"], private.as_bytes()));
    is_public(&tool("openssl", &["pkey", "-pubout", "-text_pub"], private.as_bytes()));
    let told = tool("openssl", &["pkey", "-text", "-noout"], private.as_bytes());
    let told = tool("openssl", &["pkey", "-pubout"], private.as_bytes()) + &told;
    assert!(told.contains("priv:"), "{told}");
    refused(read_public(told.as_bytes()), "a private key");
    let files = (at("key.pem"), at("cert.pem"), at("bag.p12"));
    fs::write(&files.0, &private).unwrap();
    let request = ["req", "-new", "-x509", "-key", &files.0, "-subj", "/CN=x", "-out", &files.1];
    tool("openssl", &request, b"");
    let bag = ["pkcs12", "-export", "-inkey", &files.0, "-in", &files.1, "-out", &files.2];
    tool("openssl", &[&bag[..], &["-passout", "pass:x", "-name", "a b"]].concat(), b"");
    let out = ["pkcs12", "-in", &files.2, "-nodes", "-passin", "pass:x"];
    let text = tool("openssl", &out, b"");
    assert!(text.contains("Bag Attributes") && text.contains("CERTIFICATE"), "{text}");
    is_secret(&text);

    let ssh = at("id_ed25519");
    fs::write(&ssh, openssh(&[1, 2, 3, 4, 5, 6, 7, 8])).unwrap();
    Command::new("chmod").args(["600", &ssh]).status().unwrap();
    // ssh-keygen accepts the same padding, and prints the public key.
    let line = tool("ssh-keygen", &["-y", "-f", &ssh], b"");
    is_public(&line);
    fs::write(format!("{ssh}.pub"), &line).unwrap();
    let ssh2 = tool("ssh-keygen", &["-e", "-m", "RFC4716", "-f", &ssh], b"");
    assert!(ssh2.starts_with("---- BEGIN SSH2 PUBLIC KEY"), "{ssh2}");
    for text in dressed(&ssh2) {
        is_public(&text);
    }
    let long = ssh2.replacen("Comment:", "Subject: x\nComment: \\\n: y\\\n z\\\nmore ", 1);
    is_public(&long);
    let (head, key) = ssh2.split_at(ssh2.find("\nAAAA").unwrap());
    refused(read_public(format!("{head}\nX: y\\{key}").as_bytes()), "its type is not known");
    is_public(&ssh2.replacen("Comment:", "Subject: x\\\n y:\\\n z\nComment:", 1));
    refused(read_private(ssh2.as_bytes()), "a public key, not a private key");
    let rsa = tool("ssh-keygen", &["-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", &at("r")], b"");
    assert_eq!(rsa, "");
    let rsa = tool("ssh-keygen", &["-e", "-m", "RFC4716", "-f", &at("r")], b"");
    refused(read_public(rsa.as_bytes()), "an RSA key");
}

#[test]
fn the_option_verify_required_of_a_security_key_is_kept() {
    let application = mcpid::key::KeyApplication::parse("ssh:mcpid").unwrap();
    let security_key = mcpid::key::SecurityKey::new(secret().public().clone(), application);
    let line = format::openssh_security_key(&security_key, "alice");
    let others = "line 1: its other options are for logins only";
    for (options, required, note) in [
        ("", false, None),
        ("verify-required ", true, None),
        ("VERIFY-REQUIRED ", true, None),
        ("verify-required,no-pty ", true, Some(others)),
        ("from=\"10.0.0.0/8, verify\",Verify-Required ", true, Some(others)),
        ("no-touch-required,verify-required ", true, Some(others)),
        ("no-pty ", false, Some("line 1: its options are for logins only")),
        // Inside of a quoted value, `verify-required` is not an option.
        ("command=\"verify-required\" ", false, Some("line 1: its options are for logins only")),
    ] {
        let import = read_public(format!("{options}{line}").as_bytes()).unwrap();
        assert_eq!(import.keys[0].verify_required, required, "{options}");
        assert!(import.keys[0].application.is_some(), "{options}");
        assert_eq!(import.skipped.first().map(String::as_str), note, "{options}");
    }
    // Each line has its own options.
    let second = line.replace("alice", "bob");
    let import = read_public(format!("{line}\nverify-required {second}\n").as_bytes()).unwrap();
    let required: Vec<bool> = import.keys.iter().map(|key| key.verify_required).collect();
    assert_eq!(required, [false, true]);
    // For an ordinary key, the option `verify-required` is only about logins, so it is ignored.
    let plain = format::openssh(secret().public(), "alice");
    let import = read_public(format!("verify-required {plain}").as_bytes()).unwrap();
    assert!(!import.keys[0].verify_required);
    assert_eq!(import.skipped, ["line 1: its options are for logins only"]);
}

#[test]
fn authorized_keys_and_agent_lists_are_read() {
    let line = format::openssh(secret().public(), "alice");
    let second = format::openssh(&other(), "bob");
    for options in [
        "no-pty",
        "restrict,command=\"a \\\"b\\\" ssh-ed25519 c\",no-X11-forwarding",
        "from=\"10.0.0.0/8,!10.1.0.1\"",
        "environment=\"A=b c\",permitopen=\"h:1\",agent-forwarding",
        "NO-PTY",
    ] {
        let import = is_public(&format!("{options} {line}"));
        assert_eq!(import.keys[0].name.as_deref(), Some("alice"));
        assert_eq!(import.skipped, ["line 1: its options are for logins only"]);
    }
    for (options, words) in [
        ("cert-authority", "certificate authority"),
        ("no-pty,CERT-AUTHORITY,principals=\"x\"", "certificate authority"),
        ("expiry-time=\"20200101\"", "expiry-time would be lost"),
        ("@revoked", "marked as revoked"),
        ("@revoked *", "marked as revoked"),
        ("@cert-authority *.example.com", "known_hosts"),
        ("host.example.com", "known_hosts"),
        ("|1|abc=|def=", "known_hosts"),
        ("no-pty,", "OpenSSH"),
        ("unheard-of=\"x\"", "known_hosts"),
        ("no-pty,unheard-of", "known_hosts"),
    ] {
        let text = format!("{options} {line}");
        if options == "no-pty," {
            is_public(&text);
            continue;
        }
        refused(read_public(text.as_bytes()), words);
        // A line that revokes a key is an error, even in a list with other keys.
        let list = format!("{second}\n{text}\n");
        match read_public(list.as_bytes()) {
            Ok(import) => assert!(words == "known_hosts" && import.keys.len() == 1, "{text}"),
            Err(error) => assert!(error.to_string().contains(words), "{error}"),
        }
    }
    let list = format!("# keys\nssh-rsa AAAA x\n{line}\r\n\n{second}\n");
    let read = import(&list);
    assert_eq!(read.keys.len(), 2);
    assert_eq!(read.skipped, ["line 2 is an RSA key"]);
    refused(read_public(b"ssh-rsa AAAA x\nssh-dss AAAA y\n"), "without an Ed25519 or P-256 key");
    refused(read_public(format!("{line}\nssh-ed25519 AAAA\n").as_bytes()), "type is not known");
    refused(read_public(format!("{line}\nnonsense\n").as_bytes()), "not a key in any known form");
    refused(read_private(list.as_bytes()), "a public key, not a private key");
}

#[test]
fn a_key_set_of_others_keeps_its_good_keys_and_their_ends() {
    let key = secret();
    let good = format::jwk(key.public(), None);
    let x = URL_SAFE_NO_PAD.encode(key.public().as_bytes());
    let ended = good.replacen('{', r#"{"nbf":10,"exp":1767225600000,"#, 1);
    let import = is_public(&ended);
    assert_eq!(import.keys[0].not_before, Some(Timestamp::from_unix(10)));
    assert_eq!(import.keys[0].not_after, Some(Timestamp::from_unix(1_767_225_600)));
    for bad in [
        "7".to_owned(),
        r#"{"kty":"OKP"}"#.to_owned(),
        good.replace(&x, &x[1..]),
        good.replace(&x, &URL_SAFE_NO_PAD.encode(other().as_bytes())),
        good.replacen('{', r#"{"revoked":{"revoked_at":5},"#, 1),
        good.replacen('{', r#"{"exp":"soon","#, 1),
    ] {
        let import = is_public(&format!(r#"{{"keys":[{bad},{good}]}}"#));
        assert_eq!(import.skipped.len(), 1, "{bad}");
        assert!(read_public(bad.as_bytes()).is_err(), "{bad} alone");
    }
    for (slip, words) in [
        (r#"{"mcpid":{},"#, "an entry of a trust file"),
        (r#"{"mcp-id":{},"#, "must be spelled"),
        (r#"{"revoked_at":"x","#, "belongs into"),
        (r#"{"d":"AA","#, "a private key"),
    ] {
        let bad = good.replacen('{', slip, 1);
        refused(read_public(bad.as_bytes()), words);
        refused(read_public(format!(r#"{{"keys":[{good},{bad}]}}"#).as_bytes()), words);
    }
    refused(
        read_public(format!(r#"{{"mcpid":{{}},"keys":[{good}]}}"#).as_bytes()),
        "beside \"keys\"",
    );
}
