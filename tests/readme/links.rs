//! Tests that every link, file, module and item that a document names exists.

use std::fs;
use std::path::{Path, PathBuf};

use super::blocks::{blocks, spans};
use super::{ROOT, document, documents};

/// Returns the targets of the inline links of a document.
fn links(text: &str) -> Vec<String> {
    let (_, prose) = blocks(text).unwrap();
    let prose = prose.join("\n");
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// Returns the anchors of a document, one for each heading, in GitHub's form.
fn anchors(text: &str) -> Vec<String> {
    let (_, prose) = blocks(text).unwrap();
    let mut anchors: Vec<String> = Vec::new();
    for heading in prose.iter().filter(|line| line.starts_with('#')) {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let earlier = anchors.iter().filter(|known| **known == anchor).count();
        anchors.push(if earlier == 0 { anchor } else { format!("{anchor}-{earlier}") });
    }
    anchors
}

/// Returns what is wrong with a link in the document `from`, if anything.
fn broken(from: &str, link: &str) -> Option<String> {
    if link.starts_with("https://") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, a)| (file, Some(a)));
    let folder = Path::new(ROOT).join(from).parent().unwrap().to_owned();
    let path = if file.is_empty() { Path::new(ROOT).join(from) } else { folder.join(file) };
    if !path.exists() {
        return Some(format!("{from} links to {link}: there is no such file"));
    }
    let anchor = anchor?;
    let known = anchors(&fs::read_to_string(&path).unwrap());
    (!known.iter().any(|a| a == anchor))
        .then(|| format!("{from} links to {link}: the headings are {known:?}"))
}

#[test]
fn every_link_has_a_target() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for name in documents() {
        for link in links(&document(&name)) {
            count += 1;
            wrong.extend(broken(&name, &link));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "only {count} links were found");
}

#[test]
fn a_link_without_a_target_is_found() {
    for link in ["nothing.md", "../README.md#nothing", "#nothing", "../nothing/", "http://x/"] {
        assert!(broken("docs/errors.md", link).is_some(), "{link}");
    }
    for link in ["../README.md", "signing.md#keys-in-ssh-agent", "#exit-codes", "https://x/"] {
        assert_eq!(broken("docs/errors.md", link), None, "{link}");
    }
    assert_eq!(anchors("# A `b`, c\n## a b c\n```text\n# d\n```\n"), ["a-b-c", "a-b-c-1"]);
}

/// The folders of the repository. Inline code that begins with one of them counts as a path.
const FOLDERS: [&str; 11] = [
    "tests",
    "src",
    "docs",
    "examples",
    "benches",
    "bindings",
    "fuzz",
    "completions",
    "man",
    ".cargo",
    ".ci",
];

#[test]
fn every_file_that_is_named_exists() {
    let (mut count, mut wrong) = (0, Vec::new());
    for name in documents() {
        // The changelog's entries about older versions use the names of that time.
        for span in spans(&document(&name)).iter().filter(|_| name != "CHANGELOG.md") {
            let path = span.split_whitespace().next().unwrap_or_default();
            let is_path = path.split_once('/').is_some_and(|(first, _)| FOLDERS.contains(&first));
            if is_path && !path.contains(['*', '…']) {
                count += 1;
                if !Path::new(ROOT).join(path).exists() {
                    wrong.push(format!("{name} names {path}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 80, "only {count} paths were found");
}

/// Returns the Rust files of the module with this path in the crate.
fn module_files(segments: &[&str]) -> Option<Vec<PathBuf>> {
    let base = Path::new(ROOT).join("src").join(segments.join("/"));
    let mut files: Vec<PathBuf> = [base.with_extension("rs")].into();
    let mut folders = vec![base];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.retain(|file| file.is_file());
    (!files.is_empty()).then_some(files)
}

/// Returns true if `path`, such as `verify::Code::ALL`, is a module of the crate or an item in one.
fn is_in_crate(path: &str) -> bool {
    let segments: Vec<&str> = path.split("::").collect();
    let modules = (1..=segments.len()).rev().find_map(|n| Some((n, module_files(&segments[..n])?)));
    let Some((n, files)) = modules else { return false };
    let source: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let words: Vec<&str> = source.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let defines = |item: &&str| {
        let kinds = ["fn", "struct", "enum", "trait", "type", "const", "static"];
        let named = |pair: &[&str]| kinds.contains(&pair[0]) && pair[1] == *item;
        words.windows(2).any(named)
            || (item.starts_with(char::is_uppercase) && words.contains(item))
    };
    segments[n..].iter().all(defines)
}

#[test]
fn every_module_and_item_that_is_named_exists() {
    let (mut count, mut wrong) = (0, Vec::new());
    for name in documents() {
        for span in spans(&document(&name)).iter().filter(|_| name != "CHANGELOG.md") {
            let path = span.trim_end_matches("()");
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let first = path.split("::").next().unwrap_or_default();
            if path.contains("::") && path.chars().all(word) && module_files(&[first]).is_some() {
                count += 1;
                if !is_in_crate(path) {
                    wrong.push(format!("{name} names {path}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 5, "only {count} paths were found");
    assert!(is_in_crate("verify::Code::ALL") && is_in_crate("nonce::url"));
    assert!(!is_in_crate("verify::NoSuchItem") && !is_in_crate("nonce::no_such_item"));
}
