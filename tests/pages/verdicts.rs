//! Tests of the HTML page of `verify`: it claims no more than was checked, a hostile name has no
//! effect, and the commands that it shows for a check by hand succeed.

use std::process::{Command, Output};

use super::files::commands;
use super::texts::{read, same_verdict, sound};
use super::{HOSTILE, mcpid, stdout};

/// A folder with a key, a trust file that gives the key this name, and requests that the key signed
/// at the time [`AT`].
pub(super) struct Signed {
    folder: tempfile::TempDir,
}

pub(super) const AT: &str = "2026-11-23T10:00:30Z";
const URL: &str = "https://mcp.example.com/mcp";

impl Signed {
    pub(super) fn new(name: &str) -> Self {
        let signed = Signed { folder: tempfile::tempdir().unwrap() };
        stdout(&signed.run(&["keygen", "-q", "-o", "key.json", "--no-passphrase"]), 0);
        let add = ["trust", "add", "-q", "-r", "trust.json", "--name", name, "key.json"];
        stdout(&signed.run(&add), 0);
        signed
    }

    fn run(&self, arguments: &[&str]) -> Output {
        mcpid(self.folder.path(), arguments)
    }

    /// Writes a signed request that calls this tool.
    pub(super) fn call(&self, file: &str, tool: &str, more: &[&str]) {
        let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool}});
        std::fs::write(self.folder.path().join("body.json"), body.to_string()).unwrap();
        let sign = ["sign", "-k", "key.json", "--at", AT, "--format", "http", "--url", URL];
        let signed = self.run(&[&sign[..], more, &["body.json"]].concat());
        std::fs::write(self.folder.path().join(file), stdout(&signed, 0)).unwrap();
    }

    /// Returns the page of `verify` with these arguments, and checks the exit code.
    #[track_caller]
    pub(super) fn page(&self, arguments: &[&str], code: i32) -> String {
        let verify = ["verify", "-r", "trust.json", "--html", "-"];
        let page = stdout(&self.run(&[&verify[..], arguments].concat()), code);
        sound(&page);
        page
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).unwrap();
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).unwrap()
    }
}

