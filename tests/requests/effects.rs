//! Tests of flags that have no effect in a command: they give an error, because the user expected
//! an effect.

use crate::*;

fn refused(ran: Ran, words: &str) {
    let ran = ran.ends(2);
    assert!(ran.err.contains(words), "{} should say {words}", ran.err);
    assert_eq!(ran.out, "");
}

const RELAXABLE: &str = "content-type content-encoding mcp-protocol-version mcp-session-id \
                         mcp-method mcp-name mcp-param-NAME last-event-id";

#[test]
fn demands_that_change_nothing_are_errors() {
    let home = Home::new();
    let s = home.capture("s");
    let judge = |flags: &[&str]| home.verify(&[flags, &[&s]].concat());
    // `--allow-uncovered` accepts the fields that a profile demands only if they are present, and
    // no others.
    for name in RELAXABLE.replace("NAME", "a").split_whitespace() {
        judge(&["--allow-uncovered", name]).well();
        judge(&["--require", name, "--allow-uncovered", "last-event-id"]);
    }
    judge(&["--allow-uncovered", "mcp_session_id"]).well();
    for star in ["mcp-param-*", "*", "mcp-*", "content-*"] {
        for flag in ["--allow-uncovered", "--require"] {
            let ran = judge(&[flag, star]).ends(2);
            assert!(ran.err.contains("it takes one name, without a *"), "{}", ran.err);
            let family = star.trim_end_matches('*');
            assert_eq!(ran.hints(), [format!("each by its name: {flag} {family}NAME")]);
        }
    }
    for other in [
        "content-digset",
        "contenttype",
        "x-request-id",
        "authorization",
        "mcp-param",
        "mcp-methods",
        "@authority",
        "@query",
        "@path",
        "signature",
        "host",
    ] {
        let ran = judge(&["--allow-uncovered", other]).ends(2);
        let said =
            format!("--allow-uncovered {other} would change nothing: the profile mcp does not");
        assert!(ran.err.contains(&said), "{}", ran.err);
        assert_eq!(ran.hints(), [format!("what can stay uncovered: {RELAXABLE}")]);
    }
    for always in ["@method", "@target-uri", "content-digest"] {
        refused(judge(&["--require", always]), "the profile mcp always requires it");
    }
    for never in ["@status", "@query-param", "@nothing", "@signature-params", "@", "A", "a b", ""] {
        refused(judge(&["--require", never]), "--require");
        refused(judge(&["--allow-uncovered", never]), "--allow-uncovered");
    }
    let both = ["--require", "mcp-name", "--allow-uncovered", "mcp-name"];
    refused(judge(&both), "--allow-uncovered mcp-name would change nothing: --require demands it");
    // Other profiles demand other components.
    let sep = |more: &[&str]| judge(&[&["--profile", "sep2752"], more].concat());
    refused(sep(&["--allow-uncovered", "content-type"]), "the profile sep2752 does not require it");
    let any = ["--profile", "rfc9421", "--allow-uncovered", "content-type"];
    refused(judge(&any), "the profile rfc9421 does not require it");
    judge(&["--profile", "rfc9421", "--require", "@method"]).ends(0);
}

#[test]
fn covering_that_changes_nothing_is_an_error() {
    let home = Home::new();
    let sign = |flags: &[&str]| {
        home.mcpid(
            &[
                &["sign", "--url", "https://mcp.example.com/mcp", "-H", "X-A: 1"],
                flags,
                &["body.json"],
            ]
            .concat(),
        )
    };
    sign(&["--cover", "x-a", "--cover", "@authority"]).well();
    sign(&["--no-cover", "content-type"]).ends(0);
    sign(&["--no-cover", "@method"]).ends(0);
    for flag in ["--cover", "--no-cover"] {
        refused(sign(&[flag, "mcp-param-*"]), "it takes one name, without a *");
        for never in ["@status", "@query-param", "@signature-params", "@nothing", "X", ""] {
            refused(sign(&[flag, never]), flag);
        }
    }
    for always in ["@method", "@target-uri", "content-digest"] {
        refused(sign(&["--cover", always]), "would change nothing: it is covered always");
    }
    for other in ["content-digset", "x-a", "@authority", "authorization", "mcp-param", "\"x-a\";sf"]
    {
        let ran = sign(&["--no-cover", other]).ends(2);
        assert!(ran.err.contains("--no-cover"), "{}", ran.err);
    }
    let ran = sign(&["--no-cover", "x-a"]).ends(2);
    assert_eq!(ran.hints(), [format!("what can be left out: {RELAXABLE}")]);
    refused(sign(&["--cover", "x-a", "--no-cover", "x-a"]), "--cover names it too");
    refused(
        sign(&["--profile", "sep2752", "--no-cover", "content-type"]),
        "under the profile sep2752 it is not covered anyway",
    );
}

