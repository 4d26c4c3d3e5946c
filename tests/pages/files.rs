//! Tests of HTML pages as files, and of the commands that the pages show.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use super::{AuditFolder, stdout};

#[test]
fn an_older_page_is_replaced_and_no_other_file_is() {
    let audit = AuditFolder::honest();
    let page = |name: &str| audit.check(0, &["-r", "trust.json", "--html", name]);
    stdout(&page("page.html"), 0);
    let mode = |name: &str| fs::metadata(audit.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("page.html"), 0o600);
    let first = audit.read("page.html");
    // A page that exists is replaced, and the new one keeps the mode that its owner set.
    fs::set_permissions(audit.path("page.html"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(audit.path("page.html"), first.replace("alice", "mallory")).unwrap();
    stdout(&page("page.html"), 0);
    assert!(audit.read("page.html").contains("alice") && mode("page.html") == 0o644);
    // If the path is a link to a page, the page is replaced and the link stays.
    symlink("page.html", audit.path("link.html")).unwrap();
    stdout(&page("link.html"), 0);
    assert!(fs::symlink_metadata(audit.path("link.html")).unwrap().is_symlink());
    // A page of another kind is not replaced, and neither is any other file.
    stdout(&audit.report(&["-r", "trust.json", "--html", "log.html"]), 0);
    fs::write(audit.path("empty"), "").unwrap();
    fs::create_dir(audit.path("folder")).unwrap();
    symlink("nowhere", audit.path("dangling")).unwrap();
    let fifo = Command::new("mkfifo").arg(audit.path("fifo")).status().unwrap();
    assert!(fifo.success());
    let others = [
        "trust.json",
        "evidence-0.json",
        "log.html",
        "empty",
        "folder",
        "fifo",
        "dangling",
        "no/x",
    ];
    for name in others {
        // The test does not read the FIFO, because that would wait for a writer.
        let bytes = || (name != "fifo").then(|| fs::read(audit.path(name)).ok()).flatten();
        let before = bytes();
        let output = page(name);
        assert_eq!(output.status.code(), Some(3), "{name}: {output:?}");
        assert!(output.stdout.is_empty(), "{name}: nothing was judged");
        assert_eq!(bytes(), before);
    }
    let said = String::from_utf8(page("trust.json").stderr).unwrap();
    assert!(said.contains("output exists, and is not a page of audit check: trust.json"), "{said}");
    assert!(said.contains("--html page.html evidence-0.json"), "{said}");
    let left = fs::read_dir(audit.folder.path()).unwrap();
    let left = left
        .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with(".mcpid-"));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_page_on_stdout_excludes_other_output_there() {
    let audit = AuditFolder::honest();
    let page = stdout(&audit.check(0, &["-r", "trust.json", "--html", "-"]), 0);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for output in [
        audit.check(0, &["-r", "trust.json", "--html", "-", "--json"]),
        audit.report(&["-r", "trust.json", "--html", "-", "--json"]),
    ] {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
    }
    // JSON on stdout can be combined with a page in a file.
    let json = audit.check(0, &["-r", "trust.json", "--html", "page.html", "--json"]);
    assert!(stdout(&json, 0).starts_with('{') && audit.path("page.html").exists());
    // `--log-key` is required for a page, as for the text.
    let output = audit.run(&["audit", "check", "--html", "none.html", "evidence-0.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!audit.path("none.html").exists());
    assert!(String::from_utf8(output.stderr).unwrap().contains("--html none.html evidence-0.json"));
}

/// Returns the commands that a page shows, as they can be pasted.
pub(super) fn commands(page: &str) -> Vec<String> {
    let pieces = page.split("<pre").skip(1);
    let inside =
        pieces.map(|piece| piece.split_once('>').unwrap().1.split("</pre>").next().unwrap());
    let plain = inside.map(|text| text.replace("&lt;", "<").replace("&gt;", ">"));
    let plain = plain.map(|text| text.replace("&quot;", "\"").replace("&#39;", "'"));
    plain.map(|text| text.replace("&amp;", "&")).collect()
}

#[test]
fn every_command_on_a_page_of_evidence_does_what_is_said_above_it() {
    let tools: Vec<String> = (0..5).map(|n| format!("tool-{n} \"quoted\"")).collect();
    let audit = AuditFolder::new(&tools, "alice");
    for n in 0..tools.len() {
        let page = stdout(&audit.check(n, &["-r", "trust.json", "--html", "-"]), 0);
        let commands = commands(&page);
        assert_eq!(commands.len(), 3);
        let run = |command: &str| {
            let bin = std::path::Path::new(env!("CARGO_BIN_EXE_mcpid")).parent().unwrap();
            let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
            let mut bash = Command::new("bash");
            bash.args(["-c", command]).current_dir(audit.folder.path()).env("PATH", path);
            bash.output().unwrap()
        };
        assert_eq!(stdout(&run(&commands[0]), 0), format!("evidence-{n}.json: OK\n"));
        assert_eq!(
            stdout(&run(&commands[1]), 0),
            stdout(&audit.check(n, &["-r", "trust.json"]), 0)
        );
        let by_hand = "the entry is under the checkpoint\nthe key is the log's\n\
                       Signature Verified Successfully\nSignature Verified Successfully\n";
        assert_eq!(stdout(&run(&commands[2]), 0), by_hand);
        // If one byte of the entry is changed, the commands find the change too.
        let file = audit.path(&format!("evidence-{n}.json"));
        let evidence = fs::read_to_string(&file).unwrap();
        let at = evidence.find("\"entry\": \"").unwrap() + 60;
        let other = if evidence.as_bytes()[at] == b'A' { "B" } else { "A" };
        fs::write(&file, format!("{}{other}{}", &evidence[..at], &evidence[at + 1..])).unwrap();
        for command in &commands {
            assert!(!run(command).status.success(), "{command}");
        }
    }
}
