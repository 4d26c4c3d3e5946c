//! Tests of the file in which a gateway stores a server's tools: what is read back, and that a
//! changed file is not used.

use std::fs;
use std::path::Path;

use mcpid::clock::Timestamp;
use mcpid::mcp::tools::{MAX_NAME, MAX_TOOLS};
use mcpid::tower::{
    LearnedTools, LearningModes, Mode, ModePolicy as _, Modes, ToolsFile, ToolsFileError,
};

const SERVER: &str = "https://mcp.example.com/mcp";
/// The time of all lists and of the clock, unless a test says otherwise.
const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);

fn tools(list: &[(&str, bool)]) -> LearnedTools {
    let mut tools = LearnedTools::new();
    for (name, destructive) in list {
        assert!(tools.note(name, *destructive, Some(NOW)));
    }
    tools
}

fn file(folder: &Path) -> ToolsFile {
    ToolsFile::new(folder.join("tools.json"), SERVER)
}

#[test]
fn what_was_saved_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path());
    assert_eq!(file.load(NOW).unwrap(), LearnedTools::new());
    let odd = "\u{202e}\"\\\n{}\u{0}é";
    let saved = tools(&[("read", false), ("drop", true), (odd, false), ("", false)]);
    file.save(&saved, NOW).unwrap();
    assert_eq!(file.load(NOW).unwrap(), saved);
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["tools.json"], "nothing else is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
    let modes = LearningModes::new(Modes::permissive()).with_destructive();
    modes.add_tools(&file.load(NOW).unwrap());
    let mode = |name| {
        modes.mode(Some(mcpid::mcp::pattern::Operation { method: "tools/call", name: Some(name) }))
    };
    let found = [mode("read"), mode("drop"), mode("other")];
    assert_eq!(found, [Mode::Permissive, Mode::Strict, Mode::Strict]);
}

#[test]
fn the_largest_set_of_tools_fits() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path());
    let mut most = LearnedTools::new();
    for number in 0..MAX_TOOLS {
        // Each of these characters needs six bytes in JSON.
        assert!(most.note(
            &format!("{number:04}{}", "\u{1}".repeat(MAX_NAME - 4)),
            number % 2 == 0,
            Some(NOW)
        ));
    }
    file.save(&most, NOW).unwrap();
    assert_eq!(file.load(NOW).unwrap(), most);
    // The stored tools fill the file, so others are not added.
    file.save(&tools(&[("more", false)]), NOW).unwrap();
    assert_eq!(file.load(NOW).unwrap(), most);
}

/// Two processes share the file, and each saves the tools that it knows.
#[test]
fn saving_adds_to_the_file_and_never_makes_a_tool_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path());
    file.save(&tools(&[("a", true), ("b", false)]), NOW).unwrap();
    file.save(&tools(&[("a", false), ("b", true), ("c", false)]), NOW).unwrap();
    assert_eq!(file.load(NOW).unwrap(), tools(&[("a", true), ("b", true), ("c", false)]));
    std::thread::scope(|scope| {
        for number in 0..8 {
            let file = &file;
            // On a slow disk, the threads wait for each other longer than a save may wait.
            scope.spawn(move || {
                let tool = tools(&[(&format!("t{number}"), true)]);
                while let Err(error) = file.save(&tool, NOW) {
                    assert!(matches!(error, ToolsFileError::Busy), "{error}");
                }
            });
        }
    });
    assert_eq!(file.load(NOW).unwrap().tools().len(), 11);
}

/// Only root can give a file to another owner. If another user runs the test, the system refuses
/// it.
#[cfg(unix)]
#[test]
fn a_file_of_another_user_is_not_used_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path());
    let saved = tools(&[("drop", false)]);
    file.save(&saved, NOW).unwrap();
    match std::os::unix::fs::chown(file.path(), Some(65_534), None) {
        Ok(()) => {
            let refused = file.load(NOW).unwrap_err();
            assert!(matches!(refused, ToolsFileError::OtherOwner { owner: 65_534 }), "{refused}");
            let bytes = fs::read(file.path()).unwrap();
            assert!(file.save(&tools(&[("read", false)]), NOW).is_err());
            assert_eq!(fs::read(file.path()).unwrap(), bytes);
        }
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
            assert_eq!(file.load(NOW).unwrap(), saved);
        }
    }
}

