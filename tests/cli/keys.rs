//! Tests of keyfiles and passphrases, in each way in which a user can give them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::{ALICE, KEYS, ends, err, mcpid, out, shell};

#[test]
fn without_a_terminal_all_three_other_ways_are_named() {
    let folder = TempDir::new().unwrap();
    fs::copy(format!("{KEYS}/sealed.json"), folder.path().join("sealed.json")).unwrap();
    // stdin contains the passphrase. The program reads only data from stdin, so it does not find
    // the passphrase.
    for arguments in ["keygen -o new.json", "passwd -k sealed.json --no-passphrase"] {
        let script = format!("exec setsid -w \"$mcpid\" {arguments} <\"$keys/correct\"");
        let output = shell(folder.path(), &script);
        ends(&output, 4);
        for way in ["--passphrase-file", "--passphrase-fd", "MCPID_PASSPHRASE"] {
            assert!(err(&output).lines().next().unwrap().contains(way), "{output:?}");
        }
    }
    let script =
        "exec setsid -w \"$mcpid\" passwd -k sealed.json --passphrase-file \"$keys/correct\"";
    let output = shell(folder.path(), script);
    ends(&output, 4);
    for way in ["--new-passphrase-file", "--new-passphrase-fd", "--no-passphrase"] {
        assert!(err(&output).lines().next().unwrap().contains(way), "{output:?}");
    }
    assert!(!folder.path().join("new.json").exists());
}

#[test]
fn a_passphrase_is_bytes_without_one_trailing_newline() {
    let folder = TempDir::new().unwrap();
    let keyfile = folder.path().join("key.json");
    let try_with = |passphrase: &[u8]| {
        fs::write(folder.path().join("pass"), passphrase).unwrap();
        fs::copy(&keyfile, folder.path().join("copy.json")).unwrap();
        let tried =
            mcpid(folder.path(), "passwd -k copy.json --no-passphrase --passphrase-file pass");
        match tried.status.code() {
            Some(0) => true,
            Some(4) => false,
            other => panic!("{other:?} {}", err(&tried)),
        }
    };
    fs::write(folder.path().join("pass"), b"\xffno text\n\r\n").unwrap();
    ends(&mcpid(folder.path(), "keygen -o key.json --passphrase-file pass"), 0);
    for (passphrase, opens) in [
        (&b"\xffno text\n"[..], false),
        (b"\xffno text\n\n", true),
        (b"\xffno text\n\r\n", true),
        (b"\xffno text", false),
        (b"\xffno text\n\n\n", false),
        (b"\xfeno text\n\n", false),
        ("\u{ff}no text\n\n".as_bytes(), false),
        ("\u{fffd}no text\n\n".as_bytes(), false),
    ] {
        assert_eq!(try_with(passphrase), opens, "{passphrase:?}");
    }
    // A passphrase from the variable or from a file descriptor has the same bytes.
    let script = "pass=$(printf '\\377no text\\n.'); pass=${pass%.}\n\
                  cp key.json a.json; cp key.json b.json; cp key.json c.json\n\
                  MCPID_PASSPHRASE=$pass\"\n\" \"$mcpid\" passwd -k a.json --no-passphrase || exit 1\n\
                  printf '\\377no text\\n\\n' | \"$mcpid\" passwd -k b.json --passphrase-fd 0 --no-passphrase || exit 2\n\
                  printf '\\377no text\\n\\n' >file\n\
                  \"$mcpid\" passwd -k c.json --passphrase-fd 7 --no-passphrase 7<file || exit 3";
    ends(&shell(folder.path(), script), 0);
}

#[test]
fn a_key_id_that_begins_with_a_hyphen_is_a_value() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("seed"), "5eed0025".repeat(8)).unwrap();
    let made = "keygen -q -o a.json --import seed --name a --no-passphrase";
    ends(&mcpid(folder.path(), made), 0);
    let exported = |form: &str| mcpid(folder.path(), &format!("export -k a.json --format {form}"));
    fs::write(folder.path().join("keys.json"), exported("jwks").stdout).unwrap();
    let id = out(&exported("thumbprint")).trim().to_owned();
    assert!(id.starts_with('-'), "{id}");
    ends(&mcpid(folder.path(), &format!("trust add -q -r t.json --kid {id} keys.json")), 0);
    ends(&mcpid(folder.path(), &format!("trust revoke -q -r t.json -- {id}")), 0);
}

#[test]
fn a_dash_reads_a_key_from_stdin() {
    let folder = TempDir::new().unwrap();
    let script = "\"$mcpid\" keygen -q -o a.json --import - --no-passphrase <\"$keys/alice.hex\"\n\
                  \"$mcpid\" export -k a.json --format pem | \"$mcpid\" trust add -r t.json --name alice -\n\
                  \"$mcpid\" trust list -q -r t.json";
    let output = shell(folder.path(), script);
    ends(&output, 0);
    let expected = format!(
        "{ALICE}\n{ALICE}\nNAME   KEY ID{:37}  STATUS  CLIENT IDS  MAY\nalice  {ALICE}  valid   -           anything\n",
        ""
    );
    assert_eq!(out(&output), expected);
}

#[test]
fn no_command_needs_a_flag_for_files() {
    let folder = TempDir::new().unwrap();
    let script = "\"$mcpid\" keygen -q --no-passphrase && \"$mcpid\" trust add -q && \"$mcpid\" trust list -q --json";
    let output = shell(folder.path(), script);
    ends(&output, 0);
    let printed = out(&output);
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], lines[1]);
    let list: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!(list["keys"][0]["id"], lines[0]);
    assert_eq!(list["keys"][0]["status"], "valid");
    let mode =
        |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(".config/mcpid"), 0o700);
    assert_eq!(mode(".config/mcpid/key.json"), 0o600);
}

#[test]
fn a_keyfile_with_any_bit_flipped_opens_nothing() {
    let sealed = fs::read(format!("{KEYS}/sealed.json")).unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key.json");
    // The unit tests change every bit of a keyfile. This test changes a few, and looks at the
    // message and the exit code.
    for place in (0..sealed.len()).step_by(29) {
        let mut flipped = sealed.clone();
        flipped[place] ^= 1 << (place % 8);
        fs::write(&path, &flipped).unwrap();
        let output = mcpid(
            folder.path(),
            "passwd -k key.json --no-passphrase --passphrase-file $keys/correct",
        );
        ends(&output, 4);
        let said = err(&output);
        assert!(said.starts_with("mcpid: ") && said.contains("key.json"), "{place}: {said}");
        assert_eq!(fs::read(&path).unwrap(), flipped, "{place}: it was written");
    }
}
