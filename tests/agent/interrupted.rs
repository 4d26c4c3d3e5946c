//! Tests of Ctrl-C while a key is waited for: `mcpid` ends at once, and so does every program that
//! it started.

use std::fs;
use std::os::unix::net::UnixListener;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rexpect::session::spawn_command;
use rustix::process::{Pid, Signal, kill_process};

use crate::exec::is_running;
use crate::home::{BY_OPENSSL, Home, URL, command_in, ends};
use crate::security_keys::{self, TYPE};
use crate::servers::{Fake, blob, listed, reply, script, within_a_minute};

/// A script that writes its process id into `pid`, and then waits.
const HANGS: &str = "echo $$ > pid.new; mv pid.new pid; sleep 600";

const SIGN: [&str; 4] = ["sign", "--url", URL, "body.json"];

/// Starts the command, sends SIGINT to it once `is_waiting` holds, and checks that SIGINT ends it
/// at once. (If the key's own time limit ended the command, its exit code would differ.)
#[track_caller]
fn ends_at_once(command: &mut Command, is_waiting: impl FnMut() -> bool) {
    // A shell without job control starts background jobs with SIGINT ignored, and a program inherits
    // that. A signal that this process handles has its default effect in a program that it starts.
    let by_default = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_default(signal_hook::consts::SIGINT, by_default)
        .unwrap();
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
    within_a_minute("the key waits", is_waiting);
    // Not by a program: under load, starting it could take longer than the key is waited for.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let status = child.wait().unwrap();
    assert!(status.signal() == Some(2) || status.code() == Some(130), "{status:?}");
}

/// Checks that the program whose process id is in `pid` is gone.
#[track_caller]
fn no_program_stays(folder: &Path) {
    let pid = fs::read_to_string(folder.join("pid")).unwrap();
    within_a_minute("the program ends", || !is_running(&pid));
}

#[test]
fn an_interrupt_ends_a_program_that_does_not_sign() {
    let home = Home::new();
    let folder = home.path().to_owned();
    ends_at_once(&mut home.sign_by(HANGS), || folder.join("pid").exists());
    no_program_stays(home.path());
}