#[test]
fn no_changed_byte_and_no_cut_goes_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path());
    let saved = tools(&[("read", false), ("drop", true)]);
    file.save(&saved, NOW).unwrap();
    let good = fs::read(file.path()).unwrap();
    for at in 0..good.len() {
        for change in [1, 0x20, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= change;
            fs::write(file.path(), &bytes).unwrap();
            let loaded = file.load(NOW);
            assert!(loaded.is_err(), "byte {at} ^ {change}: {loaded:?}");
        }
        fs::write(file.path(), &good[..at]).unwrap();
        assert!(file.load(NOW).is_err(), "cut at {at}");
    }
    for (what, bytes) in [
        ("a byte more", [&good[..], b" "].concat()),
        ("twice", [&good[..], &good[..]].concat()),
        ("a byte order mark", [b"\xef\xbb\xbf", &good[..]].concat()),
        ("another format", String::from_utf8_lossy(&good).replace("tools/2", "tools/1").into()),
        ("an older list", br#"{"tools":[{"name":"drop"}]}"#.to_vec()),
    ] {
        fs::write(file.path(), bytes).unwrap();
        assert!(matches!(file.load(NOW), Err(ToolsFileError::Damaged(_))), "{what}");
    }
    // A damaged file is replaced when tools are saved.
    file.save(&saved, NOW).unwrap();
    assert_eq!(fs::read(file.path()).unwrap(), good);
}

/// Returns the text of a file with `body` and the right hash over it.
fn sealed(body: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(format!("{SERVER}\n{body}"));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{\"mcpid\":\"tools/2\",\"server\":\"{SERVER}\",\"sha256\":\"{hex}\"}}\n{body}")
}

#[test]
fn a_file_with_a_right_hash_is_validated_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path());
    fs::write(file.path(), sealed("{\"destructive\":[\"a\"],\"harmless\":[[\"b\",1790000000]]}\n"))
        .unwrap();
    assert_eq!(file.load(NOW).unwrap(), tools(&[("a", true), ("b", false)]));
    let long = "x".repeat(MAX_NAME + 1);
    let many: Vec<String> = (0..=MAX_TOOLS).map(|n| format!("\"{n}\"")).collect();
    for body in [
        "{\"destructive\":[\"a\"],\"harmless\":[[\"a\",1790000000]]}".to_owned(),
        // A tool's rating is checked even if it has ended.
        "{\"destructive\":[\"a\"],\"harmless\":[[\"a\",1]]}".to_owned(),
        "{\"destructive\":[],\"harmless\":[[\"b\",1790000000],[\"b\",1790000001]]}".to_owned(),
        "{\"destructive\":[],\"harmless\":[\"b\"]}".to_owned(),
        "{\"destructive\":[],\"harmless\":[[\"b\"]]}".to_owned(),
        "{\"destructive\":[],\"harmless\":[[\"b\",null]]}".to_owned(),
        "{\"destructive\":[],\"harmless\":[[\"b\",\"1790000000\"]]}".to_owned(),
        "{\"destructive\":[],\"harmless\":[[\"b\",1790000000.0]]}".to_owned(),
        "{\"destructive\":[],\"harmless\":[[\"b\",9223372036854775808]]}".to_owned(),
        "{\"destructive\":[],\"harmless\":[[\"b\",1790000000,1]]}".to_owned(),
        "{\"destructive\":[],\"destructive\":[],\"harmless\":[]}".to_owned(),
        "{\"destructive\":[],\"harmless\":[],\"more\":1}".to_owned(),
        "{\"destructive\":[]}".to_owned(),
        "{\"destructive\":[1],\"harmless\":[]}".to_owned(),
        "{\"destructive\":[],\"harmless\":[]}{}".to_owned(),
        format!("{{\"destructive\":[],\"harmless\":[[\"{long}\",1790000000]]}}"),
        format!("{{\"destructive\":[{}],\"harmless\":[]}}", many.join(",")),
        String::new(),
    ] {
        fs::write(file.path(), sealed(&body)).unwrap();
        let short: String = body.chars().take(80).collect();
        assert!(matches!(file.load(NOW), Err(ToolsFileError::Damaged(_))), "{short}");
    }
}

