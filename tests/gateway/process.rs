//! Tests of the running program: flags and configuration file, reload, log, metrics, and shutdown.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program::{Running, free_port, get, program, trust};
use crate::servers::{CALL, TestUpstream, Wire};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_is_configured_by_a_file_watched_reloaded_and_ended() {
    let behind = TestUpstream::new().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("gateway.log");
    let (port, admin) = (free_port(), format!("127.0.0.1:{}", free_port()));
    let file = folder.path().join("gateway.toml");
    let text = format!(
        "upstream = \"{}\"\norigin = [\"http://127.0.0.1:{port}\"]\nmode = \"permissive\"\n\
         strict = [\"tools/call:delete_*\"]\nadmin = \"{admin}\"\nlog = {:?}\nbudget = 1000000\n\
         body-timeout = \"20s\"\npreserve-host = false\n",
        behind.url(),
        log.to_str().unwrap(),
    );
    fs::write(&file, &text).unwrap();
    let config = file.to_str().unwrap();
    let gateway = Running::start_at(&folder, &format!("127.0.0.1:{port}"), &["--config", config]);

    assert_eq!(gateway.send(&gateway.signed()).await.status, 200);
    assert_eq!(gateway.send(&gateway.plain()).await.status, 403);
    let list = Wire::post(&gateway.address.to_string(), "/mcp", crate::servers::LIST);
    assert_eq!(gateway.send(&list).await.status, 200);

    // Operators get an answer if they use an address as the host.
    let health = get(&admin, "/healthz", &admin).await;
    assert_eq!((health.status, health.body.as_slice()), (200, b"ok\n".as_slice()));
    assert_eq!(get(&admin, "/readyz", &admin).await.body, b"ready\n");
    assert_eq!(get(&admin, "/readyz", "localhost").await.status, 200);
    assert_eq!(get(&admin, "/readyz", "rebound.example").await.status, 421);
    assert_eq!(get(&admin, "/readyz", "gateway.monitoring.svc").await.status, 421);
    assert_eq!(get(&admin, "/nothing", &admin).await.status, 404);
    let begun = Instant::now();
    for line in [
        r#"mcpid_requests_total{outcome="passed",status="verified",code="none",answer="2xx"} 1"#,
        r#"mcpid_would_refuse_total{method="tools/list",tool="none",code="signature_missing"} 1"#,
        "mcpid_live_nonces 1",
        "mcpid_registry_keys 1",
        "mcpid_store_errors_total 0",
    ] {
        // A request counts when its answer has gone.
        loop {
            let numbers = String::from_utf8(get(&admin, "/metrics", &admin).await.body).unwrap();
            if numbers.contains(line) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{line} is not in {numbers}");
            sleep(Duration::from_millis(50));
        }
    }
    let page = get(&admin, "/", &admin).await;
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    assert!(String::from_utf8_lossy(&page.body).contains("tools/list"));

    // If the trust file is broken or missing, the gateway goes on with the old one, and reports it.
    let trusted = trust(&folder);
    let whole = fs::read(&trusted).unwrap();
    for broken in [Some("{\"keys\":"), None] {
        match broken {
            Some(text) => fs::write(&trusted, text).unwrap(),
            None => fs::remove_file(&trusted).unwrap(),
        }
        let begun = Instant::now();
        while get(&admin, "/readyz", &admin).await.status != 503 {
            assert!(begun.elapsed() < Duration::from_secs(60), "still ready");
            sleep(Duration::from_millis(50));
        }
        assert_eq!(gateway.send(&gateway.signed()).await.status, 200);
    }
    assert!(gateway.said().contains("what was read before stays in use"), "{}", gateway.said());
    // If the trust file is valid and trusts no key, that takes effect at once.
    fs::write(&trusted, "{\"keys\":[]}").unwrap();
    gateway.wait_for("read again: 0 trusted");
    assert_eq!(gateway.send(&gateway.signed()).await.reason(), "key_unknown");
    assert_eq!(get(&admin, "/readyz", &admin).await.status, 200);
    fs::write(&trusted, &whole).unwrap();
    gateway.wait_for("read again: 1 trusted");
    assert_eq!(gateway.send(&gateway.signed()).await.status, 200);

    // After log rotation has moved the log file, SIGHUP makes the gateway open a new one.
    let moved = folder.path().join("gateway.log.1");
    fs::rename(&log, &moved).unwrap();
    gateway.signal("-HUP");
    let begun = Instant::now();
    while !log.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no new log");
        sleep(Duration::from_millis(30));
    }
    assert_eq!(gateway.send(&gateway.plain()).await.status, 403);
    let said = gateway.said();
    assert_eq!(gateway.terminate(), 0, "{said}");
    let lines = |path: &Path| {
        let mut text = String::new();
        File::open(path).unwrap().read_to_string(&mut text).unwrap();
        text.lines().filter(|l| l.contains("\"outcome\":\"refused\"")).count()
    };
    assert_eq!(lines(&log), 1);
    assert!(lines(&moved) >= 2);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// After its start, the gateway refuses requests whose nonces may have been forgotten, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_is_ready_once_it_can_tell_a_replay() {
    let behind = TestUpstream::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (listen, admin) =
        (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let err = File::create(folder.path().join("err")).unwrap();
    // The larger the allowed difference of clocks, the longer a new store refuses.
    let mut child = program()
        .args(["gateway", "--nonces", "memory:", "--listen", &listen, "--admin", &admin])
        .args(["--ahead", "15s"])
        .args(["--upstream", &behind.url(), "--origin", &format!("http://{listen}"), "-r"])
        .arg(trust(&folder))
        .stdout(Stdio::null())
        .stderr(err)
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(&admin).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not listen");
        sleep(Duration::from_millis(20));
    }
    let early = get(&admin, "/readyz", &admin).await;
    assert_eq!(early.status, 503);
    let words = String::from_utf8_lossy(&early.body).into_owned();
    assert!(words.contains("may have forgotten"), "{words}");
    let wire = Wire::post(&listen, "/mcp", CALL).sign(1, &format!("http://{listen}/mcp"));
    let running = Running {
        address: listen.parse().unwrap(),
        err: folder.path().join("err"),
        out: folder.path().join("err"),
        child: Command::new("true").spawn().unwrap(),
    };
    let refused = running.send(&wire).await;
    assert_eq!((refused.status, refused.reason().as_str()), (503, "unavailable"));
    assert!(refused.header("retry-after").is_some());
    let begun = Instant::now();
    while get(&admin, "/readyz", &admin).await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "never ready");
        sleep(Duration::from_millis(100));
    }
    let wire = Wire::post(&listen, "/mcp", CALL).sign(1, &format!("http://{listen}/mcp"));
    assert_eq!(running.send(&wire).await.status, 200);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A configuration file can set the options that flags can, and no others. An error names the file.
