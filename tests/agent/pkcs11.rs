//! Tests of keys in PKCS #11 tokens: SoftHSM with keys that OpenSC's `pkcs11-tool` made, and
//! modules in C that hang, lie and fail.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mcpid::key::pkcs11::{Pkcs11Error, Pkcs11Key, Pkcs11Uri};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::home::{self, BODY, URL, command_in, out};

/// Returns the path of SoftHSM's PKCS #11 module, which the Debian package softhsm2 installs.
pub(crate) fn softhsm() -> &'static str {
    let paths =
        ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    paths.into_iter().find(|path| Path::new(path).exists()).expect("libsofthsm2.so, of softhsm2")
}

/// A token `agents` with the PIN 1234, in its own folder, which is also the home directory.
pub(crate) struct Token(TempDir);

impl Token {
    /// Makes the token, with keys of these types and labels.
    pub(crate) fn with(keys: &[(&str, &str)]) -> Self {
        let token = Token(tempfile::tempdir().unwrap());
        let tokens = token.path().join("tokens");
        fs::create_dir(&tokens).unwrap();
        let settings = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        fs::write(token.path().join("softhsm.conf"), settings).unwrap();
        fs::write(token.path().join("body.json"), BODY).unwrap();
        fs::write(token.path().join("pin"), "1234\n").unwrap();
        let init = "--init-token --free --label agents --pin 1234 --so-pin 56789012";
        token.run("softhsm2-util", &init.split(' ').collect::<Vec<_>>());
        for (n, (kind, label)) in keys.iter().enumerate() {
            let id = format!("{:02x}", n + 1);
            let args =
                ["--login", "--pin", "1234", "--keypairgen", "--key-type", kind, "--id", &id];
            token.tool(&[&args[..], &["--label", label]].concat());
        }
        token
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).env("HOME", self.path()).stdin(Stdio::null());
        command.env("SOFTHSM2_CONF", self.path().join("softhsm.conf"));
        for name in ["MCPID_KEY", "MCPID_PASSPHRASE", "MCPID_PKCS11_MODULE", "XDG_CONFIG_HOME"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, program: &str, args: &[&str]) {
        let done = self.command(program).args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn tool(&self, args: &[&str]) {
        self.run(
            "pkcs11-tool",
            &[&["--module", softhsm(), "--token-label", "agents"], args].concat(),
        );
    }

    pub(crate) fn mcpid(&self, args: &[&str]) -> Output {
        self.program(args).output().unwrap()
    }

    /// Returns a command of `mcpid` whose environment names SoftHSM's module and this token.
    pub(crate) fn program(&self, args: &[&str]) -> Command {
        let mut command = command_in(self.path(), args);
        command.env("SOFTHSM2_CONF", self.path().join("softhsm.conf"));
        command.env("MCPID_PKCS11_MODULE", softhsm());
        command
    }

    /// Signs a request with the key. The file `pin` contains the PIN.
    fn sign(&self, key: &str, flags: &[&str]) -> Output {
        let sign =
            ["sign", "--url", URL, "--format", "http", "-k", key, "--passphrase-file", "pin"];
        self.mcpid(&[&sign[..], flags, &["body.json"]].concat())
    }
}

#[track_caller]
fn ends(output: &Output, code: i32, words: &str) {
    home::ends(output, code, words);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("1234"));
}

#[test]
fn a_token_signs_what_verify_accepts() {
    let token = Token::with(&[("EC:edwards25519", "alice"), ("EC:prime256v1", "bob")]);
    for (label, id, profile) in [("alice", "%01", "mcp"), ("bob", "%02", "rfc9421")] {
        let trust = format!("{label}.json");
        let key = format!("pkcs11:token=agents;object={label};type=private");
        // Reading the public key needs no PIN.
        ends(&token.mcpid(&["trust", "add", "-r", &trust, &key]), 0, "");
        assert!(fs::read_to_string(token.path().join(&trust)).unwrap().contains(label));
        let by_path = format!("pkcs11:id={id}?module-path={}", softhsm());
        for key in [&key, &by_path] {
            let signed = token.sign(key, &["--profile", profile]);
            ends(&signed, 0, "");
            fs::write(token.path().join("signed.http"), &signed.stdout).unwrap();
            let args = ["verify", "-r", &trust, "--profile", profile, "signed.http"];
            let verified = token.mcpid(&args);
            assert!(out(&verified).starts_with("accepted"), "{}", out(&verified));
        }
    }
    ends(&token.sign("pkcs11:object=bob", &[]), 4, "is a P-256 key, which cannot sign by");
}