#[test]
fn prefixes_and_stores_that_cannot_matter_are_errors() {
    let home = Home::new();
    let s = home.capture("s");
    for prefix in
        ["mcp.example.com", "/mcp", "https://MCP.example.com/", "", "http", "https://h:443/"]
    {
        refused(home.verify(&["--only", prefix, &s]), "--only");
    }
    home.verify(&["--only", "https://mcp.example.com/", &s]).ends(0);
    let evicting = "--allow-evicting-store would change nothing: only Redis servers evict";
    for command in ["verify", "inspect"] {
        let args = [command, "--nonces", "memory:", "--allow-evicting-store", &s];
        refused(home.mcpid(&args), evicting);
    }
    let list = ["nonce", "list", "--nonces", "sqlite:n.db", "--allow-evicting-store"];
    refused(home.mcpid(&list), evicting);
    let raising = ["verify", "--nonces", "memory:", "--raise-retention", &s];
    refused(home.mcpid(&raising), "--raise-retention would change nothing");
    let looking = ["verify", "--nonces", "sqlite:n.db", "--raise-retention", "--at", "@1", &s];
    refused(home.mcpid(&looking), "with --at, nonces are only looked up");
}

#[test]
fn policies_that_change_nothing_are_errors() {
    let home = Home::new();
    home.capture("s");
    let gateway = |upstream: &str, more: &[&str]| {
        let given =
            ["gateway", "--check-config", "--origin", "https://mcp.example.com", "--upstream"];
        home.mcpid(&[&given[..], &[upstream], more].concat())
    };
    let plain = "http://127.0.0.1:9/mcp";
    gateway(plain, &["--mode", "permissive", "--strict", "tools/call:pay"]).ends(0);
    gateway(plain, &["--permissive", "tools/list"]).ends(0);
    gateway(plain, &["--strict", "tools/call:pay", "--permissive", "tools/call"]).ends(0);
    let ran = gateway(plain, &["--mode", "permissive", "--permissive", "tools/list"]).ends(2);
    assert!(ran.err.contains("--permissive tools/list would change nothing"), "{}", ran.err);
    assert_eq!(ran.hints(), ["--mode strict --permissive tools/list"]);
    for strict in ["tools/call:pay", "destructive"] {
        let ran = gateway(plain, &["--strict", strict]).ends(2);
        assert_eq!(ran.hints(), [format!("--mode permissive --strict {strict}")]);
    }
    let both = ["--strict", "tools/list", "--permissive", "tools/list"];
    refused(gateway(plain, &both), "it is --strict too, which wins");
    refused(gateway(plain, &["--upstream-ca", "body.json"]), "reached without TLS");
    refused(gateway(plain, &["--allow-remote-admin"]), "there is no --admin");
    refused(gateway(plain, &["--allow-uncovered", "mcp-param-*"]), "without a *");
    // The option is set in a configuration file.
    home.write("g.toml", format!(
        "upstream = \"{plain}\"\norigin = [\"https://mcp.example.com\"]\nmode = \"permissive\"\n\
         permissive = [\"tools/list\"]\n"
    ));
    refused(
        home.mcpid(&["gateway", "--config", "g.toml", "--check-config"]),
        "--permissive tools/list would change nothing",
    );
    let connect = |more: &[&str]| home.mcpid(&[&["connect"], more].concat());
    refused(connect(&["--ca", "body.json", "http://127.0.0.1:9/mcp"]), "reached without TLS");
    for local in ["127.0.0.1:0", "unix:socket"] {
        let ran = connect(&["--listen", local, "--allow-remote", "http://127.0.0.1:9/mcp"]);
        refused(ran, "only this machine can connect");
    }
    let id = home.mcpid(&["export", "--format", "thumbprint"]).well().out;
    let add = ["trust", "add", "-r", "other.json", "--client-id", id.trim()];
    refused(home.mcpid(&add), "a key may always call itself by its key id");
    let show = ["audit", "show", "--audit", "log", "--since", "@2", "--until", "@2"];
    home.mcpid(&["audit", "init", "--audit", "log"]).ends(0);
    refused(home.mcpid(&show), "is not before --until");
}