#[test]
fn an_interrupt_ends_a_bridge_whose_program_does_not_sign() {
    use std::io::Write as _;

    let home = Home::new();
    home.write("script", HANGS);
    let connect = ["connect", "-k", "exec:/bin/sh script", "--public-key", "public.pem"];
    let mut command = home.command(&[&connect[..], &["http://127.0.0.1:9/mcp"]].concat());
    let (input, mut client) = std::io::pipe().unwrap();
    writeln!(client, r#"{{"jsonrpc":"2.0","id":1,"method":"ping"}}"#).unwrap();
    let folder = home.path().to_owned();
    ends_at_once(command.stdin(input), || folder.join("pid").exists());
    no_program_stays(home.path());
}

#[test]
fn an_interrupt_ends_the_program_of_an_audit_log() {
    let home = Home::new();
    home.write("script", "exec bash sign key.pem");
    let key = ["--audit-key", "exec:/bin/sh script"];
    let init = ["audit", "init", "--audit", "log", "--public-key", "public.pem"];
    ends(&home.mcpid(&[&init[..], &key].concat()), 0, "");
    home.write("script", HANGS);
    let connect = [&["connect"][..], &BY_OPENSSL, &["--audit", "log"], &key].concat();
    let folder = home.path().to_owned();
    let mut command = home.command(&[&connect[..], &["http://127.0.0.1:9/mcp"]].concat());
    ends_at_once(&mut command, || folder.join("pid").exists());
    no_program_stays(home.path());
}

#[test]
fn an_interrupt_ends_the_wait_for_an_agent() {
    let home = Home::new();
    // One agent does not accept the connection, and the other lists a key and never signs.
    let socket = home.path().join("silent");
    let listener = UnixListener::bind(&socket).unwrap();
    let key = [&SIGN[..], &["-k", "ssh-agent:"]].concat();
    let mut command = command_in(home.path(), &key);
    let mut connection = None;
    ends_at_once(command.env("SSH_AUTH_SOCK", &socket), || {
        connection = listener.accept().ok();
        connection.is_some()
    });

    let public = mcpid::key::SecretKey::from_seed(b"9 seed that no specification has");
    let (asked, is_asked) = std::sync::mpsc::channel();
    let agent = Fake::start(move |stream, request| match request[0] {
        11 => {
            let blob = blob(mcpid::key::Sign::public(&public).as_bytes());
            reply(stream, &listed(&[(blob, "ours")]));
        }
        _ => {
            let _ = asked.send(());
            std::thread::sleep(Duration::from_secs(90));
        }
    });
    let mut command = command_in(home.path(), &key);
    command.env("SSH_AUTH_SOCK", agent.folder.path().join("agent"));
    ends_at_once(&mut command, || is_asked.recv_timeout(Duration::from_secs(60)).is_ok());
}

#[test]
fn an_interrupt_ends_the_wait_for_a_touch() {
    let home = Home::new();
    ends(&home.mcpid(&["keygen", "-o", "key.json", "--no-passphrase"]), 0, "");
    for key in [&["-k", "key.json", "--touch", "ssh-agent:"][..], &["-k", "ssh-agent:ours"]] {
        let (asked, is_asked) = std::sync::mpsc::channel();
        let agent = Fake::start(move |stream, request| match request[0] {
            11 => reply(stream, &listed(&[(security_keys::blob(TYPE, b"ssh:mcpid"), "ours")])),
            _ => {
                let _ = asked.send(());
                std::thread::sleep(Duration::from_secs(600));
            }
        });
        let mut command = command_in(home.path(), &[&SIGN[..], key].concat());
        command.env("SSH_AUTH_SOCK", agent.folder.path().join("agent"));
        ends_at_once(&mut command, || is_asked.recv_timeout(Duration::from_secs(60)).is_ok());
    }
}

#[test]
fn an_interrupt_ends_an_askpass_program_and_secret_tool() {
    let home = Home::new();
    home.write("words", "correct horse battery\n");
    let keygen = ["keygen", "-q", "-o", "sealed.json", "--passphrase-file", "words"];
    ends(&home.mcpid(&keygen), 0, "");
    let sign = [&SIGN[..], &["-k", "sealed.json"]].concat();
    let (folder, pid) = (home.path().to_owned(), home.path().join("pid"));
    script(&folder.join("askpass"), HANGS);
    let mut command = home.command(&sign);
    command.env_remove("DBUS_SESSION_BUS_ADDRESS").env_remove("XDG_RUNTIME_DIR");
    ends_at_once(command.env("MCPID_ASKPASS", folder.join("askpass")), || pid.exists());
    no_program_stays(home.path());
    fs::remove_file(&pid).unwrap();
    // The script replaces the program secret-tool in the user's PATH.
    fs::create_dir(folder.join("bin")).unwrap();
    script(&folder.join("bin/secret-tool"), HANGS);
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = home.command(&sign);
    command.env("PATH", path).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/absent");
    ends_at_once(&mut command, || pid.exists());
    no_program_stays(home.path());
}

#[test]
fn ctrl_c_on_a_terminal_ends_a_program_and_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    home.write("script", HANGS);
    // The words are split in the script, so that the terminal's echo of the script does not match
    // what the test waits for.
    let steps = format!(
        "stty echo sane; '{}' sign -k 'exec:/bin/sh script' --public-key public.pem --url {URL} body.json; \
         echo \"en\"\"ded $?\"; stty -a | grep -q -- '-echo ' && echo si\"\"lent || echo echo\"\"es",
        env!("CARGO_BIN_EXE_mcpid")
    );
    let mut shell = Command::new("sh");
    // Because of the trap, the shell runs the next command after SIGINT has ended `mcpid`.
    shell.args(["-c", &format!("trap : INT; {steps}")]);
    shell.current_dir(home.path()).env("HOME", home.path());
    for name in ["MCPID_KEY", "MCPID_TRUST", "MCPID_PASSPHRASE"] {
        shell.env_remove(name);
    }
    let mut session = spawn_command(shell, Some(60_000)).unwrap();
    within_a_minute("the program runs", || home.path().join("pid").exists());
    session.send_control('c').unwrap();
    session.exp_string("ended 130").unwrap();
    session.exp_string("echoes").unwrap();
    no_program_stays(home.path());
}
