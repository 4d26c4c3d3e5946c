//! Tests of trust files and folders on disk.

use super::*;

#[test]
fn files_and_folders_are_loaded() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("trust");
    fs::create_dir(&folder).unwrap();
    let at = |name: &str| folder.join(name);
    write(&at("b.json"), &jwk(&key(2), r#","mcpid":{"name":"b"}"#), 0o644);
    write(&at("a.jwk"), &jwk(&key(1), ""), 0o600);
    write(&at("c.json"), &jwk(&key(2), r#","mcpid":{"name":"c"}"#), 0o644);
    // A file that begins with a dot, files with other extensions, and a folder inside of the trust
    // folder are not read.
    write(&at(".hidden.json"), "not json", 0o644);
    write(&at("README.md"), "not json", 0o644);
    write(&at("d.JSON"), "not json", 0o644);
    fs::create_dir(at("sub.json")).unwrap();
    write(&at("sub.json/e.json"), "not json", 0o644);
    let single = root.path().join("any.name");
    write(&single, &jwk(&key(3), ""), 0o644);
    symlink(&single, at("z.json")).unwrap();

    let registry = Registry::load(&[&folder, &single]).unwrap();
    let order: Vec<_> = registry.iter().map(|entry| entry.key().clone()).collect();
    assert_eq!(order, [key(1), key(2), key(3)]);
    let note = &registry.notes()[0];
    assert!(note.text.contains("another name, \"c\""));
    assert_eq!(note.path.as_deref(), Some(at("c.json").as_path()));
}

#[test]
fn a_trust_file_that_other_users_can_write_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("trust.json");
    write(&path, &jwk(&key(1), ""), 0o644);
    assert_eq!(Registry::load(&[&path]).unwrap().notes(), []);
    for open in [0o646, 0o666, 0o602, 0o777] {
        write(&path, &jwk(&key(1), ""), open);
        let error = Registry::load(&[&path]).unwrap_err();
        assert!(matches!(error.kind, LoadErrorKind::OthersCanWrite { mode } if mode == open));
        assert_eq!(error.path, path);
        assert!(edit(&path, |document| document.remove("x")).is_err());
        let as_folder = Registry::load(&[root.path()]).unwrap_err();
        assert!(matches!(as_folder.kind, LoadErrorKind::OthersCanWrite { .. }));
    }
    write(&path, &jwk(&key(1), ""), 0o664);
    let registry = Registry::load(&[&path]).unwrap();
    assert_eq!(registry.notes()[0].text, "its group can write it (mode 0664)");
    write(&path, &jwk(&key(1), ""), 0o644);
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = Registry::load(&[root.path()]).unwrap_err();
    assert!(matches!(error.kind, LoadErrorKind::OthersCanWrite { mode: 0o777 }));
    assert_eq!(error.path, root.path());
}

#[test]
fn one_unreadable_file_fails_the_whole_load() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    write(&at("good.json"), &jwk(&key(1), ""), 0o644);
    assert_eq!(Registry::load(&[root.path()]).unwrap().len(), 1);

    let missing = Registry::load(&[at("good.json"), at("missing")]).unwrap_err();
    assert_eq!(missing.path, at("missing"));
    assert!(matches!(missing.kind, LoadErrorKind::Store(FileError::Io(_))));

    fs::create_dir(at("empty")).unwrap();
    let empty = Registry::load(&[at("empty")]).unwrap_err();
    assert_eq!(empty.to_string(), "the folder holds no *.json or *.jwk files");

    write(&at("zbad.json"), "{}", 0o644);
    let bad = Registry::load(&[root.path()]).unwrap_err();
    assert_eq!(bad.path, at("zbad.json"));
    assert!(matches!(bad.kind, LoadErrorKind::Trust(TrustError::NotKeys(_))));
    fs::remove_file(at("zbad.json")).unwrap();

    symlink(at("nowhere"), at("zlink.json")).unwrap();
    assert_eq!(Registry::load(&[root.path()]).unwrap_err().path, at("zlink.json"));
    fs::remove_file(at("zlink.json")).unwrap();

    let pipe = at("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = Registry::load(&[&pipe]).unwrap_err();
    assert!(matches!(error.kind, LoadErrorKind::Store(FileError::NotRegular(_))));

    let big = fs::File::create(at("big")).unwrap();
    big.set_len(64 * 1024 * 1024 + 1).unwrap();
    let error = Registry::load(&[at("big")]).unwrap_err();
    assert!(matches!(error.kind, LoadErrorKind::Store(FileError::TooLarge { .. })));
    let none: [&Path; 0] = [];
    assert!(Registry::load(&none).unwrap().is_empty());
}

// --- editing trust files ---
