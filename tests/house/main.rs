//! Rules about the source that the compiler does not check: the order of imports between modules,
//! that only `clock.rs` reads the wall clock, that only the program prints, and the length of
//! files.
#![allow(clippy::unwrap_used)]

mod circles;

use std::fs;
use std::path::{Path, PathBuf};

/// The order of the modules. A module may import from modules on lines before its own, and from
/// itself. Modules on the same line, such as `sign` and `verify`, do not import each other.
const IMPORT_ORDER: &[&[&str]] = &[
    &["clock", "block_on"],
    &["work_queue"],
    &["secret"],
    &["message"],
    &["page"],
    &["mcp"],
    &["base"],
    &["key"],
    &["nonce"],
    &["profile"],
    &["sign", "verify"],
    &["net"],
    &["audit"],
    &["tower"],
    &["gateway", "connect"],
];

fn sources() -> Vec<(PathBuf, String)> {
    files_of("src", "rs")
}

/// Returns the files below a folder of this repository whose names have this extension, with their
/// text.
fn files_of(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, extension: &str, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, extension, into);
            } else if path.extension().is_some_and(|e| e == extension) {
                let text = fs::read_to_string(&path).unwrap();
                into.push((path, text));
            }
        }
    }
    let mut files = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), extension, &mut files);
    assert!(!files.is_empty(), "there are no .{extension} files in {folder}");
    files
}

fn relative(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/")
}

fn module_of(relative: &str) -> String {
    relative.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

/// Returns the code of a file without line comments, because prose may name other modules.
fn code(text: &str) -> String {
    text.lines().map(|l| l.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Returns the first path segment after each `crate::` in `code`, also for groups in braces.
fn imported_modules(code: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut start) = (0, true);
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if depth == 0 && start && (c.is_alphanumeric() || c == '_') => word.push(c),
                    _ if depth == 0 && !word.is_empty() => {
                        modules.push(std::mem::take(&mut word));
                        start = false;
                    }
                    _ => {}
                }
            }
            if !word.is_empty() {
                modules.push(word);
            }
        } else {
            let name: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            // An exported macro is at the root of the crate, whichever module defines it.
            if !rest[name.len()..].starts_with('!') {
                modules.push(name);
            }
        }
    }
    modules
}

/// ARCHITECTURE.md must show the same order of imports as the constant above.
#[test]
fn the_order_of_imports_is_the_one_in_architecture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once("## The order of imports").unwrap();
    let order = section.split("```").nth(1).unwrap().strip_prefix("text").unwrap();
    let written: Vec<Vec<&str>> = order
        .split('→')
        .map(|step| step.split(',').map(str::trim).collect())
        .filter(|step: &Vec<&str>| step != &["bin/mcpid"])
        .collect();
    assert_eq!(written, IMPORT_ORDER);
    for module in IMPORT_ORDER.iter().copied().flatten() {
        assert!(text.contains(&format!("\n- **`{module}`**")), "{module} is not described");
    }
}

