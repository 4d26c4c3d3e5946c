//! Tests with keys that `ssh-keygen` and `openssl` made, and with keys of this crate that these
//! tools must read.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use mcpid::key::Sign as _;
use mcpid::key::format::{self, FormatError, read_private, read_public};

use super::{fresh, public, refused};

/// Runs a real program. If it is not installed, the test fails and is not skipped.
fn tool(name: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("this test needs {name} (openssh-client, openssl): {e}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {said}");
    output.stdout
}

pub(super) fn ssh_keygen(
    folder: &Path,
    kind: &[&str],
    passphrase: &str,
    comment: &str,
) -> (Vec<u8>, Vec<u8>) {
    let path = folder.join(format!("{}{}", kind.join(""), passphrase.len()));
    let path = path.to_str().unwrap();
    let more = ["-q", "-N", passphrase, "-C", comment, "-f", path];
    tool("ssh-keygen", &[kind, &more].concat(), b"");
    (fs::read(path).unwrap(), fs::read(format!("{path}.pub")).unwrap())
}

fn genpkey(arguments: &[&str]) -> Vec<u8> {
    tool("openssl", &[&["genpkey"], arguments].concat(), b"")
}

fn pubout(private: &[u8]) -> Vec<u8> {
    tool("openssl", &["pkey", "-pubout"], private)
}

#[test]
fn ssh_keygen_keys_are_read() {
    let folder = tempfile::tempdir().unwrap();
    // The padding in the file depends on the length of the comment, so comments of every length
    // modulo 8 are tried.
    for comment in ["", "a", "ab", "abc", "abcd", "abcde", "abcdef", "alice@laptop of hers"] {
        let folder = tempfile::tempdir_in(&folder).unwrap();
        let (private, line) = ssh_keygen(folder.path(), &["-t", "ed25519"], "", comment);
        let secret = read_private(&private).unwrap();
        let import = read_public(&line).unwrap();
        assert_eq!(&import.keys[0].key, secret.public());
        assert_eq!(import.keys[0].name.as_deref().unwrap_or(""), comment);
        // This crate writes the same public key line as ssh-keygen.
        let written = format::openssh(secret.public(), comment);
        assert_eq!(written, String::from_utf8(line).unwrap().trim_end());
    }
}

#[test]
fn other_keys_of_ssh_keygen_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (private, line) = ssh_keygen(folder.path(), &["-t", "ed25519"], "secret", "c");
    assert!(matches!(read_private(&private), Err(FormatError::EncryptedOpenSsh)));
    refused(read_public(&private), "a private key, not a public key");
    refused(read_private(&line), "a public key, not a private key");
    let two = [line.as_slice(), &line].concat();
    assert_eq!(read_public(&two).unwrap().keys.len(), 2);
    refused(read_private(&two), "a public key, not a private key");

    let (private, line) = ssh_keygen(folder.path(), &["-t", "ecdsa", "-b", "384"], "", "c");
    refused(read_private(&private), "an elliptic-curve key, not an Ed25519 or P-256 key");
    refused(read_public(&line), "an elliptic-curve key, not an Ed25519 or P-256 key");
    let (private, line) = ssh_keygen(folder.path(), &["-t", "rsa", "-b", "1024"], "", "c");
    refused(read_private(&private), "an RSA key, not an Ed25519 or P-256 key");
    refused(read_public(&line), "an RSA key, not an Ed25519 or P-256 key");
    refused(read_private(&line), "an RSA key, not an Ed25519 or P-256 key");
    let (encrypted, _) = ssh_keygen(folder.path(), &["-t", "ecdsa", "-b", "521"], "secret", "c");
    refused(read_private(&encrypted), "an elliptic-curve key");
}

#[test]
fn openssh_lines_are_read_by_ssh_keygen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pub");
    for comment in ["", "alice", "two words", "line\nbreak \u{1b}[31m"] {
        let key = fresh();
        let line = format::openssh(key.public(), comment);
        assert_eq!(line.lines().count(), 1);
        fs::write(&path, format!("{line}\n")).unwrap();
        let shown = tool("ssh-keygen", &["-l", "-f", path.to_str().unwrap()], b"");
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains("256 SHA256:") && shown.contains("ED25519"), "{shown}");
        assert_eq!(&public(line.as_bytes()), key.public());
    }
}

#[test]
fn openssl_keys_are_read() {
    let private = genpkey(&["-algorithm", "ed25519"]);
    let secret = read_private(&private).unwrap();
    let pem = pubout(&private);
    assert_eq!(&public(&pem), secret.public());
    assert_eq!(format::spki_pem(secret.public()).as_bytes(), pem);
    let windows = String::from_utf8(private).unwrap().replace('\n', "\r\n");
    assert_eq!(read_private(windows.as_bytes()).unwrap().public(), secret.public());
}

#[test]
fn other_keys_of_openssl_are_named() {
    for (arguments, name) in [
        (&["-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024"][..], "an RSA key"),
        (&["-algorithm", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:1024"], "an RSA-PSS key"),
        (&["-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"], "an elliptic-curve key"),
        (&["-algorithm", "ed448"], "an Ed448 key"),
        (&["-algorithm", "x25519"], "an X25519 key"),
        (&["-algorithm", "x448"], "an X448 key"),
    ] {
        let private = genpkey(arguments);
        refused(read_private(&private), name);
        let public = pubout(&private);
        refused(read_public(&public), name);
        refused(read_private(&public), name);
        let _ = read_public(&private).unwrap_err();
    }
    let encrypted = genpkey(&["-algorithm", "ed25519", "-aes-128-cbc", "-pass", "pass:secret"]);
    assert!(matches!(read_private(&encrypted), Err(FormatError::EncryptedPem)));
    refused(read_public(&encrypted), "a private key, not a public key");

    let private = genpkey(&["-algorithm", "ed25519"]);
    refused(read_public(&private), "a private key, not a public key");
    refused(read_private(&pubout(&private)), "a public key, not a private key");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    fs::write(&path, &private).unwrap();
    let path = path.to_str().unwrap();
    let request = ["req", "-new", "-key", path, "-subj", "/CN=x", "-batch"];
    refused(read_public(&tool("openssl", &request, b"")), "a certificate request");
    let certificate = tool("openssl", &[&request[..], &["-x509"]].concat(), b"");
    refused(read_public(&certificate), "a certificate, not a public key");
    refused(read_private(&certificate), "a certificate, not a private key");
    let der = tool("openssl", &["pkey", "-outform", "DER"], &private);
    refused(read_private(&der), "binary data");
    let ec = tool("openssl", &["ecparam", "-name", "secp384r1", "-genkey"], b"");
    refused(read_private(&ec), "an elliptic-curve key");
}

#[test]
fn openssl_reads_our_pem_and_verifies_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let secret = fresh();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let pem = file("key.pem", format::spki_pem(secret.public()).as_bytes());
    let message = file("base.txt", b"exactly these bytes");
    let signature = file("sig.bin", &secret.sign(b"exactly these bytes").unwrap());
    let text = tool("openssl", &["pkey", "-pubin", "-in", &pem, "-noout", "-text"], b"");
    assert!(String::from_utf8(text).unwrap().contains("ED25519"));
    tool(
        "openssl",
        &[
            "pkeyutl", "-verify", "-pubin", "-inkey", &pem, "-rawin", "-in", &message, "-sigfile",
            &signature,
        ],
        b"",
    );
}
