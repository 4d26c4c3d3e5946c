//! Tests of kept checkpoints and evidence that were changed on the way to the auditor: the message
//! is about the copy, and never blames the log.

use std::process::Command;

use super::Home;

const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/audit.in");

fn changed(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let text = std::str::from_utf8(good).unwrap();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        ("line ends of Windows (CRLF)", text.replace('\n', "\r\n").into_bytes()),
        ("byte order mark", [b"\xef\xbb\xbf", good].concat()),
        ("lost its last newline", good[..good.len() - 1].to_vec()),
        ("lost its last newline", good[..good.len() - 9].to_vec()),
        ("UTF-16", [b"\xff\xfe", &*utf16].concat()),
        ("is empty", Vec::new()),
        ("is not a signed note", [good, b"\n"].concat()),
        ("is not a signed note", text.replace("\n\n", "\n").into_bytes()),
        ("is not a signed note", text.replace('\u{2014}', "--").into_bytes()),
    ]
}

#[test]
fn a_changed_copy_of_a_checkpoint_is_no_finding() {
    let home = Home::new();
    let copied = Command::new("cp").args(["-r", LOG]).arg(home.path("in")).status().unwrap();
    assert!(copied.success());
    let log = ["--audit", "in/log", "--log-key", "in/log-key.pub"];
    let verify = [&["audit", "verify"][..], &log, &["--checkpoint", "copy"]].concat();
    let older = [&["audit", "consistency"][..], &log, &["copy", "in/log/checkpoint"]].concat();
    let newer = [&["audit", "consistency"][..], &log, &["in/log/checkpoint", "copy"]].concat();
    let prove = ["audit", "prove", "--audit", "in/log", "--checkpoint", "copy", "0"].to_vec();
    let cosign = ["audit", "cosign", "--log-key", "in/log-key.pub", "--state", "state", "--first"];
    let cosign = [&cosign[..], &["--name", "example.com/witness", "copy"]].concat();
    let good = std::fs::read(home.path("in/log/checkpoint")).unwrap();
    for (why, bytes) in changed(&good) {
        home.write("copy", bytes);
        for args in [&verify, &older, &newer, &prove, &cosign] {
            let ran = home.mcpid(args).ends(3);
            assert!(ran.err.starts_with("mcpid: copy ") && ran.err.contains(why), "{}", ran.err);
            assert_eq!(ran.out, "", "{args:?}");
        }
    }
    home.write("copy", good);
    let trusting = [&verify[..], &["-r", "in/trust.json"]].concat();
    home.mcpid(&trusting).ends(0);
}

#[test]
fn evidence_that_became_other_text_is_reported() {
    let home = Home::new();
    for (bytes, why) in [
        (&b"\xef\xbb\xbf{}"[..], "byte order mark"),
        (b"\xff\xfe{\0}\0", "UTF-16"),
        (b"", "is empty"),
    ] {
        let file = home.write("evidence.json", bytes);
        let ran = home.mcpid(&["audit", "check", &file]).ends(3);
        assert!(ran.err.starts_with(&format!("mcpid: {file} ")), "{}", ran.err);
        assert!(ran.err.contains(why), "{}", ran.err);
    }
}
