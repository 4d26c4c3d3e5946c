//! Tests of keyfiles on disk.

use super::*;

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Checks that the folder contains only the files `names`, and no temporary file.
fn only(folder: &Path, names: &[&str]) {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, names);
}

#[test]
fn new_files_are_private_and_never_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let (secret, file) = sealed("agent");
    create_keyfile(&path, &file).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(load_keyfile(&path).unwrap().public(), secret.public());
    assert_eq!(fs::read_to_string(&path).unwrap(), *file.to_json());

    let before = fs::read(&path).unwrap();
    assert!(matches!(create_keyfile(&path, &plain().1), Err(FileError::Exists)));
    assert_eq!(fs::read(&path).unwrap(), before);
    only(folder.path(), &["key.json"]);

    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for taken in ["link", "folder"] {
        let made = create_keyfile(&folder.path().join(taken), &file);
        assert!(matches!(made, Err(FileError::Exists)), "{taken}");
    }
    let missing = create_keyfile(&folder.path().join("no/key.json"), &file);
    assert!(matches!(missing, Err(FileError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound));
    only(folder.path(), &["folder", "key.json", "link"]);
}

#[test]
fn a_plain_key_that_others_can_reach_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    create_keyfile(&path, &plain().1).unwrap();
    assert!(load_keyfile(&path).is_ok());
    for open in [0o640, 0o604, 0o644, 0o660, 0o620, 0o602, 0o666] {
        set_mode(&path, open);
        assert!(matches!(load_keyfile(&path), Err(FileError::TooOpen { mode }) if mode == open));
    }
    set_mode(&path, 0o400);
    assert!(load_keyfile(&path).is_ok());
    let sealed_path = folder.path().join("sealed.json");
    create_keyfile(&sealed_path, &sealed("agent").1).unwrap();
    set_mode(&sealed_path, 0o644);
    assert!(load_keyfile(&sealed_path).is_ok(), "a sealed key may be read");
}

#[test]
fn replacing_is_whole_and_only_of_regular_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let (secret, file) = sealed("agent");
    create_keyfile(&path, &file).unwrap();
    set_mode(&path, 0o640);
    let again = file.sealed_again(&secret, b"new", cheap(), &mut SysRng).unwrap();
    replace_keyfile(&path, &again).unwrap();
    assert_eq!(mode(&path), 0o600);
    let read = load_keyfile(&path).unwrap();
    assert!(read.open(Some(b"new")).is_ok());
    assert!(matches!(read.open(Some(PASSPHRASE)), Err(KeyfileError::WrongPassphrase)));

    let before = fs::read(&path).unwrap();
    let link = folder.path().join("link.json");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(replace_keyfile(&link, &file), Err(FileError::NotRegular(_))));
    assert!(matches!(replace_keyfile(folder.path(), &file), Err(FileError::NotRegular(_))));
    let none = replace_keyfile(&folder.path().join("none"), &file);
    assert!(matches!(none, Err(FileError::Io(_))));
    assert_eq!(fs::read(&path).unwrap(), before);
    only(folder.path(), &["key.json", "link.json"]);
}

#[test]
fn a_path_that_is_no_regular_file_is_reported_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let error = load_keyfile(folder.path()).unwrap_err();
    assert_eq!(error.to_string(), "a folder, not a regular file");
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = load_keyfile(&socket).unwrap_err();
    assert_eq!(error.to_string(), "a device, pipe or socket, not a regular file");
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(matches!(load_keyfile(&pipe), Err(FileError::NotRegular(_))));
    let big = folder.path().join("big");
    fs::write(&big, vec![b' '; MAX_BYTES + 1]).unwrap();
    assert!(matches!(load_keyfile(&big), Err(FileError::TooLarge { .. })));
    let missing = load_keyfile(&folder.path().join("missing"));
    assert!(matches!(missing, Err(FileError::Io(_))));
}

#[test]
fn of_many_that_create_one_file_only_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.json"));
        let files: Vec<Keyfile> = (0..8).map(|_| plain().1).collect();
        let start = std::sync::Barrier::new(files.len());
        let made: Vec<bool> = std::thread::scope(|scope| {
            let create = |file| {
                start.wait();
                create_keyfile(&path, file).is_ok()
            };
            let threads: Vec<_> =
                files.iter().map(|file| scope.spawn(move || create(file))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|made| **made).count(), 1);
        let winner = made.iter().position(|made| *made).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), *files[winner].to_json());
    }
}