#[test]
fn a_key_that_is_not_there_or_not_one_is_refused() {
    let keys = [("EC:edwards25519", "alice"), ("EC:edwards25519", "alice"), ("rsa:2048", "carol")];
    let token = Token::with(&keys);
    let export = |key: &str| token.mcpid(&["export", "-k", key]);
    for (key, words) in [
        ("pkcs11:token=absent", r#"no PKCS #11 token fits: it has "agents""#),
        ("pkcs11:token=agents;serial=1", "no PKCS #11 token fits: "),
        ("pkcs11:manufacturer=acme", "no PKCS #11 token fits: "),
        ("pkcs11:model=acme", "no PKCS #11 token fits: "),
        ("pkcs11:slot-id=1", "no PKCS #11 token fits: "),
        ("pkcs11:object=alice", "2 keys of the token fit; name one by object= or id="),
        ("pkcs11:token=agents", "3 keys of the token fit"),
        ("pkcs11:object=carol", "the key in the token is not one of Ed25519 or P-256"),
        ("pkcs11:object=dave", "the token shows no public key for it, and none is given"),
        ("pkcs11:object=alice;id=%03", "the token shows no public key for it"),
    ] {
        ends(&export(key), 4, words);
    }
    ends(&export("pkcs11:object=alice;id=%01"), 0, "");
    // If the token has no public key object, the public key must be given by a flag, and a wrong
    // one is refused.
    let public = out(&token.mcpid(&["export", "--format", "pem", "-k", "pkcs11:id=%01"]));
    fs::write(token.path().join("public.pem"), public).unwrap();
    token.tool(&["--login", "--pin", "1234", "--delete-object", "--type", "pubkey", "--id", "01"]);
    ends(&token.sign("pkcs11:id=%01", &[]), 4, "the token shows no public key for it");
    ends(&token.sign("pkcs11:id=%01", &["--public-key", "public.pem"]), 0, "");
    let other = token.sign("pkcs11:id=%02", &["--public-key", "public.pem"]);
    ends(&other, 4, "and the public key that was given is ");
    token.tool(&["--login", "--pin", "1234", "--delete-object", "--type", "pubkey", "--id", "02"]);
    let other = token.sign("pkcs11:id=%02", &["--public-key", "public.pem"]);
    ends(
        &other,
        4,
        "the token returned a signature that does not hold for these bytes and this key",
    );
    ends(
        &token.sign("pkcs11:object=dave", &["--public-key", "public.pem"]),
        4,
        "no such private key",
    );
}

#[test]
fn a_pin_comes_as_a_passphrase_does_and_never_from_the_uri() {
    let token = Token::with(&[("EC:edwards25519", "alice")]);
    let sign = ["sign", "--url", URL, "-k", "pkcs11:object=alice", "body.json"];
    let mut command = token.command("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_mcpid")]).args(sign);
    command.env("MCPID_PKCS11_MODULE", softhsm());
    ends(&command.output().unwrap(), 4, "mcpid: no passphrase: ");
    ends(&command.env("MCPID_PASSPHRASE", "1234").output().unwrap(), 0, "");
    fs::write(token.path().join("pin"), "4321\n").unwrap();
    ends(&token.sign("pkcs11:object=alice", &[]), 4, "wrong PIN for the token");
    fs::write(token.path().join("pin"), "1\n").unwrap();
    ends(&token.sign("pkcs11:object=alice", &[]), 4, "wrong PIN for the token");
    for (key, words) in [
        ("pkcs11:object=alice?pin-value=1234", "a PIN does not belong in a URI (pin-value)"),
        ("pkcs11:object=alice?pin-source=/tmp/pin", "pkcs11: pin-source is not supported here"),
        ("pkcs11:object=alice?module-path=./x.so", "pkcs11: module-path is not absolute"),
        ("pkcs11:", "pkcs11: names no key"),
    ] {
        ends(&token.sign(key, &[]), 2, words);
        ends(&token.mcpid(&["trust", "add", key]), 2, words);
    }
    for act in [&["keygen", "--no-passphrase", "-o"][..], &["passwd", "-k"]] {
        let refused = token.mcpid(&[act, &["pkcs11:object=alice"]].concat());
        ends(&refused, 2, "names a key in a token; a keyfile is needed here");
    }
}

#[test]
fn a_module_that_is_none_is_named() {
    let token = Token::with(&[]);
    fs::write(token.path().join("text.so"), "no library").unwrap();
    let text = token.path().join("text.so");
    let export = |module: Option<&str>| {
        let mut command = token.command(env!("CARGO_BIN_EXE_mcpid"));
        command.args(["export", "-k", "pkcs11:object=alice"]);
        if let Some(module) = module {
            command.env("MCPID_PKCS11_MODULE", module);
        }
        command.output().unwrap()
    };
    ends(&export(None), 4, "no PKCS #11 module is named");
    ends(&export(None), 4, "MCPID_PKCS11_MODULE");
    ends(&export(Some("libsofthsm2.so")), 4, "the path of the PKCS #11 module is not absolute");
    ends(&export(Some("/absent.so")), 4, "/absent.so cannot be loaded: no such file");
    ends(&export(text.to_str()), 4, "text.so cannot be loaded: it is no shared library");
    ends(&export(Some("/lib/x86_64-linux-gnu/libc.so.6")), 4, "cannot be loaded: ");
}