#[test]
fn imports_run_one_way() {
    let place = |module: &str| IMPORT_ORDER.iter().position(|line| line.contains(&module));
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let file = relative(&path);
        if file == "lib.rs" || file.starts_with("bin/") {
            continue;
        }
        let own = module_of(&file);
        let Some(here) = place(&own) else {
            wrong.push(format!("{file}: this module is not in the order"));
            continue;
        };
        for other in imported_modules(&code(&text)) {
            match place(&other) {
                Some(there) if there < here || other == own => {}
                Some(_) => wrong.push(format!("{file}: imports {other}")),
                None => {
                    wrong.push(format!("{file}: imports crate::{other}, which is not a module"))
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_trust_registry_takes_only_patterns_from_mcp() {
    for (path, text) in sources() {
        let file = relative(&path);
        if module_of(&file) == "key" {
            let code = code(&text);
            for (at, _) in code.match_indices("crate::mcp") {
                let rest = &code[at + "crate::mcp".len()..];
                assert!(rest.starts_with("::pattern"), "{file}: {}", &rest[..rest.len().min(40)]);
            }
            assert!(!code.contains("crate::message"), "{file}: keys know no messages");
            assert!(!code.contains("crate::base"), "{file}: keys know no signature base");
        }
    }
}

#[test]
fn the_nonce_module_does_not_know_http() {
    for (path, text) in sources() {
        let file = relative(&path);
        if module_of(&file) == "nonce" {
            for word in ["crate::message", "crate::mcp", "crate::base", "http::", "hyper"] {
                assert!(!code(&text).contains(word), "{file}: {word}");
            }
        }
    }
}

#[test]
fn only_the_clock_reads_wall_time() {
    for (path, text) in sources() {
        let file = relative(&path);
        if file != "clock.rs" {
            for word in ["SystemTime::now", "now_utc", "now_local"] {
                assert!(!code(&text).contains(word), "{file}: {word}");
            }
        }
    }
}

#[test]
fn the_library_neither_prints_nor_exits_nor_knows_default_paths() {
    for (path, text) in sources() {
        let file = relative(&path);
        let code = code(&text);
        if !file.starts_with("bin/") {
            for word in ["println!", "eprintln!", "print!(", "process::exit", "env::var"] {
                assert!(!code.contains(word), "{file}: {word}");
            }
        }
        if file != "bin/mcpid/input/files.rs" {
            assert!(!code.contains("dirs::"), "{file}: default paths live in input/files.rs");
        }
    }
}

#[test]
fn only_the_table_of_profiles_knows_their_names() {
    for (path, text) in sources() {
        let file = relative(&path);
        if file.starts_with("profile/") {
            continue;
        }
        let squeezed: String = code(&text).split_whitespace().collect();
        for name in ["sep2752", "rfc9421", "adcp", "ucp"] {
            assert!(!squeezed.contains(&format!("\"{name}\"")), "{file}: the name {name}");
        }
        for compared in ["profile.name==", "profile.name!=", "profile().name==", "profile().name!="]
        {
            assert!(!squeezed.contains(compared), "{file}: compares the name of a profile");
        }
        for property in ["profile.as_deref()==", "profile.as_deref()!="] {
            assert!(!squeezed.contains(property), "{file}: compares the name of a profile");
        }
    }
}

#[test]
fn no_file_has_a_name_without_meaning() {
    for (path, _) in sources() {
        let file = relative(&path);
        for part in file.trim_end_matches(".rs").split('/') {
            let banned = ["util", "utils", "common", "helper", "helpers", "types", "prelude"];
            assert!(!banned.contains(&part), "{file}: {part} is a name for nothing");
        }
    }
}

#[test]
fn no_file_has_more_than_400_lines() {
    let mut long = Vec::new();
    let rust = ["src", "tests", "benches", "examples", "bindings/python/src"].map(|f| (f, "rs"));
    let python = ["tests", "bindings/python/python", "bindings/python/tests"].map(|f| (f, "py"));
    for (folder, extension) in rust.into_iter().chain(python) {
        for (path, text) in files_of(folder, extension) {
            let lines = text.lines().count();
            if lines > 400 {
                long.push(format!("{}: {lines}", path.display()));
            }
        }
    }
    assert!(long.is_empty(), "over 400 lines: {long:#?}");
}

/// A CPython without a global lock calls methods of one object from several threads at once, so the
/// Python classes must not be changed by a method.
#[test]
fn the_python_classes_need_no_lock_of_the_interpreter() {
    let (mut classes, mut wrong, mut is_declared) = (0, Vec::new(), false);
    for (path, text) in files_of("bindings/python/src", "rs") {
        let code = code(&text);
        is_declared |= code.contains("#[pymodule(gil_used = false)]");
        for (at, _) in code.match_indices("#[pyclass") {
            classes += 1;
            let attribute = code[at..].split(']').next().unwrap();
            if !attribute.contains("frozen") || attribute.contains("unsendable") {
                wrong.push(format!("{}: {attribute}]", path.display()));
            }
        }
        for word in ["static mut", "unsafe", "GILProtected", "#[pyo3(set"] {
            if code.contains(word) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(is_declared, "the module does not declare that it needs no lock");
    assert!(classes >= 10, "{classes} classes were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_import_reader_sees_groups() {
    let code = "use crate::{base::x, key::{a, b}, nonce};\nuse crate::clock::T;";
    assert_eq!(imported_modules(code), ["base", "key", "nonce", "clock"]);
}
