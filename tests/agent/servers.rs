//! The agents of the tests: OpenSSH's ssh-agent, and a fake one whose answers a test chooses.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use mcpid::key::agent::Agent;
use tempfile::TempDir;

/// A running ssh-agent with its own folder. It is stopped at the end of the test.
pub(crate) struct OpenSsh {
    pub(crate) folder: TempDir,
    child: Child,
    /// The folder of the askpass program, kept because it must exist as long as the agent.
    askpass: Option<TempDir>,
}

impl OpenSsh {
    pub(crate) fn start() -> Self {
        OpenSsh::start_with(|_| {})
    }

    /// Starts an agent whose askpass program (by which it asks the user) answers every question
    /// with yes, or every one with no.
    pub(crate) fn start_with_askpass(says_yes: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let askpass = folder.path().join("askpass");
        script(&askpass, if says_yes { "exit 0" } else { "exit 1" });
        let mut agent = OpenSsh::start_with(|command| {
            command.env("SSH_ASKPASS", &askpass).env("SSH_ASKPASS_REQUIRE", "force");
            command.env("DISPLAY", ":0");
        });
        agent.askpass = Some(folder);
        agent
    }

    /// Starts an agent that may load OpenSSH's software implementation of a security key.
    pub(crate) fn start_with_security_keys() -> Self {
        OpenSsh::start_with(|command| {
            command.arg("-P").arg(sk_dummy());
        })
    }

    /// Makes a security key of this kind by ssh-keygen, and adds it to the agent. Returns the path
    /// of its file.
    pub(crate) fn add_security_key(&self, kind: &str, comment: &str, options: &[&str]) -> String {
        let file = format!("{kind}-{comment}");
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", kind, "-N", "", "-C", comment, "-f", &file, "-w", sk_dummy()]);
        command.args(options.iter().flat_map(|option| ["-O", option]));
        assert!(command.current_dir(self.folder.path()).status().unwrap().success());
        let added = self.ssh_add(&["-q", "-S", sk_dummy(), &file]);
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        file
    }

    fn start_with(configure: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        command.env_remove("SSH_ASKPASS").env_remove("DISPLAY");
        configure(&mut command);
        let child = command.spawn().expect("ssh-agent, of openssh-client");
        let agent = OpenSsh { folder, child, askpass: None };
        within_a_minute("the agent listens", || UnixStream::connect(&socket).is_ok());
        agent
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("agent")
    }

    pub(crate) fn client(&self) -> Agent {
        Agent::at(self.socket())
    }

    pub(crate) fn ssh_add(&self, args: &[&str]) -> Output {
        let mut command = Command::new("ssh-add");
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("SSH_AUTH_SOCK", self.socket()).output().unwrap()
    }

    /// Returns the output of `ssh-add -l`.
    pub(crate) fn list(&self) -> String {
        String::from_utf8(self.ssh_add(&["-l"]).stdout).unwrap()
    }

    /// Makes a key by ssh-keygen, and adds it to the agent.
    pub(crate) fn add_new(&self, kind: &str, comment: &str) -> String {
        let file = format!("{kind}-{}", comment.replace(['/', ' '], "-"));
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", kind, "-N", "", "-C", comment, "-f", &file]);
        assert!(command.current_dir(self.folder.path()).status().unwrap().success());
        let added = self.ssh_add(&["-q", &file]);
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        file
    }

    /// Locks (`-x`) or unlocks (`-X`) the agent with a password, which an askpass program supplies.
    pub(crate) fn lock(&self, flag: &str) {
        let askpass = self.folder.path().join("password");
        script(&askpass, "echo swordfish");
        let mut command = Command::new("ssh-add");
        command.arg(flag).env("SSH_AUTH_SOCK", self.socket()).env("SSH_ASKPASS", &askpass);
        command.env("SSH_ASKPASS_REQUIRE", "force").stdin(Stdio::null());
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for OpenSsh {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn script(path: &Path, body: &str) {
    crate::executable::executable(path, &format!("#!/bin/sh\n{body}\n"));
}

pub(crate) fn within_a_minute(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the path of OpenSSH's software security key.
fn sk_dummy() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/sk-dummy");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openssh-tests");
        let found = Command::new(script).arg(folder).output().unwrap();
        let err = String::from_utf8_lossy(&found.stderr);
        assert!(found.status.success(), "sk-dummy.so, of openssh-tests: {err}");
        String::from_utf8(found.stdout).unwrap().trim_end().to_owned()
    })
}

/// A fake agent that handles each connection with a function that the test gives. The agent ends
/// with the test's folder.
pub(crate) struct Fake {
    pub(crate) folder: TempDir,
}

impl Fake {
    pub(crate) fn start(answer: impl Fn(&mut UnixStream, Vec<u8>) + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("agent")).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                // A client that connects and sends nothing gets no answer.
                if let Some(request) = request(&mut stream) {
                    answer(&mut stream, request);
                }
            }
        });
        Fake { folder }
    }

    pub(crate) fn client(&self) -> Agent {
        Agent::at(self.folder.path().join("agent")).with_timeout(Duration::from_secs(60))
    }
}

/// Reads one message without its length.
pub(crate) fn request(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// Sends one message with its length.
pub(crate) fn reply(stream: &mut UnixStream, message: &[u8]) {
    let _ = stream.write_all(&framed(message));
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    string(message)
}

/// A string of the SSH wire format.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

/// Returns the public key blob of an Ed25519 key.
pub(crate) fn blob(key: &[u8]) -> Vec<u8> {
    [string(b"ssh-ed25519"), string(key)].concat()
}

/// Returns the agent's answer that lists these keys.
pub(crate) fn listed(keys: &[(Vec<u8>, &str)]) -> Vec<u8> {
    let mut answer = vec![12];
    answer.extend(u32::try_from(keys.len()).unwrap().to_be_bytes());
    for (blob, comment) in keys {
        answer.extend(string(blob));
        answer.extend(string(comment.as_bytes()));
    }
    answer
}

/// Returns the agent's answer that contains this signature.
pub(crate) fn signed(kind: &[u8], signature: &[u8]) -> Vec<u8> {
    let inner = [string(kind), string(signature)].concat();
    [vec![14], string(&inner)].concat()
}