/// A PKCS #11 module that passes all calls on to SoftHSM, except C_Sign. The macro MODE chooses
/// what C_Sign does.
const WRAPPER: &str = r#"
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
typedef unsigned long (*sign_t)(unsigned long, void *, unsigned long, unsigned char *, unsigned long *);
struct list { unsigned char version[2]; void *calls[68]; };
static struct list ours, *real;
/* The exiting process stays for a while after SoftHSM has destroyed its data. */
__attribute__((destructor)) static void exiting(void) { if (MODE == 5) usleep(500000); }
static unsigned long hang(void) { sleep(600); return 0; }
static unsigned long sign(unsigned long s, void *d, unsigned long n, unsigned char *out, unsigned long *len) {
    if (MODE == 1) return 0x32; /* CKR_DEVICE_REMOVED */
    unsigned long rv = ((sign_t)real->calls[43])(s, d, n, out, len);
    if (out && MODE == 2) out[40] ^= 1;
    if (out && MODE == 3) *len = 63;
    if (out && MODE == 5) { /* stays inside of SoftHSM */
        unsigned char other[64];
        struct timespec begun, now;
        clock_gettime(CLOCK_MONOTONIC, &begun);
        close(creat(getenv("SIGN_BEGUN"), 0600));
        do {
            unsigned long size = sizeof other;
            ((sign_t)real->calls[43])(s, d, n, other, &size);
            clock_gettime(CLOCK_MONOTONIC, &now);
        } while ((now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 < 800);
    }
    return rv;
}
unsigned long C_GetFunctionList(struct list **list) {
    if (MODE == 4) { ours.version[0] = 2; ours.version[1] = 40; ours.calls[0] = hang; *list = &ours; return 0; }
    void *lib = dlopen(SOFTHSM, RTLD_NOW);
    unsigned long rv = ((unsigned long (*)(struct list **))dlsym(lib, "C_GetFunctionList"))(&real);
    ours = *real; ours.calls[43] = sign; *list = &ours;
    return rv;
}
"#;

/// Compiles [`WRAPPER`] with this MODE.
fn wrapper(folder: &Path, mode: u8) -> PathBuf {
    fs::write(folder.join("wrapper.c"), WRAPPER).unwrap();
    let module = folder.join(format!("mode{mode}.so"));
    let mut compile = Command::new("cc");
    compile.current_dir(folder).args(["-shared", "-fPIC", "-w", "-o"]).arg(&module);
    compile.args([format!("-DMODE={mode}"), format!("-DSOFTHSM=\"{}\"", softhsm())]);
    let done = compile.args(["wrapper.c", "-ldl"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    module
}

#[test]
fn a_module_that_fails_or_lies_in_the_middle_is_refused() {
    let token = Token::with(&[("EC:edwards25519", "alice")]);
    let lied = "the token returned a signature that does not hold for these bytes and this key";
    for (mode, words) in [(1, "the PKCS #11 module failed: "), (2, lied), (3, lied)] {
        let module = wrapper(token.path(), mode);
        let key = format!("pkcs11:object=alice?module-path={}", module.display());
        ends(&token.sign(&key, &[]), 4, words);
    }
}

#[test]
fn a_module_that_hangs_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let module = wrapper(folder.path(), 4);
    let uri = Pkcs11Uri::parse("object=alice").unwrap();
    let begun = Instant::now();
    let found =
        Pkcs11Key::find_within(&uri, Some(&module), None, Duration::from_millis(300)).unwrap_err();
    assert!(matches!(found, Pkcs11Error::TimedOut(_)), "{found}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn the_process_does_not_exit_while_a_token_signs() {
    let token = Token::with(&[("EC:edwards25519", "alice")]);
    let (module, begun) = (wrapper(token.path(), 5), token.path().join("begun"));
    let key = format!("pkcs11:object=alice?module-path={}", module.display());
    let connect = ["connect", "--listen", "127.0.0.1:0", "-k", &key, "--passphrase-file", "pin"];
    let mut bridge = token.program(&[&connect[..], &[URL]].concat());
    bridge.env("SIGN_BEGUN", &begun).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut bridge = bridge.spawn().unwrap();
    let mut printed = String::new();
    BufReader::new(bridge.stdout.take().unwrap()).read_line(&mut printed).unwrap();
    let (host, path) = printed.trim().strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: \
         application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
    .unwrap();
    while !begun.exists() {
        assert_eq!(bridge.try_wait().unwrap(), None);
        thread::sleep(Duration::from_millis(5));
    }
    // Nothing waits for the signature any more, once the bridge has seen that its client is gone.
    drop(stream);
    thread::sleep(Duration::from_millis(200));
    let pid = Pid::from_raw(bridge.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let ended = bridge.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    // Otherwise it crashes inside of the module.
    assert_eq!(ended.status.code(), Some(0), "{}: {said}", ended.status);
}