#[test]
fn a_wrong_configuration_file_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.toml");
    let trusted = trust(&folder);
    let check = |text: &str, more: &[&str]| {
        fs::write(&file, text).unwrap();
        let output = program()
            .args(["gateway", "--check-config", "--config"])
            .arg(&file)
            .arg("-r")
            .arg(&trusted)
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let result = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap(), said, result)
    };
    let good = "upstream = \"http://127.0.0.1:8000/mcp\"\norigin = [\"https://mcp.example.com\"]\n";
    let (code, said, result) = check(good, &[]);
    assert_eq!(code, 0, "{said}");
    let first = "ok: strict, 127.0.0.1:8080, /mcp to http://127.0.0.1:8000/mcp, 1 trusted\n";
    assert!(result.starts_with(first), "{result}");
    assert!(result.contains("\n    origins      https://mcp.example.com\n"), "{result}");
    // `--check-config` shows each pattern with the methods that it matches.
    let patterns = "mode = \"permissive\"\nnonces = \"redis://u:s3cr3t@127.0.0.1:1\"\n\
                    strict = [\"tools/call:delete_*\", \"resources/*\", \"acme/x\", \"destructive\"]\n";
    let (code, said, result) = check(&format!("{good}{patterns}"), &[]);
    assert_eq!(code, 0, "{said}");
    for line in [
        "    strict       tools/call:delete_*: tools/call, of such a name\n",
        "    strict       acme/x: no method of MCP\n",
        "    strict       destructive: tools/call, unless ",
        "    strict       @response and tasks/update, since they can approve a tools/call\n",
        "    strict       resources/*: resources/directory/read resources/list resources/read ",
        "    nonces       redis://127.0.0.1:1\n",
        "    admin        none\n",
        "    log          stdout\n",
        "    tools        asked of the upstream; stored in ",
    ] {
        assert!(result.contains(line), "no {line:?} in {result}");
    }
    assert!(!format!("{said}{result}").contains("s3cr3t"), "{said}{result}");
    // `--check-config` connects to no server, and opens or creates no file.
    let store = folder.path().join("new.db");
    let (code, _, result) = check(good, &["--nonces", &format!("sqlite:{}", store.display())]);
    assert_eq!((code, store.exists()), (0, false), "{result}");
    // Flags override the configuration file.
    let (_, _, result) =
        check(good, &["--upstream", "http://127.0.0.1:9/other", "--mode=permissive"]);
    assert!(result.starts_with("ok: permissive, 127.0.0.1:8080, /other to"), "{result}");
    let (code, _, result) = check(good, &["--json"]);
    assert_eq!(code, 0);
    assert!(result.contains("\"ok\":true"), "{result}");
    for (text, words) in [
        ("upstream = ", "line 1: "),
        ("mode = \"strict\"", "g.toml: upstream = \"http://127.0.0.1:8000/mcp\""),
        ("upstream = \"http://127.0.0.1/mcp\"", "g.toml: origin = [\"https://mcp.example.com\"]"),
        ("colour = \"red\"", "there is no setting \"colour\""),
        ("config = \"x\"", "line 1: \"config\" is a flag only"),
        ("origins = [\"https://a.example\"]", "did you mean \"origin\"?"),
        (
            "\n\ndrain_timeout = \"5s\"",
            "line 3: there is no setting \"drain_timeout\"; did you mean \"drain-timeout\"?",
        ),
        ("Mode = \"strict\"", "did you mean \"mode\"?"),
        ("listen = [\"127.0.0.1:1\"]", "line 1: \"listen\" takes one value, not a list"),
        (
            "nonces = \"redi://x\"\nupstream = \"http://h/mcp\"\norigin = \"https://h\"\n\
          allow-remote-upstream = true",
            "line 1: --nonces",
        ),
        (
            "\nadmin = \"0.0.0.0:9\"\nupstream = \"http://127.0.0.1/mcp\"\norigin = \"https://h\"",
            "line 2: --admin",
        ),
        ("listen = []", "line 1: \"listen\" takes one value, not a list"),
        ("realm = { a = 1 }", "\"realm\" cannot be a table"),
        ("trust-me = true", "there is no setting \"trust-me\""),
        ("mode = \"lax\"", "line 1: --mode cannot be 'lax', only strict, permissive"),
        ("# timeouts\nhead-timeout = 10", "line 2: "),
        ("head-timeout = 1.5", "\"head-timeout\" cannot be a fraction"),
        ("origin = [[\"x\"]]", "\"origin\" cannot be a list in a list"),
        ("preserve-host = \"yes\"", "line 1: \"preserve-host\" is true or false"),
        ("[gateway]\nmode = \"strict\"", "there is no setting \"gateway\""),
        ("upstream = \"a\"\nupstream = \"b\"", "duplicate key"),
        ("tls-cert = \"x\"", "line 1: --tls-cert needs --tls-key, which is missing"),
        ("\ntls-key = \"x\"", "line 2: --tls-key needs --tls-cert, which is missing"),
        ("mode = \"strict\"\naudit-policy = \"required\"", "line 2: --audit-policy needs --audit,"),
        ("audit-sync = \"batch\"\naudit-bodies = true", "line 1: --audit-sync needs --audit,"),
        (
            "audit = \"a\"\naudit-redact = [\"*:*:x\"]",
            "line 2: --audit-redact needs --audit-bodies,",
        ),
        ("tools-public-key = \"x\"", "line 1: --tools-public-key needs --tools-key,"),
        (
            "upstream = \"http://127.0.0.1/mcp\"\norigin = \"https://h\"\nopen = [\"/a\", \"/mcp/b\"]",
            "line 3: --open",
        ),
        ("mode = false", "\"mode\" cannot be true or false"),
        ("upstream = \"http://me:s3cr3t@h/mcp\"", "user information"),
    ] {
        let (code, said, _) = check(text, &[]);
        assert_eq!(code, 2, "{text}: {said}");
        assert!(said.contains("g.toml: ") && said.contains(words), "{text}: {said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    // The configuration file names a file that cannot be used.
    let files = "tls-key = \"k.pem\"\ntls-cert = \"none/c.pem\"\n";
    let (code, said, _) = check(&format!("{good}{files}"), &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("g.toml: line 4: cannot read none/c.pem"), "{said}");
    let (code, said, _) = check(&format!("{good}log = \"none/gateway.log\"\n"), &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("g.toml: line 3: --log: "), "{said}");
    // No shell reads a container's file of variables, so quotes in it stay part of the value.
    for value in ["\"/etc/mcpid/trust.json\"", "'/etc/mcpid/trust.json'"] {
        let output = program()
            .args(["gateway", "--upstream", "http://127.0.0.1:9/mcp", "--check-config"])
            .args(["--origin", "https://mcp.example.com"])
            .env("MCPID_TRUST", value)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("the quotes are a part of MCPID_TRUST"), "{said}");
    }
    // These faults show only when all options are combined.
    for (more, words) in [
        (&["--strict", "a:"][..], "--strict cannot be 'a:': a pattern with a colon needs a name"),
        (&["--permissive", "destructive"], "that is what strict is for"),
        (&["--open", "/mcp"], "leads to the endpoint"),
        (&["--path", "mcp"], "not a path such as /mcp"),
        (&["--realm", "x"], "--realm is for --refuse-with 401"),
        (&["--profile", "rfc9421"], "for servers: a request that it accepts can be replayed"),
        (&["--profile", "ucp"], "ucp is not for servers: "),
        (&["--allow-origin", "null"], "not an origin as browsers write it"),
        (&["--allow-origin", "https://APP.example.com"], "not an origin as browsers write it"),
        (&["--upstream", "http://192.0.2.1/mcp"], "can forge Mcpid-Status"),
        (&["--admin", "0.0.0.0:9"], "shows which client calls which tool"),
        (
            &["--allow-remote-admin"],
            "--allow-remote-admin would change nothing: there is no --admin",
        ),
        (&["--admin-host", "a.example"], "--admin-host would change nothing: there is no --admin"),
        (&["--admin-host", "a.example:9090"], "not a host name such as gateway.example.com"),
        (&["--origin", "https://mcp.example.com/"], "an origin has no path"),
    ] {
        let (code, said, _) = check(good, more);
        assert_eq!(code, 2, "{more:?}: {said}");
        assert!(said.contains(words), "{more:?}: {said}");
    }
    assert_eq!(
        check(good, &["--upstream", "http://192.0.2.1/mcp", "--allow-remote-upstream"]).0,
        0
    );
}

/// Prometheus uses the name of a service as the host. A host name that a web page can have is
/// refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_ask_by_the_name_of_a_service_if_that_is_allowed() {
    let behind = TestUpstream::new().await;
    let folder = tempfile::tempdir().unwrap();
    let admin = format!("0.0.0.0:{}", free_port());
    let args = ["--admin", &admin, "--allow-remote-admin", "--admin-host", "Metrics.example.com"];
    let gateway = crate::operation::Started::new(&folder, &behind, Stdio::null(), &args);
    drop(gateway.connect().await);
    let admin = admin.replace("0.0.0.0", "127.0.0.1");
    for (host, status) in [
        ("127.0.0.1", 200),
        ("gateway", 200),
        ("gateway:9090", 200),
        ("gateway.monitoring.svc.cluster.local:9090", 200),
        ("metrics.example.com", 200),
        ("rebound.example", 421),
        ("metrics.example.com.rebound.example", 421),
        ("gateway, rebound.example", 421),
    ] {
        assert_eq!(get(&admin, "/metrics", host).await.status, status, "{host}");
    }
}
