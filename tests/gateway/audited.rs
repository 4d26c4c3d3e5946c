//! Tests of what operators see of the gateway's audit log, and of what happens if the log cannot be
//! written.

use std::fs::{self, File};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::program::{free_port, get, program, trust};
use crate::servers::{CALL, Reply, TestUpstream, Wire};

/// A process that is killed when this value is dropped.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn send(address: &str) -> Reply {
    let wire = Wire::post(address, "/mcp", CALL).sign(1, &format!("http://{address}/mcp"));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&wire.bytes()).await.unwrap();
    Reply::read(&mut stream).await
}

async fn ready(admin: &str, wanted: u16) -> String {
    let begun = Instant::now();
    loop {
        if TcpStream::connect(admin).await.is_ok() {
            let reply = get(admin, "/readyz", admin).await;
            let words = String::from_utf8(reply.body).unwrap();
            if reply.status == wanted {
                return words;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{words}");
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no operator page at {admin}");
        sleep(Duration::from_millis(100));
    }
}

/// The audit log is on a small file system, mounted in a namespace that ends with the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_shows_to_operators_and_mends_without_a_request() {
    let behind = TestUpstream::new().await;
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let (address, admin) =
        (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let script = r#"disk=$1; shift
        mount -t tmpfs -o size=320k tmpfs "$disk" && head -c 65536 /dev/zero > "$disk/ballast" &&
        "$0" audit init -q --audit "$disk/log" > "$disk/key" && exec "$0" "$@""#;
    let mut command = Command::new("unshare");
    for (name, value) in program().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(["-Urm", "sh", "-c", script]).arg(program().get_program()).arg(&disk);
    command.args(["gateway", "--nonces", "memory:", "--listen", &address, "--admin", &admin]);
    command.args(["--upstream", &behind.url(), "--origin", &format!("http://{address}")]);
    command.arg("-r").arg(trust(&folder)).arg("--audit").arg(disk.join("log"));
    command.stdout(File::create(folder.path().join("out")).unwrap());
    command.stderr(File::create(folder.path().join("err")).unwrap());
    let gateway = Ending(command.spawn().unwrap());
    ready(&admin, 200).await;

    let mut written = 0;
    let refused = loop {
        let reply = send(&address).await;
        if reply.status != 200 {
            break reply;
        }
        written += 1;
        assert!(written < 500, "the disk is larger than it should be");
    };
    assert!(written > 20, "{written}");
    assert_eq!(refused.status, 503);
    assert_eq!(behind.got().len(), written, "no entry, no dispatch");
    let words = ready(&admin, 503).await;
    assert!(words.starts_with("not ready: the audit log: cannot write "), "{words}");
    let numbers = String::from_utf8(get(&admin, "/metrics", &admin).await.body).unwrap();
    for line in [
        format!("mcpid_audit_entries {written}"),
        "mcpid_audit_failures_total 1".to_owned(),
        "mcpid_audit_gaps_total 0".to_owned(),
        "mcpid_audit_unnoted_total 0".to_owned(),
    ] {
        assert!(numbers.lines().any(|other| other == line), "{line} is not in {numbers}");
    }

    // An operator frees space on the disk. No request arrives meanwhile, because a load balancer
    // sends none to a server that is not ready.
    fs::remove_file(format!("/proc/{}/root{}", gateway.0.id(), disk.join("ballast").display()))
        .unwrap();
    assert_eq!(ready(&admin, 200).await, "ready\n");
    assert_eq!(send(&address).await.status, 200);
}

#[test]
fn a_configuration_is_checked_down_to_the_log_and_nothing_is_changed() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (log, trusted) = (folder.path().join("log"), trust(&folder));
    let check = |more: &[&str]| {
        let output = program()
            .args(["gateway", "--check-config", "--upstream", "http://127.0.0.1:8000/mcp"])
            .args(["--origin", "https://mcp.example.com", "-r"])
            .arg(&trusted)
            .arg("--audit")
            .arg(&log)
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), said + &String::from_utf8_lossy(&output.stdout))
    };
    let (code, said) = check(&[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("is not the folder of an audit log"), "{said}");
    let made = program().args(["audit", "init", "-q", "--audit"]).arg(&log).output().unwrap();
    assert!(made.status.success());
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let (code, said) = check(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("audit        {}", log.display())), "{said}");
    let (_, said) = check(&["--json"]);
    assert!(said.contains("\"audit_in_use\":false"), "{said}");

    // If a gateway is running, `--check-config` reports that the log is in use.
    let lock = File::open(&log).unwrap();
    lock.lock().unwrap();
    let (code, said) = check(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("another process writes the log in"), "{said}");
    drop(lock);

    fs::set_permissions(&log, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(check(&[]).0, 4);
    fs::set_permissions(&log, fs::Permissions::from_mode(0o700)).unwrap();
    let (checkpoint, tree) = (log.join("checkpoint"), log.join("tree"));
    let good = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, "no note").unwrap();
    let (code, said) = check(&[]);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("was changed: its checkpoint is"), "{said}");
    fs::write(&checkpoint, good).unwrap();
    fs::remove_file(&tree).unwrap();
    std::os::unix::fs::symlink("/dev/null", &tree).unwrap();
    assert_eq!(check(&[]).0, 3);
    fs::remove_file(&tree).unwrap();
    fs::write(&tree, "").unwrap();
    assert_eq!(check(&[]).0, 0);
    assert_eq!(names(), before, "nothing was made");
    // If the private key is not in the log's folder, the check takes it to be elsewhere and demands
    // that a flag names it.
    fs::remove_file(log.join("log-key.json")).unwrap();
    let (code, said) = check(&[]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("is not in its folder"), "{said}");
    fs::remove_file(log.join("log-key.pub")).unwrap();
    assert_eq!(check(&[]).0, 3);
}
