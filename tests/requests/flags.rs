//! Tests of flags of `sign` with invalid values: exit code, line and hints of each.

use super::{Home, URL};
use crate::bad::rows;

#[test]
fn wrong_flags_of_sign_are_refused() {
    let home = Home::new();
    let time = "not an RFC 3339 time such as 2026-11-23T10:00:00Z, nor seconds since 1970 such as @1795773600";
    let components = "such as x-request-id, @authority or '\"@query-param\";name=\"q\"'";
    let help = &["mcpid sign --help"][..];
    rows(
        &home,
        &[
            (
                &["sign", "--url", URL, "--at", "nonsense", "body.json"],
                2,
                &format!("--at cannot be 'nonsense': {time}"),
                help,
            ),
            (
                &["sign", "--url", "", "body.json"],
                2,
                "--url: \"\" is not an http or https URL",
                &[],
            ),
            (
                &["sign", "--url", "ftp://a.com/", "body.json"],
                2,
                "--url: \"ftp://a.com/\" is not an http or https URL",
                &[],
            ),
            (
                &["sign", "--url", "https://a.com/x y", "body.json"],
                2,
                "--url: byte 16 of the target is 0x20, which is not visible ASCII",
                &[],
            ),
            (
                &["sign", "--url", "https://a.com:0/", "body.json"],
                2,
                "--url: \"0\" is not a port",
                &[],
            ),
            (
                &["sign", "--url", URL, "--method", "G T", "body.json"],
                2,
                "--method \"G T\": the method is not a token",
                &[],
            ),
            (
                &["sign", "--url", URL, "-H", "Host: other", "body.json"],
                2,
                "the target is for \"mcp.example.com\", the host field says \"other\"",
                &[],
            ),
            (
                &["sign", "--url", URL, "-H", "Bad Name: x", "body.json"],
                2,
                "a field name is not a token",
                &[],
            ),
            (
                &["sign", "--url", URL, "-H", "X: a\r\nY: b", "body.json"],
                2,
                "the value of a field holds a control character",
                &[],
            ),
            (
                &["sign", "--url", URL, "-H", "none", "body.json"],
                2,
                "a header is a name, a colon and a value",
                &["mcpid sign -H 'Mcp-Session-Id: 42' --url URL body.json"],
            ),
            (
                &["sign", "--url", URL, "-H", "Signature: x", "body.json"],
                2,
                "signature is not for -H: it follows from the request",
                &["leave it out"],
            ),
            (
                &["sign", "--url", URL, "-H", "@nothing", "body.json"],
                3,
                "cannot read nothing: no such file",
                &["ls ."],
            ),
            (
                &["sign", "--url", URL, "-H", "@/dev/zero", "body.json"],
                3,
                "/dev/zero is larger than 65536 bytes",
                &[],
            ),
            (
                &["sign", "--url", URL, "-H", "@", "body.json"],
                2,
                "-H @ wants the name of a file",
                &["mcpid sign -H @headers.txt --url URL body.json"],
            ),
            (
                &["sign", "--url", URL, "--cover", "", "body.json"],
                2,
                "--cover '': \"\" is neither a field name in lower case nor a derived component",
                &[components],
            ),
            (
                &["sign", "--url", URL, "--cover", "@status", "body.json"],
                2,
                "--cover @status: only a response has a status",
                &[components],
            ),
            (
                &["sign", "--url", URL, "--cover", "x-no", "body.json"],
                2,
                "no value for \"x-no\": the request does not have it",
                &["what --cover names, it has to be sent too: by -H 'NAME: VALUE'"],
            ),
            (
                &["sign", "--url", URL, "--label", "Foo", "body.json"],
                2,
                "--label \"Foo\": a label is lower-case letters, digits and _-.*, a letter or * first",
                &[],
            ),
            (
                &["sign", "--url", URL, "--label", "", "body.json"],
                2,
                "--label \"\": a label is lower-case letters, digits and _-.*, a letter or * first",
                &[],
            ),
            (
                &["sign", "--url", URL, "--client-id", "", "body.json"],
                2,
                "--client-id \"\": an id has 1 to 256 ASCII characters",
                &[],
            ),
            (
                &["sign", "--url", URL, "--client-id", "ü", "body.json"],
                2,
                "--client-id \"ü\": an id has 1 to 256 ASCII characters",
                &[],
            ),
            (
                &["sign", "--url", URL, "-H", "Content-Digest: sha-256=:AAAA:", "body.json"],
                2,
                "the content-digest that the request carries does not fit its body: sha-256 in content-digest is not 32 bytes",
                &["leave content-digest out of -H: it is computed"],
            ),
            (
                &["sign", "--format", "curl", "body.json"],
                2,
                "--format curl needs --url and the body in a file of its own",
                &["mcpid sign --url URL --format curl body.json"],
            ),
            (
                &["sign", "--origin", "x", "body.json"],
                2,
                "--origin x: \"x\" is not an http or https URL",
                &[],
            ),
            (&["sign", "--method", "GET", "x"], 2, "--url is missing", help),
            (
                &["sign", "--url", URL, "--replace"],
                2,
                "--url and --replace cannot be used together",
                help,
            ),
        ],
    );
}

#[test]
fn no_secret_is_repeated_when_a_flag_is_misspelt() {
    let home = Home::new();
    let url = ["--url", URL, "body.json"];
    let cases: [(&[&str], &str); 9] = [
        (&["sign", "--passphrase", "hunter2"], "mcpid sign --passphrase-file FILE"),
        (&["sign", "--passphrase=hunter2"], "mcpid sign --passphrase-file FILE"),
        (&["keygen", "--password", "hunter2"], "mcpid keygen --passphrase-file FILE"),
        (&["passwd", "--new-passphrase", "hunter2"], "mcpid passwd --new-passphrase-file FILE"),
        (&["sign", "--passphrase-fd", "hunter2"], "mcpid sign --help"),
        (&["sign", "--haeder", "Authorization: hunter2"], "mcpid sign --help"),
        (&["sign", "-H", "Authorization: hunter2", "--labl", "x"], "mcpid sign --help"),
        (&["sign", "-HAuthorization: hunter2", "--labl", "x"], "mcpid sign --help"),
        (&["verify", "--nonce", "redis://u:hunter2@h"], "mcpid verify --help"),
    ];
    for (args, hint) in cases {
        for json in [&[][..], &["--json"]] {
            let all = [args, &url[..], json].concat();
            let ran = home.mcpid(&all).ends(2);
            assert_eq!(ran.out, "");
            assert!(!ran.err.contains("hunter2"), "{args:?}: {}", ran.err);
            assert!(ran.err.contains(hint), "{args:?}: {}", ran.err);
        }
    }
    // The hint repeats a wrong value only if it cannot be a secret.
    let ran = home.mcpid(&["sign", "--labl", "x", "body.json"]).ends(2);
    assert_eq!(ran.hints().first(), Some(&"mcpid sign --label x body.json"));
}