#[test]
fn an_accepted_request_is_told_in_one_sentence_and_by_whose_hashes() {
    let signed = Signed::new("alice");
    signed.call("one.http", "pay", &[]);
    let verify = ["verify", "-r", "trust.json", "--at", AT, "one.http"];
    let text = stdout(&signed.run(&verify), 0);
    let html = [&verify[..], &["--html", "page.html"]].concat();
    assert_eq!(stdout(&signed.run(&html), 0), text, "the text stays as it is");
    let page = signed.text("page.html");
    sound(&page);
    same_verdict(&page, &text);
    assert_eq!(signed.page(&["--at", AT, "one.http"], 0).len(), page.len());
    let sentence = "<h1><bdi class=\"name\">alice</bdi> authorised a request for \
                    <bdi class=\"name\">pay</bdi>.</h1>";
    assert!(page.contains(sentence), "{page}");
    let read = read(&page);
    for value in text.lines().skip(1).filter_map(|line| line.get(4..)) {
        let value = value.split_once("  ").unwrap().1.trim();
        assert!(read.contains(value), "{value}");
    }
    for file in ["one.http", "trust.json"] {
        use sha2::{Digest as _, Sha256};
        let hash: String =
            Sha256::digest(signed.text(file)).iter().map(|b| format!("{b:02x}")).collect();
        assert!(read.contains(&hash), "{file}");
    }
    for said in [
        "1 to 11, and 12 only among the requests of this run",
        "That it was sent then",
        "That a request was not sent twice",
        "That the request was carried out",
        "This page is no evidence",
        concat!("by mcpid ", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(read.contains(said), "{said}");
    }
    // If a nonce store is given, the replay check (step 12) is made with that store.
    let now =
        signed.run(&["sign", "-k", "key.json", "--format", "http", "--url", URL, "body.json"]);
    signed.write("now.http", &stdout(&now, 0));
    let page = signed.page(&["--nonces", "sqlite:nonces.db", "now.http"], 0);
    assert!(
        page.contains("1 to 11, and 12, where the store may have forgotten<")
            && !page.contains("That a request was not sent twice")
    );
}

#[test]
fn a_page_says_no_more_than_was_checked() {
    let signed = Signed::new("alice");
    signed.call("one.http", "pay", &[]);
    let good = signed.text("one.http");
    let never = ["authorised a request", "verdict good", "Covered by the signature"];
    let lacks = |page: &str, words: &[&str]| {
        for word in words {
            assert!(!page.contains(word), "{word} in {page}");
        }
    };
    // The request is too old. Its signature was not verified, so the headline names no signer.
    let page = signed.page(&["--at", "2026-11-23T10:05:00Z", "one.http"], 1);
    assert!(page.contains("<h1>A request is rejected.</h1>") && page.contains("verdict bad"));
    assert!(page.contains("1 to 5; step 5 refused it, and no later step was made"), "{page}");
    assert!(page.contains("Named as covered, and not verified"));
    assert!(page.contains("Asks for, by its own word"));
    lacks(&page, &never);
    lacks(&page, &["That the request was carried out", "openssl", "by its own word is for"]);
    // The body was changed. The signature is valid, and the body does not match it.
    signed.write("other.http", &good.replace("\"pay\"", "\"fee\""));
    let page = signed.page(&["--at", AT, "other.http"], 1);
    assert!(page.contains("1 to 9; step 9 refused it"));
    assert!(
        page.contains("Asks for, by its own word") && page.contains("Covered by the signature")
    );
    lacks(&page, &never[..2]);
    // The request is not signed. No step after the second was made.
    let unsigned: String = good
        .split_inclusive('\n')
        .filter(|line| !line.to_ascii_lowercase().starts_with("signature"))
        .collect();
    signed.write("unsigned.http", &unsigned);
    let page = signed.page(&["unsigned.http"], 1);
    assert!(page.contains("1 to 2; step 2 refused it"));
    lacks(&page, &never);
    lacks(&page, &["Named as covered", "alice"]);
    // The key is in no trust file.
    signed.write("none.json", "{\"keys\":[]}");
    let verify = ["verify", "-r", "none.json", "--at", AT, "--html", "-", "one.http"];
    let page = stdout(&signed.run(&verify), 1);
    sound(&page);
    lacks(&page, &never);
    lacks(&page, &["alice"]);
    // The body was not kept. The signature is valid, but the three steps that need the body
    // (digest, MCP headers, allowed operation) cannot be made.
    let head: Vec<&str> = good.split("\r\n\r\n").next().unwrap().lines().collect();
    let headers: Vec<Vec<&str>> =
        head[1..].iter().map(|line| line.splitn(2, ": ").collect()).collect();
    let line = serde_json::json!({"time": AT, "method": "POST", "target": URL, "headers": headers});
    signed.write("line.jsonl", &format!("{line}\n"));
    let page = signed.page(&["--at", "capture", "line.jsonl"], 5);
    assert!(
        page.contains("<h1>A request could not be judged.</h1>")
            && page.contains("verdict unjudged")
    );
    assert!(
        page.contains("1 to 8, and 12 only among the requests of this run; not 9, 10, 11"),
        "{page}"
    );
    lacks(&page, &never[..2]);
    // The profile does not demand that the body is signed, so the page shows the tool only as a
    // claim.
    let sparse = ["--profile", "rfc9421", "--no-cover", "content-digest"];
    let plain = signed.run(
        &[
            &["sign", "-k", "key.json", "--at", AT, "--format", "http", "--url", URL][..],
            &sparse,
            &["body.json"],
        ]
        .concat(),
    );
    signed.write("sparse.http", &stdout(&plain, 0));
    let page = signed.page(&["--at", AT, "--profile", "rfc9421", "sparse.http"], 0);
    assert!(page.contains("signed parts of a request that by its own word is for"), "{page}");
    lacks(&page, &never[..1]);
    // The key was revoked after the request.
    let revoke =
        ["trust", "revoke", "-q", "-r", "trust.json", "alice", "--at", "2026-11-24T00:00:00Z"];
    assert!(signed.run(&revoke).status.success());
    let page = signed.page(&["--at", AT, "one.http"], 0);
    assert!(page.contains("which was revoked later, signed a request for"), "{page}");
    lacks(&page, &never[..1]);
}

#[test]
fn hostile_text_of_a_request_is_text_on_its_page() {
    let signed = Signed::new("<img src=x onerror=\"a\">\u{202e}");
    for (n, tool) in HOSTILE.iter().enumerate() {
        let file = format!("{n} $(x) <b>'`.http");
        signed.call(&file, tool, &[]);
        let page = signed.page(&["--at", AT, &file], 0);
        assert!(!page.contains("<img") && page.contains("&lt;img src=x"));
        // The file name has characters that are special in a shell, and the commands quote it.
        let commands = commands(&page);
        assert_eq!(stdout(&bash(&signed, &commands[0]), 0), format!("{file}: OK\n"));
    }
    let long = "<b>".repeat(100_000);
    signed.call("long.http", &long, &[]);
    assert!(signed.page(&["--at", AT, "long.http"], 0).contains("300000 characters"));
    // One input cannot be parsed, and the target of the other contains markup.
    signed.write("bad.http", "<script>alert(1)</script>\n");
    let page = signed.page(&["bad.http", "long.http", "--at", AT], 3);
    assert!(page.contains("1 of 2 requests are accepted.") && page.contains("unreadable:"));
    signed.write("get.http", "GET /<i>?a='\"<script> HTTP/1.1\r\nHost: <b>.example\r\n\r\n");
    let verify = ["verify", "-r", "trust.json", "--html", "-", "get.http"];
    let output = signed.run(&verify);
    sound(&String::from_utf8(output.stdout).unwrap());
}

fn bash(signed: &Signed, command: &str) -> Output {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_mcpid")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-c", command]).current_dir(signed.folder.path()).env("PATH", path);
    bash.output().unwrap()
}

