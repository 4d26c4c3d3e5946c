//! Tests of HTTP/2, and of TLS and Unix sockets towards the client and the upstream: the verdicts
//! are the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpStream, UnixStream};

use crate::program::{Running, free_port, get};
use crate::servers::{CALL, TestGateway, TestUpstream, Wire};

pub(crate) type Client = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

pub(crate) async fn connect(gateway: &TestGateway) -> Client {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let io = TokioIo::new(stream);
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) fn multiplexed(wire: &Wire, url: &str) -> Request<Full<Bytes>> {
    let method = wire.line.split(' ').next().unwrap();
    let mut builder = Request::builder().method(method).uri(url);
    for (name, value) in wire.fields.iter().filter(|(name, _)| name != "Host") {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(Bytes::from(wire.body.clone()))).unwrap()
}

pub(crate) async fn answer(client: &mut Client, request: Request<Full<Bytes>>) -> (u16, String) {
    let response: Response<Incoming> = client.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn requests_over_http2_are_judged_like_those_over_http1() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let url = gateway.url("/mcp");
    let mut client = connect(&gateway).await;
    let signed = || multiplexed(&gateway.signed(1, CALL), &url);
    assert_eq!(answer(&mut client, signed()).await.0, 200);
    let got = behind.got().remove(0);
    assert_eq!(got.header("host"), Some(behind.address.to_string().as_str()));
    assert_eq!(got.header("mcpid-name"), Some("alice"));
    assert_eq!(got.header("x-forwarded-host"), Some(gateway.address.to_string().as_str()));

    let host = gateway.address.to_string();
    let mut repeated = signed();
    repeated.headers_mut().insert("host", host.parse().unwrap());
    assert_eq!(answer(&mut client, repeated).await.0, 200);
    for (what, change, status, reason) in [
        ("another host beside", Some("other.example"), 400, "host"),
        ("the same with a user", Some("me@a"), 400, "user_information"),
    ] {
        let mut request = signed();
        request.headers_mut().insert("host", change.unwrap().parse().unwrap());
        let (found, body) = answer(&mut client, request).await;
        assert_eq!(found, status, "{what}: {body}");
        assert!(body.contains(reason), "{what}: {body}");
    }
    let mut foreign = signed();
    *foreign.uri_mut() = "http://other.example/mcp".parse().unwrap();
    assert_eq!(answer(&mut client, foreign).await.0, 421);
    let mut changed = signed();
    *changed.body_mut() = Full::new(Bytes::from(CALL.replace('7', "8")));
    let (status, body) = answer(&mut client, changed).await;
    assert_eq!(status, 403, "{body}");
    assert!(body.contains("digest_mismatch"), "{body}");
    let unsigned = multiplexed(&gateway.plain(CALL), &url);
    let (status, body) = answer(&mut client, unsigned).await;
    assert_eq!(status, 403);
    assert!(body.contains(r#""id":7"#), "{body}");
    assert_eq!(behind.got().len(), 2);
    let lines = gateway.lines(7).await;
    assert_eq!(lines[0].http.as_ref().unwrap().as_str(), "2");
}

/// Creates a private key and a self-signed certificate for this machine.
pub(crate) fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj"])
        .arg(format!("/CN={name}"))
        .args([
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
        ])
        .args([key.as_os_str(), "-out".as_ref(), cert.as_os_str()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (cert, key)
}

fn curl(args: &[&str], wire: &Wire) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "10", "-w", "\n%{http_code} %{http_version}"]).args(args);
    for (name, value) in wire.fields.iter().filter(|(name, _)| name != "Host") {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let body = String::from_utf8(wire.body.clone()).unwrap();
    let output = command.args(["--data-binary", &body]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    format!("{text}{}", String::from_utf8_lossy(&output.stderr))
}

/// Runs two gateways over TLS, of which one (the inner) is the upstream of the other (the outer).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_works_on_both_sides_and_certificates_are_reloaded() {
    let behind = TestUpstream::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (inner_cert, inner_key) = certificate(folder.path(), "inner");
    let (cert, key) = certificate(folder.path(), "outer");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    // The inner gateway is permissive and passes on requests that are not signed for it, and the
    // test checks what it receives.
    let inner = Running::start(
        &folder,
        &[
            "--upstream",
            &behind.url(),
            "--origin",
            "https://localhost:1",
            "--mode",
            "permissive",
            "--tls-cert",
            &text(&inner_cert),
            "--tls-key",
            &text(&inner_key),
        ],
    );
    // The origin of the inner gateway is the URL by which the outer one calls it.
    let port = inner.address.port();
    drop(inner);
    let origin = format!("https://localhost:{port}");
    let inner = Running::start_at(
        &folder,
        &format!("127.0.0.1:{port}"),
        &[
            "--upstream",
            &behind.url(),
            "--origin",
            &origin,
            "--mode",
            "permissive",
            "--tls-cert",
            &text(&inner_cert),
            "--tls-key",
            &text(&inner_key),
        ],
    );
    let upstream = format!("{origin}/mcp");
    let admin = format!("127.0.0.1:{}", free_port());
    let outer = Running::start_for_own_address(
        &folder,
        "https",
        &[
            "--admin",
            &admin,
            "--upstream",
            &upstream,
            "--upstream-ca",
            &text(&inner_cert),
            "--tls-cert",
            &text(&cert),
            "--tls-key",
            &text(&key),
        ],
    );
    let url = format!("https://{}/mcp", outer.address);
    let host = outer.address.to_string();
    let signed = || Wire::post(&host, "/mcp", CALL).sign(1, &url);
    let ca = text(&cert);
    for (protocol, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let output = curl(&[protocol, "--cacert", &ca, &url], &signed());
        assert!(output.ends_with(&format!("200 {version}")), "{output}");
    }
    let got = behind.got();
    assert_eq!(got.len(), 2, "{got:?}");
    // The outer gateway verified the request. The inner one removes the fields that say so, and
    // sets its own.
    assert_eq!(got[0].header("x-forwarded-proto"), Some("https"));
    let unsigned = curl(&["--cacert", &ca, &url], &Wire::post(&host, "/mcp", CALL));
    assert!(unsigned.contains("signature_missing"), "{unsigned}");
    // A plain HTTP request to the TLS port fails.
    let plain = curl(&[&url.replace("https", "http")], &signed());
    assert!(plain.contains("000"), "{plain}");

    // The metrics show operators when the certificate expires.
    let expiry = async |of: &Path| {
        let numbers = get(&admin, "/metrics", &admin).await.body;
        let expiry = mcpid::net::tls::expiry(&fs::read(of).unwrap()).unwrap().unix();
        let line = format!("mcpid_certificate_expiry_timestamp_seconds {expiry}\n");
        assert!(String::from_utf8(numbers).unwrap().contains(&line), "no {line}");
    };
    expiry(&cert).await;

    // A new certificate is used without a restart. If the file is broken, the old one stays in use.
    fs::write(&cert, "no certificate").unwrap();
    outer.wait_for("what was read before stays in use");
    let (next, next_key) = certificate(folder.path(), "next");
    fs::copy(&next_key, &key).unwrap();
    fs::copy(&next, &cert).unwrap();
    let mut output = String::new();
    for _ in 0..600 {
        output = curl(&["--cacert", &text(&next), &url], &signed());
        if output.contains("200") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(output.contains("200"), "{output}");
    expiry(&next).await;
    // If the upstream's certificate is not trusted, the upstream gets no request.
    let reached = behind.got().len();
    let doubtful = Running::start_for_own_address(
        &folder,
        "http",
        &["--upstream", &upstream, "--upstream-ca", &text(&next)],
    );
    let url = format!("http://{}/mcp", doubtful.address);
    let wire = Wire::post(&doubtful.address.to_string(), "/mcp", CALL).sign(1, &url);
    let output = curl(&[&url], &wire);
    assert!(output.contains("upstream_unreachable") && output.contains("502"), "{output}");
    assert_eq!(behind.got().len(), reached);
    // If the file of trusted authorities is replaced, new connections use it without a restart. If
    // it is no certificate, the old ones stay in use.
    fs::write(&next, "no certificate").unwrap();
    doubtful.wait_for("what was read before stays in use");
    fs::copy(&inner_cert, &next).unwrap();
    let mut output = String::new();
    for _ in 0..600 {
        let wire = Wire::post(&doubtful.address.to_string(), "/mcp", CALL).sign(1, &url);
        output = curl(&[&url], &wire);
        if output.contains("200") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(output.contains("200"), "{output}");
    drop(inner);
}

/// The gateway's port and the upstream's are Unix sockets. Other users of this machine cannot
/// connect to the gateway's socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_sockets_work_on_both_sides() {
    use std::os::unix::fs::PermissionsExt as _;

    let behind = TestUpstream::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (inner, outer) = (folder.path().join("inner.sock"), folder.path().join("outer.sock"));
    let (at_inner, at_outer) =
        (format!("unix:{}", inner.display()), format!("unix:{}", outer.display()));
    let first = Running::start_at(
        &folder,
        &at_inner,
        &["--upstream", &behind.url(), "--origin", "http://localhost", "--mode", "permissive"],
    );
    let second = Running::start_at(
        &folder,
        &at_outer,
        &["--upstream", &at_inner, "--origin", "https://mcp.example.com"],
    );
    for socket in [&inner, &outer] {
        assert_eq!(fs::metadata(socket).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let wire = Wire::post("mcp.example.com", "/mcp", CALL);
    let signed = wire.clone().sign(1, "https://mcp.example.com/mcp");
    let ours = outer.to_str().unwrap().to_owned();
    let ask = |wire: &Wire| curl(&["--unix-socket", &ours, "http://mcp.example.com/mcp"], wire);
    let output = ask(&signed);
    assert!(output.contains("200"), "{output}");
    assert!(ask(&signed).contains("nonce_replayed"));
    assert!(ask(&wire).contains("signature_missing"));
    assert_eq!(behind.got().len(), 1);
    assert!(second.log().contains(r#""peer":"unix""#), "{}", second.log());

    // If another process uses the socket, it is not replaced. If the process has ended, the socket
    // is replaced, and removed when the gateway ends.
    let taken = Running::fails(
        &folder,
        &at_outer,
        &["--upstream", &behind.url(), "--origin", "https://mcp.example.com"],
    );
    assert!(taken.1.contains("the address is in use"), "{taken:?}");
    assert_eq!(taken.0, 5);
    second.kill();
    assert!(outer.exists());
    let again = Running::start_at(
        &folder,
        &at_outer,
        &["--upstream", &at_inner, "--origin", "https://mcp.example.com"],
    );
    assert!(UnixStream::connect(&outer).await.is_ok());
    again.terminate();
    assert!(!outer.exists());
    // A file that is not a socket is not replaced.
    fs::write(&outer, "precious").unwrap();
    let kept = Running::fails(
        &folder,
        &at_outer,
        &["--upstream", &at_inner, "--origin", "https://mcp.example.com"],
    );
    assert_eq!((kept.0, fs::read_to_string(&outer).unwrap().as_str()), (5, "precious"));
    drop(first);
}
