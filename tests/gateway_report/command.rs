//! Tests of `mcpid gateway report` in cases that the documentation does not show.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use mcpid::gateway::report::MARK;
use mcpid::verify::Code;
use tempfile::TempDir;

use super::{passed, verified};

fn report(folder: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpid"));
    command.args(["gateway", "report"]).args(arguments).current_dir(folder);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The command may end before it has read its input.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn log() -> String {
    let lines = [
        verified(0, "tools/call:pay", "k1"),
        passed(1, "tools/list", Code::Expired),
        passed(2, "tools/call:pay", Code::SignatureMissing),
    ];
    lines.map(|line| line.to_line() + "\n").concat()
}

fn out(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

const HEADLINE: &str = "turning strict on now would refuse 2 of 3 requests (66.7 %)";

#[test]
fn logs_come_from_stdin_and_from_several_files() {
    let folder = TempDir::new().unwrap();
    let all = out(&report(folder.path(), &[], &log()));
    assert!(all.starts_with(HEADLINE), "{all}");
    assert_eq!(out(&report(folder.path(), &["-"], &log())), all);
    let (first, rest) = log().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    // The older log file has no line feed at its end.
    fs::write(folder.path().join("log.1"), first).unwrap();
    fs::write(folder.path().join("log"), &rest).unwrap();
    assert_eq!(out(&report(folder.path(), &["log", "log.1"], "")), all);
    assert_eq!(out(&report(folder.path(), &["-", "log.1"], &rest)), all);
}

#[test]
fn an_overlong_line_costs_no_memory_and_no_other_line() {
    let folder = TempDir::new().unwrap();
    let long = "x".repeat(5_000_000);
    let first = log().lines().next().unwrap().to_owned();
    // A valid line at the end of an over-long line is not counted, because an attacker may have
    // written it.
    let text = format!("{long}{first}\n{}\0\n{{\"version\":1\n{long}", log());
    let output = report(folder.path(), &["--json"], &text);
    let json: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!((json["lines"].as_u64(), json["passed_over"].as_u64()), (Some(3), Some(4)));
    assert_eq!(json["headline"], HEADLINE);
}

#[test]
fn a_page_goes_to_stdout_too() {
    let folder = TempDir::new().unwrap();
    let page = out(&report(folder.path(), &["--html", "-"], &log()));
    assert!(page.starts_with(MARK) && page.ends_with("</html>\n"));
}

#[test]
fn an_older_report_is_replaced_in_one_step_and_keeps_its_mode_and_its_link() {
    let folder = TempDir::new().unwrap();
    let (page, link) = (folder.path().join("page.html"), folder.path().join("link.html"));
    fs::write(&page, format!("{MARK}old")).unwrap();
    fs::set_permissions(&page, PermissionsExt::from_mode(0o604)).unwrap();
    symlink("page.html", &link).unwrap();
    let output = report(folder.path(), &["--html", "link.html"], &log());
    assert_eq!(out(&output), format!("{HEADLINE}\n"));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&page).unwrap().permissions().mode() & 0o777, 0o604);
    assert!(fs::read_to_string(&page).unwrap().ends_with("</html>\n"));
    // With --json, the command writes both the JSON and the page.
    fs::remove_file(&page).unwrap();
    fs::remove_file(&link).unwrap();
    let output = report(folder.path(), &["--html", "page.html", "--json"], &log());
    assert!(out(&output).starts_with("{\"version\":1,"));
    assert!(fs::read_to_string(&page).unwrap().starts_with(MARK));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn a_file_that_is_no_report_is_not_replaced_and_a_failure_leaves_the_old_page() {
    let folder = TempDir::new().unwrap();
    let precious = folder.path().join("precious");
    for content in ["", "log", &MARK[1..], "<!doctype html>\n<p>mine"] {
        fs::write(&precious, content).unwrap();
        let output = report(folder.path(), &["--html", "precious"], &log());
        assert_eq!(output.status.code(), Some(3), "{content:?}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), content);
    }
    for (name, target) in [("nowhere", "/nonexistent/folder/page.html"), ("device", "/dev/null")] {
        symlink(target, folder.path().join(name)).unwrap();
        let output = report(folder.path(), &["--html", name], &log());
        assert_eq!(output.status.code(), Some(3), "{name}");
    }
    let page = folder.path().join("page.html");
    fs::write(&page, format!("{MARK}old")).unwrap();
    for (arguments, stdin) in
        [(["--html", "page.html", "missing.log"], ""), (["--html", "page.html", "-"], "no log\n")]
    {
        assert_eq!(report(folder.path(), &arguments, stdin).status.code(), Some(3));
        assert_eq!(fs::read_to_string(&page).unwrap(), format!("{MARK}old"));
    }
}

fn gzip(folder: &Path, name: &str) {
    let output = Command::new("gzip").arg(name).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn rotated_logs_are_unpacked() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let all = out(&report(folder.path(), &[], &log()));
    let text = log();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (name, line) in [("log.2", lines[0]), ("log.1", lines[1]), ("log", lines[2])] {
        fs::write(at(name), line).unwrap();
    }
    gzip(folder.path(), "log.2");
    gzip(folder.path(), "log.1");
    for order in [["log", "log.1.gz", "log.2.gz"], ["log.2.gz", "log", "log.1.gz"]] {
        assert_eq!(out(&report(folder.path(), &order, "")), all, "{order:?}");
    }
    // Several packed files are joined into one, as by `cat`, and have any name.
    let [older, newer] = ["log.2.gz", "log.1.gz"].map(|name| fs::read(at(name)).unwrap());
    fs::write(at("joined"), [&older[..], &newer[..]].concat()).unwrap();
    assert_eq!(out(&report(folder.path(), &["joined", "log"], "")), all);
    // A packed log that was cut off gives an error, and is not read as a shorter log.
    for cut in [&newer[..newer.len() - 1], &newer[..newer.len() / 2], &newer[..12]] {
        fs::write(at("cut"), cut).unwrap();
        let output = report(folder.path(), &["log", "cut"], "");
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("cannot read cut: "), "{said}");
    }
    for (start, packer) in
        [(&b"\x28\xb5\x2f\xfd\0\0\0"[..], "zstd"), (b"\xfd7zXZ\0\0", "xz"), (b"BZh91AY", "bzip2")]
    {
        fs::write(at("other log"), start).unwrap();
        let output = report(folder.path(), &["other log"], "");
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let hint = format!("hint: {packer} -dc 'other log' | mcpid gateway report\n");
        assert!(said.contains(&hint), "{said}");
    }
}

#[test]
fn no_log_counts_twice() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("log"), log()).unwrap();
    fs::hard_link(folder.path().join("log"), folder.path().join("linked")).unwrap();
    symlink("log", folder.path().join("link")).unwrap();
    for other in ["log", "./log", "linked", "link"] {
        let output = report(folder.path(), &["log", other], "");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&format!("log and {other} are the same file")), "{said}");
    }
}