#[test]
fn every_command_on_a_page_of_verdicts_does_what_is_said_above_it() {
    let signed = Signed::new("alice");
    signed.call("one.http", "pay \"quoted\" $(id)", &[]);
    signed.call("two.http", "refund", &[]);
    let page = signed.page(&["--at", AT, "one.http"], 0);
    let commands = commands(&page);
    assert_eq!(commands.len(), 3);
    assert_eq!(stdout(&bash(&signed, &commands[0]), 0), "one.http: OK\n");
    let text = stdout(&signed.run(&["verify", "-r", "trust.json", "--at", AT, "one.http"]), 0);
    assert_eq!(stdout(&bash(&signed, &commands[1]), 0), text);
    let by_hand = stdout(&bash(&signed, &commands[2]), 0);
    let id = text.lines().find_map(|line| line.strip_prefix("    key      ")).unwrap();
    let id = id.split(' ').next().unwrap();
    let begin = format!("the key is {id}\nSignature Verified Successfully\n\"@method\": POST\n");
    assert!(by_hand.starts_with(&begin), "{by_hand}");
    let base = stdout(&signed.run(&["inspect", "--base", "one.http"]), 0);
    assert!(by_hand.ends_with(&base), "the signed bytes are those of the request");
    // openssl finds a change of each part: of the signed bytes, the signature, the key, and the
    // key's id.
    for line in
        commands[2].lines().filter(|line| line.starts_with("echo ") && line.contains("base64"))
    {
        let at = line.find(' ').unwrap() + 9;
        let other = if &line[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &line[..at], &line[at + 1..]);
        let output = bash(&signed, &commands[2].replace(line, &changed));
        assert!(!output.status.success(), "{changed}");
    }
    let output = bash(&signed, &commands[2].replace(&format!("= {id} ]"), "= other ]"));
    assert!(!output.status.success());
    // The input came from stdin, so the commands on the page use a file name that the reader has to
    // choose.
    let verify = format!("mcpid verify -r trust.json --at {AT} --html - < two.http");
    let page = stdout(&bash(&signed, &verify), 0);
    sound(&page);
    assert!(super::files::commands(&page)[1].ends_with(" < request.http"));
    // If there are several requests, the commands verify the first that is accepted.
    let page = signed.page(&["--at", AT, "one.http", "two.http"], 0);
    assert!(page.contains("<h1>All 2 requests are accepted.</h1>"));
    assert_eq!(super::files::commands(&page).len(), 3);
    assert!(page.contains("The signature of one.http [0] without this program"));
}