/// A rating of a tool as harmless is used for 7 days after the last list that contained it, and a
/// rating as destructive for ever.
#[test]
fn a_stored_rating_as_harmless_ends_and_no_other_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path());
    file.save(&tools(&[("read", false), ("drop", true)]), NOW).unwrap();
    let all = tools(&[("read", false), ("drop", true)]);
    let restrictions = all.restrictions();
    assert_eq!(restrictions.tools().len(), 1);
    let (day, hour) = (24 * 3600, 3600);
    for (after, expected) in [
        (0, &all),
        (7 * day, &all),
        (7 * day + 1, &restrictions),
        (100 * 365 * day, &restrictions),
        // The clock is behind the time of the list.
        (-hour, &all),
        (-hour - 1, &restrictions),
    ] {
        assert_eq!(file.load(NOW.plus(after)).unwrap(), *expected, "after {after} s");
    }
    for seconds in [i64::MIN, -1, 0, i64::MAX] {
        let body = format!("{{\"destructive\":[],\"harmless\":[[\"b\",{seconds}]]}}\n");
        fs::write(file.path(), sealed(&body)).unwrap();
        assert!(file.load(NOW).unwrap().tools().is_empty(), "{seconds}");
    }
    // A later list makes a tool's rating last longer, and an older one does not shorten it.
    file.save(&all, NOW).unwrap();
    let listed = |at: Timestamp| {
        let mut tools = LearnedTools::new();
        tools.note("read", false, Some(at));
        tools
    };
    for at in [NOW.plus(5 * day), NOW.plus(2 * day)] {
        file.save(&listed(at), NOW.plus(5 * day)).unwrap();
        assert_eq!(file.load(NOW.plus(12 * day)).unwrap().newest(), Some(NOW.plus(5 * day)));
        assert!(!file.load(NOW.plus(12 * day + 1)).unwrap().tools().knows("read"));
    }
    // Saving removes tools' ratings that have ended, and gives a time to those that have none.
    let mut vouched = LearnedTools::new();
    vouched.note("get", false, None);
    file.save(&vouched, NOW.plus(20 * day)).unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(!text.contains("read") && text.contains("\"drop\""), "{text}");
    assert!(text.contains(&format!("[\"get\",{}]", NOW.plus(20 * day).unix())), "{text}");
}

#[test]
fn the_file_of_another_server_is_neither_used_nor_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let ours = file(folder.path());
    ours.save(&tools(&[("read", false)]), NOW).unwrap();
    let other = ToolsFile::new(ours.path(), "http://127.0.0.1:8000/mcp");
    for error in [other.load(NOW).unwrap_err(), other.save(&LearnedTools::new(), NOW).unwrap_err()]
    {
        assert_eq!(error.to_string(), format!("it holds the tools of {SERVER}"));
    }
    assert_eq!(ours.load(NOW).unwrap().tools().len(), 1);
}

#[cfg(unix)]
#[test]
fn only_a_regular_file_that_others_cannot_write_is_used() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let ours = file(folder.path());
    ours.save(&tools(&[("read", false)]), NOW).unwrap();
    for (mode, usable) in [
        (0o600, true),
        (0o644, true),
        (0o400, true),
        (0o620, false),
        (0o602, false),
        (0o666, false),
    ] {
        fs::set_permissions(ours.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(ours.load(NOW).is_ok(), usable, "{mode:o}");
    }
    let at = |name: &str| ToolsFile::new(folder.path().join(name), SERVER);
    std::os::unix::fs::symlink("tools.json", folder.path().join("link")).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let sparse = fs::File::create(folder.path().join("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    for name in ["link", "folder", "fifo", "sparse", "missing/file"] {
        if name != "missing/file" {
            assert!(at(name).load(NOW).is_err(), "{name}");
        }
        assert!(at(name).save(&LearnedTools::new(), NOW).is_err(), "{name}");
    }
}
