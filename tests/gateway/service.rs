//! Tests of the gateway as a systemd service: the protocol of `Type=notify`, the folders that
//! systemd names, and the unit file. systemd itself does not run here, and the test takes its
//! place.

use std::fs::{self, File};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{free_port, get, program, trust};

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/systemd/mcpid-gateway.service");

/// A gateway that is killed when this value is dropped.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Receives one message that the service sends to systemd.
fn received(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 4096];
    let length = socket.recv(&mut bytes).expect("a message within 60 seconds");
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

/// Starts a gateway whose variable `NOTIFY_SOCKET` is `named` and leads to `socket`. Checks each
/// state that the gateway reports until its end.
async fn supervised(folder: &tempfile::TempDir, socket: UnixDatagram, named: &str) {
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (listen, admin) =
        (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let begun = Instant::now();
    let child = program()
        .args(["gateway", "--nonces", "memory:", "--listen", &listen, "--admin", &admin])
        .args(["--upstream", "http://127.0.0.1:9/mcp", "--origin", "https://mcp.example.com", "-r"])
        .arg(trust(folder))
        .env("NOTIFY_SOCKET", named)
        .stdout(Stdio::null())
        .stderr(File::create(folder.path().join("err")).unwrap())
        .spawn()
        .unwrap();
    let mut service = Service(child);
    let first = received(&socket);
    // A new nonce store may lack the nonces of the seconds before its start.
    assert!(first.starts_with("STATUS=not ready: the nonce store may have forgotten"), "{first}");
    let mut last = first;
    while !last.contains("READY=1") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{last}");
        assert!(last.starts_with("STATUS=not ready: ") && !last.contains('\n'), "{last}");
        last = received(&socket);
    }
    assert_eq!(last, "READY=1\nSTATUS=ready");
    assert!(begun.elapsed() > Duration::from_secs(3), "ready after {:?}", begun.elapsed());
    assert_eq!(get(&admin, "/readyz", &admin).await.status, 200);
    let id = service.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let last = received(&socket);
    assert!(last.starts_with("STOPPING=1\n"), "{last}");
    assert_eq!(service.0.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_supervisor_is_told_that_the_gateway_is_ready_and_that_it_stops() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = one.path().join("notify");
    let name = format!("mcpid-test-{}-{}", std::process::id(), free_port());
    let by_path = UnixDatagram::bind(&path).unwrap();
    let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
    let by_name = UnixDatagram::bind_addr(&abstract_name).unwrap();
    let first = tokio::spawn(async move {
        supervised(&one, by_path, path.to_str().unwrap()).await;
    });
    supervised(&two, by_name, &format!("@{name}")).await;
    first.await.unwrap();
}

/// Runs `gateway`, with or without `--check-config`, with one environment variable. Returns the
/// exit code and all output.
fn with_variable(
    folder: &tempfile::TempDir,
    name: &str,
    value: &str,
    more: &[&str],
) -> (i32, String) {
    let output = program()
        .args(["gateway", "--listen", &format!("127.0.0.1:{}", free_port())])
        .args(["--upstream", "http://127.0.0.1:9/mcp", "--origin", "https://mcp.example.com", "-r"])
        .arg(trust(folder))
        .args(more)
        .env("HOME", folder.path().join("home"))
        .env_remove("XDG_STATE_HOME")
        .env(name, value)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_supervisor_that_cannot_be_told_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    let long = format!("/{}", "x".repeat(200));
    for (value, code, words) in [
        ("", 2, "names no socket"),
        ("@", 2, "names no socket"),
        ("notify", 2, "names no socket"),
        ("./notify", 2, "names no socket"),
        ("vsock:2:1234", 2, "names no socket"),
        (long.as_str(), 2, "names no socket"),
        (missing.as_str(), 5, "cannot reach the socket of NOTIFY_SOCKET"),
        ("@mcpid-nothing-listens-here", 5, "cannot reach the socket of NOTIFY_SOCKET"),
    ] {
        let (exit, said) = with_variable(&folder, "NOTIFY_SOCKET", value, &["--nonces", "memory:"]);
        assert_eq!(exit, code, "{value}: {said}");
        assert!(said.contains(words), "{value}: {said}");
    }
}

#[test]
fn the_state_folder_of_a_service_holds_the_nonces() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state").to_str().unwrap().to_owned();
    let two = format!("{state}:/var/lib/another");
    for value in [&state, &two] {
        let (exit, said) = with_variable(&folder, "STATE_DIRECTORY", value, &["--check-config"]);
        assert_eq!(exit, 0, "{said}");
        assert!(said.contains(&format!("{state}/nonces.db")), "{said}");
    }
    for value in ["", "state", ":/var/lib/mcpid"] {
        let (exit, said) = with_variable(&folder, "STATE_DIRECTORY", value, &["--check-config"]);
        assert_eq!(exit, 2, "{value}: {said}");
        assert!(said.contains("does not begin with an absolute path"), "{value}: {said}");
    }
    // If a flag names the store, the wrong variable does not matter.
    let more = ["--check-config", "--nonces", "memory:"];
    let (exit, said) = with_variable(&folder, "STATE_DIRECTORY", "state", &more);
    assert_eq!(exit, 0, "{said}");
}

/// Writes the unit file to `folder`, with the program of this test, and returns its path.
fn unit(folder: &Path) -> String {
    let text = fs::read_to_string(UNIT).unwrap();
    let start = "\nExecStart=/usr/bin/mcpid ";
    assert_eq!(text.matches(start).count(), 1);
    let path = folder.join("mcpid-gateway.service");
    let own = format!("\nExecStart={} ", env!("CARGO_BIN_EXE_mcpid"));
    fs::write(&path, text.replace(start, &own)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_unit_is_correct_and_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let unit = unit(folder.path());
    for arguments in [
        &["verify", "--man=no", &unit][..],
        // systemd-analyze rates how exposed a service is, from 0 (closed) to 10 (open). The flag
        // --threshold takes tenths.
        &["security", "--offline=true", "--threshold=15", &unit],
    ] {
        let output = Command::new("systemd-analyze").args(arguments).output();
        let output = output.expect("the Debian package systemd");
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {said}");
        // systemd only warns about a setting that it does not know.
        assert!(!said.contains("Unknown") && !said.contains("ignoring"), "{said}");
    }
}