/// `openssl` accepts an ECDSA signature only in DER, so the commands convert it.
#[test]
fn a_signature_of_p256_is_verified_by_hand_too() {
    let signed = Signed::new("alice");
    let keygen = ["keygen", "-q", "-o", "p256.json", "--no-passphrase", "--algorithm", "p256"];
    stdout(&signed.run(&keygen), 0);
    let add = ["trust", "add", "-q", "-r", "trust.json", "--name", "bob", "p256.json"];
    let id = stdout(&signed.run(&add), 0);
    signed.call("one.http", "pay", &[]);
    let profile = ["--profile", "rfc9421", "--at", AT];
    // About one signature in four has a number whose first bit is 1, or whose first eight bits are
    // 0, which DER writes differently. So the test repeats the check.
    for _ in 0..8 {
        let sign = ["sign", "-k", "p256.json", "--format", "http", "--url", URL];
        let request = signed.run(&[&sign[..], &profile, &["body.json"]].concat());
        signed.write("p256.http", &stdout(&request, 0));
        let page = signed.page(&[&profile[..], &["p256.http"]].concat(), 0);
        let script = commands(&page).pop().unwrap();
        let by_hand = stdout(&bash(&signed, &script), 0);
        let begin = format!("the key is {}\nVerified OK\n\"@method\": POST\n", id.trim_end());
        assert!(by_hand.starts_with(&begin), "{by_hand}");
        let other = script.replace("-signature sig.bin", "-signature key.pem");
        assert!(!bash(&signed, &other).status.success());
    }
}

#[test]
fn a_page_of_verdicts_replaces_only_its_own_kind() {
    let signed = Signed::new("alice");
    signed.call("one.http", "pay", &[]);
    let to = |file: &str| {
        signed.run(&["verify", "-r", "trust.json", "--at", AT, "--html", file, "one.http"])
    };
    stdout(&to("page.html"), 0);
    stdout(&to("page.html"), 0);
    for file in ["one.http", "trust.json", "key.json", "no/page.html"] {
        let output = to(file);
        assert_eq!(output.status.code(), Some(3), "{file}");
        assert!(output.stdout.is_empty(), "{file}: nothing was judged");
    }
    let said = String::from_utf8(to("one.http").stderr).unwrap();
    assert!(said.contains("output exists, and is not a page of verify: one.http"), "{said}");
    assert!(said.contains("--html verdicts.html one.http"), "{said}");
    let both = ["verify", "-r", "trust.json", "--at", AT, "--html", "-", "--json", "one.http"];
    assert_eq!(signed.run(&both).status.code(), Some(2));
    let both =
        ["verify", "-r", "trust.json", "--at", AT, "--html", "page.html", "--json", "one.http"];
    let json: serde_json::Value = serde_json::from_str(&stdout(&signed.run(&both), 0)).unwrap();
    assert_eq!(json["verdict"], "accepted");
}
