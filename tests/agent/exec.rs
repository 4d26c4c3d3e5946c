//! Tests of programs that sign (`key::exec`): programs of `sh` that answer, fail, lie and hang.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use mcpid::key::exec::{ExecCommand, ExecError, ExecKey};
use mcpid::key::{SecretKey, Sign};

use crate::servers::within_a_minute;

const MESSAGE: &[u8] = b"\"@method\": POST";

fn secret() -> SecretKey {
    let seed: [u8; 32] = std::array::from_fn(|n| (n * n + 7) as u8);
    SecretKey::from_seed(&seed)
}

/// Returns the key of [`secret`] behind the script of `sh`. The script is passed as an argument and
/// not as a file, because a file that another thread has just written cannot be started at once.
fn key(script: &str) -> ExecKey {
    let command = ExecCommand::new("/bin/sh", ["-c", script]);
    ExecKey::new(command, secret().public().clone())
}

/// Returns what a signing program has to print for `message`.
fn answer(message: &[u8]) -> String {
    format!(r#"{{"signature":"{}"}}"#, STANDARD.encode(secret().sign(message).unwrap()))
}

fn sign(key: &ExecKey) -> Result<[u8; 64], ExecError> {
    key.sign(MESSAGE).map_err(|error| *error.0.downcast::<ExecError>().unwrap())
}

/// Returns true if the process exists and is no zombie.
pub(crate) fn is_running(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

#[test]
fn a_program_is_asked_by_one_line_of_json() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("asked");
    let script = format!("cat > {}; echo '{}'", file.display(), answer(MESSAGE));
    let signature = sign(&key(&script)).unwrap();
    assert_eq!(signature, secret().sign(MESSAGE).unwrap());
    let asked = fs::read_to_string(&file).unwrap();
    let payload = STANDARD.encode(MESSAGE);
    let id = secret().public().id().to_string();
    assert_eq!(asked, format!("{{\"version\":1,\"key\":\"{id}\",\"payload\":\"{payload}\"}}\n"));
}

#[test]
fn an_answer_may_have_blanks_around_it() {
    let text = answer(MESSAGE);
    for script in [
        format!("printf '%s' '{text}'"),
        format!("printf '\\n  %s\\r\\n\\n' '{text}'"),
        format!("printf '%s' '{}'; sleep 0.1; printf '%s' '{}'", &text[..30], &text[30..]),
        // The program need not read the message on its stdin, and may close its streams early.
        format!("exec <&-; printf '%s' '{text}'"),
        format!("printf '%s' '{text}'; exec >&-; sleep 0.1"),
    ] {
        assert_eq!(sign(&key(&script)).unwrap(), secret().sign(MESSAGE).unwrap(), "{script}");
    }
}

#[test]
fn an_output_that_is_no_answer_is_refused_and_not_quoted() {
    let good = secret().sign(MESSAGE).unwrap();
    let of = |text: String| format!(r#"{{"signature":"{text}"}}"#);
    let encoded = STANDARD.encode(good);
    let no_answer = r#"something else than {"signature":"BASE64"}"#;
    let der: Vec<u8> = [&[0x30, 0x44, 2, 32][..], &[7; 66]].concat();
    for (output, words) in [
        (String::new(), "nothing"),
        (" \n".to_owned(), "nothing"),
        ("swordfish".to_owned(), no_answer),
        (encoded.clone(), no_answer),
        (format!("{}{}", of(encoded.clone()), of(encoded.clone())), no_answer),
        (format!("{} swordfish", of(encoded.clone())), no_answer),
        (format!("[{}]", of(encoded.clone())), no_answer),
        (format!(r#"{{"signature":"{encoded}","signature":"{encoded}"}}"#), no_answer),
        (format!(r#"{{"signature":"{encoded}","note":"swordfish"}}"#), no_answer),
        (format!(r#"{{"Signature":"{encoded}"}}"#), no_answer),
        (r#"{"signature":["swordfish"]}"#.to_owned(), no_answer),
        (r#"{"signature":null}"#.to_owned(), no_answer),
        ("{}".to_owned(), no_answer),
        (of("swordfish".to_owned()), "a signature that is not base64 with padding"),
        (of(STANDARD_NO_PAD.encode(good)), "a signature that is not base64 with padding"),
        (of(URL_SAFE.encode([0xff; 64])), "a signature that is not base64 with padding"),
        (of(format!("{encoded} ")), "a signature that is not base64 with padding"),
        (of(String::new()), "a signature of 0 bytes; it has 64"),
        (of(STANDARD.encode(&good[..63])), "a signature of 63 bytes; it has 64"),
        (of(STANDARD.encode([&good[..], &[1]].concat())), "a signature of 65 bytes; it has 64"),
        (of(STANDARD.encode(&der)), "a signature of 70 bytes; it has 64 (r and s, not DER)"),
    ] {
        let error = sign(&key(&format!("printf '%s' '{output}'"))).unwrap_err();
        assert!(matches!(error, ExecError::Malformed { .. }), "{output}: {error}");
        assert_eq!(error.to_string(), format!("the program sh printed {words}"), "{output}");
    }
}

#[test]
fn a_signature_that_does_not_hold_is_refused() {
    let other = SecretKey::from_seed(&[9; 32]);
    let mut changed = secret().sign(MESSAGE).unwrap();
    changed[40] ^= 1;
    let signatures =
        [secret().sign(b"other bytes").unwrap(), other.sign(MESSAGE).unwrap(), changed, [0; 64]];
    for signature in signatures {
        let text = STANDARD.encode(signature);
        let error = sign(&key(&format!("echo '{{\"signature\":\"{text}\"}}'"))).unwrap_err();
        assert!(matches!(error, ExecError::WrongSignature { .. }), "{error}");
    }
}

#[test]
fn a_program_that_fails_has_not_signed() {
    let text = answer(MESSAGE);
    let error = sign(&key(&format!("echo '{text}'; echo swordfish >&2; exit 3"))).unwrap_err();
    assert_eq!(error.to_string(), "the program sh did not sign: exit code 3");
    let error = sign(&key(&format!("echo '{text}'; kill -9 $$"))).unwrap_err();
    assert_eq!(error.to_string(), "the program sh did not sign: signal 9 ended it");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("not-executable");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    for program in [Path::new("/nonexistent/sign"), Path::new("a\0b"), folder.path(), &file] {
        let command = ExecCommand::new(program, ["swordfish"]);
        let error = sign(&ExecKey::new(command, secret().public().clone())).unwrap_err();
        assert!(matches!(error, ExecError::Start { .. }), "{error}");
        assert!(!error.to_string().contains("swordfish"), "{error}");
    }
}

#[test]
fn a_program_that_prints_without_end_is_ended_at_once() {
    for script in ["cat /dev/zero", "head -c 1000000000 /dev/zero", "yes"] {
        let begun = Instant::now();
        let error = sign(&key(script)).unwrap_err();
        assert!(matches!(error, ExecError::TooMuch { .. }), "{script}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{script}");
    }
    let just = format!("printf '%16384s' '{}'", answer(MESSAGE));
    assert!(sign(&key(&just)).is_ok());
    let more = format!("printf '%16385s' '{}'", answer(MESSAGE));
    assert!(matches!(sign(&key(&more)), Err(ExecError::TooMuch { .. })));
}

#[test]
fn a_program_that_hangs_is_ended_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let text = answer(MESSAGE);
    for script in [
        "sleep 600".to_owned(),
        "cat > /dev/null; sleep 600".to_owned(),
        "trap '' TERM INT HUP; while :; do sleep 1; done".to_owned(),
        format!("echo '{text}'; sleep 600"),
        format!("echo '{text}'; exec >&-; sleep 600"),
        "kill -STOP $$".to_owned(),
    ] {
        let noted = format!("sleep 600 & echo $! $$ > {}; {script}", pids.display());
        let timeout = Duration::from_millis(700);
        let error = sign(&key(&noted).with_timeout(timeout)).unwrap_err();
        assert_eq!(error.to_string(), "the program sh did not sign within 0.7 s", "{script}");
        // Under load, the script may not have created this file yet.
        let started = fs::read_to_string(&pids).unwrap_or_default();
        for pid in started.split_whitespace() {
            within_a_minute(&format!("{script}: the end of {pid}"), || !is_running(pid));
        }
    }
}

#[test]
fn a_child_that_keeps_the_output_open_delays_nothing_and_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let text = answer(MESSAGE);
    let script = format!("sleep 600 & echo $! > {}; echo '{text}'", pid.display());
    let begun = Instant::now();
    assert!(sign(&key(&script)).is_ok());
    assert!(begun.elapsed() < Duration::from_secs(60));
    let pid = fs::read_to_string(&pid).unwrap();
    within_a_minute("the end of the child", || !is_running(&pid));
}

#[test]
fn a_long_message_reaches_the_program_whole() {
    // A pipe holds 64 KiB on Linux, so the program has to read while this message is written.
    let message = vec![b'x'; 1_000_000];
    let text = answer(&message);
    let length = "{\"version\":1,\"key\":\"\",\"payload\":\"\"}\n".len()
        + secret().public().id().as_str().len()
        + message.len().div_ceil(3) * 4;
    let counting = format!("test $(wc -c) = {length} && echo '{text}'");
    assert!(key(&counting).sign(&message).is_ok());
    // A program that answers without reading its stdin does not block either process.
    for script in [format!("echo '{text}'"), format!("exec <&-; echo '{text}'; sleep 0.1")] {
        assert!(key(&script).sign(&message).is_ok(), "{script}");
    }
}

#[test]
fn signatures_are_made_side_by_side() {
    let key = key(&format!("cat > /dev/null; echo '{}'", answer(MESSAGE)));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| sign(&key).is_ok())).collect();
        for thread in threads {
            assert!(thread.join().unwrap());
        }
    });
}
